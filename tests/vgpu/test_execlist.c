/* SPDX-License-Identifier: MIT */
/* Submissions through ELSP on every engine: status buffer, interrupts, images, resets, faults. */
#include "driver.h"

#include <string.h>

#include "base/clock.h"
#include "vgpu/device.h"
#include "vgpu_regs_gen.h"

#define IDLE_TO_ACTIVE CSB_IDLE_ACTIVE
#define SWITCHED       (CSB_COMPLETE | CSB_ELEMENT_SWITCH)
#define LAST	       (CSB_COMPLETE | CSB_ACTIVE_IDLE)
#define LITE	       (CSB_LITE_RESTORE | CSB_PREEMPTED)

#define IRQ_USER   0x001u
#define IRQ_ERROR  0x008u
#define IRQ_SWITCH 0x100u

#define LOOP_GMA 0x7f0000000000ull

/* A batch in the per-process space that jumps to itself until its first word becomes an end. */
static gpa_t make_endless(struct driver *d)
{
	gpa_t page = ram_alloc(d->ram, 1);
	const uint32_t dw[] = { MI_NOOP, MI_BBS_PPGTT, (uint32_t)LOOP_GMA,
				(uint32_t)(LOOP_GMA >> 32) };

	memcpy(ram_at(d->ram, page), dw, sizeof(dw));
	driver_ppgtt_map(d, LOOP_GMA, page);
	return page;
}

static void emit_batch(struct driver *d, struct driver_context *ctx)
{
	const uint32_t dw[] = { MI_BBS_PPGTT, (uint32_t)LOOP_GMA, (uint32_t)(LOOP_GMA >> 32),
				MI_NOOP };

	driver_emit(d, ctx, dw, ARRAY_SIZE(dw));
}

static void every_engine_stores_and_completes(void **state)
{
	struct driver *d = *state;
	struct driver_context ctx;

	for_each_engine(engine) {
		unsigned int before = driver_messages(d);

		driver_context_init(d, &ctx, engine, 0x20u + engine);
		driver_emit_seqno(d, &ctx, engine, 100 + engine);
		driver_submit(d, &ctx, NULL, DESC_FORCE_RESTORE);
		driver_expect_event(d, engine, IDLE_TO_ACTIVE, ctx.id);
		driver_expect_event(d, engine, LAST, ctx.id);
		assert_int_equal(driver_result(d, engine), 100 + engine);
		driver_wait_messages(d, before + 1);
		assert_int_equal(driver_wait_irq(d, engine, IRQ_USER | IRQ_SWITCH),
				 IRQ_USER | IRQ_SWITCH);
		assert_true(driver_quiet(d, engine));
		assert_int_equal(driver_context_get(d, &ctx, CTX_RING_HEAD), ctx.tail);
	}
}

/*
 * A handler pays two reads for an interrupt: all of a pair comes as one.  Here for as long as that
 * takes, or a lane that loses its CPU on the way would rightly send more.
 */
static void a_pair_interrupts_once(void **state)
{
	struct driver *d = *state;
	struct driver_context a, b;
	gpa_t batch = make_endless(d);
	uint32_t loop = ram_read32(d->ram, batch);

	d->v->config.irq_hold_ns = 3600 * NSEC_PER_SEC;
	driver_context_init(d, &a, GPU_RCS, 0x20);
	driver_context_init(d, &b, GPU_RCS, 0x40);
	for (uint32_t i = 1; i <= 6; i++) {
		ram_write32(d->ram, batch, loop);
		driver_emit_seqno(d, &a, 0, i);
		emit_batch(d, &a);
		driver_emit_seqno(d, &b, 1, i);
		driver_submit(d, &a, i & 1 ? &b : NULL, 0);
		driver_expect_event(d, GPU_RCS, IDLE_TO_ACTIVE, 0x20);
		driver_wait_result(d, 0, i);
		assert_true(driver_quiet(d, GPU_RCS));
		assert_int_equal(driver_messages(d), i - 1);
		ram_write32(d->ram, batch, MI_BBE);
		/* At once, or a second one would be lost in the first. */
		while (driver_messages(d) < i)
			;
		assert_int_equal(driver_handle_irq(d, GPU_RCS), IRQ_USER | IRQ_SWITCH);
		driver_expect_event(d, GPU_RCS, i & 1 ? SWITCHED : LAST, 0x20);
		if (i & 1)
			driver_expect_event(d, GPU_RCS, LAST, 0x40);
	}
	assert_true(driver_quiet(d, GPU_RCS));
	assert_int_equal(driver_messages(d), 6);
}

/* Whoever waits for the first part of a longer job hears of it while the job goes on. */
static void a_user_interrupt_does_not_wait_for_a_long_job(void **state)
{
	struct driver *d = *state;
	struct driver_context ctx;
	gpa_t batch = make_endless(d);

	driver_context_init(d, &ctx, GPU_RCS, 0x20);
	driver_emit_seqno(d, &ctx, 0, 1);
	emit_batch(d, &ctx);
	driver_submit(d, &ctx, NULL, 0);
	driver_expect_event(d, GPU_RCS, IDLE_TO_ACTIVE, 0x20);
	assert_int_equal(driver_wait_irq(d, GPU_RCS, IRQ_USER | IRQ_SWITCH), IRQ_USER | IRQ_SWITCH);
	assert_int_equal(driver_result(d, 0), 1);
	assert_true(driver_quiet(d, GPU_RCS));
	ram_write32(d->ram, batch, MI_BBE);
	driver_expect_event(d, GPU_RCS, LAST, 0x20);
}

static void status_buffer_is_in_registers_too(void **state)
{
	struct driver *d = *state;
	struct driver_context ctx;
	uint32_t base = gpu_engine_base(GPU_RCS);

	driver_context_init(d, &ctx, GPU_RCS, 0x77);
	driver_submit(d, &ctx, NULL, 0);
	driver_expect_event(d, GPU_RCS, IDLE_TO_ACTIVE, 0x77);
	driver_expect_event(d, GPU_RCS, LAST, 0x77);
	assert_int_equal(driver_read(d, REG_RING_CONTEXT_STATUS_BUF(base)), IDLE_TO_ACTIVE);
	assert_int_equal(driver_read(d, REG_RING_CONTEXT_STATUS_BUF(base) + 4), 0x77);
	assert_int_equal(driver_read(d, REG_RING_CONTEXT_STATUS_BUF(base) + 8), LAST);
	assert_int_equal(driver_read(d, REG_RING_CONTEXT_STATUS_PTR(base)) & 7, 1);
}

static void the_buffer_wraps_after_six(void **state)
{
	struct driver *d = *state;
	struct driver_context ctx;

	driver_context_init(d, &ctx, GPU_BCS, 0x30);
	for (uint32_t i = 1; i <= 20; i++) {
		driver_emit_seqno(d, &ctx, 0, i);
		driver_submit(d, &ctx, NULL, 0);
		driver_expect_event(d, GPU_BCS, IDLE_TO_ACTIVE, 0x30);
		driver_expect_event(d, GPU_BCS, LAST, 0x30);
		assert_int_equal(driver_result(d, 0), i);
	}
	assert_true(driver_quiet(d, GPU_BCS));
}

static void two_contexts_run_in_order(void **state)
{
	struct driver *d = *state;
	struct driver_context a, b;

	driver_context_init(d, &a, GPU_VCS0, 0x40);
	driver_context_init(d, &b, GPU_VCS0, 0x60);
	driver_emit_seqno(d, &a, 0, 1);
	driver_emit_seqno(d, &b, 0, 2);
	driver_submit(d, &a, &b, 0);
	driver_expect_event(d, GPU_VCS0, IDLE_TO_ACTIVE, 0x40);
	driver_expect_event(d, GPU_VCS0, SWITCHED, 0x40);
	driver_expect_event(d, GPU_VCS0, LAST, 0x60);
	assert_int_equal(driver_result(d, 0), 2);
	assert_true(driver_quiet(d, GPU_VCS0));
}

static void a_long_context_is_announced_by_interrupt(void **state)
{
	struct driver *d = *state;
	struct driver_context ctx;
	gpa_t batch = make_endless(d);

	driver_context_init(d, &ctx, GPU_RCS, 0x20);
	emit_batch(d, &ctx);
	driver_emit_seqno(d, &ctx, 0, 7);
	driver_submit(d, &ctx, NULL, 0);
	driver_expect_event(d, GPU_RCS, IDLE_TO_ACTIVE, 0x20);
	driver_wait_messages(d, 1);
	assert_int_equal(driver_handle_irq(d, GPU_RCS), IRQ_SWITCH);
	assert_true(driver_quiet(d, GPU_RCS));
	assert_int_equal(driver_result(d, 0), 0);
	/* The registers tell where it is, as an error capture would ask. */
	assert_int_equal(driver_read(d, REG_RING_ACTHD_UDW(0x2000)), LOOP_GMA >> 32);
	assert_int_equal(driver_read(d, REG_RING_EXECLIST_STATUS_HI(0x2000)), 0x20);
	assert_int_equal(driver_read(d, REG_RING_MI_MODE(0x2000)) & 0x200, 0);

	ram_write32(d->ram, batch, MI_BBE);
	driver_expect_event(d, GPU_RCS, LAST, 0x20);
	assert_int_equal(driver_result(d, 0), 7);
	driver_wait_messages(d, 2);
	assert_int_equal(driver_read(d, REG_RING_MI_MODE(0x2000)) & 0x200, 0x200);
}

static void lite_restore_extends_a_running_context(void **state)
{
	struct driver *d = *state;
	struct driver_context a, b;
	gpa_t batch = make_endless(d);

	driver_context_init(d, &a, GPU_RCS, 0x20);
	driver_context_init(d, &b, GPU_RCS, 0x40);
	emit_batch(d, &a);
	driver_emit_seqno(d, &a, 0, 1);
	driver_submit(d, &a, NULL, 0);
	driver_expect_event(d, GPU_RCS, IDLE_TO_ACTIVE, 0x20);

	/* As i915 queues a heartbeat: the same context with a newer tail, and another behind it. */
	driver_emit_seqno(d, &a, 1, 2);
	driver_emit_seqno(d, &b, 2, 3);
	driver_submit(d, &a, &b, 0);
	driver_expect_event(d, GPU_RCS, LITE, 0x20);
	assert_true(driver_quiet(d, GPU_RCS));
	assert_int_equal(driver_result(d, 0), 0);

	ram_write32(d->ram, batch, MI_BBE);
	driver_expect_event(d, GPU_RCS, SWITCHED, 0x20);
	driver_expect_event(d, GPU_RCS, LAST, 0x40);
	assert_int_equal(driver_result(d, 0), 1);
	assert_int_equal(driver_result(d, 1), 2);
	assert_int_equal(driver_result(d, 2), 3);
	assert_int_equal(driver_context_get(d, &a, CTX_RING_TAIL), a.tail);
}

static void preemption_resumes_inside_the_batch(void **state)
{
	struct driver *d = *state;
	struct driver_context a, b;
	gpa_t batch = make_endless(d);

	driver_context_init(d, &a, GPU_RCS, 0x20);
	driver_context_init(d, &b, GPU_RCS, 0x40);
	emit_batch(d, &a);
	driver_emit_seqno(d, &a, 0, 1);
	driver_submit(d, &a, NULL, 0);
	driver_expect_event(d, GPU_RCS, IDLE_TO_ACTIVE, 0x20);

	driver_emit_seqno(d, &b, 1, 2);
	driver_submit(d, &b, &a, 0);
	driver_expect_event(d, GPU_RCS, CSB_PREEMPTED, 0x20);
	driver_expect_event(d, GPU_RCS, SWITCHED, 0x40);
	assert_int_equal(driver_result(d, 1), 2);
	assert_int_equal(driver_result(d, 0), 0);
	/* The image says that a batch was left, and in which space. */
	assert_int_equal(driver_context_get(d, &a, CTX_BB_STATE), 0x20);
	assert_int_equal(driver_context_get(d, &a, 0x0f) & 1, 1);

	ram_write32(d->ram, batch, MI_BBE);
	driver_expect_event(d, GPU_RCS, LAST, 0x20);
	assert_int_equal(driver_result(d, 0), 1);
	assert_int_equal(driver_context_get(d, &a, 0x0f) & 1, 0);
}

/* MI_ARB_ON_OFF: not before it is on again, and as if nothing had been said to the next context. */
static void preemption_waits_for_arbitration(void **state)
{
	struct driver *d = *state;
	struct driver_context a, b;
	const uint32_t off = 0x04000000, on = 0x04000001;
	const uint32_t next[] = { MI_BBS_PPGTT, (uint32_t)LOOP_GMA + 0x100,
				  (uint32_t)(LOOP_GMA >> 32) };
	gpa_t batch = make_endless(d);
	const uint32_t loop[] = { MI_NOOP, next[0], next[1], next[2] };

	memcpy(ram_at(d->ram, gpa(batch.v + 0x100)), loop, sizeof(loop));
	driver_context_init(d, &a, GPU_RCS, 0x20);
	driver_context_init(d, &b, GPU_RCS, 0x40);
	driver_emit(d, &a, &off, 1);
	emit_batch(d, &a);
	driver_emit(d, &a, &on, 1);
	driver_emit(d, &a, next, 3);
	driver_emit_seqno(d, &a, 0, 1);
	driver_submit(d, &a, NULL, 0);
	driver_expect_event(d, GPU_RCS, IDLE_TO_ACTIVE, 0x20);

	driver_emit_seqno(d, &b, 1, 2);
	driver_submit(d, &b, &a, 0);
	assert_true(driver_quiet(d, GPU_RCS));
	assert_int_equal(driver_result(d, 1), 0);
	ram_write32(d->ram, batch, MI_BBE);
	driver_expect_event(d, GPU_RCS, CSB_PREEMPTED, 0x20);
	driver_expect_event(d, GPU_RCS, SWITCHED, 0x40);
	assert_int_equal(driver_result(d, 1), 2);
	ram_write32(d->ram, gpa(batch.v + 0x100), MI_BBE);
	driver_expect_event(d, GPU_RCS, LAST, 0x20);
	assert_int_equal(driver_result(d, 0), 1);
}

static void emit_lri(struct driver *d, struct driver_context *ctx, uint32_t reg, uint32_t value)
{
	const uint32_t dw[] = { MI_LRI_1, reg, value, MI_NOOP };

	driver_emit(d, ctx, dw, ARRAY_SIZE(dw));
}

static void emit_srm(struct driver *d, struct driver_context *ctx, uint32_t reg, unsigned int slot)
{
	const uint32_t dw[] = { 0x12400002, reg, (uint32_t)d->seqno_gma.v + 4 * slot, 0 };

	driver_emit(d, ctx, dw, ARRAY_SIZE(dw));
}

static void registers_travel_with_their_context(void **state)
{
	struct driver *d = *state;
	struct driver_context a, b;
	uint32_t gpr0 = 0x2600;

	driver_context_init(d, &a, GPU_RCS, 0x20);
	driver_context_init(d, &b, GPU_RCS, 0x40);
	/* Inhibited, the image's value is not loaded; the one of the end is saved. */
	driver_context_set(d, &a, CTX_GPR0, 0xdead);
	emit_srm(d, &a, gpr0, 0);
	emit_lri(d, &a, gpr0, 0x1234);
	driver_run_alone(d, &a);
	assert_int_equal(driver_result(d, 0), 0);
	assert_int_equal(driver_context_get(d, &a, CTX_GPR0), 0x1234);
	assert_int_equal(driver_context_get(d, &a, CTX_CONTEXT_CONTROL) & 1, 0);
	assert_int_equal(driver_context_get(d, &a, CTX_MI_MODE) >> 16, 0xffff);

	emit_lri(d, &b, gpr0, 0x5678);
	driver_run_alone(d, &b);
	/* Now saved, it is loaded. */
	emit_srm(d, &a, gpr0, 1);
	driver_run_alone(d, &a);
	assert_int_equal(driver_result(d, 1), 0x1234);
	emit_srm(d, &b, gpr0, 2);
	driver_run_alone(d, &b);
	assert_int_equal(driver_result(d, 2), 0x5678);
}

static void a_new_context_may_start_from_a_saved_image(void **state)
{
	struct driver *d = *state;
	struct driver_context a, b;

	driver_context_init(d, &a, GPU_RCS, 0x20);
	emit_lri(d, &a, 0x2600, 0xabcd);
	driver_run_alone(d, &a);
	/* i915 copies the recorded page and sets the ring and the tables of the new one. */
	driver_context_init(d, &b, GPU_RCS, 0x40);
	memcpy((uint8_t *)ram_at(d->ram, b.image) + PAGE_BYTES + 0x53 * 4,
	       (uint8_t *)ram_at(d->ram, a.image) + PAGE_BYTES + 0x53 * 4, 44);
	driver_context_set(d, &b, CTX_CONTEXT_CONTROL, 0x00090008);
	emit_srm(d, &b, 0x2600, 0);
	driver_run_alone(d, &b);
	assert_int_equal(driver_result(d, 0), 0xabcd);
}

static void context_time_grows(void **state)
{
	struct driver *d = *state;
	struct driver_context ctx;
	gpa_t batch = make_endless(d);
	uint32_t first = 0, loop = ram_read32(d->ram, batch);

	driver_context_init(d, &ctx, GPU_RCS, 0x20);
	/* Each time 10 ms, 120,000 ticks, or what the lane has of its CPU in them. */
	for (int i = 0; i < 100 && first < 1000; i++) {
		ram_write32(d->ram, batch, loop);
		emit_batch(d, &ctx);
		driver_submit(d, &ctx, NULL, 0);
		driver_expect_event(d, GPU_RCS, IDLE_TO_ACTIVE, 0x20);
		assert_true(driver_quiet(d, GPU_RCS));
		ram_write32(d->ram, batch, MI_BBE);
		driver_expect_event(d, GPU_RCS, LAST, 0x20);
		first = driver_context_get(d, &ctx, CTX_TIMESTAMP);
	}
	assert_in_range(first, 1000, 12000000u * 5);
	driver_run_alone(d, &ctx);
	assert_true(driver_context_get(d, &ctx, CTX_TIMESTAMP) >= first);
}

/* ---- Legacy tables ---- */

static void four_page_directories(void **state)
{
	struct driver *d = *state;
	struct driver_context ctx;
	gpa_t pd = ram_alloc(d->ram, 1), pt = ram_alloc(d->ram, 1);
	gpa_t page = ram_alloc(d->ram, 1);
	const uint32_t batch[] = { 0x10000002, 0xc0000800, 0, 0x600d, MI_BBE };
	const uint32_t ring[] = { MI_BBS_PPGTT, 0xc0000000, 0, MI_NOOP };

	/* 3 GiB: the fourth directory. */
	ram_write64(d->ram, pd, pt.v | 3);
	ram_write64(d->ram, pt, page.v | 3);
	memcpy(ram_at(d->ram, page), batch, sizeof(batch));
	driver_context_init(d, &ctx, GPU_RCS, 0x20);
	ctx.desc = (ctx.desc & ~0x18ull) | 1u << 3;
	driver_context_set(d, &ctx, 0x27, (uint32_t)pd.v); /* PDP3_LDW */
	driver_emit(d, &ctx, ring, ARRAY_SIZE(ring));
	driver_run_alone(d, &ctx);
	assert_int_equal(ram_read32(d->ram, gpa(page.v + 0x800)), 0x600d);
}

/* ---- Resets ---- */

static void reset_frees_a_hung_engine(void **state)
{
	struct driver *d = *state;
	struct driver_context a, b;
	struct vgpu_stats stats;

	make_endless(d);
	driver_context_init(d, &a, GPU_RCS, 0x20);
	driver_context_init(d, &b, GPU_RCS, 0x40);
	emit_batch(d, &a);
	driver_submit(d, &a, NULL, 0);
	driver_expect_event(d, GPU_RCS, IDLE_TO_ACTIVE, 0x20);
	driver_reset_engine(d, GPU_RCS);
	/* Not saved: the image is that of before. */
	assert_int_equal(driver_context_get(d, &a, CTX_RING_HEAD), 0);

	driver_emit_seqno(d, &b, 0, 5);
	driver_submit(d, &b, NULL, 0);
	driver_expect_event(d, GPU_RCS, IDLE_TO_ACTIVE, 0x40);
	assert_int_equal(d->engines[GPU_RCS].csb_read, 0); /* again from slot 0 */
	driver_expect_event(d, GPU_RCS, LAST, 0x40);
	vgpu_stats(d->v, &stats);
	assert_int_equal(stats.engine_resets[GPU_RCS], 2); /* i915 writes each twice */
	assert_int_equal(stats.full_resets, 0);
}

static void reset_of_one_engine_leaves_the_others(void **state)
{
	struct driver *d = *state;
	struct driver_context a, b;
	gpa_t batch = make_endless(d);

	driver_context_init(d, &a, GPU_RCS, 0x20);
	driver_context_init(d, &b, GPU_BCS, 0x40);
	emit_batch(d, &a);
	emit_batch(d, &b);
	driver_emit_seqno(d, &b, 0, 9);
	driver_submit(d, &a, NULL, 0);
	driver_submit(d, &b, NULL, 0);
	driver_expect_event(d, GPU_BCS, IDLE_TO_ACTIVE, 0x40);
	driver_expect_event(d, GPU_RCS, IDLE_TO_ACTIVE, 0x20);
	driver_reset_engine(d, GPU_RCS);
	ram_write32(d->ram, batch, MI_BBE);
	driver_expect_event(d, GPU_BCS, LAST, 0x40);
	assert_int_equal(driver_result(d, 0), 9);
}

static void full_reset_stops_all(void **state)
{
	struct driver *d = *state;
	struct driver_context ctx[GPU_ENGINES];

	make_endless(d);
	for_each_engine(engine) {
		driver_context_init(d, &ctx[engine], engine, 0x20);
		emit_batch(d, &ctx[engine]);
		driver_submit(d, &ctx[engine], NULL, 0);
		driver_expect_event(d, engine, IDLE_TO_ACTIVE, 0x20);
	}
	driver_write(d, REG_GEN6_GDRST, 1);
	for_each_engine(engine)
		assert_int_equal(
			driver_read(d, REG_RING_EXECLIST_STATUS_LO(gpu_engine_base(engine))), 0);
}

static void stop_ring_holds_and_lets_go(void **state)
{
	struct driver *d = *state;
	struct driver_context ctx;

	driver_write(d, REG_RING_MI_MODE(0x2000), 0x01000100);
	assert_int_equal(driver_read(d, REG_RING_MI_MODE(0x2000)), 0x300);
	driver_context_init(d, &ctx, GPU_RCS, 0x20);
	driver_emit_seqno(d, &ctx, 0, 1);
	driver_submit(d, &ctx, NULL, 0);
	assert_true(driver_quiet(d, GPU_RCS));
	driver_write(d, REG_RING_MI_MODE(0x2000), 0x01000000);
	driver_expect_event(d, GPU_RCS, IDLE_TO_ACTIVE, 0x20);
	driver_expect_event(d, GPU_RCS, LAST, 0x20);
}

static void function_level_reset(void **state)
{
	struct driver *d = *state;
	struct driver_context ctx;
	uint64_t pte = 1;

	make_endless(d);
	driver_context_init(d, &ctx, GPU_RCS, 0x20);
	emit_batch(d, &ctx);
	driver_submit(d, &ctx, NULL, 0);
	driver_expect_event(d, GPU_RCS, IDLE_TO_ACTIVE, 0x20);
	driver_reset(d);
	driver_bar_read(d, 0, VGPU_GTT_OFFSET + (ctx.image_gma.v >> 12) * 8, &pte, 8);
	assert_int_equal(pte, 0);
	assert_int_equal(driver_read(d, REG_PVINFO_VERSION), 1);
	assert_int_equal(driver_read(d, REG_GEN8_GT_IMR(0)), UINT32_MAX);
	/* And the driver binds again. */
	driver_start(d);
	driver_context_init(d, &ctx, GPU_RCS, 0x20);
	driver_emit_seqno(d, &ctx, 0, 3);
	driver_run_alone(d, &ctx);
}

/* ---- Faults ---- */

/* The @count-th fault of its kind, and the newest of all. */
static struct gpu_fault wait_faults(struct driver *d, enum gpu_fault_kind kind, unsigned int count)
{
	struct vgpu_stats stats = { 0 };

	for (int i = 0; i < 500 && stats.faults[kind] < count; i++) {
		driver_quiet(d, GPU_RCS);
		vgpu_stats(d->v, &stats);
	}
	assert_int_equal(stats.faults[kind], count);
	assert_int_equal(stats.last_fault.kind, kind);
	return stats.last_fault;
}

static struct gpu_fault wait_fault(struct driver *d, enum gpu_fault_kind kind)
{
	return wait_faults(d, kind, 1);
}

/* After a fault: hung until a reset, and well afterwards. */
static void recovers(struct driver *d)
{
	struct driver_context ctx;

	driver_context_init(d, &ctx, GPU_RCS, 0x80);
	driver_emit_seqno(d, &ctx, 9, 9);
	driver_reset_engine(d, GPU_RCS);
	driver_run_alone(d, &ctx);
	assert_int_equal(driver_result(d, 9), 9);
}

static void an_unknown_command_raises_the_error_interrupt(void **state)
{
	struct driver *d = *state;
	struct driver_context ctx;
	const uint32_t dw[] = { 0x1f800000, 0 };

	driver_context_init(d, &ctx, GPU_RCS, 0x20);
	driver_emit(d, &ctx, dw, 2);
	driver_submit(d, &ctx, NULL, 0);
	driver_expect_event(d, GPU_RCS, IDLE_TO_ACTIVE, 0x20);
	wait_fault(d, GPU_FAULT_OPCODE);
	assert_true(driver_wait_irq(d, GPU_RCS, IRQ_ERROR) & IRQ_ERROR);
	assert_int_equal(driver_read(d, REG_RING_EIR(0x2000)) & 1, 1);
	assert_int_equal(driver_read(d, REG_RING_IPEHR(0x2000)), 0x1f800000);
	/* The state stays until the reset: clearing the latch does not clear it. */
	driver_write(d, REG_RING_EIR(0x2000), 1);
	assert_int_equal(driver_read(d, REG_RING_EIR(0x2000)) & 1, 1);
	driver_write(d, REG_RING_EMR(0x2000), UINT32_MAX);
	driver_write(d, REG_RING_EIR(0x2000), 1);
	assert_int_equal(driver_read(d, REG_RING_EIR(0x2000)), 0);
	assert_true(driver_quiet(d, GPU_RCS));
	recovers(d);
	assert_int_equal(driver_read(d, REG_RING_ESR(0x2000)), 0);
}

static void a_bad_address_shows_in_the_fault_register(void **state)
{
	struct driver *d = *state;
	struct driver_context ctx;
	const uint32_t dw[] = { MI_SDI_GGTT, 0x1ee00000, 0, 1 };

	driver_context_init(d, &ctx, GPU_RCS, 0x20);
	driver_emit(d, &ctx, dw, 4);
	driver_submit(d, &ctx, NULL, 0);
	driver_expect_event(d, GPU_RCS, IDLE_TO_ACTIVE, 0x20);
	wait_fault(d, GPU_FAULT_ADDRESS);
	assert_int_equal(driver_read(d, REG_GEN8_RING_FAULT_REG), 1);
	assert_int_equal(driver_read(d, REG_GEN8_FAULT_TLB_DATA0), 0x1ee00);
	assert_int_equal(driver_read(d, REG_GEN8_FAULT_TLB_DATA1), 0x10); /* by the GGTT */
	driver_write(d, REG_GEN8_RING_FAULT_REG, 0);
	assert_int_equal(driver_read(d, REG_GEN8_RING_FAULT_REG), 0);
	assert_true(driver_quiet(d, GPU_RCS));
	recovers(d);
}

/* The operator's: what has had too much of the lane halts as on a fault, until the reset. */
static void the_watchdog_halts_an_endless_batch(void **state)
{
	struct driver *d = *state;
	struct driver_context ctx;
	gpa_t batch = make_endless(d);
	struct gpu_fault fault;

	d->v->config.watchdog_ns = 20 * NSEC_PER_MSEC;
	driver_context_init(d, &ctx, GPU_RCS, 0x20);
	emit_batch(d, &ctx);
	driver_submit(d, &ctx, NULL, 0);
	driver_expect_event(d, GPU_RCS, IDLE_TO_ACTIVE, 0x20);
	fault = wait_fault(d, GPU_FAULT_ENDLESS);
	assert_int_equal(fault.context_id, 0x20);
	assert_in_range(fault.command_at, LOOP_GMA, LOOP_GMA + 16);
	ram_write32(d->ram, batch, MI_BBE);
	assert_true(driver_quiet(d, GPU_RCS));
	recovers(d);
	wait_fault(d, GPU_FAULT_ENDLESS);
}

static void the_watchdog_knows_who_gets_on(void **state)
{
	struct vgpu_watchdog watchdog = { 0 };
	const uint64_t desc = 0x2000000119, limit = 100;

	assert_false(vgpu_watchdog_ran(&watchdog, desc, 0, 1000, 0));
	/* With others, which get on, in between. */
	for (uint32_t i = 1; i <= 100; i++) {
		assert_false(vgpu_watchdog_ran(&watchdog, desc, 8, 1, limit));
		for (uint64_t other = 1; other < VGPU_WATCHED; other++)
			assert_false(vgpu_watchdog_ran(&watchdog, desc + (other << 32), i * 8, 90,
						       limit));
	}
	assert_true(vgpu_watchdog_ran(&watchdog, desc, 8, 1, limit));
	assert_false(vgpu_watchdog_ran(&watchdog, desc, 16, 100, limit));
	vgpu_watchdog_done(&watchdog, desc);
	assert_false(vgpu_watchdog_ran(&watchdog, desc, 16, 100, limit));
}

static void submit_bad(struct driver *d, struct driver_context *ctx, enum gpu_fault_kind kind)
{
	driver_submit(d, ctx, NULL, 0);
	driver_expect_event(d, GPU_RCS, IDLE_TO_ACTIVE, ctx->id);
	wait_fault(d, kind);
	recovers(d);
}

static void an_image_nowhere(void **state)
{
	struct driver *d = *state;

	driver_elsp(d, GPU_RCS, 0x20ull << 32 | 0xfff00000u | 0x19, 0);
	driver_expect_event(d, GPU_RCS, IDLE_TO_ACTIVE, 0x20);
	wait_fault(d, GPU_FAULT_CONTEXT);
	recovers(d);
}

static void an_image_that_is_no_program(void **state)
{
	struct driver *d = *state;
	struct driver_context ctx;

	driver_context_init(d, &ctx, GPU_RCS, 0x20);
	driver_context_set(d, &ctx, 1, 0x7a000004);
	submit_bad(d, &ctx, GPU_FAULT_CONTEXT);
}

static void an_image_whose_block_leaves_the_page(void **state)
{
	struct driver *d = *state;
	struct driver_context ctx;

	driver_context_init(d, &ctx, GPU_RCS, 0x20);
	for (unsigned int at = 0x80; at < 1000; at++)
		driver_context_set(d, &ctx, at, MI_NOOP);
	driver_context_set(d, &ctx, 1000, 0x110010ff);
	submit_bad(d, &ctx, GPU_FAULT_CONTEXT);
}

static void an_image_without_a_tail(void **state)
{
	struct driver *d = *state;
	struct driver_context ctx;

	driver_context_init(d, &ctx, GPU_RCS, 0x20);
	driver_context_set(d, &ctx, CTX_RING_TAIL - 1, 0x2600);
	submit_bad(d, &ctx, GPU_FAULT_CONTEXT);
}

static void an_addressing_mode_there_is_not(void **state)
{
	struct driver *d = *state;
	struct driver_context ctx;

	driver_context_init(d, &ctx, GPU_RCS, 0x20);
	ctx.desc &= ~0x18ull;
	submit_bad(d, &ctx, GPU_FAULT_CONTEXT);
}

static void a_ring_that_is_off(void **state)
{
	struct driver *d = *state;
	struct driver_context ctx;

	driver_context_init(d, &ctx, GPU_RCS, 0x20);
	driver_context_set(d, &ctx, CTX_RING_CTL, 0);
	submit_bad(d, &ctx, GPU_FAULT_RING);
}

static void a_head_outside_the_ring(void **state)
{
	struct driver *d = *state;
	struct driver_context ctx;

	driver_context_init(d, &ctx, GPU_RCS, 0x20);
	driver_context_set(d, &ctx, CTX_RING_HEAD, 0x2000);
	submit_bad(d, &ctx, GPU_FAULT_RING);
}

static void an_empty_port_is_no_submission(void **state)
{
	struct driver *d = *state;

	driver_elsp(d, GPU_RCS, 0, 0);
	driver_elsp(d, GPU_RCS, 0, 0x20ull << 32 | 0x19);
	assert_true(driver_quiet(d, GPU_RCS));
	recovers(d);
}

static void no_status_page_is_survived(void **state)
{
	struct driver *d = *state;
	struct driver_context ctx;

	driver_write(d, REG_RING_HWS_PGA(0x2000), 0xffe00000);
	driver_context_init(d, &ctx, GPU_RCS, 0x20);
	driver_emit_seqno(d, &ctx, 0, 1);
	driver_submit(d, &ctx, NULL, 0);
	driver_wait_result(d, 0, 1);
	assert_int_equal(driver_read(d, REG_RING_CONTEXT_STATUS_BUF(0x2000)), IDLE_TO_ACTIVE);
}

static void commands_cannot_reach_guarded_registers(void **state)
{
	struct driver *d = *state;
	struct driver_context ctx;

	static const uint32_t guarded[] = { REG_GEN6_GDRST, REG_RING_ELSP(0x2000),
					    REG_PVINFO_G2V_NOTIFY, 0x7ffffc };

	for (unsigned int i = 0; i < ARRAY_SIZE(guarded); i++) {
		struct gpu_fault fault;

		driver_context_init(d, &ctx, GPU_RCS, 0x20);
		emit_lri(d, &ctx, guarded[i], 5);
		driver_emit_seqno(d, &ctx, 0, 1);
		driver_submit(d, &ctx, NULL, 0);
		driver_expect_event(d, GPU_RCS, IDLE_TO_ACTIVE, 0x20);
		fault = wait_faults(d, GPU_FAULT_REGISTER, i + 1);
		assert_int_equal(fault.address, guarded[i]);
		assert_int_equal(fault.context_id, 0x20);
		assert_int_equal(driver_result(d, 0), 0);
		recovers(d);
	}
	assert_int_equal(driver_read(d, REG_PVINFO_G2V_NOTIFY), 0);
}

/* The entry is valid, but it lies where PVINFO gave the guest nothing. */
static void nothing_is_reached_outside_the_share(void **state)
{
	struct driver *d = *state;
	struct driver_context ctx;
	gpa_t canary = ram_alloc(d->ram, 1);
	uint64_t pte = canary.v | 1;
	const uint32_t dw[] = { MI_SDI_GGTT, 0x40000000, 0, 1 };
	struct gpu_fault fault;

	driver_bar_write(d, 0, VGPU_GTT_OFFSET + (0x40000000 >> PAGE_SHIFT) * 8, &pte, 8);
	driver_context_init(d, &ctx, GPU_RCS, 0x20);
	driver_emit(d, &ctx, dw, 4);
	driver_submit(d, &ctx, NULL, 0);
	driver_expect_event(d, GPU_RCS, IDLE_TO_ACTIVE, 0x20);
	fault = wait_faults(d, GPU_FAULT_SHARE, 1);
	assert_int_equal(fault.address, 0x40000000);
	assert_true(fault.write);
	assert_int_equal(ram_read32(d->ram, canary), 0);
	recovers(d);
	/* The ring itself. */
	driver_context_init(d, &ctx, GPU_RCS, 0x20);
	driver_context_set(d, &ctx, CTX_RING_START, 0x40000000);
	driver_emit_seqno(d, &ctx, 0, 1);
	driver_submit(d, &ctx, NULL, 0);
	driver_expect_event(d, GPU_RCS, IDLE_TO_ACTIVE, 0x20);
	wait_faults(d, GPU_FAULT_SHARE, 2);
	recovers(d);
}

static void work_outlives_a_changing_memory_map(void **state)
{
	struct driver *d = *state;
	struct driver_context ctx;
	gpa_t batch = make_endless(d);

	driver_context_init(d, &ctx, GPU_RCS, 0x20);
	emit_batch(d, &ctx);
	driver_emit_seqno(d, &ctx, 0, 1);
	driver_submit(d, &ctx, NULL, 0);
	driver_expect_event(d, GPU_RCS, IDLE_TO_ACTIVE, 0x20);
	for (int i = 0; i < 50; i++) {
		driver_change_map(d);
	}
	ram_write32(d->ram, batch, MI_BBE);
	driver_expect_event(d, GPU_RCS, LAST, 0x20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_driver(every_engine_stores_and_completes),
		with_driver(a_pair_interrupts_once),
		with_driver(a_user_interrupt_does_not_wait_for_a_long_job),
		with_driver(status_buffer_is_in_registers_too),
		with_driver(the_buffer_wraps_after_six),
		with_driver(two_contexts_run_in_order),
		with_driver(a_long_context_is_announced_by_interrupt),
		with_driver(lite_restore_extends_a_running_context),
		with_driver(preemption_resumes_inside_the_batch),
		with_driver(preemption_waits_for_arbitration),
		with_driver(registers_travel_with_their_context),
		with_driver(a_new_context_may_start_from_a_saved_image),
		with_driver(context_time_grows),
		with_driver(four_page_directories),
		with_driver(reset_frees_a_hung_engine),
		with_driver(reset_of_one_engine_leaves_the_others),
		with_driver(full_reset_stops_all),
		with_driver(stop_ring_holds_and_lets_go),
		with_driver(function_level_reset),
		with_driver(an_unknown_command_raises_the_error_interrupt),
		with_driver(a_bad_address_shows_in_the_fault_register),
		with_driver(the_watchdog_halts_an_endless_batch),
		cmocka_unit_test(the_watchdog_knows_who_gets_on),
		with_driver(an_image_nowhere),
		with_driver(an_image_that_is_no_program),
		with_driver(an_image_whose_block_leaves_the_page),
		with_driver(an_image_without_a_tail),
		with_driver(an_addressing_mode_there_is_not),
		with_driver(a_ring_that_is_off),
		with_driver(a_head_outside_the_ring),
		with_driver(an_empty_port_is_no_submission),
		with_driver(no_status_page_is_survived),
		with_driver(commands_cannot_reach_guarded_registers),
		with_driver(nothing_is_reached_outside_the_share),
		with_driver(work_outlives_a_changing_memory_map),
	};

	return driver_run("execlist", tests);
}
