/* SPDX-License-Identifier: MIT */
/*
 * Moving runs of some tens to some hundreds of bytes, the size of what is contiguous in a tile.
 * Where a compiler knows a bound of memcpy()'s length it makes a string instruction of it, which
 * takes longer to start than such a run to move; of memmove() it makes a call.  Where the ranges
 * overlap, as two surfaces of a guest may, the bytes are anybody's guess and nothing worse.
 */
#ifndef GPU_BLT_BYTES_H
#define GPU_BLT_BYTES_H

#include <emmintrin.h>
#include <string.h>

#include "base/types.h"

static inline void copy_16(uint8_t *to, const uint8_t *from)
{
	_mm_storeu_si128((__m128i *)to, _mm_loadu_si128((const __m128i *)from));
}

static inline void copy_8(uint8_t *to, const uint8_t *from)
{
	uint64_t value;

	memcpy(&value, from, sizeof(value));
	memcpy(to, &value, sizeof(value));
}

static inline void copy_4(uint8_t *to, const uint8_t *from)
{
	uint32_t value;

	memcpy(&value, from, sizeof(value));
	memcpy(to, &value, sizeof(value));
}

static inline void copy_few(uint8_t *to, const uint8_t *from, uint32_t n)
{
	if (n & 8) {
		copy_8(to, from);
		to += 8;
		from += 8;
	}
	if (n & 4) {
		copy_4(to, from);
		to += 4;
		from += 4;
	}
	for (n &= 3; n; n--)
		*to++ = *from++;
}

static inline void copy_run(uint8_t *to, const uint8_t *from, uint32_t n)
{
	if (n < 16) {
		copy_few(to, from, n);
		return;
	}
	if (n >= 128) {
		memmove(to, from, n);
		return;
	}
	for (uint32_t at = 0; at + 16 <= n; at += 16)
		copy_16(to + at, from + at);
	/* The last bytes once more with some before them. */
	if (n % 16)
		copy_16(to + n - 16, from + n - 16);
}

#endif
