/* SPDX-License-Identifier: MIT */
/*
 * The blitter against a slow one: random blits are carried out pixel by pixel on a copy of the
 * memory, from the parameters the commands were built of, and every byte of memory is compared.
 * Seeds are fixed, so a failure comes back.
 */
#include <string.h>

#include "blt_slow.h"
#include "rig.h"
#include "tests/support/random.h"

#define MEMORY	 (RIG_PAGES * 4096u)
#define DST_BASE 0x18000u
#define SRC_BASE 0x2c000u
#define SWCTRL	 0x22200u

#define BATCH_END (RIG_BATCH + 0x2000u)

static uint32_t below(uint32_t limit)
{
	return random32() % limit;
}

static int32_t between(int32_t low, int32_t high)
{
	return low + (int32_t)below((uint32_t)(high - low + 1));
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
		     MONO_AT, 0);
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
		EMIT(rig, MONO_AT, 0, b->source_bg, b->source_fg);
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
		b->high = b->low | random32();
		b->high |= random32();
		if (!(b->chroma & 1))
			b->chroma &= 6;
	}
}

static void set_swctrl(struct rig *rig, uint32_t value)
{
	EMIT(rig, MI_LOAD_REGISTER_IMM(1), SWCTRL, 3u << 16 | value);
}

/* The GPU's view of the host's memory, and the other way round. */
static void swap_pages(uint8_t *to, const uint8_t *from, uint32_t swapped)
{
	for (uint32_t page = 0; page < RIG_PAGES; page++)
		memcpy(to + 4096 * page, from + 4096 * (page < swapped ? page : page ^ 1), 4096);
}

/*
 * Runs what was emitted and compares all memory but the batch with @expected.  Every other time
 * neighbours are no neighbours in the host's memory.
 */
static void run_and_compare(struct rig *rig, const uint8_t *expected, uint32_t opcode)
{
	static uint8_t memory[MEMORY];
	enum gpu_run result;

	rig->ppgtt.swapped = below(2) ? 0x12 : 0;
	if (rig->ppgtt.swapped) {
		memcpy(memory, rig->ppgtt.memory, MEMORY);
		swap_pages(rig->ppgtt.memory, memory, 0x12);
	}
	result = rig_run_batch(rig);
	if (rig->ppgtt.swapped) {
		memcpy(memory, rig->ppgtt.memory, MEMORY);
		swap_pages(rig->ppgtt.memory, memory, 0x12);
	}
	if (rig->faults)
		fail_msg("opcode %#x: fault %s at %#llx", opcode, gpu_fault_name(rig->fault.kind),
			 (unsigned long long)rig->fault.address);
	assert_int_equal(result, GPU_RUN_DONE);
	if (!memcmp(rig->ppgtt.memory + BATCH_END, expected + BATCH_END, MEMORY - BATCH_END))
		return;
	for (uint32_t at = BATCH_END; at < MEMORY; at++) {
		if (rig->ppgtt.memory[at] != expected[at])
			fail_msg("opcode %#x: byte %#x is %#x, not %#x", opcode, at,
				 rig->ppgtt.memory[at], expected[at]);
	}
}

typedef void slow_fn(const struct blit *b, const uint8_t *before, uint8_t *after);

/* What was emitted does what @slow does. */
static void expect_same(struct rig *rig, const struct blit *b, slow_fn *slow, uint32_t opcode)
{
	static uint8_t expected[MEMORY];

	memcpy(expected, rig->ppgtt.memory, MEMORY);
	slow(b, rig->ppgtt.memory, expected);
	run_and_compare(rig, expected, opcode);
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
		expect_same(rig, &b, slow_blit, opcode);
	}
	rig_destroy(rig);
}

/* With source, pattern and destination, at every depth. */
static void every_raster_operation_matches(void **state)
{
	struct rig *rig = rig_create(GPU_BCS);

	fill_random(rig->ppgtt.memory, MEMORY);
	for (uint32_t n = 0; n < 4 * 256; n++) {
		uint32_t swctrl;
		struct blit b;

		seed = (n + 1) * 0xbf58476d1ce4e5b9ull;
		b = random_blit(0x74, &swctrl);
		b.rop = (uint8_t)(n / 4);
		b.depth = n % 4;
		b.bytes = b.depth == 0 ? 1 : b.depth == 3 ? 4 : 2;
		b.write_rgb = b.write_alpha = true;
		again(rig);
		set_swctrl(rig, swctrl);
		emit_whole(rig, &b, 0x74);
		expect_same(rig, &b, slow_blit, 0x74);
	}
	rig_destroy(rig);
}

/* ---- Copies from tiles to tiles ------------------------------------------------------------- */

/* Rows of more tiles than the blitter takes at a time. */
static void wide_surface(struct surface *s, uint32_t base, int tiling)
{
	s->base = base;
	s->tiling = tiling;
	s->pitch = tiling == X ? 5 * 512 : 11 * 128;
}

/* A place for @size of @room: anywhere, or where a tile begins. */
static int32_t place_for(int32_t size, int32_t room, int32_t tile)
{
	int32_t at = between(0, room - size);

	return tile ? at / tile * tile : at;
}

/* Between two surfaces or inside one; tiles coincide, or do not; in part or whole. */
static struct blit tiled_copy(int tiling)
{
	static const uint32_t bytes[] = { 1, 2, 2, 4 };
	struct blit b = { .source = COLOR_SOURCE, .rop = 0xcc, .depth = below(4) };
	int32_t tile_width, tile_height, width, height, room_x, room_y;
	bool whole = below(4) == 0;

	b.bytes = bytes[b.depth];
	b.write_rgb = b.write_alpha = true;
	wide_surface(&b.dst, 0x12000, tiling);
	wide_surface(&b.src, below(2) ? 0x12000 : 0x29000, tiling);
	room_x = b.dst.pitch / (int32_t)b.bytes;
	room_y = tiling == X ? 32 : 64;
	tile_width = (tiling == X ? 512 : 128) / (int32_t)b.bytes;
	tile_height = tiling == X ? 8 : 32;
	width = whole ? tile_width * between(1, room_x / tile_width) : between(1, room_x);
	height = whole ? tile_height * between(1, room_y / tile_height) : between(1, room_y);
	b.x1 = place_for(width, room_x, whole ? tile_width : 0);
	b.y1 = place_for(height, room_y, whole ? tile_height : 0);
	b.src_x = place_for(width, room_x, below(4) ? 0 : tile_width);
	b.src_y = place_for(height, room_y, below(4) ? 0 : tile_height);
	if (below(8) == 0)
		b.src_y = b.y1;
	b.x2 = b.x1 + width;
	b.y2 = b.y1 + height;
	return b;
}

static void tiled_copies_match(void **state)
{
	struct rig *rig = rig_create(GPU_BCS);

	for (uint32_t n = 0; n < 1500; n++) {
		int tiling = n % 2 ? X : Y;
		struct blit b;

		seed = (n + 1) * 0x94d049bb133111ebull;
		if (n % 64 == 0)
			fill_random(rig->ppgtt.memory, MEMORY);
		for (uint32_t page = 0x12; page < RIG_PAGES; page++)
			rig->ppgtt.flags[page] = n % 4 || below(8) ? 0 : PAGE_NO_HOST;
		b = tiled_copy(tiling);
		again(rig);
		set_swctrl(rig, tiling == Y ? 3 : 0);
		emit_whole(rig, &b, 0x53);
		expect_same(rig, &b, slow_blit, 0x53);
	}
	rig_destroy(rig);
}

/* ---- Fast copies ---------------------------------------------------------------------------- */

static void fast_surface(struct surface *s, uint32_t base, uint32_t bytes)
{
	uint32_t width = bytes >= 8 ? 256 : bytes >= 2 ? 128 : 64;

	s->base = base;
	s->tiling = (int)below(5);
	switch (s->tiling) {
	case LINEAR:
		s->pitch = 16 * between(32, 40);
		s->base += 4 * below(300) * below(2);
		break;
	case YS:
		s->base = base < SRC_BASE ? 0x20000 : 0x30000;
		s->pitch = (int32_t)(width * 4);
		break;
	default:
		s->pitch = 512;
		break;
	}
}

/* How many pixels a row may have, from 0 on. */
static int32_t fast_width(const struct surface *s, uint32_t bytes)
{
	return (s->tiling == LINEAR ? 512 : s->pitch) / (int32_t)bytes;
}

static uint32_t fast_method(const struct surface *s)
{
	return s->tiling == YF ? 2 : s->tiling == YS ? 3 : (uint32_t)s->tiling;
}

static void fast_copies_match(void **state)
{
	static const uint32_t depth[] = { 0, 1, 3, 4, 5 };
	struct rig *rig = rig_create(GPU_BCS);

	for (uint32_t n = 0; n < 3000; n++) {
		uint32_t log = n % 5;
		struct blit b = { .bytes = log == 2 ? 4 : 1u << log };

		seed = (n + 1) * 0xd1342543de82ef95ull;
		if (n % 64 == 0)
			fill_random(rig->ppgtt.memory, MEMORY);
		fast_surface(&b.dst, DST_BASE, b.bytes);
		fast_surface(&b.src, SRC_BASE, b.bytes);
		/* 64 KiB tiles lie where the other surface would end. */
		if ((b.dst.tiling == YS) != (b.src.tiling == YS))
			b.dst.base = b.dst.tiling == YS ? b.dst.base : 0x12000;
		if (b.dst.tiling == YS && b.src.tiling != YS)
			b.src.base = 0x31000;
		b.x1 = between(0, 6);
		b.src_x = between(0, 6);
		b.x2 = b.x1 +
		       between(0,
			       MIN(fast_width(&b.src, b.bytes), fast_width(&b.dst, b.bytes)) - 6);
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
		expect_same(rig, &b, slow_copy, 0x42);
	}
	rig_destroy(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_blits_match),
		cmocka_unit_test(every_raster_operation_matches),
		cmocka_unit_test(tiled_copies_match),
		cmocka_unit_test(fast_copies_match),
	};

	return cmocka_run_group_tests_name("gpu blt", tests, NULL, NULL);
}
