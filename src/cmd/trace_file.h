/* SPDX-License-Identifier: MIT */
/*
 * A timeline in the JSON of Chrome's trace viewer, which Perfetto opens: slices on tracks, moments,
 * arrows and counters, on CLOCK_MONOTONIC.  One thread.
 *
 * A track keeps the promise that its viewers rely on: slices on it nest or follow each other.
 * What comes with a time that would break it is moved to the next that does not, at least a
 * nanosecond on; so whatever a vGPU says, the file is well formed.
 */
#ifndef CMD_TRACE_FILE_H
#define CMD_TRACE_FILE_H

#include <stdio.h>

#include "base/types.h"

struct trace_file {
	FILE *out;
	uint64_t events;
	uint64_t bytes; /* written so far */
	uint64_t next_flow;
};

/* Opens @path anew, readable by its owner alone; "-": stdout.  0 or -errno. */
int trace_file_open(struct trace_file *file, const char *path);
/* Ends what JSON has begun; @lost and @refused records are told in it.  0 or -errno. */
int trace_file_close(struct trace_file *file, uint64_t lost, uint64_t refused);

/* The arguments of an event, as text of JSON.  What there is no room for is left out. */
struct trace_args {
	char text[384];
	size_t len;
};

void trace_args_number(struct trace_args *args, const char *key, uint64_t value);
void trace_args_hex(struct trace_args *args, const char *key, uint64_t value);
/* @text may be anything. */
void trace_args_text(struct trace_args *args, const char *key, const char *text);

/* Names the process @pid, and says where viewers put it among others. */
void trace_file_process(struct trace_file *file, uint32_t pid, const char *name, uint32_t order);
void trace_file_counter(struct trace_file *file, uint32_t pid, const char *name, uint64_t ns,
			uint64_t value);

#define TRACE_TRACK_DEPTH 4u

struct trace_slice {
	uint64_t start_ns;
	char name[64];
	struct trace_args args;
};

struct trace_track {
	struct trace_file *file;
	uint32_t pid, tid;
	const char *name; /* told when the first event comes: empty tracks do not show */
	bool told;
	uint64_t last_ns; /* nothing may begin or end before */
	uint64_t flow_ns; /* a moment inside the slice opened or made last */
	unsigned int depth;
	struct trace_slice open[TRACE_TRACK_DEPTH];
};

/* @name is borrowed.  Viewers order a process's tracks by @tid, unique in the file. */
void trace_track_init(struct trace_track *track, struct trace_file *file, uint32_t pid,
		      uint32_t tid, const char *name);

/* Begins a slice inside what is open; @args may be NULL.  Too deep: it is left out. */
void trace_track_open(struct trace_track *track, uint64_t ns, const char *name,
		      const struct trace_args *args);
/* Arguments for the slice opened at @depth (0: the outermost) that are known now. */
void trace_track_add(struct trace_track *track, unsigned int depth, const struct trace_args *args);
/* Ends slices until @depth are open. */
void trace_track_close(struct trace_track *track, uint64_t ns, unsigned int depth);
/* A slice that holds no other. */
void trace_track_leaf(struct trace_track *track, uint64_t start_ns, uint64_t end_ns,
		      const char *name, const struct trace_args *args);
void trace_track_instant(struct trace_track *track, uint64_t ns, const char *name,
			 const struct trace_args *args);

/* An arrow from slice to slice: begins, passes, ends at the one opened or made last. */
enum trace_flow { TRACE_FLOW_BEGIN = 's', TRACE_FLOW_STEP = 't', TRACE_FLOW_END = 'f' };
void trace_track_flow(struct trace_track *track, enum trace_flow phase, uint64_t id);

#endif
