/* SPDX-License-Identifier: MIT */
/* MI commands on registers: loads and stores of them, MI_MATH, predicates. */
#include "rig.h"

#define GPR(n)		    (0x2600u + 8 * (n))
#define LRI1(offset, value) MI_LOAD_REGISTER_IMM(1), (offset), (value)

/* ---- Registers ------------------------------------------------------------------------------ */

static void load_and_store_registers(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);

	poke32(&rig->ggtt, RIG_DATA, 0x1234);
	EMIT(rig, MI_LOAD_REGISTER_IMM(2), GPR(0), 0xaa, 0x7014, 0xbb);
	EMIT(rig, MI_LOAD_REGISTER_MEM | MI_GGTT, GPR(1), RIG_DATA, 0);
	EMIT(rig, MI_LOAD_REGISTER_REG, 0x7014, GPR(2));
	EMIT(rig, MI_STORE_REGISTER_MEM | MI_GGTT, GPR(2), RIG_DATA + 4, 0);
	rig_run_clean(rig);
	assert_int_equal(rig_gpr(rig, 0), 0xaa);
	assert_int_equal(rig_gpr(rig, 1), 0x1234);
	assert_int_equal(rig_gpr(rig, 2), 0xbb);
	assert_int_equal(rig->registers[0x7014 / 4], 0xbb);
	assert_int_equal(peek32(&rig->ggtt, RIG_DATA + 4), 0xbb);
	rig_destroy(rig);
}

static void load_register_imm_disables_bytes(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);

	rig_set_gpr(rig, 0, 0x11223344);
	EMIT(rig, MI_LOAD_REGISTER_IMM(1) | 0x500, GPR(0), 0xaabbccdd);
	EMIT(rig, MI_LOAD_REGISTER_IMM(1) | 0xf00, GPR(1), 0xaabbccdd);
	rig_run_clean(rig);
	assert_int_equal(rig_gpr(rig, 0), 0xaa22cc44);
	assert_int_equal(rig_gpr(rig, 1), 0);
	rig_destroy(rig);
}

static void odd_load_register_imm_faults(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);

	EMIT(rig, 0x11000002, GPR(0), 1, GPR(1));
	assert_int_equal(rig_run(rig), GPU_RUN_FAULT);
	assert_int_equal(rig->fault.kind, GPU_FAULT_LENGTH);
	rig_destroy(rig);
}

static void user_batch_writes_listed_registers_only(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);

	rig->registers[0x24d0 / 4] = 0x7014;		/* FORCE_TO_NONPRIV: one register */
	rig->registers[0x24d4 / 4] = 0x7301;		/* four of them */
	rig->registers[0x24d8 / 4] = 0x7400 | 1u << 28; /* for reading */
	rig->registers[0x24dc / 4] = 0x7500 | 1u << 30; /* denied */
	rig_user_batch(rig);
	EMIT(rig, MI_LOAD_REGISTER_IMM(9), 0x7008, 1, 0x7014, 2, 0x7018, 3, 0x7300, 4, 0x730c, 5,
	     0x7310, 6, 0x7400, 7, 0x7500, 8, GPR(3), 9);
	EMIT(rig, LRI1(0x24d0, 0x2088), LRI1(0x23a8, 5));
	assert_int_equal(rig_run_batch(rig), GPU_RUN_DONE);
	assert_int_equal(rig->registers[0x7008 / 4], 1);
	assert_int_equal(rig->registers[0x7014 / 4], 2);
	assert_int_equal(rig->registers[0x7018 / 4], 0);
	assert_int_equal(rig->registers[0x7300 / 4], 4);
	assert_int_equal(rig->registers[0x730c / 4], 5);
	assert_int_equal(rig->registers[0x7310 / 4], 0);
	assert_int_equal(rig->registers[0x7400 / 4], 0);
	assert_int_equal(rig->registers[0x7500 / 4], 0);
	assert_int_equal(rig->registers[0x24d0 / 4], 0x7014);
	assert_int_equal(rig_gpr(rig, 3), 9);
	rig_destroy(rig);
}

static void timestamp_cannot_be_set(void **state)
{
	struct rig *rig = rig_create(GPU_VCS0);
	uint64_t before = gpu_timestamp(), stored;

	EMIT(rig, LRI1(0x12358, 1), MI_STORE_REGISTER_MEM | MI_GGTT, 0x12358, RIG_DATA, 0,
	     MI_STORE_REGISTER_MEM | MI_GGTT, 0x1235c, RIG_DATA + 4, 0);
	rig_run_clean(rig);
	stored = peek64(&rig->ggtt, RIG_DATA);
	assert_in_range(stored, before & 0xfffffffff, (before + 120000000) & 0xfffffffff);
	rig_destroy(rig);
}

static void reset_clears_registers(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);

	rig_set_gpr(rig, 15, 99);
	rig_set_reg(rig, 0x2350, 1);
	rig->gpu->ops->reset(rig->gpu, GPU_RCS);
	assert_int_equal(rig_gpr(rig, 15), 0);
	assert_int_equal(rig_reg(rig, 0x2350), 0);
	rig_destroy(rig);
}

static void registers_are_each_engines_own(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);
	uint32_t value;

	for_each_engine(e) {
		uint32_t gpr = gpu_engine_base(e) + 0x600;

		for_each_engine(other)
			assert_int_equal(rig->gpu->ops->reg_write(rig->gpu, other, gpr, 1),
					 e == other);
	}
	assert_false(rig->gpu->ops->reg_read(rig->gpu, GPU_BCS, 0x2400, &value));
	assert_false(rig->gpu->ops->reg_read(rig->gpu, GPU_RCS, 0x2444, &value));
	assert_false(rig->gpu->ops->reg_read(rig->gpu, GPU_RCS, 0x2680, &value));
	assert_true(rig->gpu->ops->reg_read(rig->gpu, GPU_RCS, 0x2440, &value));
	assert_true(rig->gpu->ops->reg_read(rig->gpu, GPU_RCS, 0x528c, &value));
	rig_destroy(rig);
}

static void every_owned_register_keeps_its_value(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);
	unsigned int count = 0;

	for (uint32_t offset = 0x2000; offset < 0x6000; offset += 4) {
		if (cs_reg_find(GPU_RCS, offset) >= 0)
			rig_set_reg(rig, offset, offset);
	}
	for (uint32_t offset = 0x2000; offset < 0x6000; offset += 4) {
		if (cs_reg_find(GPU_RCS, offset) < 0)
			continue;
		assert_int_equal(rig_reg(rig, offset), offset);
		count++;
	}
	assert_int_equal(count, 32 + 17 + 3 + 2 + 22 + 8 + 8 + 4 + 3);
	rig_destroy(rig);
}

/* ---- MI_MATH -------------------------------------------------------------------------------- */

#define A    0x20
#define B    0x21
#define ACCU 0x31
#define ZF   0x32
#define CF   0x33

static uint64_t compute(uint32_t op, uint64_t a, uint64_t b, uint32_t result, uint32_t store)
{
	struct rig *rig = rig_create(GPU_RCS);
	uint64_t value;

	rig_set_gpr(rig, 1, a);
	rig_set_gpr(rig, 2, b);
	rig_user_batch(rig);
	EMIT(rig, MI_MATH(4), ALU(0x080, A, 1), ALU(0x080, B, 2), ALU(op, 0, 0),
	     ALU(store, 15, result));
	assert_int_equal(rig_run_batch(rig), GPU_RUN_DONE);
	value = rig_gpr(rig, 15);
	rig_destroy(rig);
	return value;
}

static void math(void **state)
{
	const uint64_t big = 0xffffffffffffffff;

	assert_int_equal(compute(0x100, 0xffffffff, 1, ACCU, 0x180), 0x100000000);
	assert_int_equal(compute(0x100, big, 2, ACCU, 0x180), 1);
	assert_int_equal(compute(0x100, big, 2, CF, 0x180), big);
	assert_int_equal(compute(0x100, 1, 2, CF, 0x180), 0);
	assert_int_equal(compute(0x101, 0x100000000, 1, ACCU, 0x180), 0xffffffff);
	assert_int_equal(compute(0x101, 1, 2, CF, 0x180), big);
	assert_int_equal(compute(0x101, 2, 2, CF, 0x180), 0);
	assert_int_equal(compute(0x101, 2, 2, ZF, 0x180), big);
	assert_int_equal(compute(0x101, 3, 2, ZF, 0x180), 0);
	assert_int_equal(compute(0x102, 0xff00, 0x0ff0, ACCU, 0x180), 0x0f00);
	assert_int_equal(compute(0x103, 0xff00, 0x0ff0, ACCU, 0x180), 0xfff0);
	assert_int_equal(compute(0x104, 0xff00, 0x0ff0, ACCU, 0x180), 0xf0f0);
	assert_int_equal(compute(0x104, 1, 1, ZF, 0x180), big);
	assert_int_equal(compute(0x103, 0, 0, ACCU, 0x580), big);
	assert_int_equal(compute(0x101, 3, 2, ZF, 0x580), big);
}

static void math_constants_and_inverses(void **state)
{
	struct rig *rig = rig_create(GPU_VECS);

	rig_set_gpr(rig, 0, 0xf);
	EMIT(rig, MI_MATH(4), ALU(0x081, A, 0), ALU(0x481, B, 0), ALU(0x100, 0, 0),
	     ALU(0x180, 1, ACCU));
	EMIT(rig, MI_MATH(5), ALU(0x480, A, 0), ALU(0x081, B, 0), ALU(0x000, 0, 0),
	     ALU(0x103, 0, 0), ALU(0x180, 2, ACCU));
	rig_run_clean(rig);
	assert_int_equal(rig_gpr(rig, 1), UINT64_MAX);
	assert_int_equal(rig_gpr(rig, 2), ~0xfull);
	rig_destroy(rig);
}

static void bad_math_faults(void **state)
{
	static const uint32_t bad[] = { ALU(0x200, 0, 0),     ALU(0x080, 5, 1),
					ALU(0x080, A, 0x40),  ALU(0x180, A, ACCU),
					ALU(0x180, 16, ACCU), ALU(0x081, ACCU, 0) };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct rig *rig = rig_create(GPU_RCS);

		EMIT(rig, MI_MATH(1), bad[i]);
		assert_int_equal(rig_run(rig), GPU_RUN_FAULT);
		assert_int_equal(rig->fault.kind, GPU_FAULT_OPCODE);
		rig_destroy(rig);
	}
}

/* ---- Predicates ----------------------------------------------------------------------------- */

static void predicate_combines(void **state)
{
	for (uint32_t bits = 0; bits < 256; bits++) {
		uint32_t before = bits & 1, compare = bits >> 1 & 1, combine = bits >> 2 & 3;
		uint32_t load = bits >> 4 & 3, expected = before;
		uint32_t results[4] = { compare, compare & before, compare | before,
					compare ^ before };
		struct rig *rig = rig_create(GPU_RCS);

		rig_set_reg(rig, 0x2418, before);
		/* TRUE is operation 0, FALSE is 1. */
		EMIT(rig, MI_PREDICATE(load, combine, !compare));
		rig_run_clean(rig);
		if (load >= 2)
			expected = results[combine] ^ (load == 3);
		assert_int_equal(rig_reg(rig, 0x2418), expected);
		rig_destroy(rig);
	}
}

static void predicate_compares(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);

	EMIT(rig, MI_LOAD_REGISTER_IMM(6), 0x2400, 7, 0x2404, 1, 0x2408, 5, 0x240c, 1, 0x2410, 2,
	     0x2414, 0);
	EMIT(rig, MI_PREDICATE(2, 0, 2), MI_STORE_REGISTER_MEM | MI_GGTT, 0x2418, RIG_DATA, 0);
	EMIT(rig, MI_PREDICATE(2, 0, 3), MI_STORE_REGISTER_MEM | MI_GGTT, 0x2418, RIG_DATA + 4, 0);
	EMIT(rig, LRI1(0x2400, 5));
	EMIT(rig, MI_PREDICATE(2, 0, 2), MI_STORE_REGISTER_MEM | MI_GGTT, 0x2418, RIG_DATA + 8, 0);
	rig_run_clean(rig);
	assert_int_equal(peek64(&rig->ggtt, RIG_DATA), 0x100000000);
	assert_int_equal(peek32(&rig->ggtt, RIG_DATA + 8), 1);
	rig_destroy(rig);
}

static void predicated_store_register(void **state)
{
	for (uint32_t result = 0; result < 2; result++) {
		struct rig *rig = rig_create(GPU_RCS);

		rig_set_gpr(rig, 0, 5);
		rig_set_reg(rig, 0x2418, result);
		rig_user_batch(rig);
		EMIT(rig, MI_STORE_REGISTER_MEM | 1u << 21, GPR(0), RIG_DATA, 0);
		assert_int_equal(rig_run_batch(rig), GPU_RUN_DONE);
		assert_int_equal(peek32(&rig->ppgtt, RIG_DATA), result ? 5 : 0);
		rig_destroy(rig);
	}
}

static void set_predicate_makes_noops(void **state)
{
	static const struct {
		uint32_t mode, result, result_2;
		bool runs;
	} cases[] = {
		{ 0, 0, 0, true },   { 1, 0, 0, false }, { 1, 0, 1, true },  { 2, 0, 0, true },
		{ 2, 0, 1, false },  { 3, 0, 1, false }, { 3, 1, 0, true },  { 4, 1, 0, false },
		{ 4, 0, 1, true },   { 5, 0, 0, true },	 { 6, 1, 1, false }, { 7, 1, 1, false },
		{ 15, 1, 1, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct rig *rig = rig_create(GPU_RCS);

		rig_set_reg(rig, 0x2418, cases[i].result);
		rig_set_reg(rig, 0x23bc, cases[i].result_2);
		rig_user_batch(rig);
		EMIT(rig, MI_SET_PREDICATE(cases[i].mode));
		EMIT(rig, MI_STORE_DATA_IMM, RIG_DATA, 0, 1);
		EMIT(rig, MI_SET_PREDICATE(0), MI_STORE_DATA_IMM, RIG_DATA + 4, 0, 1);
		EMIT(rig, MI_SET_PREDICATE(15)); /* ends with the batch */
		rig_run_batch(rig);
		assert_int_equal(peek32(&rig->ppgtt, RIG_DATA), cases[i].runs);
		assert_int_equal(peek32(&rig->ppgtt, RIG_DATA + 4), 1);
		assert_int_equal(rig->workload.cs.set_predicate, 0);
		rig_destroy(rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(load_and_store_registers),
		cmocka_unit_test(load_register_imm_disables_bytes),
		cmocka_unit_test(odd_load_register_imm_faults),
		cmocka_unit_test(user_batch_writes_listed_registers_only),
		cmocka_unit_test(timestamp_cannot_be_set),
		cmocka_unit_test(reset_clears_registers),
		cmocka_unit_test(registers_are_each_engines_own),
		cmocka_unit_test(every_owned_register_keeps_its_value),
		cmocka_unit_test(math),
		cmocka_unit_test(math_constants_and_inverses),
		cmocka_unit_test(bad_math_faults),
		cmocka_unit_test(predicate_combines),
		cmocka_unit_test(predicate_compares),
		cmocka_unit_test(predicated_store_register),
		cmocka_unit_test(set_predicate_makes_noops),
	};

	return cmocka_run_group_tests_name("gpu mi_registers", tests, NULL, NULL);
}
