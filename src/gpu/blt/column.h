/* SPDX-License-Identifier: MIT */
/*
 * Columns of 16 bytes, as Y tiles are made of, out of two columns that lie across them.  Whole
 * units of 16 bytes are read and shifted into one another: in the tile's memory the bytes beside a
 * unit are those of other rows, and beside the tile there may be no page.
 *
 * Both ways give the same bytes; which is taken depends on the processor.
 */
#ifndef GPU_BLT_COLUMN_H
#define GPU_BLT_COLUMN_H

#include <immintrin.h>

#include "gpu/blt/bytes.h"

/*
 * Byte @i of a row of the result: left[offset + i] as far as the unit goes, then right[0] and on.
 * A unit is read before it is stored, and rows are taken in order: the columns may be of one
 * surface.
 */
struct column {
	uint8_t *to;
	const uint8_t *left, *right;
	int32_t rows;
	uint32_t offset; /* 1 to 15 */
	bool upwards;	 /* the last row first */
};

/*
 * SSE2 shifts all of a register by constants only, but its two halves by any number of bits: out of
 * the four halves three that follow each other take part.
 */
static inline __attribute__((always_inline)) void column_halves(const struct column *c, bool second)
{
	int bits = 8 * (int)(c->offset & 7);
	__m128i down = _mm_cvtsi32_si128(bits), up = _mm_cvtsi32_si128(64 - bits);
	int32_t at = c->upwards ? 16 * (c->rows - 1) : 0, step = c->upwards ? -16 : 16;

	for (int32_t row = 0; row < c->rows; row++, at += step) {
		__m128i left = _mm_loadu_si128((const __m128i *)(c->left + at));
		__m128i right = _mm_loadu_si128((const __m128i *)(c->right + at));
		__m128i middle = _mm_castpd_si128(
			_mm_shuffle_pd(_mm_castsi128_pd(left), _mm_castsi128_pd(right), 1));
		__m128i low = second ? middle : left, high = second ? right : middle;

		_mm_storeu_si128((__m128i *)(c->to + at),
				 _mm_or_si128(_mm_srl_epi64(low, down), _mm_sll_epi64(high, up)));
	}
}

static inline void column_sse2(const struct column *c)
{
	if (c->offset < 8)
		column_halves(c, false);
	else
		column_halves(c, true);
}

/* Which byte of the unit comes where; a number above 127 makes a zero. */
static inline __m128i column_bytes(uint32_t offset, bool right)
{
	const __m128i bytes = _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
	const __m128i from = _mm_add_epi8(bytes, _mm_set1_epi8((char)offset));

	return _mm_add_epi8(from, _mm_set1_epi8(right ? -16 : 112));
}

/* Two rows at a time. */
static inline __attribute__((target("avx2"))) void column_avx2(const struct column *c)
{
	__m256i left_bytes = _mm256_broadcastsi128_si256(column_bytes(c->offset, false));
	__m256i right_bytes = _mm256_broadcastsi128_si256(column_bytes(c->offset, true));
	int32_t at = c->upwards ? 16 * (c->rows - 2) : 0, step = c->upwards ? -32 : 32;

	for (int32_t pairs = c->rows / 2; pairs; pairs--, at += step) {
		__m256i left = _mm256_loadu_si256((const __m256i *)(c->left + at));
		__m256i right = _mm256_loadu_si256((const __m256i *)(c->right + at));

		_mm256_storeu_si256((__m256i *)(c->to + at),
				    _mm256_or_si256(_mm256_shuffle_epi8(left, left_bytes),
						    _mm256_shuffle_epi8(right, right_bytes)));
	}
	if (c->rows % 2) {
		struct column rest = *c;

		at = c->upwards ? 0 : 16 * (c->rows - 1);
		rest.to += at;
		rest.left += at;
		rest.right += at;
		rest.rows = 1;
		column_sse2(&rest);
	}
}

static inline void column_shift(const struct column *c)
{
	if (__builtin_cpu_supports("avx2"))
		column_avx2(c);
	else
		column_sse2(c);
}

#endif
