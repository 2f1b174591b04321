/* SPDX-License-Identifier: MIT */
/*
 * Running a blit: the pieces of its rows in the right order, a bounded number of them in one call.
 * Called by the command streamer on the engine's lane.
 */
#include "gpu/blt/blt.h"

#include <string.h>

#include "gpu/blt/op.h"

#define BCS_SWCTRL 0x22200u

/* So that the places in a row that was made of many fit 31 bits. */
#define MAX_ROW_BYTES (1 << 30)

#define BR00_SRC_TILED BIT(15)
#define BR00_DST_TILED BIT(11)

/*
 * What one call may do before the streamer looks at the clock again: bytes, as fast as memory
 * moves them.  What is slower is charged as more bytes: a piece as such, raster operations, pixels
 * that are looked at one by one, and accesses to pages without a host mapping, which may be
 * messages.
 */
#define CALL_BYTES	 (512 << 10)
#define PIECE_COST_BYTES 256
#define PIXEL_COST_BYTES 16
#define SLOW_COST_BYTES	 (32 << 10)

enum opcode {
	XY_SETUP_BLT = 0x01,
	XY_SETUP_CLIP_BLT = 0x03,
	XY_SETUP_MONO_PATTERN_SL_BLT = 0x11,
};

/* How a blit is done. */
enum method {
	METHOD_COMBINE,	  /* operands into buffers, raster operation, store */
	METHOD_MOVE,	  /* read and store */
	METHOD_COPY,	  /* between linear surfaces */
	METHOD_FILL,	  /* of a linear surface */
	METHOD_TILE_COPY, /* as MOVE, a tile at a time */
	METHOD_TILE_FILL,
};

/*
 * Blocks of tiles over the destination's coordinates: tiles of the destination, or of the source
 * when only that is tiled.  x counts bytes.
 */
struct grid {
	bool whole_tiles;	    /* those in a block move as a whole */
	unsigned int width, height; /* of a block, as powers of two */
	int32_t x, y;		    /* a corner of a tile */
	int32_t column, row;	    /* the first block that the rectangle touches */
	int32_t x1, y1, x2, y2;	    /* the rectangle */
};

struct run {
	struct blt_op op;
	enum method method;
	bool masked;
	uint32_t fill_color;
	uint32_t rows, pieces; /* how many there are */
	int32_t piece_pixels;
	struct grid grid; /* for METHOD_TILE_*: a piece is a tile, a row one of tiles */
	struct blt_fault fault;
};

/* ---- One piece ------------------------------------------------------------------------------ */

/* Buffers of one piece: whole blocks of 64 bytes, as the raster operations want them. */
struct buffers {
	_Alignas(64) uint8_t p[BLT_PIECE_BYTES];
	_Alignas(64) uint8_t s[BLT_PIECE_BYTES];
	_Alignas(64) uint8_t d[BLT_PIECE_BYTES];
	_Alignas(64) uint8_t mask[BLT_PIECE_BYTES];
	uint8_t bits[BLT_PIECE_BYTES / 8 + 8];
};

struct piece {
	int32_t x, y;
	uint32_t pixels;
	uint32_t bytes;
};

static bool read_source(struct run *run, const struct piece *piece, uint8_t *buf)
{
	struct blt_op *op = &run->op;

	return blt_surface_read(&op->src, (piece->x + op->src_dx) * (1 << op->cpp),
				piece->y + op->src_dy, buf, piece->bytes, &run->fault);
}

static bool read_destination(struct run *run, const struct piece *piece, uint8_t *buf)
{
	return blt_surface_read(&run->op.dst, piece->x * (1 << run->op.cpp), piece->y, buf,
				piece->bytes, &run->fault);
}

static bool write_destination(struct run *run, const struct piece *piece, const uint8_t *buf)
{
	return blt_surface_write(&run->op.dst, piece->x * (1 << run->op.cpp), piece->y, buf,
				 piece->bytes, &run->fault);
}

static bool source_is_mono(const struct blt_op *op)
{
	return op->source == BLT_SOURCE_MONO || op->source == BLT_SOURCE_MONO_IMMEDIATE;
}

static bool gather_source(struct run *run, const struct piece *piece, struct buffers *b)
{
	struct blt_op *op = &run->op;
	bool wanted = blt_rop_uses_source(op->rop);

	if (source_is_mono(op)) {
		if (!blt_mono_bits(op, piece->x, piece->y, b->bits, piece->pixels, &run->fault))
			return false;
		if (wanted)
			blt_mono_expand(op, b->bits, b->s, piece->pixels);
		return true;
	}
	if (op->source == BLT_SOURCE_NONE)
		memset(b->s, 0, piece->bytes);
	else if (wanted || op->chroma == BLT_CHROMA_SOURCE_RGB ||
		 op->chroma == BLT_CHROMA_SOURCE_ARGB)
		return read_source(run, piece, b->s);
	return true;
}

static bool gather(struct run *run, const struct piece *piece, struct buffers *b)
{
	struct blt_op *op = &run->op;

	if (!gather_source(run, piece, b))
		return false;
	if (op->pattern == BLT_PATTERN_NONE)
		memset(b->p, 0, piece->bytes);
	else if (blt_rop_uses_pattern(op->rop))
		blt_pattern_row(op, piece->x, piece->y, b->p, piece->pixels);
	if (blt_rop_uses_destination(op->rop) || op->chroma >= BLT_CHROMA_DESTINATION_ARGB)
		return read_destination(run, piece, b->d);
	return true;
}

static void make_mask(const struct run *run, const struct piece *piece, struct buffers *b)
{
	const struct blt_op *op = &run->op;

	blt_mask_init(op, b->mask, piece->pixels);
	if (op->mono.transparent && source_is_mono(op))
		blt_mask_mono(op, b->bits, b->mask, piece->pixels);
	if (op->pat.transparent)
		blt_mask_pattern(op, piece->x, piece->y, b->mask, piece->pixels);
	if (op->chroma)
		blt_mask_chroma(op, op->chroma < BLT_CHROMA_DESTINATION_ARGB ? b->s : b->d, b->mask,
				piece->pixels);
}

static bool piece_combine(struct run *run, const struct piece *piece)
{
	struct buffers b;

	if (!gather(run, piece, &b))
		return false;
	if (!run->masked) {
		blt_rop(run->op.rop, b.p, b.s, b.d, b.d, piece->bytes);
		return write_destination(run, piece, b.d);
	}
	make_mask(run, piece, &b);
	blt_rop(run->op.rop, b.p, b.s, b.d, b.d, piece->bytes);
	return blt_surface_write_masked(&run->op.dst, piece->x * (1 << run->op.cpp), piece->y, b.d,
					b.mask, piece->bytes, &run->fault);
}

static bool piece_move(struct run *run, const struct piece *piece)
{
	_Alignas(64) uint8_t buf[BLT_PIECE_BYTES];

	return read_source(run, piece, buf) && write_destination(run, piece, buf);
}

static bool piece_copy(struct run *run, const struct piece *piece)
{
	struct blt_op *op = &run->op;
	uint64_t to = blt_linear_address(&op->dst, piece->x * (1 << op->cpp), piece->y);
	uint64_t from = blt_linear_address(&op->src, (piece->x + op->src_dx) * (1 << op->cpp),
					   piece->y + op->src_dy);

	return blt_linear_copy(&op->dst, to, &op->src, from, piece->bytes, op->x_backwards,
			       &run->fault);
}

static bool piece_fill(struct run *run, const struct piece *piece)
{
	struct blt_op *op = &run->op;

	return blt_linear_fill(&op->dst,
			       blt_linear_address(&op->dst, piece->x * (1 << op->cpp), piece->y),
			       run->fill_color, piece->bytes, &run->fault);
}

/* ---- One tile ------------------------------------------------------------------------------- */

static int32_t src_dx_bytes(const struct blt_op *op)
{
	return op->src_dx * (1 << op->cpp);
}

/* How many whole tiles side by side the block is; 0: not just whole ones. */
static uint32_t whole_tiles(const struct run *run, int32_t x, const struct blt_block *block)
{
	const struct tile_shape *shape = &run->op.dst.shape;
	uint32_t in_tile = (1u << shape->width) - 1;

	if (!run->grid.whole_tiles || block->height != 1u << shape->height)
		return 0;
	return ((uint32_t)x | block->width) & in_tile ? 0 : block->width >> shape->width;
}

/* Tiles onto tiles: no byte of them moves inside. */
static bool copy_whole_tiles(struct run *run, int32_t x, int32_t y, uint32_t count)
{
	struct blt_op *op = &run->op;
	uint8_t *to, *from;

	from = blt_tiles_host(&op->src, x + src_dx_bytes(op), y + op->src_dy, count, GPU_READ);
	to = blt_tiles_host(&op->dst, x, y, count, GPU_WRITE);
	if (!from || !to)
		return false;
	memmove(to, from, (size_t)count * TILE_BYTES);
	return true;
}

static bool tile_copy(struct run *run, int32_t x, int32_t y, struct blt_block *block)
{
	struct blt_op *op = &run->op;
	int32_t src_x = x + src_dx_bytes(op), src_y = y + op->src_dy;
	uint32_t count = whole_tiles(run, x, block);

	if (count && copy_whole_tiles(run, x, y, count))
		return true;
	if (blt_block_shift(op, x, y, block))
		return true;
	if (op->src.tiling == TILING_LINEAR &&
	    blt_block_direct(&op->dst, x, y, &op->src, src_x, src_y, block, true))
		return true;
	if (op->dst.tiling == TILING_LINEAR &&
	    blt_block_direct(&op->src, src_x, src_y, &op->dst, x, y, block, false))
		return true;
	return blt_block_read(&op->src, src_x, src_y, block, &run->fault) &&
	       blt_block_write(&op->dst, x, y, block, &run->fault);
}

static bool tile_fill(struct run *run, int32_t x, int32_t y, struct blt_block *block)
{
	uint32_t count = whole_tiles(run, x, block);
	uint8_t *to = NULL;

	if (count)
		to = blt_tiles_host(&run->op.dst, x, y, count, GPU_WRITE);
	if (to) {
		blt_fill_bytes(to, run->fill_color, (size_t)count * TILE_BYTES);
		return true;
	}
	blt_fill_bytes(block->bytes, run->fill_color, (size_t)block->width * block->height);
	return blt_block_write(&run->op.dst, x, y, block, &run->fault);
}

static bool do_tile(struct run *run, int32_t row, int32_t column, struct piece *piece)
{
	const struct grid *grid = &run->grid;
	int32_t left = grid->x + (grid->column + column) * (1 << grid->width);
	int32_t top = grid->y + (grid->row + row) * (1 << grid->height);
	int32_t x = MAX(left, grid->x1), y = MAX(top, grid->y1);
	struct blt_block block;

	block.width = (uint32_t)(MIN(left + (1 << grid->width), grid->x2) - x);
	block.height = (uint32_t)(MIN(top + (1 << grid->height), grid->y2) - y);
	piece->bytes = block.width * block.height;
	piece->pixels = piece->bytes >> run->op.cpp;
	if (run->method == METHOD_TILE_COPY)
		return tile_copy(run, x, y, &block);
	return tile_fill(run, x, y, &block);
}

static bool do_piece(struct run *run, uint32_t row, uint32_t number, struct piece *piece)
{
	const struct blt_op *op = &run->op;
	int32_t left = (int32_t)(op->x_backwards ? run->pieces - 1 - number : number);
	int32_t top = (int32_t)(op->y_backwards ? run->rows - 1 - row : row);

	if (run->method >= METHOD_TILE_COPY)
		return do_tile(run, top, left, piece);
	piece->x = op->x1 + left * run->piece_pixels;
	piece->y = op->y1 + top;
	piece->pixels = (uint32_t)MIN(run->piece_pixels, op->x2 - piece->x);
	piece->bytes = piece->pixels << op->cpp;
	switch (run->method) {
	case METHOD_MOVE:
		return piece_move(run, piece);
	case METHOD_COPY:
		return piece_copy(run, piece);
	case METHOD_FILL:
		return piece_fill(run, piece);
	default:
		return piece_combine(run, piece);
	}
}

/* ---- The whole ------------------------------------------------------------------------------ */

static bool is_masked(const struct blt_op *op)
{
	return op->write_mask != UINT32_MAX || op->chroma || op->pat.transparent ||
	       (op->mono.transparent && source_is_mono(op));
}

/* The one color that a raster operation without source and destination makes. */
static uint32_t solid_color(const struct blt_op *op)
{
	uint32_t pattern = op->pattern == BLT_PATTERN_SOLID ? op->pat.pixel[0] : 0;
	uint32_t zeros = op->rop & 1 ? UINT32_MAX : 0;
	uint32_t ones = op->rop & 0x10 ? UINT32_MAX : 0;

	return blt_replicate((pattern & ones) | (~pattern & zeros), op->cpp);
}

static enum method choose_method(struct run *run)
{
	const struct blt_op *op = &run->op;
	bool linear = op->dst.tiling == TILING_LINEAR;

	if (run->masked)
		return METHOD_COMBINE;
	if (op->rop == 0xcc && op->source == BLT_SOURCE_COLOR) {
		if (op->dst.tiling == TILING_YS || op->src.tiling == TILING_YS)
			return METHOD_MOVE;
		return linear && op->src.tiling == TILING_LINEAR ? METHOD_COPY : METHOD_TILE_COPY;
	}
	if (blt_rop_uses_source(op->rop) || blt_rop_uses_destination(op->rop))
		return METHOD_COMBINE;
	if (blt_rop_uses_pattern(op->rop) && op->pattern > BLT_PATTERN_SOLID)
		return METHOD_COMBINE;
	run->fill_color = solid_color(op);
	return linear ? METHOD_FILL : METHOD_TILE_FILL;
}

/* Rows that follow each other without a gap, in memory, are one long row. */
static void join_rows(struct blt_op *op)
{
	int32_t width = op->x2 - op->x1, height = op->y2 - op->y1;
	int32_t bytes = width << op->cpp;
	bool copy = op->source == BLT_SOURCE_COLOR && blt_rop_uses_source(op->rop);

	if (op->dst.pitch != bytes || (int64_t)bytes * height > MAX_ROW_BYTES)
		return;
	if (copy && (op->src.pitch != bytes || op->x_backwards || op->y_backwards))
		return;
	op->x2 = op->x1 + width * height;
	op->y2 = op->y1 + 1;
}

static bool tiles_coincide(const struct blt_op *op)
{
	return op->src.tiling == op->dst.tiling &&
	       !(src_dx_bytes(op) & ((1 << op->dst.shape.width) - 1)) &&
	       !(op->src_dy & ((1 << op->dst.shape.height) - 1));
}

/* Tiles that the rectangle touches, which is not empty. */
static void plan_tiles(struct run *run)
{
	const struct blt_op *op = &run->op;
	bool dst_tiled = op->dst.tiling != TILING_LINEAR;
	struct grid *grid = &run->grid;

	grid->whole_tiles = run->method == METHOD_TILE_FILL || tiles_coincide(op);
	grid->width =
		(dst_tiled ? op->dst.shape.width : op->src.shape.width) + BLT_BLOCK_TILES_LOG2;
	grid->height = dst_tiled ? op->dst.shape.height : op->src.shape.height;
	grid->x = dst_tiled ? 0 : -src_dx_bytes(op);
	grid->y = dst_tiled ? 0 : -op->src_dy;
	grid->x1 = op->x1 * (1 << op->cpp);
	grid->x2 = op->x2 * (1 << op->cpp);
	grid->y1 = op->y1;
	grid->y2 = op->y2;
	grid->column = (grid->x1 - grid->x) >> grid->width;
	grid->row = (grid->y1 - grid->y) >> grid->height;
	run->pieces = (uint32_t)(((grid->x2 - 1 - grid->x) >> grid->width) - grid->column + 1);
	run->rows = (uint32_t)(((grid->y2 - 1 - grid->y) >> grid->height) - grid->row + 1);
}

static void plan_rows(struct run *run, uint32_t piece_bytes)
{
	const struct blt_op *op = &run->op;

	run->piece_pixels = (int32_t)(piece_bytes >> op->cpp);
	run->pieces =
		(uint32_t)(op->x2 - op->x1 + run->piece_pixels - 1) / (uint32_t)run->piece_pixels;
	run->rows = (uint32_t)(op->y2 - op->y1);
}

static void plan(struct run *run)
{
	struct blt_op *op = &run->op;

	run->masked = is_masked(op);
	run->method = choose_method(run);
	run->rows = 0;
	/* Where no byte may be written nothing is touched, not even by a fault. */
	if (op->x1 >= op->x2 || op->y1 >= op->y2 || !op->write_mask)
		return;
	switch (run->method) {
	case METHOD_COPY:
	case METHOD_FILL:
		join_rows(op);
		plan_rows(run, BLT_DIRECT_BYTES);
		break;
	case METHOD_TILE_COPY:
	case METHOD_TILE_FILL:
		plan_tiles(run);
		break;
	default:
		plan_rows(run, BLT_PIECE_BYTES);
	}
}

static int32_t piece_cost(struct run *run, const struct piece *piece)
{
	uint32_t slow = run->op.src.slow + run->op.dst.slow;
	uint32_t cost = PIECE_COST_BYTES + piece->bytes + slow * SLOW_COST_BYTES;

	if (run->method == METHOD_COMBINE)
		cost += piece->bytes;
	if (run->masked || source_is_mono(&run->op))
		cost += piece->pixels * PIXEL_COST_BYTES;
	run->op.src.slow = run->op.dst.slow = 0;
	return (int32_t)cost;
}

/* From where the last call left off to the end, or until the call has done its part. */
static enum cs_next go_on(struct cs *cs, struct run *run, struct gpu_blt_state *state)
{
	int32_t budget = CALL_BYTES;
	struct piece piece;

	while (state->row < run->rows) {
		if (state->piece >= run->pieces) {
			state->row++;
			state->piece = 0;
			continue;
		}
		if (budget <= 0)
			return CS_AGAIN;
		if (!do_piece(run, state->row, state->piece, &piece))
			return cs_fault_address(cs, false, run->fault.at, run->fault.write);
		state->piece++;
		budget -= piece_cost(run, &piece);
	}
	return CS_ADVANCE;
}

/* A blit that was left in the middle goes on only at the very same command. */
static void enter(struct cs *cs, struct gpu_blt_state *state)
{
	if (state->command_at == cs_address(cs))
		return;
	state->row = state->piece = 0;
	state->command_at = cs_address(cs);
}

static enum cs_next blit(struct cs *cs, const uint32_t *dw, uint32_t dwords)
{
	struct gpu_blt_state *state = &cs->workload->blt;
	struct blt_decode from = { .as = cs_as(cs, false), .setup = state->setup };
	struct run run;
	enum cs_next next;

	as_refresh(from.as);
	enter(cs, state);
	if (dw[0] & (BR00_SRC_TILED | BR00_DST_TILED))
		from.swctrl = cs_reg_read(cs, BCS_SWCTRL);
	if (!blt_decode(&from, dw, dwords, &run.op, &run.fault))
		return cs_fault_address(cs, false, run.fault.at, run.fault.write);
	plan(&run);
	next = go_on(cs, &run, state);
	if (next == CS_ADVANCE)
		state->row = state->piece = 0;
	return next;
}

enum cs_next blt_command(struct cs *cs, const uint32_t *dw, uint32_t dwords)
{
	struct gpu_blt_state *state = &cs->workload->blt;

	switch (dw[0] >> 22 & 0x7f) {
	case XY_SETUP_BLT:
	case XY_SETUP_MONO_PATTERN_SL_BLT:
		memcpy(state->setup, dw, sizeof(state->setup));
		return CS_ADVANCE;
	case XY_SETUP_CLIP_BLT:
		state->setup[2] = dw[1];
		state->setup[3] = dw[2];
		return CS_ADVANCE;
	default:
		return blit(cs, dw, dwords);
	}
}
