/* SPDX-License-Identifier: MIT */
/* Numbers of tests that must come again: the same from the same seed (xorshift, not 0). */
#ifndef TESTS_SUPPORT_RANDOM_H
#define TESTS_SUPPORT_RANDOM_H

#include <stdint.h>

/* Each program has its own. */
static uint64_t seed;

static inline uint32_t random32(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 16);
}

#endif
