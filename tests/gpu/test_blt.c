/* SPDX-License-Identifier: MIT */
/*
 * The blitter against a slow one: random blits are carried out pixel by pixel on a copy of the
 * memory, from the parameters the commands were built of, and every byte of memory is compared.
 * Seeds are fixed, so a failure comes back.
 */
#include <stdlib.h>
#include <string.h>

#include "rig.h"

#define MEMORY	   (RIG_PAGES * 4096u)
#define DST_BASE   0x18000u
#define SRC_BASE   0x2c000u
#define PATTERN_AT 0x38000u
#define MONO_AT	   0x39000u
#define SWCTRL	   0x22200u

static uint64_t seed;

static uint32_t random32(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 16);
}

static uint32_t below(uint32_t limit)
{
	return random32() % limit;
}

static int32_t between(int32_t low, int32_t high)
{
	return low + (int32_t)below((uint32_t)(high - low + 1));
}

/* ---- The slow blitter ----------------------------------------------------------------------- */

enum { LINEAR, X, Y, YF };

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

/* The bits of a byte's place in its tile, highest first: from x or from y. */
static const char *tile_bits(int tiling, uint32_t bytes)
{
	if (tiling == X)
		return "yyyxxxxxxxxx";
	if (tiling == Y)
		return "xxxyyyyyxxxx";
	return bytes == 1 ? "xyxyyyyyxxxx" : bytes <= 4 ? "xyxyxyyyxxxx" : "xyxyxxyyxxxx";
}

static int32_t floor_div(int32_t a, int32_t b)
{
	return a >= 0 ? a / b : -((-a + b - 1) / b);
}

static uint32_t place(const struct surface *s, int32_t x, int32_t y, uint32_t bytes)
{
	const char *bits = tile_bits(s->tiling, bytes);
	uint32_t at = 0, x_bits = 0, y_bits = 0;
	int32_t width = 1, height = 1, tile;

	if (s->tiling == LINEAR)
		return (uint32_t)((int32_t)s->base + y * s->pitch + x);
	for (int i = 0; i < 12; i++) {
		width *= bits[i] == 'x' ? 2 : 1;
		height *= bits[i] == 'y' ? 2 : 1;
	}
	tile = floor_div(y, height) * (s->pitch / width) + floor_div(x, width);
	for (uint32_t bit = 0; bit < 12; bit++) {
		uint32_t value = bits[11 - bit] == 'x' ? (uint32_t)x >> x_bits++
						       : (uint32_t)y >> y_bits++;

		at |= (value & 1) << bit;
	}
	return (uint32_t)((int32_t)s->base + tile * 4096) + at;
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
	const uint8_t *bits = b->source == MONO_SOURCE ? memory + MONO_AT + 3 : b->bits;

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

static void slow_blit(const struct blit *b, const uint8_t *before, uint8_t *after)
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

/* ---- Commands out of blits ------------------------------------------------------------------ */

static uint32_t xy(int32_t x, int32_t y)
{
	return (uint32_t)(uint16_t)x | (uint32_t)(uint16_t)y << 16;
}

static uint32_t pitch_field(const struct surface *s)
{
	return (uint16_t)(s->tiling == LINEAR ? s->pitch : s->pitch / 4);
}

static uint32_t br00(const struct blit *b, uint32_t opcode)
{
	return 2u << 29 | opcode << 22 | (uint32_t)b->write_alpha << 21 |
	       (uint32_t)b->write_rgb << 20 | b->seed_x << 12 | b->seed_y << 8 |
	       (b->dst.tiling != LINEAR ? BIT(11) : 0) |
	       (b->source == COLOR_SOURCE && b->src.tiling != LINEAR ? BIT(15) : 0);
}

static uint32_t br13(const struct blit *b)
{
	return (uint32_t)b->clipped << 30 | (uint32_t)b->source_transparent << 29 |
	       (uint32_t)b->pattern_transparent << 28 | b->depth << 24 | (uint32_t)b->rop << 16 |
	       pitch_field(&b->dst);
}

static void emit_bytes(struct rig *rig, const uint8_t *bytes, uint32_t n)
{
	for (uint32_t i = 0; i < n; i += 4) {
		uint32_t dword;

		memcpy(&dword, bytes + i, 4);
		emit(rig, dword);
	}
}

static void emit_setup(struct rig *rig, const struct blit *b, bool mono)
{
	EMIT(rig, br00(b, mono ? 0x11 : 0x01) | 8, br13(b), xy(b->clip_x1, b->clip_y1),
	     xy(b->clip_x2, b->clip_y2), b->dst.base, 0);
	if (mono) {
		EMIT(rig, b->pattern_bg, b->pattern_fg);
		emit_bytes(rig, b->pattern_bits, 8);
	} else {
		EMIT(rig, b->source_bg, b->source_fg, PATTERN_AT, 0);
	}
}

static void emit_setup_clip(struct rig *rig, const struct blit *b)
{
	EMIT(rig, 2u << 29 | 3u << 22 | 1, xy(b->clip_x1, b->clip_y1), xy(b->clip_x2, b->clip_y2));
}

/* The header and what all XY commands start with. */
static void emit_head(struct rig *rig, const struct blit *b, uint32_t header, uint32_t dwords)
{
	EMIT(rig, header | (dwords - 2), br13(b), xy(b->x1, b->y1), xy(b->x2, b->y2), b->dst.base,
	     0);
}

static void emit_source(struct rig *rig, const struct blit *b)
{
	EMIT(rig, xy(b->src_x, b->src_y), pitch_field(&b->src), b->src.base, 0);
}

static uint32_t mono_dwords(const struct blit *b)
{
	uint32_t rows = b->y2 > b->y1 ? (uint32_t)(b->y2 - b->y1) : 0;

	return MAX(1u, (b->row_bits * rows + b->first_bit + 31) / 32);
}

static void emit_pattern(struct rig *rig, const struct blit *b)
{
	if (b->pattern == SOLID)
		emit(rig, b->pattern_fg);
	else if (b->pattern == MEMORY_PATTERN)
		EMIT(rig, PATTERN_AT, 0);
	else if (b->pattern == IMMEDIATE_PATTERN)
		emit_bytes(rig, b->pixels, 64 * b->bytes);
	if (b->pattern == MONO_PATTERN) {
		EMIT(rig, b->pattern_bg, b->pattern_fg);
		emit_bytes(rig, b->pattern_bits, 8);
	}
}

static uint32_t pattern_dwords(const struct blit *b)
{
	const uint32_t dwords[] = { 0, 1, 2, 16 * b->bytes, 4 };

	return dwords[b->pattern];
}

/* Makes the opcode's kinds of operands @b's. */
static void choose_kinds(struct blit *b, uint32_t opcode)
{
	static const struct {
		uint8_t opcode, source, pattern;
	} kinds[] = {
		{ 0x24, NO_SOURCE, SOLID },
		{ 0x25, NO_SOURCE, MEMORY_PATTERN },
		{ 0x26, MONO_SOURCE, NO_PATTERN },
		{ 0x31, MONO_IMMEDIATE, NO_PATTERN },
		{ 0x50, NO_SOURCE, SOLID },
		{ 0x51, NO_SOURCE, MEMORY_PATTERN },
		{ 0x52, NO_SOURCE, MONO_PATTERN },
		{ 0x53, COLOR_SOURCE, NO_PATTERN },
		{ 0x54, MONO_SOURCE, NO_PATTERN },
		{ 0x55, COLOR_SOURCE, MEMORY_PATTERN },
		{ 0x56, MONO_SOURCE, MEMORY_PATTERN },
		{ 0x57, COLOR_SOURCE, MONO_PATTERN },
		{ 0x58, MONO_SOURCE, MONO_PATTERN },
		{ 0x71, MONO_IMMEDIATE, NO_PATTERN },
		{ 0x72, NO_SOURCE, IMMEDIATE_PATTERN },
		{ 0x73, COLOR_SOURCE, NO_PATTERN },
		{ 0x74, COLOR_SOURCE, IMMEDIATE_PATTERN },
		{ 0x75, MONO_SOURCE, IMMEDIATE_PATTERN },
		{ 0x76, NO_SOURCE, MEMORY_PATTERN },
		{ 0x77, NO_SOURCE, IMMEDIATE_PATTERN },
	};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (kinds[i].opcode == opcode) {
			b->source = kinds[i].source;
			b->pattern = kinds[i].pattern;
		}
	}
}

static const uint8_t opcodes[] = { 0x24, 0x25, 0x26, 0x31, 0x50, 0x51, 0x52, 0x53, 0x54, 0x55,
				   0x56, 0x57, 0x58, 0x71, 0x72, 0x73, 0x74, 0x75, 0x76, 0x77 };

static bool has_setup(uint32_t opcode)
{
	return opcode < 0x50;
}

static void emit_with_setup(struct rig *rig, const struct blit *b, uint32_t opcode, bool packed)
{
	uint32_t header = br00(b, opcode) & ~(3u << 20);

	emit_setup(rig, b, b->pattern == MONO_PATTERN);
	switch (opcode) {
	case 0x24:
		EMIT(rig, header, xy(b->x1, b->y1));
		break;
	case 0x25:
		EMIT(rig, header | 1, xy(b->x1, b->y1), xy(b->x2, b->y2));
		break;
	case 0x26:
		EMIT(rig, header | (uint32_t)packed << 16 | 3, xy(b->x1, b->y1), xy(b->x2, b->y2),
		     MONO_AT + 3, 0);
		break;
	default:
		EMIT(rig, header | (uint32_t)packed << 16 | (1 + mono_dwords(b)), xy(b->x1, b->y1),
		     xy(b->x2, b->y2));
		emit_bytes(rig, b->bits, 4 * mono_dwords(b));
		break;
	}
}

static void emit_whole(struct rig *rig, const struct blit *b, uint32_t opcode)
{
	uint32_t header = br00(b, opcode) | b->chroma << 17 | b->first_bit << 17;
	uint32_t dwords = 6 + pattern_dwords(b);

	dwords += b->source == COLOR_SOURCE ? 4 : 0;
	dwords += b->source == MONO_SOURCE ? 4 : 0;
	dwords += b->source == MONO_IMMEDIATE ? 2 + mono_dwords(b) : 0;
	dwords += opcode == 0x73 || opcode >= 0x76 ? 2 : 0;
	emit_setup_clip(rig, b);
	emit_head(rig, b, header, dwords);
	if (b->source == COLOR_SOURCE)
		emit_source(rig, b);
	if (b->source == MONO_SOURCE)
		EMIT(rig, MONO_AT + 3, 0, b->source_bg, b->source_fg);
	if (b->source == MONO_IMMEDIATE) {
		EMIT(rig, b->source_bg, b->source_fg);
		emit_bytes(rig, b->bits, 4 * mono_dwords(b));
	}
	if (opcode == 0x77)
		EMIT(rig, b->low, b->high);
	emit_pattern(rig, b);
	if (opcode == 0x73 || opcode == 0x76)
		EMIT(rig, b->low, b->high);
}

/* ---- Random blits --------------------------------------------------------------------------- */

static void fill_random(uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)random32();
}

static uint8_t random_rop(void)
{
	static const uint8_t common[] = { 0xcc, 0xf0, 0x5a, 0x66, 0x55, 0x00, 0xff, 0xaa, 0x88 };

	return below(2) ? common[below(ARRAY_SIZE(common))] : (uint8_t)random32();
}

static void random_surface(struct surface *s, uint32_t base, int y_tiled)
{
	s->base = base;
	s->tiling = below(2) ? LINEAR : y_tiled ? Y : X;
	switch (s->tiling) {
	case LINEAR:
		s->base += below(4) ? 4 * below(256) : below(1024);
		s->pitch = between(500, 700);
		break;
	case X:
		s->pitch = 512;
		break;
	default:
		s->pitch = 128 * between(4, 5);
		break;
	}
}

static void random_rectangles(struct blit *b)
{
	b->x1 = between(-8, 40);
	b->y1 = between(-4, 20);
	b->x2 = b->x1 + between(below(4) ? 1 : -3, 60);
	b->y2 = b->y1 + between(below(4) ? 1 : -3, 24);
	b->src_x = between(-8, 40);
	b->src_y = between(-4, 20);
	b->clipped = below(2);
	b->clip_x1 = between(-10, 30);
	b->clip_y1 = between(-6, 20);
	b->clip_x2 = between(20, 90);
	b->clip_y2 = between(10, 50);
}

/* One surface scrolled inside itself, in any direction. */
static void make_overlap(struct blit *b)
{
	b->src = b->dst;
	b->src_x = b->x1 + between(-12, 12);
	b->src_y = b->y1 + between(-5, 5);
}

static struct blit random_blit(uint32_t opcode, uint32_t *swctrl)
{
	struct blit b = { 0 };

	*swctrl = below(4);
	choose_kinds(&b, opcode);
	b.depth = below(4);
	b.bytes = b.depth == 0 ? 1 : b.depth == 3 ? 4 : 2;
	b.rop = random_rop();
	b.write_rgb = below(5) != 0;
	b.write_alpha = below(5) != 0;
	random_surface(&b.dst, DST_BASE, *swctrl & 2);
	random_surface(&b.src, SRC_BASE, *swctrl & 1);
	random_rectangles(&b);
	if (b.dst.tiling == LINEAR && below(8) == 0) {
		b.dst.pitch = -b.dst.pitch;
		b.dst.base += 0x6000;
	}
	if (b.source == COLOR_SOURCE && below(3) == 0) {
		*swctrl = *swctrl & 2 ? 3 : 0;
		make_overlap(&b);
	}
	b.source_bg = random32();
	b.source_fg = random32();
	b.pattern_bg = random32();
	b.pattern_fg = random32();
	b.seed_x = below(8);
	b.seed_y = below(8);
	fill_random(b.bits, sizeof(b.bits));
	fill_random(b.pixels, sizeof(b.pixels));
	fill_random(b.pattern_bits, sizeof(b.pattern_bits));
	return b;
}

/* Fields that this command has and others use otherwise. */
static void random_modes(struct blit *b, uint32_t opcode, bool *packed)
{
	uint32_t width = b->x2 > b->x1 ? (uint32_t)(b->x2 - b->x1) : 0;
	bool mono = b->source == MONO_SOURCE || b->source == MONO_IMMEDIATE;

	*packed = below(2);
	if (mono) {
		b->source_transparent = below(2);
		b->first_bit = has_setup(opcode) ? 0 : below(8);
		b->row_bits = has_setup(opcode) ? *packed ? (width + 7) & ~7u : width
						: (b->first_bit + width + 15) & ~15u;
	}
	if (opcode == 0x25 && below(2))
		b->pattern = MONO_PATTERN;
	if (b->pattern == MONO_PATTERN)
		b->pattern_transparent = below(2);
	if (opcode == 0x24) {
		b->x2 = b->x1 + 1;
		b->y2 = b->y1 + 1;
		b->pattern_fg = b->source_fg;
	}
	if (opcode == 0x73 || opcode >= 0x76) {
		b->chroma = below(8);
		b->low = random32() & 0x7f7f7f7f & random32();
		b->high = b->low | (random32() | random32());
		if (!(b->chroma & 1))
			b->chroma &= 6;
	}
}

static void set_swctrl(struct rig *rig, uint32_t value)
{
	EMIT(rig, MI_LOAD_REGISTER_IMM(1), SWCTRL, 3u << 16 | value);
}

/* Runs what was emitted and compares all memory but the batch with @expected. */
static void run_and_compare(struct rig *rig, const uint8_t *expected, uint32_t opcode)
{
	enum gpu_run result = rig_run_batch(rig);

	if (rig->faults)
		fail_msg("opcode %#x: fault %s at %#llx", opcode, gpu_fault_name(rig->fault.kind),
			 (unsigned long long)rig->fault.address);
	assert_int_equal(result, GPU_RUN_DONE);
	for (uint32_t at = RIG_BATCH + 0x2000; at < MEMORY; at++) {
		if (rig->ppgtt.memory[at] != expected[at])
			fail_msg("opcode %#x: byte %#x is %#x, not %#x", opcode, at,
				 rig->ppgtt.memory[at], expected[at]);
	}
}

static void again(struct rig *rig)
{
	rig->workload.cs = (struct gpu_cs_state){ 0 };
	memset(&rig->workload.blt, 0, sizeof(rig->workload.blt));
	rig_user_batch(rig);
}

static void random_blits_match(void **state)
{
	struct rig *rig = rig_create(GPU_BCS);
	uint8_t *expected = malloc(MEMORY);

	for (uint32_t n = 0; n < 8000; n++) {
		uint32_t opcode = opcodes[n % ARRAY_SIZE(opcodes)], swctrl;
		struct blit b;
		bool packed;

		seed = (n + 1) * 0x9e3779b97f4a7c15ull;
		if (n % 64 == 0)
			fill_random(rig->ppgtt.memory, MEMORY);
		for (uint32_t page = 0x12; page < RIG_PAGES; page++)
			rig->ppgtt.flags[page] = below(24) ? 0 : PAGE_NO_HOST;
		b = random_blit(opcode, &swctrl);
		random_modes(&b, opcode, &packed);
		again(rig);
		set_swctrl(rig, swctrl);
		if (has_setup(opcode))
			emit_with_setup(rig, &b, opcode, packed);
		else
			emit_whole(rig, &b, opcode);
		memcpy(expected, rig->ppgtt.memory, MEMORY);
		slow_blit(&b, rig->ppgtt.memory, expected);
		run_and_compare(rig, expected, opcode);
	}
	free(expected);
	rig_destroy(rig);
}

/* ---- Fast copies ---------------------------------------------------------------------------- */

static void fast_surface(struct surface *s, uint32_t base, uint32_t bytes)
{
	uint32_t width = bytes >= 8 ? 256 : bytes >= 2 ? 128 : 64;

	s->base = base;
	s->tiling = (int)below(4);
	s->pitch = s->tiling == LINEAR ? 16 * between(32, 40)
		   : s->tiling == X    ? 512
		   : s->tiling == Y    ? 128 * 4
				       : (int32_t)(512 / width * width);
}

static uint32_t fast_method(const struct surface *s)
{
	return s->tiling == YF ? 2 : (uint32_t)s->tiling;
}

static void slow_copy(const struct blit *b, const uint8_t *before, uint8_t *after)
{
	for (int32_t y = b->y1; y < b->y2; y++) {
		for (int32_t x = b->x1 * (int32_t)b->bytes; x < b->x2 * (int32_t)b->bytes; x++) {
			int32_t from = x + (b->src_x - b->x1) * (int32_t)b->bytes;

			after[place(&b->dst, x, y, b->bytes)] =
				before[place(&b->src, from, b->src_y + y - b->y1, b->bytes)];
		}
	}
}

static void fast_copies_match(void **state)
{
	static const uint32_t depth[] = { 0, 1, 3, 4, 5 };
	struct rig *rig = rig_create(GPU_BCS);
	uint8_t *expected = malloc(MEMORY);

	for (uint32_t n = 0; n < 3000; n++) {
		uint32_t log = n % 5;
		struct blit b = { .bytes = log == 2 ? 4 : 1u << log };

		seed = (n + 1) * 0xd1342543de82ef95ull;
		if (n % 64 == 0)
			fill_random(rig->ppgtt.memory, MEMORY);
		fast_surface(&b.dst, DST_BASE, b.bytes);
		fast_surface(&b.src, SRC_BASE, b.bytes);
		b.x1 = between(0, 10);
		b.src_x = between(0, 10);
		b.x2 = b.x1 + between(0, (int32_t)(400 / b.bytes) - 10);
		b.y1 = between(0, 20);
		b.y2 = b.y1 + between(0, 40);
		b.src_y = between(0, 20);
		again(rig);
		EMIT(rig, 2u << 29 | 0x42u << 22 | fast_method(&b.src) << 20 |
				  fast_method(&b.dst) << 13 | 8);
		EMIT(rig, (b.src.tiling == YF ? BIT(31) : 0) | (b.dst.tiling == YF ? BIT(30) : 0) |
				  depth[log] << 24 | pitch_field(&b.dst));
		EMIT(rig, xy(b.x1, b.y1), xy(b.x2, b.y2), b.dst.base, 0);
		emit_source(rig, &b);
		memcpy(expected, rig->ppgtt.memory, MEMORY);
		slow_copy(&b, rig->ppgtt.memory, expected);
		run_and_compare(rig, expected, 0x42);
	}
	free(expected);
	rig_destroy(rig);
}

/* ---- Single facts --------------------------------------------------------------------------- */

#define XY_COLOR_BLT_32 (2u << 29 | 0x50u << 22 | 3u << 20 | 5)
#define BR13_32(rop)	(3u << 24 | (uint32_t)(rop) << 16)

static struct rig *blank(void)
{
	struct rig *rig = rig_create(GPU_BCS);

	rig_user_batch(rig);
	return rig;
}

static void solid_pattern_is_background(void **state)
{
	struct rig *rig = blank();

	/* Solid: the pattern is not read, and counts as zeros. */
	EMIT(rig, 2u << 29 | 0x11u << 22 | 3u << 20 | 8, BIT(31) | BR13_32(0xf0) | 64, 0, 0,
	     DST_BASE, 0, 0x11111111, 0x22222222, ~0u, ~0u);
	EMIT(rig, 2u << 29 | 0x25u << 22 | 1, xy(0, 0), xy(2, 1));
	assert_int_equal(rig_run_batch(rig), GPU_RUN_DONE);
	assert_int_equal(peek64(&rig->ppgtt, DST_BASE), 0x1111111111111111);
	assert_int_equal(peek32(&rig->ppgtt, DST_BASE + 8), 0);
	rig_destroy(rig);
}

static void fixed_pattern_hatches(void **state)
{
	struct rig *rig = blank();

	/* Vertical lines, one pixel in eight, at 8 bits a pixel. */
	EMIT(rig, 2u << 29 | 0x59u << 22 | 1u << 15 | 6, 0xf0u << 16 | 64, 0, xy(16, 1), DST_BASE,
	     0, 0x10, 0x20);
	assert_int_equal(rig_run_batch(rig), GPU_RUN_DONE);
	assert_int_equal(peek64(&rig->ppgtt, DST_BASE), 0x1010102010101010);
	assert_int_equal(peek64(&rig->ppgtt, DST_BASE + 8), 0x1010102010101010);
	rig_destroy(rig);
}

static void ring_blits_use_the_ppgtt(void **state)
{
	struct rig *rig = rig_create(GPU_BCS);

	EMIT(rig, XY_COLOR_BLT_32, BR13_32(0xf0) | 64, 0, xy(1, 1), DST_BASE, 0, 0xabcdef01,
	     MI_NOOP);
	rig_run_clean(rig);
	assert_int_equal(peek32(&rig->ppgtt, DST_BASE), 0xabcdef01);
	assert_int_equal(peek32(&rig->ggtt, DST_BASE), 0);
	rig_destroy(rig);
}

static void null_gpu_draws_nothing(void **state)
{
	struct rig *rig = rig_create_null(GPU_BCS);
	struct gpu_stats stats;

	EMIT(rig, XY_COLOR_BLT_32, BR13_32(0xf0) | 64, 0, xy(1, 1), DST_BASE, 0, 0xabcdef01,
	     MI_NOOP);
	rig_run_clean(rig);
	rig->gpu->ops->stats(rig->gpu, &stats);
	assert_int_equal(stats.not_executed[GPU_BCS], 1);
	assert_int_equal(peek32(&rig->ppgtt, DST_BASE), 0);
	rig_destroy(rig);
}

static void no_byte_enabled_touches_nothing(void **state)
{
	struct rig *rig = blank();

	/* 32 bits a pixel without a byte mask: not even an address that faults matters. */
	EMIT(rig, 2u << 29 | 0x50u << 22 | 5, BR13_32(0xf0) | 64, 0, xy(8, 8), 0x80000000, 0, 1);
	assert_int_equal(rig_run_batch(rig), GPU_RUN_DONE);
	assert_int_equal(rig->faults, 0);
	rig_destroy(rig);
}

/* ---- Faults --------------------------------------------------------------------------------- */

static void fill_stops_at_a_missing_page(void **state)
{
	struct rig *rig = blank();

	rig->ppgtt.flags[0x1a] = PAGE_ABSENT;
	/* 16 rows of 1 KiB: the page is rows 8 to 11. */
	EMIT(rig, XY_COLOR_BLT_32, BR13_32(0xf0) | 1024, 0, xy(256, 16), DST_BASE, 0, 0x55aa55aa);
	assert_int_equal(rig_run_batch(rig), GPU_RUN_FAULT);
	assert_int_equal(rig->faults, 1);
	assert_int_equal(rig->fault.kind, GPU_FAULT_ADDRESS);
	assert_int_equal(rig->fault.address, 0x1a000);
	assert_true(rig->fault.write);
	assert_true(rig->fault.ppgtt);
	assert_int_equal(rig->fault.command_at, RIG_BATCH);
	assert_int_equal(peek32(&rig->ppgtt, 0x19ffc), 0x55aa55aa);
	assert_int_equal(peek32(&rig->ppgtt, 0x1b000), 0);
	rig_destroy(rig);
}

static void copy_names_the_side_that_faulted(void **state)
{
	for (int missing_source = 0; missing_source < 2; missing_source++) {
		for (int tiled = 0; tiled < 2; tiled++) {
			struct rig *rig = blank();
			uint32_t flags = tiled ? BIT(15) | BIT(11) : 0;
			uint32_t pitch = tiled ? 512 / 4 : 512;

			rig->ppgtt.flags[missing_source ? 0x2e : 0x1a] =
				missing_source ? PAGE_ABSENT : PAGE_READ_ONLY;
			EMIT(rig, 2u << 29 | 0x53u << 22 | 3u << 20 | flags | 8,
			     BR13_32(0xcc) | pitch, 0, xy(128, 32), DST_BASE, 0, 0, pitch, SRC_BASE,
			     0);
			assert_int_equal(rig_run_batch(rig), GPU_RUN_FAULT);
			assert_int_equal(rig->fault.address, missing_source ? 0x2e000 : 0x1a000);
			assert_int_equal(rig->fault.write, !missing_source);
			rig_destroy(rig);
		}
	}
}

static void patterns_and_bits_fault_too(void **state)
{
	struct rig *rig = blank();

	rig->ppgtt.flags[PATTERN_AT >> 12] = PAGE_ABSENT;
	EMIT(rig, 2u << 29 | 0x51u << 22 | 3u << 20 | 6, BR13_32(0xf0) | 64, 0, xy(8, 8), DST_BASE,
	     0, PATTERN_AT, 0);
	assert_int_equal(rig_run_batch(rig), GPU_RUN_FAULT);
	assert_int_equal(rig->fault.address, PATTERN_AT);
	assert_false(rig->fault.write);
	rig_destroy(rig);

	rig = blank();
	rig->ppgtt.flags[(MONO_AT >> 12) + 1] = PAGE_ABSENT;
	EMIT(rig, 2u << 29 | 0x54u << 22 | 3u << 20 | 8, BR13_32(0xcc) | 64, 0, xy(8, 8), DST_BASE,
	     0, MONO_AT + 0xffe, 0, 0, 0);
	assert_int_equal(rig_run_batch(rig), GPU_RUN_FAULT);
	assert_int_equal(rig->fault.address, MONO_AT + 0x1000);
	rig_destroy(rig);
}

/* ---- Leaving in the middle ------------------------------------------------------------------ */

/* As big as a blit can be, and all of it in one row of memory. */
static void emit_endless(struct rig *rig, uint32_t rop)
{
	EMIT(rig, XY_COLOR_BLT_32, BR13_32(rop), xy(0, -32768), xy(8192, 32767), DST_BASE, 0, 1);
}

static bool always(struct rig *rig)
{
	return true;
}

static void huge_blit_can_be_left(void **state)
{
	struct rig *rig = blank();
	const struct gpu_ops *ops = rig->gpu->ops;

	emit_endless(rig, 0xf0);
	emit(rig, MI_BATCH_BUFFER_END);
	rig_ring(rig);
	EMIT(rig, MI_BATCH_BUFFER_START | MI_BATCH_PPGTT, RIG_BATCH, 0, MI_NOOP);
	rig_set_tail(rig);
	rig->want_yield = always;
	ops->begin(rig->gpu, &rig->workload);
	for (int slice = 0; slice < 20; slice++)
		assert_int_equal(ops->run(rig->gpu, GPU_BCS, UINT64_MAX), GPU_RUN_BUDGET);
	assert_true(rig->workload.blt.row > 20 && rig->workload.blt.row < 1000);
	/* A deadline that is over, and a stop. */
	rig->want_yield = NULL;
	assert_int_equal(ops->run(rig->gpu, GPU_BCS, 0), GPU_RUN_BUDGET);
	ops->stop(rig->gpu, GPU_BCS);
	assert_int_equal(ops->run(rig->gpu, GPU_BCS, UINT64_MAX), GPU_RUN_STOPPED);
	ops->end(rig->gpu, GPU_BCS);
	rig_destroy(rig);
}

static bool sometimes(struct rig *rig)
{
	return below(2);
}

/* Many yields, with the workload off the engine and another in its place in between. */
static void run_in_pieces(struct rig *rig, struct rig *other)
{
	const struct gpu_ops *ops = rig->gpu->ops;
	unsigned int pieces = 0;
	enum gpu_run result;

	emit(rig, MI_BATCH_BUFFER_END);
	rig_ring(rig);
	EMIT(rig, MI_BATCH_BUFFER_START | MI_BATCH_PPGTT, RIG_BATCH, 0, MI_NOOP);
	rig_set_tail(rig);
	rig->want_yield = sometimes;
	ops->begin(rig->gpu, &rig->workload);
	while ((result = ops->run(rig->gpu, GPU_BCS, UINT64_MAX)) == GPU_RUN_BUDGET) {
		pieces++;
		ops->end(rig->gpu, GPU_BCS);
		again(other);
		other->workload.cs.tail = 0;
		ops->begin(rig->gpu, &other->workload);
		assert_int_equal(ops->run(rig->gpu, GPU_BCS, UINT64_MAX), GPU_RUN_DONE);
		ops->end(rig->gpu, GPU_BCS);
		ops->begin(rig->gpu, &rig->workload);
	}
	assert_int_equal(result, GPU_RUN_DONE);
	ops->end(rig->gpu, GPU_BCS);
	assert_true(pieces > 3);
}

/* Things that come out otherwise when a row is done twice, left out, or a set-up is forgotten. */
static void emit_delicate(struct rig *rig)
{
	emit_setup(rig,
		   &(struct blit){ .dst = { DST_BASE, 2048, LINEAR },
				   .rop = 0x5a,
				   .depth = 3,
				   .write_rgb = true,
				   .write_alpha = true },
		   false);
	/* The pattern is xored in, 3001 times into the same rows. */
	EMIT(rig, 2u << 29 | 0x50u << 22 | 3u << 20 | 5, BR13_32(0x5a), xy(0, 0), xy(512, 3001),
	     DST_BASE, 0, 0x12345678);
	/* Rows scrolled down by one, columns right by one: backwards in both. */
	EMIT(rig, 2u << 29 | 0x53u << 22 | 3u << 20 | 8, BR13_32(0xcc) | 1024, xy(1, 1),
	     xy(250, 40), DST_BASE, 0, xy(0, 0), 1024, DST_BASE, 0);
	EMIT(rig, 2u << 29 | 0x53u << 22 | 3u << 20 | 8, BR13_32(0x66), xy(1, 0), xy(250, 4000),
	     DST_BASE, 0, xy(0, 0), 0, DST_BASE, 0);
	EMIT(rig, 2u << 29 | 0x25u << 22 | 1, xy(0, 0), xy(512, 30));
}

static void pieces_equal_the_whole(void **state)
{
	struct rig *other = rig_create(GPU_BCS);

	for (uint64_t with_seed = 1; with_seed <= 8; with_seed++) {
		struct rig *whole = blank(), *pieces = blank();

		seed = with_seed * 0x9e3779b97f4a7c15ull;
		fill_random(whole->ppgtt.memory, MEMORY);
		memcpy(pieces->ppgtt.memory, whole->ppgtt.memory, MEMORY);
		emit_delicate(whole);
		assert_int_equal(rig_run_batch(whole), GPU_RUN_DONE);
		emit_delicate(pieces);
		run_in_pieces(pieces, other);
		assert_int_equal(whole->faults + pieces->faults, 0);
		assert_memory_equal(pieces->ppgtt.memory, whole->ppgtt.memory, MEMORY);
		rig_destroy(whole);
		rig_destroy(pieces);
	}
	rig_destroy(other);
}

/* After a reset a driver runs the batch again from its start: nothing may be left out then. */
static void replay_starts_over(void **state)
{
	struct rig *rig = blank();
	const struct gpu_ops *ops = rig->gpu->ops;

	EMIT(rig, XY_COLOR_BLT_32, BR13_32(0xf0) | 1024, 0, xy(256, 8), DST_BASE, 0, 0x77777777);
	emit(rig, MI_BATCH_BUFFER_END);
	rig_ring(rig);
	EMIT(rig, MI_BATCH_BUFFER_START | MI_BATCH_PPGTT, RIG_BATCH, 0, MI_NOOP);
	rig_set_tail(rig);
	rig->workload.blt.row = 6;
	rig->workload.blt.command_at = RIG_BATCH;
	ops->begin(rig->gpu, &rig->workload);
	assert_int_equal(ops->run(rig->gpu, GPU_BCS, UINT64_MAX), GPU_RUN_DONE);
	ops->end(rig->gpu, GPU_BCS);
	assert_int_equal(peek32(&rig->ppgtt, DST_BASE), 0x77777777);
	assert_int_equal(peek32(&rig->ppgtt, DST_BASE + 0x1ffc), 0x77777777);
	rig_destroy(rig);
}

/* ---- Anything at all ------------------------------------------------------------------------ */

static void anything_is_bounded(void **state)
{
	struct rig *rig = rig_create(GPU_BCS);
	const struct gpu_ops *ops = rig->gpu->ops;

	for (uint32_t n = 0; n < 4000; n++) {
		uint32_t opcode = n % 21 == 20 ? 0x42 : opcodes[n % 21 % ARRAY_SIZE(opcodes)];
		const struct gpu_command *command;

		seed = (n + 1) * 0x2545f4914f6cdd1dull;
		for (uint32_t page = 0x12; page < RIG_PAGES; page++)
			rig->ppgtt.flags[page] = below(30) ? 0 : (uint8_t)below(8);
		again(rig);
		fill_random((uint8_t *)&rig->workload.blt, sizeof(rig->workload.blt));
		rig->workload.blt.setup[4] = DST_BASE;
		rig->workload.blt.setup[5] = 0;
		if (below(2))
			rig->workload.blt.command_at = RIG_BATCH;
		command = gpu_command_find(GPU_BCS, 2u << 29 | opcode << 22);
		emit(rig, command->header | (random32() & 0x3fff00) |
				  (command->min_dwords - 2 +
				   (command->max_dwords != command->min_dwords ? below(8) : 0)));
		for (uint32_t i = 1; i < command->min_dwords + 8; i++)
			emit(rig, below(3) ? below(MEMORY) : below(2) ? 0 : random32());
		emit(rig, MI_BATCH_BUFFER_END);
		rig_ring(rig);
		EMIT(rig, MI_BATCH_BUFFER_START | MI_BATCH_PPGTT, RIG_BATCH, 0, MI_NOOP);
		rig_set_tail(rig);
		rig->want_yield = always;
		ops->begin(rig->gpu, &rig->workload);
		for (int slice = 0; slice < 3; slice++) {
			if (ops->run(rig->gpu, GPU_BCS, 0) != GPU_RUN_BUDGET)
				break;
		}
		ops->end(rig->gpu, GPU_BCS);
	}
	rig_destroy(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_blits_match),
		cmocka_unit_test(fast_copies_match),
		cmocka_unit_test(solid_pattern_is_background),
		cmocka_unit_test(fixed_pattern_hatches),
		cmocka_unit_test(ring_blits_use_the_ppgtt),
		cmocka_unit_test(null_gpu_draws_nothing),
		cmocka_unit_test(no_byte_enabled_touches_nothing),
		cmocka_unit_test(fill_stops_at_a_missing_page),
		cmocka_unit_test(copy_names_the_side_that_faulted),
		cmocka_unit_test(patterns_and_bits_fault_too),
		cmocka_unit_test(huge_blit_can_be_left),
		cmocka_unit_test(pieces_equal_the_whole),
		cmocka_unit_test(replay_starts_over),
		cmocka_unit_test(anything_is_bounded),
	};

	return cmocka_run_group_tests_name("gpu blt", tests, NULL, NULL);
}
