/* SPDX-License-Identifier: MIT */
/*
 * One vGPU that is traced: its control connection, which keeps the points on as long as it is
 * open, and its ring, which is read without its doing anything.  The vGPU's process may be in the
 * guest's hands: what it answers and what it writes is checked, what it can make us do is bounded.
 */
#ifndef CMD_TRACE_SESSION_H
#define CMD_TRACE_SESSION_H

#include "cmd/trace_view.h"

#define TRACE_POINTS_MAX 128u /* of a vGPU of whatever version */

struct trace_session {
	const char *name;
	int fd; /* the control connection; -1: over */
	struct trace_ring ring;
	struct trace_cursor cursor;
	uint64_t lost_told; /* records lost that the view knows of */
	uint64_t records;
	unsigned int stalled; /* drains in a row that a record half written has stopped */
	unsigned int point_count;
	uint8_t points[TRACE_POINTS_MAX]; /* ours for theirs; TRACE_POINTS: we have no such */
	struct trace_view view;
};

/* Connects to the vGPU @name, which is borrowed; -errno, told on stderr. */
int trace_session_open(struct trace_session *session, const char *name);
/* Turns on what @points names and begins with @session's part of @file; -errno, told. */
int trace_session_start(struct trace_session *session, const char *points, struct trace_file *file,
			unsigned int index);
/* Writes what is new, one ring's worth at most.  @last: nothing more will come. */
void trace_session_drain(struct trace_session *session, bool last);
/* True when the vGPU has ended; its ring can still be read. */
bool trace_session_over(const struct trace_session *session);
/* Turns the points off; a vGPU that has ended needs no asking. */
void trace_session_stop(struct trace_session *session);
void trace_session_close(struct trace_session *session);

#endif
