/* SPDX-License-Identifier: MIT */
/*
 * Rectangles of some tiles side by side, in and out of surfaces: the page of a tile is translated
 * once and not for each of its rows, and the columns of a Y tile are walked the way they lie in
 * memory.  Row by row, the lines of a row of Y tiles fall into few sets of the cache and push
 * each other out, which is ten times slower.  Called by the blitter on the lane.
 */
#include "gpu/blt/bytes.h"
#include "gpu/blt/op.h"

/* A rectangle inside one tile, and where its first byte is in the block's buffer. */
struct part {
	uint32_t x, y, width, height; /* bytes, rows; in the tile */
	uint8_t *buf;
	uint32_t stride;
};

static inline void move(uint8_t *tile, uint8_t *buf, uint32_t n, bool write)
{
	if (write)
		copy_run(tile, buf, n);
	else
		copy_run(buf, tile, n);
}

static void part_x(uint8_t *tile, const struct part *part, bool write)
{
	tile += part->y * TILE_X_WIDTH_BYTES + part->x;
	for (uint32_t y = 0; y < part->height; y++)
		move(tile + y * TILE_X_WIDTH_BYTES, part->buf + y * part->stride, part->width,
		     write);
}

/* Some bytes of one column of 16, @lines: the places of the rows. */
static inline __attribute__((always_inline)) void column(uint8_t *tile, const uint16_t *lines,
							 const struct part *part, uint32_t at,
							 uint32_t n, bool write)
{
	for (uint32_t y = 0; y < part->height; y++)
		move(tile + lines[y], part->buf + at + y * part->stride, n, write);
}

static void part_columns(const struct blt_surface *s, uint8_t *tile, const struct part *part,
			 bool write)
{
	const uint16_t *lines = &s->line[part->y];

	for (uint32_t at = 0; at < part->width;) {
		uint32_t x = part->x + at, in_run = x % TILE_Y_RUN_BYTES;
		uint32_t n = MIN(TILE_Y_RUN_BYTES - in_run, part->width - at);
		uint8_t *to = tile + s->column[x / TILE_Y_RUN_BYTES] + in_run;

		if (n == TILE_Y_RUN_BYTES && write)
			column(to, lines, part, at, TILE_Y_RUN_BYTES, true);
		else if (n == TILE_Y_RUN_BYTES)
			column(to, lines, part, at, TILE_Y_RUN_BYTES, false);
		else
			column(to, lines, part, at, n, write);
		at += n;
	}
}

/* The slow way, row by row, when the tile has no host mapping or faults. */
static bool part_rows(struct blt_surface *s, int32_t x, int32_t y, const struct part *part,
		      bool write, struct blt_fault *fault)
{
	for (uint32_t i = 0; i < part->height; i++) {
		uint8_t *buf = part->buf + i * part->stride;
		bool done = write ? blt_surface_write(s, x, y + (int32_t)i, buf, part->width, fault)
				  : blt_surface_read(s, x, y + (int32_t)i, buf, part->width, fault);

		if (!done)
			return false;
	}
	return true;
}

uint8_t *blt_tile_host(struct blt_surface *s, int32_t x, int32_t y, unsigned int access)
{
	int64_t tile = (int64_t)(y >> s->shape.height) * s->tiles_per_row + (x >> s->shape.width);

	return as_host(s->as, as_cut(s->as, gma(s->base + ((uint64_t)tile << s->shape.bytes))),
		       access);
}

uint8_t *blt_tiles_host(struct blt_surface *s, int32_t x, int32_t y, uint32_t count,
			unsigned int access)
{
	uint8_t *first = blt_tile_host(s, x, y, access);

	for (uint32_t i = 1; first && i < count; i++) {
		int32_t next = x + (int32_t)(i << s->shape.width);

		if (blt_tile_host(s, next, y, access) != first + (size_t)i * TILE_BYTES)
			return NULL;
	}
	return first;
}

static bool move_part(struct blt_surface *s, int32_t x, int32_t y, const struct part *part,
		      bool write, struct blt_fault *fault)
{
	uint8_t *tile = blt_tile_host(s, x, y, write ? GPU_WRITE : GPU_READ);

	if (unlikely(!tile))
		return part_rows(s, x, y, part, write, fault);
	if (s->tiling == TILING_X)
		part_x(tile, part, write);
	else
		part_columns(s, tile, part, write);
	return true;
}

static bool move_block(struct blt_surface *s, int32_t x, int32_t y, struct blt_block *block,
		       bool write, struct blt_fault *fault)
{
	uint32_t tile_width = 1u << s->shape.width, tile_height = 1u << s->shape.height;
	struct part part = { .stride = block->width };

	if (s->tiling == TILING_LINEAR) {
		part.buf = block->bytes;
		part.width = block->width;
		part.height = block->height;
		return part_rows(s, x, y, &part, write, fault);
	}
	for (uint32_t down = 0; down < block->height; down += part.height) {
		part.y = (uint32_t)(y + (int32_t)down) & (tile_height - 1);
		part.height = MIN(tile_height - part.y, block->height - down);
		for (uint32_t right = 0; right < block->width; right += part.width) {
			part.x = (uint32_t)(x + (int32_t)right) & (tile_width - 1);
			part.width = MIN(tile_width - part.x, block->width - right);
			part.buf = block->bytes + down * block->width + right;
			if (!move_part(s, x + (int32_t)right, y + (int32_t)down, &part, write,
				       fault))
				return false;
		}
	}
	return true;
}

bool blt_block_read(struct blt_surface *s, int32_t x, int32_t y, struct blt_block *block,
		    struct blt_fault *fault)
{
	return move_block(s, x, y, block, false, fault);
}

bool blt_block_write(struct blt_surface *s, int32_t x, int32_t y, struct blt_block *block,
		     struct blt_fault *fault)
{
	return move_block(s, x, y, block, true, fault);
}

/* ---- Between a linear and a tiled surface --------------------------------------------------- */

/* Host addresses of the block's rows; false when one of them has none or is in two places. */
static bool find_rows(struct blt_surface *s, int32_t x, int32_t y, const struct blt_block *block,
		      unsigned int access, uint8_t **rows)
{
	for (uint32_t i = 0; i < block->height; i++) {
		uint64_t first = as_cut(s->as, gma(blt_linear_address(s, x, y + (int32_t)i)));
		uint64_t last = as_cut(s->as, gma(first + block->width - 1));

		rows[i] = as_host(s->as, first, access);
		if (!rows[i])
			return false;
		if (PAGE_OFFSET(first) + block->width > PAGE_BYTES &&
		    as_host(s->as, last, access) != rows[i] + block->width - 1)
			return false;
	}
	return true;
}

/* @at: of the tile's part in the block's rows. */
static void rows_in_x_tile(const struct blt_surface *s, uint8_t *tile, const struct part *part,
			   uint8_t *const *rows, uint32_t at, bool write)
{
	for (uint32_t y = 0; y < part->height; y++)
		move(tile + s->line[part->y + y] + part->x, rows[y] + at, part->width, write);
}

static inline __attribute__((always_inline)) void
rows_in_columns(const struct blt_surface *s, uint8_t *tile, const struct part *part,
		uint8_t *const *rows, uint32_t at, bool write)
{
	const uint16_t *places = &s->column[part->x / TILE_Y_RUN_BYTES];
	uint32_t runs = part->width / TILE_Y_RUN_BYTES;

	for (uint32_t y = 0; y < part->height; y++) {
		uint8_t *line = tile + s->line[part->y + y], *row = rows[y] + at;

		for (uint32_t i = 0; i < runs; i++)
			move(line + places[i], row + i * TILE_Y_RUN_BYTES, TILE_Y_RUN_BYTES, write);
	}
}

bool blt_block_direct(struct blt_surface *tiled, int32_t tx, int32_t ty, struct blt_surface *linear,
		      int32_t lx, int32_t ly, const struct blt_block *block, bool write)
{
	uint32_t tile_width = 1u << tiled->shape.width;
	uint32_t in_tile = (uint32_t)ty & ((1u << tiled->shape.height) - 1);
	struct part part = { .y = in_tile, .height = block->height };
	uint8_t *rows[BLT_MAX_LINES];

	/* Whole columns inside one row of tiles; what is at the edges may take the longer way. */
	if (in_tile + block->height > 1u << tiled->shape.height)
		return false;
	if (tiled->tiling != TILING_X && (((uint32_t)tx | block->width) & (TILE_Y_RUN_BYTES - 1)))
		return false;
	if (!find_rows(linear, lx, ly, block, write ? GPU_READ : GPU_WRITE, rows))
		return false;
	for (uint32_t right = 0; right < block->width; right += part.width) {
		uint8_t *tile =
			blt_tile_host(tiled, tx + (int32_t)right, ty, write ? GPU_WRITE : GPU_READ);

		if (!tile)
			return false;
		part.x = (uint32_t)(tx + (int32_t)right) & (tile_width - 1);
		part.width = MIN(tile_width - part.x, block->width - right);
		if (tiled->tiling == TILING_X)
			rows_in_x_tile(tiled, tile, &part, rows, right, write);
		else if (write)
			rows_in_columns(tiled, tile, &part, rows, right, true);
		else
			rows_in_columns(tiled, tile, &part, rows, right, false);
	}
	return true;
}
