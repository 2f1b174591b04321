/* SPDX-License-Identifier: MIT */
/* MI commands on memory, PIPE_CONTROL and MI_FLUSH_DW; what a user batch may and may not do. */
#include <string.h>

#include "rig.h"

#define GPR(n) (0x2600u + 8 * (n))

static void store_data_imm(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);

	rig_user_batch(rig);
	EMIT(rig, 0x10000002, RIG_DATA, 0, 0x11);			    /* a dword */
	EMIT(rig, 0x10200003, RIG_DATA + 8, 0, 0x22, 0x33);		    /* a qword */
	EMIT(rig, 0x10000004, RIG_DATA + 16, 0, 0x44, 0x55, 0x66);	    /* three dwords */
	EMIT(rig, 0x10200005, RIG_DATA + 0xffc, 0, 0x77, 0x88, 0x99, 0xaa); /* across pages */
	assert_int_equal(rig_run_batch(rig), GPU_RUN_DONE);
	assert_int_equal(peek32(&rig->ppgtt, RIG_DATA), 0x11);
	assert_int_equal(peek64(&rig->ppgtt, RIG_DATA + 8), 0x3300000022);
	assert_int_equal(peek64(&rig->ppgtt, RIG_DATA + 16), 0x5500000044);
	assert_int_equal(peek32(&rig->ppgtt, RIG_DATA + 24), 0x66);
	assert_int_equal(peek64(&rig->ppgtt, RIG_DATA + 0xffc), 0x8800000077);
	assert_int_equal(peek64(&rig->ppgtt, RIG_DATA + 0x1004), 0xaa00000099);
	rig_destroy(rig);
}

static void store_data_imm_of_full_length(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);

	rig_user_batch(rig);
	EMIT(rig, 0x100003ff, RIG_DATA, 0);
	for (uint32_t i = 0; i < 1022; i++)
		emit(rig, i);
	assert_int_equal(rig_run_batch(rig), GPU_RUN_DONE);
	for (uint32_t i = 0; i < 1022; i++)
		assert_int_equal(peek32(&rig->ppgtt, RIG_DATA + 4 * i), i);
	rig_destroy(rig);
}

static void odd_qwords_fault(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);

	rig_user_batch(rig);
	EMIT(rig, 0x10200002, RIG_DATA, 0, 1);
	assert_int_equal(rig_run_batch(rig), GPU_RUN_FAULT);
	assert_int_equal(rig->fault.kind, GPU_FAULT_LENGTH);
	rig_destroy(rig);
}

static void store_to_read_only_faults(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);

	rig->ppgtt.flags[RIG_DATA >> 12] = PAGE_READ_ONLY;
	rig_user_batch(rig);
	EMIT(rig, MI_NOOP, 0x10000002, RIG_DATA + 8, 0, 1);
	assert_int_equal(rig_run_batch(rig), GPU_RUN_FAULT);
	assert_int_equal(rig->fault.kind, GPU_FAULT_ADDRESS);
	assert_int_equal(rig->fault.address, RIG_DATA + 8);
	assert_int_equal(rig->fault.command_at, RIG_BATCH + 4);
	assert_true(rig->fault.write && rig->fault.ppgtt);
	assert_int_equal(rig->fault.header, 0x10000002);
	rig_destroy(rig);
}

static void store_data_index(void **state)
{
	struct rig *rig = rig_create(GPU_VECS);

	EMIT(rig, 0x10800001, 0x40, 5, 0x10a00001, 0x44, 6, 0x10800002, 0x48, 7, 8);
	rig_run_clean(rig);
	assert_int_equal(peek32(&rig->ggtt, RIG_HWSP + 0x40), 5);
	assert_int_equal(peek32(&rig->ggtt, RIG_CONTEXT + 0x44), 6);
	assert_int_equal(peek64(&rig->ggtt, RIG_HWSP + 0x48), 0x800000007);
	rig_destroy(rig);
}

static void report_head(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);

	EMIT(rig, MI_NOOP, MI_NOOP, 0x03800000, MI_NOOP);
	rig_run_clean(rig);
	assert_int_equal(peek32(&rig->ggtt, RIG_HWSP + 4), 8);
	rig_destroy(rig);
}

static void noop_writes_nopid(void **state)
{
	struct rig *rig = rig_create(GPU_BCS);

	EMIT(rig, 0x00412345);
	rig_run_clean(rig);
	assert_int_equal(rig_reg(rig, 0x22094), 0x12345);
	rig_destroy(rig);
}

static void copy_mem_mem(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);

	poke32(&rig->ppgtt, RIG_DATA, 0xabcd);
	EMIT(rig, 0x17200003, RIG_DATA, 0, RIG_DATA, 0);     /* PPGTT to GGTT */
	EMIT(rig, 0x17400003, RIG_DATA + 4, 0, RIG_DATA, 0); /* and back */
	rig_run_clean(rig);
	assert_int_equal(peek32(&rig->ggtt, RIG_DATA), 0xabcd);
	assert_int_equal(peek32(&rig->ppgtt, RIG_DATA + 4), 0xabcd);
	rig_destroy(rig);
}

static void report_perf_count(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);

	memset(&rig->ppgtt.memory[RIG_DATA], 0xff, 512);
	rig_user_batch(rig);
	EMIT(rig, 0x14000002, RIG_DATA, 0, 0x77);
	assert_int_equal(rig_run_batch(rig), GPU_RUN_DONE);
	assert_int_equal(peek32(&rig->ppgtt, RIG_DATA), 0x77);
	assert_int_equal(peek64(&rig->ppgtt, RIG_DATA + 248), 0);
	assert_int_equal(peek32(&rig->ppgtt, RIG_DATA + 256), 0xffffffff);
	rig_destroy(rig);
}

static void address_faults_name_their_operand(void **state)
{
	static const struct {
		uint32_t dwords[5];
		bool write, ppgtt;
	} cases[] = {
		{ { 0x10000002, 0x3f000, 1, 5 }, true, true },
		{ { 0x10400002, 0x7f000, 0, 5 }, true, false },
		{ { 0x12000002, 0x2600, 0x7f000, 0 }, true, true },
		{ { 0x14800002, 0x2600, 0x7f000, 0 }, false, true },
		{ { 0x17000003, RIG_DATA, 0, 0x7f000, 0 }, false, true },
		{ { 0x17000003, 0x7f000, 0, RIG_DATA, 0 }, true, true },
		{ { 0x17800501, 0x7f000, 0 }, true, true },
		{ { 0x0e004002, 1, 0x7f000, 0 }, false, true },
		{ { 0x1b200002, 1, 0x7f000, 0 }, false, true },
		{ { 0x14000002, 0x7f000, 0, 1 }, true, true },
		{ { 0x18800101, 0x7f000, 0 }, false, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct rig *rig = rig_create(GPU_RCS);

		for (unsigned int n = 0; n < 5; n++)
			emit(rig, cases[i].dwords[n]);
		EMIT(rig, MI_NOOP, MI_NOOP);
		assert_int_equal(rig_run(rig), GPU_RUN_FAULT);
		assert_int_equal(rig->fault.kind, GPU_FAULT_ADDRESS);
		assert_int_equal(rig->fault.write, cases[i].write);
		assert_int_equal(rig->fault.ppgtt, cases[i].ppgtt);
		assert_int_equal(rig->fault.address, i ? 0x7f000 : 0x10003f000);
		rig_destroy(rig);
	}
}

/* ---- Atomics -------------------------------------------------------------------------------- */

struct atomic_case {
	uint32_t op;
	uint64_t before, first, second, after, returned;
};

/* Values of 32 bits; those of 64 have them twice. */
static const struct atomic_case atomics[] = {
	{ 0x1, 0xff00ff00, 0x0ff00ff0, 0, 0x0f000f00, 0xff00ff00 },
	{ 0x2, 0xff00ff00, 0x0ff00ff0, 0, 0xfff0fff0, 0xff00ff00 },
	{ 0x3, 0xff00ff00, 0x0ff00ff0, 0, 0xf0f0f0f0, 0xff00ff00 },
	{ 0x4, 1, 2, 0, 2, 1 },
	{ 0x5, 7, 0, 0, 8, 7 },
	{ 0x6, 7, 0, 0, 6, 7 },
	{ 0x7, 7, 5, 0, 12, 7 },
	{ 0x8, 7, 5, 0, 2, 7 },
	{ 0x9, 5, 7, 0, 2, 5 },
	{ 0xa, 0x80000000, 1, 0, 1, 0x80000000 },
	{ 0xb, 0x80000000, 1, 0, 0x80000000, 0x80000000 },
	{ 0xc, 0x80000000, 1, 0, 0x80000000, 0x80000000 },
	{ 0xd, 0x80000000, 1, 0, 1, 0x80000000 },
	{ 0xe, 7, 7, 9, 9, 7 },
	{ 0xe, 8, 7, 9, 8, 8 },
	{ 0xf, 7, 0, 0, 6, 6 },
};

static void check_atomic32(const struct atomic_case *c, bool in_line, uint8_t flags)
{
	struct rig *rig = rig_create(GPU_RCS);

	rig->ppgtt.flags[RIG_DATA >> 12] = flags;
	poke64(&rig->ppgtt, RIG_DATA, c->before | 0x5a5a5a5a00000000);
	rig_set_gpr(rig, 0, c->first);
	rig_set_gpr(rig, 2, c->second);
	rig_set_gpr(rig, 4, 0x1111111122222222);
	rig_user_batch(rig);
	if (in_line)
		EMIT(rig, MI_ATOMIC_INLINE(c->op) | 1u << 16, RIG_DATA, 0, (uint32_t)c->first,
		     (uint32_t)c->second, 0, 0, 0, 0, 0, 0);
	else
		EMIT(rig, MI_ATOMIC(c->op) | 1u << 16, RIG_DATA, 0);
	assert_int_equal(rig_run_batch(rig), GPU_RUN_DONE);
	assert_int_equal(peek64(&rig->ppgtt, RIG_DATA), c->after | 0x5a5a5a5a00000000);
	assert_int_equal(rig_gpr(rig, 4), 0x1111111100000000 | c->returned);
	rig_destroy(rig);
}

static void atomic_dwords(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(atomics); i++) {
		check_atomic32(&atomics[i], true, 0);
		check_atomic32(&atomics[i], false, 0);
		check_atomic32(&atomics[i], true, PAGE_NO_HOST);
	}
}

static uint64_t wide(uint64_t value)
{
	return value << 32 | 1;
}

static void atomic_qwords(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(atomics); i++) {
		const struct atomic_case *c = &atomics[i];
		bool counts = c->op == 5 || c->op == 6 || c->op == 15;
		struct rig *rig = rig_create(GPU_BCS);
		uint64_t first = wide(c->first), second = wide(c->second), got;

		poke64(&rig->ppgtt, RIG_DATA, wide(c->before));
		rig_user_batch(rig);
		EMIT(rig, MI_ATOMIC_INLINE(c->op) | 0x2000 | 1u << 19 | 1u << 16, RIG_DATA, 0,
		     (uint32_t)first, (uint32_t)second, (uint32_t)(first >> 32),
		     (uint32_t)(second >> 32), 0, 0, 0, 0);
		assert_int_equal(rig_run_batch(rig), GPU_RUN_DONE);
		got = peek64(&rig->ppgtt, RIG_DATA);
		/* In the upper half as with dwords; the lower half says that it is 64 bits wide. */
		if (!counts)
			assert_int_equal(got >> 32, c->after);
		else
			assert_int_equal(got, wide(c->before) + (c->op == 5 ? 1 : (uint64_t)-1));
		assert_int_equal(rig_gpr(rig, 4), c->op == 15 ? got : wide(c->before));
		rig_destroy(rig);
	}
}

static void atomic_octword(void **state)
{
	for (unsigned int i = 0; i < 4; i++) {
		struct rig *rig = rig_create(GPU_RCS);
		unsigned int equal = i & 1;

		if (i & 2)
			rig->ppgtt.flags[RIG_DATA >> 12] = PAGE_NO_HOST;
		poke64(&rig->ppgtt, RIG_DATA, 0x100000002);
		poke64(&rig->ppgtt, RIG_DATA + 8, 0x300000003 + equal);
		rig_user_batch(rig);
		EMIT(rig, MI_ATOMIC_INLINE(0x4e) | 2u << 19 | 1u << 16, RIG_DATA, 0, 2, 10, 1, 11,
		     4, 12, 3, 13);
		assert_int_equal(rig_run_batch(rig), GPU_RUN_DONE);
		assert_int_equal(peek64(&rig->ppgtt, RIG_DATA), equal ? 0xb0000000a : 0x100000002);
		assert_int_equal(peek64(&rig->ppgtt, RIG_DATA + 8),
				 equal ? 0xd0000000c : 0x300000003);
		assert_int_equal(rig_gpr(rig, 4), 0x100000002);
		assert_int_equal(rig_gpr(rig, 5), 0x300000003 + equal);
		rig_destroy(rig);
	}
}

static void bad_atomics_fault(void **state)
{
	static const struct {
		uint32_t header, address;
		enum gpu_fault_kind kind;
	} bad[] = {
		{ MI_ATOMIC(0), RIG_DATA, GPU_FAULT_OPCODE },
		{ MI_ATOMIC(7) | 3u << 19, RIG_DATA, GPU_FAULT_OPCODE },
		{ MI_ATOMIC(7) | 2u << 19, RIG_DATA, GPU_FAULT_OPCODE },
		{ MI_ATOMIC(7) | 1u << 19, RIG_DATA + 4, GPU_FAULT_ALIGNMENT },
		{ MI_ATOMIC(0x4e) | 2u << 19, RIG_DATA + 8, GPU_FAULT_ALIGNMENT },
		{ MI_ATOMIC(7) + 9, RIG_DATA, GPU_FAULT_LENGTH },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct rig *rig = rig_create(GPU_RCS);

		rig_user_batch(rig);
		EMIT(rig, bad[i].header, bad[i].address, 0);
		assert_int_equal(rig_run_batch(rig), GPU_RUN_FAULT);
		assert_int_equal(rig->fault.kind, bad[i].kind);
		rig_destroy(rig);
	}
}

/* ---- PIPE_CONTROL, MI_FLUSH_DW -------------------------------------------------------------- */

static void pipe_control_breadcrumb(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);

	EMIT(rig, PIPE_CONTROL, 0x01104180, RIG_DATA, 0, 0x1234, 0x5678);
	EMIT(rig, MI_USER_INTERRUPT, 0x04000001);
	rig_run_clean(rig);
	assert_int_equal(peek64(&rig->ggtt, RIG_DATA), 0x567800001234);
	assert_int_equal(rig->interrupt_count, 2);
	assert_int_equal(rig->interrupts[0], GPU_INTERRUPT_FLUSH_NOTIFY);
	assert_int_equal(rig->interrupts[1], GPU_INTERRUPT_USER);
	rig_destroy(rig);
}

static void pipe_control_store_precedes_its_interrupt(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);

	EMIT(rig, PIPE_CONTROL, 0x01104100, RIG_DATA, 0, 0xabc, 0);
	rig_run_clean(rig);
	assert_int_equal(rig->data_at_interrupt, 0xabc);
	rig_destroy(rig);
}

static void pipe_control_post_sync_operations(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);
	uint64_t before = gpu_timestamp() & 0xfffffffff;

	rig_set_reg(rig, 0x2350, 0x11);
	rig_set_reg(rig, 0x2354, 0x22);
	EMIT(rig, PIPE_CONTROL, 2u << 14, RIG_DATA, 0, 0, 0);		  /* depth count */
	EMIT(rig, PIPE_CONTROL, 3u << 14, RIG_DATA + 8, 0, 0, 0);	  /* timestamp */
	EMIT(rig, PIPE_CONTROL, 1u << 14 | 1u << 21, 0xd0, 0, 0x77, 0);	  /* store index */
	EMIT(rig, PIPE_CONTROL, 1u << 14 | 9u << 21, 0xd8, 0, 0x78, 0);	  /* the engine's */
	EMIT(rig, PIPE_CONTROL, 0, RIG_DATA + 16, 0, 0x77, 0);		  /* none */
	EMIT(rig, PIPE_CONTROL, 1u << 14 | 1u << 23, 0x7014, 0, 0x99, 0); /* register */
	rig_run_clean(rig);
	assert_int_equal(peek64(&rig->ppgtt, RIG_DATA), 0x2200000011);
	assert_in_range(peek64(&rig->ppgtt, RIG_DATA + 8), before, before + 120000000);
	assert_int_equal(peek64(&rig->ggtt, RIG_CONTEXT + 0xd0), 0x77);
	assert_int_equal(peek64(&rig->ggtt, RIG_HWSP + 0xd8), 0x78);
	assert_int_equal(peek64(&rig->ppgtt, RIG_DATA + 16), 0);
	assert_int_equal(rig->registers[0x7014 / 4], 0x99);
	rig_destroy(rig);
}

/* Two stores to one page, the second after @flush: the pages are translated once more. */
static void check_tlb_invalidation(enum gpu_engine engine, const uint32_t *flush, size_t dwords)
{
	struct rig *rig = rig_create(engine);
	uint32_t first;

	rig_user_batch(rig);
	EMIT(rig, MI_STORE_DATA_IMM, RIG_DATA, 0, 1, MI_STORE_DATA_IMM, RIG_DATA + 4, 0, 1);
	rig_run_batch(rig);
	first = rig->ppgtt.translations;
	assert_int_equal(first, 2); /* the batch and the data, once each */
	rig_user_batch(rig);
	EMIT(rig, MI_STORE_DATA_IMM, RIG_DATA, 0, 1);
	for (size_t i = 0; i < dwords; i++)
		emit(rig, flush[i]);
	EMIT(rig, MI_STORE_DATA_IMM, RIG_DATA + 4, 0, 1);
	rig_run_batch(rig);
	assert_int_equal(rig->ppgtt.translations, first + 3);
	rig_destroy(rig);
}

static void flushes_invalidate_tlbs(void **state)
{
	static const uint32_t pipe_control[] = { PIPE_CONTROL, 1u << 18, 0, 0, 0, 0 };
	static const uint32_t flush_dw[] = { MI_FLUSH_DW | 1u << 18, 0, 0, 0, 0 };

	check_tlb_invalidation(GPU_RCS, pipe_control, ARRAY_SIZE(pipe_control));
	check_tlb_invalidation(GPU_BCS, flush_dw, ARRAY_SIZE(flush_dw));
	check_tlb_invalidation(GPU_VCS0, flush_dw, ARRAY_SIZE(flush_dw));
}

static void flush_dw(void **state)
{
	struct rig *rig = rig_create(GPU_BCS);

	EMIT(rig, 0x13204002, 0xd8 | 4, 0, 0x12); /* an index into the engine's page */
	/* As i915 writes them: four dwords, index into the context page, then the breadcrumb. */
	EMIT(rig, 0x13244002, 0xd0, 0, 0x11, 0x13004002, RIG_DATA | 4, 0, 0x22);
	EMIT(rig, 0x13004103, RIG_DATA + 8, 0, 0x33, 0x44, 0x1300c003, RIG_DATA + 16, 0, 0, 0);
	rig_run_clean(rig);
	assert_int_equal(peek32(&rig->ggtt, RIG_CONTEXT + 0xd0), 0x11);
	assert_int_equal(peek32(&rig->ggtt, RIG_HWSP + 0xd8), 0x12);
	assert_int_equal(peek32(&rig->ggtt, RIG_DATA), 0x22);
	assert_int_equal(peek64(&rig->ppgtt, RIG_DATA + 8), 0x4400000033);
	assert_true(peek64(&rig->ppgtt, RIG_DATA + 16) != 0);
	assert_int_equal(rig->interrupt_count, 1);
	assert_int_equal(rig->interrupts[0], GPU_INTERRUPT_FLUSH_NOTIFY);
	rig_destroy(rig);
}

static void flush_dw_length_has_six_bits(void **state)
{
	struct rig *rig = rig_create(GPU_VCS0);

	/* Bit 7 is the video cache's, no length. */
	EMIT(rig, 0x13244082, 0xd0, 0, 0x11, MI_USER_INTERRUPT);
	rig_run_clean(rig);
	assert_int_equal(rig->interrupt_count, 1);
	rig_destroy(rig);
}

/* ---- Privilege ------------------------------------------------------------------------------ */

static void user_batch_cannot_reach_the_ggtt(void **state)
{
	static const uint32_t commands[][11] = {
		{ 4, 0x10400002, RIG_DATA, 0, 5 },
		{ 3, 0x10800001, 0x40, 5 },
		{ 1, 0x03800000 },
		{ 4, 0x12400002, GPR(0), RIG_DATA, 0 },
		{ 5, 0x17400003, RIG_DATA, 0, RIG_DATA + 64, 0 },
		{ 5, 0x17200003, RIG_DATA, 0, RIG_DATA + 64, 0 },
		{ 4, 0x14000002, RIG_DATA | 1, 0, 9 },
		{ 6, PIPE_CONTROL, 0x01004000, RIG_DATA, 0, 5, 5 },
		{ 6, PIPE_CONTROL, 0x00204000, 0xd0, 0, 5, 5 },
		{ 4, 0x0e015002, 1, 0x7018, 0 },
		{ 4, 0x1b600002, 1, RIG_DATA, 0 },
		{ 2, 0x0c000000, RIG_DATA },
		{ 3, 0x11800001, RIG_DATA, 1 },
		{ 3, 0x0a000001, 0x40, RIG_DATA },
		{ 4, 0x14c00002, GPR(0), RIG_DATA, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		struct rig *rig = rig_create(GPU_RCS);

		rig_set_gpr(rig, 0, 0x66);
		poke32(&rig->ggtt, RIG_DATA + 64, 3);
		rig_user_batch(rig);
		for (uint32_t n = 1; n <= commands[i][0]; n++)
			emit(rig, commands[i][n]);
		EMIT(rig, MI_STORE_DATA_IMM, RIG_DATA + 128, 0, 1);
		assert_int_equal(rig_run_batch(rig), GPU_RUN_DONE);
		assert_int_equal(rig->faults, 0);
		assert_int_equal(peek64(&rig->ggtt, RIG_DATA), 0);
		assert_int_equal(peek64(&rig->ppgtt, RIG_DATA), 0);
		assert_int_equal(peek64(&rig->ggtt, RIG_HWSP + 0x40), 0);
		assert_int_equal(peek64(&rig->ggtt, RIG_HWSP), 0);
		assert_int_equal(peek64(&rig->ggtt, RIG_CONTEXT + 0xd0), 0);
		assert_int_equal(rig_gpr(rig, 0), 0x66);
		assert_int_equal(rig->register_writes, 0);
		assert_int_equal(peek32(&rig->ppgtt, RIG_DATA + 128), 1);
		rig_destroy(rig);
	}
}

/* Two commands take the bit that asks for the GGTT for clear there. */
static void user_batch_cannot_choose_the_memory_type(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);

	poke32(&rig->ggtt, RIG_DATA, 1);
	poke32(&rig->ppgtt, RIG_DATA, 7);
	rig_user_batch(rig);
	EMIT(rig, MI_SEMAPHORE_WAIT(4) | MI_GGTT, 7, RIG_DATA, 0);
	EMIT(rig, MI_ATOMIC(5) | MI_GGTT, RIG_DATA, 0);
	assert_int_equal(rig_run_batch(rig), GPU_RUN_DONE);
	assert_int_equal(peek32(&rig->ggtt, RIG_DATA), 1);
	assert_int_equal(peek32(&rig->ppgtt, RIG_DATA), 8);
	rig_destroy(rig);
}

static void harmless_commands_pass(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);

	EMIT(rig, 0x01800000, 0x02800000, 0x03000000, 0x04000001, 0x05800001, 0x06800000,
	     0x07800000, 0x09000000, 0, 0x09800000, 0, 0x0d800000, 0, 0x0e800000, 0, 0x13800001, 0,
	     0, 0x16000002, 0, 0, 0, 0x16800002, 0, 0, 0, 0x15800002, 0, 0, 0);
	rig_run_clean(rig);
	rig_destroy(rig);
}

static void display_flip_names_the_plane(void **state)
{
	static const struct {
		uint32_t select, pipe, plane;
	} planes[] = { { 0, 0, 0 }, { 2, 2, 0 }, { 4, 0, 1 }, { 5, 1, 1 }, { 9, 2, 2 } };
	struct rig *rig = rig_create(GPU_RCS);

	for (uint32_t i = 0; i < ARRAY_SIZE(planes); i++) {
		rig_ring(rig);
		EMIT(rig, 0x0a000001 | planes[i].select << 8, 0x40 << 6 | 4, 0x123001);
		rig_run_clean(rig);
		assert_int_equal(rig->flips, i + 1);
		assert_int_equal(rig->flip.pipe, planes[i].pipe);
		assert_int_equal(rig->flip.plane, planes[i].plane);
		assert_int_equal(rig->flip.stride, 0x40);
		assert_int_equal(rig->flip.tiling, 4);
		assert_int_equal(rig->flip.surface, 0x123000);
	}
	/* Planes there are not; and never as a write that other commands could do as well. */
	rig_ring(rig);
	EMIT(rig, 0x0a000301, 0x40 << 6, 0x123001, 0x0a000a01, 0x40 << 6, 0x123001);
	rig_run_clean(rig);
	assert_int_equal(rig->flips, ARRAY_SIZE(planes));
	assert_int_equal(rig->register_writes, 0);
	rig_destroy(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(store_data_imm),
		cmocka_unit_test(store_data_imm_of_full_length),
		cmocka_unit_test(odd_qwords_fault),
		cmocka_unit_test(store_to_read_only_faults),
		cmocka_unit_test(store_data_index),
		cmocka_unit_test(report_head),
		cmocka_unit_test(noop_writes_nopid),
		cmocka_unit_test(copy_mem_mem),
		cmocka_unit_test(report_perf_count),
		cmocka_unit_test(address_faults_name_their_operand),
		cmocka_unit_test(atomic_dwords),
		cmocka_unit_test(atomic_qwords),
		cmocka_unit_test(atomic_octword),
		cmocka_unit_test(bad_atomics_fault),
		cmocka_unit_test(pipe_control_breadcrumb),
		cmocka_unit_test(pipe_control_store_precedes_its_interrupt),
		cmocka_unit_test(pipe_control_post_sync_operations),
		cmocka_unit_test(flushes_invalidate_tlbs),
		cmocka_unit_test(flush_dw),
		cmocka_unit_test(flush_dw_length_has_six_bits),
		cmocka_unit_test(user_batch_cannot_reach_the_ggtt),
		cmocka_unit_test(user_batch_cannot_choose_the_memory_type),
		cmocka_unit_test(harmless_commands_pass),
		cmocka_unit_test(display_flip_names_the_plane),
	};

	return cmocka_run_group_tests_name("gpu mi", tests, NULL, NULL);
}
