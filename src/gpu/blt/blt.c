/* SPDX-License-Identifier: MIT */
/*
 * Running a blit: the pieces of its rows in the right order, a bounded number of them in one call.
 * Called by the command streamer on the engine's lane.
 */
#include "gpu/blt/blt.h"

#include <string.h>

#include "gpu/blt/op.h"

#define BCS_SWCTRL 0x22200u

#define BR00_SRC_TILED BIT(15)
#define BR00_DST_TILED BIT(11)

/*
 * What one call may do before the streamer looks at the clock again: bytes, as fast as memory
 * moves them.  What is slower is charged as more bytes: a piece as such, pixels that are looked at
 * one by one, and accesses to pages without a host mapping, which may be messages.
 */
#define CALL_BYTES	 (256 << 10)
#define PIECE_COST_BYTES 256
#define PIXEL_COST_BYTES 16
#define SLOW_COST_BYTES	 (32 << 10)

/* Blits that do not fit the caches. */
#define STREAM_BYTES (8u << 20)

enum opcode {
	XY_SETUP_BLT = 0x01,
	XY_SETUP_CLIP_BLT = 0x03,
	XY_SETUP_MONO_PATTERN_SL_BLT = 0x11,
};

/* How a blit is done. */
enum method {
	METHOD_COMBINE, /* operands into buffers, raster operation, store */
	METHOD_MOVE,	/* read and store */
	METHOD_COPY,	/* between linear surfaces */
	METHOD_FILL,	/* of a linear surface */
};

struct run {
	struct blt_op op;
	enum method method;
	bool masked, stream;
	uint32_t fill_color;
	uint32_t rows, pieces;
	int32_t piece_pixels;
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
			       run->stream, &run->fault);
}

static bool piece_fill(struct run *run, const struct piece *piece)
{
	struct blt_op *op = &run->op;

	return blt_linear_fill(&op->dst,
			       blt_linear_address(&op->dst, piece->x * (1 << op->cpp), piece->y),
			       run->fill_color, piece->bytes, run->stream, &run->fault);
}

static bool do_piece(struct run *run, uint32_t row, uint32_t number, struct piece *piece)
{
	const struct blt_op *op = &run->op;
	int32_t left = (int32_t)(op->x_backwards ? run->pieces - 1 - number : number);

	piece->x = op->x1 + left * run->piece_pixels;
	piece->y = op->y_backwards ? op->y2 - 1 - (int32_t)row : op->y1 + (int32_t)row;
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
	if (op->rop == 0xcc && op->source == BLT_SOURCE_COLOR)
		return linear && op->src.tiling == TILING_LINEAR ? METHOD_COPY : METHOD_MOVE;
	if (!linear || blt_rop_uses_source(op->rop) || blt_rop_uses_destination(op->rop))
		return METHOD_COMBINE;
	if (blt_rop_uses_pattern(op->rop) && op->pattern > BLT_PATTERN_SOLID)
		return METHOD_COMBINE;
	run->fill_color = solid_color(op);
	return METHOD_FILL;
}

static void plan(struct run *run)
{
	const struct blt_op *op = &run->op;
	uint32_t width = op->x2 > op->x1 ? (uint32_t)(op->x2 - op->x1) : 0;
	uint32_t piece_bytes;

	run->masked = is_masked(op);
	run->method = choose_method(run);
	piece_bytes = run->method >= METHOD_COPY ? BLT_DIRECT_BYTES : BLT_PIECE_BYTES;
	run->piece_pixels = (int32_t)(piece_bytes >> op->cpp);
	run->pieces = (width + (uint32_t)run->piece_pixels - 1) / (uint32_t)run->piece_pixels;
	run->rows = width && op->y2 > op->y1 ? (uint32_t)(op->y2 - op->y1) : 0;
	/* No byte may be written: nothing is touched, not even by a fault. */
	if (!op->write_mask)
		run->rows = 0;
	run->stream = ((uint64_t)run->rows * width << op->cpp) >= STREAM_BYTES;
}

static int32_t piece_cost(struct run *run, const struct piece *piece)
{
	uint32_t slow = run->op.src.slow + run->op.dst.slow;
	uint32_t cost = PIECE_COST_BYTES + piece->bytes + slow * SLOW_COST_BYTES;

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
