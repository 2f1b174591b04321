/* SPDX-License-Identifier: MIT */
/*
 * Blocks from X onto X and from Y onto Y tiles that do not coincide, as when a surface is scrolled
 * by some pixels, without a buffer in between.  Called by the blitter on the lane.
 *
 * All tiles are found before the first byte moves: a block is done as a whole, or not touched. Rows
 * and columns are walked in the blit's direction, so a surface may be copied onto itself.
 */
#include <assert.h>

#include "gpu/blt/column.h"
#include "gpu/blt/op.h"

#define COLUMN_BYTES  (TILE_Y_RUN_BYTES * TILE_Y_HEIGHT)
#define RUN_LOG2      4u /* of TILE_Y_RUN_BYTES */
#define COLUMNS_LOG2  3u /* in a tile */
/*
 * How many columns ahead the source is fetched.  Hardware sees too late where the next piece of
 * some hundred bytes begins: without it half of the time goes to waiting.
 */
#define FETCH_COLUMNS 8
#define LINE_BYTES    64
#define MAX_TILES     (BLT_BLOCK_TILES + 1)

struct shift {
	const struct blt_op *op;
	struct tile_shape shape;
	int32_t x, y;		/* the block's first byte and row in the destination */
	int32_t from_x, from_y; /* and in the source */
	int32_t width, height;
	int32_t from_tiles;	     /* side by side */
	uint8_t *to[MAX_TILES];	     /* host addresses */
	uint8_t *from[2][MAX_TILES]; /* two rows of tiles at most */
};

/* ---- Tiles ---------------------------------------------------------------------------------- */

/* Those from byte @x of row @y on to where @width bytes end; how many, or 0. */
static int32_t find_tiles(struct blt_surface *s, int32_t x, int32_t width, int32_t y,
			  unsigned int access, uint8_t **tiles)
{
	int32_t first = x >> s->shape.width,
		count = ((x + width - 1) >> s->shape.width) - first + 1;

	for (int32_t i = 0; i < count; i++) {
		tiles[i] = blt_tile_host(s, (first + i) * (1 << s->shape.width), y, access);
		if (!tiles[i])
			return 0;
	}
	return count;
}

static bool find_all(struct shift *shift, struct blt_op *op)
{
	int32_t last = shift->from_y + shift->height - 1;

	if (!find_tiles(&op->dst, shift->x, shift->width, shift->y, GPU_WRITE, shift->to))
		return false;
	shift->from_tiles = find_tiles(&op->src, shift->from_x, shift->width, shift->from_y,
				       GPU_READ, shift->from[0]);
	if (!shift->from_tiles)
		return false;
	return last >> shift->shape.height == shift->from_y >> shift->shape.height ||
	       find_tiles(&op->src, shift->from_x, shift->width, last, GPU_READ, shift->from[1]);
}

/* Rows of the block that the source has in one row of tiles. */
struct rows {
	uint8_t *const *from;
	int32_t to_row, from_row; /* the uppermost, in its tile */
	int32_t count;
};

/* ---- X tiles: a row of a tile is contiguous -------------------------------------------------- */

/* One row, in pieces that lie in one tile on both sides. */
static void x_row(const struct shift *shift, const struct rows *rows, int32_t row)
{
	const uint32_t tile = TILE_X_WIDTH_BYTES, width = (uint32_t)shift->width;
	uint32_t to_x = (uint32_t)shift->x % tile, from_x = (uint32_t)shift->from_x % tile, n;
	uint32_t to_line = (uint32_t)(rows->to_row + row) * tile;
	uint32_t from_line = (uint32_t)(rows->from_row + row) * tile;

	for (uint32_t at = 0; at < width; at += n, to_x += n, from_x += n) {
		n = MIN(tile - to_x % tile, tile - from_x % tile);
		n = MIN(n, width - at);
		copy_run(shift->to[to_x / tile] + to_line + to_x % tile,
			 rows->from[from_x / tile] + from_line + from_x % tile, n);
	}
}

static void x_rows(const struct shift *shift, const struct rows *rows)
{
	for (int32_t i = 0; i < rows->count; i++)
		x_row(shift, rows, shift->op->y_backwards ? rows->count - 1 - i : i);
}

/* ---- Y tiles: columns of 16 bytes -------------------------------------------------------------
 */

/*
 * The source's column @number of the surface, from the first of @rows on.  At the block's ends
 * columns are asked for of which no byte is wanted: any other one will do.
 */
static const uint8_t *from_column(const struct shift *shift, const struct rows *rows,
				  int32_t number)
{
	int32_t tile = (number >> COLUMNS_LOG2) - (shift->from_x >> shift->shape.width);

	tile = MIN(MAX(tile, 0), shift->from_tiles - 1);
	assert(rows->from[tile]); /* find_all() found them */
	return rows->from[tile] + (number & ((1 << COLUMNS_LOG2) - 1)) * (int32_t)COLUMN_BYTES +
	       rows->from_row * (int32_t)TILE_Y_RUN_BYTES;
}

static void fetch(const uint8_t *column, int32_t rows)
{
	for (int32_t at = 0; at < rows * (int32_t)TILE_Y_RUN_BYTES; at += LINE_BYTES)
		__builtin_prefetch(column + at);
}

static void whole_column(const struct column *column)
{
	if (column->offset)
		column_shift(column);
	else
		memmove(column->to, column->left, (size_t)column->rows * TILE_Y_RUN_BYTES);
}

/* The bytes from @first to before @end of each row. */
static void part_of_column(const struct column *column, int32_t first, int32_t end)
{
	uint8_t unit[TILE_Y_RUN_BYTES];
	struct column one = { .to = unit, .rows = 1, .offset = column->offset };

	for (int32_t i = 0; i < column->rows; i++) {
		int32_t row = column->upwards ? column->rows - 1 - i : i;
		int32_t at = row * (int32_t)TILE_Y_RUN_BYTES;

		one.left = column->left + at;
		one.right = column->right + at;
		if (one.offset)
			column_sse2(&one);
		else
			copy_16(unit, one.left);
		copy_few(column->to + at + first, unit + first, (uint32_t)(end - first));
	}
}

static void y_column(const struct shift *shift, const struct rows *rows, int32_t number)
{
	const int32_t run = TILE_Y_RUN_BYTES;
	int32_t x = number * run, from_x = x + shift->from_x - shift->x, from = from_x >> RUN_LOG2;
	int32_t first = MAX(shift->x - x, 0), end = MIN(shift->x + shift->width - x, run);
	int32_t tile = (number >> COLUMNS_LOG2) - (shift->x >> shift->shape.width);
	const struct column column = {
		.to = shift->to[tile] +
		      (number & ((1 << COLUMNS_LOG2) - 1)) * (int32_t)COLUMN_BYTES +
		      rows->to_row * run,
		.left = from_column(shift, rows, from),
		.right = from_column(shift, rows, from + 1),
		.rows = rows->count,
		.offset = (uint32_t)from_x % TILE_Y_RUN_BYTES,
		.upwards = shift->op->y_backwards,
	};
	int32_t ahead = shift->op->x_backwards ? -FETCH_COLUMNS : FETCH_COLUMNS;

	fetch(from_column(shift, rows, from + ahead), rows->count);
	if (end - first == run)
		whole_column(&column);
	else
		part_of_column(&column, first, end);
}

/* ---- Blocks --------------------------------------------------------------------------------- */

/* What the source's two rows of tiles have of the block, in the order in which it is done. */
static int split_rows(const struct shift *shift, struct rows rows[2])
{
	int32_t height = 1 << shift->shape.height;
	int32_t to_row = shift->y & (height - 1), from_row = shift->from_y & (height - 1);
	int32_t upper = MIN(height - from_row, shift->height);
	const struct rows parts[2] = {
		{ shift->from[0], to_row, from_row, upper },
		{ shift->from[1], to_row + upper, 0, shift->height - upper },
	};

	if (upper == shift->height) {
		rows[0] = parts[0];
		return 1;
	}
	rows[0] = parts[shift->op->y_backwards ? 1 : 0];
	rows[1] = parts[shift->op->y_backwards ? 0 : 1];
	return 2;
}

static void move_x(const struct shift *shift, const struct rows *rows, int count)
{
	for (int i = 0; i < count; i++)
		x_rows(shift, &rows[i]);
}

static void move_y(const struct shift *shift, const struct rows *rows, int count)
{
	int32_t first = shift->x >> RUN_LOG2, last = (shift->x + shift->width - 1) >> RUN_LOG2;

	for (int32_t column = 0; column <= last - first; column++) {
		int32_t number = shift->op->x_backwards ? last - column : first + column;

		for (int i = 0; i < count; i++)
			y_column(shift, &rows[i], number);
	}
}

static bool may_shift(const struct blt_op *op)
{
	if (op->src.tiling != op->dst.tiling)
		return false;
	/* In X tiles long runs move, which would overlap when a surface is shifted sideways only.
	 */
	if (op->dst.tiling == TILING_X)
		return op->src_dy || op->src.base != op->dst.base;
	return op->dst.tiling == TILING_Y;
}

bool blt_block_shift(struct blt_op *op, int32_t x, int32_t y, const struct blt_block *block)
{
	struct shift shift = {
		.op = op,
		.shape = op->dst.shape,
		.x = x,
		.y = y,
		.from_x = x + op->src_dx * (1 << op->cpp),
		.from_y = y + op->src_dy,
		.width = (int32_t)block->width,
		.height = (int32_t)block->height,
	};
	struct rows rows[2];

	if (!may_shift(op) || !find_all(&shift, op))
		return false;
	if (op->dst.tiling == TILING_X)
		move_x(&shift, rows, split_rows(&shift, rows));
	else
		move_y(&shift, rows, split_rows(&shift, rows));
	return true;
}
