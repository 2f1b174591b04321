/* SPDX-License-Identifier: MIT */
/*
 * Checked arithmetic for sizes and offsets that came from outside.  Used once, at the edge;
 * what has passed is plain arithmetic afterwards.  Pure functions, any thread.
 */
#ifndef BASE_CHECKED_H
#define BASE_CHECKED_H

#include "base/types.h"

/* True when [@offset, @offset + @len) lies inside [0, @size).  An empty range may end at @size. */
static inline bool range_fits(uint64_t offset, uint64_t len, uint64_t size)
{
	return offset <= size && len <= size - offset;
}

/* @a + @b into *@sum; false when the sum does not fit 64 bits. */
static inline bool add_fits(uint64_t a, uint64_t b, uint64_t *sum)
{
	return !__builtin_add_overflow(a, b, sum);
}

/* @a * @b into *@product; false when the product does not fit 64 bits. */
static inline bool mul_fits(uint64_t a, uint64_t b, uint64_t *product)
{
	return !__builtin_mul_overflow(a, b, product);
}

/* True when [@a, @a + @alen) and [@b, @b + @blen) share a byte; neither range may wrap. */
static inline bool ranges_overlap(uint64_t a, uint64_t alen, uint64_t b, uint64_t blen)
{
	return alen && blen && a < b + blen && b < a + alen;
}

#endif
