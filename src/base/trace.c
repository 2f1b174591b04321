/* SPDX-License-Identifier: MIT */
/*
 * Which trace points are on, and where their records go: into the ring, to stderr, or both.
 * Points are turned on and off by one thread, the process's main one; records come from any.
 */
#include "base/trace.h"

#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/thread.h"

#define RING_RECORDS 65536u

_Atomic uint64_t trace_enabled;

/* Written before a point that uses them is turned on. */
static _Atomic uint64_t recorded, printed;
static struct trace_ring ring;
static uint64_t cleared_at;

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

const char *trace_values(enum trace_point point)
{
	return points[point].values;
}

const struct trace_ring *trace_ring(void)
{
	return &ring;
}

/* ---- On and off ------------------------------------------------------------------------------ */

static uint64_t points_matching(const char *pattern)
{
	uint64_t mask = 0;

	for (int i = 0; i < TRACE_POINTS; i++)
		if (!fnmatch(pattern, points[i].name, 0))
			mask |= BIT_ULL(i);
	return mask;
}

static int parse(const char *patterns, uint64_t *mask)
{
	char copy[1024], *save = NULL;

	*mask = 0;
	if (strlen(patterns) >= sizeof(copy))
		return -E2BIG;
	strcpy(copy, patterns);
	for (char *p = strtok_r(copy, ",", &save); p; p = strtok_r(NULL, ",", &save)) {
		uint64_t more = points_matching(p);

		if (!more)
			return -ENOENT;
		*mask |= more;
	}
	return 0;
}

static void update(void)
{
	atomic_store(&trace_enabled, atomic_load(&recorded) | atomic_load(&printed));
}

int trace_enable(const char *patterns)
{
	uint64_t mask;
	int err = parse(patterns, &mask);

	if (!err && !ring.memory)
		err = trace_ring_create(&ring, RING_RECORDS);
	if (err)
		return err;
	atomic_fetch_or(&recorded, mask);
	update();
	return 0;
}

void trace_disable(void)
{
	atomic_store(&recorded, 0);
	update();
}

int trace_print(const char *patterns)
{
	uint64_t mask;
	int err = parse(patterns, &mask);

	if (err)
		return err;
	atomic_fetch_or(&printed, mask);
	update();
	return 0;
}

/* ---- Records --------------------------------------------------------------------------------- */

static uint32_t thread_id(void)
{
	static THREAD_STATIC uint32_t id;

	if (!id)
		id = (uint32_t)syscall(SYS_gettid);
	return id;
}

static void print(const struct trace_record *r)
{
	char span[32] = "";

	if (r->span_ns)
		snprintf(span, sizeof(span), " +%" PRIu64 "ns", r->span_ns);
	fprintf(stderr,
		"%" PRIu64 ".%06" PRIu64 " %u %s %" PRIx64 " %" PRIx64 " %" PRIx64 " %" PRIx64
		"%s (%s)\n",
		r->time_ns / NSEC_PER_SEC, r->time_ns % NSEC_PER_SEC / 1000, r->thread,
		points[r->point].name, r->value[0], r->value[1], r->value[2], r->value[3], span,
		points[r->point].values);
}

void trace_emit(enum trace_point point, uint64_t start_ns, uint64_t a, uint64_t b, uint64_t c,
		uint64_t d)
{
	uint64_t now_ns = clock_now_ns(), bit = BIT_ULL(point);
	const struct trace_record record = {
		.time_ns = now_ns,
		.span_ns = start_ns ? now_ns - start_ns : 0,
		.value = { a, b, c, d },
		.thread = thread_id(),
		.point = point,
	};

	if (atomic_load_explicit(&recorded, memory_order_acquire) & bit)
		trace_ring_put(&ring, &record);
	if (unlikely(atomic_load_explicit(&printed, memory_order_relaxed) & bit))
		print(&record);
}

/* ---- For tests ------------------------------------------------------------------------------- */

size_t trace_read(struct trace_record *records, size_t max)
{
	struct trace_cursor cursor = { .at = cleared_at };
	uint64_t next;

	if (!ring.memory)
		return 0;
	next = trace_ring_next(&ring);
	if (next - cursor.at > MIN(max, RING_RECORDS))
		cursor.at = next - MIN(max, RING_RECORDS);
	return trace_ring_take(&ring, &cursor, records, max, true);
}

void trace_clear(void)
{
	cleared_at = ring.memory ? trace_ring_next(&ring) : 0;
}
