/* SPDX-License-Identifier: MIT */
/*
 * Trace points: TRACE(vgpu_elsp, engine, ctx0, ctx1, 0).  Off, a point costs one predictable
 * branch; on, it puts a record into a ring in memory and, when asked, prints a line on stderr.
 * Any thread.  Tests turn points on and read the ring back.
 */
#ifndef BASE_TRACE_H
#define BASE_TRACE_H

#include <stdatomic.h>

#include "base/types.h"

enum trace_point {
#define X(name, values) TRACE_##name,
#include "base/trace_points.h"
#undef X
	TRACE_POINTS
};

struct trace_record {
	uint64_t time_ns;
	uint64_t value[4];
	uint32_t thread;
	enum trace_point point;
};

extern _Atomic uint64_t trace_enabled; /* bit n: point n is on */
_Static_assert(TRACE_POINTS <= 64, "trace_enabled has a bit for each point");

/* Turns on the points whose names match a comma-separated list of shell patterns ("vgpu_*"). */
int trace_enable(const char *patterns);
void trace_print_lines(bool on);

const char *trace_name(enum trace_point point);
/* Copies the newest records, oldest first; returns how many. */
size_t trace_read(struct trace_record *records, size_t max);
void trace_clear(void);

void trace_emit(enum trace_point point, uint64_t a, uint64_t b, uint64_t c, uint64_t d);

#define TRACE(name, a, b, c, d)                                                               \
	do {                                                                                  \
		if (unlikely(atomic_load_explicit(&trace_enabled, memory_order_relaxed) &     \
			     BIT_ULL(TRACE_##name)))                                          \
			trace_emit(TRACE_##name, (uint64_t)(a), (uint64_t)(b), (uint64_t)(c), \
				   (uint64_t)(d));                                            \
	} while (0)

#endif
