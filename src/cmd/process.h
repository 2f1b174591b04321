/* SPDX-License-Identifier: MIT */
/* Child processes of `mediant run`.  One thread; SIGCHLD is the caller's. */
#ifndef CMD_PROCESS_H
#define CMD_PROCESS_H

#include <sys/types.h>

#include "base/types.h"

struct process_options {
	bool own_group;	  /* the terminal's ^C does not reach it */
	bool quiet;	  /* stdin and stderr from and to nowhere */
	bool take_stdout; /* through a pipe */
};

/*
 * Runs @argv (looked up on the PATH) with an empty signal mask; it gets SIGTERM when this process
 * dies.  The pid, or -errno; *@out_fd is the pipe's reading end with take_stdout.
 */
pid_t process_start(char *const *argv, const struct process_options *options, int *out_fd);

/* Waits for @pid until @deadline_ns; its wait status, or -1 when it still runs then. */
int process_wait(pid_t pid, uint64_t deadline_ns);

/* SIGTERM, and SIGKILL when that is not heeded within @grace_ns; reaps it. */
int process_end(pid_t pid, uint64_t grace_ns);

/*
 * Reads from @fd into @text (ended by a NUL, its oldest half dropped when full) until @deadline_ns,
 * the end of the stream or until @enough says so.  1: enough; 0: the end; -ETIMEDOUT.
 */
int process_read(int fd, char *text, size_t size, uint64_t deadline_ns,
		 bool (*enough)(const char *text));

#endif
