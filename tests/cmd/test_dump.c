/* SPDX-License-Identifier: MIT */
/* Reading dumps of rings and batches: binary, text, and what is neither. */
#include "cmd/dump.h"

#include <errno.h>
#include <string.h>

#include "tests/support/leaks.h"

static int read_bytes(const void *bytes, size_t len, struct dump *dump)
{
	FILE *in = fmemopen((void *)(uintptr_t)bytes, len, "r");
	int err;

	assert_non_null(in);
	err = dump_read(in, dump);
	fclose(in);
	return err;
}

static int read_text(const char *text, struct dump *dump)
{
	return read_bytes(text, strlen(text), dump);
}

static void assert_dwords(const struct dump *dump, const uint32_t *dwords, size_t count)
{
	assert_int_equal(dump->count, count);
	assert_memory_equal(dump->dwords, dwords, count * sizeof(*dwords));
}

static void binary(void **state)
{
	static const uint8_t bytes[] = { 0, 0, 0, 5, 0x01, 0x02, 0x80, 0x18 };
	static const uint32_t expected[] = { 0x05000000, 0x18800201 };
	struct dump dump;

	assert_int_equal(read_bytes(bytes, sizeof(bytes), &dump), 0);
	assert_dwords(&dump, expected, 2);
	assert_false(dump.has_address);
	dump_fini(&dump);
}

static void torn_binary(void **state)
{
	static const uint8_t bytes[] = { 0, 0, 0, 5, 1 };
	struct dump dump;

	assert_int_equal(read_bytes(bytes, sizeof(bytes), &dump), -EINVAL);
	assert_int_equal(dump.bad_line, 0);
	dump_fini(&dump);
}

static void text_with_labels(void **state)
{
	static const uint32_t expected[] = { 0x11000001, 0x2358, 0, 0x05000000 };
	struct dump dump;

	assert_int_equal(read_text("# a ring\n"
				   "0x1000: 0x11000001 00002358, 0\n"
				   "\n"
				   "  0x100c:\t05000000 // the end\r\n",
				   &dump),
			 0);
	assert_dwords(&dump, expected, 4);
	assert_true(dump.has_address);
	assert_true(dump.address == 0x1000);
	dump_fini(&dump);
}

static void text_with_brackets(void **state)
{
	static const uint32_t expected[] = { 0x7a000004, 1 };
	struct dump dump;

	assert_int_equal(read_text("[0040] 7a000004\n[0044] 1 ; flags", &dump), 0);
	assert_dwords(&dump, expected, 2);
	assert_true(dump.address == 0x40);
	dump_fini(&dump);
}

static void bad_words_are_named(void **state)
{
	struct dump dump;

	assert_int_equal(read_text("05000000\n7a000004 hello\n", &dump), -EINVAL);
	assert_int_equal(dump.bad_line, 2);
	assert_string_equal(dump.bad_word, "hello");
	dump_fini(&dump);
	assert_int_equal(read_text("123456789\n", &dump), -EINVAL); /* nine digits */
	dump_fini(&dump);
	assert_int_equal(read_text("0: 1:\n", &dump), -EINVAL); /* a label further on */
	dump_fini(&dump);
	assert_int_equal(read_text(": 1\n", &dump), -EINVAL);
	dump_fini(&dump);
	assert_int_equal(read_text("[] 1\n", &dump), -EINVAL);
	dump_fini(&dump);
	assert_int_equal(read_text("[ 1\n", &dump), -EINVAL);
	dump_fini(&dump);
}

static void nothing(void **state)
{
	struct dump dump;

	assert_int_equal(read_text("\n# only remarks\n", &dump), 0);
	assert_int_equal(dump.count, 0);
	dump_fini(&dump);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_checked(binary),
		leak_checked(torn_binary),
		leak_checked(text_with_labels),
		leak_checked(text_with_brackets),
		leak_checked(bad_words_are_named),
		leak_checked(nothing),
	};

	return cmocka_run_group_tests_name("cmd dump", tests, NULL, NULL);
}
