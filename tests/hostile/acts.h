/* SPDX-License-Identifier: MIT */
/* What a hostile guest does, each act with a vGPU of its own. */
#ifndef TESTS_HOSTILE_ACTS_H
#define TESTS_HOSTILE_ACTS_H

#include "process.h"

/* The exit status; prints a line that says what the vGPU had of the GPU, or what went wrong. */
int act(const char *name);

static inline uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

#endif
