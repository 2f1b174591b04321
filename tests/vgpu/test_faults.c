/* SPDX-License-Identifier: MIT */
/* What stops an engine: resets, the watchdog, faults, and how they are shown. */
#include <string.h>

#include "base/clock.h"
#include "jobs.h"
#include "vgpu/device.h"
#include "vgpu_regs_gen.h"

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

/* Its type is the level of the table whose entry is missing, or does not allow a store. */
static void the_fault_register_tells_the_level(void **state)
{
	static const uint64_t missing[] = { 0x101000, 0x400000, 0x80000000, 0x8000000000 };
	struct driver *d = *state;
	struct driver_context ctx;

	driver_ppgtt_map(d, 0x100000, ram_alloc(d->ram, 1));
	for (uint32_t type = 0; type < ARRAY_SIZE(missing); type++) {
		const uint32_t dw[] = { 0x10000002, (uint32_t)missing[type],
					(uint32_t)(missing[type] >> 32), 1 };

		driver_context_init(d, &ctx, GPU_BCS, 0x20);
		driver_emit(d, &ctx, dw, 4);
		driver_submit(d, &ctx, NULL, 0);
		driver_expect_event(d, GPU_BCS, IDLE_TO_ACTIVE, 0x20);
		wait_faults(d, GPU_FAULT_ADDRESS, type + 1);
		assert_int_equal(driver_read(d, REG_GEN8_RING_FAULT_REG),
				 2u << 12 /* the blitter */ | type << 1 | 1);
		assert_int_equal(driver_read(d, REG_GEN8_FAULT_TLB_DATA0),
				 (uint32_t)(missing[type] >> 12));
		assert_int_equal(driver_read(d, REG_GEN8_FAULT_TLB_DATA1), 0);
		driver_write(d, REG_GEN8_RING_FAULT_REG, 0);
		driver_reset_engine(d, GPU_BCS);
	}
}

/* Engines by the hardware's numbers, and of the address every bit. */
static void the_fault_register_tells_engine_and_address(void **state)
{
	static const uint32_t number[GPU_ENGINES] = {
		[GPU_RCS] = 0, [GPU_VCS0] = 1, [GPU_BCS] = 2, [GPU_VECS] = 3
	};
	static const uint64_t missing[] = { 0xa5c3f0693000, 0x5a3c0f96c000 };
	struct driver *d = *state;
	struct driver_context ctx;
	unsigned int faults = 0;

	for_each_engine(engine) {
		uint64_t at = missing[engine & 1];
		const uint32_t dw[] = { 0x10000002, (uint32_t)at, (uint32_t)(at >> 32), 1 };

		driver_context_init(d, &ctx, engine, 0x20);
		driver_emit(d, &ctx, dw, 4);
		driver_submit(d, &ctx, NULL, 0);
		driver_expect_event(d, engine, IDLE_TO_ACTIVE, 0x20);
		wait_faults(d, GPU_FAULT_ADDRESS, ++faults);
		assert_int_equal(driver_read(d, REG_GEN8_RING_FAULT_REG),
				 number[engine] << 12 | 3u << 1 /* the PML4 */ | 1);
		assert_int_equal(driver_read(d, REG_GEN8_FAULT_TLB_DATA0), (uint32_t)(at >> 12));
		assert_int_equal(driver_read(d, REG_GEN8_FAULT_TLB_DATA1), (uint32_t)(at >> 44));
		driver_write(d, REG_GEN8_RING_FAULT_REG, 0);
		driver_reset_engine(d, engine);
	}
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

/* No audit sees what a context image sets: the same registers are refused there, too. */
static void images_cannot_reach_guarded_registers(void **state)
{
	static const uint32_t guarded[] = { 0x1f004 /* no row */, REG_RING_EMR(0x2000),
					    REG_PVINFO_G2V_NOTIFY, REG_PLANE_SURF(0, 0) };
	struct driver *d = *state;
	struct driver_context ctx;

	assert_null(vgpu_register_name(guarded[0]));
	for (unsigned int i = 0; i < ARRAY_SIZE(guarded); i++) {
		uint32_t before = driver_read(d, guarded[i]);

		driver_context_init(d, &ctx, GPU_RCS, 0x20);
		driver_context_set(d, &ctx, CTX_CONTEXT_CONTROL, 0x00090008); /* all of it */
		driver_context_set(d, &ctx, CTX_GPR0 - 1, guarded[i]);
		driver_context_set(d, &ctx, CTX_GPR0, before ^ 0x1000);
		driver_run_alone(d, &ctx);
		assert_int_equal(driver_read(d, guarded[i]), before);
	}
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
		with_driver(reset_frees_a_hung_engine),
		with_driver(reset_of_one_engine_leaves_the_others),
		with_driver(full_reset_stops_all),
		with_driver(stop_ring_holds_and_lets_go),
		with_driver(function_level_reset),
		with_driver(an_unknown_command_raises_the_error_interrupt),
		with_driver(a_bad_address_shows_in_the_fault_register),
		with_driver(the_fault_register_tells_the_level),
		with_driver(the_fault_register_tells_engine_and_address),
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
		with_driver(images_cannot_reach_guarded_registers),
		with_driver(nothing_is_reached_outside_the_share),
		with_driver(work_outlives_a_changing_memory_map),
	};

	return driver_run("faults", tests);
}
