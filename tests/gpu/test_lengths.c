/* SPDX-License-Identifier: MIT */
/*
 * Lengths: what drivers submit is parsed from end to end, and counted.  The golden context batch
 * is the sequence of commands with which i915 starts its first render context; the list of headers
 * and lengths is what Mesa's iris and anv submit for a lit gear, a textured cube with queries,
 * and compute shaders.
 */
#include <string.h>

#include "rig.h"

/* ---- The golden context batch --------------------------------------------------------------- */

/* Headers as the driver writes them, in its order; a second number repeats one so many times. */
static const struct {
	uint32_t header, dwords, times;
} golden[] = {
	{ 0x7a000004, 6, 1 },  { 0x69040300, 1, 1 },   { 0x78140000, 2, 1 },
	{ 0x7820000a, 12, 1 }, { 0x78130002, 4, 1 },   { 0x781f0004, 6, 1 },
	{ 0x78510009, 11, 1 }, { 0x78100007, 9, 1 },   { 0x781b0007, 9, 1 },
	{ 0x78110008, 10, 1 }, { 0x781e0003, 5, 1 },   { 0x781d0009, 11, 1 },
	{ 0x78120002, 4, 1 },  { 0x78500003, 5, 1 },   { 0x781c0002, 4, 1 },
	{ 0x780c0000, 2, 1 },  { 0x78520003, 5, 1 },   { 0x78300000, 2, 1 },
	{ 0x78310000, 2, 1 },  { 0x78320000, 2, 1 },   { 0x78330000, 2, 1 },
	{ 0x79190002, 4, 1 },  { 0x791a0002, 4, 1 },   { 0x791b0002, 4, 1 },
	{ 0x79120000, 2, 1 },  { 0x79130000, 2, 1 },   { 0x79140000, 2, 1 },
	{ 0x79150000, 2, 1 },  { 0x79160000, 2, 1 },   { 0x78150009, 11, 1 },
	{ 0x78190009, 11, 1 }, { 0x781a0009, 11, 1 },  { 0x78160009, 11, 1 },
	{ 0x78170009, 11, 1 }, { 0x78490001, 3, 1 },   { 0x784a0000, 2, 1 },
	{ 0x784b0000, 2, 1 },  { 0x79170101, 259, 1 }, { 0x79180006, 8, 4 },
	{ 0x61010011, 19, 1 }, { 0x61020001, 3, 1 },   { 0x79000002, 4, 1 },
	{ 0x78050006, 8, 1 },  { 0x79040002, 4, 4 },   { 0x79080001, 3, 1 },
	{ 0x790a0001, 3, 1 },  { 0x78060003, 5, 1 },   { 0x78070003, 5, 1 },
	{ 0x78040001, 3, 1 },  { 0x79110000, 2, 1 },   { 0x780d0000, 2, 1 },
	{ 0x79060000, 2, 1 },  { 0x7907001f, 33, 1 },  { 0x79020000, 2, 1 },
	{ 0x790c0000, 2, 1 },  { 0x780a0003, 5, 1 },   { 0x78080083, 133, 1 },
	{ 0x78090043, 69, 1 }, { 0x78550003, 5, 1 },   { 0x680b0001, 1, 1 },
	{ 0x78240000, 2, 1 },  { 0x784f0000, 2, 1 },   { 0x784d0000, 2, 1 },
	{ 0x782b0000, 2, 1 },  { 0x782c0000, 2, 1 },   { 0x782d0000, 2, 1 },
	{ 0x782e0000, 2, 1 },  { 0x782f0000, 2, 1 },   { 0x780f0000, 2, 1 },
	{ 0x78230000, 2, 1 },  { 0x78210000, 2, 1 },   { 0x78260000, 2, 1 },
	{ 0x78270000, 2, 1 },  { 0x78280000, 2, 1 },   { 0x78290000, 2, 1 },
	{ 0x782a0000, 2, 1 },  { 0x7b000005, 7, 1 },
};

static uint64_t count_of(struct rig *rig, const char *name)
{
	struct gpu_not_executed rows[CMD_COUNT];
	size_t count = rig->gpu->ops->not_executed(rig->gpu, rows, ARRAY_SIZE(rows));

	for (size_t i = 0; i < count; i++) {
		if (!strcmp(rows[i].command->name, name))
			return rows[i].count;
	}
	return 0;
}

static void golden_context_batch(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);
	struct gpu_stats stats;
	uint64_t commands = 0;

	rig_batch(rig, &rig->ggtt, RIG_BATCH);
	for (size_t i = 0; i < ARRAY_SIZE(golden); i++) {
		for (uint32_t n = 0; n < golden[i].times; n++) {
			emit(rig, golden[i].header);
			/* Would be taken for a command of a reserved type. */
			for (uint32_t dword = 1; dword < golden[i].dwords; dword++)
				emit(rig, golden[i].header >> 16 == 0x7a00 ? 0 : 0x9fffffff);
			commands++;
		}
	}
	assert_int_equal(rig_run_batch(rig), GPU_RUN_DONE);
	assert_int_equal(rig->faults, 0);
	rig->gpu->ops->stats(rig->gpu, &stats);
	assert_int_equal(stats.commands[GPU_RCS], commands + 3);
	assert_int_equal(stats.not_executed[GPU_RCS], commands - 1);
	assert_int_equal(stats.work_dropped[GPU_RCS], 1);
	assert_int_equal(count_of(rig, "3DPRIMITIVE"), 1);
	assert_int_equal(count_of(rig, "3DSTATE_CHROMA_KEY"), 4);
	assert_int_equal(count_of(rig, "PIPE_CONTROL"), 0);
	rig_destroy(rig);
}

/* ---- What Mesa submits ---------------------------------------------------------------------- */

static const struct {
	uint32_t header, dwords;
} mesa[] = {
	{ 0x06000082, 1 },  { 0x060000c2, 1 },	{ 0x0d000003, 5 },  { 0x10000002, 4 },
	{ 0x11000001, 3 },  { 0x11000003, 5 },	{ 0x12000002, 4 },  { 0x12200002, 4 },
	{ 0x14800002, 4 },  { 0x15000001, 3 },	{ 0x17000003, 5 },  { 0x61010011, 19 },
	{ 0x680b0000, 1 },  { 0x680b0001, 1 },	{ 0x69040300, 1 },  { 0x69040302, 1 },
	{ 0x70000007, 9 },  { 0x70010002, 4 },	{ 0x70020002, 4 },  { 0x70040000, 2 },
	{ 0x7105000d, 15 }, { 0x78040001, 3 },	{ 0x78050006, 8 },  { 0x78060003, 5 },
	{ 0x78070003, 5 },  { 0x78080003, 5 },	{ 0x78080007, 9 },  { 0x78090001, 3 },
	{ 0x78090003, 5 },  { 0x78090005, 7 },	{ 0x78090007, 9 },  { 0x780a0003, 5 },
	{ 0x780c0000, 2 },  { 0x780d0000, 2 },	{ 0x780e0000, 2 },  { 0x780f0000, 2 },
	{ 0x78100007, 9 },  { 0x78110008, 10 }, { 0x78120002, 4 },  { 0x78130002, 4 },
	{ 0x78140000, 2 },  { 0x78150409, 11 }, { 0x78160409, 11 }, { 0x78170409, 11 },
	{ 0x78180000, 2 },  { 0x78190409, 11 }, { 0x781a0409, 11 }, { 0x781b0007, 9 },
	{ 0x781c0002, 4 },  { 0x781d0009, 11 }, { 0x781e0003, 5 },  { 0x781f0004, 6 },
	{ 0x7820000a, 12 }, { 0x78210000, 2 },	{ 0x78230000, 2 },  { 0x78240000, 2 },
	{ 0x78260000, 2 },  { 0x78270000, 2 },	{ 0x78280000, 2 },  { 0x78290000, 2 },
	{ 0x782a0000, 2 },  { 0x782b0000, 2 },	{ 0x782f0000, 2 },  { 0x78300000, 2 },
	{ 0x78310000, 2 },  { 0x78320000, 2 },	{ 0x78330000, 2 },  { 0x78490001, 3 },
	{ 0x784a0000, 2 },  { 0x784b0000, 2 },	{ 0x784c0000, 2 },  { 0x784d0000, 2 },
	{ 0x784e0002, 4 },  { 0x784f0000, 2 },	{ 0x78500003, 5 },  { 0x78510009, 11 },
	{ 0x78520003, 5 },  { 0x79000002, 4 },	{ 0x79060000, 2 },  { 0x7907001f, 33 },
	{ 0x79080001, 3 },  { 0x790a0001, 3 },	{ 0x79120000, 2 },  { 0x79130000, 2 },
	{ 0x79140000, 2 },  { 0x79150000, 2 },	{ 0x79160000, 2 },  { 0x791c0007, 9 },
	{ 0x7a000004, 6 },  { 0x7b000005, 7 },	{ 0x7b000105, 7 },
};

static void mesa_lengths(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(mesa); i++) {
		const struct gpu_command *command = gpu_command_find(GPU_RCS, mesa[i].header);

		assert_non_null(command);
		assert_int_equal(gpu_command_dwords(command, mesa[i].header), mesa[i].dwords);
	}
}

/* ---- The table ------------------------------------------------------------------------------ */

static void every_command_is_found_by_its_header(void **state)
{
	unsigned int found = 0;

	for (unsigned int id = 0; id < gpu_command_count; id++) {
		const struct gpu_command *command = &gpu_commands[id];

		assert_int_equal(command->id, id);
		for_each_engine(engine) {
			const struct gpu_command *other = gpu_command_find(engine, command->header);

			if (command->engines & BIT(engine)) {
				assert_ptr_equal(other, command);
				found++;
			} else {
				assert_ptr_not_equal(other, command);
			}
		}
		if (command->min_dwords == command->max_dwords)
			assert_int_equal(gpu_command_dwords(command, command->header),
					 command->min_dwords);
	}
	assert_true(found > gpu_command_count);
}

static void wrong_lengths_are_refused(void **state)
{
	static const struct {
		enum gpu_engine engine;
		uint32_t header, dwords;
	} cases[] = {
		{ GPU_RCS, 0x7a000004, 6 },    { GPU_RCS, 0x7a000003, 0 },
		{ GPU_RCS, 0x7a000005, 0 },    { GPU_RCS, 0x10000001, 0 },
		{ GPU_RCS, 0x100003ff, 1025 }, { GPU_RCS, 0x11000000, 0 },
		{ GPU_RCS, 0x110000ff, 257 },  { GPU_BCS, 0x54c00008, 10 },
		{ GPU_BCS, 0x54c00006, 0 },    { GPU_BCS, 0x50800008, 10 },
		{ GPU_BCS, 0x4c400001, 3 },    { GPU_VCS0, 0x70000fff, 4097 },
		{ GPU_VCS0, 0x68000000, 1 },   { GPU_VCS0, 0x71490123, 293 },
		{ GPU_VECS, 0x74030016, 24 },  { GPU_RCS, 0x7100ffff, 65537 },
		{ GPU_RCS, 0x791701ff, 513 },  { GPU_VCS0, 0x73a1000a, 12 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct gpu_command *command =
			gpu_command_find(cases[i].engine, cases[i].header);

		assert_non_null(command);
		assert_int_equal(gpu_command_dwords(command, cases[i].header), cases[i].dwords);
	}
}

static void longest_command_is_stepped_over(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);

	/* 65537 dwords would lie beyond the rig's memory; 0x4000 fit into it. */
	rig_user_batch(rig);
	emit(rig, 0x71003ffe);
	rig->at += 0x3fff * 4;
	EMIT(rig, MI_STORE_DATA_IMM, RIG_DATA, 0, 1);
	assert_int_equal(rig_run_batch(rig), GPU_RUN_DONE);
	assert_int_equal(peek32(&rig->ppgtt, RIG_DATA), 1);
	assert_int_equal(count_of(rig, "MEDIA_OBJECT"), 1);
	rig_destroy(rig);
}

static void state_and_work_are_counted(void **state)
{
	struct rig *rig = rig_create(GPU_VCS0);
	struct gpu_stats stats;

	rig_user_batch(rig);
	EMIT(rig, 0x70000003, 0, 0, 0, 0, 0x70090000, 0);
	EMIT(rig, 0x70000003, 0, 0, 0, 0);
	assert_int_equal(rig_run_batch(rig), GPU_RUN_DONE);
	rig->gpu->ops->stats(rig->gpu, &stats);
	assert_int_equal(stats.not_executed[GPU_VCS0], 3);
	assert_int_equal(stats.work_dropped[GPU_VCS0], 1);
	assert_int_equal(count_of(rig, "MFX_PIPE_MODE_SELECT"), 2);
	rig_destroy(rig);
}

static void predicated_draws_are_not_missed_when_off(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);

	rig_user_batch(rig);
	EMIT(rig, 0x7b000105, 0, 0, 0, 0, 0, 0);
	assert_int_equal(rig_run_batch(rig), GPU_RUN_DONE);
	assert_int_equal(count_of(rig, "3DPRIMITIVE"), 0);
	rig->workload.cs.head = rig->workload.cs.tail;
	rig_set_reg(rig, 0x2418, 1);
	rig_user_batch(rig);
	EMIT(rig, 0x7b000105, 0, 0, 0, 0, 0, 0);
	assert_int_equal(rig_run_batch(rig), GPU_RUN_DONE);
	assert_int_equal(count_of(rig, "3DPRIMITIVE"), 1);
	rig_destroy(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(golden_context_batch),
		cmocka_unit_test(mesa_lengths),
		cmocka_unit_test(every_command_is_found_by_its_header),
		cmocka_unit_test(wrong_lengths_are_refused),
		cmocka_unit_test(longest_command_is_stepped_over),
		cmocka_unit_test(state_and_work_are_counted),
		cmocka_unit_test(predicated_draws_are_not_missed_when_off),
	};

	return cmocka_run_group_tests_name("gpu lengths", tests, NULL, NULL);
}
