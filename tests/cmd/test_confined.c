/* SPDX-License-Identifier: MIT */
/*
 * That `mediant serve` and `mediant arbiter` go through the sandbox, each layer of it, seen from
 * outside: by what the kernel knows of the process, and by the layers it tells beside those that a
 * child of this test gets here.  What a layer keeps out is test_sandbox.c's.  argv[1] is the
 * program.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/process.h"
#include "cmd/sandbox.h"
#include "tests/cmd/program.h"

#define LEFT_NAME "left-open"

/* ---- What there is to be had --------------------------------------------------------------- */

/* The layers that this kernel, and whatever contains us, lets a child of ours have. */
static void get_layers(bool on[SANDBOX_LAYERS])
{
	int ends[2], status;
	pid_t pid;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		struct sandbox sandbox = { .remove_in = { -1, -1 }, .look_in = -1 };
		bool good = !sandbox_enter(&sandbox) && !sandbox_limit_syscalls(&sandbox);

		_exit(!good ||
		      write(ends[1], sandbox.on, sizeof(sandbox.on)) != sizeof(sandbox.on));
	}
	assert_int_equal(read(ends[0], on, sizeof(bool[SANDBOX_LAYERS])),
			 sizeof(bool[SANDBOX_LAYERS]));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(ends[0]);
	close(ends[1]);
}

/* "sandbox: these layers; not in force: those" */
static void expect_told(const char *log, const bool on[SANDBOX_LAYERS])
{
	const char *told = strstr(log, "info: sandbox:"), *off;

	if (!told || !(off = strstr(told, "; not in force:"))) {
		fail_msg("no word of the sandbox: %s", log);
		return;
	}
	for (unsigned int i = 0; i < SANDBOX_LAYERS; i++) {
		char name[32];
		const char *at;

		snprintf(name, sizeof(name), " %s", sandbox_layer_name((enum sandbox_layer)i));
		at = strstr(told, name);
		assert_non_null(at);
		if ((at < off) != on[i])
			fail_msg("%s is %s, which is not what a child of ours has: %s", name + 1,
				 on[i] ? "off" : "on", told);
	}
}

/* ---- What the kernel knows ----------------------------------------------------------------- */

static void read_proc(pid_t pid, const char *name, char *text, size_t size)
{
	char path[64];
	FILE *file;
	size_t n;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	file = fopen(path, "re");
	assert_non_null(file);
	n = fread(text, 1, size - 1, file);
	fclose(file);
	text[n] = '\0';
}

static bool same_namespace(pid_t pid, const char *name)
{
	char path[64], own[64] = "", other[64] = "";

	snprintf(path, sizeof(path), "/proc/self/ns/%s", name);
	assert_true(readlink(path, own, sizeof(own) - 1) > 0);
	snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, name);
	assert_true(readlink(path, other, sizeof(other) - 1) > 0);
	return !strcmp(own, other);
}

static void expect_namespaces(pid_t pid, const bool on[SANDBOX_LAYERS])
{
	char path[64];

	assert_int_equal(same_namespace(pid, "user"), !on[SANDBOX_USER_NAMESPACE]);
	assert_int_equal(same_namespace(pid, "net"), !on[SANDBOX_NAMESPACES]);
	assert_int_equal(same_namespace(pid, "ipc"), !on[SANDBOX_NAMESPACES]);
	snprintf(path, sizeof(path), "/proc/%d/root/etc", (int)pid);
	assert_int_equal(access(path, F_OK), on[SANDBOX_EMPTY_ROOT] ? -1 : 0);
}

static void expect_limits(pid_t pid)
{
	char text[4096], *line;
	unsigned long soft, hard;

	read_proc(pid, "limits", text, sizeof(text));
	line = strstr(text, "Max core file size");
	assert_non_null(line);
	assert_int_equal(sscanf(line + strlen("Max core file size"), "%lu %lu", &soft, &hard), 2);
	assert_true(!soft && !hard);
	line = strstr(text, "Max open files");
	assert_non_null(line);
	assert_int_equal(sscanf(line + strlen("Max open files"), "%lu %lu", &soft, &hard), 2);
	assert_true(hard <= 4096);
	read_proc(pid, "status", text, sizeof(text));
	assert_non_null(strstr(text, "NoNewPrivs:\t1"));
	assert_non_null(strstr(text, "CapEff:\t0000000000000000"));
	assert_non_null(strstr(text, "CapPrm:\t0000000000000000"));
	if (SANDBOX_FILTERS)
		assert_non_null(strstr(text, "Seccomp:\t2"));
}

/* Nothing of what we left open, and no terminal. */
static void expect_descriptors(pid_t pid)
{
	char folder[32], path[300], target[256];
	struct dirent *entry;
	struct stat input, null;
	DIR *fds;

	snprintf(folder, sizeof(folder), "/proc/%d/fd", (int)pid);
	fds = opendir(folder);
	assert_non_null(fds);
	while ((entry = readdir(fds))) {
		ssize_t n;

		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		n = readlink(path, target, sizeof(target) - 1);
		target[MAX(n, 0)] = '\0';
		if (strstr(target, LEFT_NAME))
			fail_msg("descriptor %s is still open", entry->d_name);
	}
	closedir(fds);
	snprintf(path, sizeof(path), "%s/0", folder);
	assert_int_equal(stat(path, &input), 0);
	assert_int_equal(stat("/dev/null", &null), 0);
	assert_int_equal(input.st_rdev, null.st_rdev);
}

/* ---- Tests --------------------------------------------------------------------------------- */

/* One that a program we start inherits. */
static int leave_open(void)
{
	int fd = memfd_create(LEFT_NAME, 0);

	assert_true(fd >= 0);
	return fd;
}

static void check_confined(const char *line)
{
	int log = program_log_open(), left[2] = { leave_open(), leave_open() };
	pid_t pid = program_serve_logged(line, log);
	bool on[SANDBOX_LAYERS];

	get_layers(on);
	expect_told(program_log(log), on);
	expect_namespaces(pid, on);
	expect_limits(pid);
	expect_descriptors(pid);
	program_end(pid);
	close(left[0]);
	close(left[1]);
	close(log);
}

static void serve_is_confined(void **state)
{
	check_confined("serve --socket %/vfio --name one");
}

static void the_arbiter_is_confined(void **state)
{
	check_confined("arbiter --lanes 1");
}

/* Those below and above it go. */
static void only_the_named_descriptor_is_kept(void **state)
{
	int below = leave_open(), pair[2], above;
	char line[64];
	pid_t pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	fcntl(pair[1], F_SETFD, FD_CLOEXEC);
	above = leave_open();
	assert_true(below < pair[0] && pair[0] < above);
	sprintf(line, "serve --fd %d --name one --log warn", pair[0]);
	pid = program_serve(line);
	close(pair[0]);
	expect_descriptors(pid);
	program_end(pid);
	close(below);
	close(above);
	close(pair[1]);
}

static void stat_tells_the_layers(void **state)
{
	static const char *const lines[] = {
		"serve --socket %/vfio --name one --log warn",
		"serve --socket %/vfio --name one --log warn --no-sandbox",
	};
	bool on[SANDBOX_LAYERS];

	get_layers(on);
	for (size_t n = 0; n < ARRAY_SIZE(lines); n++) {
		pid_t pid = program_serve(lines[n]);
		json_t *tree = program_json("stat one --json");
		json_t *layers = json_object_get(tree, "sandbox");

		assert_int_equal(json_object_size(layers), SANDBOX_LAYERS);
		for (unsigned int i = 0; i < SANDBOX_LAYERS; i++)
			assert_int_equal(
				json_is_true(json_object_get(
					layers, sandbox_layer_name((enum sandbox_layer)i))),
				!n && on[i]);
		json_decref(tree);
		program_end(pid);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		in_folder(serve_is_confined),
		in_folder(the_arbiter_is_confined),
		in_folder(only_the_named_descriptor_is_kept),
		in_folder(stat_tells_the_layers),
	};

	if (!program_take(argc, argv))
		return 2;
	return cmocka_run_group_tests_name("cmd confined", tests, NULL, NULL);
}
