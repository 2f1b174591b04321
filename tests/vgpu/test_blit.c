/* SPDX-License-Identifier: MIT */
/*
 * A long blit as the vGPU's driver meets it: another context goes before it in its middle, and an
 * engine reset ends it.
 */
#include "driver.h"

#include <string.h>

#include "vgpu/engine.h"

#define SURFACE_GMA 0x7f0000000000ull

/* Inverts one page, again and again: tens of milliseconds, and an odd number of times. */
static gpa_t emit_long_blit(struct driver *d, struct driver_context *ctx)
{
	const int rows = driver_transport.dear_memory ? 3001 : 60001;
	const uint32_t dw[] = {
		2u << 29 | 0x50u << 22 | 3u << 20 | 5,
		3u << 24 | 0x55u << 16,
		(uint32_t)(uint16_t)-30000 << 16,
		(uint32_t)(uint16_t)(rows - 30000) << 16 | 1024,
		(uint32_t)SURFACE_GMA,
		(uint32_t)(SURFACE_GMA >> 32),
		0,
		0,
	};
	gpa_t page = ram_alloc(d->ram, 1);

	driver_ppgtt_map(d, SURFACE_GMA, page);
	driver_emit(d, ctx, dw, ARRAY_SIZE(dw));
	return page;
}

static void a_preempted_blit_goes_on(void **state)
{
	struct driver *d = *state;
	struct driver_context a, b;
	uint32_t expected[1024];
	gpa_t page;

	memset(expected, 0xff, sizeof(expected));
	driver_context_init(d, &a, GPU_BCS, 0x20);
	driver_context_init(d, &b, GPU_BCS, 0x40);
	page = emit_long_blit(d, &a);
	driver_emit_seqno(d, &a, 0, 1);
	driver_submit(d, &a, NULL, 0);
	driver_expect_event(d, GPU_BCS, CSB_IDLE_ACTIVE, 0x20);

	driver_emit_seqno(d, &b, 1, 2);
	driver_submit(d, &b, &a, 0);
	driver_expect_event(d, GPU_BCS, CSB_PREEMPTED, 0x20);
	driver_expect_event(d, GPU_BCS, CSB_COMPLETE | CSB_ELEMENT_SWITCH, 0x40);
	assert_int_equal(driver_result(d, 1), 2);
	driver_expect_event(d, GPU_BCS, CSB_COMPLETE | CSB_ACTIVE_IDLE, 0x20);
	assert_int_equal(driver_result(d, 0), 1);
	assert_memory_equal(ram_at(d->ram, page), expected, sizeof(expected));
}

static void a_reset_ends_a_blit(void **state)
{
	struct driver *d = *state;
	struct driver_context a, b;

	driver_context_init(d, &a, GPU_BCS, 0x20);
	driver_context_init(d, &b, GPU_BCS, 0x40);
	emit_long_blit(d, &a);
	driver_emit_seqno(d, &a, 0, 1);
	driver_submit(d, &a, NULL, 0);
	driver_expect_event(d, GPU_BCS, CSB_IDLE_ACTIVE, 0x20);
	driver_reset_engine(d, GPU_BCS);
	assert_int_equal(driver_result(d, 0), 0);

	driver_start_engine(d, GPU_BCS);
	driver_emit_seqno(d, &b, 1, 2);
	driver_submit(d, &b, NULL, 0);
	driver_wait_result(d, 1, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_driver(a_preempted_blit_goes_on),
		with_driver(a_reset_ends_a_blit),
	};

	return driver_run("blit", tests);
}
