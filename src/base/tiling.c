/* SPDX-License-Identifier: MIT */
/*
 * Shapes of tiles and the places of bytes in them, for all tilings; see tiling.h.
 *
 * The place's bits in Yf, from the lowest: x0 … x3, y0, y1, then two bits that make 256 bytes out
 * of four lines of 64 bytes (by the pixel's size: y2 y3, y2 x4 or x4 x5), then y and x in turns:
 * two turns in Yf, four in Ys.
 */
#include "base/tiling.h"

#define YF_BITS 12u
#define YS_BITS 16u

/* How many of the bits 6 and 7 come from x, by the pixel's size. */
static unsigned int middle_x_bits(unsigned int cpp)
{
	return (cpp + 1) / 2;
}

struct tile_shape tile_shape(enum tiling tiling, unsigned int cpp)
{
	unsigned int turns = tiling == TILING_YS ? 4 : 2, x_bits = middle_x_bits(cpp);

	switch (tiling) {
	case TILING_X:
		return (struct tile_shape){ .width = 9, .height = 3, .bytes = 12, .run = 9 };
	case TILING_Y:
		return (struct tile_shape){ .width = 7, .height = 5, .bytes = 12, .run = 4 };
	default:
		return (struct tile_shape){
			.width = (uint8_t)(4 + x_bits + turns),
			.height = (uint8_t)(2 + (2 - x_bits) + turns),
			.bytes = tiling == TILING_YS ? YS_BITS : YF_BITS,
			.run = 4,
		};
	}
}

/* Bit @n of @value, moved to bit @to. */
static uint32_t move_bit(uint32_t value, unsigned int n, unsigned int to)
{
	return (value >> n & 1) << to;
}

static uint32_t square_x_part(enum tiling tiling, unsigned int cpp, uint32_t x)
{
	unsigned int bits = tiling == TILING_YS ? YS_BITS : YF_BITS;
	unsigned int middle = middle_x_bits(cpp), next = 4;
	uint32_t part = x & 15;

	for (unsigned int i = 0; i < middle; i++)
		part |= move_bit(x, next++, 8 - middle + i);
	for (unsigned int to = 9; to < bits; to += 2)
		part |= move_bit(x, next++, to);
	return part;
}

static uint32_t square_y_part(enum tiling tiling, unsigned int cpp, uint32_t y)
{
	unsigned int bits = tiling == TILING_YS ? YS_BITS : YF_BITS;
	unsigned int middle = 2 - middle_x_bits(cpp), next = 2;
	uint32_t part = (y & 3) << 4;

	for (unsigned int i = 0; i < middle; i++)
		part |= move_bit(y, next++, 6 + i);
	for (unsigned int to = 8; to < bits; to += 2)
		part |= move_bit(y, next++, to);
	return part;
}

uint32_t tile_x_part(enum tiling tiling, unsigned int cpp, uint32_t x)
{
	if (tiling == TILING_X || tiling == TILING_Y)
		return tile_offset(tiling, x, 0);
	return square_x_part(tiling, cpp, x);
}

uint32_t tile_y_part(enum tiling tiling, unsigned int cpp, uint32_t y)
{
	if (tiling == TILING_X || tiling == TILING_Y)
		return tile_offset(tiling, 0, y);
	return square_y_part(tiling, cpp, y);
}
