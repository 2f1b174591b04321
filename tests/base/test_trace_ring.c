/* SPDX-License-Identifier: MIT */
/*
 * The trace ring between processes: what a reader gets, in order and whole; what it was too slow
 * for is counted, to the record; nothing it finds in a ring can hurt it, nor it the writers.
 */
#include "base/trace_ring.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/support/leaks.h"

#define RECORDS 64u

/* The writers' ring, and the same memory as a reader maps it. */
static struct trace_ring ring, seen;

static int open_rings(uint32_t records)
{
	assert_int_equal(trace_ring_create(&ring, records), 0);
	assert_int_equal(trace_ring_attach(&seen, dup(ring.fd), records), 0);
	return 0;
}

static void close_rings(void)
{
	trace_ring_fini(&seen);
	trace_ring_fini(&ring);
}

static void put(uint64_t n)
{
	const struct trace_record record = {
		.time_ns = n,
		.span_ns = n * 3,
		.value = { n, ~n, n << 32, UINT64_MAX },
		.thread = (uint32_t)n + 1,
		.point = (uint32_t)n + 2,
	};

	trace_ring_put(&ring, &record);
}

static void expect(const struct trace_record *record, uint64_t n)
{
	assert_true(record->time_ns == n && record->span_ns == n * 3);
	assert_true(record->value[0] == n && record->value[1] == ~n);
	assert_true(record->value[2] == n << 32 && record->value[3] == UINT64_MAX);
	assert_int_equal(record->thread, (uint32_t)n + 1);
	assert_int_equal(record->point, (uint32_t)n + 2);
}

static void records_arrive_as_they_were_put(void **state)
{
	struct trace_cursor cursor = { 0 };
	struct trace_record got[RECORDS];

	open_rings(RECORDS);
	assert_int_equal(trace_ring_take(&seen, &cursor, got, RECORDS, false), 0);
	for (uint64_t i = 0; i < RECORDS; i++)
		put(i);
	assert_int_equal(trace_ring_take(&seen, &cursor, got, 10, false), 10);
	assert_int_equal(trace_ring_take(&seen, &cursor, got + 10, RECORDS, false), RECORDS - 10);
	assert_int_equal(trace_ring_take(&seen, &cursor, got, RECORDS, true), 0);
	for (uint64_t i = 0; i < RECORDS; i++)
		expect(&got[i], i);
	assert_int_equal(cursor.lost, 0);
	close_rings();
}

static void what_was_overwritten_is_counted(void **state)
{
	struct trace_cursor cursor = { 0 };
	struct trace_record got[RECORDS];

	open_rings(RECORDS);
	for (uint64_t i = 0; i < 3 * RECORDS + 7; i++)
		put(i);
	assert_int_equal(trace_ring_take(&seen, &cursor, got, RECORDS, false), RECORDS);
	assert_int_equal(cursor.lost, 2 * RECORDS + 7);
	for (uint64_t i = 0; i < RECORDS; i++)
		expect(&got[i], 2 * RECORDS + 7 + i);
	put(1000);
	assert_int_equal(trace_ring_take(&seen, &cursor, got, RECORDS, false), 1);
	expect(&got[0], 1000);
	assert_int_equal(cursor.lost, 2 * RECORDS + 7);
	close_rings();
}

static _Atomic uint64_t *word_at(size_t bytes)
{
	return (_Atomic uint64_t *)((char *)ring.memory + bytes);
}

/* The seq of the first slot: behind the count of records, on the next cache line. */
#define FIRST_SEQ 64

/* A writer that stands still in the middle of a record holds the reader up, but not for ever. */
static void an_unfinished_record_is_waited_for(void **state)
{
	struct trace_cursor cursor = { 0 };
	struct trace_record got[4];

	open_rings(RECORDS);
	put(0);
	put(1);
	atomic_store(word_at(FIRST_SEQ), UINT64_MAX);
	assert_int_equal(trace_ring_take(&seen, &cursor, got, 4, false), 0);
	assert_int_equal(cursor.lost, 0);
	assert_int_equal(trace_ring_take(&seen, &cursor, got, 4, true), 1);
	expect(&got[0], 1);
	assert_int_equal(cursor.lost, 1);
	/* Nor does it hold the other writers up: they go without that slot. */
	for (uint64_t i = 2; i < RECORDS + 2; i++)
		put(i);
	assert_int_equal(trace_ring_take(&seen, &cursor, got, 4, false), 4);
	assert_int_equal(cursor.lost, 1);
	close_rings();
}

static void a_ring_that_lies_does_no_harm(void **state)
{
	struct trace_cursor cursor = { .at = 5 };
	struct trace_record got[RECORDS];

	open_rings(RECORDS);
	put(0);
	assert_int_equal(trace_ring_take(&seen, &cursor, got, RECORDS, true), 0); /* went back */
	atomic_store(word_at(0), UINT64_MAX);
	assert_int_equal(trace_ring_take(&seen, &cursor, got, RECORDS, false), 0);
	assert_int_equal(trace_ring_take(&seen, &cursor, got, RECORDS, true), 0);
	assert_true(cursor.at == UINT64_MAX);
	close_rings();
}

static void a_reader_cannot_write(void **state)
{
	struct trace_ring bad;
	int fd, plain;

	open_rings(RECORDS);
	fd = dup(ring.fd);
	assert_ptr_equal(mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0),
			 MAP_FAILED);
	assert_int_equal(write(fd, "x", 1), -1);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(trace_ring_attach(&bad, fd, RECORDS * 2), -EPROTO);
	assert_int_equal(trace_ring_attach(&bad, dup(ring.fd), 0), -EPROTO);
	assert_int_equal(trace_ring_attach(&bad, dup(ring.fd), RECORDS - 1), -EPROTO);
	assert_int_equal(trace_ring_attach(&bad, dup(ring.fd), 1u << 31), -EPROTO);
	assert_int_equal(trace_ring_attach(&bad, -1, RECORDS), -EPROTO);
	/* What its owner could cut short under our mapping is not mapped. */
	plain = memfd_create("plain", MFD_CLOEXEC);
	assert_int_equal(ftruncate(plain, 1 << 20), 0);
	assert_int_equal(trace_ring_attach(&bad, plain, RECORDS), -EPROTO);
	close_rings();
}

/* ---- Threads --------------------------------------------------------------------------------- */

#define WRITERS 3
#define EACH	20000u

static _Atomic unsigned int writing;

static void *write_many(void *opaque)
{
	for (uint64_t i = 0; i < EACH; i++) {
		uint64_t mark = (uint64_t)(uintptr_t)opaque << 32 | i;
		const struct trace_record record = { .time_ns = mark,
						     .span_ns = mark,
						     .value = { mark, mark, mark, mark } };

		trace_ring_put(&ring, &record);
	}
	atomic_fetch_sub(&writing, 1);
	return NULL;
}

/* Small and fast: whole rounds are lost all the time.  Every record is whole or counted. */
static void nothing_is_torn(void **state)
{
	struct trace_cursor cursor = { 0 };
	struct trace_record got[RECORDS];
	uint64_t newest[WRITERS] = { 0 }, taken = 0;
	pthread_t threads[WRITERS];
	bool end = false;

	open_rings(RECORDS);
	atomic_store(&writing, WRITERS);
	for (uintptr_t i = 0; i < WRITERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_many, (void *)i), 0);
	while (!end) {
		end = !atomic_load(&writing);
		size_t n = trace_ring_take(&seen, &cursor, got, RECORDS, end);

		taken += n;
		for (size_t i = 0; i < n; i++) {
			uint64_t mark = got[i].time_ns, writer = mark >> 32;

			assert_true(got[i].span_ns == mark && got[i].value[3] == mark);
			assert_true(got[i].value[0] == mark && got[i].value[1] == mark);
			assert_true(writer < WRITERS && (uint32_t)mark >= newest[writer]);
			newest[writer] = (uint32_t)mark + 1;
		}
	}
	for (int i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
	assert_true(taken && taken + cursor.lost == WRITERS * EACH);
	close_rings();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_checked(records_arrive_as_they_were_put),
		leak_checked(what_was_overwritten_is_counted),
		leak_checked(an_unfinished_record_is_waited_for),
		leak_checked(a_ring_that_lies_does_no_harm),
		leak_checked(a_reader_cannot_write),
		leak_checked(nothing_is_torn),
	};

	return cmocka_run_group_tests_name("trace-ring", tests, NULL, NULL);
}
