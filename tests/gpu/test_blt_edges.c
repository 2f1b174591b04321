/* SPDX-License-Identifier: MIT */
/*
 * The blitter's edges: single facts of the manual, faults, blits that are left in their middle and
 * taken up again, and commands and states that make no sense.
 */
#include <stdlib.h>
#include <string.h>

#include "rig.h"
#include "tests/support/random.h"

#define MEMORY	   (RIG_PAGES * 4096u)
#define DST_BASE   0x18000u
#define SRC_BASE   0x2c000u
#define PATTERN_AT 0x38000u
#define BITS_AT	   0x39000u

static uint32_t below(uint32_t limit)
{
	return random32() % limit;
}

static void fill_random(uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)random32();
}

static uint32_t xy(int32_t x, int32_t y)
{
	return (uint32_t)(uint16_t)x | (uint32_t)(uint16_t)y << 16;
}

static void again(struct rig *rig)
{
	rig->workload.cs = (struct gpu_cs_state){ 0 };
	memset(&rig->workload.blt, 0, sizeof(rig->workload.blt));
	rig_user_batch(rig);
}

/* ---- Single facts --------------------------------------------------------------------------- */

#define XY_COLOR_BLT_32 (2u << 29 | 0x50u << 22 | 3u << 20 | 5)
#define BR13_32(rop)	(3u << 24 | (uint32_t)(rop) << 16)

static struct rig *blank(void)
{
	struct rig *rig = rig_create(GPU_BCS);

	rig_user_batch(rig);
	return rig;
}

static void solid_pattern_is_background(void **state)
{
	struct rig *rig = blank();

	/* Solid: the pattern is not read, and counts as zeros. */
	EMIT(rig, 2u << 29 | 0x11u << 22 | 3u << 20 | 8, BIT(31) | BR13_32(0xf0) | 64, 0, 0,
	     DST_BASE, 0, 0x11111111, 0x22222222, ~0u, ~0u);
	EMIT(rig, 2u << 29 | 0x25u << 22 | 1, xy(0, 0), xy(2, 1));
	assert_int_equal(rig_run_batch(rig), GPU_RUN_DONE);
	assert_int_equal(peek64(&rig->ppgtt, DST_BASE), 0x1111111111111111);
	assert_int_equal(peek32(&rig->ppgtt, DST_BASE + 8), 0);
	rig_destroy(rig);
}

static void fixed_pattern_hatches(void **state)
{
	struct rig *rig = blank();

	/* Vertical lines, one pixel in eight, at 8 bits a pixel. */
	EMIT(rig, 2u << 29 | 0x59u << 22 | 1u << 15 | 6, 0xf0u << 16 | 64, 0, xy(16, 1), DST_BASE,
	     0, 0x10, 0x20);
	assert_int_equal(rig_run_batch(rig), GPU_RUN_DONE);
	assert_int_equal(peek64(&rig->ppgtt, DST_BASE), 0x1010102010101010);
	assert_int_equal(peek64(&rig->ppgtt, DST_BASE + 8), 0x1010102010101010);
	rig_destroy(rig);
}

static void ring_blits_use_the_ppgtt(void **state)
{
	struct rig *rig = rig_create(GPU_BCS);

	EMIT(rig, XY_COLOR_BLT_32, BR13_32(0xf0) | 64, 0, xy(1, 1), DST_BASE, 0, 0xabcdef01,
	     MI_NOOP);
	rig_run_clean(rig);
	assert_int_equal(peek32(&rig->ppgtt, DST_BASE), 0xabcdef01);
	assert_int_equal(peek32(&rig->ggtt, DST_BASE), 0);
	rig_destroy(rig);
}

static void null_gpu_draws_nothing(void **state)
{
	struct rig *rig = rig_create_null(GPU_BCS);
	struct gpu_stats stats;

	EMIT(rig, XY_COLOR_BLT_32, BR13_32(0xf0) | 64, 0, xy(1, 1), DST_BASE, 0, 0xabcdef01,
	     MI_NOOP);
	rig_run_clean(rig);
	rig->gpu->ops->stats(rig->gpu, &stats);
	assert_int_equal(stats.not_executed[GPU_BCS], 1);
	assert_int_equal(peek32(&rig->ppgtt, DST_BASE), 0);
	rig_destroy(rig);
}

static void no_byte_enabled_touches_nothing(void **state)
{
	struct rig *rig = blank();

	/* 32 bits a pixel without a byte mask: not even an address that faults matters. */
	EMIT(rig, 2u << 29 | 0x50u << 22 | 5, BR13_32(0xf0) | 64, 0, xy(8, 8), 0x80000000, 0, 1);
	assert_int_equal(rig_run_batch(rig), GPU_RUN_DONE);
	assert_int_equal(rig->faults, 0);
	rig_destroy(rig);
}

/* Rows of a page each from DST_BASE on. */
static void emit_fill(struct rig *rig, int32_t rows, uint32_t color)
{
	EMIT(rig, XY_COLOR_BLT_32, BR13_32(0xf0) | 4096, 0, xy(1024, rows), DST_BASE, 0, color);
}

static void pages_met_before_are_not_taken_for_neighbours(void **state)
{
	struct rig *rig = blank();

	/* Four pages side by side, then 0x1d, 0x1c and 0x1f: the second fill finds them all. */
	rig->ppgtt.swapped = 0x1c;
	emit_fill(rig, 7, 0x11111111);
	emit_fill(rig, 7, 0x22222222);
	assert_int_equal(rig_run_batch(rig), GPU_RUN_DONE);
	for (uint32_t page = 0x18; page <= 0x20; page++) {
		uint32_t expected = page == 0x1e || page == 0x20 ? 0 : 0x22222222;

		assert_int_equal(((uint32_t *)rig->ppgtt.memory)[page * 1024], expected);
		assert_int_equal(((uint32_t *)rig->ppgtt.memory)[page * 1024 + 1023], expected);
	}
	rig_destroy(rig);
}

/* ---- Faults --------------------------------------------------------------------------------- */

static void what_was_read_before_is_not_writable_for_that(void **state)
{
	struct rig *rig = blank();

	rig->ppgtt.flags[0x1b] = PAGE_READ_ONLY;
	EMIT(rig, 2u << 29 | 0x53u << 22 | 3u << 20 | 8, BR13_32(0xcc) | 4096, 0, xy(1024, 8),
	     SRC_BASE, 0, 0, 4096, DST_BASE, 0);
	emit_fill(rig, 8, 0x11111111);
	assert_int_equal(rig_run_batch(rig), GPU_RUN_FAULT);
	assert_int_equal(rig->fault.address, 0x1b000);
	assert_true(rig->fault.write);
	assert_int_equal(peek32(&rig->ppgtt, 0x1affc), 0x11111111);
	assert_int_equal(peek32(&rig->ppgtt, 0x1b000), 0);
	rig_destroy(rig);
}

static void fill_stops_at_a_missing_page(void **state)
{
	struct rig *rig = blank();

	rig->ppgtt.flags[0x1a] = PAGE_ABSENT;
	/* 16 rows of 1 KiB: the page is rows 8 to 11. */
	EMIT(rig, XY_COLOR_BLT_32, BR13_32(0xf0) | 1024, 0, xy(256, 16), DST_BASE, 0, 0x55aa55aa);
	assert_int_equal(rig_run_batch(rig), GPU_RUN_FAULT);
	assert_int_equal(rig->faults, 1);
	assert_int_equal(rig->fault.kind, GPU_FAULT_ADDRESS);
	assert_int_equal(rig->fault.address, 0x1a000);
	assert_true(rig->fault.write);
	assert_true(rig->fault.ppgtt);
	assert_int_equal(rig->fault.command_at, RIG_BATCH);
	assert_int_equal(peek32(&rig->ppgtt, 0x19ffc), 0x55aa55aa);
	assert_int_equal(peek32(&rig->ppgtt, 0x1b000), 0);
	rig_destroy(rig);
}

static void copy_names_the_side_that_faulted(void **state)
{
	for (int missing_source = 0; missing_source < 2; missing_source++) {
		for (int tiled = 0; tiled < 2; tiled++) {
			struct rig *rig = blank();
			uint32_t flags = tiled ? BIT(15) | BIT(11) : 0;
			uint32_t pitch = tiled ? 512 / 4 : 512;

			rig->ppgtt.flags[missing_source ? 0x2e : 0x1a] =
				missing_source ? PAGE_ABSENT : PAGE_READ_ONLY;
			EMIT(rig, 2u << 29 | 0x53u << 22 | 3u << 20 | flags | 8,
			     BR13_32(0xcc) | pitch, 0, xy(128, 32), DST_BASE, 0, 0, pitch, SRC_BASE,
			     0);
			assert_int_equal(rig_run_batch(rig), GPU_RUN_FAULT);
			assert_int_equal(rig->fault.address, missing_source ? 0x2e000 : 0x1a000);
			assert_int_equal(rig->fault.write, !missing_source);
			rig_destroy(rig);
		}
	}
}

static void patterns_and_bits_fault_too(void **state)
{
	struct rig *rig = blank();

	rig->ppgtt.flags[PATTERN_AT >> 12] = PAGE_ABSENT;
	EMIT(rig, 2u << 29 | 0x51u << 22 | 3u << 20 | 6, BR13_32(0xf0) | 64, 0, xy(8, 8), DST_BASE,
	     0, PATTERN_AT, 0);
	assert_int_equal(rig_run_batch(rig), GPU_RUN_FAULT);
	assert_int_equal(rig->fault.address, PATTERN_AT);
	assert_false(rig->fault.write);
	rig_destroy(rig);

	rig = blank();
	rig->ppgtt.flags[(BITS_AT >> 12) + 1] = PAGE_ABSENT;
	EMIT(rig, 2u << 29 | 0x54u << 22 | 3u << 20 | 8, BR13_32(0xcc) | 64, 0, xy(8, 8), DST_BASE,
	     0, BITS_AT + 0xffe, 0, 0, 0);
	assert_int_equal(rig_run_batch(rig), GPU_RUN_FAULT);
	assert_int_equal(rig->fault.address, BITS_AT + 0x1000);
	rig_destroy(rig);
}

/* ---- Leaving in the middle ------------------------------------------------------------------ */

/* As big as a blit can be, and all of it in one row of memory. */
static void emit_endless(struct rig *rig, uint32_t rop)
{
	EMIT(rig, XY_COLOR_BLT_32, BR13_32(rop), xy(0, -32768), xy(8192, 32767), DST_BASE, 0, 1);
}

static bool always(struct rig *rig)
{
	return true;
}

static void huge_blit_can_be_left(void **state)
{
	struct rig *rig = blank();
	const struct gpu_ops *ops = rig->gpu->ops;

	emit_endless(rig, 0xf0);
	emit(rig, MI_BATCH_BUFFER_END);
	rig_ring(rig);
	EMIT(rig, MI_BATCH_BUFFER_START | MI_BATCH_PPGTT, RIG_BATCH, 0, MI_NOOP);
	rig_set_tail(rig);
	rig->want_yield = always;
	ops->begin(rig->gpu, &rig->workload);
	for (int slice = 0; slice < 20; slice++)
		assert_int_equal(ops->run(rig->gpu, GPU_BCS, UINT64_MAX), GPU_RUN_BUDGET);
	assert_true(rig->workload.blt.row > 20 && rig->workload.blt.row < 1000);
	/* A deadline that is over, and a stop. */
	rig->want_yield = NULL;
	assert_int_equal(ops->run(rig->gpu, GPU_BCS, 0), GPU_RUN_BUDGET);
	ops->stop(rig->gpu, GPU_BCS);
	assert_int_equal(ops->run(rig->gpu, GPU_BCS, UINT64_MAX), GPU_RUN_STOPPED);
	ops->end(rig->gpu, GPU_BCS);
	rig_destroy(rig);
}

static bool sometimes(struct rig *rig)
{
	return below(2);
}

/* Many yields, with the workload off the engine and another in its place in between. */
static void run_in_pieces(struct rig *rig, struct rig *other)
{
	const struct gpu_ops *ops = rig->gpu->ops;
	unsigned int pieces = 0;
	enum gpu_run result;

	emit(rig, MI_BATCH_BUFFER_END);
	rig_ring(rig);
	EMIT(rig, MI_BATCH_BUFFER_START | MI_BATCH_PPGTT, RIG_BATCH, 0, MI_NOOP);
	rig_set_tail(rig);
	rig->want_yield = sometimes;
	ops->begin(rig->gpu, &rig->workload);
	while ((result = ops->run(rig->gpu, GPU_BCS, UINT64_MAX)) == GPU_RUN_BUDGET) {
		pieces++;
		ops->end(rig->gpu, GPU_BCS);
		again(other);
		other->workload.cs.tail = 0;
		ops->begin(rig->gpu, &other->workload);
		assert_int_equal(ops->run(rig->gpu, GPU_BCS, UINT64_MAX), GPU_RUN_DONE);
		ops->end(rig->gpu, GPU_BCS);
		ops->begin(rig->gpu, &rig->workload);
	}
	assert_int_equal(result, GPU_RUN_DONE);
	ops->end(rig->gpu, GPU_BCS);
	assert_true(pieces > 3);
}

/* Things that come out otherwise when a row is done twice, left out, or a set-up is forgotten. */
static void emit_delicate(struct rig *rig)
{
	EMIT(rig, 2u << 29 | 1u << 22 | 3u << 20 | 8, BR13_32(0x5a) | 2048, 0, 0, DST_BASE, 0, 0, 0,
	     PATTERN_AT, 0);
	/* The pattern is xored in, 3001 times into the same rows. */
	EMIT(rig, 2u << 29 | 0x50u << 22 | 3u << 20 | 5, BR13_32(0x5a), xy(0, 0), xy(512, 3001),
	     DST_BASE, 0, 0x12345678);
	/* Rows scrolled down by one, columns right by one: backwards in both. */
	EMIT(rig, 2u << 29 | 0x53u << 22 | 3u << 20 | 8, BR13_32(0xcc) | 1024, xy(1, 1),
	     xy(250, 40), DST_BASE, 0, xy(0, 0), 1024, DST_BASE, 0);
	EMIT(rig, 2u << 29 | 0x53u << 22 | 3u << 20 | 8, BR13_32(0x66), xy(1, 0), xy(250, 4000),
	     DST_BASE, 0, xy(0, 0), 0, DST_BASE, 0);
	EMIT(rig, 2u << 29 | 0x25u << 22 | 1, xy(0, 0), xy(512, 30));
}

static void pieces_equal_the_whole(void **state)
{
	struct rig *other = rig_create(GPU_BCS);

	for (uint64_t with_seed = 1; with_seed <= 8; with_seed++) {
		struct rig *whole = blank(), *pieces = blank();

		seed = with_seed * 0x9e3779b97f4a7c15ull;
		fill_random(whole->ppgtt.memory, MEMORY);
		memcpy(pieces->ppgtt.memory, whole->ppgtt.memory, MEMORY);
		emit_delicate(whole);
		assert_int_equal(rig_run_batch(whole), GPU_RUN_DONE);
		emit_delicate(pieces);
		run_in_pieces(pieces, other);
		assert_int_equal(whole->faults + pieces->faults, 0);
		assert_memory_equal(pieces->ppgtt.memory, whole->ppgtt.memory, MEMORY);
		rig_destroy(whole);
		rig_destroy(pieces);
	}
	rig_destroy(other);
}

/* After a reset a driver runs the batch again from its start: nothing may be left out then. */
static void replay_starts_over(void **state)
{
	struct rig *rig = blank();
	const struct gpu_ops *ops = rig->gpu->ops;

	EMIT(rig, XY_COLOR_BLT_32, BR13_32(0xf0) | 1024, 0, xy(256, 8), DST_BASE, 0, 0x77777777);
	emit(rig, MI_BATCH_BUFFER_END);
	rig_ring(rig);
	EMIT(rig, MI_BATCH_BUFFER_START | MI_BATCH_PPGTT, RIG_BATCH, 0, MI_NOOP);
	rig_set_tail(rig);
	rig->workload.blt.row = 6;
	rig->workload.blt.command_at = RIG_BATCH;
	ops->begin(rig->gpu, &rig->workload);
	assert_int_equal(ops->run(rig->gpu, GPU_BCS, UINT64_MAX), GPU_RUN_DONE);
	ops->end(rig->gpu, GPU_BCS);
	assert_int_equal(peek32(&rig->ppgtt, DST_BASE), 0x77777777);
	assert_int_equal(peek32(&rig->ppgtt, DST_BASE + 0x1ffc), 0x77777777);
	rig_destroy(rig);
}

/* ---- Anything at all ------------------------------------------------------------------------ */

static const uint8_t opcodes[] = { 0x01, 0x03, 0x11, 0x24, 0x25, 0x26, 0x31, 0x42, 0x50,
				   0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59,
				   0x71, 0x72, 0x73, 0x74, 0x75, 0x76, 0x77 };

static void anything_is_bounded(void **state)
{
	struct rig *rig = rig_create(GPU_BCS);
	const struct gpu_ops *ops = rig->gpu->ops;

	for (uint32_t n = 0; n < 4000; n++) {
		uint32_t opcode = opcodes[n % ARRAY_SIZE(opcodes)];
		const struct gpu_command *command;

		seed = (n + 1) * 0x2545f4914f6cdd1dull;
		for (uint32_t page = 0x12; page < RIG_PAGES; page++)
			rig->ppgtt.flags[page] = below(30) ? 0 : (uint8_t)below(8);
		again(rig);
		fill_random((uint8_t *)&rig->workload.blt, sizeof(rig->workload.blt));
		rig->workload.blt.setup[4] = DST_BASE;
		rig->workload.blt.setup[5] = 0;
		if (below(2))
			rig->workload.blt.command_at = RIG_BATCH;
		command = gpu_command_find(GPU_BCS, 2u << 29 | opcode << 22);
		emit(rig, command->header | (random32() & 0x3fff00) |
				  (command->min_dwords - 2 +
				   (command->max_dwords != command->min_dwords ? below(8) : 0)));
		for (uint32_t i = 1; i < command->min_dwords + 8; i++)
			emit(rig, below(3) ? below(MEMORY) : below(2) ? 0 : random32());
		emit(rig, MI_BATCH_BUFFER_END);
		rig_ring(rig);
		EMIT(rig, MI_BATCH_BUFFER_START | MI_BATCH_PPGTT, RIG_BATCH, 0, MI_NOOP);
		rig_set_tail(rig);
		rig->want_yield = always;
		ops->begin(rig->gpu, &rig->workload);
		for (int slice = 0; slice < 3; slice++) {
			if (ops->run(rig->gpu, GPU_BCS, 0) != GPU_RUN_BUDGET)
				break;
		}
		ops->end(rig->gpu, GPU_BCS);
	}
	rig_destroy(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(solid_pattern_is_background),
		cmocka_unit_test(fixed_pattern_hatches),
		cmocka_unit_test(ring_blits_use_the_ppgtt),
		cmocka_unit_test(null_gpu_draws_nothing),
		cmocka_unit_test(no_byte_enabled_touches_nothing),
		cmocka_unit_test(pages_met_before_are_not_taken_for_neighbours),
		cmocka_unit_test(what_was_read_before_is_not_writable_for_that),
		cmocka_unit_test(fill_stops_at_a_missing_page),
		cmocka_unit_test(copy_names_the_side_that_faulted),
		cmocka_unit_test(patterns_and_bits_fault_too),
		cmocka_unit_test(huge_blit_can_be_left),
		cmocka_unit_test(pieces_equal_the_whole),
		cmocka_unit_test(replay_starts_over),
		cmocka_unit_test(anything_is_bounded),
	};

	return cmocka_run_group_tests_name("gpu blt edges", tests, NULL, NULL);
}
