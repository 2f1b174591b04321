/* SPDX-License-Identifier: MIT */
/*
 * Gen9's tilings: where a byte of a surface lies.  A tile is contiguous in memory and tiles follow
 * each other in rows; inside it the byte's place is put together from bits of its x (in bytes) and
 * bits of its y, each bit of the place from one of them, so that the parts of x and y can be
 * computed apart and added.  Gen9 does not swizzle addresses (bit 6) on top.  Pure functions, any
 * thread.
 *
 *   X   512 bytes by 8 rows; a row of a tile is contiguous
 *   Y   128 bytes by 32 rows, in columns of 16 bytes
 *   Yf  4 KiB, nearly square in pixels; Ys: the same in 64 KiB.  16 bytes are contiguous
 */
#ifndef BASE_TILING_H
#define BASE_TILING_H

#include "base/types.h"

enum tiling { TILING_LINEAR, TILING_X, TILING_Y, TILING_YF, TILING_YS };

#define TILE_X_WIDTH_BYTES 512u
#define TILE_X_HEIGHT	   8u
#define TILE_Y_WIDTH_BYTES 128u
#define TILE_Y_HEIGHT	   32u
#define TILE_Y_RUN_BYTES   16u /* of Yf and Ys, too */
#define TILE_BYTES	   4096u

/* Sizes as powers of two. */
struct tile_shape {
	uint8_t width;	/* bytes */
	uint8_t height; /* rows */
	uint8_t bytes;	/* width + height */
	uint8_t run;	/* contiguous bytes of a row */
};

/* @cpp: bytes of a pixel as a power of two, 0 to 4; matters to Yf and Ys.  Not for linear. */
struct tile_shape tile_shape(enum tiling tiling, unsigned int cpp);

/* The parts of a byte's place in its tile that come from x (in bytes) and from y. */
uint32_t tile_x_part(enum tiling tiling, unsigned int cpp, uint32_t x);
uint32_t tile_y_part(enum tiling tiling, unsigned int cpp, uint32_t y);

/* The two tilings that fences and planes have. */
static inline uint32_t tile_width_bytes(enum tiling tiling)
{
	return tiling == TILING_X ? TILE_X_WIDTH_BYTES : TILE_Y_WIDTH_BYTES;
}

static inline uint32_t tile_height(enum tiling tiling)
{
	return tiling == TILING_X ? TILE_X_HEIGHT : TILE_Y_HEIGHT;
}

static inline uint32_t tile_run_bytes(enum tiling tiling)
{
	return tiling == TILING_X ? TILE_X_WIDTH_BYTES : TILE_Y_RUN_BYTES;
}

/* Place of the byte (@x, @y) inside an X or Y tile; both inside the tile. */
static inline uint32_t tile_offset(enum tiling tiling, uint32_t x, uint32_t y)
{
	if (tiling == TILING_X)
		return y * TILE_X_WIDTH_BYTES + x;
	return x / TILE_Y_RUN_BYTES * (TILE_Y_RUN_BYTES * TILE_Y_HEIGHT) + y * TILE_Y_RUN_BYTES +
	       x % TILE_Y_RUN_BYTES;
}

/*
 * Place of the byte (@x, @y) in a surface of X or Y tiles whose rows are @pitch bytes apart, a
 * multiple of the tile's width and not 0.  *@run: how many bytes from there on are contiguous.
 */
static inline uint64_t tiling_offset(enum tiling tiling, uint64_t x, uint64_t y, uint32_t pitch,
				     uint32_t *run)
{
	uint32_t width = tile_width_bytes(tiling), height = tile_height(tiling);
	uint32_t run_bytes = tile_run_bytes(tiling);
	uint64_t tile = y / height * (pitch / width) + x / width;

	*run = run_bytes - (uint32_t)(x % run_bytes);
	return tile * TILE_BYTES +
	       tile_offset(tiling, (uint32_t)(x % width), (uint32_t)(y % height));
}

#endif
