/* SPDX-License-Identifier: MIT */
/* The trace ring: what is on, what comes back and in which order, and what wraps. */
#include "base/trace.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "tests/support/leaks.h"

static int all_off(void **state)
{
	trace_disable();
	trace_clear();
	return 0;
}

static void off_points_record_nothing(void **state)
{
	struct trace_record record;

	TRACE(vgpu_elsp, 1, 2, 3, 4);
	assert_int_equal(trace_read(&record, 1), 0);
}

static void off_points_do_not_evaluate(void **state)
{
	int evaluated = 0;

	TRACE(vgpu_elsp, evaluated++, 0, 0, 0);
	assert_int_equal(evaluated, 0);
}

static void patterns_choose_points(void **state)
{
	assert_int_equal(trace_enable("vgpu_e*,display_flip"), 0);
	assert_true(atomic_load(&trace_enabled) ==
		    (BIT_ULL(TRACE_vgpu_elsp) | BIT_ULL(TRACE_display_flip)));
	assert_int_equal(trace_enable("*"), 0);
	assert_true(atomic_load(&trace_enabled) == BIT_ULL(TRACE_POINTS) - 1);
}

static void unknown_pattern_changes_nothing(void **state)
{
	char longer[2000];

	memset(longer, '*', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = 0;
	assert_int_equal(trace_enable("vgpu_*,nonsense"), -ENOENT);
	assert_int_equal(trace_enable(longer), -E2BIG);
	assert_true(atomic_load(&trace_enabled) == 0);
}

static void record_holds_what_was_traced(void **state)
{
	struct trace_record records[4];

	trace_enable("vgpu_elsp,gpu_fault");
	TRACE(vgpu_elsp, 1, 2, 3, UINT64_MAX);
	TRACE(display_flip, 9, 9, 9, 9); /* off */
	TRACE(gpu_fault, 5, 6, 7, 8);
	assert_int_equal(trace_read(records, 4), 2);
	assert_int_equal(records[0].point, TRACE_vgpu_elsp);
	assert_true(records[0].value[0] == 1 && records[0].value[3] == UINT64_MAX);
	assert_int_equal(records[1].point, TRACE_gpu_fault);
	assert_true(records[1].value[1] == 6);
	assert_true(records[0].time_ns <= records[1].time_ns);
	assert_string_equal(trace_name(records[1].point), "gpu_fault");
}

static void reader_gets_the_newest_oldest_first(void **state)
{
	struct trace_record records[3];

	trace_enable("gpu_batch");
	for (int i = 0; i < 10; i++)
		TRACE(gpu_batch, i, 0, 0, 0);
	assert_int_equal(trace_read(records, 3), 3);
	for (uint64_t i = 0; i < 3; i++)
		assert_true(records[i].value[0] == 7 + i);
}

static void ring_wraps(void **state)
{
	static struct trace_record records[100000];

	trace_enable("gpu_batch");
	for (int i = 0; i < 100000; i++)
		TRACE(gpu_batch, i, 0, 0, 0);
	size_t n = trace_read(records, ARRAY_SIZE(records));
	assert_true(n > 1000 && n < 100000);
	for (size_t i = 0; i < n; i++)
		assert_true(records[i].value[0] == 100000 - n + i);
}

#define EACH 5000

static void *trace_many(void *opaque)
{
	for (int i = 0; i < EACH; i++)
		TRACE(sched_run, (uintptr_t)opaque, i, 0, 0);
	return NULL;
}

static void threads_lose_no_record(void **state)
{
	static struct trace_record records[4 * EACH];
	uint64_t next[2] = { 0 };
	pthread_t threads[2];

	trace_enable("sched_run");
	for (uintptr_t i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, trace_many, (void *)i), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(trace_read(records, ARRAY_SIZE(records)), 2 * EACH);
	for (int i = 0; i < 2 * EACH; i++) {
		uint64_t thread = records[i].value[0];

		assert_true(thread < 2);
		assert_true(records[i].value[1] == next[thread]++); /* each thread's in order */
	}
}

#define traced(test) cmocka_unit_test_setup_teardown(test, all_off, all_off)

int main(void)
{
	const struct CMUnitTest tests[] = {
		traced(off_points_record_nothing),
		traced(off_points_do_not_evaluate),
		traced(patterns_choose_points),
		traced(unknown_pattern_changes_nothing),
		traced(record_holds_what_was_traced),
		traced(reader_gets_the_newest_oldest_first),
		traced(ring_wraps),
		traced(threads_lose_no_record),
	};

	return cmocka_run_group_tests_name("trace", tests, NULL, NULL);
}
