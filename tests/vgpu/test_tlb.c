/* SPDX-License-Identifier: MIT */
/*
 * Translations that are in use, dropped by a register: an engine waits for a semaphore while the
 * entry of its page changes, and finds the other page when the register was written, not before.
 */
#include "base/clock.h"
#include "jobs.h"
#include "vgpu_regs_gen.h"

#define SEMAPHORE_AT  0x200000u
#define UNTIL_1_PPGTT 0x0e00c002u /* MI_SEMAPHORE_WAIT: poll until memory equals */
#define UNTIL_1_GGTT  (UNTIL_1_PPGTT | BIT(22))

/* The engine looks at its semaphore some times more. */
static void let_it_look(struct driver *d)
{
	uint64_t end = clock_now_ns() + 5 * NSEC_PER_SEC, wanted;
	struct vgpu_stats stats;

	vgpu_stats(d->v, &stats);
	wanted = stats.gpu.tlb_hits + 8;
	while (stats.gpu.tlb_hits < wanted && clock_now_ns() < end) {
		driver_idle(d);
		vgpu_stats(d->v, &stats);
	}
	assert_true(stats.gpu.tlb_hits >= wanted);
}

/* Two pages, and 1 in the second alone. */
static gpa_t two_pages(struct driver *d)
{
	gpa_t pages = ram_alloc(d->ram, 2);

	ram_write32(d->ram, gpa(pages.v + PAGE_BYTES), 1);
	return pages;
}

static void wait_for_semaphore(struct driver *d, struct driver_context *ctx, uint32_t header,
			       uint64_t at)
{
	const uint32_t dw[] = { header, 1, (uint32_t)at, 0 };

	driver_context_init(d, ctx, GPU_RCS, 0x20);
	driver_emit(d, ctx, dw, ARRAY_SIZE(dw));
	driver_emit_seqno(d, ctx, 0, 1);
	driver_submit(d, ctx, NULL, 0);
	driver_expect_event(d, GPU_RCS, IDLE_TO_ACTIVE, ctx->id);
	let_it_look(d);
}

/* The entry has changed: nothing comes of it before @reg is written. */
static void drops_when_written(struct driver *d, struct driver_context *ctx, uint32_t reg,
			       uint32_t value)
{
	let_it_look(d);
	assert_int_equal(driver_result(d, 0), 0);
	driver_write(d, reg, value);
	driver_wait_result(d, 0, 1);
	driver_expect_event(d, GPU_RCS, LAST, ctx->id);
}

static void ppgtt_drops_when_written(struct driver *d, uint32_t reg, uint32_t value)
{
	gpa_t pages = two_pages(d);
	struct driver_context ctx;

	driver_ppgtt_map(d, SEMAPHORE_AT, pages);
	wait_for_semaphore(d, &ctx, UNTIL_1_PPGTT, SEMAPHORE_AT);
	driver_ppgtt_map(d, SEMAPHORE_AT, gpa(pages.v + PAGE_BYTES));
	drops_when_written(d, &ctx, reg, value);
}

static void ggtt_drops_when_written(struct driver *d, uint32_t reg, uint32_t value)
{
	gpa_t pages = two_pages(d);
	gma_t at = driver_map(d, pages, 1);
	struct driver_context ctx;

	wait_for_semaphore(d, &ctx, UNTIL_1_GGTT, at.v);
	driver_gtt_write(d, at.v >> PAGE_SHIFT, (pages.v + PAGE_BYTES) | 1);
	drops_when_written(d, &ctx, reg, value);
}

static void tlb_invalidate_drops_both(void **state)
{
	struct driver *d = *state;

	ppgtt_drops_when_written(d, REG_GEN8_TLB_INVALIDATE(0), 1);
	ram_write32(d->ram, d->seqno, 0);
	ggtt_drops_when_written(d, REG_GEN8_TLB_INVALIDATE(0), 1);
}

static void gfx_flsh_cntl_drops_the_ggtt(void **state)
{
	ggtt_drops_when_written(*state, REG_GFX_FLSH_CNTL_GEN6, 1);
}

/* As i915 announces it, with the root in PVINFO. */
static void deleted_tables_are_dropped(void **state)
{
	static const uint32_t deletes[] = { 3, 5 }; /* VGT_G2V_PPGTT_L3_PAGE_TABLE_DESTROY, L4 */
	struct driver *d = *state;

	driver_write(d, REG_PVINFO_PDP, (uint32_t)d->pml4.v);
	driver_write(d, REG_PVINFO_PDP + 4, (uint32_t)(d->pml4.v >> 32));
	for (size_t i = 0; i < ARRAY_SIZE(deletes); i++) {
		ram_write32(d->ram, d->seqno, 0);
		ppgtt_drops_when_written(d, REG_PVINFO_G2V_NOTIFY, deletes[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_driver(tlb_invalidate_drops_both),
		with_driver(gfx_flsh_cntl_drops_the_ggtt),
		with_driver(deleted_tables_are_dropped),
	};

	return driver_run("tlb", tests);
}
