/* SPDX-License-Identifier: MIT */
/*
 * Context images.  The register page is a program of MI_LOAD_REGISTER_IMM blocks that the driver
 * laid out: restoring performs it, saving replaces its values.  It is copied once; what was
 * checked is not read again, but for RING_TAIL, which the driver moves while the context runs and
 * which is therefore never written back.
 *
 * On the lane, in a guest section, without vgpu->lock.
 */
#include "vgpu/context.h"

#include <string.h>

#include "base/trace.h"
#include "vgpu/mmio.h"

#define REGISTER_PAGE PAGE_BYTES /* into the image: page 0 is the context's status page */

/* The blocks of the ring and of the address space end before this dword; always restored. */
#define COMMON_END 0x40u

/* Where the blitter's state rests in the register page, behind all that a driver lays out there. */
#define BLT_STATE_AT 0x300u
_Static_assert(BLT_STATE_AT * 4 + sizeof(struct gpu_blt_state) <= PAGE_BYTES, "it fits the page");

#define MI_OPCODE(dw)	     ((dw) >> 23)
#define MI_NOOP		     0x00u
#define MI_BATCH_BUFFER_END  0x0au
#define MI_LOAD_REGISTER_IMM 0x22u

#define CTX_CTRL_RESTORE_INHIBIT BIT(0) /* CTX_CTRL_ENGINE_CTX_RESTORE_INHIBIT */
#define RING_VALID		 BIT(0)
#define RING_NR_PAGES		 0x001ff000u
#define RING_HEAD_MASK		 0x001ffffcu
#define RING_TAIL_MASK		 0x001ffff8u
#define BB_ADDR_VALID		 BIT(0)
#define BB_STATE_PPGTT		 BIT(5)
#define MI_MODE_PREDICATE	 0xfu

/* ---- Reading the page ------------------------------------------------------------------------ */

static bool add_block(struct vgpu_context *ctx, unsigned int at, unsigned int n, unsigned int end)
{
	if (n > CONTEXT_MAX_PAIRS - ctx->pairs || at + 2 * n > end)
		return false;
	for (unsigned int i = 0; i < n; i++, at += 2) {
		ctx->pair[ctx->pairs].offset = ctx->page[at] & (VGPU_MMIO_BYTES - 4);
		ctx->pair[ctx->pairs].at = (uint16_t)(at + 1);
		ctx->pairs++;
		if (at < COMMON_END)
			ctx->common_pairs = ctx->pairs;
	}
	return true;
}

/* Lists the registers the page names before dword @end; false when it is no such program. */
static bool parse_page(struct vgpu_context *ctx, unsigned int end)
{
	unsigned int at = 0;

	ctx->pairs = ctx->common_pairs = 0;
	while (at < end) {
		uint32_t dw = ctx->page[at];
		unsigned int pairs = ((dw & 0xff) + 1) / 2;

		if (MI_OPCODE(dw) == MI_NOOP) {
			at++;
			continue;
		}
		if (MI_OPCODE(dw) != MI_LOAD_REGISTER_IMM)
			return MI_OPCODE(dw) == MI_BATCH_BUFFER_END;
		if (!add_block(ctx, at + 1, pairs, end))
			return false;
		at += 1 + 2 * pairs;
	}
	return true;
}

static const struct context_pair *find_pair(const struct vgpu_context *ctx, uint32_t offset)
{
	for (unsigned int i = 0; i < ctx->common_pairs; i++)
		if (ctx->pair[i].offset == offset)
			return &ctx->pair[i];
	return NULL;
}

/* The value the page has for @offset, 0 when it names no such register. */
static uint32_t page_value(const struct vgpu_context *ctx, uint32_t offset)
{
	const struct context_pair *pair = find_pair(ctx, offset);

	return pair ? ctx->page[pair->at] : 0;
}

static uint64_t page_value64(const struct vgpu_context *ctx, uint32_t lo, uint32_t hi)
{
	return (uint64_t)page_value(ctx, hi) << 32 | page_value(ctx, lo);
}

/* ---- Restoring ------------------------------------------------------------------------------- */

static void restore_pair(struct vgpu_engine *e, const struct context_pair *pair)
{
	struct gpu *gpu = e->vgpu->config.gpu;
	uint32_t value = e->context.page[pair->at];
	uint32_t reg = pair->offset - e->base;

	/* The clock is not set by a context; the ring and its batches are the workload's. */
	if (reg == REG_RING_TIMESTAMP(0) || reg == REG_RING_TIMESTAMP_UDW(0))
		return;
	if (pair->at < COMMON_END && reg < PAGE_BYTES) {
		const struct vgpu_reg_row *row = vgpu_reg_find(pair->offset);

		if (row && (row->flags & VGPU_REG_CTX) &&
		    !gpu->ops->reg_write(gpu, e->id, pair->offset, value))
			vgpu_reg_store(e->vgpu, pair->offset, value);
		return;
	}
	if (reg == REG_RING_MI_MODE(0))
		e->workload.cs.set_predicate = value & MI_MODE_PREDICATE;
	vgpu_reg_write_cs(e->vgpu, e->id, pair->offset, value);
}

/* Set-ups of the blitter, and how far a blit is that was preempted. */
static void restore_blitter(struct vgpu_engine *e, bool inhibited)
{
	struct gpu_blt_state *state = &e->workload.blt;

	memset(state, 0, sizeof(*state));
	if (e->id == GPU_BCS && !inhibited)
		memcpy(state, &e->context.page[BLT_STATE_AT], sizeof(*state));
}

static void restore_registers(struct vgpu_engine *e)
{
	struct vgpu_context *ctx = &e->context;
	uint32_t control = page_value(ctx, REG_RING_CONTEXT_CONTROL(e->base));
	uint32_t inhibit = CTX_CTRL_RESTORE_INHIBIT | CTX_CTRL_RESTORE_INHIBIT << 16;
	unsigned int pairs = ctx->pairs;

	if ((control & inhibit) == inhibit)
		pairs = ctx->common_pairs;
	restore_blitter(e, pairs != ctx->pairs);
	for (unsigned int i = 0; i < pairs; i++)
		restore_pair(e, &ctx->pair[i]);
}

static bool set_ring(struct vgpu_engine *e)
{
	const struct vgpu_context *ctx = &e->context;
	struct gpu_workload *w = &e->workload;
	uint32_t ctl = page_value(ctx, REG_RING_CTL(e->base));

	w->ring_start = gma(page_value(ctx, REG_RING_START(e->base)) & ~(uint32_t)(PAGE_BYTES - 1));
	w->ring_bytes = (ctl & RING_NR_PAGES) + (uint32_t)PAGE_BYTES;
	w->cs.head = page_value(ctx, REG_RING_HEAD(e->base)) & RING_HEAD_MASK;
	w->cs.tail = page_value(ctx, REG_RING_TAIL(e->base)) & RING_TAIL_MASK;
	return (ctl & RING_VALID) && w->cs.head < w->ring_bytes && w->cs.tail < w->ring_bytes;
}

static void set_batches(struct vgpu_engine *e)
{
	const struct vgpu_context *ctx = &e->context;
	struct gpu_cs_state *cs = &e->workload.cs;
	const uint32_t lo[2] = { REG_RING_BBADDR(e->base), REG_RING_SBBADDR(e->base) };
	const uint32_t hi[2] = { REG_RING_BBADDR_UDW(e->base), REG_RING_SBBADDR_UDW(e->base) };
	const uint32_t state[2] = { REG_RING_BBSTATE(e->base), REG_RING_SBBSTATE(e->base) };

	for (unsigned int i = 0; i < 2; i++) {
		uint64_t head = page_value64(ctx, lo[i], hi[i]);

		cs->bb_valid[i] = (head & BB_ADDR_VALID) != 0;
		cs->bb_head[i] = head & ~3ull;
		cs->bb_ppgtt[i] = (page_value(ctx, state[i]) & BB_STATE_PPGTT) != 0;
	}
	cs->set_predicate = 0;
	/* A second level without a first is nowhere to return to. */
	cs->bb_valid[1] &= cs->bb_valid[0];
}

static void set_workaround_batches(struct vgpu_engine *e)
{
	const struct vgpu_context *ctx = &e->context;
	struct gpu_workload *w = &e->workload;
	uint32_t indirect = page_value(ctx, REG_RING_INDIRECT_CTX(e->base));
	uint32_t per_ctx = page_value(ctx, REG_RING_BB_PER_CTX_PTR(e->base));

	w->indirect_ctx = gma(indirect & ~0x3fu);
	w->indirect_ctx_bytes = (indirect & 0x3f) * 64;
	w->per_ctx = gma(per_ctx & 1 ? per_ctx & ~0xfffu : 0);
}

static bool set_address_space(struct vgpu_engine *e)
{
	const struct vgpu_context *ctx = &e->context;
	gpa_t pdp[4];

	for (unsigned int i = 0; i < 4; i++)
		pdp[i] = gpa(page_value64(ctx, REG_GEN8_RING_PDP_LDW(e->base, i),
					  REG_GEN8_RING_PDP_UDW(e->base, i)));
	switch (CTX_DESC_MODE(ctx->desc)) {
	case CTX_DESC_MODE_64B:
		shadow_ppgtt_load(&e->ppgtt, pdp[0]);
		return true;
	case CTX_DESC_MODE_32B:
		shadow_ppgtt_load_legacy(&e->ppgtt, pdp);
		return true;
	default:
		return false;
	}
}

enum gpu_fault_kind vgpu_context_load(struct vgpu_engine *e, uint64_t desc)
{
	struct vgpu_context *ctx = &e->context;
	uint64_t start_ns = TRACE_CLOCK(vgpu_context_load);
	gma_t page = gma(CTX_DESC_LRCA(desc) + REGISTER_PAGE);
	gma_t fault_at;
	const struct context_pair *tail;

	ctx->desc = desc;
	if (gpu_as_read(&e->ggtt.as, page, ctx->page, sizeof(ctx->page), &fault_at))
		return GPU_FAULT_CONTEXT;
	if (!parse_page(ctx, e->id == GPU_BCS ? BLT_STATE_AT : CONTEXT_DWORDS))
		return GPU_FAULT_CONTEXT;
	tail = find_pair(ctx, REG_RING_TAIL(e->base));
	if (!tail || !set_address_space(e))
		return GPU_FAULT_CONTEXT;
	ctx->tail_at = tail->at;
	e->workload.context_id = CTX_DESC_ID(desc);
	e->workload.context_page = gma(CTX_DESC_LRCA(desc));
	e->workload.status_page = gma(vgpu_vreg(e->vgpu, REG_RING_HWS_PGA(e->base)));
	if (!set_ring(e))
		return GPU_FAULT_RING;
	set_batches(e);
	set_workaround_batches(e);
	restore_registers(e);
	TRACE_SINCE(start_ns, vgpu_context_load, e->id, CTX_DESC_ID(desc), e->workload.cs.head,
		    e->workload.cs.tail);
	return GPU_FAULT_NONE;
}

/* ---- Saving ---------------------------------------------------------------------------------- */

/* What the ring's registers hold now that the workload is off the engine. */
static void publish_workload(struct vgpu_engine *e)
{
	const struct gpu_cs_state *cs = &e->workload.cs;
	const uint32_t lo[2] = { REG_RING_BBADDR(e->base), REG_RING_SBBADDR(e->base) };
	const uint32_t hi[2] = { REG_RING_BBADDR_UDW(e->base), REG_RING_SBBADDR_UDW(e->base) };
	const uint32_t state[2] = { REG_RING_BBSTATE(e->base), REG_RING_SBBSTATE(e->base) };
	struct vgpu *v = e->vgpu;

	vgpu_vreg_set(v, REG_RING_HEAD(e->base), cs->head);
	for (unsigned int i = 0; i < 2; i++) {
		uint64_t head = cs->bb_valid[i] ? cs->bb_head[i] | BB_ADDR_VALID : 0;

		vgpu_vreg_set(v, lo[i], (uint32_t)head);
		vgpu_vreg_set(v, hi[i], (uint32_t)(head >> 32));
		vgpu_vreg_set(v, state[i], cs->bb_ppgtt[i] ? BB_STATE_PPGTT : 0);
	}
	/* MI_SET_PREDICATE's mode rests in MI_MODE between two runs. */
	vgpu_reg_store(v, REG_RING_MI_MODE(e->base), MI_MODE_PREDICATE << 16 | cs->set_predicate);
}

/* The value to save for a register; what is not to be saved keeps the one that was loaded. */
static uint32_t value_now(struct vgpu_engine *e, const struct context_pair *pair)
{
	const struct vgpu_reg_row *row = vgpu_reg_find(pair->offset);
	struct gpu *gpu = e->vgpu->config.gpu;
	uint32_t loaded = e->context.page[pair->at];
	uint32_t reg = pair->offset - e->base;
	uint32_t value;

	if (pair->at == e->context.tail_at || reg == REG_RING_TIMESTAMP(0) ||
	    reg == REG_RING_TIMESTAMP_UDW(0))
		return loaded;
	/* The next restore is to be whole: the image has been saved now. */
	if (reg == REG_RING_CONTEXT_CONTROL(0))
		return loaded & ~CTX_CTRL_RESTORE_INHIBIT;
	if (!gpu->ops->reg_read(gpu, e->id, pair->offset, &value))
		value = vgpu_vreg(e->vgpu, pair->offset);
	if (row && (row->flags & VGPU_REG_MASKED))
		value = (value & 0xffff) | 0xffff0000u;
	return value;
}

/* Stores the runs of dwords that changed, and no other. */
static void store_changes(struct vgpu_engine *e, const uint32_t *page)
{
	const uint32_t *loaded = e->context.page;
	uint64_t base = CTX_DESC_LRCA(e->context.desc) + REGISTER_PAGE;
	gma_t fault_at;

	for (unsigned int at = 0; at < CONTEXT_DWORDS;) {
		unsigned int end = at;

		while (end < CONTEXT_DWORDS && page[end] != loaded[end])
			end++;
		if (end > at)
			gpu_as_write(&e->ggtt.as, gma(base + at * 4), &page[at], (end - at) * 4,
				     &fault_at);
		at = end + 1;
	}
}

void vgpu_context_save(struct vgpu_engine *e)
{
	struct vgpu_context *ctx = &e->context;
	uint64_t start_ns = TRACE_CLOCK(vgpu_context_save);
	uint32_t page[CONTEXT_DWORDS];

	publish_workload(e);
	memcpy(page, ctx->page, sizeof(page));
	for (unsigned int i = 0; i < ctx->pairs; i++)
		page[ctx->pair[i].at] = value_now(e, &ctx->pair[i]);
	if (e->id == GPU_BCS)
		memcpy(&page[BLT_STATE_AT], &e->workload.blt, sizeof(e->workload.blt));
	store_changes(e, page);
	TRACE_SINCE(start_ns, vgpu_context_save, e->id, CTX_DESC_ID(ctx->desc), e->workload.cs.head,
		    e->workload.cs.tail);
}

uint32_t vgpu_context_tail(struct vgpu_engine *e)
{
	struct vgpu_context *ctx = &e->context;
	gma_t at = gma(CTX_DESC_LRCA(ctx->desc) + REGISTER_PAGE + ctx->tail_at * 4);
	gma_t fault_at;
	uint32_t tail;

	if (gpu_as_read(&e->ggtt.as, at, &tail, sizeof(tail), &fault_at))
		return e->workload.cs.tail;
	tail &= RING_TAIL_MASK;
	return tail < e->workload.ring_bytes ? tail : e->workload.cs.tail;
}
