/* SPDX-License-Identifier: MIT */
/*
 * What no scheduler could do better: processes on one core that copy as many bytes as the players'
 * frames have (frame.h), and hand the core over by a futex when a slice's time is over.  Each
 * begins its turn with caches full of another one's bytes, and that is all there is to lose.
 */
#ifndef BENCH_TURNS_H
#define BENCH_TURNS_H

#include "base/types.h"

/* As long as the arbiter's slices. */
#define TURNS_NS (16 * NSEC_PER_MSEC)

struct turns_config {
	int cpu;
	unsigned int index, count; /* which one of how many */
	_Atomic bool *go;
	_Atomic uint32_t *ready; /* raised by one when set up */
	_Atomic uint32_t *turn;	 /* shared; zero at first */
	_Atomic uint64_t *units; /* done */
};

/* In a process of its own, to its end. */
_Noreturn void turns_run(const struct turns_config *config);

#endif
