/* SPDX-License-Identifier: MIT */
/*
 * The operands of one piece of a row: patterns and bits expanded to pixels, and the masks that
 * the transparencies make.  Called by the blitter on the lane; only blt_mono_bits() touches
 * memory.
 */
#include <string.h>

#include "gpu/blt/op.h"

static void put_pixel(uint8_t *buf, uint32_t i, uint32_t value, unsigned int cpp)
{
	memcpy(buf + ((size_t)i << cpp), &value, (size_t)1 << cpp);
}

static uint32_t get_pixel(const uint8_t *buf, uint32_t i, unsigned int cpp)
{
	uint32_t value = 0;

	memcpy(&value, buf + ((size_t)i << cpp), (size_t)1 << cpp);
	return value;
}

static bool bit_set(const uint8_t *bits, uint32_t i)
{
	return bits[i / 8] & 0x80 >> i % 8;
}

/* ---- Patterns ------------------------------------------------------------------------------- */

static unsigned int pattern_column(const struct blt_op *op, int32_t x)
{
	return ((unsigned int)x + op->pat.x_seed) & 7;
}

static unsigned int pattern_line(const struct blt_op *op, int32_t y)
{
	return ((unsigned int)y + op->pat.y_seed) & 7;
}

/* The first period has been made: copied on, twice as much each time. */
static void repeat(uint8_t *buf, uint32_t period, uint32_t n)
{
	for (uint32_t have = MIN(period, n); have < n; have *= 2)
		memcpy(buf + have, buf, MIN(have, n - have));
}

void blt_pattern_row(const struct blt_op *op, int32_t x, int32_t y, uint8_t *buf, uint32_t pixels)
{
	bool solid = op->pattern == BLT_PATTERN_SOLID;
	const uint32_t *line = &op->pat.pixel[solid ? 0 : 8 * pattern_line(op, y)];

	for (uint32_t i = 0; i < MIN(pixels, 8u); i++)
		put_pixel(buf, i, line[solid ? 0 : (pattern_column(op, x) + i) & 7], op->cpp);
	repeat(buf, 8u << op->cpp, pixels << op->cpp);
}

/* ---- Monochrome sources --------------------------------------------------------------------- */

/* Bits past the end of what the command brought are 0. */
static void immediate_bytes(const struct blt_mono *mono, uint64_t from, uint8_t *bytes, uint32_t n)
{
	uint32_t there = from < mono->immediate_bytes ? mono->immediate_bytes - (uint32_t)from : 0;

	there = MIN(there, n);
	if (there)
		memcpy(bytes, mono->immediate + from, there);
	memset(bytes + there, 0, n - there);
}

bool blt_mono_bits(struct blt_op *op, int32_t x, int32_t y, uint8_t *bits, uint32_t pixels,
		   struct blt_fault *fault)
{
	const struct blt_mono *mono = &op->mono;
	uint64_t first = mono->first_bit + (uint64_t)(y - op->origin_y) * mono->stride_bits +
			 (uint64_t)(x - op->origin_x);
	uint32_t shift = (uint32_t)(first % 8), bytes = (shift + pixels + 7) / 8;

	if (op->source == BLT_SOURCE_MONO_IMMEDIATE) {
		immediate_bytes(mono, first / 8, bits, bytes);
	} else {
		fault->write = false;
		if (gpu_as_read(op->src.as, gma(mono->address + first / 8), bits, bytes,
				&fault->at) < 0)
			return false;
	}
	for (uint32_t i = 0; shift && i < bytes; i++)
		bits[i] = (uint8_t)(bits[i] << shift |
				    (i + 1 < bytes ? bits[i + 1] >> (8 - shift) : 0));
	return true;
}

void blt_mono_expand(const struct blt_op *op, const uint8_t *bits, uint8_t *buf, uint32_t pixels)
{
	uint32_t color[2] = { op->mono.background, op->mono.foreground };

	for (uint32_t i = 0; i < pixels; i++)
		put_pixel(buf, i, color[bit_set(bits, i)], op->cpp);
}

/* ---- Masks ---------------------------------------------------------------------------------- */

void blt_mask_init(const struct blt_op *op, uint8_t *mask, uint32_t pixels)
{
	for (uint32_t i = 0; i < MIN(pixels, 8u); i++)
		put_pixel(mask, i, op->write_mask, op->cpp);
	repeat(mask, 8u << op->cpp, pixels << op->cpp);
}

void blt_mask_mono(const struct blt_op *op, const uint8_t *bits, uint8_t *mask, uint32_t pixels)
{
	for (uint32_t i = 0; i < pixels; i++)
		if (!bit_set(bits, i))
			put_pixel(mask, i, 0, op->cpp);
}

void blt_mask_pattern(const struct blt_op *op, int32_t x, int32_t y, uint8_t *mask, uint32_t pixels)
{
	uint8_t line = op->pat.opaque[pattern_line(op, y)];
	unsigned int column = pattern_column(op, x);

	for (uint32_t i = 0; i < pixels; i++)
		if (!(line & 0x80 >> ((column + i) & 7)))
			put_pixel(mask, i, 0, op->cpp);
}

/* ---- Chroma keys ---------------------------------------------------------------------------- */

struct component {
	uint32_t shift, mask;
};

/* Alpha last: it is left out of the RGB modes. */
static const struct component components[][4] = {
	[BLT_DEPTH_8] = { { 0, 0xff } },
	[BLT_DEPTH_565] = { { 0, 0x1f }, { 5, 0x3f }, { 11, 0x1f } },
	[BLT_DEPTH_1555] = { { 0, 0x1f }, { 5, 0x1f }, { 10, 0x1f }, { 15, 1 } },
	[BLT_DEPTH_32] = { { 0, 0xff }, { 8, 0xff }, { 16, 0xff }, { 24, 0xff } },
};

static bool in_range(const struct blt_op *op, uint32_t pixel, unsigned int count)
{
	const struct component *c = components[op->depth];

	for (unsigned int i = 0; i < count; i++) {
		uint32_t value = pixel >> c[i].shift & c[i].mask;

		if (value < (op->chroma_low >> c[i].shift & c[i].mask) ||
		    value > (op->chroma_high >> c[i].shift & c[i].mask))
			return false;
	}
	return true;
}

/* A key of the source names what is left out, one of the destination what is drawn over. */
void blt_mask_chroma(const struct blt_op *op, const uint8_t *keys, uint8_t *mask, uint32_t pixels)
{
	bool alpha = op->chroma == BLT_CHROMA_SOURCE_ARGB ||
		     op->chroma == BLT_CHROMA_DESTINATION_ARGB;
	bool source = op->chroma == BLT_CHROMA_SOURCE_RGB || op->chroma == BLT_CHROMA_SOURCE_ARGB;

	for (uint32_t i = 0; i < pixels; i++)
		if (in_range(op, get_pixel(keys, i, op->cpp), alpha ? 4 : 3) == source)
			put_pixel(mask, i, 0, op->cpp);
}
