/* SPDX-License-Identifier: MIT */
/*
 * A guest that draws a little and rests, a desktop say, and one beside it that always has work:
 * how long the first one's work waits for a lane.
 */
#ifndef BENCH_NEWCOMER_H
#define BENCH_NEWCOMER_H

#include "base/types.h"

struct sched_lease;

struct newcomer_config {
	struct sched_lease *lease; /* NULL: the kernel alone decides */
	int lane_cpu;
	int driver_cpu; /* where its work comes from */
	uint32_t count;
	uint32_t *samples_ns;	 /* @count times, from a lane's kick to its step */
	_Atomic uint32_t *taken; /* how many of them there are */
};

/* In a process of its own, to its end. */
_Noreturn void newcomer_run(const struct newcomer_config *config);

/*
 * The same for the one that always has work: raises *@ready when it is at work.  @lease NULL: as
 * above, on the calling thread's core.
 */
_Noreturn void newcomer_beside(struct sched_lease *lease, _Atomic uint32_t *ready);

#endif
