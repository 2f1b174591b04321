/* SPDX-License-Identifier: MIT */
/* What the decoder prints, and where it stops. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "scan/fields.h"
#include "scan/scan.h"

struct decoded {
	int result;
	char *text;
};

static struct decoded decode(enum gpu_engine engine, const uint32_t *dwords, size_t count,
			     bool show_dwords, bool follow_end)
{
	const struct scan_decode_options options = {
		.engine = engine,
		.address = 0x10000,
		.show_dwords = show_dwords,
		.follow_end = follow_end,
	};
	struct decoded decoded;
	size_t size;
	FILE *out = open_memstream(&decoded.text, &size);

	assert_non_null(out);
	decoded.result = scan_decode(out, dwords, count, &options);
	fclose(out);
	return decoded;
}

/* As i915 writes its flushes: the place in the context's status page is no address. */
static void prints_an_index_into_a_status_page(void **state)
{
	static const uint32_t flush[] = { 0x13244002, 0xd0, 0, 0 };
	static const uint32_t control[] = { 0x7a000004, 0x00304000, 0xd0, 0, 0, 0 };
	struct decoded d = decode(GPU_BCS, flush, ARRAY_SIZE(flush), false, false);

	assert_string_equal(d.text, "0x000000010000: 13244002  MI_FLUSH_DW\n"
				    "    Post-Sync Operation: 1\n"
				    "    TLB Invalidate: 1\n"
				    "    Store Data Index: 1\n"
				    "    Status Page Qword: 26 (0x1a)\n");
	free(d.text);
	d = decode(GPU_RCS, control, ARRAY_SIZE(control), false, false);
	assert_string_equal(d.text, "0x000000010000: 7a000004  PIPE_CONTROL\n"
				    "    Post Sync Operation: 1\n"
				    "    Command Streamer Stall Enable: 1\n"
				    "    Store Data Index: 1\n"
				    "    Status Page Qword: 26 (0x1a)\n");
	free(d.text);
}

static void prints_names_fields_and_addresses(void **state)
{
	static const uint32_t batch[] = {
		0x7a000004, 0x01104080, 0x27ffe100, 0, 0x1234,	   0,	       0x10200003,
		0x8000,	    1,		5,	    0, 0x18800101, 0xffffe000, 0xffffefff,
	};
	struct decoded d = decode(GPU_RCS, batch, ARRAY_SIZE(batch), false, false);

	assert_int_equal(d.result, 3);
	assert_string_equal(d.text, "0x000000010000: 7a000004  PIPE_CONTROL\n"
				    "    Pipe Control Flush Enable: 1\n"
				    "    Post Sync Operation: 1\n"
				    "    Command Streamer Stall Enable: 1\n"
				    "    Destination Address Type: 1\n"
				    "    Address: ggtt 0x27ffe100\n"
				    "    Immediate Data: 4660 (0x1234)\n"
				    "0x000000010018: 10200003  MI_STORE_DATA_IMM\n"
				    "    Store Qword: 1\n"
				    "    Address: ppgtt 0x100008000\n"
				    "    Data Dword: 5\n"
				    "0x00000001002c: 18800101  MI_BATCH_BUFFER_START\n"
				    "    Address Space Indicator: 1\n"
				    "    Batch Buffer Start Address: ppgtt 0xefffffffe000\n");
	free(d.text);
}

static void repeats_groups_and_names_registers(void **state)
{
	static const uint32_t batch[] = {
		0x11000003, 0x7014, 0x10000000, 0x2088, 0x20002, 0x18800001, 0x1000, 0,
	};
	struct decoded d = decode(GPU_RCS, batch, ARRAY_SIZE(batch), true, false);

	assert_int_equal(d.result, 2);
	assert_string_equal(d.text, "0x000000010000: 11000003  MI_LOAD_REGISTER_IMM\n"
				    "    | 11000003 00007014 10000000 00002088 00020002\n"
				    "    Register Offset: 0x07014\n"
				    "    Data Dword: 268435456 (0x10000000)\n"
				    "    Register Offset: 0x02088\n"
				    "    Data Dword: 131074 (0x20002)\n"
				    "0x000000010014: 18800001  MI_BATCH_BUFFER_START\n"
				    "    | 18800001 00001000 00000000\n"
				    "    Batch Buffer Start Address: ggtt 0x1000\n");
	free(d.text);
}

static void stops_at_the_end_of_the_batch(void **state)
{
	static const uint32_t batch[] = { 0, 0x05000000, 0, 0xffffffff };
	struct decoded d = decode(GPU_BCS, batch, ARRAY_SIZE(batch), false, false);

	assert_int_equal(d.result, 2);
	free(d.text);
	d = decode(GPU_BCS, batch, ARRAY_SIZE(batch), false, true);
	assert_int_equal(d.result, -EINVAL);
	assert_non_null(strstr(d.text, "0x00000001000c: ffffffff  unknown command"));
	free(d.text);
}

static void stops_at_what_it_cannot_measure(void **state)
{
	static const struct {
		uint32_t dwords[3];
		const char *text;
	} bad[] = {
		{ { 0x7a000003, 0, 0 }, "PIPE_CONTROL with a length it cannot have" },
		{ { 0, 0x7a000004, 0 }, "PIPE_CONTROL of 6 dwords, but only 2 left" },
		{ { 0x40000000, 0, 0 }, "unknown command" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct decoded d = decode(GPU_RCS, bad[i].dwords, 3, false, false);

		assert_int_equal(d.result, -EINVAL);
		assert_non_null(strstr(d.text, bad[i].text));
		free(d.text);
	}
}

static void names_depend_on_the_engine(void **state)
{
	assert_string_equal(scan_command_name(GPU_RCS, 0x70000007), "MEDIA_VFE_STATE");
	assert_string_equal(scan_command_name(GPU_VCS0, 0x70000003), "MFX_PIPE_MODE_SELECT");
	assert_string_equal(scan_command_name(GPU_VECS, 0x74030016), "VEB_DI_IECP");
	assert_string_equal(scan_command_name(GPU_BCS, 0x54c00008), "XY_SRC_COPY_BLT");
	assert_string_equal(scan_command_name(GPU_RCS, 0x54c00008), "unknown command");
	assert_string_equal(scan_command_name(GPU_BCS, 0x05000000), "MI_BATCH_BUFFER_END");
}

/* Every command, with all bits set, at its shortest and at some longer length. */
static void every_command_prints(void **state)
{
	static uint32_t dwords[70000];
	unsigned int addresses = 0;

	assert_int_equal(scan_layout_count, gpu_command_count);
	for (unsigned int id = 0; id < gpu_command_count; id++) {
		const struct gpu_command *command = &gpu_commands[id];
		enum gpu_engine engine = (enum gpu_engine)__builtin_ctz(command->engines);
		struct decoded d;

		memset(dwords, 0xff, sizeof(dwords));
		dwords[0] = command->header;
		if (command->min_dwords != command->max_dwords)
			dwords[0] |= command->min_dwords - 2;
		d = decode(engine, dwords, command->min_dwords, true, false);
		assert_int_equal(d.result, 1);
		assert_non_null(strstr(d.text, command->name));
		free(d.text);
		if (command->max_dwords > command->min_dwords + 5) {
			dwords[0] += 5;
			d = decode(engine, dwords, command->min_dwords + 5, false, false);
			assert_int_equal(d.result, 1);
			free(d.text);
		}
		for (unsigned int i = 0; i < scan_layouts[id].count; i++)
			addresses += scan_layouts[id].fields[i].kind == SCAN_ADDR;
	}
	assert_true(addresses > 60);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prints_names_fields_and_addresses),
		cmocka_unit_test(prints_an_index_into_a_status_page),
		cmocka_unit_test(repeats_groups_and_names_registers),
		cmocka_unit_test(stops_at_the_end_of_the_batch),
		cmocka_unit_test(stops_at_what_it_cannot_measure),
		cmocka_unit_test(names_depend_on_the_engine),
		cmocka_unit_test(every_command_prints),
	};

	return cmocka_run_group_tests_name("scan decode", tests, NULL, NULL);
}
