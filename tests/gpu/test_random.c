/* SPDX-License-Identifier: MIT */
/*
 * Properties over many random streams: leaving and entering again at any command changes nothing;
 * nothing that memory may hold makes the streamer crash, overrun or stay.  Seeds are fixed, so a
 * failure comes back.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "rig.h"
#include "tests/support/random.h"

static uint32_t below(uint32_t limit)
{
	return random32() % limit;
}

/* ---- Resuming ------------------------------------------------------------------------------- */

static uint32_t data_address(void)
{
	return RIG_DATA + 8 * below(64);
}

static uint32_t gpr_offset(void)
{
	return 0x2600 + 4 * below(32);
}

static void emit_math(struct rig *rig)
{
	static const uint32_t ops[] = { 0x100, 0x101, 0x102, 0x103, 0x104 };

	EMIT(rig, MI_MATH(4), ALU(0x080, 0x20, below(16)), ALU(0x480, 0x21, below(16)),
	     ALU(ops[below(5)], 0, 0), ALU(0x180, below(16), 0x31 + below(3)));
}

/* A command whose effect depends on what came before it, so that a loss or a repeat shows. */
static void emit_command(struct rig *rig)
{
	switch (below(11)) {
	case 0:
		EMIT(rig, 0x10200003, data_address(), 0, random32(), random32());
		break;
	case 1:
		EMIT(rig, MI_ATOMIC_INLINE(5 + below(5)) | 1u << 16, data_address(), 0, random32(),
		     0, 0, 0, 0, 0, 0, 0);
		break;
	case 2:
		EMIT(rig, MI_LOAD_REGISTER_IMM(2), gpr_offset(), random32(), gpr_offset(),
		     random32());
		break;
	case 3:
		EMIT(rig, MI_LOAD_REGISTER_MEM, gpr_offset(), data_address(), 0);
		break;
	case 4:
		EMIT(rig, MI_STORE_REGISTER_MEM | below(2) << 21, gpr_offset(), data_address(), 0);
		break;
	case 5:
		EMIT(rig, MI_COPY_MEM_MEM, data_address(), 0, data_address(), 0);
		break;
	case 6:
		EMIT(rig, MI_LOAD_REGISTER_REG, gpr_offset(), gpr_offset());
		break;
	case 7:
		EMIT(rig, MI_PREDICATE(2 + below(2), below(4), below(3)), MI_NOOP);
		break;
	case 8:
		EMIT(rig, PIPE_CONTROL, 1u << 14 | below(2) << 18, data_address(), 0, random32(),
		     random32());
		break;
	case 9:
		EMIT(rig, MI_SET_PREDICATE(below(2) ? 0 : 3 + below(2)));
		break;
	default:
		emit_math(rig);
		break;
	}
}

/* A second level batch, a first level one that chains and calls it, and a ring around them. */
static void emit_program(struct rig *rig)
{
	rig_batch(rig, &rig->ppgtt, RIG_BATCH_2);
	for (uint32_t i = 0; i < 40; i++)
		emit_command(rig);
	emit(rig, MI_BATCH_BUFFER_END);
	rig_batch(rig, &rig->ppgtt, RIG_BATCH + 0xf80);
	for (uint32_t i = 0; i < 60; i++) {
		emit_command(rig);
		if (below(10) == 0)
			EMIT(rig, MI_SET_PREDICATE(0),
			     MI_BATCH_BUFFER_START | MI_BATCH_PPGTT | MI_BATCH_2ND_LEVEL,
			     RIG_BATCH_2, 0);
	}
	emit(rig, MI_BATCH_BUFFER_END);
	rig_user_batch(rig);
	for (uint32_t i = 0; i < 30; i++)
		emit_command(rig);
	EMIT(rig, MI_SET_PREDICATE(0), MI_BATCH_BUFFER_START | MI_BATCH_PPGTT, RIG_BATCH + 0xf80,
	     0);
	rig_ring(rig);
	for (uint32_t i = 0; i < 3; i++) {
		EMIT(rig, MI_BATCH_BUFFER_START | MI_BATCH_PPGTT, RIG_BATCH, 0);
		emit_math(rig);
	}
	rig_set_tail(rig);
}

static struct rig *program_create(uint64_t with_seed)
{
	struct rig *rig = rig_create(GPU_RCS);

	seed = with_seed;
	/* Not at the start, so that it wraps now and then. */
	rig->workload.cs.head = rig->workload.cs.tail = 8 * below(RIG_RING_BYTES / 8);
	emit_program(rig);
	return rig;
}

static bool sometimes(struct rig *rig)
{
	return below(3) == 0;
}

/* Runs in many slices, some of them with the workload taken off in between. */
static unsigned int run_in_pieces(struct rig *rig)
{
	const struct gpu_ops *ops = rig->gpu->ops;
	unsigned int pieces = 0;
	enum gpu_run result;

	to_soft_gpu(rig->gpu)->engines[GPU_RCS].check_commands = 1;
	rig->want_yield = sometimes;
	ops->begin(rig->gpu, &rig->workload);
	while ((result = ops->run(rig->gpu, GPU_RCS, UINT64_MAX)) == GPU_RUN_BUDGET) {
		pieces++;
		if (below(4) == 0) {
			ops->end(rig->gpu, GPU_RCS);
			ops->begin(rig->gpu, &rig->workload);
		}
	}
	assert_int_equal(result, GPU_RUN_DONE);
	ops->end(rig->gpu, GPU_RCS);
	return pieces;
}

static void pieces_equal_the_whole(void **state)
{
	for (uint64_t with_seed = 1; with_seed <= 60; with_seed++) {
		struct rig *whole = program_create(with_seed * 0x9e3779b97f4a7c15);
		struct rig *pieces = program_create(with_seed * 0x9e3779b97f4a7c15);

		whole->at = RIG_RING + whole->workload.cs.tail;
		rig_run_clean(whole);
		assert_true(run_in_pieces(pieces) > 50);
		assert_int_equal(pieces->faults, 0);
		assert_int_equal(pieces->workload.cs.head, whole->workload.cs.head);
		assert_memory_equal(pieces->ppgtt.memory, whole->ppgtt.memory,
				    sizeof(whole->ppgtt.memory));
		for (unsigned int n = 0; n < 16; n++)
			assert_int_equal(rig_gpr(pieces, n), rig_gpr(whole, n));
		rig_destroy(whole);
		rig_destroy(pieces);
	}
}

static void every_boundary_is_a_place_to_leave(void **state)
{
	struct rig *whole = program_create(77);
	struct gpu_stats stats;

	whole->at = RIG_RING + whole->workload.cs.tail;
	rig_run_clean(whole);
	whole->gpu->ops->stats(whole->gpu, &stats);
	for (uint64_t leave = 1; leave < stats.commands[GPU_RCS]; leave += 3) {
		struct rig *rig = program_create(77);
		const struct gpu_ops *ops = rig->gpu->ops;

		to_soft_gpu(rig->gpu)->engines[GPU_RCS].check_commands = (int)leave;
		ops->begin(rig->gpu, &rig->workload);
		assert_int_equal(ops->run(rig->gpu, GPU_RCS, 0), GPU_RUN_BUDGET);
		ops->end(rig->gpu, GPU_RCS);
		to_soft_gpu(rig->gpu)->engines[GPU_RCS].check_commands = 1000000;
		ops->begin(rig->gpu, &rig->workload);
		assert_int_equal(ops->run(rig->gpu, GPU_RCS, UINT64_MAX), GPU_RUN_DONE);
		ops->end(rig->gpu, GPU_RCS);
		assert_memory_equal(rig->ppgtt.memory, whole->ppgtt.memory,
				    sizeof(whole->ppgtt.memory));
		rig_destroy(rig);
	}
	rig_destroy(whole);
}

/* ---- Anything at all ------------------------------------------------------------------------ */

static uint32_t random_header(enum gpu_engine engine)
{
	const struct gpu_command *command = &gpu_commands[below(gpu_command_count)];
	uint32_t bits = random32();

	if (below(20) == 0)
		return random32();
	if (!(command->engines & BIT(engine)) && below(50))
		return MI_NOOP;
	/* Flags at random; the length as it should be, mostly. */
	bits &= below(20) ? 0x007fff00u : 0x007fffffu;
	if (command->header >> 29 == 3)
		bits &= 0xffff;
	else if (command->header >> 29 == 2)
		bits &= 0x3fffff;
	if (command->min_dwords != command->max_dwords && command->length_bits)
		bits |= (command->min_dwords - 2 + below(8)) & 0x3f;
	return command->header | bits;
}

static void fill(struct rig *rig, struct rig_space *space, uint32_t from, uint32_t bytes)
{
	uint32_t at = from;

	while (at < from + bytes - 80) {
		uint32_t header = random_header(rig->workload.engine);
		const struct gpu_command *command = gpu_command_find(rig->workload.engine, header);
		uint32_t dwords = command ? gpu_command_dwords(command, header) : 1;

		poke32(space, at, header);
		at += 4;
		for (uint32_t i = 1; i < dwords && at < from + bytes - 4; i++, at += 4) {
			uint32_t value = random32();

			/* Often an address that exists, its upper half, or a register. */
			if (below(4))
				value = below(3) ? value % (RIG_PAGES * 4096) : 0;
			poke32(space, at, value);
		}
	}
}

static void run_anything(struct rig *rig)
{
	const struct gpu_ops *ops = rig->gpu->ops;
	enum gpu_engine engine = rig->workload.engine;
	struct gpu_cs_state at;
	uint32_t header;

	rig->workload.cs = (struct gpu_cs_state){ .head = 4 * below(64), .tail = 4 * below(1024) };
	rig->workload.indirect_ctx_bytes = below(4) ? 0 : 64 * below(8);
	rig->workload.indirect_ctx = gma(RIG_BATCH);
	rig->workload.per_ctx = gma(below(4) ? 0 : RIG_BATCH_2);
	ops->begin(rig->gpu, &rig->workload);
	for (int slice = 0; slice < 4; slice++) {
		enum gpu_run result = ops->run(rig->gpu, engine, clock_now_ns() + 20000);

		ops->where(rig->gpu, engine, &at, &header);
		assert_true(at.head < RIG_RING_BYTES);
		if (result != GPU_RUN_BUDGET && result != GPU_RUN_WAIT)
			break;
	}
	ops->end(rig->gpu, engine);
}

static void nothing_makes_it_crash(void **state)
{
	for (uint32_t i = 0; i < 600; i++) {
		struct rig *rig = rig_create(i % GPU_ENGINES);

		seed = (i + 1) * 0x9e3779b97f4a7c15;
		for (uint32_t page = 0; page < RIG_PAGES; page++) {
			rig->ggtt.flags[page] = below(12) ? 0 : (uint8_t)below(8);
			rig->ppgtt.flags[page] = below(12) ? 0 : (uint8_t)below(8);
		}
		rig->ggtt.flags[RIG_RING >> 12] = 0;
		for (uint32_t n = 0; n < 4; n++) {
			fill(rig, &rig->ggtt, RIG_RING, RIG_RING_BYTES);
			fill(rig, &rig->ggtt, RIG_BATCH, 0x2000);
			fill(rig, &rig->ppgtt, RIG_BATCH, 0x2000);
			fill(rig, &rig->ppgtt, RIG_BATCH_2, 0x2000);
			run_anything(rig);
		}
		rig_destroy(rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_equal_the_whole),
		cmocka_unit_test(every_boundary_is_a_place_to_leave),
		cmocka_unit_test(nothing_makes_it_crash),
	};

	return cmocka_run_group_tests_name("gpu random", tests, NULL, NULL);
}
