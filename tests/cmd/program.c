/* SPDX-License-Identifier: MIT */
/* Starting the program and waiting for it, each wait with an end. */
#include "tests/cmd/program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/process.h"

#define MAX_ARGS 24

char program_folder[64];
static const char *program;
static struct leaks before;

static bool never(const char *text)
{
	return false;
}

bool program_has_line(const char *text)
{
	return strchr(text, '\n') != NULL;
}

pid_t program_start(const char *line, int *out_fd)
{
	static char copy[1024];
	char *argv[MAX_ARGS] = { (char *)(uintptr_t)program };
	struct process_options options = { .take_stdout = true };
	int argc = 1;
	pid_t pid;

	copy[0] = '\0';
	for (const char *c = line; *c; c++) {
		if (*c == '%')
			strcat(copy, program_folder);
		else
			strncat(copy, c, 1);
	}
	for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
		argv[argc++] = word;
	pid = process_start(argv, &options, out_fd);
	assert_true(pid > 0);
	return pid;
}

int program_run(const char *line, char *text, size_t size)
{
	int fd, status;
	pid_t pid = program_start(line, &fd);

	assert_int_equal(process_read(fd, text, size, clock_now_ns() + PROGRAM_LIMIT_NS, never), 0);
	close(fd);
	status = process_wait(pid, clock_now_ns() + PROGRAM_LIMIT_NS);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

pid_t program_serve(const char *line)
{
	char text[512];
	int fd;
	pid_t pid = program_start(line, &fd);

	assert_int_equal(process_read(fd, text, sizeof(text), clock_now_ns() + PROGRAM_LIMIT_NS,
				      program_has_line),
			 1);
	assert_non_null(strstr(text, "is ready on"));
	close(fd);
	return pid;
}

void program_end(pid_t pid)
{
	int status = process_end(pid, PROGRAM_LIMIT_NS);

	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

json_t *program_json(const char *line)
{
	static char text[65536];
	json_t *tree;

	assert_int_equal(program_run(line, text, sizeof(text)), 0);
	tree = json_loads(text, 0, NULL);
	assert_non_null(tree);
	return tree;
}

int program_setup(void **state)
{
	before = leaks_count();
	strcpy(program_folder, "/tmp/mediant-test-XXXXXX");
	assert_non_null(mkdtemp(program_folder));
	return setenv("MEDIANT_RUNTIME_DIR", program_folder, 1);
}

int program_teardown(void **state)
{
	assert_int_equal(rmdir(program_folder), 0);
	return leaks_compare(&before);
}

bool program_take(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: %s PATH-OF-MEDIANT\n", argv[0]);
		return false;
	}
	program = argv[1];
	return true;
}
