/* SPDX-License-Identifier: MIT */
/* Checked arithmetic at its edges: zero, the last value, one past it, the wrap. */
#include "base/checked.h"
#include "tests/support/leaks.h"

static void range_fits_inside(void **state)
{
	assert_true(range_fits(0, 0, 0));
	assert_true(range_fits(0, 16, 16));
	assert_true(range_fits(15, 1, 16));
	assert_true(range_fits(0, UINT64_MAX, UINT64_MAX));
	assert_true(range_fits(UINT64_MAX, 0, UINT64_MAX));
}

static void range_fits_empty_at_the_end(void **state)
{
	assert_true(range_fits(16, 0, 16));
	assert_false(range_fits(17, 0, 16));
}

static void range_fits_refuses_past_the_end(void **state)
{
	assert_false(range_fits(0, 17, 16));
	assert_false(range_fits(15, 2, 16));
	assert_false(range_fits(16, 1, 16));
}

static void range_fits_refuses_a_wrap(void **state)
{
	assert_false(range_fits(8, UINT64_MAX - 4, 16));
	assert_false(range_fits(UINT64_MAX, 2, 16));
	assert_false(range_fits(1, UINT64_MAX, UINT64_MAX));
}

static void add_fits_to_the_last_value(void **state)
{
	uint64_t sum;

	assert_true(add_fits(UINT64_MAX - 1, 1, &sum));
	assert_true(sum == UINT64_MAX);
	assert_false(add_fits(UINT64_MAX, 1, &sum));
}

static void mul_fits_to_the_last_value(void **state)
{
	uint64_t product;

	assert_true(mul_fits(UINT64_C(1) << 32, UINT32_MAX, &product));
	assert_true(product == (uint64_t)UINT32_MAX << 32);
	assert_true(mul_fits(0, UINT64_MAX, &product));
	assert_true(product == 0);
	assert_false(mul_fits(UINT64_C(1) << 32, UINT64_C(1) << 32, &product));
}

static void ranges_overlap_needs_a_shared_byte(void **state)
{
	assert_true(ranges_overlap(0, 1, 0, 1));
	assert_true(ranges_overlap(0, 16, 15, 1));
	assert_true(ranges_overlap(4, 2, 0, 16));
	assert_false(ranges_overlap(0, 16, 16, 16));
	assert_false(ranges_overlap(16, 16, 0, 16));
}

static void ranges_overlap_never_when_empty(void **state)
{
	assert_false(ranges_overlap(8, 0, 0, 16));
	assert_false(ranges_overlap(0, 16, 8, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_checked(range_fits_inside),
		leak_checked(range_fits_empty_at_the_end),
		leak_checked(range_fits_refuses_past_the_end),
		leak_checked(range_fits_refuses_a_wrap),
		leak_checked(add_fits_to_the_last_value),
		leak_checked(mul_fits_to_the_last_value),
		leak_checked(ranges_overlap_needs_a_shared_byte),
		leak_checked(ranges_overlap_never_when_empty),
	};

	return cmocka_run_group_tests_name("checked", tests, NULL, NULL);
}
