/* SPDX-License-Identifier: MIT */
/*
 * Rows of surfaces in memory: linear ones run by run, tiled ones a tile at a time.  A page is
 * translated once for each run or row of a tile, never for a pixel.  Called by the blitter on the
 * lane; pages are found through the TLB of the address space, those without a host mapping through
 * its owner's methods.
 *
 * Coordinates may be negative, then memory below the base is meant; addresses wrap at the end of
 * the address space.  Whatever a guest asks for ends at a page that its tables map, or faults.
 */
#include "gpu/blt/bytes.h"
#include "gpu/blt/op.h"

/* The places of runs and rows in a tile, so that pixels cost no arithmetic. */
static void init_places(struct blt_surface *s)
{
	uint32_t columns = 1u << (s->shape.width - s->shape.run);

	for (uint32_t i = 0; i < columns; i++)
		s->column[i] = (uint16_t)tile_x_part(s->tiling, s->cpp, i << s->shape.run);
	for (uint32_t i = 0; i < 1u << s->shape.height; i++)
		s->line[i] = (uint16_t)tile_y_part(s->tiling, s->cpp, i);
}

void blt_surface_init(struct blt_surface *s, struct gpu_as *as, uint64_t base, int32_t pitch,
		      enum tiling tiling, unsigned int cpp)
{
	s->as = as;
	s->base = base;
	s->pitch = pitch;
	s->tiling = tiling;
	s->cpp = cpp;
	s->slow = 0;
	if (tiling == TILING_LINEAR)
		return;
	s->shape = tile_shape(tiling, cpp);
	s->base &= ~(PAGE_BYTES - 1);
	/* A pitch that is no multiple of the tile's width is an error of the program; hardware
	 * promises nothing.  Whole tiles, then. */
	s->tiles_per_row = pitch >> s->shape.width;
	init_places(s);
}

/* ---- Any bytes, mapped or not --------------------------------------------------------------- */

static uint64_t cut(const struct blt_surface *s, uint64_t at)
{
	return as_cut(s->as, gma(at));
}

static bool read_bytes(struct blt_surface *s, uint64_t at, uint8_t *buf, uint32_t n,
		       struct blt_fault *fault)
{
	s->slow++;
	fault->write = false;
	return gpu_as_read(s->as, gma(at), buf, n, &fault->at) == 0;
}

static bool write_bytes(struct blt_surface *s, uint64_t at, const uint8_t *buf, uint32_t n,
			struct blt_fault *fault)
{
	s->slow++;
	fault->write = true;
	return gpu_as_write(s->as, gma(at), buf, n, &fault->at) == 0;
}

static uint32_t to_page_end(uint64_t at, uint32_t n)
{
	return MIN(n, (uint32_t)(PAGE_BYTES - PAGE_OFFSET(at)));
}

/* ---- Stores under a mask -------------------------------------------------------------------- */

/* Neither more nor less than the bytes whose mask is set: what lies between belongs to others. */
static void store_masked(uint8_t *to, const uint8_t *buf, const uint8_t *mask, uint32_t n)
{
	uint32_t i = 0;

	for (; i + 4 <= n; i += 4) {
		uint32_t m;

		memcpy(&m, mask + i, sizeof(m));
		if (m == UINT32_MAX) {
			memcpy(to + i, buf + i, 4);
		} else if (m == 0x00ffffff) {
			memcpy(to + i, buf + i, 2);
			to[i + 2] = buf[i + 2];
		} else if (m) {
			for (uint32_t j = i; j < i + 4; j++)
				if (mask[j])
					to[j] = buf[j];
		}
	}
	for (; i < n; i++)
		if (mask[i])
			to[i] = buf[i];
}

static bool write_bytes_masked(struct blt_surface *s, uint64_t at, const uint8_t *buf,
			       const uint8_t *mask, uint32_t n, struct blt_fault *fault)
{
	for (uint32_t i = 0; i < n;) {
		uint32_t end = i;

		while (end < n && mask[end])
			end++;
		if (end > i && !write_bytes(s, at + i, buf + i, end - i, fault))
			return false;
		i = end + 1;
	}
	return true;
}

/* ---- Rows ----------------------------------------------------------------------------------- */

/* What to do with the bytes of a row. */
struct row_job {
	unsigned int access;
	uint8_t *in;	     /* GPU_READ: bytes come here */
	const uint8_t *out;  /* GPU_WRITE: bytes come from here */
	const uint8_t *mask; /* NULL: all */
	struct blt_fault *fault;
};

static inline void move_run(const struct row_job *job, uint8_t *host, uint32_t at, uint32_t n)
{
	if (job->access == GPU_READ)
		copy_run(job->in + at, host, n);
	else if (!job->mask)
		copy_run(host, job->out + at, n);
	else
		store_masked(host, job->out + at, job->mask + at, n);
}

static bool move_bytes(struct blt_surface *s, const struct row_job *job, uint64_t address,
		       uint32_t at, uint32_t n)
{
	if (job->access == GPU_READ)
		return read_bytes(s, address, job->in + at, n, job->fault);
	if (!job->mask)
		return write_bytes(s, address, job->out + at, n, job->fault);
	return write_bytes_masked(s, address, job->out + at, job->mask + at, n, job->fault);
}

static bool linear_row(struct blt_surface *s, uint64_t address, const struct row_job *job,
		       uint32_t n)
{
	for (uint32_t at = 0; at < n;) {
		uint64_t here = cut(s, address + at);
		uint32_t part = to_page_end(here, n - at);
		uint8_t *host = as_host(s->as, here, job->access);

		if (likely(host))
			move_run(job, host, at, part);
		else if (!move_bytes(s, job, here, at, part))
			return false;
		at += part;
	}
	return true;
}

/* Columns of 16 bytes of one row inside a tile that has a host mapping; @x inside the tile. */
static void tile_columns(const struct blt_surface *s, uint8_t *row, uint32_t x,
			 const struct row_job *job, uint32_t at, uint32_t n)
{
	const uint16_t *column = &s->column[x / TILE_Y_RUN_BYTES];
	uint32_t head = x % TILE_Y_RUN_BYTES, end = at + n;

	if (head) {
		uint32_t part = MIN(TILE_Y_RUN_BYTES - head, n);

		move_run(job, row + *column++ + head, at, part);
		at += part;
	}
	if (job->access == GPU_READ) {
		for (; at + TILE_Y_RUN_BYTES <= end; at += TILE_Y_RUN_BYTES)
			memcpy(job->in + at, row + *column++, TILE_Y_RUN_BYTES);
	} else if (!job->mask) {
		for (; at + TILE_Y_RUN_BYTES <= end; at += TILE_Y_RUN_BYTES)
			memcpy(row + *column++, job->out + at, TILE_Y_RUN_BYTES);
	}
	for (; at < end; at += TILE_Y_RUN_BYTES)
		move_run(job, row + *column++, at, MIN(TILE_Y_RUN_BYTES, end - at));
}

/* One row inside a tile, run by run, wherever its pages are. */
static bool tile_runs(struct blt_surface *s, uint64_t row, uint32_t x, const struct row_job *job,
		      uint32_t at, uint32_t n)
{
	uint32_t run = 1u << s->shape.run;

	while (n) {
		uint32_t in_run = x & (run - 1), part = MIN(run - in_run, n);
		uint64_t address = cut(s, row + s->column[x >> s->shape.run] + in_run);
		uint8_t *host = as_host(s->as, address, job->access);

		if (host)
			move_run(job, host, at, part);
		else if (!move_bytes(s, job, address, at, part))
			return false;
		x += part;
		at += part;
		n -= part;
	}
	return true;
}

static bool tiled_row(struct blt_surface *s, int32_t x, int32_t y, const struct row_job *job,
		      uint32_t n)
{
	const struct tile_shape *shape = &s->shape;
	int64_t tile_row = (int64_t)(y >> shape->height) * s->tiles_per_row;
	uint32_t width = 1u << shape->width;
	uint32_t row_part = s->line[(uint32_t)y & ((1u << shape->height) - 1)];

	for (uint32_t at = 0; at < n;) {
		uint32_t in_tile = (uint32_t)x & (width - 1), part = MIN(width - in_tile, n - at);
		int64_t tile = tile_row + (x >> shape->width);
		uint64_t address = cut(s, s->base + ((uint64_t)tile << shape->bytes) + row_part);
		uint8_t *host = NULL;

		if (shape->bytes == PAGE_SHIFT)
			host = as_host(s->as, address, job->access);
		if (unlikely(!host)) {
			if (!tile_runs(s, address, in_tile, job, at, part))
				return false;
		} else if (s->tiling == TILING_X) {
			move_run(job, host + in_tile, at, part);
		} else {
			tile_columns(s, host, in_tile, job, at, part);
		}
		at += part;
		x += (int32_t)part;
	}
	return true;
}

static bool row(struct blt_surface *s, int32_t x, int32_t y, const struct row_job *job, uint32_t n)
{
	if (s->tiling == TILING_LINEAR)
		return linear_row(s, blt_linear_address(s, x, y), job, n);
	return tiled_row(s, x, y, job, n);
}

bool blt_surface_read(struct blt_surface *s, int32_t x, int32_t y, uint8_t *buf, uint32_t n,
		      struct blt_fault *fault)
{
	const struct row_job job = { .access = GPU_READ, .in = buf, .fault = fault };

	return row(s, x, y, &job, n);
}

bool blt_surface_write(struct blt_surface *s, int32_t x, int32_t y, const uint8_t *buf, uint32_t n,
		       struct blt_fault *fault)
{
	const struct row_job job = { .access = GPU_WRITE, .out = buf, .fault = fault };

	return row(s, x, y, &job, n);
}

bool blt_surface_write_masked(struct blt_surface *s, int32_t x, int32_t y, const uint8_t *buf,
			      const uint8_t *mask, uint32_t n, struct blt_fault *fault)
{
	const struct row_job job = {
		.access = GPU_WRITE, .out = buf, .mask = mask, .fault = fault
	};

	return row(s, x, y, &job, n);
}
