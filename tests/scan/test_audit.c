/* SPDX-License-Identifier: MIT */
/* What the audit refuses and by which name, what it accepts, and where it stops. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "scan/scan.h"

#define HIGH	   0x10000000u /* where the upper part of the share begins */
#define LOW_END	   0x00100000u
#define HIGH_END   0x30000000u
#define MAX_DWORDS 16u

static const struct gpu_range share[2] = { { 0, LOW_END }, { HIGH, HIGH_END } };
static uint64_t writable[SCAN_REGISTER_WORDS];
static struct scan_audit audit;

static int setup(void **state)
{
	/* Two general purpose registers and one of the pipeline's. */
	writable[0x2600 / 256] |= 3ull << (0x2600 / 4 % 64);
	writable[0x7014 / 256] |= 1ull << (0x7014 / 4 % 64);
	scan_audit_init(&audit, share, writable);
	return 0;
}

struct scanned {
	uint32_t accepted;
	struct gpu_audit_finding finding;
};

static struct scanned scan(enum gpu_engine engine, enum gpu_source source, const uint32_t *dwords,
			   uint32_t count)
{
	const struct gpu_audit_window window = {
		.engine = engine,
		.source = source,
		.dwords = dwords,
		.count = count,
	};
	struct scanned scanned;

	scanned.accepted = audit.audit.ops->scan(&audit.audit, &window, &scanned.finding);
	return scanned;
}

struct stream {
	enum gpu_engine engine;
	uint32_t count;
	uint32_t dwords[MAX_DWORDS];
	enum gpu_fault_kind kind;
	uint64_t address;
};

/* Each alone, and behind a command that is in order: the refusal stays at its own command. */
static void expect_refused(const struct stream *stream, enum gpu_source source)
{
	uint32_t dwords[MAX_DWORDS + 1] = { 0x01000000 };
	struct scanned alone = scan(stream->engine, source, stream->dwords, stream->count);
	struct scanned behind;

	memcpy(&dwords[1], stream->dwords, stream->count * 4ul);
	behind = scan(stream->engine, source, dwords, stream->count + 1);
	if (alone.finding.kind != stream->kind || alone.finding.address != stream->address)
		print_message("%08x: %s at 0x%llx\n", stream->dwords[0],
			      gpu_fault_name(alone.finding.kind),
			      (unsigned long long)alone.finding.address);
	assert_int_equal(alone.accepted, 0);
	assert_int_equal(alone.finding.kind, stream->kind);
	assert_int_equal(alone.finding.address, stream->address);
	assert_int_equal(behind.accepted, 1);
	assert_int_equal(behind.finding.kind, stream->kind);
}

static void unknown_commands_and_lengths(void **state)
{
	static const struct stream bad[] = {
		{ GPU_RCS, 1, { 0x02000000 }, GPU_FAULT_OPCODE, 0 },
		{ GPU_RCS, 10, { 0x54c00008 }, GPU_FAULT_OPCODE, 0 },
		{ GPU_BCS, 6, { 0x7a000004 }, GPU_FAULT_OPCODE, 0 },
		{ GPU_RCS, 1, { 0x20000000 }, GPU_FAULT_OPCODE, 0 },
		{ GPU_RCS, 1, { 0xffffffff }, GPU_FAULT_OPCODE, 0 },
		{ GPU_RCS, 1, { 0x80000000 }, GPU_FAULT_OPCODE, 0 },
		{ GPU_RCS, 6, { 0x7a000003 }, GPU_FAULT_LENGTH, 0 },
		{ GPU_RCS, 4, { 0x18800002 }, GPU_FAULT_LENGTH, 0 },
		{ GPU_BCS, 6, { 0x13000000 }, GPU_FAULT_LENGTH, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		expect_refused(&bad[i], GPU_SOURCE_RING);
}

static void addresses_outside_the_share(void **state)
{
	static const struct stream bad[] = {
		/* MI_STORE_DATA_IMM: between the parts, above, in another 4 GiB. */
		{ GPU_RCS, 4, { 0x10400002, LOW_END, 0, 1 }, GPU_FAULT_SHARE, LOW_END },
		{ GPU_RCS, 4, { 0x10400002, HIGH_END, 0, 1 }, GPU_FAULT_SHARE, HIGH_END },
		{ GPU_BCS, 4, { 0x10400002, 0x1000, 1, 1 }, GPU_FAULT_SHARE, 0x100001000 },
		/* It begins inside and ends outside. */
		{ GPU_RCS, 5, { 0x10600003, LOW_END - 4, 0, 1, 2 }, GPU_FAULT_SHARE, LOW_END - 4 },
		{ GPU_RCS,
		  6,
		  { 0x10400004, HIGH_END - 8, 0, 1, 2, 3 },
		  GPU_FAULT_SHARE,
		  HIGH_END - 8 },
		{ GPU_RCS, 4, { 0x0e404002, 0, 0x200000, 0 }, GPU_FAULT_SHARE, 0x200000 },
		{ GPU_RCS, 4, { 0x12400002, 0x2600, 0x200000, 0 }, GPU_FAULT_SHARE, 0x200000 },
		{ GPU_RCS, 4, { 0x14c00002, 0x2600, 0x200000, 0 }, GPU_FAULT_SHARE, 0x200000 },
		/* MI_COPY_MEM_MEM: where to, where from. */
		{ GPU_RCS, 5, { 0x17200003, 0x200000, 0, 0, 0 }, GPU_FAULT_SHARE, 0x200000 },
		{ GPU_RCS, 5, { 0x17400003, 0, 0, 0x200000, 0 }, GPU_FAULT_SHARE, 0x200000 },
		{ GPU_RCS, 3, { 0x17c00501, 0x200000, 0 }, GPU_FAULT_SHARE, 0x200000 },
		{ GPU_RCS,
		  4,
		  { 0x14000002, (LOW_END - 64) | 1, 0, 0 },
		  GPU_FAULT_SHARE,
		  LOW_END - 64 },
		{ GPU_RCS,
		  6,
		  { 0x7a000004, 0x01004000, LOW_END - 4, 0, 1, 0 },
		  GPU_FAULT_SHARE,
		  LOW_END - 4 },
		{ GPU_BCS, 5, { 0x13004003, 0x200004, 0, 1, 0 }, GPU_FAULT_SHARE, 0x200000 },
		{ GPU_BCS, 3, { 0x0a000001, 0, 0x200000 }, GPU_FAULT_SHARE, 0x200000 },
		{ GPU_RCS, 4, { 0x1b600002, 0, 0x200000, 0 }, GPU_FAULT_SHARE, 0x200000 },
		{ GPU_RCS, 3, { 0x18800001, 0x200000, 0 }, GPU_FAULT_SHARE, 0x200000 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		expect_refused(&bad[i], GPU_SOURCE_RING);
}

static void registers_off_the_list(void **state)
{
	static const struct stream bad[] = {
		{ GPU_RCS, 3, { 0x11000001, 0x2608, 0 }, GPU_FAULT_REGISTER, 0x2608 },
		{ GPU_RCS, 3, { 0x11000001, 0x7ffffc, 0 }, GPU_FAULT_REGISTER, 0x7ffffc },
		{ GPU_BCS, 5, { 0x11000003, 0x2600, 0, 0x2230, 0 }, GPU_FAULT_REGISTER, 0x2230 },
		{ GPU_RCS, 4, { 0x14800002, 0x941c, 0, 0 }, GPU_FAULT_REGISTER, 0x941c },
		{ GPU_RCS, 3, { 0x15000001, 0x2600, 0x941c }, GPU_FAULT_REGISTER, 0x941c },
		{ GPU_RCS,
		  6,
		  { 0x7a000004, 1 << 23, 0x941c, 0, 2, 0 },
		  GPU_FAULT_REGISTER,
		  0x941c },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		expect_refused(&bad[i], GPU_SOURCE_RING);
}

static void commands_for_the_owner_of_the_gpu(void **state)
{
	static const struct stream bad[] = {
		{ GPU_RCS, 3, { 0x11800001, 0x1000, 1 }, GPU_FAULT_PRIVILEGE, 0 },
		{ GPU_BCS, 3, { 0x11800001, 0x1000, 1 }, GPU_FAULT_PRIVILEGE, 0 },
		{ GPU_RCS, 2, { 0x0c000000, 0x1000 }, GPU_FAULT_PRIVILEGE, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		expect_refused(&bad[i], GPU_SOURCE_RING);
		expect_refused(&bad[i], GPU_SOURCE_BATCH1);
	}
}

static void batches_where_none_may_start(void **state)
{
	static const struct stream first = {
		GPU_RCS, 3, { 0x18800101, 0x1000, 0 }, GPU_FAULT_NESTING, 0
	};
	static const struct stream second = {
		GPU_RCS, 3, { 0x18c00101, 0x1000, 0 }, GPU_FAULT_NESTING, 0
	};

	expect_refused(&second, GPU_SOURCE_RING);
	expect_refused(&first, GPU_SOURCE_INDIRECT_CTX);
	expect_refused(&first, GPU_SOURCE_PER_CTX);
	assert_int_equal(scan(GPU_RCS, GPU_SOURCE_RING, first.dwords, 3).accepted, 3);
	assert_int_equal(scan(GPU_RCS, GPU_SOURCE_BATCH1, second.dwords, 3).accepted, 3);
	assert_int_equal(scan(GPU_RCS, GPU_SOURCE_BATCH2, second.dwords, 3).accepted, 3);
}

static void what_touches_nothing_is_accepted(void **state)
{
	static const struct stream good[] = {
		/* In the share to the last byte. */
		{ GPU_RCS, 5, { 0x10600003, LOW_END - 8, 0, 1, 2 }, 0, 0 },
		{ GPU_RCS, 4, { 0x10400002, HIGH, 0, 1 }, 0, 0 },
		/* A PPGTT's addresses are not for the audit. */
		{ GPU_RCS, 5, { 0x17400003, 0x200000, 0, 0x1000, 0 }, 0, 0 },
		{ GPU_RCS, 5, { 0x17200003, 0x1000, 0, 0x200000, 0 }, 0, 0 },
		{ GPU_RCS, 4, { 0x10000002, 0x200000, 5, 1 }, 0, 0 },
		{ GPU_RCS, 6, { 0x7a000004, 0x00004000, 0x200000, 5, 1, 0 }, 0, 0 },
		{ GPU_BCS, 10, { 0x54c00008, 0, 0, 0, 0x200000, 5, 0, 0, 0x200000, 5 }, 0, 0 },
		/* No post-sync operation, or one that goes to a status page. */
		{ GPU_RCS, 6, { 0x7a000004, 0x01101000, 0x200000, 0, 0, 0 }, 0, 0 },
		{ GPU_RCS, 6, { 0x7a000004, 0x01204000, 0x200000, 0, 0, 0 }, 0, 0 },
		{ GPU_BCS, 5, { 0x13000003, 0x200004, 0, 0, 0 }, 0, 0 },
		{ GPU_BCS, 5, { 0x13204003, 0x200004, 0, 0, 0 }, 0, 0 },
		/* Reading a register, however. */
		{ GPU_RCS, 4, { 0x0e414002, 0, 0x200000, 0 }, 0, 0 },
		{ GPU_RCS, 4, { 0x12400002, 0x941c, 0x1000, 0 }, 0, 0 },
		{ GPU_RCS, 3, { 0x15000001, 0x941c, 0x2604 }, 0, 0 },
		{ GPU_RCS, 5, { 0x11000003, 0x2600, 0, 0x7014, 0 }, 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct scanned s =
			scan(good[i].engine, GPU_SOURCE_RING, good[i].dwords, good[i].count);

		assert_int_equal(s.finding.kind, GPU_FAULT_NONE);
		assert_int_equal(s.accepted, good[i].count);
	}
}

/* A breadcrumb, as i915 ends a request with on Gen9. */
static void a_request_of_the_driver(void **state)
{
	static const uint32_t ring[] = {
		0x10400002, HIGH + 0x100,  0, 7, /* seqno of the request before */
		0x04000001,			 /* MI_ARB_ON_OFF: enable */
		0x7a000004, 0x00100000,	   0, 0, 0, 0,		0x7a000004,
		0x01144c1c, HIGH + 0x1000, 0, 0, 0, 0x18800101, 0x8000,
		1,
	};
	static const uint32_t tail[] = {
		0x04000000, 0,		 0x7a000004, 0x0110f0a1, HIGH + 0x100, 0,
		8,	    0,		 0x01000000, 0x04000001, 0x02800000,   0x0e40c002,
		0,	    HIGH + 0x3c, 0,	     0,		 0x02800000,   0,
	};

	assert_int_equal(scan(GPU_RCS, GPU_SOURCE_RING, ring, ARRAY_SIZE(ring)).accepted,
			 ARRAY_SIZE(ring));
	assert_int_equal(scan(GPU_RCS, GPU_SOURCE_RING, tail, ARRAY_SIZE(tail)).accepted,
			 ARRAY_SIZE(tail));
}

static void what_is_cut_off_waits_for_its_rest(void **state)
{
	static const uint32_t stream[] = { 0, 0, 0x11000003, 0x2600, 0, 0x7014, 0 };
	static const uint32_t state_only[] = { 0x78230000, 0, 0x79000002, 0 };
	struct scanned s;

	for (uint32_t count = 3; count < 7; count++) {
		s = scan(GPU_RCS, GPU_SOURCE_RING, stream, count);
		assert_int_equal(s.accepted, 2);
		assert_int_equal(s.finding.kind, GPU_FAULT_NONE);
		s = scan(GPU_RCS, GPU_SOURCE_RING, &stream[2], count - 2);
		assert_int_equal(s.accepted, 0);
		assert_int_equal(s.finding.kind, GPU_FAULT_NONE);
	}
	assert_int_equal(scan(GPU_RCS, GPU_SOURCE_RING, stream, 7).accepted, 7);
	/* Of a command without operands the header is enough. */
	assert_int_equal(scan(GPU_RCS, GPU_SOURCE_BATCH1, state_only, 4).accepted, 6);
}

static void nothing_is_scanned_beyond_a_jump(void **state)
{
	static const uint32_t start[] = { 0, 0x18800101, 0x1000, 0, 0xffffffff };
	static const uint32_t end[] = { 0, 0x05000000, 0xffffffff };

	assert_int_equal(scan(GPU_RCS, GPU_SOURCE_RING, start, 5).accepted, 4);
	assert_int_equal(scan(GPU_RCS, GPU_SOURCE_BATCH1, end, 3).accepted, 2);
	assert_int_equal(scan(GPU_RCS, GPU_SOURCE_PER_CTX, end, 3).accepted, 2);
	/* Where there is nothing to end, what follows runs. */
	assert_int_equal(scan(GPU_RCS, GPU_SOURCE_RING, end, 3).finding.kind, GPU_FAULT_OPCODE);
}

/* The index, made for speed, agrees with the table it was made from. */
static void expect_length(enum gpu_engine engine, uint32_t header)
{
	static uint32_t dwords[70000];
	const struct gpu_command *command = gpu_command_find(engine, header);
	uint32_t length = command ? gpu_command_dwords(command, header) : 0;
	struct scanned s;

	dwords[0] = header;
	s = scan(engine, GPU_SOURCE_BATCH1, dwords, 1);
	if (!command)
		assert_int_equal(s.finding.kind, GPU_FAULT_OPCODE);
	else if (!length)
		assert_int_equal(s.finding.kind, GPU_FAULT_LENGTH);
	else if (s.accepted)
		assert_int_equal(s.accepted, length);
}

static void every_header_has_the_length_of_its_command(void **state)
{
	for_each_engine(engine) {
		for (uint32_t upper = 0; upper < 1u << 16; upper++) {
			expect_length(engine, upper << 16 | 0xfff);
			/* All lengths that are plain, and some that are not. */
			for (uint32_t low = 0; low < 0x210 && gpu_command_find(engine, upper << 16);
			     low++)
				expect_length(engine, upper << 16 | low);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unknown_commands_and_lengths),
		cmocka_unit_test(addresses_outside_the_share),
		cmocka_unit_test(registers_off_the_list),
		cmocka_unit_test(commands_for_the_owner_of_the_gpu),
		cmocka_unit_test(batches_where_none_may_start),
		cmocka_unit_test(what_touches_nothing_is_accepted),
		cmocka_unit_test(a_request_of_the_driver),
		cmocka_unit_test(what_is_cut_off_waits_for_its_rest),
		cmocka_unit_test(nothing_is_scanned_beyond_a_jump),
		cmocka_unit_test(every_header_has_the_length_of_its_command),
	};

	return cmocka_run_group_tests_name("scan audit", tests, setup, NULL);
}
