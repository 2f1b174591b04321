/* SPDX-License-Identifier: MIT */
/*
 * One blit, decoded: what its operands are, where they lie and how they are combined.  Lives on
 * the stack of one call.  Private to the blitter.
 *
 * Everything is done by pieces: up to BLT_PIECE_BYTES of one row of the destination.  A piece's
 * operands are gathered into buffers, combined byte by byte (raster operations know no pixels) and
 * stored under a mask.
 */
#ifndef GPU_BLT_OP_H
#define GPU_BLT_OP_H

#include "base/tiling.h"
#include "gpu/mem/mem.h"

#define BLT_PIECE_BYTES	 4096u
/* Of a plain copy or fill between linear surfaces, which need no buffers. */
#define BLT_DIRECT_BYTES 262144u
#define BLT_MAX_COLUMNS	 64u
#define BLT_MAX_LINES	 256u

/* Where an access failed. */
struct blt_fault {
	gma_t at;
	bool write;
};

struct blt_surface {
	struct gpu_as *as;
	uint64_t base;
	int32_t pitch; /* bytes; negative: rows go down in memory */
	enum tiling tiling;
	unsigned int cpp; /* bytes of a pixel as a power of two */
	/* For tiled surfaces. */
	struct tile_shape shape;
	int32_t tiles_per_row;
	uint16_t column[BLT_MAX_COLUMNS]; /* place in the tile of each run of a row */
	uint16_t line[BLT_MAX_LINES];	  /* of each row */
	uint32_t slow;			  /* accesses that found no host mapping */
};

/* Color depth of BR13. */
enum blt_depth { BLT_DEPTH_8, BLT_DEPTH_565, BLT_DEPTH_1555, BLT_DEPTH_32 };

enum blt_source {
	BLT_SOURCE_NONE,
	BLT_SOURCE_COLOR,
	BLT_SOURCE_MONO,	   /* bits in memory */
	BLT_SOURCE_MONO_IMMEDIATE, /* bits in the command */
};

/* A bitmap of one bit a pixel, most significant bit first. */
struct blt_mono {
	uint64_t address;
	const uint8_t *immediate;
	uint32_t immediate_bytes;
	uint32_t first_bit;   /* of the upper left pixel */
	uint32_t stride_bits; /* from row to row */
	uint32_t background, foreground;
	bool transparent; /* where the bit is 0, nothing is written */
};

enum blt_pattern { BLT_PATTERN_NONE, BLT_PATTERN_SOLID, BLT_PATTERN_COLOR, BLT_PATTERN_MONO };

/* Eight by eight pixels, repeated over the destination's coordinate system. */
struct blt_pattern_data {
	uint32_t pixel[64]; /* [0] alone when it is solid */
	uint8_t opaque[8];  /* bit for each pixel of a row, the first in bit 7 */
	bool transparent;   /* where the bit is 0, nothing is written */
	unsigned int x_seed, y_seed;
};

/* Transparency range mode, as BR00 has it. */
enum blt_chroma {
	BLT_CHROMA_NONE = 0,
	BLT_CHROMA_SOURCE_RGB = 1,
	BLT_CHROMA_SOURCE_ARGB = 3,
	BLT_CHROMA_DESTINATION_ARGB = 5,
	BLT_CHROMA_DESTINATION_RGB = 7,
};

struct blt_op {
	struct blt_surface dst, src;
	/* The rectangle after clipping; x2 and y2 are outside it.  Empty: x1 >= x2 or y1 >= y2. */
	int32_t x1, y1, x2, y2;
	int32_t origin_x, origin_y; /* upper left before clipping: where mono bits start */
	int32_t src_dx, src_dy;	    /* source coordinates less destination coordinates */
	enum blt_depth depth;
	unsigned int cpp; /* bytes of a pixel as a power of two */
	uint8_t rop;
	uint32_t write_mask; /* bits of a pixel that may be written */
	enum blt_source source;
	struct blt_mono mono;
	enum blt_pattern pattern;
	struct blt_pattern_data pat;
	enum blt_chroma chroma;
	uint32_t chroma_low, chroma_high;
	bool x_backwards, y_backwards;
};

static inline bool blt_rop_uses_pattern(uint8_t rop)
{
	return ((rop >> 4 ^ rop) & 0x0f) != 0;
}

static inline bool blt_rop_uses_source(uint8_t rop)
{
	return ((rop >> 2 ^ rop) & 0x33) != 0;
}

static inline bool blt_rop_uses_destination(uint8_t rop)
{
	return ((rop >> 1 ^ rop) & 0x55) != 0;
}

/* A pixel's bits from @color, as it is stored. */
static inline uint32_t blt_replicate(uint32_t color, unsigned int cpp)
{
	if (cpp == 0)
		return (color & 0xff) * 0x01010101u;
	if (cpp == 1)
		return (color & 0xffff) * 0x00010001u;
	return color;
}

/* ---- decode.c: dwords to a blit.  False: an operand in memory (a pattern) faulted. ---- */
struct blt_decode {
	struct gpu_as *as;
	const uint32_t *setup;
	uint32_t swctrl; /* BCS_SWCTRL */
};
bool blt_decode(const struct blt_decode *from, const uint32_t *dw, uint32_t dwords,
		struct blt_op *op, struct blt_fault *fault);

/* ---- surface.c: rows of surfaces, @n bytes from byte @x of row @y on; false: faulted. ---- */
void blt_surface_init(struct blt_surface *s, struct gpu_as *as, uint64_t base, int32_t pitch,
		      enum tiling tiling, unsigned int cpp);
bool blt_surface_read(struct blt_surface *s, int32_t x, int32_t y, uint8_t *buf, uint32_t n,
		      struct blt_fault *fault);
bool blt_surface_write(struct blt_surface *s, int32_t x, int32_t y, const uint8_t *buf, uint32_t n,
		       struct blt_fault *fault);
/* Bytes whose mask is 0 are not touched. */
bool blt_surface_write_masked(struct blt_surface *s, int32_t x, int32_t y, const uint8_t *buf,
			      const uint8_t *mask, uint32_t n, struct blt_fault *fault);

/* ---- block.c: rectangles of some tiles side by side, at byte @x of row @y ---- */
#define BLT_BLOCK_TILES_LOG2 2u
#define BLT_BLOCK_TILES	     (1u << BLT_BLOCK_TILES_LOG2)
struct blt_block {
	uint32_t width, height; /* bytes, rows */
	_Alignas(64) uint8_t bytes[BLT_BLOCK_TILES * TILE_BYTES];
};
bool blt_block_read(struct blt_surface *s, int32_t x, int32_t y, struct blt_block *block,
		    struct blt_fault *fault);
bool blt_block_write(struct blt_surface *s, int32_t x, int32_t y, struct blt_block *block,
		     struct blt_fault *fault);
/*
 * Copies a block between a tiled and a linear surface without a buffer, to the tiled one when
 * @write.  False when pages stand in the way: copy it through a buffer then, from the start.
 */
bool blt_block_direct(struct blt_surface *tiled, int32_t tx, int32_t ty, struct blt_surface *linear,
		      int32_t lx, int32_t ly, const struct blt_block *block, bool write);
/* Host address of the tile of 4 KiB around the byte @x of row @y; NULL: fault, or no mapping. */
uint8_t *blt_tile_host(struct blt_surface *s, int32_t x, int32_t y, unsigned int access);
/* The same for @count tiles side by side; NULL, too, where the host's memory has them apart. */
uint8_t *blt_tiles_host(struct blt_surface *s, int32_t x, int32_t y, uint32_t count,
			unsigned int access);

/* ---- shift.c: between tiles of the same kind that do not coincide ---- */
/*
 * Copies the block at byte @x of row @y of the destination without a buffer.  False, with nothing
 * written, when pages stand in the way or another way is better.
 */
bool blt_block_shift(struct blt_op *op, int32_t x, int32_t y, const struct blt_block *block);

/* ---- linear.c: between linear surfaces, without a buffer ---- */
bool blt_linear_copy(struct blt_surface *dst, uint64_t to, struct blt_surface *src, uint64_t from,
		     uint32_t n, bool backwards, struct blt_fault *fault);
bool blt_linear_fill(struct blt_surface *dst, uint64_t to, uint32_t color, uint32_t n,
		     struct blt_fault *fault);
/* @color repeats every four bytes, its lowest byte first at @to. */
void blt_fill_bytes(uint8_t *to, uint32_t color, size_t n);
static inline uint64_t blt_linear_address(const struct blt_surface *s, int32_t x, int32_t y)
{
	return s->base + (uint64_t)((int64_t)y * s->pitch + x);
}

/* ---- rop.c ---- */
/* result = rop(p, s, d) over @n bytes, rounded up to 64; the buffers have room for that. */
void blt_rop(uint8_t rop, const uint8_t *p, const uint8_t *s, const uint8_t *d, uint8_t *result,
	     uint32_t n);

/* ---- operand.c: operands of a piece, @pixels from (@x, @y) of the destination on ---- */
void blt_pattern_row(const struct blt_op *op, int32_t x, int32_t y, uint8_t *buf, uint32_t pixels);
/* The source's bits, the first pixel's in bit 7 of bits[0]; false: faulted. */
bool blt_mono_bits(struct blt_op *op, int32_t x, int32_t y, uint8_t *bits, uint32_t pixels,
		   struct blt_fault *fault);
void blt_mono_expand(const struct blt_op *op, const uint8_t *bits, uint8_t *buf, uint32_t pixels);
/* Ones where the command may write; the transparencies take theirs away. */
void blt_mask_init(const struct blt_op *op, uint8_t *mask, uint32_t pixels);
void blt_mask_mono(const struct blt_op *op, const uint8_t *bits, uint8_t *mask, uint32_t pixels);
void blt_mask_pattern(const struct blt_op *op, int32_t x, int32_t y, uint8_t *mask,
		      uint32_t pixels);
/* @keys: the pixels that are compared, the source's or the destination's. */
void blt_mask_chroma(const struct blt_op *op, const uint8_t *keys, uint8_t *mask, uint32_t pixels);

#endif
