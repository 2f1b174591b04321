/* SPDX-License-Identifier: MIT */
/*
 * The slow blitter: a blit in the words of the manual, carried out pixel by pixel, bit by bit, on
 * a copy of the memory.  What the blitter is compared with.  One thread, the test's.
 */
#ifndef TESTS_GPU_BLT_SLOW_H
#define TESTS_GPU_BLT_SLOW_H

#include "base/types.h"

#define PATTERN_AT 0x38000u /* where patterns and bits in memory are */
#define MONO_AT	   0x39003u

enum { LINEAR, X, Y, YF, YS };

struct surface {
	uint32_t base;
	int32_t pitch;
	int tiling;
};

enum { NO_SOURCE, COLOR_SOURCE, MONO_SOURCE, MONO_IMMEDIATE };
enum { NO_PATTERN, SOLID, MEMORY_PATTERN, IMMEDIATE_PATTERN, MONO_PATTERN };

/* What a blit is to do, in the words of the manual. */
struct blit {
	struct surface dst, src;
	int32_t x1, y1, x2, y2, src_x, src_y;
	bool clipped;
	int32_t clip_x1, clip_y1, clip_x2, clip_y2;
	uint32_t depth; /* 0: 8, 1: 565, 2: 1555, 3: 32 bits */
	uint32_t bytes; /* of a pixel */
	uint8_t rop;
	bool write_rgb, write_alpha;

	int source;
	uint32_t first_bit, row_bits;
	uint32_t source_bg, source_fg;
	bool source_transparent;
	uint8_t bits[1024]; /* the immediate ones */

	int pattern;
	uint8_t pixels[256];
	uint8_t pattern_bits[8];
	uint32_t pattern_bg, pattern_fg;
	bool pattern_transparent;
	uint32_t seed_x, seed_y;

	uint32_t chroma, low, high;
};

/* @before: memory as it was; @after: a copy of it, where the blit is done. */
void slow_blit(const struct blit *b, const uint8_t *before, uint8_t *after);
/* XY_FAST_COPY_BLT. */
void slow_copy(const struct blit *b, const uint8_t *before, uint8_t *after);

#endif
