/* SPDX-License-Identifier: MIT */
/*
 * A guest that wants the GPU all the time: a vGPU of its own in this process, and a driver that
 * keeps a few frames (frame.h) ahead of the engine, told of each by an interrupt.
 */
#ifndef BENCH_PLAYER_H
#define BENCH_PLAYER_H

#include "base/types.h"
#include "sched/sched.h"

struct player_config {
	struct sched_lease *lease; /* of the vGPU's lane; NULL: it shares with nobody */
	int lane_cpu;		   /* where the lane runs without a lease */
	int driver_cpu;		   /* where the driver runs, whose work is not measured */
	_Atomic bool *go;	   /* begins when this is set */
	_Atomic uint32_t *ready;   /* raised when all is set up */
	_Atomic uint64_t *frames;  /* done so far */
};

/* Plays to the process's end. */
_Noreturn void player_run(const struct player_config *config);

#endif
