/* SPDX-License-Identifier: MIT */
/*
 * Set-up and tear-down for cmocka tests that must leave as many descriptors and threads as they
 * found: list a test as leak_checked(name).  Allocations are LeakSanitizer's business.
 */
#ifndef TESTS_SUPPORT_LEAKS_H
#define TESTS_SUPPORT_LEAKS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

int leaks_setup(void **state);
int leaks_teardown(void **state);

#define leak_checked(test) cmocka_unit_test_setup_teardown(test, leaks_setup, leaks_teardown)

/* For tests with a state of their own: take before, compare after. */
struct leaks {
	int fds, threads;
};
struct leaks leaks_count(void);
/* 0, or -1 with a line that says what is left; waits a moment for threads that are ending. */
int leaks_compare(const struct leaks *earlier);

#endif
