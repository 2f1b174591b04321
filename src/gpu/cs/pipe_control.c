/* SPDX-License-Identifier: MIT */
/*
 * PIPE_CONTROL and MI_FLUSH_DW: post-sync writes, notify interrupts, TLB invalidation.  Called by
 * cs.c on the lane.
 *
 * The engines finish each command before the next, so flushes and stalls have nothing to wait
 * for.  What is left is order: a post-sync write is one store of eight bytes that a CPU sees after
 * all earlier ones (as_write64 releases), and the interrupt follows the store.
 */
#include "gpu/cs/cs.h"

#define PIPE_CONTROL_NOTIFY	     BIT(8)
#define PIPE_CONTROL_POST_SYNC(dw1)  ((dw1) >> 14 & 3)
#define PIPE_CONTROL_TLB_INVALIDATE  BIT(18)
#define PIPE_CONTROL_STORE_INDEX     BIT(21)
#define PIPE_CONTROL_MMIO_WRITE	     BIT(23)
#define PIPE_CONTROL_GLOBAL_GTT	     BIT(24)
#define PIPE_CONTROL_REG_OFFSET_MASK 0x7ffffcu

#define MI_FLUSH_DW_NOTIFY	   BIT(8)
#define MI_FLUSH_DW_POST_SYNC(h)   ((h) >> 14 & 3)
#define MI_FLUSH_DW_TLB_INVALIDATE BIT(18)
#define MI_FLUSH_DW_STORE_INDEX	   BIT(21)
#define MI_FLUSH_DW_USE_GTT	   BIT(2)

enum post_sync { POST_SYNC_NONE, POST_SYNC_IMMEDIATE, POST_SYNC_DEPTH_COUNT, POST_SYNC_TIMESTAMP };

static void invalidate_tlbs(struct cs *cs)
{
	gpu_as_invalidate(cs->workload->ggtt);
	gpu_as_invalidate(cs->workload->ppgtt);
}

/*
 * "Store index": @offset into a status page, the context's own or, when the address type is the
 * GGTT, the engine's.  Both lie in the GGTT.
 */
static gma_t status_slot(struct cs *cs, bool ggtt, gma_t offset)
{
	gma_t page = ggtt ? cs->workload->status_page : cs->workload->context_page;

	return gma(page.v + (offset.v & 0xff8));
}

static enum cs_next post_sync_write(struct cs *cs, bool ggtt, gma_t address, uint64_t value)
{
	if (!as_write64(cs_as(cs, ggtt), address, value))
		return cs_fault_address(cs, ggtt, address, true);
	return CS_ADVANCE;
}

static uint64_t post_sync_value(struct cs *cs, enum post_sync operation, uint64_t immediate)
{
	switch (operation) {
	case POST_SYNC_DEPTH_COUNT:
		return cs_reg64(cs, CS_REG_PS_DEPTH_COUNT);
	case POST_SYNC_TIMESTAMP:
		return gpu_timestamp() & 0xfffffffffull;
	default:
		return immediate;
	}
}

static enum cs_next pipe_control_post_sync(struct cs *cs, const uint32_t *dw)
{
	enum post_sync operation = PIPE_CONTROL_POST_SYNC(dw[1]);
	uint64_t immediate = dw[4] | (uint64_t)dw[5] << 32;
	bool index = dw[1] & PIPE_CONTROL_STORE_INDEX;
	bool ggtt = index || (dw[1] & PIPE_CONTROL_GLOBAL_GTT);
	gma_t address = cs_operand(&dw[2], 2);

	if (dw[1] & PIPE_CONTROL_MMIO_WRITE) {
		if (operation == POST_SYNC_NONE || operation == POST_SYNC_IMMEDIATE)
			cs_reg_write_checked(cs, dw[2] & PIPE_CONTROL_REG_OFFSET_MASK, dw[4]);
		return CS_ADVANCE;
	}
	if (operation == POST_SYNC_NONE || cs_forbidden(cs, ggtt))
		return CS_ADVANCE;
	if (index)
		address = status_slot(cs, dw[1] & PIPE_CONTROL_GLOBAL_GTT, address);
	return post_sync_write(cs, ggtt, address, post_sync_value(cs, operation, immediate));
}

enum cs_next pipe_control(struct cs *cs, const uint32_t *dw)
{
	enum cs_next next;

	if (dw[1] & PIPE_CONTROL_TLB_INVALIDATE)
		invalidate_tlbs(cs);
	next = pipe_control_post_sync(cs, dw);
	if (next == CS_ADVANCE && (dw[1] & PIPE_CONTROL_NOTIFY))
		cs_interrupt(cs, GPU_INTERRUPT_FLUSH_NOTIFY);
	return next;
}

static enum cs_next flush_dw_post_sync(struct cs *cs, const uint32_t *dw, uint32_t dwords)
{
	enum post_sync operation = MI_FLUSH_DW_POST_SYNC(dw[0]);
	bool index = dw[0] & MI_FLUSH_DW_STORE_INDEX;
	bool ggtt = index || (dw[1] & MI_FLUSH_DW_USE_GTT);
	gma_t address = cs_operand(&dw[1], 3);
	uint64_t immediate = dwords > 3 ? dw[3] : 0;

	if (dwords > 4)
		immediate |= (uint64_t)dw[4] << 32;
	if (operation == POST_SYNC_NONE || cs_forbidden(cs, ggtt))
		return CS_ADVANCE;
	if (index)
		address = status_slot(cs, dw[1] & MI_FLUSH_DW_USE_GTT, address);
	/* Without the upper dword of the data only the lower one is written. */
	if (operation == POST_SYNC_IMMEDIATE && dwords < 5) {
		if (!as_write32(cs_as(cs, ggtt), address, (uint32_t)immediate))
			return cs_fault_address(cs, ggtt, address, true);
		return CS_ADVANCE;
	}
	return post_sync_write(cs, ggtt, address, post_sync_value(cs, operation, immediate));
}

enum cs_next mi_flush_dw(struct cs *cs, const uint32_t *dw, uint32_t dwords)
{
	enum cs_next next;

	if (dw[0] & MI_FLUSH_DW_TLB_INVALIDATE)
		invalidate_tlbs(cs);
	next = flush_dw_post_sync(cs, dw, dwords);
	if (next == CS_ADVANCE && (dw[0] & MI_FLUSH_DW_NOTIFY))
		cs_interrupt(cs, GPU_INTERRUPT_FLUSH_NOTIFY);
	return next;
}
