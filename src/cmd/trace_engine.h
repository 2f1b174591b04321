/* SPDX-License-Identifier: MIT */
/* The engines' part of a timeline: what trace_view.c asks of trace_engine.c.  One thread. */
#ifndef CMD_TRACE_ENGINE_H
#define CMD_TRACE_ENGINE_H

#include "cmd/trace_view.h"

/* Takes numbers for its tracks from @tid on; returns the next free one. */
uint32_t trace_engine_init(struct trace_view *view, enum gpu_engine engine, uint32_t tid);
/* False when the record is no engine's. */
bool trace_engine_record(struct trace_view *view, const struct trace_record *record);
/* A step of its lane. */
void trace_engine_ran(struct trace_view *view, enum gpu_engine engine,
		      const struct trace_record *record);
/* The guest was interrupted: what has ended until now is told by that. */
void trace_engine_signalled(struct trace_engine_view *engine);
/* The slice made last on @interrupts is that interrupt: the arrows end there. */
void trace_engine_show_signalled(struct trace_engine_view *engine, struct trace_track *interrupts);
/* Ends what is open, with @args. */
void trace_engine_cut(struct trace_view *view, enum gpu_engine engine, uint64_t ns,
		      const struct trace_args *args);

#endif
