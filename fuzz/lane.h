/* SPDX-License-Identifier: MIT */
/*
 * A lane without a thread, in place of sched/lane.c: entities run when the fuzz target says so, a
 * slice each and in turn, by the clock of fuzz/clock.h.  One thread.
 */
#ifndef FUZZ_LANE_H
#define FUZZ_LANE_H

#include "sched/sched.h"

/* Gives each entity that has something to do @rounds slices at most. */
void fuzz_lane_run(unsigned int rounds);

#endif
