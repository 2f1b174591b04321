/* SPDX-License-Identifier: MIT */
/* Rings, batches, context batches, waiting, stopping: where the streamer goes next. */
#include <string.h>

#include "base/clock.h"
#include "rig.h"

#define STORE(address, value)	   (MI_STORE_DATA_IMM | MI_GGTT), (address), 0, (value)
#define STORE_USER(address, value) MI_STORE_DATA_IMM, (address), 0, (value)

static void ring_runs_to_its_tail(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);
	struct gpu_stats stats;

	EMIT(rig, MI_NOOP, STORE(RIG_DATA, 0x1234), MI_USER_INTERRUPT, MI_NOOP);
	rig_run_clean(rig);
	assert_int_equal(peek32(&rig->ggtt, RIG_DATA), 0x1234);
	assert_int_equal(rig->interrupt_count, 1);
	assert_int_equal(rig->interrupts[0], GPU_INTERRUPT_USER);
	assert_int_equal(rig->data_at_interrupt, 0x1234);
	rig->gpu->ops->stats(rig->gpu, &stats);
	assert_int_equal(stats.commands[GPU_RCS], 4);
	assert_int_equal(stats.bytes_fetched[GPU_RCS], 7 * 4);
	rig_destroy(rig);
}

static void ring_wraps_inside_a_command(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);

	rig->workload.cs.head = rig->workload.cs.tail = RIG_RING_BYTES - 8;
	rig_ring(rig);
	EMIT(rig, STORE(RIG_DATA, 0x55), STORE(RIG_DATA + 4, 0x66));
	rig_run_clean(rig);
	assert_int_equal(peek32(&rig->ggtt, RIG_DATA), 0x55);
	assert_int_equal(peek32(&rig->ggtt, RIG_DATA + 4), 0x66);
	assert_int_equal(rig->workload.cs.head, 24);
	rig_destroy(rig);
}

static void lite_restore_goes_on(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);

	EMIT(rig, MI_NOOP, MI_NOOP);
	rig_set_tail(rig);
	EMIT(rig, STORE(RIG_DATA, 9));
	rig->new_tail = rig->at - RIG_RING;
	rig->at = RIG_RING + rig->workload.cs.tail;
	assert_int_equal(rig_run(rig), GPU_RUN_DONE);
	assert_int_equal(peek32(&rig->ggtt, RIG_DATA), 9);
	assert_int_equal(rig->workload.cs.head, rig->new_tail);
	rig_destroy(rig);
}

static void bad_rings_fault(void **state)
{
	static const struct {
		uint32_t bytes, head, tail;
	} bad[] = { { 0, 0, 0 },      { 0x1234, 0, 0 },	     { 0x201000, 0, 0 },   { 0x1000, 2, 8 },
		    { 0x1000, 0, 2 }, { 0x1000, 0x1000, 0 }, { 0x1000, 0, 0x1000 } };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct rig *rig = rig_create(GPU_BCS);

		rig->workload.ring_bytes = bad[i].bytes;
		rig->workload.cs.head = bad[i].head;
		rig->at = RIG_RING + bad[i].tail;
		assert_int_equal(rig_run(rig), GPU_RUN_FAULT);
		assert_int_equal(rig->fault.kind, GPU_FAULT_RING);
		assert_int_equal(rig->fault.engine, GPU_BCS);
		assert_int_equal(rig->fault.context_id, 7);
		rig_destroy(rig);
	}
}

static void bad_new_tail_faults(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);

	emit(rig, MI_NOOP);
	rig->new_tail = 0x2000;
	assert_int_equal(rig_run(rig), GPU_RUN_FAULT);
	assert_int_equal(rig->fault.kind, GPU_FAULT_RING);
	rig_destroy(rig);
}

static void command_behind_the_tail_faults(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);

	EMIT(rig, MI_NOOP, MI_STORE_DATA_IMM | MI_GGTT, RIG_DATA);
	assert_int_equal(rig_run(rig), GPU_RUN_FAULT);
	assert_int_equal(rig->fault.kind, GPU_FAULT_LENGTH);
	assert_int_equal(rig->fault.command_at, RIG_RING + 4);
	assert_int_equal(rig->workload.cs.head, 4);
	rig_destroy(rig);
}

static void unknown_commands_fault(void **state)
{
	/* MI with no such opcode, 2D on the render engine, 3D on the blitter, reserved types. */
	static const struct {
		enum gpu_engine engine;
		uint32_t header;
	} bad[] = {
		{ GPU_RCS, 0x02000000 }, { GPU_RCS, 0x54c00008 },  { GPU_BCS, 0x7a000004 },
		{ GPU_RCS, 0x20000000 }, { GPU_RCS, 0xffffffff },  { GPU_VCS0, 0x79170101 },
		{ GPU_RCS, 0x7fff0000 }, { GPU_VECS, 0x70000003 }, { GPU_RCS, 0x13000003 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct rig *rig = rig_create(bad[i].engine);

		EMIT(rig, MI_NOOP, bad[i].header, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
		assert_int_equal(rig_run(rig), GPU_RUN_FAULT);
		assert_int_equal(rig->fault.kind, GPU_FAULT_OPCODE);
		assert_int_equal(rig->fault.header, bad[i].header);
		assert_int_equal(rig->fault.command_at, RIG_RING + 4);
		assert_int_equal(rig->faults, 1);
		rig_destroy(rig);
	}
}

static void commands_of_the_host_are_denied(void **state)
{
	static const uint32_t headers[] = { 0x11800001, 0x0c000000 };

	for (size_t i = 0; i < ARRAY_SIZE(headers); i++) {
		struct rig *rig = rig_create(GPU_RCS);

		EMIT(rig, headers[i], 0, 0, 0);
		assert_int_equal(rig_run(rig), GPU_RUN_FAULT);
		assert_int_equal(rig->fault.kind, GPU_FAULT_PRIVILEGE);
		assert_int_equal(rig->fault.header, headers[i]);
		rig_destroy(rig);
	}
}

/* The register's low two bits are no part of the offset; without the command's bit it is not added.
 */
static void a_batch_starts_at_bb_offset_where_asked(void **state)
{
	static const uint32_t add_offset[] = { 0, 1u << 16 };

	for (size_t i = 0; i < ARRAY_SIZE(add_offset); i++) {
		struct rig *rig = rig_create(GPU_RCS);

		for (uint32_t at = 0; at < 2; at++) {
			rig_batch(rig, &rig->ppgtt, RIG_BATCH_2 + 0x40 * at);
			EMIT(rig, MI_STORE_DATA_IMM, RIG_DATA, 0, 1 + at, MI_BATCH_BUFFER_END);
		}
		rig_user_batch(rig);
		EMIT(rig, MI_LOAD_REGISTER_IMM(1), 0x2158, 0x43);
		EMIT(rig, MI_BATCH_BUFFER_START | MI_BATCH_PPGTT | add_offset[i], RIG_BATCH_2, 0);
		assert_int_equal(rig_run_batch(rig), GPU_RUN_DONE);
		assert_int_equal(peek32(&rig->ppgtt, RIG_DATA), 1 + i);
		rig_destroy(rig);
	}
}

static void faulted_engine_halts(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);

	emit(rig, 0xffffffff);
	rig_set_tail(rig);
	rig->gpu->ops->begin(rig->gpu, &rig->workload);
	assert_int_equal(rig->gpu->ops->run(rig->gpu, GPU_RCS, UINT64_MAX), GPU_RUN_FAULT);
	assert_int_equal(rig->gpu->ops->run(rig->gpu, GPU_RCS, UINT64_MAX), GPU_RUN_FAULT);
	assert_int_equal(rig->faults, 1);
	rig->gpu->ops->end(rig->gpu, GPU_RCS);
	rig->gpu->ops->reset(rig->gpu, GPU_RCS);
	rig->workload.cs = (struct gpu_cs_state){ 0 };
	rig_ring(rig);
	emit(rig, MI_USER_INTERRUPT);
	assert_int_equal(rig_run(rig), GPU_RUN_DONE);
	assert_int_equal(rig->interrupt_count, 1);
	rig_destroy(rig);
}

/* ---- Batches -------------------------------------------------------------------------------- */

static void user_batch_runs_and_returns(void **state)
{
	struct rig *rig = rig_create(GPU_VCS0);

	rig_user_batch(rig);
	EMIT(rig, STORE_USER(RIG_DATA, 3));
	assert_int_equal(rig_run_batch(rig), GPU_RUN_DONE);
	assert_int_equal(peek32(&rig->ppgtt, RIG_DATA), 3);
	assert_int_equal(peek32(&rig->ggtt, RIG_DATA), 0);
	assert_false(rig->workload.cs.bb_valid[0]);
	rig_destroy(rig);
}

static void address_is_cut_to_48_bits(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);

	rig_batch(rig, &rig->ppgtt, RIG_BATCH);
	EMIT(rig, MI_STORE_DATA_IMM, RIG_DATA, 0xffff0000, 3, MI_BATCH_BUFFER_END);
	rig_ring(rig);
	EMIT(rig, MI_BATCH_BUFFER_START | MI_BATCH_PPGTT, RIG_BATCH, 0xffff0000);
	rig_run_clean(rig);
	assert_int_equal(peek32(&rig->ppgtt, RIG_DATA), 3);
	rig_destroy(rig);
}

static void second_level_returns_to_the_first(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);

	rig_batch(rig, &rig->ppgtt, RIG_BATCH_2);
	EMIT(rig, STORE_USER(RIG_DATA, 1), MI_BATCH_BUFFER_END);
	rig_user_batch(rig);
	EMIT(rig, MI_BATCH_BUFFER_START | MI_BATCH_PPGTT | MI_BATCH_2ND_LEVEL, RIG_BATCH_2, 0);
	EMIT(rig, STORE_USER(RIG_DATA + 4, 2));
	assert_int_equal(rig_run_batch(rig), GPU_RUN_DONE);
	assert_int_equal(peek32(&rig->ppgtt, RIG_DATA), 1);
	assert_int_equal(peek32(&rig->ppgtt, RIG_DATA + 4), 2);
	rig_destroy(rig);
}

static void chaining_replaces_the_address(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);

	rig_batch(rig, &rig->ppgtt, RIG_BATCH_2);
	EMIT(rig, STORE_USER(RIG_DATA, 1), MI_BATCH_BUFFER_END);
	rig_user_batch(rig);
	EMIT(rig, MI_BATCH_BUFFER_START | MI_BATCH_PPGTT, RIG_BATCH_2, 0);
	EMIT(rig, STORE_USER(RIG_DATA + 4, 2));
	assert_int_equal(rig_run_batch(rig), GPU_RUN_DONE);
	assert_int_equal(peek32(&rig->ppgtt, RIG_DATA), 1);
	assert_int_equal(peek32(&rig->ppgtt, RIG_DATA + 4), 0);
	rig_destroy(rig);
}

static void second_level_chains_at_its_level(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);

	rig_batch(rig, &rig->ppgtt, RIG_BATCH_2);
	EMIT(rig, MI_BATCH_BUFFER_START | MI_BATCH_PPGTT | MI_BATCH_2ND_LEVEL, RIG_BATCH_2 + 64, 0);
	rig_batch(rig, &rig->ppgtt, RIG_BATCH_2 + 64);
	EMIT(rig, STORE_USER(RIG_DATA, 1), MI_BATCH_BUFFER_END);
	rig_user_batch(rig);
	EMIT(rig, MI_BATCH_BUFFER_START | MI_BATCH_PPGTT | MI_BATCH_2ND_LEVEL, RIG_BATCH_2, 0);
	EMIT(rig, STORE_USER(RIG_DATA + 4, 2));
	assert_int_equal(rig_run_batch(rig), GPU_RUN_DONE);
	assert_int_equal(peek64(&rig->ppgtt, RIG_DATA), 0x200000001);
	rig_destroy(rig);
}

static void second_level_from_the_ring_faults(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);

	EMIT(rig, MI_BATCH_BUFFER_START | MI_BATCH_PPGTT | MI_BATCH_2ND_LEVEL, RIG_BATCH, 0);
	assert_int_equal(rig_run(rig), GPU_RUN_FAULT);
	assert_int_equal(rig->fault.kind, GPU_FAULT_NESTING);
	rig_destroy(rig);
}

static void user_batch_cannot_become_privileged(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);

	/* The same address in both spaces: only the PPGTT's commands may run. */
	rig_batch(rig, &rig->ggtt, RIG_BATCH_2);
	EMIT(rig, STORE(RIG_DATA, 1), MI_BATCH_BUFFER_END);
	rig_batch(rig, &rig->ppgtt, RIG_BATCH_2);
	EMIT(rig, STORE_USER(RIG_DATA, 2), MI_BATCH_BUFFER_END);
	rig_user_batch(rig);
	EMIT(rig, MI_BATCH_BUFFER_START, RIG_BATCH_2, 0);
	assert_int_equal(rig_run_batch(rig), GPU_RUN_DONE);
	assert_int_equal(peek32(&rig->ggtt, RIG_DATA), 0);
	assert_int_equal(peek32(&rig->ppgtt, RIG_DATA), 2);
	rig_destroy(rig);
}

static void predicated_batch_start(void **state)
{
	for (uint32_t result = 0; result < 2; result++) {
		struct rig *rig = rig_create(GPU_RCS);

		rig_user_batch(rig);
		EMIT(rig, STORE_USER(RIG_DATA, 1), MI_BATCH_BUFFER_END);
		rig_ring(rig);
		EMIT(rig, MI_LOAD_REGISTER_IMM(1), 0x241c, result);
		EMIT(rig, MI_BATCH_BUFFER_START | MI_BATCH_PPGTT | 1u << 15, RIG_BATCH, 0);
		rig_run_clean(rig);
		assert_int_equal(peek32(&rig->ppgtt, RIG_DATA), result);
		rig_destroy(rig);
	}
}

static void unmapped_batch_faults(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);

	rig->ppgtt.flags[(RIG_BATCH >> 12) + 1] = PAGE_ABSENT;
	rig_batch(rig, &rig->ppgtt, RIG_BATCH + 4096 - 8);
	EMIT(rig, MI_NOOP, MI_NOOP);
	rig_ring(rig);
	EMIT(rig, MI_BATCH_BUFFER_START | MI_BATCH_PPGTT, RIG_BATCH + 4096 - 8, 0);
	assert_int_equal(rig_run(rig), GPU_RUN_FAULT);
	assert_int_equal(rig->fault.kind, GPU_FAULT_ADDRESS);
	assert_int_equal(rig->fault.address, RIG_BATCH + 4096);
	assert_int_equal(rig->fault.command_at, RIG_BATCH + 4096);
	assert_true(rig->fault.ppgtt);
	assert_false(rig->fault.write);
	assert_int_equal(rig->fault.header, 0);
	rig_destroy(rig);
}

static void command_into_an_unmapped_page_faults(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);

	rig->ppgtt.flags[(RIG_BATCH >> 12) + 1] = PAGE_ABSENT;
	rig_batch(rig, &rig->ppgtt, RIG_BATCH + 4096 - 8);
	EMIT(rig, STORE_USER(RIG_DATA, 1));
	rig_ring(rig);
	EMIT(rig, MI_BATCH_BUFFER_START | MI_BATCH_PPGTT, RIG_BATCH + 4096 - 8, 0);
	assert_int_equal(rig_run(rig), GPU_RUN_FAULT);
	assert_int_equal(rig->fault.kind, GPU_FAULT_ADDRESS);
	assert_int_equal(rig->fault.address, RIG_BATCH + 4096);
	assert_int_equal(rig->fault.command_at, RIG_BATCH + 4096 - 8);
	assert_int_equal(rig->fault.header, MI_STORE_DATA_IMM);
	assert_int_equal(peek32(&rig->ppgtt, RIG_DATA), 0);
	rig_destroy(rig);
}

static void batch_may_end_at_the_last_dword_of_its_page(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);

	rig->ppgtt.flags[(RIG_BATCH >> 12) + 1] = PAGE_ABSENT;
	rig_batch(rig, &rig->ppgtt, RIG_BATCH + 4096 - 20);
	EMIT(rig, STORE_USER(RIG_DATA, 1), MI_BATCH_BUFFER_END);
	rig_ring(rig);
	EMIT(rig, MI_BATCH_BUFFER_START | MI_BATCH_PPGTT, RIG_BATCH + 4096 - 20, 0);
	rig_run_clean(rig);
	assert_int_equal(peek32(&rig->ppgtt, RIG_DATA), 1);
	rig_destroy(rig);
}

/* What a batch writes 512 bytes ahead of itself takes effect. */
static void batch_writes_into_itself(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);
	uint32_t target = RIG_BATCH + 16 + 512;

	rig_user_batch(rig);
	EMIT(rig, STORE_USER(target + 12, 99));
	while (rig->at < target)
		emit(rig, MI_NOOP);
	EMIT(rig, STORE_USER(RIG_DATA, 1));
	assert_int_equal(rig_run_batch(rig), GPU_RUN_DONE);
	assert_int_equal(peek32(&rig->ppgtt, RIG_DATA), 99);
	rig_destroy(rig);
}

static void conditional_end(void **state)
{
	static const struct {
		uint32_t header, data;
		uint64_t memory;
		bool ends;
	} cases[] = {
		{ 0x1b200002, 5, 5, true },
		{ 0x1b200002, 5, 4, true },
		{ 0x1b200002, 5, 6, false },
		{ 0x1b000002, 5, 5, false },
		{ 0x1b280002, 0, 0xf000000ff, false },
		{ 0x1b280002, 0, 0xff0000000f, false },
		{ 0x1b280002, 0, 0xf000000f0, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct rig *rig = rig_create(GPU_VCS0);

		poke64(&rig->ppgtt, RIG_DATA + 8, cases[i].memory);
		rig_batch(rig, &rig->ppgtt, RIG_BATCH_2);
		EMIT(rig, cases[i].header, cases[i].data, RIG_DATA + 8, 0, MI_BATCH_BUFFER_END);
		rig_user_batch(rig);
		EMIT(rig, MI_BATCH_BUFFER_START | MI_BATCH_PPGTT | MI_BATCH_2ND_LEVEL, RIG_BATCH_2,
		     0);
		EMIT(rig, STORE_USER(RIG_DATA, 1));
		assert_int_equal(rig_run_batch(rig), GPU_RUN_DONE);
		assert_int_equal(peek32(&rig->ppgtt, RIG_DATA), !cases[i].ends);
		rig_destroy(rig);
	}
}

/* ---- Context batches ------------------------------------------------------------------------ */

static void conditional_end_without_a_condition_reads_nothing(void **state)
{
	struct rig *rig = rig_create(GPU_VCS0);

	rig_user_batch(rig);
	EMIT(rig, 0x1b000002, 5, RIG_PAGES * 4096u, 0, STORE_USER(RIG_DATA, 1));
	assert_int_equal(rig_run_batch(rig), GPU_RUN_DONE);
	assert_int_equal(peek32(&rig->ppgtt, RIG_DATA), 1);
	rig_destroy(rig);
}

static void context_batches_run_before_the_ring(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);

	rig_batch(rig, &rig->ggtt, RIG_BATCH);
	EMIT(rig, STORE(RIG_DATA, 1), MI_NOOP, MI_NOOP);
	rig->workload.indirect_ctx = gma(RIG_BATCH);
	rig->workload.indirect_ctx_bytes = 6 * 4;
	/* Copies what the indirect batch left, so the order shows. */
	rig_batch(rig, &rig->ggtt, RIG_BATCH_2);
	EMIT(rig, MI_COPY_MEM_MEM | MI_GGTT | 1u << 21, RIG_DATA + 4, 0, RIG_DATA, 0);
	EMIT(rig, MI_BATCH_BUFFER_END);
	rig->workload.per_ctx = gma(RIG_BATCH_2);
	rig_ring(rig);
	EMIT(rig, STORE(RIG_DATA, 2));
	rig_run_clean(rig);
	assert_int_equal(peek64(&rig->ggtt, RIG_DATA), 0x100000002);
	rig_destroy(rig);
}

/* A context restore and a request as i915 6.1 writes them for the render engine. */
static void request_as_i915_writes_it(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);
	struct gpu_stats stats;

	rig->registers[0x7014 / 4] = 0;
	rig_batch(rig, &rig->ggtt, RIG_BATCH);
	EMIT(rig, 0x04000000, 0x12400002, 0xb118, RIG_DATA + 0x100, 0);
	EMIT(rig, 0x11000001, 0xb118, 0x40600000, PIPE_CONTROL, 0x00100020, 0, 0, 0, 0);
	EMIT(rig, 0x14c00002, 0xb118, RIG_DATA + 0x100, 0);
	EMIT(rig, PIPE_CONTROL, 0x08304000, 0xd0, 0, 0, 0);
	EMIT(rig, 0x11000005, 0x7014, 0x10000000, 0x2088, 0x20002, 0x2090, 0x10001000, 0x04000001);
	rig->workload.indirect_ctx = gma(RIG_BATCH);
	rig->workload.indirect_ctx_bytes = 48 * 4;
	rig_user_batch(rig);
	EMIT(rig, STORE_USER(RIG_DATA, 0x77), MI_BATCH_BUFFER_END);
	rig_ring(rig);
	EMIT(rig, 0x10400002, RIG_DATA, 0, 1, 0, 0x02800000); /* initial breadcrumb */
	EMIT(rig, PIPE_CONTROL, 0, 0, 0, 0, 0, PIPE_CONTROL, 0x00344c1c, 0xd0, 0, 0, 0);
	EMIT(rig, 0x04000000, 0x18800101, RIG_BATCH, 0, 0x04000001, 0);
	EMIT(rig, PIPE_CONTROL, 0x00001021, 0, 0, 0, 0);
	EMIT(rig, PIPE_CONTROL, 0x01104080, RIG_DATA, 0, 2, 0);
	EMIT(rig, 0x01000000, 0x04000001, 0x02800000, 0);
	rig_run_clean(rig);
	assert_int_equal(peek32(&rig->ggtt, RIG_DATA), 2);
	assert_int_equal(peek32(&rig->ppgtt, RIG_DATA), 0x77);
	assert_int_equal(rig->interrupt_count, 1);
	assert_int_equal(rig->data_at_interrupt, 2);
	assert_int_equal(rig->registers[0x7014 / 4], 0x10000000);
	rig->gpu->ops->stats(rig->gpu, &stats);
	assert_int_equal(stats.not_executed[GPU_RCS], 0);
	assert_int_equal(stats.batches[GPU_RCS], 1);
	rig_destroy(rig);
}

static void batch_from_a_context_batch_faults(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);

	rig_batch(rig, &rig->ggtt, RIG_BATCH);
	EMIT(rig, MI_BATCH_BUFFER_START, RIG_BATCH, 0);
	rig->workload.indirect_ctx = gma(RIG_BATCH);
	rig->workload.indirect_ctx_bytes = 64;
	rig_ring(rig);
	emit(rig, MI_NOOP);
	assert_int_equal(rig_run(rig), GPU_RUN_FAULT);
	assert_int_equal(rig->fault.kind, GPU_FAULT_NESTING);
	rig_destroy(rig);
}

static void resumes_in_the_middle_of_batches(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);

	rig_batch(rig, &rig->ppgtt, RIG_BATCH_2);
	EMIT(rig, STORE_USER(RIG_DATA, 1), MI_BATCH_BUFFER_END);
	rig_user_batch(rig);
	EMIT(rig, STORE_USER(RIG_DATA + 4, 2), MI_BATCH_BUFFER_END);
	rig_ring(rig);
	EMIT(rig, STORE(RIG_DATA, 3));
	rig->workload.cs.bb_valid[0] = rig->workload.cs.bb_valid[1] = true;
	rig->workload.cs.bb_ppgtt[0] = rig->workload.cs.bb_ppgtt[1] = true;
	rig->workload.cs.bb_head[0] = RIG_BATCH;
	rig->workload.cs.bb_head[1] = RIG_BATCH_2;
	rig_run_clean(rig);
	assert_int_equal(peek64(&rig->ppgtt, RIG_DATA), 0x200000001);
	assert_int_equal(peek32(&rig->ggtt, RIG_DATA), 3);
	rig_destroy(rig);
}

/* A context that was preempted while MI_SET_PREDICATE made its commands no-ops. */
static void predication_spares_context_batches(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);

	rig_batch(rig, &rig->ggtt, RIG_BATCH);
	EMIT(rig, STORE(RIG_DATA, 1));
	rig->workload.indirect_ctx = gma(RIG_BATCH);
	rig->workload.indirect_ctx_bytes = 16;
	rig_batch(rig, &rig->ggtt, RIG_BATCH + 0x100);
	EMIT(rig, STORE(RIG_DATA + 4, 1), MI_BATCH_BUFFER_END);
	rig->workload.per_ctx = gma(RIG_BATCH + 0x100);
	rig_user_batch(rig);
	EMIT(rig, STORE_USER(RIG_DATA, 1), MI_BATCH_BUFFER_END);
	rig->workload.cs.bb_valid[0] = rig->workload.cs.bb_ppgtt[0] = true;
	rig->workload.cs.bb_head[0] = RIG_BATCH;
	rig->workload.cs.set_predicate = 15;
	rig_ring(rig);
	EMIT(rig, MI_NOOP);
	rig_run_clean(rig);
	assert_int_equal(peek64(&rig->ggtt, RIG_DATA), 0x100000001);
	assert_int_equal(peek32(&rig->ppgtt, RIG_DATA), 0);
	rig_destroy(rig);
}

static void second_level_without_first_faults(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);

	rig->workload.cs.bb_valid[1] = true;
	emit(rig, MI_NOOP);
	assert_int_equal(rig_run(rig), GPU_RUN_FAULT);
	assert_int_equal(rig->fault.kind, GPU_FAULT_CONTEXT);
	rig_destroy(rig);
}

/* ---- Waiting, stopping, leaving ------------------------------------------------------------- */

static void semaphore_waits_and_goes_on(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);
	struct gpu_ops const *ops = rig->gpu->ops;

	EMIT(rig, MI_SEMAPHORE_WAIT(4) | MI_GGTT, 42, RIG_DATA, 0, STORE(RIG_DATA + 4, 1));
	rig_set_tail(rig);
	ops->begin(rig->gpu, &rig->workload);
	assert_int_equal(ops->run(rig->gpu, GPU_RCS, UINT64_MAX), GPU_RUN_WAIT);
	assert_int_equal(ops->run(rig->gpu, GPU_RCS, UINT64_MAX), GPU_RUN_WAIT);
	assert_int_equal(rig->interrupt_count, 1);
	assert_int_equal(rig->interrupts[0], GPU_INTERRUPT_WAIT_SEMAPHORE);
	/* What lies behind the wait may be written until the semaphore is signalled. */
	poke32(&rig->ggtt, RIG_RING + 7 * 4, 77);
	poke32(&rig->ggtt, RIG_DATA, 42);
	assert_int_equal(ops->run(rig->gpu, GPU_RCS, UINT64_MAX), GPU_RUN_DONE);
	assert_int_equal(peek32(&rig->ggtt, RIG_DATA + 4), 77);
	ops->end(rig->gpu, GPU_RCS);
	rig_destroy(rig);
}

static void semaphore_compares(void **state)
{
	/* For each operation: passes with memory below, equal to, above the command's dword. */
	static const bool passes[6][3] = { { false, false, true }, { false, true, true },
					   { true, false, false }, { true, true, false },
					   { false, true, false }, { true, false, true } };

	for (uint32_t op = 0; op < 6; op++) {
		for (uint32_t i = 0; i < 3; i++) {
			struct rig *rig = rig_create(GPU_BCS);

			poke32(&rig->ppgtt, RIG_DATA, 0x80000000 + i - 1);
			rig_user_batch(rig);
			EMIT(rig, MI_SEMAPHORE_WAIT(op), 0x80000000, RIG_DATA, 0);
			assert_int_equal(rig_run_batch(rig),
					 passes[op][i] ? GPU_RUN_DONE : GPU_RUN_WAIT);
			rig_destroy(rig);
		}
	}
}

static void endless_batch(struct rig *rig)
{
	rig_user_batch(rig);
	EMIT(rig, MI_ARB_CHECK, MI_BATCH_BUFFER_START | MI_BATCH_PPGTT, RIG_BATCH, 0);
	rig_ring(rig);
	EMIT(rig, MI_BATCH_BUFFER_START | MI_BATCH_PPGTT, RIG_BATCH, 0);
	rig_set_tail(rig);
	rig->gpu->ops->begin(rig->gpu, &rig->workload);
}

static void endless_batch_ends_with_its_slice(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);
	uint64_t start = clock_now_ns();

	endless_batch(rig);
	assert_int_equal(rig->gpu->ops->run(rig->gpu, GPU_RCS, start + NSEC_PER_MSEC),
			 GPU_RUN_BUDGET);
	assert_true(clock_now_ns() >= start + NSEC_PER_MSEC);
	/* A deadline in the past still makes progress, and comes back. */
	assert_int_equal(rig->gpu->ops->run(rig->gpu, GPU_RCS, 0), GPU_RUN_BUDGET);
	rig->gpu->ops->end(rig->gpu, GPU_RCS);
	assert_true(rig->workload.cs.bb_valid[0]);
	rig_destroy(rig);
}

static void endless_batch_is_stopped(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);
	struct gpu_stats before, after;

	endless_batch(rig);
	rig->gpu->ops->run(rig->gpu, GPU_RCS, 0);
	rig->gpu->ops->stats(rig->gpu, &before);
	rig->gpu->ops->stop(rig->gpu, GPU_RCS);
	assert_int_equal(rig->gpu->ops->run(rig->gpu, GPU_RCS, UINT64_MAX), GPU_RUN_STOPPED);
	rig->gpu->ops->stats(rig->gpu, &after);
	assert_int_equal(before.commands[GPU_RCS], after.commands[GPU_RCS]);
	rig->gpu->ops->end(rig->gpu, GPU_RCS);
	rig_destroy(rig);
}

static void endless_batch_is_rewritten(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);

	endless_batch(rig);
	assert_int_equal(rig->gpu->ops->run(rig->gpu, GPU_RCS, 0), GPU_RUN_BUDGET);
	poke32(&rig->ppgtt, RIG_BATCH, MI_BATCH_BUFFER_END);
	assert_int_equal(rig->gpu->ops->run(rig->gpu, GPU_RCS, UINT64_MAX), GPU_RUN_DONE);
	rig->gpu->ops->end(rig->gpu, GPU_RCS);
	rig_destroy(rig);
}

static bool always(struct rig *rig)
{
	return true;
}

static void yield_is_heard(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);

	endless_batch(rig);
	rig->want_yield = always;
	assert_int_equal(rig->gpu->ops->run(rig->gpu, GPU_RCS, UINT64_MAX), GPU_RUN_BUDGET);
	assert_int_equal(rig->yields, 1);
	rig->gpu->ops->end(rig->gpu, GPU_RCS);
	rig_destroy(rig);
}

/* MI_NOOPs go by many at a time, but each is counted, and the clock is looked at in between. */
static void noops_count_one_by_one(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);
	struct gpu_stats stats;

	rig_user_batch(rig);
	for (uint32_t i = 0; i < 1500; i++)
		emit(rig, MI_NOOP);
	EMIT(rig, STORE_USER(RIG_DATA, 1));
	assert_int_equal(rig_run_batch(rig), GPU_RUN_DONE);
	rig->gpu->ops->stats(rig->gpu, &stats);
	/* In the ring the start of the batch, and a last MI_NOOP. */
	assert_int_equal(stats.commands[GPU_RCS], 1500 + 2 + 2);
	assert_int_equal(rig->yields, 1504 / 64);
	assert_int_equal(peek32(&rig->ppgtt, RIG_DATA), 1);
	rig_destroy(rig);
}

static void where_tells_the_position(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);
	struct gpu_cs_state at;
	uint32_t header;

	rig_user_batch(rig);
	EMIT(rig, MI_NOOP, MI_SEMAPHORE_WAIT(4), 1, RIG_DATA, 0, MI_BATCH_BUFFER_END);
	rig_ring(rig);
	EMIT(rig, MI_BATCH_BUFFER_START | MI_BATCH_PPGTT, RIG_BATCH, 0, MI_NOOP);
	rig_set_tail(rig);
	rig->gpu->ops->begin(rig->gpu, &rig->workload);
	assert_int_equal(rig->gpu->ops->run(rig->gpu, GPU_RCS, UINT64_MAX), GPU_RUN_WAIT);
	rig->gpu->ops->where(rig->gpu, GPU_RCS, &at, &header);
	assert_int_equal(at.head, 12);
	assert_int_equal(at.tail, 16);
	assert_true(at.bb_valid[0] && at.bb_ppgtt[0] && !at.bb_valid[1]);
	assert_int_equal(at.bb_head[0], RIG_BATCH + 4);
	assert_int_equal(header, MI_SEMAPHORE_WAIT(4));
	rig->gpu->ops->end(rig->gpu, GPU_RCS);
	rig_destroy(rig);
}

static void null_gpu_steps_over_batches(void **state)
{
	struct rig *rig = rig_create_null(GPU_RCS);
	struct gpu_stats stats;

	EMIT(rig, MI_BATCH_BUFFER_START | MI_BATCH_PPGTT, 0xdead0000, 0, STORE(RIG_DATA, 5),
	     MI_USER_INTERRUPT);
	rig_run_clean(rig);
	assert_int_equal(peek32(&rig->ggtt, RIG_DATA), 5);
	assert_int_equal(rig->interrupt_count, 1);
	rig->gpu->ops->stats(rig->gpu, &stats);
	assert_int_equal(stats.batches[GPU_RCS], 1);
	rig_destroy(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ring_runs_to_its_tail),
		cmocka_unit_test(ring_wraps_inside_a_command),
		cmocka_unit_test(lite_restore_goes_on),
		cmocka_unit_test(bad_rings_fault),
		cmocka_unit_test(bad_new_tail_faults),
		cmocka_unit_test(command_behind_the_tail_faults),
		cmocka_unit_test(unknown_commands_fault),
		cmocka_unit_test(commands_of_the_host_are_denied),
		cmocka_unit_test(a_batch_starts_at_bb_offset_where_asked),
		cmocka_unit_test(faulted_engine_halts),
		cmocka_unit_test(user_batch_runs_and_returns),
		cmocka_unit_test(address_is_cut_to_48_bits),
		cmocka_unit_test(second_level_returns_to_the_first),
		cmocka_unit_test(chaining_replaces_the_address),
		cmocka_unit_test(second_level_chains_at_its_level),
		cmocka_unit_test(second_level_from_the_ring_faults),
		cmocka_unit_test(user_batch_cannot_become_privileged),
		cmocka_unit_test(predicated_batch_start),
		cmocka_unit_test(unmapped_batch_faults),
		cmocka_unit_test(command_into_an_unmapped_page_faults),
		cmocka_unit_test(batch_may_end_at_the_last_dword_of_its_page),
		cmocka_unit_test(batch_writes_into_itself),
		cmocka_unit_test(conditional_end),
		cmocka_unit_test(conditional_end_without_a_condition_reads_nothing),
		cmocka_unit_test(context_batches_run_before_the_ring),
		cmocka_unit_test(request_as_i915_writes_it),
		cmocka_unit_test(batch_from_a_context_batch_faults),
		cmocka_unit_test(resumes_in_the_middle_of_batches),
		cmocka_unit_test(predication_spares_context_batches),
		cmocka_unit_test(second_level_without_first_faults),
		cmocka_unit_test(semaphore_waits_and_goes_on),
		cmocka_unit_test(semaphore_compares),
		cmocka_unit_test(endless_batch_ends_with_its_slice),
		cmocka_unit_test(endless_batch_is_stopped),
		cmocka_unit_test(endless_batch_is_rewritten),
		cmocka_unit_test(yield_is_heard),
		cmocka_unit_test(noops_count_one_by_one),
		cmocka_unit_test(where_tells_the_position),
		cmocka_unit_test(null_gpu_steps_over_batches),
	};

	return cmocka_run_group_tests_name("gpu flow", tests, NULL, NULL);
}
