/* SPDX-License-Identifier: MIT */
/*
 * The parts of a vGPU's timeline that are not an engine's: messages and traps, interrupts, the
 * lane with its lease, the display; and the way of each record to its place.
 */
#include "cmd/trace_view.h"

#include <string.h>

#include "cmd/trace_engine.h"
#include "sched/sched.h"
#include "vfio_user/vfio_user.h"
#include "vgpu/vgpu.h"

/* Tracks go by numbers that are no process's: PID_MAX_LIMIT is the first. */
#define FIRST_TRACK	(1u << 22)
#define TRACKS_PER_VIEW 64u
#define CLOCK_SLACK_NS	NSEC_PER_SEC

/* BAR0 and BAR2, and config space, as VFIO numbers regions. */
#define REGION_BAR0   0u
#define REGION_BAR2   2u
#define REGION_CONFIG 7u

static uint64_t start_of(const struct trace_view *view, const struct trace_record *r)
{
	uint64_t start = r->time_ns - MIN(r->span_ns, r->time_ns);

	return MAX(start, view->begin_ns);
}

/* ---- Messages and traps ---------------------------------------------------------------------- */

static void show_message(struct trace_view *view, const struct trace_record *r)
{
	const char *name = vfu_command_name(r->value[0]);
	struct trace_args args = { .len = 0 };

	trace_args_number(&args, "bytes", r->value[2]);
	trace_args_number(&args, "id", r->value[3]);
	trace_args_text(&args, "reply", r->value[1] ? "posted" : "sent");
	trace_track_leaf(&view->messages, start_of(view, r), r->time_ns, name ? name : "message",
			 &args);
}

static enum trace_trap trap_kind(uint32_t region, uint64_t offset)
{
	switch (region) {
	case REGION_CONFIG:
		return TRACE_TRAP_CONFIG;
	case REGION_BAR2:
		return TRACE_TRAP_APERTURE;
	case REGION_BAR0:
		if (offset >= VGPU_GTT_OFFSET)
			return TRACE_TRAP_GGTT;
		return offset >= VGPU_OPREGION_OFFSET ? TRACE_TRAP_OPREGION : TRACE_TRAP_REGISTER;
	default:
		return TRACE_TRAP_OTHER;
	}
}

static void show_trap(struct trace_view *view, const struct trace_record *r)
{
	enum trace_trap kind = trap_kind((uint32_t)r->value[0], r->value[1]);
	bool write = r->value[0] >> 32 & 1;
	const char *name = NULL;
	struct trace_args args = { .len = 0 };
	char text[64];

	if (kind == TRACE_TRAP_REGISTER)
		name = vgpu_register_name((uint32_t)r->value[1]);
	snprintf(text, sizeof(text), "%s %s", write ? "write" : "read", name ? name : "");
	if (!name)
		snprintf(text, sizeof(text), "%s 0x%llx", write ? "write" : "read",
			 (unsigned long long)r->value[1]);
	trace_args_number(&args, "region", (uint32_t)r->value[0]);
	trace_args_hex(&args, "offset", r->value[1]);
	trace_args_number(&args, "bytes", r->value[2]);
	trace_args_hex(&args, "value", r->value[3]);
	trace_track_leaf(&view->traps[kind], start_of(view, r), r->time_ns, text, &args);
}

/* ---- Interrupts ------------------------------------------------------------------------------ */

/* Offsets of the blocks' IIR (i915: GEN8_GT_IIR, GEN8_DE_PIPE_IIR). */
#define GT_IIR(n)      (0x44308u + 0x10 * (n))
#define DE_PIPE_IIR(n) (0x44408u + 0x10 * (n))

static const struct {
	uint32_t iir;
	unsigned int shift;
} engine_bits[GPU_ENGINES] = {
	[GPU_RCS] = { GT_IIR(0), 0 },
	[GPU_BCS] = { GT_IIR(0), 16 },
	[GPU_VCS0] = { GT_IIR(1), 0 },
	[GPU_VECS] = { GT_IIR(3), 0 },
};

static void add_bits(char *text, size_t size, uint32_t bits)
{
	static const struct {
		uint32_t bit;
		const char *name;
	} names[] = {
		{ GPU_INTERRUPT_USER, " user" },
		{ GPU_INTERRUPT_CS_ERROR, " error" },
		{ GPU_INTERRUPT_FLUSH_NOTIFY, " flush" },
		{ GPU_INTERRUPT_CONTEXT_SWITCH, " context switch" },
		{ GPU_INTERRUPT_WAIT_SEMAPHORE, " semaphore" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (bits & names[i].bit && strlen(text) + strlen(names[i].name) < size)
			strcat(text, names[i].name);
}

/* The half of the register that is @e's. */
static uint32_t bits_of(const struct trace_record *iir, enum gpu_engine e)
{
	if (iir->value[0] != engine_bits[e].iir)
		return 0;
	return (uint32_t)iir->value[1] >> engine_bits[e].shift & 0xffff;
}

static void name_interrupt(const struct trace_record *iir, char *text, size_t size)
{
	snprintf(text, size, "IIR 0x%llx", (unsigned long long)iir->value[0]);
	for (unsigned int pipe = 0; pipe < 3; pipe++)
		if (iir->value[0] == DE_PIPE_IIR(pipe))
			snprintf(text, size, "pipe %c", 'A' + (int)pipe);
	for_each_engine(e) {
		if (!bits_of(iir, e))
			continue;
		snprintf(text, size, "%s", gpu_engine_name(e));
		add_bits(text, size, bits_of(iir, e));
	}
}

static void show_msi(struct trace_view *view, const struct trace_record *r)
{
	struct trace_args args = { .len = 0 };

	trace_args_hex(&args, "master_status", r->value[0]);
	trace_track_leaf(&view->interrupts, start_of(view, r), r->time_ns, "MSI", &args);
}

/* The held interrupt, with @msi (or NULL) inside. */
static void show_interrupt(struct trace_view *view, const struct trace_record *msi)
{
	const struct trace_record *iir = &view->irq;
	struct trace_args args = { .len = 0 };
	char name[64];

	view->irq_held = false;
	name_interrupt(iir, name, sizeof(name));
	trace_args_hex(&args, "iir", iir->value[0]);
	trace_args_hex(&args, "bits", iir->value[1]);
	trace_track_open(&view->interrupts, iir->time_ns, name, &args);
	for_each_engine(e)
		if (bits_of(iir, e) & GPU_INTERRUPT_CONTEXT_SWITCH)
			trace_engine_show_signalled(&view->engines[e], &view->interrupts);
	if (msi)
		show_msi(view, msi);
	trace_track_close(&view->interrupts, msi ? msi->time_ns : iir->time_ns, 0);
}

/* The message of an interrupt is traced behind it, by the same thread. */
static void hold_interrupt(struct trace_view *view, const struct trace_record *r)
{
	if (view->irq_held && view->irq.thread == r->thread && r->point == TRACE_vgpu_msi) {
		show_interrupt(view, r);
		return;
	}
	if (view->irq_held)
		show_interrupt(view, NULL);
	if (r->point == TRACE_vgpu_msi) {
		show_msi(view, r);
		return;
	}
	view->irq_held = true;
	view->irq = *r;
	/* Now: what ends before the slice is made is another interrupt's to tell. */
	for_each_engine(e)
		if (bits_of(r, e) & GPU_INTERRUPT_CONTEXT_SWITCH)
			trace_engine_signalled(&view->engines[e]);
}

/* ---- The lane -------------------------------------------------------------------------------- */

static void show_step(struct trace_view *view, const struct trace_record *r)
{
	static const char *const results[] = {
		[SCHED_STEP_IDLE] = "idle",
		[SCHED_STEP_MORE] = "more to do",
		[SCHED_STEP_WAIT] = "waits for a semaphore",
	};
	struct trace_args args = { .len = 0 };

	if (r->value[0] >= GPU_ENGINES) {
		view->refused++;
		return;
	}
	trace_args_number(&args, "budget_ns", r->value[1]);
	if (r->value[2] < ARRAY_SIZE(results))
		trace_args_text(&args, "result", results[r->value[2]]);
	trace_track_leaf(&view->lane, start_of(view, r), r->time_ns,
			 gpu_engine_name((enum gpu_engine)r->value[0]), &args);
	trace_engine_ran(view, (enum gpu_engine)r->value[0], r);
}

static void show_lease_wait(struct trace_view *view, const struct trace_record *r)
{
	struct trace_args args = { .len = 0 };

	trace_args_text(&args, "granted", r->value[0] ? "yes" : "no");
	trace_track_leaf(&view->lane, start_of(view, r), r->time_ns, "waits for a lease", &args);
}

static void show_lease_got(struct trace_view *view, const struct trace_record *r)
{
	struct trace_args args = { .len = 0 };
	char name[32];

	trace_track_close(&view->lease, r->time_ns, 0);
	snprintf(name, sizeof(name), "CPU %u", (unsigned int)r->value[0]);
	if (r->value[1] == SCHED_SLICE_FREE)
		trace_args_text(&args, "slice", "until somebody wants it");
	trace_track_open(&view->lease, r->time_ns, name, &args);
}

static void show_lease_end(struct trace_view *view, const struct trace_record *r)
{
	static const char *const ends[] = {
		[SCHED_LEASE_END_YIELDED] = "slice over",
		[SCHED_LEASE_END_RELEASED] = "nothing to do",
		[SCHED_LEASE_END_PARKED] = "nothing to do, nobody waits",
		[SCHED_LEASE_END_TAKEN] = "taken by the arbiter",
	};
	struct trace_args args = { .len = 0 };

	if (r->value[0] < ARRAY_SIZE(ends))
		trace_args_text(&args, "end", ends[r->value[0]]);
	trace_track_add(&view->lease, 0, &args);
	trace_track_close(&view->lease, r->time_ns, 0);
}

/* ---- The display, and all else --------------------------------------------------------------- */

/* The point's name, and its values by the names the table has for them. */
static void show_plainly(struct trace_track *track, const struct trace_record *r, const char *name)
{
	struct trace_args args = { .len = 0 };
	char words[64], *save = NULL, *word;
	unsigned int i = 0;

	snprintf(words, sizeof(words), "%s", trace_values((enum trace_point)r->point));
	for (word = strtok_r(words, " ", &save); word && i < 4; word = strtok_r(NULL, " ", &save)) {
		if (strcmp(word, "-"))
			trace_args_hex(&args, word, r->value[i]);
		i++;
	}
	if (r->span_ns)
		trace_args_number(&args, "took_ns", r->span_ns);
	trace_track_instant(track, r->time_ns, name, &args);
}

static void show_display(struct trace_view *view, const struct trace_record *r, const char *name)
{
	struct trace_track *track = r->value[0] < 3 ? &view->pipes[r->value[0]] : &view->other;

	show_plainly(track, r, name);
}

/* ---- The way of a record --------------------------------------------------------------------- */

static void dispatch(struct trace_view *view, const struct trace_record *r)
{
	switch (r->point) {
	case TRACE_vfu_served:
		show_message(view, r);
		break;
	case TRACE_vfio_access:
		show_trap(view, r);
		break;
	case TRACE_vgpu_iir:
	case TRACE_vgpu_msi:
		hold_interrupt(view, r);
		break;
	case TRACE_sched_run:
		show_step(view, r);
		break;
	case TRACE_sched_lease_wait:
		show_lease_wait(view, r);
		break;
	case TRACE_sched_lease_got:
		show_lease_got(view, r);
		break;
	case TRACE_sched_lease_end:
		show_lease_end(view, r);
		break;
	case TRACE_display_flip:
		show_display(view, r, "flip");
		break;
	case TRACE_display_vblank:
		show_display(view, r, "vblank");
		break;
	default:
		if (!trace_engine_record(view, r))
			show_plainly(&view->other, r, trace_name((enum trace_point)r->point));
	}
}

void trace_view_record(struct trace_view *view, const struct trace_record *record, uint64_t now_ns)
{
	if (record->point >= TRACE_POINTS || record->time_ns < view->begin_ns ||
	    record->time_ns > now_ns + CLOCK_SLACK_NS) {
		view->refused++;
		return;
	}
	dispatch(view, record);
}

/* ---- Begin and end --------------------------------------------------------------------------- */

void trace_view_init(struct trace_view *view, struct trace_file *file, uint32_t pid,
		     unsigned int index, uint64_t begin_ns)
{
	static const char *const traps[TRACE_TRAPS] = {
		[TRACE_TRAP_CONFIG] = "traps: config",
		[TRACE_TRAP_REGISTER] = "traps: registers",
		[TRACE_TRAP_OPREGION] = "traps: opregion",
		[TRACE_TRAP_GGTT] = "traps: GGTT",
		[TRACE_TRAP_APERTURE] = "traps: aperture",
		[TRACE_TRAP_OTHER] = "traps: other regions",
	};
	static const char *const pipes[] = { "pipe A", "pipe B", "pipe C" };
	uint32_t tid = FIRST_TRACK + index * TRACKS_PER_VIEW;

	memset(view, 0, sizeof(*view));
	view->file = file;
	view->pid = pid;
	view->begin_ns = begin_ns;
	trace_track_init(&view->messages, file, pid, tid++, "messages");
	for (unsigned int i = 0; i < TRACE_TRAPS; i++)
		trace_track_init(&view->traps[i], file, pid, tid++, traps[i]);
	for_each_engine(e)
		tid = trace_engine_init(view, e, tid);
	trace_track_init(&view->lane, file, pid, tid++, "lane");
	trace_track_init(&view->lease, file, pid, tid++, "lease");
	trace_track_init(&view->interrupts, file, pid, tid++, "interrupts");
	for (unsigned int i = 0; i < ARRAY_SIZE(pipes); i++)
		trace_track_init(&view->pipes[i], file, pid, tid++, pipes[i]);
	trace_track_init(&view->other, file, pid, tid++, "other");
}

static void cut(struct trace_view *view, uint64_t ns, const char *why)
{
	struct trace_args args = { .len = 0 };

	trace_args_text(&args, "end", why);
	if (view->irq_held)
		show_interrupt(view, NULL);
	for_each_engine(e)
		trace_engine_cut(view, e, ns, &args);
	trace_track_add(&view->lease, 0, &args);
	trace_track_close(&view->lease, ns, 0);
}

void trace_view_lost(struct trace_view *view, uint64_t ns, uint64_t count)
{
	struct trace_args args = { .len = 0 };

	cut(view, ns, "records lost");
	trace_args_number(&args, "records", count);
	trace_track_instant(&view->other, ns, "records lost", &args);
}

void trace_view_end(struct trace_view *view, uint64_t ns)
{
	cut(view, ns, "trace over");
}
