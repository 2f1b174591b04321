/* SPDX-License-Identifier: MIT */
/* Starting the program and waiting for it, each wait with an end. */
#include "tests/cmd/program.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
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

static pid_t start(const char *line, const struct process_options *options, int *out_fd)
{
	static char copy[1024];
	char *argv[MAX_ARGS] = { (char *)(uintptr_t)program };
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
	pid = process_start(argv, options, out_fd);
	assert_true(pid > 0);
	return pid;
}

pid_t program_start(const char *line, int *out_fd)
{
	const struct process_options options = { .take_stdout = true };

	return start(line, &options, out_fd);
}

/* Ours is @fd's until put_back(), with what it returns. */
static int swap(int ours, int fd)
{
	int kept = fcntl(ours, F_DUPFD_CLOEXEC, 3);

	assert_true(kept >= 0);
	assert_int_equal(dup2(fd, ours), ours);
	return kept;
}

static void put_back(int ours, int kept)
{
	dup2(kept, ours);
	close(kept);
}

pid_t program_start_at(int terminal_fd, const char *line)
{
	const struct process_options options = { 0 };
	int in = swap(STDIN_FILENO, terminal_fd), out;
	pid_t pid;

	fflush(stdout);
	out = swap(STDOUT_FILENO, terminal_fd);
	pid = start(line, &options, NULL);
	put_back(STDOUT_FILENO, out);
	put_back(STDIN_FILENO, in);
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

int program_log_open(void)
{
	int fd = memfd_create("log", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_APPEND), 0);
	return fd;
}

const char *program_log(int log_fd)
{
	static char text[16384];
	ssize_t n = pread(log_fd, text, sizeof(text) - 1, 0);

	assert_true(n >= 0);
	text[n] = '\0';
	return text;
}

pid_t program_serve_logged(const char *line, int log_fd)
{
	int kept = swap(STDERR_FILENO, log_fd);
	pid_t pid = program_serve(line);

	put_back(STDERR_FILENO, kept);
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

void program_expect(json_t *tree, const char *key, const char *text)
{
	assert_string_equal(json_string_value(json_object_get(tree, key)), text);
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
