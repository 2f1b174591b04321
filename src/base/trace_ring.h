/* SPDX-License-Identifier: MIT */
/*
 * A ring of trace records in a memory file.  Any number of threads of one process put records in,
 * without waiting and without knowing whether anybody reads: the newest overwrite the oldest.
 * Another process may map the file, for reading only, and follow with a cursor; what it was too
 * slow for it counts as lost.
 *
 * The two sides owe each other nothing.  The writers never look at what a reader does, and the
 * file's seals keep it from writing; a reader believes nothing in the ring but that it is there,
 * which the seals promise as well.
 */
#ifndef BASE_TRACE_RING_H
#define BASE_TRACE_RING_H

#include <stdatomic.h>

#include "base/types.h"

#define TRACE_RING_RECORDS_MAX (1u << 20)

struct trace_record {
	uint64_t time_ns; /* CLOCK_MONOTONIC, at its end */
	uint64_t span_ns; /* how long it took; 0 for what is a moment */
	uint64_t value[4];
	uint32_t thread;
	uint32_t point; /* enum trace_point of the process that wrote it */
};

struct trace_ring_memory;

struct trace_ring {
	struct trace_ring_memory *memory; /* NULL: no ring */
	uint32_t records;		  /* a power of two */
	int fd;
};

/* Makes a ring of @records (a power of two) in a sealed memory file; 0 or -errno. */
int trace_ring_create(struct trace_ring *ring, uint32_t records);
/*
 * Maps somebody else's.  @fd is the ring's from now on, also on failure; -EPROTO when the file
 * is none of that size, or one that could be cut short under the mapping.
 */
int trace_ring_attach(struct trace_ring *ring, int fd, uint32_t records);
void trace_ring_fini(struct trace_ring *ring);

/* Any thread; never waits. */
void trace_ring_put(const struct trace_ring *ring, const struct trace_record *record);
/* How many records were ever put. */
uint64_t trace_ring_next(const struct trace_ring *ring);

struct trace_cursor {
	uint64_t at;   /* the number of the next record to read */
	uint64_t lost; /* records that were overwritten or never finished */
};

/*
 * Copies the next records, oldest first, at most @max; returns how many.  It stops in front of a
 * record that is being written, unless @give_up: then that one counts as lost.  One thread for
 * each cursor.
 */
size_t trace_ring_take(const struct trace_ring *ring, struct trace_cursor *cursor,
		       struct trace_record *records, size_t max, bool give_up);

#endif
