/* SPDX-License-Identifier: MIT */
/* Submissions through ELSP on every engine: status buffer, interrupts, context images. */
#include <string.h>

#include "base/clock.h"
#include "jobs.h"
#include "vgpu/irq.h"
#include "vgpu_regs_gen.h"

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

/* A handler whose device knows that it has begun before the pause does. */
static void handle_slowly(struct driver *d)
{
	const struct timespec pause = { .tv_nsec = 2 * VGPU_IRQ_COST_MAX_NS };

	driver_write(d, REG_GEN8_MASTER_IRQ, 0);
	driver_read(d, REG_GEN8_MASTER_IRQ);
	nanosleep(&pause, NULL);
	driver_write(d, REG_GEN8_GT_IIR(0), UINT32_MAX);
	driver_write(d, REG_GEN8_MASTER_IRQ, 0x80000000);
	driver_read(d, REG_GEN8_MASTER_IRQ);
}

/* By how long handlers keep the master register disabled, if a message had brought them there. */
static void an_interrupts_cost_is_measured(void **state)
{
	struct driver *d = *state;
	struct driver_context ctx;
	uint64_t cost_ns = vgpu_irq_cost_ns(d->v);

	handle_slowly(d);
	assert_int_equal(vgpu_irq_cost_ns(d->v), cost_ns);
	driver_context_init(d, &ctx, GPU_RCS, 0x20);
	for (int i = 0; i < 64; i++) {
		unsigned int before = driver_messages(d);

		driver_run_alone(d, &ctx);
		driver_wait_messages(d, before + 1);
		handle_slowly(d);
		assert_true(vgpu_irq_cost_ns(d->v) >= cost_ns);
		cost_ns = vgpu_irq_cost_ns(d->v);
	}
	assert_in_range(cost_ns, VGPU_IRQ_COST_MAX_NS - 100, VGPU_IRQ_COST_MAX_NS + 8);
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

#define SEQNO_GMA (LOOP_GMA + PAGE_BYTES) /* the results, in the per-process space */
#define SDI_PPGTT 0x10000002u
#define LOW(gma)  ((uint32_t)(gma))
#define HIGH(gma) ((uint32_t)((gma) >> 32))

/*
 * A batch at LOOP_GMA that calls one of the second level: commands are no-ops there while
 * MI_PREDICATE_RESULT is set, which it is behind a loop.  The dword that leads out of the loop when
 * it is *@out.
 */
static gpa_t make_two_levels(struct driver *d, uint32_t *out)
{
	const uint32_t second_level = MI_BBS_PPGTT | 1u << 22;
	const uint64_t inner = LOOP_GMA + 0x100, loop = inner + 5 * 4, behind = inner + 9 * 4;
	const uint32_t first[] = { second_level,       LOW(inner),	HIGH(inner), SDI_PPGTT,
				   LOW(SEQNO_GMA) + 4, HIGH(SEQNO_GMA), 1,	     MI_BBE };
	const uint32_t second[] = {
		0x00800004, /* MI_SET_PREDICATE: off while the result is set */
		SDI_PPGTT,
		LOW(SEQNO_GMA),
		HIGH(SEQNO_GMA),
		1,
		MI_NOOP,
		second_level,
		LOW(loop),
		HIGH(loop),
		MI_LRI_1,
		0x2418 /* MI_PREDICATE_RESULT */,
		1,
		SDI_PPGTT,
		LOW(SEQNO_GMA) + 8,
		HIGH(SEQNO_GMA),
		1,
		0x00800000,
		MI_BBE,
	};
	gpa_t page = ram_alloc(d->ram, 1);

	memcpy(ram_at(d->ram, page), first, sizeof(first));
	memcpy(ram_at(d->ram, gpa(page.v + 0x100)), second, sizeof(second));
	driver_ppgtt_map(d, LOOP_GMA, page);
	driver_ppgtt_map(d, SEQNO_GMA, d->seqno);
	*out = LOW(behind);
	return gpa(page.v + 0x100 + 7 * 4);
}

static void preemption_keeps_the_second_level_and_its_predicate(void **state)
{
	struct driver *d = *state;
	struct driver_context a, b;
	uint32_t out;
	gpa_t jump = make_two_levels(d, &out);

	driver_context_init(d, &a, GPU_RCS, 0x20);
	driver_context_init(d, &b, GPU_RCS, 0x40);
	emit_batch(d, &a);
	driver_emit_seqno(d, &a, 3, 1);
	driver_submit(d, &a, NULL, 0);
	driver_expect_event(d, GPU_RCS, IDLE_TO_ACTIVE, 0x20);
	driver_wait_result(d, 0, 1);

	/* In one that has no such predicate, commands are done. */
	driver_emit_seqno(d, &b, 4, 1);
	driver_submit(d, &b, &a, 0);
	driver_expect_event(d, GPU_RCS, CSB_PREEMPTED, 0x20);
	driver_expect_event(d, GPU_RCS, SWITCHED, 0x40);
	assert_int_equal(driver_result(d, 4), 1);
	assert_int_equal(driver_context_get(d, &a, CTX_SBB_STATE), 0x20);
	assert_int_equal(driver_context_get(d, &a, CTX_SBBADDR) & 1, 1);
	assert_int_equal(driver_context_get(d, &a, CTX_MI_MODE) & 15, 4);
	assert_true(driver_quiet(d, GPU_RCS));

	ram_write32(d->ram, jump, out);
	driver_expect_event(d, GPU_RCS, LAST, 0x20);
	assert_int_equal(driver_result(d, 2), 0); /* predicated */
	assert_int_equal(driver_result(d, 1), 1); /* the first level, from where it was left */
	assert_int_equal(driver_result(d, 3), 1);
}

static void emit_srm(struct driver *d, struct driver_context *ctx, uint32_t reg, unsigned int slot)
{
	const uint32_t dw[] = { 0x12400002, reg, (uint32_t)d->seqno_gma.v + 4 * slot, 0 };

	driver_emit(d, ctx, dw, ARRAY_SIZE(dw));
}

/* Each time the context is loaded: the indirect one, then the other, then the ring. */
static void workaround_batches_come_first(void **state)
{
	struct driver *d = *state;
	struct driver_context ctx;
	gpa_t pages = ram_alloc(d->ram, 2);
	gma_t at = driver_map(d, pages, 2);
	const uint32_t seqno = (uint32_t)d->seqno_gma.v;
	const uint32_t indirect[16] = { MI_LRI_1, 0x2600, 0xaa };
	const uint32_t per_ctx[] = { 0x12400002, 0x2600, seqno, 0, MI_LRI_1, 0x2600, 0xbb, MI_BBE };

	memcpy(ram_at(d->ram, pages), indirect, sizeof(indirect));
	memcpy(ram_at(d->ram, gpa(pages.v + PAGE_BYTES)), per_ctx, sizeof(per_ctx));
	driver_context_init(d, &ctx, GPU_RCS, 0x20);
	driver_context_set(d, &ctx, CTX_INDIRECT_CTX, (uint32_t)at.v | sizeof(indirect) / 64);
	driver_context_set(d, &ctx, CTX_BB_PER_CTX_PTR, (uint32_t)(at.v + PAGE_BYTES) | 1);
	for (int i = 0; i < 2; i++) {
		ram_write32(d->ram, d->seqno, 0);
		ram_write32(d->ram, gpa(d->seqno.v + 4), 0);
		emit_srm(d, &ctx, 0x2600, 1);
		emit_lri(d, &ctx, 0x2600, 0xcc);
		driver_run_alone(d, &ctx);
		assert_int_equal(driver_result(d, 0), 0xaa);
		assert_int_equal(driver_result(d, 1), 0xbb);
	}
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

/* ---- A flip in the ring ---- */

static int setup_with_display(void **state)
{
	static struct driver d;

	driver_open(&d, false);
	driver_start(&d);
	*state = &d;
	return 0;
}

/* As if its registers had been written; of a pipe that is off it shows at once. */
static void a_command_flips_a_plane(void **state)
{
	struct driver *d = *state;
	struct driver_context ctx;
	uint32_t flips = 0;

	driver_write(d, REG_PLANE_CTL(1, 0), 0x84000000 | 1u << 10);
	for (enum gpu_engine engine = GPU_RCS; engine <= GPU_BCS; engine++) {
		uint32_t surface = (engine + 1u) << 16, pitch = 0x40 + engine;
		const uint32_t dw[] = { 0x0a000101, pitch << 6 | 4, surface | 1, MI_NOOP };

		driver_context_init(d, &ctx, engine, 0x20);
		driver_emit(d, &ctx, dw, ARRAY_SIZE(dw));
		driver_run_alone(d, &ctx);
		assert_int_equal(driver_read(d, REG_PLANE_CTL(1, 0)), 0x84000000 | 4u << 10);
		assert_int_equal(driver_read(d, REG_PLANE_STRIDE(1, 0)), pitch);
		assert_int_equal(driver_read(d, REG_PLANE_SURF(1, 0)), surface);
		assert_int_equal(driver_read(d, REG_PLANE_SURFLIVE(1, 0)), surface);
		assert_int_equal(driver_read(d, REG_PIPE_FLIPCOUNT(1)), ++flips);
	}
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_driver(every_engine_stores_and_completes),
		with_driver(a_pair_interrupts_once),
		with_driver(a_user_interrupt_does_not_wait_for_a_long_job),
		with_driver(an_interrupts_cost_is_measured),
		with_driver(status_buffer_is_in_registers_too),
		with_driver(the_buffer_wraps_after_six),
		with_driver(two_contexts_run_in_order),
		with_driver(a_long_context_is_announced_by_interrupt),
		with_driver(lite_restore_extends_a_running_context),
		with_driver(preemption_resumes_inside_the_batch),
		with_driver(preemption_keeps_the_second_level_and_its_predicate),
		with_driver(workaround_batches_come_first),
		with_driver(preemption_waits_for_arbitration),
		with_driver(registers_travel_with_their_context),
		with_driver(a_new_context_may_start_from_a_saved_image),
		with_driver(context_time_grows),
		cmocka_unit_test_setup_teardown(a_command_flips_a_plane, setup_with_display,
						driver_teardown),
		with_driver(four_page_directories),
	};

	return driver_run("execlist", tests);
}
