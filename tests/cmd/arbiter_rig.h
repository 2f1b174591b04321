/* SPDX-License-Identifier: MIT */
/*
 * The arbiter as a process, and clients of it: lanes of the test's own process, and seats that are
 * played by hand.  Waits are bounded.  All of it is the test's thread's.
 */
#ifndef TESTS_CMD_ARBITER_RIG_H
#define TESTS_CMD_ARBITER_RIG_H

#include <sys/types.h>

#include "base/clock.h"
#include "sched/sched.h"
#include "tests/cmd/program.h"

/* Of the test that runs: its socket, its process (-1: ended by the test), its log. */
extern char arbiter_path[128];
extern pid_t arbiter_pid;
extern int arbiter_log;

/* Runs `mediant LINE` in a folder of its own; the other end of it sees that nothing is left. */
int arbiter_setup(void **state, const char *line);
int arbiter_teardown(void **state);

/* A lane with a lease: works until its slice's end, or a little when it is not busy. */
struct worker {
	struct sched_entity entity;
	struct sched_lane *lane;
	struct sched_lease *lease;
	int fd;
	_Atomic uint64_t steps;
	bool busy;
};

void worker_start(struct worker *w, bool busy, uint32_t weight);
void worker_end(struct worker *w);
void worker_wait(struct worker *w, uint64_t steps);
uint64_t worker_leases(struct worker *w);
/* What it was charged while others waited: fair however slow the machine makes its slices. */
uint64_t worker_contended_ns(struct worker *w);
void worker_wait_contended(struct worker *w, uint64_t ns);

/* A seat without a lane's thread: the caller is the thread, and owns the connection it gets. */
int seat_join(struct sched_lease **lease);

/* A seat whose page and bell are the test's to play with. */
struct raw_seat {
	struct sched_lease_page *page;
	int fd, page_fd, bell_fd;
};

void raw_join(struct raw_seat *seat);
void raw_leave(struct raw_seat *seat);
void raw_ring(struct raw_seat *seat);
/* Writes its state and rings. */
void raw_say(struct raw_seat *seat, enum sched_lease_state state);
void raw_wait_lane(struct raw_seat *seat);

#endif
