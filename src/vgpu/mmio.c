/* SPDX-License-Identifier: MIT */
/*
 * The register file: finds a register's row, does what its attributes say, calls its handler.
 * Any thread.  The values are atomic words; only handlers take vgpu->lock (see mmio.h).
 */
#include "vgpu/mmio.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include "base/log.h"
#include "base/trace.h"

#define MMIO_DWORDS (VGPU_MMIO_BYTES / 4)

/* Row number + 1 of each dword; the pages of regions without registers stay untouched. */
static uint16_t row_of[MMIO_DWORDS];
static pthread_once_t row_once = PTHREAD_ONCE_INIT;
_Static_assert(VGPU_REG_ROWS < UINT16_MAX, "row numbers fit 16 bits");

static void rows_index(void)
{
	for (unsigned int n = 0; n < VGPU_REG_ROWS; n++)
		for (uint32_t at = vgpu_reg_rows[n].offset; at < vgpu_reg_rows[n].end; at += 4)
			row_of[at / 4] = (uint16_t)(n + 1);
}

const struct vgpu_reg_row *vgpu_reg_find(uint32_t offset)
{
	unsigned int row = row_of[offset / 4];

	return row ? &vgpu_reg_rows[row - 1] : NULL;
}

const char *vgpu_register_name(uint32_t offset)
{
	const struct vgpu_reg_row *row;

	pthread_once(&row_once, rows_index);
	row = offset < VGPU_MMIO_BYTES ? vgpu_reg_find(offset) : NULL;
	return row ? row->name : NULL;
}

static void note_unknown(struct vgpu *v, uint32_t offset, const char *what)
{
	vgpu_count(&vgpu_accesses(v)->unknown_registers);
	log_limited(LOG_DEBUG, "%s of unknown register 0x%06x", what, offset);
}

static void store_row(struct vgpu *v, const struct vgpu_reg_row *row, uint32_t offset,
		      uint32_t value)
{
	uint32_t mask = row->wmask;

	if (row->flags & VGPU_REG_RO)
		return;
	if (row->flags & VGPU_REG_MASKED)
		mask = value >> 16;
	/* Of the bits that a one clears, the ones become zeros, and the others stay. */
	if (mask != UINT32_MAX || row->w1c)
		vgpu_vreg_replace(v, offset, mask & (~row->w1c | value), value & ~row->w1c);
	else
		vgpu_vreg_set(v, offset, value);
}

void vgpu_reg_store(struct vgpu *v, uint32_t offset, uint32_t value)
{
	const struct vgpu_reg_row *row = vgpu_reg_find(offset);

	if (row)
		store_row(v, row, offset, value);
	else
		vgpu_vreg_set(v, offset, value);
}

/* The engine that keeps the register: what lies outside the blocks is the render engine's. */
static enum gpu_engine engine_with(uint32_t offset)
{
	for_each_engine(e)
		if ((offset & ~(uint32_t)(PAGE_BYTES - 1)) == gpu_engine_base(e))
			return e;
	return GPU_RCS;
}

static uint32_t read_row(struct vgpu *v, const struct vgpu_reg_row *row, uint32_t offset)
{
	uint32_t value;

	if (row->flags & VGPU_REG_WO)
		return 0;
	if ((row->flags & VGPU_REG_GPU) &&
	    v->config.gpu->ops->reg_read(v->config.gpu, engine_with(offset), offset, &value))
		return value;
	if (!row->read)
		return vgpu_vreg(v, offset);
	if (row->flags & (VGPU_REG_UNLOCKED | VGPU_REG_LOCKFREE))
		return row->read(v, offset);
	vgpu_lock(v);
	value = row->read(v, offset);
	vgpu_unlock(v);
	return value;
}

static void write_row(struct vgpu *v, const struct vgpu_reg_row *row, uint32_t offset,
		      uint32_t value)
{
	if ((row->flags & VGPU_REG_GPU) &&
	    v->config.gpu->ops->reg_write(v->config.gpu, engine_with(offset), offset, value))
		return;
	if (!row->write) {
		store_row(v, row, offset, value);
		return;
	}
	if (row->flags & VGPU_REG_UNLOCKED) {
		row->write(v, offset, value);
		return;
	}
	vgpu_lock(v);
	row->write(v, offset, value);
	vgpu_unlock(v);
}

uint32_t vgpu_reg_read(struct vgpu *v, uint32_t offset)
{
	const struct vgpu_reg_row *row = vgpu_reg_find(offset);

	if (likely(row))
		return read_row(v, row, offset);
	note_unknown(v, offset, "read");
	return vgpu_vreg(v, offset);
}

void vgpu_reg_write(struct vgpu *v, uint32_t offset, uint32_t value)
{
	const struct vgpu_reg_row *row = vgpu_reg_find(offset);

	if (likely(row)) {
		write_row(v, row, offset, value);
		return;
	}
	note_unknown(v, offset, "write");
	vgpu_vreg_set(v, offset, value);
}

/* ---- From the command streamer --------------------------------------------------------------- */

uint32_t vgpu_reg_read_cs(struct vgpu *v, enum gpu_engine engine, uint32_t offset)
{
	struct gpu *gpu = v->config.gpu;
	uint32_t value;

	if (offset >= VGPU_MMIO_BYTES)
		return 0;
	offset &= ~3u;
	if (gpu->ops->reg_read(gpu, engine, offset, &value))
		return value;
	return vgpu_reg_read(v, offset);
}

void vgpu_reg_write_cs(struct vgpu *v, enum gpu_engine engine, uint32_t offset, uint32_t value)
{
	const struct vgpu_reg_row *row;
	struct gpu *gpu = v->config.gpu;

	if (offset >= VGPU_MMIO_BYTES)
		return;
	offset &= ~3u;
	if (gpu->ops->reg_write(gpu, engine, offset, value))
		return;
	row = vgpu_reg_find(offset);
	if (!row) {
		note_unknown(v, offset, "command's write");
		return;
	}
	if (!(row->flags & VGPU_REG_CS)) {
		log_limited(LOG_DEBUG, "%s: command writes %s (0x%06x): ignored",
			    gpu_engine_name(engine), row->name, offset);
		return;
	}
	vgpu_reg_write(v, offset, value);
}

/* ---- From the BAR ---------------------------------------------------------------------------- */

static uint64_t read_qword(struct vgpu *v, uint32_t offset)
{
	const struct vgpu_reg_row *row = vgpu_reg_find(offset);
	uint32_t lo, hi = vgpu_reg_read(v, offset + 4);
	uint32_t again;

	for (;;) {
		lo = vgpu_reg_read(v, offset);
		if (!row || !(row->flags & VGPU_REG_QWORD))
			break;
		again = vgpu_reg_read(v, offset + 4);
		if (again == hi)
			break;
		hi = again;
	}
	return (uint64_t)hi << 32 | lo;
}

void vgpu_mmio_read(struct vgpu *v, uint32_t offset, void *buf, size_t len)
{
	uint8_t *out = buf;

	if (len == 8 && !(offset & 7)) {
		uint64_t value = read_qword(v, offset);

		memcpy(out, &value, 8);
		vgpu_count(&vgpu_accesses(v)->reg_reads);
		TRACE(vgpu_mmio_read, offset, len, value, 0);
		return;
	}
	while (len) {
		uint32_t skip = offset & 3;
		size_t n = MIN(len, (size_t)(4 - skip));
		uint32_t value = vgpu_reg_read(v, offset & ~3u) >> (8 * skip);

		memcpy(out, &value, n);
		vgpu_count(&vgpu_accesses(v)->reg_reads);
		TRACE(vgpu_mmio_read, offset, n, value, 0);
		offset += (uint32_t)n;
		out += n;
		len -= n;
	}
}

/*
 * Less than a dword: what the register holds supplies the rest, but for bits that a written 1
 * clears, where that is 0.
 */
static uint32_t merge(struct vgpu *v, uint32_t offset, const uint8_t *bytes, size_t n)
{
	const struct vgpu_reg_row *row = vgpu_reg_find(offset);
	uint32_t value = vgpu_vreg(v, offset & ~3u);

	if (row && n < 4) {
		if (row->flags & VGPU_REG_GPU)
			value = read_row(v, row, offset & ~3u);
		value &= ~row->w1c;
	}
	memcpy((uint8_t *)&value + (offset & 3), bytes, n);
	return value;
}

void vgpu_mmio_write(struct vgpu *v, uint32_t offset, const void *buf, size_t len)
{
	const uint8_t *in = buf;

	while (len) {
		size_t n = MIN(len, (size_t)(4 - (offset & 3)));
		uint32_t value = merge(v, offset, in, n);

		vgpu_count(&vgpu_accesses(v)->reg_writes);
		TRACE(vgpu_mmio_write, offset, n, value, 0);
		vgpu_reg_write(v, offset & ~3u, value);
		offset += (uint32_t)n;
		in += n;
		len -= n;
	}
}

/* ---- Life ------------------------------------------------------------------------------------ */

static void clear(struct vgpu *v, uint32_t first, uint32_t end)
{
	for (uint32_t at = first; at < end; at += 4)
		if (vgpu_vreg(v, at))
			vgpu_vreg_set(v, at, 0);
}

void vgpu_mmio_reset(struct vgpu *v, uint32_t first, uint32_t end)
{
	if (end - first == VGPU_MMIO_BYTES)
		madvise((void *)v->vreg, VGPU_MMIO_BYTES, MADV_DONTNEED); /* zeros again */
	else
		clear(v, first, end);
	for (unsigned int n = 0; n < VGPU_REG_ROWS; n++) {
		const struct vgpu_reg_row *row = &vgpu_reg_rows[n];

		if (!row->reset)
			continue;
		for (uint32_t at = row->offset; at < row->end; at += 4)
			if (at >= first && at < end)
				vgpu_vreg_set(v, at, row->reset);
	}
}

int vgpu_mmio_init(struct vgpu *v)
{
	void *map = mmap(NULL, VGPU_MMIO_BYTES, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (map == MAP_FAILED)
		return -errno;
	pthread_once(&row_once, rows_index);
	v->vreg = map;
	return 0;
}

void vgpu_mmio_fini(struct vgpu *v)
{
	if (v->vreg)
		munmap(v->vreg, VGPU_MMIO_BYTES);
	v->vreg = NULL;
}
