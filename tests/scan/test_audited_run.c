/* SPDX-License-Identifier: MIT */
/*
 * The streamer with an audit at its side: that what was audited is what runs, that a refusal halts
 * the engine at the command, that privileged batches end, and that no accepted stream touches
 * memory outside the share.
 */
#include <string.h>

#include "rig.h"
#include "scan/scan.h"
#include "tests/support/random.h"

/* Pages 1 to 31; what lies around them belongs to somebody else. */
#define SHARE_FIRST 0x1000u
#define SHARE_END   0x20000u
#define CANARY	    0xc0ffee11u

static uint64_t writable[SCAN_REGISTER_WORDS];
static struct scan_audit audit;

static int setup(void **state)
{
	static const struct gpu_range share[2] = { { SHARE_FIRST, SHARE_END }, { 0, 0 } };

	for (uint32_t offset = 0x2600; offset < 0x2680; offset += 4)
		writable[offset / 256] |= 1ull << (offset / 4 % 64);
	scan_audit_init(&audit, share, writable);
	return 0;
}

static bool outside(uint32_t address)
{
	return address < SHARE_FIRST || address >= SHARE_END;
}

#define MEMORY (RIG_PAGES * PAGE_BYTES)

/* What lies around the share: canaries everywhere. */
static const uint8_t *canaries(void)
{
	static uint32_t dwords[MEMORY / 4];

	for (size_t i = 0; i < ARRAY_SIZE(dwords) && !dwords[ARRAY_SIZE(dwords) - 1]; i++)
		dwords[i] = CANARY;
	return (const uint8_t *)dwords;
}

static struct rig *create(enum gpu_engine engine)
{
	struct rig *rig = rig_create(engine);

	rig->workload.audit = &audit.audit;
	memcpy(rig->ggtt.memory, canaries(), SHARE_FIRST);
	memcpy(rig->ggtt.memory + SHARE_END, canaries(), MEMORY - SHARE_END);
	return rig;
}

static void expect_canaries(struct rig *rig)
{
	assert_memory_equal(rig->ggtt.memory, canaries(), SHARE_FIRST);
	assert_memory_equal(rig->ggtt.memory + SHARE_END, canaries(), MEMORY - SHARE_END);
}

static void a_refused_command_halts_the_engine(void **state)
{
	struct rig *rig = create(GPU_RCS);

	EMIT(rig, MI_STORE_DATA_IMM | MI_GGTT, RIG_DATA, 0, 1);
	EMIT(rig, MI_STORE_DATA_IMM | MI_GGTT, SHARE_END, 0, 2);
	EMIT(rig, MI_STORE_DATA_IMM | MI_GGTT, RIG_DATA, 0, 3);
	assert_int_equal(rig_run(rig), GPU_RUN_FAULT);
	assert_int_equal(rig->fault.kind, GPU_FAULT_SHARE);
	assert_int_equal(rig->fault.address, SHARE_END);
	assert_int_equal(rig->fault.command_at, RIG_RING + 16);
	assert_int_equal(rig->fault.header, MI_STORE_DATA_IMM | MI_GGTT);
	assert_int_equal(rig->fault.context_id, 7);
	assert_true(rig->fault.write);
	assert_false(rig->fault.ppgtt);
	assert_int_equal(rig->workload.cs.head, 16);
	assert_int_equal(peek32(&rig->ggtt, RIG_DATA), 1);
	rig_destroy(rig);
}

/* A command rewrites one that was audited: what was audited is what runs. */
static void what_was_audited_is_what_runs(void **state)
{
	struct rig *rig = create(GPU_RCS);

	EMIT(rig, MI_STORE_DATA_IMM | MI_GGTT, RIG_RING + 20, 0, SHARE_END);
	EMIT(rig, MI_STORE_DATA_IMM | MI_GGTT, RIG_DATA, 0, 5);
	rig_run_clean(rig);
	assert_int_equal(peek32(&rig->ggtt, RIG_RING + 20), SHARE_END);
	assert_int_equal(peek32(&rig->ggtt, RIG_DATA), 5);
	expect_canaries(rig);
	rig_destroy(rig);
}

/* After a jump memory is copied again, and audited again. */
static void a_rewritten_batch_is_audited_again(void **state)
{
	struct rig *rig = create(GPU_RCS);

	rig_batch(rig, &rig->ggtt, RIG_BATCH);
	EMIT(rig, MI_STORE_DATA_IMM | MI_GGTT, RIG_DATA, 0, 5, MI_BATCH_BUFFER_END);
	rig_ring(rig);
	EMIT(rig, MI_BATCH_BUFFER_START, RIG_BATCH, 0);
	EMIT(rig, MI_STORE_DATA_IMM | MI_GGTT, RIG_BATCH + 4, 0, SHARE_END);
	EMIT(rig, MI_BATCH_BUFFER_START, RIG_BATCH, 0);
	assert_int_equal(rig_run(rig), GPU_RUN_FAULT);
	assert_int_equal(rig->fault.kind, GPU_FAULT_SHARE);
	assert_int_equal(rig->fault.command_at, RIG_BATCH);
	assert_int_equal(peek32(&rig->ggtt, RIG_DATA), 5);
	expect_canaries(rig);
	rig_destroy(rig);
}

static void a_tail_that_moves_on_is_audited(void **state)
{
	struct rig *rig = create(GPU_RCS);

	EMIT(rig, MI_STORE_DATA_IMM | MI_GGTT, RIG_DATA, 0, 1);
	rig_set_tail(rig);
	EMIT(rig, MI_STORE_DATA_IMM | MI_GGTT, SHARE_END, 0, 2);
	rig->new_tail = 32;
	rig->gpu->ops->begin(rig->gpu, &rig->workload);
	assert_int_equal(rig->gpu->ops->run(rig->gpu, GPU_RCS, UINT64_MAX), GPU_RUN_FAULT);
	rig->gpu->ops->end(rig->gpu, GPU_RCS);
	assert_int_equal(rig->fault.kind, GPU_FAULT_SHARE);
	assert_int_equal(rig->fault.command_at, RIG_RING + 16);
	rig_destroy(rig);
}

/* The operand lies behind the ring's end, which is to say at its beginning. */
static void a_command_around_the_rings_end_is_audited_whole(void **state)
{
	for (uint32_t bad = 0; bad < 2; bad++) {
		struct rig *rig = create(GPU_RCS);

		rig->workload.cs.head = rig->workload.cs.tail = RIG_RING_BYTES - 4;
		rig_ring(rig);
		EMIT(rig, MI_STORE_DATA_IMM | MI_GGTT, bad ? SHARE_END : RIG_DATA, 0, 9);
		assert_int_equal(rig_run(rig), bad ? GPU_RUN_FAULT : GPU_RUN_DONE);
		assert_int_equal(rig->fault.kind, bad ? GPU_FAULT_SHARE : GPU_FAULT_NONE);
		assert_int_equal(peek32(&rig->ggtt, RIG_DATA), bad ? 0 : 9);
		rig_destroy(rig);
	}
}

static void context_batches_are_audited(void **state)
{
	for (uint32_t per_ctx = 0; per_ctx < 2; per_ctx++) {
		struct rig *rig = create(GPU_RCS);

		rig_batch(rig, &rig->ggtt, RIG_BATCH);
		EMIT(rig, MI_LOAD_REGISTER_IMM(1), 0x941c, 2, MI_BATCH_BUFFER_END);
		if (per_ctx) {
			rig->workload.per_ctx = gma(RIG_BATCH);
		} else {
			rig->workload.indirect_ctx = gma(RIG_BATCH);
			rig->workload.indirect_ctx_bytes = 64;
		}
		rig_ring(rig);
		emit(rig, MI_USER_INTERRUPT);
		assert_int_equal(rig_run(rig), GPU_RUN_FAULT);
		assert_int_equal(rig->fault.kind, GPU_FAULT_REGISTER);
		assert_int_equal(rig->fault.address, 0x941c);
		assert_int_equal(rig->interrupt_count, 0);
		rig_destroy(rig);
	}
}

/* ---- A guest that writes between the copy and the run -----------------------------------------
 */

/* An audit that lets the guest rewrite what was copied before it looks at the copy. */
static struct {
	struct gpu_audit audit;
	struct rig *rig;
	enum gpu_source source; /* of the buffer that is rewritten */
	uint32_t at;		/* where it lies in the GGTT */
	uint32_t dwords[8];	/* what it becomes */
	uint32_t rewritten;
	uint32_t copies; /* of that source */
} meddler;

static uint32_t meddle_and_scan(const struct gpu_audit *base, const struct gpu_audit_window *window,
				struct gpu_audit_finding *finding)
{
	if (window->source == meddler.source) {
		meddler.copies++;
		for (uint32_t i = 0; i < ARRAY_SIZE(meddler.dwords); i++)
			poke32(&meddler.rig->ggtt, meddler.at + 4 * i, meddler.dwords[i]);
		meddler.rewritten++;
	}
	return audit.audit.ops->scan(&audit.audit, window, finding);
}

static const struct gpu_audit_ops meddling_ops = { .scan = meddle_and_scan };

#define STORE_OUTSIDE MI_STORE_DATA_IMM | MI_GGTT, SHARE_END, 0, 0xbad
#define STORE_INSIDE  MI_STORE_DATA_IMM | MI_GGTT, RIG_DATA, 0, 5

/* The buffers that run with privilege, each at its place; @dwords end with a batch's end. */
static struct rig *create_with(enum gpu_source source, const uint32_t *dwords, uint32_t count)
{
	struct rig *rig = create(GPU_RCS);
	uint32_t at = source == GPU_SOURCE_RING ? RIG_RING : RIG_BATCH;

	rig_batch(rig, &rig->ggtt, at);
	for (uint32_t i = 0; i < count; i++)
		emit(rig, dwords[i]);
	if (source == GPU_SOURCE_BATCH2) {
		rig_batch(rig, &rig->ggtt, RIG_BATCH + 0x1000);
		EMIT(rig, MI_BATCH_BUFFER_START | MI_BATCH_2ND_LEVEL, RIG_BATCH, 0);
		emit(rig, MI_BATCH_BUFFER_END);
	}
	if (source != GPU_SOURCE_RING)
		rig_ring(rig);
	if (source == GPU_SOURCE_BATCH1)
		EMIT(rig, MI_BATCH_BUFFER_START, RIG_BATCH, 0);
	if (source == GPU_SOURCE_BATCH2)
		EMIT(rig, MI_BATCH_BUFFER_START, RIG_BATCH + 0x1000, 0);
	if (source == GPU_SOURCE_PER_CTX)
		rig->workload.per_ctx = gma(RIG_BATCH);
	if (source == GPU_SOURCE_INDIRECT_CTX) {
		rig->workload.indirect_ctx = gma(RIG_BATCH);
		rig->workload.indirect_ctx_bytes = count * 4;
	}
	meddler.audit.ops = &meddling_ops;
	meddler.rig = rig;
	meddler.source = source;
	meddler.at = at;
	meddler.rewritten = meddler.copies = 0;
	rig->workload.audit = &meddler.audit;
	return rig;
}

static const enum gpu_source privileged[] = {
	GPU_SOURCE_RING,	 GPU_SOURCE_BATCH1,  GPU_SOURCE_BATCH2,
	GPU_SOURCE_INDIRECT_CTX, GPU_SOURCE_PER_CTX,
};

/* What was copied was harmless: it runs as it was, whatever has become of the original. */
static void what_becomes_bad_behind_the_copy_does_not_run(void **state)
{
	static const uint32_t good[] = { STORE_INSIDE, MI_NOOP, MI_NOOP, MI_NOOP,
					 MI_BATCH_BUFFER_END };
	static const uint32_t bad[] = { STORE_OUTSIDE, STORE_OUTSIDE };

	memcpy(meddler.dwords, bad, sizeof(bad));
	for (size_t i = 0; i < ARRAY_SIZE(privileged); i++) {
		struct rig *rig = create_with(privileged[i], good, ARRAY_SIZE(good));

		assert_int_equal(rig_run(rig), GPU_RUN_DONE);
		assert_int_equal(rig->faults, 0);
		assert_int_equal(meddler.copies, 1);
		assert_int_equal(peek32(&rig->ggtt, meddler.at + 4), SHARE_END);
		assert_int_equal(peek32(&rig->ggtt, RIG_DATA), 5);
		expect_canaries(rig);
		rig_destroy(rig);
	}
}

/* What was copied was bad: it is refused, although memory looks well by now. */
static void what_becomes_good_behind_the_copy_is_refused(void **state)
{
	static const uint32_t bad[] = { STORE_OUTSIDE, MI_NOOP, MI_NOOP, MI_NOOP,
					MI_BATCH_BUFFER_END };
	static const uint32_t good[] = { STORE_INSIDE, STORE_INSIDE };

	memcpy(meddler.dwords, good, sizeof(good));
	for (size_t i = 0; i < ARRAY_SIZE(privileged); i++) {
		struct rig *rig = create_with(privileged[i], bad, ARRAY_SIZE(bad));

		assert_int_equal(rig_run(rig), GPU_RUN_FAULT);
		assert_int_equal(rig->fault.kind, GPU_FAULT_SHARE);
		assert_int_equal(rig->fault.address, SHARE_END);
		assert_int_equal(rig->fault.command_at, meddler.at);
		assert_int_equal(peek32(&rig->ggtt, RIG_DATA), 0);
		expect_canaries(rig);
		rig_destroy(rig);
	}
}

/* ---- User batches -----------------------------------------------------------------------------
 */

static uint32_t times_read[256]; /* each dword of the batch */

/* Counts, and makes a store elsewhere of what was read. */
static void meddle_with_user_batch(struct rig_space *space, uint32_t address, uint32_t bytes)
{
	for (uint32_t at = address; at < address + bytes; at += 4) {
		uint32_t i = (at - RIG_BATCH) / 4;

		if (at < RIG_BATCH || i >= ARRAY_SIZE(times_read))
			continue;
		times_read[i]++;
		if (peek32(space, at) == RIG_DATA)
			poke32(space, at, RIG_DATA + 0x800);
	}
}

/* Each command is read once, checked, and done: what comes behind the reading is too late. */
static void a_user_batch_is_read_once(void **state)
{
	struct rig *rig = create(GPU_RCS);

	rig->ppgtt.flags[RIG_BATCH / PAGE_BYTES] = PAGE_NO_HOST;
	rig->ppgtt.after_read = meddle_with_user_batch;
	memset(times_read, 0, sizeof(times_read));
	rig_user_batch(rig);
	for (uint32_t i = 0; i < 50; i++)
		EMIT(rig, MI_ATOMIC_INLINE(7), RIG_DATA, 0, 1, 0, 0, 0, 0, 0, 0, 0);
	assert_int_equal(rig_run_batch(rig), GPU_RUN_DONE);
	assert_int_equal(rig->faults, 0);
	assert_int_equal(peek32(&rig->ppgtt, RIG_DATA), 50);
	assert_int_equal(peek32(&rig->ppgtt, RIG_DATA + 0x800), 0);
	for (uint32_t i = 0; i < ARRAY_SIZE(times_read); i++)
		assert_in_range(times_read[i], 0, 1);
	rig_destroy(rig);
}

static void user_batches_are_not_refused(void **state)
{
	struct rig *rig = create(GPU_RCS);

	rig_user_batch(rig);
	EMIT(rig, MI_LOAD_REGISTER_IMM(1), 0x941c, 2);
	EMIT(rig, MI_STORE_DATA_IMM | MI_GGTT, SHARE_END, 0, 2);
	EMIT(rig, 0x11800001, SHARE_END, 2);
	EMIT(rig, MI_STORE_DATA_IMM, SHARE_END, 0, 4);
	assert_int_equal(rig_run_batch(rig), GPU_RUN_DONE);
	assert_int_equal(rig->register_writes, 0);
	assert_int_equal(peek32(&rig->ppgtt, SHARE_END), 4);
	expect_canaries(rig);
	rig_destroy(rig);
}

/* ---- Batches without an end ------------------------------------------------------------------ */

static void expect_endless(struct rig *rig)
{
	rig_ring(rig);
	EMIT(rig, MI_BATCH_BUFFER_START, RIG_BATCH, 0);
	assert_int_equal(rig_run(rig), GPU_RUN_FAULT);
	assert_int_equal(rig->fault.kind, GPU_FAULT_ENDLESS);
	rig_destroy(rig);
}

static void a_privileged_batch_that_calls_itself_ends(void **state)
{
	struct rig *rig = create(GPU_RCS);

	rig_batch(rig, &rig->ggtt, RIG_BATCH);
	EMIT(rig, MI_NOOP, MI_BATCH_BUFFER_START, RIG_BATCH, 0);
	expect_endless(rig);
}

static void two_that_call_each_other_end(void **state)
{
	struct rig *rig = create(GPU_RCS);

	rig_batch(rig, &rig->ggtt, RIG_BATCH);
	EMIT(rig, MI_BATCH_BUFFER_START, RIG_BATCH + 0x1000, 0);
	rig_batch(rig, &rig->ggtt, RIG_BATCH + 0x1000);
	EMIT(rig, MI_BATCH_BUFFER_START, RIG_BATCH, 0);
	expect_endless(rig);
}

static void a_loop_through_the_second_level_ends(void **state)
{
	struct rig *rig = create(GPU_RCS);

	rig_batch(rig, &rig->ggtt, RIG_BATCH);
	EMIT(rig, MI_BATCH_BUFFER_START | MI_BATCH_2ND_LEVEL, RIG_BATCH + 0x1000, 0);
	EMIT(rig, MI_BATCH_BUFFER_START, RIG_BATCH, 0);
	rig_batch(rig, &rig->ggtt, RIG_BATCH + 0x1000);
	emit(rig, MI_BATCH_BUFFER_END);
	expect_endless(rig);
}

/* Calls are no loop: the ring may call as many batches as it holds. */
static void many_batches_one_after_the_other_are_fine(void **state)
{
	struct rig *rig = create(GPU_RCS);

	rig_batch(rig, &rig->ggtt, RIG_BATCH);
	for (uint32_t i = 0; i < 100; i++)
		EMIT(rig, MI_BATCH_BUFFER_START | MI_BATCH_2ND_LEVEL, RIG_BATCH + 0x1000, 0);
	emit(rig, MI_BATCH_BUFFER_END);
	rig_batch(rig, &rig->ggtt, RIG_BATCH + 0x1000);
	emit(rig, MI_BATCH_BUFFER_END);
	rig_ring(rig);
	for (uint32_t i = 0; i < 300; i++)
		EMIT(rig, MI_BATCH_BUFFER_START, RIG_BATCH, 0);
	rig_run_clean(rig);
	rig_destroy(rig);
}

/* ---- Random streams -------------------------------------------------------------------------- */

/* Mostly near the borders of the share. */
static uint32_t random_address(void)
{
	static const uint32_t places[] = {
		0, SHARE_FIRST, SHARE_END, RIG_DATA, RIG_DATA, RIG_DATA
	};
	uint32_t around = places[random32() % ARRAY_SIZE(places)];

	return around + (random32() % 129 - 64) * 4;
}

static uint32_t random_operand(void)
{
	switch (random32() % 6) {
	case 0:
		return random32();
	case 1:
		return 0;
	case 2:
		return 0x2600 + random32() % 40 * 4;
	default:
		return random_address();
	}
}

/* One of the streamer's own commands with any of its bits, of a length it may have. */
static void emit_random(struct rig *rig, enum gpu_engine engine)
{
	const struct gpu_command *command;
	uint32_t header, dwords;

	do {
		command = &gpu_commands[random32() % gpu_command_count];
	} while (command->klass != GPU_COMMAND_EXEC || !(command->engines & 1u << engine));
	header = random32();
	header = command->header ^ (header & random32() & 0x007ffc00);
	if (command->length_bits && command->min_dwords != command->max_dwords)
		header |= command->min_dwords - 2 + random32() % 3;
	if (gpu_command_find(engine, header) != command)
		return;
	dwords = gpu_command_dwords(command, header);
	if (!dwords || rig->at + dwords * 4 > RIG_RING + RIG_RING_BYTES - 8)
		return;
	emit(rig, header);
	for (uint32_t i = 1; i < dwords; i++)
		emit(rig, i == 2 || i == 4 ? random32() % 16 == 0 : random_operand());
}

/*
 * Neither written, which the canaries tell, nor read: an operand out there would be a fault by
 * address, since those pages are absent in every second round.  Commands may be looked for out
 * there, in batches that have no end inside the share: the vGPU's own address space ends that.
 */
static void expect_untouched(struct rig *rig)
{
	const struct gpu_fault *fault = &rig->fault;

	expect_canaries(rig);
	if (fault->kind == GPU_FAULT_ADDRESS && !fault->ppgtt && outside((uint32_t)fault->address))
		assert_true(!fault->write && fault->address >= fault->command_at &&
			    fault->address < fault->command_at + 4 * 1280);
}

static void no_accepted_stream_leaves_the_share(void **state)
{
	unsigned int kinds[GPU_FAULT_KINDS] = { 0 };

	for (uint32_t round = 0; round < 3000; round++) {
		enum gpu_engine engine = round % GPU_ENGINES;
		struct rig *rig = create(engine);

		seed = 0x9e3779b97f4a7c15ull * (round + 1);
		for (uint32_t page = 0; page < RIG_PAGES && round % 2; page++)
			if (outside(page * (uint32_t)PAGE_BYTES))
				rig->ggtt.flags[page] = PAGE_ABSENT;
		for (uint32_t i = 0; i < 40; i++)
			emit_random(rig, engine);
		rig_set_tail(rig);
		rig->gpu->ops->begin(rig->gpu, &rig->workload);
		rig->gpu->ops->run(rig->gpu, engine, 0);
		rig->gpu->ops->run(rig->gpu, engine, 0);
		rig->gpu->ops->end(rig->gpu, engine);
		expect_untouched(rig);
		kinds[rig->fault.kind]++;
		rig_destroy(rig);
	}
	/* The streams were neither all refused nor all harmless. */
	assert_true(kinds[GPU_FAULT_SHARE] > 300);
	assert_true(kinds[GPU_FAULT_REGISTER] > 100);
	assert_true(kinds[GPU_FAULT_NONE] > 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_refused_command_halts_the_engine),
		cmocka_unit_test(what_was_audited_is_what_runs),
		cmocka_unit_test(a_rewritten_batch_is_audited_again),
		cmocka_unit_test(a_tail_that_moves_on_is_audited),
		cmocka_unit_test(a_command_around_the_rings_end_is_audited_whole),
		cmocka_unit_test(context_batches_are_audited),
		cmocka_unit_test(what_becomes_bad_behind_the_copy_does_not_run),
		cmocka_unit_test(what_becomes_good_behind_the_copy_is_refused),
		cmocka_unit_test(a_user_batch_is_read_once),
		cmocka_unit_test(user_batches_are_not_refused),
		cmocka_unit_test(a_privileged_batch_that_calls_itself_ends),
		cmocka_unit_test(two_that_call_each_other_end),
		cmocka_unit_test(a_loop_through_the_second_level_ends),
		cmocka_unit_test(many_batches_one_after_the_other_are_fine),
		cmocka_unit_test(no_accepted_stream_leaves_the_share),
	};

	return cmocka_run_group_tests_name("audited run", tests, setup, NULL);
}
