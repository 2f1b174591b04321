/* SPDX-License-Identifier: MIT */
/*
 * One engine on the timeline.  A submission is a write of ELSP; it waits on the track "ELSP" until
 * the lane takes it, its second context on "port 1", and each context is a slice on the engine's
 * own track while it is loaded, in which batches, audits, loading and saving lie.  The entries of
 * the context status buffer say when a context begins and ends: the driver is told in just that
 * order.  An arrow leads from the submission over its contexts to the interrupt that tells of it.
 */
#include "cmd/trace_engine.h"

#include <string.h>

#include "scan/scan.h"

/* Bits of a status entry (i915: GEN8_CTX_STATUS_*). */
#define CSB_IDLE_ACTIVE	   BIT(0)
#define CSB_PREEMPTED	   BIT(1)
#define CSB_ELEMENT_SWITCH BIT(2)
#define CSB_COMPLETE	   BIT(4)
#define CSB_LITE_RESTORE   BIT(15)

static uint64_t start_of(const struct trace_view *view, const struct trace_record *r)
{
	return MAX(r->time_ns - MIN(r->span_ns, r->time_ns), view->begin_ns);
}

/* ---- Arrows ---------------------------------------------------------------------------------- */

static void flows_add(struct trace_flows *flows, uint64_t id)
{
	for (unsigned int i = 0; i < flows->count; i++)
		if (flows->id[i] == id)
			return;
	if (id && flows->count < TRACE_VIEW_FLOWS)
		flows->id[flows->count++] = id;
}

/* The submissions of what ran are over, but for @kept. */
static void flows_finish(struct trace_engine_view *e, uint64_t kept)
{
	for (unsigned int i = 0; i < e->running.count; i++)
		if (e->running.id[i] != kept)
			flows_add(&e->done, e->running.id[i]);
	e->running.count = 0;
}

void trace_engine_signalled(struct trace_engine_view *e)
{
	e->told = e->done;
	e->done.count = 0;
}

void trace_engine_show_signalled(struct trace_engine_view *e, struct trace_track *interrupts)
{
	for (unsigned int i = 0; i < e->told.count; i++)
		trace_track_flow(interrupts, TRACE_FLOW_END, e->told.id[i]);
	e->told.count = 0;
}

/* ---- Submissions ----------------------------------------------------------------------------- */

static void show_depth(struct trace_view *view, struct trace_engine_view *e, uint64_t ns)
{
	unsigned int waiting = e->has_pending ? e->pending.count : 0;

	trace_file_counter(view->file, view->pid, e->queue_name, ns, waiting + e->port.count);
}

static struct trace_pair pair_of(const struct trace_record *r)
{
	struct trace_pair pair = { .count = 0 };

	for (unsigned int i = 0; i < 2; i++)
		if (r->value[1 + i])
			pair.context[pair.count++] = (uint32_t)(r->value[1 + i] >> 32);
	return pair;
}

static void elsp(struct trace_view *view, struct trace_engine_view *e, const struct trace_record *r)
{
	struct trace_args args = { .len = 0 }, replaced = { .len = 0 };
	char name[48];

	trace_args_text(&replaced, "end", "replaced");
	trace_track_add(&e->elsp, 0, &replaced);
	trace_track_close(&e->elsp, r->time_ns, 0);
	e->pending = pair_of(r);
	e->has_pending = e->pending.count > 0;
	if (!e->has_pending)
		return;
	e->pending.flow = ++view->file->next_flow;
	snprintf(name, sizeof(name), "context 0x%x", e->pending.context[0]);
	if (e->pending.count > 1)
		snprintf(name, sizeof(name), "contexts 0x%x, 0x%x", e->pending.context[0],
			 e->pending.context[1]);
	trace_args_number(&args, "submission", e->pending.flow);
	trace_args_hex(&args, "descriptor0", r->value[1]);
	trace_args_hex(&args, "descriptor1", r->value[2]);
	trace_track_open(&e->elsp, r->time_ns, name, &args);
	trace_track_flow(&e->elsp, TRACE_FLOW_BEGIN, e->pending.flow);
	show_depth(view, e, r->time_ns);
}

/* What the pair does to what runs, the next status entry tells. */
static void taken(struct trace_view *view, struct trace_engine_view *e,
		  const struct trace_record *r)
{
	struct trace_args args = { .len = 0 };
	char name[32];

	trace_track_close(&e->elsp, r->time_ns, 0);
	trace_track_close(&e->port1, r->time_ns, 0);
	if (!e->has_pending) /* it was written before the trace began */
		e->pending = pair_of(r);
	e->has_pending = false;
	e->port = e->pending;
	if (e->port.count > 1) {
		snprintf(name, sizeof(name), "context 0x%x", e->port.context[1]);
		trace_args_number(&args, "submission", e->port.flow);
		trace_track_open(&e->port1, r->time_ns, name, &args);
	}
	show_depth(view, e, r->time_ns);
}

/* ---- Contexts -------------------------------------------------------------------------------- */

static void run_begins(struct trace_engine_view *e, uint64_t ns)
{
	struct trace_args args = { .len = 0 };
	char name[32];

	if (!e->port.count)
		return;
	snprintf(name, sizeof(name), "context 0x%x", e->port.context[0]);
	trace_args_hex(&args, "context_id", e->port.context[0]);
	if (e->port.flow)
		trace_args_number(&args, "submission", e->port.flow);
	trace_track_open(&e->run, ns, name, &args);
	flows_add(&e->running, e->port.flow);
	if (e->port.flow)
		trace_track_flow(&e->run, TRACE_FLOW_STEP, e->port.flow);
}

static void run_ends(struct trace_engine_view *e, const struct trace_record *r, const char *how,
		     uint64_t kept_flow)
{
	struct trace_args args = { .len = 0 };

	trace_args_text(&args, "end", how);
	trace_args_number(&args, "csb_slot", r->value[3]);
	trace_track_add(&e->run, 0, &args);
	trace_track_close(&e->run, r->time_ns, 0);
	flows_finish(e, kept_flow);
}

/* The ring's new tail, found while the context runs. */
static void lite_restore(struct trace_engine_view *e, const struct trace_record *r)
{
	struct trace_args args = { .len = 0 };

	if (!e->run.depth) { /* it was running before the trace began */
		run_begins(e, r->time_ns);
		return;
	}
	trace_args_number(&args, "submission", e->port.flow);
	trace_track_leaf(&e->run, r->time_ns, r->time_ns, "lite restore", &args);
	if (e->port.flow)
		trace_track_flow(&e->run, TRACE_FLOW_STEP, e->port.flow);
	flows_add(&e->running, e->port.flow);
}

static void complete(struct trace_view *view, struct trace_engine_view *e,
		     const struct trace_record *r)
{
	bool another = (r->value[1] & CSB_ELEMENT_SWITCH) && e->port.count > 1;

	run_ends(e, r, another ? "complete, element switch" : "complete, idle",
		 another ? e->port.flow : 0);
	trace_track_close(&e->port1, r->time_ns, 0);
	if (another)
		e->port.context[0] = e->port.context[1];
	e->port.count = another ? 1 : 0;
	if (another)
		run_begins(e, r->time_ns);
	show_depth(view, e, r->time_ns);
}

static void status_entry(struct trace_view *view, struct trace_engine_view *e,
			 const struct trace_record *r)
{
	uint64_t status = r->value[1];

	if (status & CSB_COMPLETE) {
		complete(view, e, r);
	} else if (status & CSB_LITE_RESTORE) {
		lite_restore(e, r);
	} else if (status & (CSB_IDLE_ACTIVE | CSB_PREEMPTED)) {
		if (e->run.depth)
			run_ends(e, r, "preempted", 0);
		run_begins(e, r->time_ns);
	}
}

/* What is inside a context whose begin was not seen goes into one of no name. */
static void need_context(struct trace_engine_view *e, uint64_t ns)
{
	if (!e->run.depth)
		trace_track_open(&e->run, ns, "context begun unseen", NULL);
}

static void load(struct trace_view *view, struct trace_engine_view *e, const struct trace_record *r)
{
	struct trace_args args = { .len = 0 };

	trace_args_hex(&args, "head", r->value[2]);
	trace_args_hex(&args, "tail", r->value[3]);
	trace_track_add(&e->run, 0, &args);
	trace_track_leaf(&e->run, start_of(view, r), r->time_ns, "load", &args);
}

static void save(struct trace_view *view, struct trace_engine_view *e, const struct trace_record *r)
{
	struct trace_args args = { .len = 0 };
	uint64_t start = start_of(view, r);

	need_context(e, start);
	trace_track_close(&e->run, start, 1);
	trace_args_hex(&args, "head_at_end", r->value[2]);
	trace_track_add(&e->run, 0, &args);
	trace_track_leaf(&e->run, start, r->time_ns, "save", &args);
}

/* ---- Commands -------------------------------------------------------------------------------- */

static void batch(struct trace_engine_view *e, const struct trace_record *r)
{
	unsigned int level = r->value[2] ? 1 : 0;
	struct trace_args args = { .len = 0 };

	need_context(e, r->time_ns);
	trace_track_close(&e->run, r->time_ns, 1 + level);
	trace_args_hex(&args, "address", r->value[1]);
	trace_args_text(&args, "space", r->value[3] & 1 ? "ppgtt" : "ggtt");
	if (r->value[3] & 2)
		trace_args_text(&args, "begin", "resumed");
	trace_track_open(&e->run, r->time_ns, level ? "second level batch" : "batch", &args);
}

static void audit(struct trace_view *view, struct trace_engine_view *e,
		  const struct trace_record *r)
{
	static const char *const sources[] = {
		[GPU_SOURCE_RING] = "audit ring",
		[GPU_SOURCE_BATCH1] = "audit batch",
		[GPU_SOURCE_BATCH2] = "audit second level batch",
		[GPU_SOURCE_INDIRECT_CTX] = "audit indirect context batch",
		[GPU_SOURCE_PER_CTX] = "audit per-context batch",
	};
	uint64_t source = r->value[0] >> 32;
	struct trace_args args = { .len = 0 };

	need_context(e, start_of(view, r));
	trace_args_hex(&args, "address", r->value[1]);
	trace_args_number(&args, "bytes", r->value[2]);
	trace_args_number(&args, "accepted_bytes", r->value[3]);
	trace_track_leaf(&e->run, start_of(view, r), r->time_ns,
			 source < ARRAY_SIZE(sources) ? sources[source] : "audit", &args);
}

static void command(struct trace_engine_view *e, enum gpu_engine engine,
		    const struct trace_record *r)
{
	struct trace_args args = { .len = 0 };

	trace_args_hex(&args, "address", r->value[1]);
	trace_args_hex(&args, "header", r->value[2]);
	trace_args_number(&args, "dwords", r->value[3]);
	trace_track_instant(&e->run, r->time_ns, scan_command_name(engine, (uint32_t)r->value[2]),
			    &args);
}

static void interrupt(struct trace_engine_view *e, const struct trace_record *r)
{
	struct trace_args args = { .len = 0 };

	trace_args_hex(&args, "bits", r->value[1]);
	trace_track_instant(&e->run, r->time_ns,
			    r->value[1] & GPU_INTERRUPT_USER ? "user interrupt" : "interrupt",
			    &args);
}

static void fault(struct trace_engine_view *e, enum gpu_engine engine, const struct trace_record *r)
{
	uint32_t kind = (uint32_t)(r->value[1] >> 32), header = (uint32_t)r->value[1];
	struct trace_args args = { .len = 0 };
	char name[64];

	snprintf(name, sizeof(name), "fault: %s",
		 (kind & 0xff) < GPU_FAULT_KINDS ? gpu_fault_name(kind & 0xff) : "unknown");
	trace_args_text(&args, "engine", gpu_engine_name(engine));
	trace_args_hex(&args, "context_id", (uint32_t)r->value[0]);
	trace_args_text(&args, "command", scan_command_name(engine, header));
	trace_args_hex(&args, "header", header);
	trace_args_hex(&args, "command_at", r->value[2]);
	trace_args_hex(&args, "address", r->value[3]);
	trace_args_text(&args, "space", kind & BIT(8) ? "ppgtt" : "ggtt");
	trace_args_text(&args, "access", kind & BIT(9) ? "write" : "read");
	trace_track_instant(&e->run, r->time_ns, name, &args);
}

static void reset(struct trace_view *view, enum gpu_engine engine, const struct trace_record *r)
{
	struct trace_engine_view *e = &view->engines[engine];
	struct trace_args args = { .len = 0 };

	trace_args_text(&args, "end", "reset");
	trace_engine_cut(view, engine, r->time_ns, &args);
	e->running.count = e->done.count = 0;
	trace_track_instant(&e->run, r->time_ns, "engine reset", NULL);
	show_depth(view, e, r->time_ns);
}

/* ---- The way of a record --------------------------------------------------------------------- */

/* Where the points have the engine: most in the first value, two in half of it. */
static uint64_t engine_of(const struct trace_record *r)
{
	switch (r->point) {
	case TRACE_vgpu_fault:
		return r->value[0] >> 32;
	case TRACE_scan_audit:
		return (uint32_t)r->value[0];
	default:
		return r->value[0];
	}
}

static bool show_commands(struct trace_view *view, enum gpu_engine engine,
			  const struct trace_record *r)
{
	struct trace_engine_view *e = &view->engines[engine];

	switch (r->point) {
	case TRACE_gpu_batch:
		batch(e, r);
		return true;
	case TRACE_gpu_batch_end:
		trace_track_close(&e->run, r->time_ns, r->value[1] ? 2 : 1);
		return true;
	case TRACE_scan_audit:
		audit(view, e, r);
		return true;
	case TRACE_scan_command:
		command(e, engine, r);
		return true;
	case TRACE_gpu_interrupt:
		interrupt(e, r);
		return true;
	case TRACE_vgpu_fault:
		fault(e, engine, r);
		return true;
	case TRACE_vgpu_reset_engine:
		reset(view, engine, r);
		return true;
	default:
		return false;
	}
}

bool trace_engine_record(struct trace_view *view, const struct trace_record *r)
{
	uint64_t engine = engine_of(r);
	struct trace_engine_view *e;

	if (engine >= GPU_ENGINES)
		return false;
	e = &view->engines[engine];
	switch (r->point) {
	case TRACE_vgpu_elsp:
		elsp(view, e, r);
		return true;
	case TRACE_vgpu_taken:
		taken(view, e, r);
		return true;
	case TRACE_vgpu_csb:
		status_entry(view, e, r);
		return true;
	case TRACE_vgpu_context_load:
		load(view, e, r);
		return true;
	case TRACE_vgpu_context_save:
		save(view, e, r);
		return true;
	default:
		return show_commands(view, (enum gpu_engine)engine, r);
	}
}

void trace_engine_ran(struct trace_view *view, enum gpu_engine engine, const struct trace_record *r)
{
	struct trace_engine_view *e = &view->engines[engine];

	e->busy_ns += r->time_ns - start_of(view, r);
	trace_file_counter(view->file, view->pid, e->busy_name, r->time_ns,
			   e->busy_ns / NSEC_PER_USEC);
}

void trace_engine_cut(struct trace_view *view, enum gpu_engine engine, uint64_t ns,
		      const struct trace_args *args)
{
	struct trace_engine_view *e = &view->engines[engine];
	struct trace_track *tracks[] = { &e->elsp, &e->port1, &e->run };

	for (size_t i = 0; i < ARRAY_SIZE(tracks); i++) {
		trace_track_add(tracks[i], 0, args);
		trace_track_close(tracks[i], ns, 0);
	}
	e->has_pending = false;
	e->port.count = 0;
}

uint32_t trace_engine_init(struct trace_view *view, enum gpu_engine engine, uint32_t tid)
{
	static const char *const names[GPU_ENGINES][3] = {
		[GPU_RCS] = { "rcs0 ELSP", "rcs0 port 1", "rcs0" },
		[GPU_BCS] = { "bcs0 ELSP", "bcs0 port 1", "bcs0" },
		[GPU_VCS0] = { "vcs0 ELSP", "vcs0 port 1", "vcs0" },
		[GPU_VECS] = { "vecs0 ELSP", "vecs0 port 1", "vecs0" },
	};
	struct trace_engine_view *e = &view->engines[engine];

	trace_track_init(&e->elsp, view->file, view->pid, tid++, names[engine][0]);
	trace_track_init(&e->port1, view->file, view->pid, tid++, names[engine][1]);
	trace_track_init(&e->run, view->file, view->pid, tid++, names[engine][2]);
	snprintf(e->queue_name, sizeof(e->queue_name), "%s queue", names[engine][2]);
	snprintf(e->busy_name, sizeof(e->busy_name), "%s busy (us)", names[engine][2]);
	return tid;
}
