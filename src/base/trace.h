/* SPDX-License-Identifier: MIT */
/*
 * Trace points: TRACE(vgpu_elsp, engine, ctx0, ctx1, 0).  Off, a point costs one predictable
 * branch; on, it puts a record into the process's ring (base/trace_ring.h), prints a line on
 * stderr, or both.  Any thread.
 *
 * What takes time is traced at its end, with how long it took:
 *
 *	uint64_t start_ns = TRACE_CLOCK(vgpu_context_load);
 *	…
 *	TRACE_SINCE(start_ns, vgpu_context_load, engine, id, head, tail);
 */
#ifndef BASE_TRACE_H
#define BASE_TRACE_H

#include "base/clock.h"
#include "base/trace_ring.h"

enum trace_point {
#define X(name, values) TRACE_##name,
#include "base/trace_points.h"
#undef X
	TRACE_POINTS
};

extern _Atomic uint64_t trace_enabled; /* bit n: point n is on */
_Static_assert(TRACE_POINTS <= 64, "trace_enabled has a bit for each point");

/*
 * Points whose names match a comma-separated list of shell patterns ("vgpu_*"), recorded in the
 * ring from now on.  The first call makes the ring; it stays until the process ends, as another
 * thread may be writing to it at any time.  0 or -errno: -ENOENT when a pattern matches nothing,
 * -E2BIG for too long a list.
 */
int trace_enable(const char *patterns);
/* No more records.  One may still be on its way from another thread. */
void trace_disable(void);
/* The same points as lines on stderr, in addition to those printed so far; -errno as above. */
int trace_print(const char *patterns);

const char *trace_name(enum trace_point point);
/* What its four values mean, in words apart by blanks. */
const char *trace_values(enum trace_point point);
/* The ring that trace_enable() made; its memory is NULL before. */
const struct trace_ring *trace_ring(void);

/* For tests: the newest records since trace_clear(), oldest first; returns how many. */
size_t trace_read(struct trace_record *records, size_t max);
void trace_clear(void);

void trace_emit(enum trace_point point, uint64_t start_ns, uint64_t a, uint64_t b, uint64_t c,
		uint64_t d);

#define TRACE_ON(name) \
	unlikely(atomic_load_explicit(&trace_enabled, memory_order_relaxed) & BIT_ULL(TRACE_##name))

#define TRACE_SINCE(start_ns, name, a, b, c, d)                                            \
	do {                                                                               \
		if (TRACE_ON(name))                                                        \
			trace_emit(TRACE_##name, (start_ns), (uint64_t)(a), (uint64_t)(b), \
				   (uint64_t)(c), (uint64_t)(d));                          \
	} while (0)
#define TRACE(name, a, b, c, d) TRACE_SINCE(0, name, a, b, c, d)

/* When something begins that ends in TRACE_SINCE(); 0 while the point is off. */
#define TRACE_CLOCK(name) (TRACE_ON(name) ? clock_now_ns() : 0)

#endif
