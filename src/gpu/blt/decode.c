/* SPDX-License-Identifier: MIT */
/*
 * 2D commands to blits.  All but a few commands are one command with different operands: a table
 * says where each has its source, its pattern and its colors.  Called by the blitter on the lane.
 *
 * Nothing here can be refused: fields that make no sense are taken as the hardware's bits would
 * have it, and make a blit that touches nothing, or pages that fault.  Names of registers (BR00
 * the header, BR13 pitch, depth and operation) are those of the manual, Skylake volume 11.
 */
#include <string.h>

#include "gpu/blt/op.h"

/* BR00 */
#define BR00_OPCODE(dw)		 ((dw) >> 22 & 0x7f)
#define BR00_WRITE_ALPHA	 BIT(21)
#define BR00_WRITE_RGB		 BIT(20)
#define BR00_FIRST_BIT(dw)	 ((dw) >> 17 & 7)
#define BR00_CHROMA(dw)		 ((dw) >> 17 & 7)
#define BR00_BYTE_PACKED	 BIT(16)
#define BR00_SRC_TILED		 BIT(15)
#define BR00_FIXED_PATTERN(dw)	 ((dw) >> 15 & 15)
#define BR00_PATTERN_X(dw)	 ((dw) >> 12 & 7)
#define BR00_DST_TILED		 BIT(11)
#define BR00_PATTERN_Y(dw)	 ((dw) >> 8 & 7)
/* BR13 (BR01 of a set-up) */
#define BR13_SOLID_PATTERN	 BIT(31)
#define BR13_CLIP		 BIT(30)
#define BR13_SOURCE_TRANSPARENT	 BIT(29)
#define BR13_PATTERN_TRANSPARENT BIT(28)
#define BR13_DEPTH(dw)		 ((dw) >> 24 & 3)
#define BR13_ROP(dw)		 ((uint8_t)((dw) >> 16))
/* BCS_SWCTRL */
#define SWCTRL_SRC_Y		 BIT(0)
#define SWCTRL_DST_Y		 BIT(1)

enum opcode {
	XY_SETUP_MONO_PATTERN_SL_BLT = 0x11,
	XY_PIXEL_BLT = 0x24,
	XY_SCANLINES_BLT = 0x25,
	XY_TEXT_BLT = 0x26,
	XY_TEXT_IMMEDIATE_BLT = 0x31,
	XY_FAST_COPY_BLT = 0x42,
	XY_FIRST = 0x50,
	XY_MONO_PAT_FIXED_BLT = 0x59,
	XY_LAST = 0x77,
};

/* Kinds of pattern operands; the number is the dword where they start. */
enum pattern_operand {
	PATTERN_ABSENT,
	PATTERN_SOLID,	   /* a color */
	PATTERN_MEMORY,	   /* address of 8x8 pixels */
	PATTERN_IMMEDIATE, /* 8x8 pixels */
	PATTERN_MONO,	   /* background, foreground, 64 bits */
	PATTERN_FIXED,	   /* background, foreground; the bits are built in */
};

/* Where a command has its operands: dword numbers, 0 for what it has not. */
struct layout {
	uint8_t source; /* coordinates, pitch, address */
	uint8_t mono;	/* address of the source's bits */
	uint8_t mono_immediate;
	uint8_t mono_colors; /* background, foreground */
	uint8_t pattern_at;
	uint8_t pattern; /* enum pattern_operand */
	uint8_t chroma;	 /* low, high */
};

/* Background and foreground of a mono source come after its address: 6 and 7, then 8 and 9. */
static const struct layout layouts[XY_LAST - XY_FIRST + 1] = {
	[0x50 - XY_FIRST] = { .pattern = PATTERN_SOLID, .pattern_at = 6 },
	[0x51 - XY_FIRST] = { .pattern = PATTERN_MEMORY, .pattern_at = 6 },
	[0x52 - XY_FIRST] = { .pattern = PATTERN_MONO, .pattern_at = 6 },
	[0x53 - XY_FIRST] = { .source = 6 },
	[0x54 - XY_FIRST] = { .mono = 6, .mono_colors = 8 },
	[0x55 - XY_FIRST] = { .source = 6, .pattern = PATTERN_MEMORY, .pattern_at = 10 },
	[0x56 - XY_FIRST] = { .mono = 6,
			      .mono_colors = 8,
			      .pattern = PATTERN_MEMORY,
			      .pattern_at = 10 },
	[0x57 - XY_FIRST] = { .source = 6, .pattern = PATTERN_MONO, .pattern_at = 10 },
	[0x58 - XY_FIRST] = { .mono = 6,
			      .mono_colors = 8,
			      .pattern = PATTERN_MONO,
			      .pattern_at = 10 },
	[0x59 - XY_FIRST] = { .pattern = PATTERN_FIXED, .pattern_at = 6 },
	[0x71 - XY_FIRST] = { .mono_immediate = 8, .mono_colors = 6 },
	[0x72 - XY_FIRST] = { .pattern = PATTERN_IMMEDIATE, .pattern_at = 6 },
	[0x73 - XY_FIRST] = { .source = 6, .chroma = 10 },
	[0x74 - XY_FIRST] = { .source = 6, .pattern = PATTERN_IMMEDIATE, .pattern_at = 10 },
	[0x75 - XY_FIRST] = { .mono = 6,
			      .mono_colors = 8,
			      .pattern = PATTERN_IMMEDIATE,
			      .pattern_at = 10 },
	[0x76 - XY_FIRST] = { .pattern = PATTERN_MEMORY, .pattern_at = 6, .chroma = 8 },
	[0x77 - XY_FIRST] = { .pattern = PATTERN_IMMEDIATE, .pattern_at = 8, .chroma = 6 },
};

/*
 * The patterns of XY_MONO_PAT_FIXED_BLT, a byte for each line.  The manual names them: the six
 * hatches of a desktop's brushes, two screen doors and two walking bits; 6, 7 and 12 to 15 are
 * reserved and empty here.
 */
static const uint8_t fixed_patterns[16][8] = {
	{ 0x00, 0x00, 0x00, 0x00, 0xff, 0x00, 0x00, 0x00 },	   /* horizontal */
	{ 0x08, 0x08, 0x08, 0x08, 0x08, 0x08, 0x08, 0x08 },	   /* vertical */
	{ 0x80, 0x40, 0x20, 0x10, 0x08, 0x04, 0x02, 0x01 },	   /* downward diagonal */
	{ 0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80 },	   /* upward diagonal */
	{ 0x08, 0x08, 0x08, 0x08, 0xff, 0x08, 0x08, 0x08 },	   /* cross */
	{ 0x81, 0x42, 0x24, 0x18, 0x18, 0x24, 0x42, 0x81 },	   /* diagonal cross */
	[8] = { 0xaa, 0x55, 0xaa, 0x55, 0xaa, 0x55, 0xaa, 0x55 },  /* screen door */
	[9] = { 0xcc, 0xcc, 0x33, 0x33, 0xcc, 0xcc, 0x33, 0x33 },  /* wide screen door */
	[10] = { 0x80, 0x40, 0x20, 0x10, 0x08, 0x04, 0x02, 0x01 }, /* walking one */
	[11] = { 0x7f, 0xbf, 0xdf, 0xef, 0xf7, 0xfb, 0xfd, 0xfe }, /* walking zero */
};

static int32_t low16(uint32_t dw)
{
	return (int16_t)dw;
}

static int32_t high16(uint32_t dw)
{
	return (int16_t)(dw >> 16);
}

static uint64_t address_at(const uint32_t *dw)
{
	return dw[0] | (uint64_t)dw[1] << 32;
}

/* ---- Destination and rectangle -------------------------------------------------------------- */

static unsigned int depth_cpp(enum blt_depth depth)
{
	return depth == BLT_DEPTH_8 ? 0 : depth == BLT_DEPTH_32 ? 2 : 1;
}

/* Pitches count bytes, those of tiled surfaces dwords. */
static int32_t pitch_bytes(uint32_t dw, bool tiled)
{
	return low16(dw) * (tiled ? 4 : 1);
}

static enum tiling tiling_of(bool tiled, bool y)
{
	return !tiled ? TILING_LINEAR : y ? TILING_Y : TILING_X;
}

static uint32_t write_mask(uint32_t br00, enum blt_depth depth)
{
	if (depth != BLT_DEPTH_32)
		return UINT32_MAX;
	return (br00 & BR00_WRITE_RGB ? 0x00ffffff : 0) |
	       (br00 & BR00_WRITE_ALPHA ? 0xff000000 : 0);
}

/* @br00: the drawing command's; @mask_br00: the one with the byte mask. */
static void set_destination(const struct blt_decode *from, struct blt_op *op, uint32_t br00,
			    uint32_t mask_br00, uint32_t br13, const uint32_t *address)
{
	bool tiled = br00 & BR00_DST_TILED;

	op->depth = BR13_DEPTH(br13);
	op->cpp = depth_cpp(op->depth);
	op->rop = BR13_ROP(br13);
	op->write_mask = write_mask(mask_br00, op->depth);
	op->pat.x_seed = BR00_PATTERN_X(br00);
	op->pat.y_seed = BR00_PATTERN_Y(br00);
	blt_surface_init(&op->dst, from->as, address_at(address), pitch_bytes(br13, tiled),
			 tiling_of(tiled, from->swctrl & SWCTRL_DST_Y), op->cpp);
}

static void set_rectangle(struct blt_op *op, uint32_t upper_left, uint32_t lower_right)
{
	op->origin_x = op->x1 = low16(upper_left);
	op->origin_y = op->y1 = high16(upper_left);
	op->x2 = low16(lower_right);
	op->y2 = high16(lower_right);
}

/* The clip rectangle is that of the last set-up, for commands with their own BR13, too. */
static void clip(const struct blt_decode *from, struct blt_op *op, uint32_t br13)
{
	if (!(br13 & BR13_CLIP))
		return;
	op->x1 = MAX(op->x1, low16(from->setup[2]));
	op->y1 = MAX(op->y1, high16(from->setup[2]));
	op->x2 = MIN(op->x2, low16(from->setup[3]));
	op->y2 = MIN(op->y2, high16(from->setup[3]));
}

/* ---- Sources -------------------------------------------------------------------------------- */

/*
 * The engine looks at bases and corners only, not for a real overlap: in one surface it goes
 * backwards in x, or in y, where the source is left of, or above, the destination.
 */
static void set_directions(struct blt_op *op)
{
	bool same = op->src.base == op->dst.base;

	op->x_backwards = same && op->src_dx < 0;
	op->y_backwards = same && op->src_dy < 0;
}

static void set_color_source(const struct blt_decode *from, struct blt_op *op, const uint32_t *dw,
			     const uint32_t *operand)
{
	bool tiled = dw[0] & BR00_SRC_TILED;

	op->source = BLT_SOURCE_COLOR;
	op->src_dx = low16(operand[0]) - op->origin_x;
	op->src_dy = high16(operand[0]) - op->origin_y;
	blt_surface_init(&op->src, from->as, address_at(&operand[2]),
			 pitch_bytes(operand[1], tiled),
			 tiling_of(tiled, from->swctrl & SWCTRL_SRC_Y), op->cpp);
	set_directions(op);
}

static void set_mono_colors(struct blt_op *op, const uint32_t *colors, uint32_t br13)
{
	op->mono.background = colors[0];
	op->mono.foreground = colors[1];
	op->mono.transparent = br13 & BR13_SOURCE_TRANSPARENT;
}

/* Rows of a monochrome source start at 16-bit words. */
static void set_mono_rows(struct blt_op *op, int32_t x1, int32_t x2, uint32_t first_bit)
{
	uint32_t width = x2 > x1 ? (uint32_t)(x2 - x1) : 0;

	op->mono.first_bit = first_bit;
	op->mono.stride_bits = (first_bit + width + 15) & ~15u;
}

static void set_mono_memory(const struct blt_decode *from, struct blt_op *op,
			    const uint32_t *operand)
{
	op->source = BLT_SOURCE_MONO;
	op->mono.address = address_at(operand);
	blt_surface_init(&op->src, from->as, op->mono.address, 0, TILING_LINEAR, 0);
}

static void set_mono_immediate(struct blt_op *op, const uint32_t *operand, uint32_t dwords)
{
	op->source = BLT_SOURCE_MONO_IMMEDIATE;
	op->mono.immediate = (const uint8_t *)operand;
	op->mono.immediate_bytes = dwords * 4;
}

/* ---- Patterns ------------------------------------------------------------------------------- */

static void set_pattern_solid(struct blt_op *op, uint32_t color)
{
	op->pattern = BLT_PATTERN_SOLID;
	op->pat.pixel[0] = color;
}

static void set_pattern_pixels(struct blt_op *op, const uint8_t *pixels)
{
	op->pattern = BLT_PATTERN_COLOR;
	for (unsigned int i = 0; i < 64; i++) {
		op->pat.pixel[i] = 0;
		memcpy(&op->pat.pixel[i], pixels + (i << op->cpp), (size_t)1 << op->cpp);
	}
}

static bool set_pattern_memory(const struct blt_decode *from, struct blt_op *op,
			       const uint32_t *operand, struct blt_fault *fault)
{
	uint8_t pixels[256];

	if (!blt_rop_uses_pattern(op->rop))
		return true;
	fault->write = false;
	if (gpu_as_read(from->as, gma(address_at(operand) & ~63ull), pixels, 64u << op->cpp,
			&fault->at) < 0)
		return false;
	set_pattern_pixels(op, pixels);
	return true;
}

/* What the command did not bring is 0. */
static void set_pattern_immediate(struct blt_op *op, const uint32_t *operand, uint32_t dwords)
{
	uint8_t pixels[256] = { 0 };

	memcpy(pixels, operand, MIN(dwords * sizeof(*operand), sizeof(pixels)));
	set_pattern_pixels(op, pixels);
}

/* A solid pattern is not read at all: all its bits count as 0. */
static void set_pattern_mono(struct blt_op *op, uint32_t br13, const uint32_t *colors,
			     const uint8_t *bits)
{
	if (br13 & BR13_SOLID_PATTERN) {
		set_pattern_solid(op, colors[0]);
		return;
	}
	op->pattern = BLT_PATTERN_MONO;
	op->pat.transparent = br13 & BR13_PATTERN_TRANSPARENT;
	memcpy(op->pat.opaque, bits, sizeof(op->pat.opaque));
	for (unsigned int i = 0; i < 64; i++)
		op->pat.pixel[i] = colors[bits[i / 8] & 0x80 >> i % 8 ? 1 : 0];
}

static bool set_pattern(const struct blt_decode *from, struct blt_op *op, const uint32_t *dw,
			uint32_t dwords, const struct layout *layout, struct blt_fault *fault)
{
	const uint32_t *operand = dw + layout->pattern_at;

	switch ((enum pattern_operand)layout->pattern) {
	case PATTERN_ABSENT:
		break;
	case PATTERN_SOLID:
		set_pattern_solid(op, operand[0]);
		break;
	case PATTERN_MEMORY:
		return set_pattern_memory(from, op, operand, fault);
	case PATTERN_IMMEDIATE:
		set_pattern_immediate(op, operand, dwords - layout->pattern_at);
		break;
	case PATTERN_MONO:
		set_pattern_mono(op, dw[1], operand, (const uint8_t *)(operand + 2));
		break;
	case PATTERN_FIXED:
		set_pattern_mono(op, dw[1], operand, fixed_patterns[BR00_FIXED_PATTERN(dw[0])]);
		break;
	}
	return true;
}

/* ---- Commands ------------------------------------------------------------------------------- */

static void set_chroma(struct blt_op *op, uint32_t br00, const uint32_t *keys)
{
	unsigned int mode = BR00_CHROMA(br00);

	if (!(mode & 1))
		return;
	/* A key of the source needs one. */
	if (op->source == BLT_SOURCE_NONE && mode < BLT_CHROMA_DESTINATION_ARGB)
		return;
	op->chroma = mode;
	op->chroma_low = keys[0];
	op->chroma_high = keys[1];
}

static bool decode_xy(const struct blt_decode *from, const uint32_t *dw, uint32_t dwords,
		      const struct layout *layout, struct blt_op *op, struct blt_fault *fault)
{
	set_destination(from, op, dw[0], dw[0], dw[1], &dw[4]);
	set_rectangle(op, dw[2], dw[3]);
	clip(from, op, dw[1]);
	if (layout->source)
		set_color_source(from, op, dw, &dw[layout->source]);
	if (layout->mono)
		set_mono_memory(from, op, &dw[layout->mono]);
	if (layout->mono_immediate)
		set_mono_immediate(op, &dw[layout->mono_immediate],
				   dwords - layout->mono_immediate);
	if (layout->mono_colors) {
		set_mono_colors(op, &dw[layout->mono_colors], dw[1]);
		set_mono_rows(op, low16(dw[2]), low16(dw[3]), BR00_FIRST_BIT(dw[0]));
	}
	if (layout->chroma)
		set_chroma(op, dw[0], &dw[layout->chroma]);
	return set_pattern(from, op, dw, dwords, layout, fault);
}

/* Destination and operation of the last set-up; tiling and seeds of @br00. */
static void use_setup(const struct blt_decode *from, struct blt_op *op, uint32_t br00)
{
	set_destination(from, op, br00, from->setup[0], from->setup[1], &from->setup[4]);
}

static void decode_pixel(const struct blt_decode *from, const uint32_t *dw, struct blt_op *op)
{
	use_setup(from, op, dw[0]);
	set_rectangle(op, dw[1], dw[1]);
	op->x2++;
	op->y2++;
	clip(from, op, from->setup[1]);
	set_pattern_solid(op, from->setup[7]);
}

static bool decode_scanlines(const struct blt_decode *from, const uint32_t *dw, struct blt_op *op,
			     struct blt_fault *fault)
{
	const uint32_t *setup = from->setup;

	use_setup(from, op, dw[0]);
	set_rectangle(op, dw[1], dw[2]);
	clip(from, op, from->setup[1]);
	if (BR00_OPCODE(setup[0]) != XY_SETUP_MONO_PATTERN_SL_BLT)
		return set_pattern_memory(from, op, &setup[8], fault);
	set_pattern_mono(op, setup[1], &setup[6], (const uint8_t *)&setup[8]);
	return true;
}

/* Rows of a text follow each other bit by bit, or start at bytes. */
static void decode_text(const struct blt_decode *from, const uint32_t *dw, uint32_t dwords,
			struct blt_op *op)
{
	int32_t x1 = low16(dw[1]), x2 = low16(dw[2]);
	uint32_t width = x2 > x1 ? (uint32_t)(x2 - x1) : 0;

	use_setup(from, op, dw[0]);
	set_rectangle(op, dw[1], dw[2]);
	clip(from, op, from->setup[1]);
	if (BR00_OPCODE(dw[0]) == XY_TEXT_BLT)
		set_mono_memory(from, op, &dw[3]);
	else
		set_mono_immediate(op, &dw[3], dwords - 3);
	set_mono_colors(op, &from->setup[6], from->setup[1]);
	op->mono.stride_bits = dw[0] & BR00_BYTE_PACKED ? (width + 7) & ~7u : width;
}

static enum tiling fast_tiling(unsigned int method, bool yf)
{
	static const enum tiling tilings[] = { TILING_LINEAR, TILING_X, TILING_Y, TILING_YS };

	return method == 2 && yf ? TILING_YF : tilings[method];
}

/* No raster operation, no mask, no clipping; surfaces must not overlap. */
static void decode_fast_copy(const struct blt_decode *from, const uint32_t *dw, struct blt_op *op)
{
	/* 8, 16, 32, 64, 128 bits a pixel; the rest is reserved. */
	static const uint8_t cpp[] = { 0, 1, 1, 2, 3, 4, 4, 4 };
	enum tiling dst = fast_tiling(dw[0] >> 13 & 3, dw[1] & BIT(30));
	enum tiling src = fast_tiling(dw[0] >> 20 & 3, dw[1] & BIT(31));

	op->depth = BLT_DEPTH_32;
	op->cpp = cpp[dw[1] >> 24 & 7];
	op->rop = 0xcc;
	op->write_mask = UINT32_MAX;
	blt_surface_init(&op->dst, from->as, address_at(&dw[4]),
			 pitch_bytes(dw[1], dst != TILING_LINEAR), dst, op->cpp);
	set_rectangle(op, dw[2], dw[3]);
	op->source = BLT_SOURCE_COLOR;
	op->src_dx = low16(dw[6]) - op->x1;
	op->src_dy = high16(dw[6]) - op->y1;
	blt_surface_init(&op->src, from->as, address_at(&dw[8]),
			 pitch_bytes(dw[7], src != TILING_LINEAR), src, op->cpp);
}

bool blt_decode(const struct blt_decode *from, const uint32_t *dw, uint32_t dwords,
		struct blt_op *op, struct blt_fault *fault)
{
	unsigned int opcode = BR00_OPCODE(dw[0]);

	memset(op, 0, sizeof(*op));
	switch (opcode) {
	case XY_PIXEL_BLT:
		decode_pixel(from, dw, op);
		return true;
	case XY_SCANLINES_BLT:
		return decode_scanlines(from, dw, op, fault);
	case XY_TEXT_BLT:
	case XY_TEXT_IMMEDIATE_BLT:
		decode_text(from, dw, dwords, op);
		return true;
	case XY_FAST_COPY_BLT:
		decode_fast_copy(from, dw, op);
		return true;
	default:
		return decode_xy(from, dw, dwords, &layouts[opcode - XY_FIRST], op, fault);
	}
}
