/* SPDX-License-Identifier: MIT */
/* See blt_slow.h. */
#include "blt_slow.h"

#include <string.h>

/* The bits of a byte's place in its tile, highest first: from x or from y. */
static const char *tile_bits(int tiling, uint32_t bytes)
{
	if (tiling == X)
		return "yyyxxxxxxxxx";
	if (tiling == Y)
		return "xxxyyyyyxxxx";
	if (tiling == YF)
		return bytes == 1 ? "xyxyyyyyxxxx" : bytes <= 4 ? "xyxyxyyyxxxx" : "xyxyxxyyxxxx";
	return bytes == 1   ? "xyxyxyxyyyyyxxxx"
	       : bytes <= 4 ? "xyxyxyxyxyyyxxxx"
			    : "xyxyxyxyxxyyxxxx";
}

static int32_t floor_div(int32_t a, int32_t b)
{
	return a >= 0 ? a / b : -((-a + b - 1) / b);
}

/* What a coordinate adds to the place in its tile, so that the bits are walked once and not per
 * byte. */
struct tile {
	const char *bits;
	uint32_t log;
	int32_t width, height;
	uint32_t of_x[1024], of_y[256];
};

/* The bits of @value, from the lowest on, where @bits names @axis. */
static uint32_t spread(const char *bits, char axis, uint32_t value)
{
	uint32_t count = (uint32_t)strlen(bits), at = 0;

	for (uint32_t bit = 0; bit < count; bit++) {
		if (bits[count - 1 - bit] == axis) {
			at |= (value & 1) << bit;
			value >>= 1;
		}
	}
	return at;
}

static const struct tile *tile_of(int tiling, uint32_t bytes)
{
	static struct tile known[9]; /* eight, and an end */
	const char *bits = tile_bits(tiling, bytes);
	struct tile *tile = known;

	while (tile->bits && tile->bits != bits)
		tile++;
	if (tile->bits)
		return tile;
	*tile = (struct tile){ bits, (uint32_t)strlen(bits), 1, 1, { 0 }, { 0 } };
	for (uint32_t i = 0; i < tile->log; i++) {
		tile->width *= bits[i] == 'x' ? 2 : 1;
		tile->height *= bits[i] == 'y' ? 2 : 1;
	}
	for (int32_t x = 0; x < tile->width; x++)
		tile->of_x[x] = spread(bits, 'x', (uint32_t)x);
	for (int32_t y = 0; y < tile->height; y++)
		tile->of_y[y] = spread(bits, 'y', (uint32_t)y);
	return tile;
}

static uint32_t place(const struct surface *s, int32_t x, int32_t y, uint32_t bytes)
{
	const struct tile *tile;
	int32_t number;

	if (s->tiling == LINEAR)
		return (uint32_t)((int32_t)s->base + y * s->pitch + x);
	tile = tile_of(s->tiling, bytes);
	number = floor_div(y, tile->height) * (s->pitch / tile->width) + floor_div(x, tile->width);
	return (uint32_t)((int32_t)s->base + number * (1 << tile->log)) +
	       (tile->of_x[x & (tile->width - 1)] | tile->of_y[y & (tile->height - 1)]);
}

static uint32_t get(const uint8_t *memory, const struct surface *s, int32_t x, int32_t y,
		    uint32_t bytes)
{
	uint32_t value = 0;

	for (uint32_t i = 0; i < bytes; i++)
		value |= (uint32_t)memory[place(s, x * (int32_t)bytes + (int32_t)i, y, bytes)]
			 << 8 * i;
	return value;
}

static bool source_bit(const struct blit *b, const uint8_t *memory, int32_t x, int32_t y)
{
	uint32_t n = b->first_bit + (uint32_t)(y - b->y1) * b->row_bits + (uint32_t)(x - b->x1);
	const uint8_t *bits = b->source == MONO_SOURCE ? memory + MONO_AT : b->bits;

	return bits[n / 8] & 0x80 >> n % 8;
}

static uint32_t pattern_pixel(const struct blit *b, const uint8_t *memory, int32_t x, int32_t y,
			      bool *transparent)
{
	uint32_t column = ((uint32_t)x + b->seed_x) & 7, line = ((uint32_t)y + b->seed_y) & 7;
	uint32_t value = 0;

	switch (b->pattern) {
	case SOLID:
		return b->pattern_fg;
	case MONO_PATTERN:
		if (b->pattern_bits[line] & 0x80 >> column)
			return b->pattern_fg;
		*transparent = b->pattern_transparent;
		return b->pattern_bg;
	case MEMORY_PATTERN:
		memcpy(&value, memory + PATTERN_AT + (line * 8 + column) * b->bytes, b->bytes);
		return value;
	case IMMEDIATE_PATTERN:
		memcpy(&value, b->pixels + (line * 8 + column) * b->bytes, b->bytes);
		return value;
	default:
		return 0;
	}
}

static bool component_inside(const struct blit *b, uint32_t key, int shift, uint32_t mask)
{
	uint32_t value = key >> shift & mask;

	return value >= (b->low >> shift & mask) && value <= (b->high >> shift & mask);
}

static bool key_inside(const struct blit *b, uint32_t key, bool alpha)
{
	switch (b->depth) {
	case 0:
		return component_inside(b, key, 0, 0xff);
	case 1:
		return component_inside(b, key, 0, 31) && component_inside(b, key, 5, 63) &&
		       component_inside(b, key, 11, 31);
	case 2:
		return component_inside(b, key, 0, 31) && component_inside(b, key, 5, 31) &&
		       component_inside(b, key, 10, 31) &&
		       (!alpha || component_inside(b, key, 15, 1));
	default:
		return component_inside(b, key, 0, 255) && component_inside(b, key, 8, 255) &&
		       component_inside(b, key, 16, 255) &&
		       (!alpha || component_inside(b, key, 24, 255));
	}
}

static bool chroma_allows(const struct blit *b, uint32_t s, uint32_t d)
{
	switch (b->chroma) {
	case 1:
	case 3:
		return b->source == NO_SOURCE || !key_inside(b, s, b->chroma == 3);
	case 5:
	case 7:
		return key_inside(b, d, b->chroma == 5);
	default:
		return true;
	}
}

static uint32_t rop_bits(uint8_t rop, uint32_t p, uint32_t s, uint32_t d)
{
	uint32_t result = 0;

	for (int bit = 0; bit < 32; bit++) {
		uint32_t n = (p >> bit & 1) * 4 + (s >> bit & 1) * 2 + (d >> bit & 1);

		result |= (uint32_t)(rop >> n & 1) << bit;
	}
	return result;
}

static void slow_pixel(const struct blit *b, const uint8_t *before, uint8_t *after, int32_t x,
		       int32_t y)
{
	bool transparent = false;
	uint32_t p = pattern_pixel(b, before, x, y, &transparent), s = 0, d, result;

	d = get(before, &b->dst, x, y, b->bytes);
	if (b->source == COLOR_SOURCE) {
		s = get(before, &b->src, b->src_x + x - b->x1, b->src_y + y - b->y1, b->bytes);
	} else if (b->source != NO_SOURCE) {
		bool bit = source_bit(b, before, x, y);

		s = bit ? b->source_fg : b->source_bg;
		transparent |= !bit && b->source_transparent;
	}
	if (transparent || !chroma_allows(b, s, d))
		return;
	result = rop_bits(b->rop, p, s, d);
	for (uint32_t i = 0; i < b->bytes; i++) {
		if (b->depth == 3 && !(i == 3 ? b->write_alpha : b->write_rgb))
			continue;
		after[place(&b->dst, x * (int32_t)b->bytes + (int32_t)i, y, b->bytes)] =
			(uint8_t)(result >> 8 * i);
	}
}

void slow_blit(const struct blit *b, const uint8_t *before, uint8_t *after)
{
	for (int32_t y = b->y1; y < b->y2; y++) {
		for (int32_t x = b->x1; x < b->x2; x++) {
			if (b->clipped && (x < b->clip_x1 || x >= b->clip_x2 || y < b->clip_y1 ||
					   y >= b->clip_y2))
				continue;
			slow_pixel(b, before, after, x, y);
		}
	}
}

void slow_copy(const struct blit *b, const uint8_t *before, uint8_t *after)
{
	for (int32_t y = b->y1; y < b->y2; y++) {
		for (int32_t x = b->x1 * (int32_t)b->bytes; x < b->x2 * (int32_t)b->bytes; x++) {
			int32_t from = x + (b->src_x - b->x1) * (int32_t)b->bytes;

			after[place(&b->dst, x, y, b->bytes)] =
				before[place(&b->src, from, b->src_y + y - b->y1, b->bytes)];
		}
	}
}
