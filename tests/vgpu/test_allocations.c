/* SPDX-License-Identifier: MIT */
/*
 * Nothing is allocated on a trap, while a submission is taken, audited and run, when it faults, and
 * by a reset.  The linker hands us the calls of all layers (see meson.build); libc's own are not
 * seen.
 */
#include "driver.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "vgpu/mmio.h"

#define BATCH_AT 0x100000u
#define DST_AT	 0x200000u

static _Atomic unsigned long allocations;

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
void *__real_aligned_alloc(size_t alignment, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);
void *__wrap_aligned_alloc(size_t alignment, size_t bytes);

void *__wrap_malloc(size_t bytes)
{
	atomic_fetch_add(&allocations, 1);
	return __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
	atomic_fetch_add(&allocations, 1);
	return __real_calloc(count, bytes);
}

void *__wrap_realloc(void *old, size_t bytes)
{
	atomic_fetch_add(&allocations, 1);
	return __real_realloc(old, bytes);
}

void *__wrap_aligned_alloc(size_t alignment, size_t bytes)
{
	atomic_fetch_add(&allocations, 1);
	return __real_aligned_alloc(alignment, bytes);
}

static struct driver d;
static unsigned long before;

static int set_up(void **state)
{
	driver_open(&d, true);
	driver_start(&d);
	/* Or the count counts nothing. */
	assert_true(atomic_load(&allocations) > 0);
	before = atomic_load(&allocations);
	return 0;
}

static int tear_down(void **state)
{
	assert_int_equal(atomic_load(&allocations), before);
	driver_close(&d);
	return 0;
}

static void every_register(void **state)
{
	for (unsigned int n = 0; n < VGPU_REG_ROWS; n++) {
		const struct vgpu_reg_row *row = &vgpu_reg_rows[n];
		uint32_t value = driver_read(&d, row->offset);

		driver_write(&d, row->offset, value);
	}
}

static void the_table_and_the_aperture(void **state)
{
	gpa_t page = ram_alloc(d.ram, 1);
	uint64_t pte = page.v | 1, value = 1;

	for (uint64_t i = 0; i < 256; i++) {
		driver_bar_write(&d, 0, VGPU_GTT_OFFSET + i * 8, &pte, 8);
		driver_bar_read(&d, 0, VGPU_GTT_OFFSET + i * 8, &pte, 8);
		driver_bar_write(&d, 2, i * PAGE_BYTES, &value, 8);
		driver_bar_read(&d, 2, i * PAGE_BYTES, &value, 8);
	}
}

/* A user batch: stores, registers, and on the blitter a fill, a copy and a mono pattern. */
static void write_batch(enum gpu_engine engine)
{
	static const uint32_t common[] = { 0x10000002, DST_AT, 0, 1, MI_LRI_1, 0x2600, 5 };
	static const uint32_t blits[] = {
		/* Fill, copy, monochrome pattern. */
		0x54300005, 0x03f00100, 0, 0x00200040, DST_AT,	   0,	       0x12345678,
		0x54f00008, 0x03cc0100, 0, 0x00100010, DST_AT,	   0,	       0x00100000,
		0x100,	    DST_AT,	0, 0x54b00008, 0x03f00100, 0,	       0x00080008,
		DST_AT,	    0,		1, 2,	       0x55555555, 0x33333333,
	};
	gpa_t batch = ram_alloc(d.ram, 1);
	uint32_t *dw = ram_at(d.ram, batch);
	gpa_t dst = ram_alloc(d.ram, 4);

	memcpy(dw, common, sizeof(common));
	dw += ARRAY_SIZE(common);
	if (engine == GPU_BCS) {
		memcpy(dw, blits, sizeof(blits));
		dw += ARRAY_SIZE(blits);
	}
	*dw = MI_BBE;
	driver_ppgtt_map(&d, BATCH_AT, batch);
	for (unsigned int i = 0; i < 4; i++)
		driver_ppgtt_map(&d, DST_AT + i * PAGE_BYTES, gpa(dst.v + i * PAGE_BYTES));
}

static void submissions(void **state)
{
	const uint32_t start[] = { MI_BBS_PPGTT, BATCH_AT, 0, MI_NOOP };
	struct vgpu_stats stats;

	for_each_engine(engine) {
		struct driver_context ctx;

		write_batch(engine);
		driver_context_init(&d, &ctx, engine, 0x20);
		for (uint32_t i = 1; i <= 20; i++) {
			driver_emit(&d, &ctx, start, ARRAY_SIZE(start));
			driver_emit_seqno(&d, &ctx, engine, i);
			driver_submit(&d, &ctx, NULL, 0);
			driver_wait_result(&d, engine, i);
			driver_wait_event(&d, engine);
			driver_wait_event(&d, engine);
			driver_handle_irq(&d, engine);
		}
	}
	vgpu_stats(d.v, &stats);
	assert_int_equal(stats.gpu.faults[GPU_BCS], 0);
	assert_true(stats.gpu.commands[GPU_BCS] >= 20 * 8);
}

static void faults_and_resets(void **state)
{
	static const uint32_t bad[][4] = {
		{ 0x1f800000, 0, 0, 0 },	   /* no such command */
		{ MI_SDI_GGTT, 0x1ee00000, 0, 1 }, /* not mapped */
		{ MI_LRI_1, 0x2230, 1, 0 },	   /* ELSP */
	};
	struct vgpu_stats stats;

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		struct driver_context ctx;

		driver_context_init(&d, &ctx, GPU_RCS, 0x20);
		driver_emit(&d, &ctx, bad[i], 4);
		driver_submit(&d, &ctx, NULL, 0);
		do {
			driver_idle(&d);
			vgpu_stats(d.v, &stats);
		} while (stats.gpu.faults[GPU_RCS] <= i);
		driver_reset_engine(&d, GPU_RCS);
	}
	driver_write(&d, REG_GEN6_GDRST, 1);
}

#define counted(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		counted(every_register),
		counted(the_table_and_the_aperture),
		counted(submissions),
		counted(faults_and_resets),
	};

	return driver_run("allocations", tests);
}
