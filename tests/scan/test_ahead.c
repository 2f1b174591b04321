/* SPDX-License-Identifier: MIT */
/*
 * The audit's fast way against its careful one: on any stream of any engine both have the same to
 * say, down to the dword.  Streams are commands of the engine in a row, with operands mostly in
 * order, and then a little broken: a dword that is another, a command that is shorter than it says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "scan/ahead.h"
#include "tests/support/random.h"

#define LOW_END	      0x00100000u
#define HIGH	      0x10000000u
#define HIGH_END      0x30000000u
#define MAX_DWORDS    5000u
#define PIPE_CONTROLS 341u /* of six dwords, as many as are gone over at a time */

static const struct gpu_range share[2] = { { 0, LOW_END }, { HIGH, HIGH_END } };
static uint64_t writable[SCAN_REGISTER_WORDS];
static struct scan_audit audit;
static uint32_t stream[MAX_DWORDS];

static int setup(void **state)
{
	for (uint32_t offset = 0x2600; offset < 0x2680; offset += 4)
		writable[offset / 256] |= 1ull << (offset / 4 % 64);
	writable[SCAN_REGISTER_WORDS - 1] |= 1ull << 63;
	scan_audit_init(&audit, share, writable);
	return 0;
}

/* ---- Streams --------------------------------------------------------------------------------- */

/* Below @few, or seldom, one time of @times, @many.  In this order, whatever the compiler. */
static uint32_t few_or_many(uint32_t times, uint32_t few, uint32_t many)
{
	uint32_t below = random32() % times ? few : many;

	return random32() % below;
}

/* Of a command that is not to be refused; @careless: at the borders, and beyond. */
static uint32_t random_address(bool careless)
{
	static const uint32_t borders[] = { LOW_END, HIGH, HIGH_END };

	if (careless) {
		uint32_t border = borders[random32() % ARRAY_SIZE(borders)];

		return border + (random32() % 512 - 256) * 4;
	}
	return random32() % 2 ? random32() % (LOW_END - 8192) & ~63u
			      : HIGH + (random32() % (HIGH_END - HIGH - 8192) & ~63u);
}

static uint32_t random_register(bool careless)
{
	static const uint32_t borders[] = { 0x25fc, 0x2680, SCAN_REGISTER_BYTES - 4,
					    SCAN_REGISTER_BYTES, 0x7ffffc };

	if (careless)
		return borders[random32() % ARRAY_SIZE(borders)];
	return 0x2600 + random32() % 32 * 4;
}

/* The dword of a command's first address, near enough. */
static uint32_t first_address(uint32_t header)
{
	switch (header >> 23) {
	case 0x20: /* MI_STORE_DATA_IMM */
	case 0x26: /* MI_FLUSH_DW */
	case 0x28: /* MI_REPORT_PERF_COUNT */
	case 0x2e: /* MI_COPY_MEM_MEM */
	case 0x2f: /* MI_ATOMIC */
		return 1;
	default:
		return 2;
	}
}

/* What stands where an operand does: a plain number, an address, a register. */
static void put_operands(uint32_t *dw, uint32_t dwords, bool careless)
{
	for (uint32_t i = 1; i < dwords; i++)
		dw[i] = random32() % 4 ? random32() % 256 : random32();
	switch (dw[0] >> 23) {
	case 0x22: /* MI_LOAD_REGISTER_IMM */
		for (uint32_t i = 1; i < dwords; i += 2)
			dw[i] = random_register(careless);
		return;
	case 0x29: /* MI_LOAD_REGISTER_MEM */
	case 0x2a: /* MI_LOAD_REGISTER_REG */
		dw[1] = dw[2] = random_register(careless);
		break;
	case 0xf4: /* PIPE_CONTROL, and what looks like it */
		dw[1] = random32() & (careless ? UINT32_MAX : 0x01104000);
		careless = careless && random32() % 2; /* what it does, or where */
		break;
	}
	for (uint32_t i = first_address(dw[0]); i + 1 < dwords; i += 2) {
		dw[i] = random_address(careless);
		dw[i + 1] = 0;
	}
}

/* A header of one of the engine's commands that goes on to the next; its length. */
static uint32_t random_command(enum gpu_engine engine, uint32_t *header, bool odd)
{
	const struct gpu_command *command;
	uint32_t flags;

	for (;;) {
		command = &gpu_commands[random32() % gpu_command_count];
		*header = command->header;
		flags = random32() & 0x0060c000;
		if (*header >> 29 != 3) /* of others, the opcode */
			*header |= flags & random32();
		if (command->length_bits && command->max_dwords > command->min_dwords)
			*header |= few_or_many(16, 4, 400);
		if (command->length_bits)
			*header += command->min_dwords - 2u;
		if (odd && !command->length_bits)
			*header |= random32() & 0xff;
		if (odd && command->length_bits && command->length_bits < 8)
			*header |= random32() & 0x80; /* a flag in MI_FLUSH_DW */
		/* Every second one is of those that the streamer acts on. */
		if (command->klass != GPU_COMMAND_EXEC && random32() % 8)
			continue;
		if (gpu_command_find(engine, *header) != command || command->denied ||
		    command->header >> 23 == 0x31 || command->header >> 23 == 0x0a)
			continue;
		if (gpu_command_dwords(command, *header))
			return gpu_command_dwords(command, *header);
	}
}

/* Fills the stream; each so many commands one is careless (0: none). */
static void make_stream(enum gpu_engine engine, uint32_t count, uint32_t careless)
{
	uint32_t header, dwords, at = 0;

	while (at < count) {
		if (random32() % 8 == 0) { /* one, two, or a run of MI_NOOPs */
			for (dwords = few_or_many(8, 3, 80); dwords && at < count; dwords--)
				stream[at++] = 0;
			continue;
		}
		dwords = random_command(engine, &header, careless && random32() % 8 == 0);
		if (dwords > MAX_DWORDS - at) {
			memset(&stream[at], 0, (MAX_DWORDS - at) * 4ul);
			return;
		}
		stream[at] = header;
		put_operands(&stream[at], dwords, careless && random32() % careless == 0);
		at += dwords;
	}
}

static void break_dword(uint32_t *dword)
{
	static const uint32_t end = 0x05000000;

	switch (random32() % 4) {
	case 0:
		*dword = random32();
		break;
	case 1:
		*dword = end;
		break;
	default: /* of a header, another length */
		*dword ^= 1u << random32() % 9;
		break;
	}
}

/* ---- Both ways ------------------------------------------------------------------------------- */

struct verdict {
	uint32_t accepted;
	struct gpu_audit_finding finding;
};

static struct gpu_audit_window window_of(enum gpu_engine engine, uint32_t count)
{
	static const enum gpu_source sources[] = {
		GPU_SOURCE_RING,	 GPU_SOURCE_BATCH1,  GPU_SOURCE_BATCH2,
		GPU_SOURCE_INDIRECT_CTX, GPU_SOURCE_PER_CTX,
	};

	return (struct gpu_audit_window){
		.engine = engine,
		.source = sources[random32() % ARRAY_SIZE(sources)],
		.dwords = stream,
		.count = count,
	};
}

/* In memory that ends where the window does. */
static enum gpu_fault_kind expect_same(const struct gpu_audit_window *whole)
{
	uint32_t *dwords = malloc(whole->count * sizeof(*dwords));
	struct verdict fast = { 0 }, careful = { 0 };
	struct gpu_audit_window own = *whole, *window = &own;

	assert_non_null(dwords);
	own.dwords = memcpy(dwords, whole->dwords, whole->count * sizeof(*dwords));
	careful.accepted = audit_carefully(&audit, window, &careful.finding);
	fast.accepted = audit.audit.ops->scan(&audit.audit, window, &fast.finding);
	assert_int_equal(fast.accepted, careful.accepted);
	assert_int_equal(fast.finding.kind, careful.finding.kind);
	if (careful.finding.kind != GPU_FAULT_NONE) {
		assert_int_equal(fast.finding.address, careful.finding.address);
		assert_int_equal(fast.finding.write, careful.finding.write);
	}
	/* From anywhere, on commands or between them: nothing is passed that is not in order. */
	if (window->count > 1)
		assert_true(audit_ahead(&audit, window, 0) <= careful.accepted);
	free(dwords);
	return careful.finding.kind;
}

static void streams_in_order_are_passed(void **state)
{
	uint64_t dwords = 0, passed = 0;

	for (uint32_t round = 0; round < 2000; round++) {
		enum gpu_engine engine = round % GPU_ENGINES;
		struct gpu_audit_window window;

		seed = 0x9e3779b97f4a7c15ull * (round + 1);
		window = window_of(engine, AHEAD_LEAST + random32() % 1024);
		make_stream(engine, window.count, 0);
		expect_same(&window);
		dwords += window.count;
		passed += MIN(audit_ahead(&audit, &window, 0), window.count);
	}
	/* Most, or this is no fast way. */
	assert_true(passed > dwords * 3 / 4);
}

static void broken_streams_get_the_careful_verdict(void **state)
{
	uint32_t kinds[GPU_FAULT_KINDS] = { 0 };

	for (uint32_t round = 0; round < 25000; round++) {
		enum gpu_engine engine = round % GPU_ENGINES;
		struct gpu_audit_window window;

		seed = 0x2545f4914f6cdd1dull * (round + 1);
		window = window_of(engine, 1 + random32() % (round % 4 ? 1280 : MAX_DWORDS));
		make_stream(engine, window.count, round % 3 ? 50 : 0);
		for (uint32_t i = random32() % 3; i; i--)
			break_dword(&stream[random32() % window.count]);
		if (round % 5 == 0)
			stream[random32() % window.count] = 0x18800101;
		kinds[expect_same(&window)]++;
	}
	assert_true(kinds[GPU_FAULT_NONE] > 1000);
	assert_true(kinds[GPU_FAULT_OPCODE] > 1000);
	assert_true(kinds[GPU_FAULT_LENGTH] > 100);
	assert_true(kinds[GPU_FAULT_SHARE] > 200);
	assert_true(kinds[GPU_FAULT_REGISTER] > 100);
}

/* One command after the other where the second walk begins, and where the third does. */
static void the_other_walks_begin_anywhere(void **state)
{
	for (uint32_t round = 0; round < 2000; round++) {
		struct gpu_audit_window window = window_of(GPU_RCS, 512);
		uint32_t at = 512 / 3 * (1 + round % 2) - 20 + round / 2 % 40;

		seed = 0x9e3779b97f4a7c15ull * (round + 7);
		make_stream(GPU_RCS, window.count, 0);
		/* A store whose data look like commands, which no audit would pass. */
		stream[at] = 0x10400000 | 0x80;
		stream[at + 1] = 0x1000;
		stream[at + 2] = 0;
		for (uint32_t i = 3; i < 0x82; i += 3) {
			stream[at + i] = 0x11000001;
			stream[at + i + 1] = random32() % 2 ? 0x941c : 0x2600;
		}
		expect_same(&window);
	}
}

/* PIPE_CONTROLs, one of which does something else with its operand than to write there. */
static void what_an_operand_means_is_looked_at(void **state)
{
	static const struct {
		uint32_t flags, operand;
		enum gpu_fault_kind kind;
	} other[] = {
		{ 0x00800000, 0x2600, GPU_FAULT_NONE },	     /* a register */
		{ 0x00800000, 0x941c, GPU_FAULT_REGISTER },  /* that is not on the list */
		{ 0x01204000, LOW_END, GPU_FAULT_NONE },     /* in the status page */
		{ 0x00004000, LOW_END, GPU_FAULT_NONE },     /* in the PPGTT */
		{ 0x01004000, LOW_END, GPU_FAULT_SHARE },    /* in the GGTT */
		{ 0x01004000, LOW_END - 8, GPU_FAULT_NONE }, /* at the end of the share */
	};

	for (uint32_t i = 0; i < ARRAY_SIZE(other) * PIPE_CONTROLS; i++) {
		struct gpu_audit_window window = window_of(GPU_RCS, PIPE_CONTROLS * 6);

		memset(stream, 0, sizeof(stream));
		for (uint32_t at = 0; at < window.count; at += 6) {
			stream[at] = 0x7a000004;
			stream[at + 1] = 0x01104000;
			stream[at + 2] = 0x1000;
		}
		stream[i / ARRAY_SIZE(other) * 6 + 1] = other[i % ARRAY_SIZE(other)].flags;
		stream[i / ARRAY_SIZE(other) * 6 + 2] = other[i % ARRAY_SIZE(other)].operand;
		assert_int_equal(expect_same(&window), other[i % ARRAY_SIZE(other)].kind);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(streams_in_order_are_passed),
		cmocka_unit_test(broken_streams_get_the_careful_verdict),
		cmocka_unit_test(the_other_walks_begin_anywhere),
		cmocka_unit_test(what_an_operand_means_is_looked_at),
	};

	return cmocka_run_group_tests_name("scan ahead", tests, setup, NULL);
}
