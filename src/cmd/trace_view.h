/* SPDX-License-Identifier: MIT */
/*
 * What the records of one vGPU look like on a timeline (docs/tracing.md): traps by kind, messages,
 * the lane and its lease, and for each engine what waits and what runs.  It believes no record: a
 * value out of range makes an odd picture, nothing else.  One thread.
 */
#ifndef CMD_TRACE_VIEW_H
#define CMD_TRACE_VIEW_H

#include "base/trace.h"
#include "cmd/trace_file.h"
#include "gpu/gpu.h"

#define TRACE_VIEW_FLOWS 8u

/* Kinds of traps, each a track. */
enum trace_trap {
	TRACE_TRAP_CONFIG,
	TRACE_TRAP_REGISTER,
	TRACE_TRAP_OPREGION,
	TRACE_TRAP_GGTT,
	TRACE_TRAP_APERTURE,
	TRACE_TRAP_OTHER,
	TRACE_TRAPS
};

/* Submissions, by the numbers of their arrows; more than there is room for go without one. */
struct trace_flows {
	uint64_t id[TRACE_VIEW_FLOWS];
	unsigned int count;
};

/* One write of ELSP. */
struct trace_pair {
	uint32_t context[2];
	unsigned int count; /* of contexts */
	uint64_t flow;
};

struct trace_engine_view {
	struct trace_track elsp, port1, run;
	struct trace_pair pending, port;
	bool has_pending;
	struct trace_flows running; /* submissions that what runs belongs to */
	struct trace_flows done;    /* over, their interrupt is to come */
	struct trace_flows told;    /* of these, told by the interrupt that is not yet shown */
	uint64_t busy_ns;
	char queue_name[16], busy_name[24]; /* of the counters */
};

struct trace_view {
	struct trace_file *file;
	uint32_t pid;
	uint64_t begin_ns;
	uint64_t refused; /* records with a point or a time that cannot be */
	struct trace_track traps[TRACE_TRAPS], messages, interrupts, lane, lease, other;
	struct trace_track pipes[3];
	struct trace_engine_view engines[GPU_ENGINES];
	bool irq_held; /* an interrupt whose message to the host may be the next record */
	struct trace_record irq;
};

/*
 * @pid names the process in the file; @index, different for each view, numbers its tracks.
 * @begin_ns: when the trace began; nothing is shown before.
 */
void trace_view_init(struct trace_view *view, struct trace_file *file, uint32_t pid,
		     unsigned int index, uint64_t begin_ns);
/* @record's point is our own number; @now_ns is later than any honest record. */
void trace_view_record(struct trace_view *view, const struct trace_record *record, uint64_t now_ns);
/* Records were lost before @ns: what was going on is not known any more. */
void trace_view_lost(struct trace_view *view, uint64_t ns, uint64_t count);
/* Ends what is still going on. */
void trace_view_end(struct trace_view *view, uint64_t ns);

#endif
