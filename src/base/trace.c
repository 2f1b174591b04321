/* SPDX-License-Identifier: MIT */
/*
 * The trace ring: a fixed array of records that writers claim by an atomic counter.  A reader
 * takes what is there; records being written at that moment may be torn, which a debugging aid
 * can live with and tests avoid by reading when the writers rest.
 */
#include "base/trace.h"

#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"

#define RING_RECORDS 65536u

_Atomic uint64_t trace_enabled;

static struct trace_record ring[RING_RECORDS];
static _Atomic uint64_t ring_next;
static bool print_lines;

static const struct {
	const char *name, *values;
} points[TRACE_POINTS] = {
#define X(name, values) { #name, values },
#include "base/trace_points.h"
#undef X
};

const char *trace_name(enum trace_point point)
{
	return points[point].name;
}

static uint64_t points_matching(const char *pattern)
{
	uint64_t mask = 0;

	for (int i = 0; i < TRACE_POINTS; i++)
		if (!fnmatch(pattern, points[i].name, 0))
			mask |= BIT_ULL(i);
	return mask;
}

int trace_enable(const char *patterns)
{
	char copy[512], *save = NULL;
	uint64_t mask = 0;

	if (strlen(patterns) >= sizeof(copy))
		return -E2BIG;
	strcpy(copy, patterns);
	for (char *p = strtok_r(copy, ",", &save); p; p = strtok_r(NULL, ",", &save)) {
		uint64_t more = points_matching(p);

		if (!more)
			return -ENOENT;
		mask |= more;
	}
	atomic_fetch_or(&trace_enabled, mask);
	return 0;
}

void trace_print_lines(bool on)
{
	print_lines = on;
}

void trace_emit(enum trace_point point, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	uint64_t n = atomic_fetch_add(&ring_next, 1);
	struct trace_record *r = &ring[n % RING_RECORDS];

	*r = (struct trace_record){
		.time_ns = clock_now_ns(),
		.value = { a, b, c, d },
		.thread = (uint32_t)syscall(SYS_gettid),
		.point = point,
	};
	if (print_lines)
		fprintf(stderr,
			"%" PRIu64 ".%06" PRIu64 " %u %s %" PRIx64 " %" PRIx64 " %" PRIx64
			" %" PRIx64 " (%s)\n",
			r->time_ns / NSEC_PER_SEC, r->time_ns % NSEC_PER_SEC / 1000, r->thread,
			points[point].name, a, b, c, d, points[point].values);
}

size_t trace_read(struct trace_record *records, size_t max)
{
	uint64_t end = atomic_load(&ring_next);
	uint64_t have = MIN(MIN(end, RING_RECORDS), max);

	for (uint64_t i = 0; i < have; i++)
		records[i] = ring[(end - have + i) % RING_RECORDS];
	return have;
}

void trace_clear(void)
{
	atomic_store(&ring_next, 0);
}
