/* SPDX-License-Identifier: MIT */
/*
 * Which parts of BAR0 are plain memory, for a hypervisor that can map them into the guest: the
 * table of the GGTT, whose entries are only looked at after an invalidation by register, and the
 * pages of registers of which all say by their rows that they are plain.  Asked once, when the
 * device is made; vgpu_elsp_slack() on any thread.
 */
#include "vgpu/ggtt.h"
#include "vgpu/mmio.h"

#define PAGES (VGPU_MMIO_BYTES >> PAGE_SHIFT)

enum page_kind { PAGE_TRAPS, PAGE_READABLE, PAGE_WRITABLE };

static bool row_readable(const struct vgpu_reg_row *row)
{
	return !row->read && !(row->flags & (VGPU_REG_WO | VGPU_REG_GPU));
}

static bool row_writable(const struct vgpu_reg_row *row)
{
	return !row->write && row->wmask == UINT32_MAX && !row->w1c &&
	       !(row->flags & (VGPU_REG_RO | VGPU_REG_MASKED | VGPU_REG_GPU));
}

/*
 * A page that no row names stays trapped, so that accesses to it are told as unknown; in others a
 * dword without a row is memory.
 */
static enum page_kind kind_of(uint32_t page)
{
	bool known = false, readable = true, writable = true;

	for (uint32_t at = page << PAGE_SHIFT; at < (page + 1) << PAGE_SHIFT; at += 4) {
		const struct vgpu_reg_row *row = vgpu_reg_find(at);

		if (!row)
			continue;
		known = true;
		readable &= row_readable(row);
		writable &= row_writable(row);
	}
	if (!known || !readable)
		return PAGE_TRAPS;
	return writable ? PAGE_WRITABLE : PAGE_READABLE;
}

static bool mmio_window(struct vgpu *v, unsigned int index, struct vgpu_window *window)
{
	uint32_t end;

	for (uint32_t page = 0; page < PAGES; page = end) {
		enum page_kind kind = kind_of(page);

		for (end = page + 1; end < PAGES && kind_of(end) == kind; end++)
			;
		if (kind == PAGE_TRAPS || index--)
			continue;
		*window = (struct vgpu_window){
			.offset = (uint64_t)page << PAGE_SHIFT,
			.size = (uint64_t)(end - page) << PAGE_SHIFT,
			.host = (uint8_t *)v->vreg + ((size_t)page << PAGE_SHIFT),
			.writable = kind == PAGE_WRITABLE,
		};
		return true;
	}
	return false;
}

bool vgpu_bar0_window(struct vgpu *v, unsigned int index, struct vgpu_window *window)
{
	if (index)
		return mmio_window(v, index - 1, window);
	*window = (struct vgpu_window){
		.offset = VGPU_GTT_OFFSET,
		.size = VGPU_GGTT_BYTES,
		.host = v->ggtt,
		.writable = true,
	};
	return true;
}

uint64_t vgpu_elsp_offset(enum gpu_engine engine)
{
	return REG_RING_ELSP(gpu_engine_base(engine));
}

unsigned int vgpu_elsp_slack(struct vgpu *v)
{
	unsigned int most = 0;

	vgpu_lock(v);
	for_each_engine(id)
		most = MAX(most, v->engines[id].elsp_count);
	vgpu_unlock(v);
	return 3 - most;
}
