/* SPDX-License-Identifier: MIT */
/* Columns of 16 bytes out of two others: every way of the processor's against single bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gpu/blt/column.h"

#define ROWS 32

typedef void shift_fn(const struct column *c);

static uint8_t left[16 * ROWS], right[16 * ROWS];

static void expect_shifted(shift_fn *shift, int32_t rows, uint32_t offset, bool upwards)
{
	uint8_t to[16 * (ROWS + 2)];
	const struct column column = { to + 16, left, right, rows, offset, upwards };

	memset(to, 0xee, sizeof(to));
	shift(&column);
	for (uint32_t i = 0; i < sizeof(to); i++) {
		uint32_t row = i / 16 - 1, from = i % 16 + offset;
		uint8_t wanted = 0xee;

		if (i >= 16 && row < (uint32_t)rows)
			wanted = from < 16 ? left[16 * row + from] : right[16 * row + from - 16];
		assert_int_equal(to[i], wanted);
	}
}

/* Onto itself, a row further down or up, in the order that such a copy needs. */
static void expect_scrolled(shift_fn *shift, int32_t rows, bool upwards)
{
	uint8_t before[16 * (ROWS + 2)], memory[16 * (ROWS + 2)];
	uint8_t *from = memory + 16, *to = upwards ? from + 16 : from - 16;
	const struct column column = { to, from, right, rows, 4, upwards };

	for (uint32_t i = 0; i < sizeof(memory); i++)
		memory[i] = before[i] = (uint8_t)(i * 7);
	shift(&column);
	for (int32_t i = 0; i < 16 * rows; i++)
		assert_int_equal(to[i], i % 16 < 12 ? before[16 + i + 4] : right[i - 12]);
}

static void expect_all(shift_fn *shift)
{
	for (int32_t rows = 1; rows <= ROWS; rows++) {
		for (uint32_t offset = 1; offset < 16; offset++) {
			expect_shifted(shift, rows, offset, false);
			expect_shifted(shift, rows, offset, true);
		}
		expect_scrolled(shift, rows, false);
		expect_scrolled(shift, rows, true);
	}
}

static int setup(void **state)
{
	for (uint32_t i = 0; i < sizeof(left); i++) {
		left[i] = (uint8_t)(i * 37 + i / 16);
		right[i] = (uint8_t)(i * 59 + i / 16 + 128);
	}
	return 0;
}

static void sse2(void **state)
{
	expect_all(column_sse2);
}

static void avx2(void **state)
{
	if (!__builtin_cpu_supports("avx2"))
		skip();
	expect_all(column_avx2);
}

static void what_the_processor_has(void **state)
{
	expect_all(column_shift);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sse2),
		cmocka_unit_test(avx2),
		cmocka_unit_test(what_the_processor_has),
	};

	return cmocka_run_group_tests_name("gpu blt column", tests, setup, NULL);
}
