/* SPDX-License-Identifier: MIT */
/*
 * `mediant` as a process, for tests that ask it from outside.  Each test has a folder of its own,
 * which is the program's runtime folder and empty in the end.
 */
#ifndef TESTS_CMD_PROGRAM_H
#define TESTS_CMD_PROGRAM_H

#include <jansson.h>
#include <sys/types.h>

#include "base/clock.h"
#include "tests/support/leaks.h"

#define PROGRAM_LIMIT_NS (20 * NSEC_PER_SEC)

/* Of the test that runs. */
extern char program_folder[64];

/* From main()'s: argv[1] is the program; false, with a line, when there is none. */
bool program_take(int argc, char **argv);

/* Starts `mediant LINE`, its words apart by blanks, '%' standing for the test's folder. */
pid_t program_start(const char *line, int *out_fd);
/* The same with its input and output at a terminal. */
pid_t program_start_at(int terminal_fd, const char *line);
/* Runs it to its end; the exit status, and what it printed. */
int program_run(const char *line, char *text, size_t size);
/* Runs one that succeeds and prints JSON. */
json_t *program_json(const char *line);
/* @tree has @text as its @key. */
void program_expect(json_t *tree, const char *key, const char *text);
/* A server or the arbiter, once it is ready. */
pid_t program_serve(const char *line);
/*
 * The same with its log in a memory file of the caller's, who closes it; and what is in there by
 * now, good until it is asked for again.
 */
pid_t program_serve_logged(const char *line, int log_fd);
int program_log_open(void);
const char *program_log(int log_fd);
/* Asks it to end, and sees it do so with success. */
void program_end(pid_t pid);

/* For process_read(). */
bool program_has_line(const char *text);

int program_setup(void **state);
/* Whoever served has removed its sockets: the folder must be empty. */
int program_teardown(void **state);
#define in_folder(test) cmocka_unit_test_setup_teardown(test, program_setup, program_teardown)

#endif
