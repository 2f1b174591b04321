/* SPDX-License-Identifier: MIT */
/* `mediant run` as a process, with a QEMU that is a shell script.  argv[1] is the program. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/process.h"
#include "tests/cmd/program.h"

static bool has_more_line(const char *text)
{
	return strstr(text, "one more line") != NULL;
}

static void make_qemu(const char *body)
{
	char path[128];
	FILE *file;

	sprintf(path, "%s/qemu", program_folder);
	file = fopen(path, "w");
	fprintf(file,
		"#!/bin/sh\n"
		"[ \"$1\" = -device ] && { echo '\"vfio-user-pci\"'; exit 0; }\n"
		"%s\n",
		body);
	fclose(file);
	chmod(path, 0700);
	sprintf(path, "%s/qemu", program_folder);
	setenv("MEDIANT_QEMU", path, 1);
}

static void drop_qemu(void)
{
	char path[128];

	sprintf(path, "%s/qemu", program_folder);
	unlink(path);
	unsetenv("MEDIANT_QEMU");
}

#define RUN_LINE "run --name vm --accel tcg --kernel /dev/null --log warn"

static void run_ends_as_qemu_does(void **state)
{
	char text[1024], *ready, *qemu;

	make_qemu("echo qemu is up; exit 7");
	assert_int_equal(program_run(RUN_LINE, text, sizeof(text)), 7);
	ready = strstr(text, "is ready on");
	qemu = strstr(text, "qemu is up");
	assert_true(ready && qemu && ready < qemu);
	drop_qemu();
}

/* Starts `run` whose QEMU goes on until SIGTERM; the pid of its vGPU. */
static pid_t run_on(pid_t *runner)
{
	json_t *tree;
	char text[1024];
	pid_t vgpu;
	int fd;

	make_qemu("trap 'exit 0' TERM; echo one more line; while :; do sleep 0.05; done");
	*runner = program_start(RUN_LINE, &fd);
	assert_int_equal(process_read(fd, text, sizeof(text), clock_now_ns() + PROGRAM_LIMIT_NS,
				      has_more_line),
			 1);
	close(fd);
	tree = program_json("list --json");
	vgpu = (pid_t)json_integer_value(json_object_get(json_array_get(tree, 0), "pid"));
	json_decref(tree);
	assert_true(vgpu > 0);
	return vgpu;
}

/* Also when nobody has reaped it yet. */
static bool is_gone(pid_t pid)
{
	char path[64], state = 'Z';
	FILE *file;

	sprintf(path, "/proc/%d/stat", (int)pid);
	file = fopen(path, "r");
	if (!file)
		return true;
	if (fscanf(file, "%*d %*s %c", &state) != 1)
		state = 'Z';
	fclose(file);
	return state == 'Z';
}

static void run_is_asked_to_end(void **state)
{
	pid_t runner, vgpu = run_on(&runner);

	program_end(runner); /* status 0: the script's */
	assert_true(is_gone(vgpu));
	drop_qemu();
}

static void run_does_not_go_on_without_its_vgpu(void **state)
{
	pid_t runner, vgpu = run_on(&runner);
	json_t *tree;
	int status;

	kill(vgpu, SIGKILL);
	status = process_wait(runner, clock_now_ns() + PROGRAM_LIMIT_NS);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1);
	tree = program_json("list --json"); /* and removes what the vGPU could not */
	assert_int_equal(json_array_size(tree), 0);
	json_decref(tree);
	drop_qemu();
}

static void run_killed_leaves_nobody_behind(void **state)
{
	pid_t runner, vgpu = run_on(&runner);
	uint64_t deadline_ns = clock_now_ns() + PROGRAM_LIMIT_NS;

	kill(runner, SIGKILL);
	process_wait(runner, clock_now_ns() + PROGRAM_LIMIT_NS);
	while (!is_gone(vgpu) && clock_now_ns() < deadline_ns)
		usleep(10000);
	assert_true(is_gone(vgpu));
	drop_qemu();
}

static void run_tells_that_the_vgpu_cannot_start(void **state)
{
	pid_t pid = program_serve("serve --socket %/a --name vm --log warn");
	char text[1024];

	make_qemu("echo not reached");
	assert_int_equal(program_run(RUN_LINE, text, sizeof(text)), 1);
	assert_string_equal(text, "");
	program_end(pid);
	drop_qemu();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		in_folder(run_ends_as_qemu_does),
		in_folder(run_is_asked_to_end),
		in_folder(run_does_not_go_on_without_its_vgpu),
		in_folder(run_killed_leaves_nobody_behind),
		in_folder(run_tells_that_the_vgpu_cannot_start),
	};

	if (!program_take(argc, argv))
		return 2;
	return cmocka_run_group_tests_name("cmd run program", tests, NULL, NULL);
}
