/* SPDX-License-Identifier: MIT */
/*
 * The command streamer's loop: fetch a header, find the command, check its length and whether it
 * is allowed here, act or count, move on.  Called by the GPUs (soft.c, null.c); cs_run() on the
 * lane of the engine, cs_where() and cs_stats() on any thread.
 *
 * The machine can be left after every command and entered again: all it knows is in struct cs,
 * and what a context would take with it is in struct gpu_cs_state.
 */
#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "gpu/blt/blt.h"
#include "gpu/cs/cs.h"

#define SEEN_VALID(level) BIT(level)
#define SEEN_PPGTT(level) BIT(2 + (level))

void cs_init(struct cs *cs, enum gpu_engine engine, bool follow_batches)
{
	memset(cs, 0, sizeof(*cs));
	cs->engine = engine;
	cs->base = gpu_engine_base(engine);
	cs->follow_batches = follow_batches;
	cs->check_commands = CS_CHECK_COMMANDS;
}

/* ---- Faults and interrupts ------------------------------------------------------------------ */

static enum cs_next report(struct cs *cs, const struct gpu_fault *fault)
{
	cs->faulted = true;
	cs_count(&cs->faults, 1);
	TRACE(gpu_fault, fault->engine, fault->kind, fault->command_at, fault->header);
	cs->client->ops->fault(cs->client, fault);
	return CS_FAULT;
}

static struct gpu_fault make_fault(const struct cs *cs, enum gpu_fault_kind kind)
{
	return (struct gpu_fault){
		.kind = kind,
		.engine = cs->engine,
		.context_id = cs->workload->context_id,
		.ppgtt = !cs_source_in_ggtt(cs),
		.command_at = cs_address(cs),
		.header = cs->header,
	};
}

enum cs_next cs_fault(struct cs *cs, enum gpu_fault_kind kind)
{
	struct gpu_fault fault = make_fault(cs, kind);

	return report(cs, &fault);
}

enum cs_next cs_fault_address(struct cs *cs, bool ggtt, gma_t address, bool write)
{
	struct gpu_fault fault = make_fault(cs, GPU_FAULT_ADDRESS);

	fault.ppgtt = !ggtt;
	fault.write = write;
	fault.address = address.v;
	return report(cs, &fault);
}

enum cs_next cs_fault_found(struct cs *cs, const struct gpu_audit_finding *finding)
{
	struct gpu_fault fault = make_fault(cs, finding->kind);

	/* Cut off, although it was all there: longer than it says. */
	if (finding->kind == GPU_FAULT_NONE)
		fault.kind = GPU_FAULT_LENGTH;
	fault.ppgtt = false;
	fault.write = finding->write;
	fault.address = finding->address;
	return report(cs, &fault);
}

void cs_interrupt(struct cs *cs, uint32_t bits)
{
	TRACE(gpu_interrupt, cs->engine, bits, 0, 0);
	cs->client->ops->interrupt(cs->client, cs->engine, bits);
}

/* ---- Where commands come from --------------------------------------------------------------- */

/* The batches that the saved position is in, for who follows. */
static void trace_resumed(const struct cs *cs)
{
	for (unsigned int level = 0; level < 2; level++)
		if (cs->at.bb_valid[level])
			TRACE(gpu_batch, cs->engine, cs->at.bb_head[level], level,
			      cs->at.bb_ppgtt[level] | 2);
}

/* The source that the saved position names. */
static void enter_position(struct cs *cs)
{
	if (cs->at.bb_valid[1])
		cs_set_source(cs, CS_SOURCE_BATCH2);
	else if (cs->at.bb_valid[0])
		cs_set_source(cs, CS_SOURCE_BATCH1);
	else
		cs_set_source(cs, CS_SOURCE_RING);
}

static void enter_per_ctx(struct cs *cs)
{
	if (!cs->workload->per_ctx.v) {
		enter_position(cs);
		return;
	}
	cs->context_at = cs->workload->per_ctx.v;
	cs_set_source(cs, CS_SOURCE_PER_CTX);
}

static void enter_context(struct cs *cs)
{
	if (!cs->workload->indirect_ctx_bytes) {
		enter_per_ctx(cs);
		return;
	}
	cs->context_at = cs->workload->indirect_ctx.v;
	cs->context_left = cs->workload->indirect_ctx_bytes & ~3u;
	cs_set_source(cs, CS_SOURCE_INDIRECT);
}

static bool ring_offset_valid(const struct cs *cs, uint32_t offset)
{
	return offset < cs->workload->ring_bytes && !(offset & 3);
}

/* GPU_FAULT_NONE when what the context says can be run. */
static enum gpu_fault_kind position_check(const struct cs *cs)
{
	const struct gpu_workload *workload = cs->workload;

	if (!workload->ring_bytes || workload->ring_bytes % PAGE_BYTES ||
	    workload->ring_bytes > 512 * PAGE_BYTES)
		return GPU_FAULT_RING;
	if (!ring_offset_valid(cs, cs->at.head) || !ring_offset_valid(cs, cs->at.tail))
		return GPU_FAULT_RING;
	if (cs->at.bb_valid[1] && !cs->at.bb_valid[0])
		return GPU_FAULT_CONTEXT;
	return GPU_FAULT_NONE;
}

/* The ring ran empty: has the driver written a newer tail? */
static enum cs_next ring_empty(struct cs *cs)
{
	uint32_t tail = cs->client->ops->ring_tail(cs->client, cs->engine);

	if (tail == cs->at.tail)
		return CS_DONE;
	if (!ring_offset_valid(cs, tail))
		return cs_fault(cs, GPU_FAULT_RING);
	cs->at.tail = tail;
	return CS_JUMP;
}

static enum cs_next source_empty(struct cs *cs)
{
	if (cs->source == CS_SOURCE_RING)
		return ring_empty(cs);
	assert(cs->source == CS_SOURCE_INDIRECT);
	enter_per_ctx(cs);
	return CS_JUMP;
}

/* MI_BATCH_BUFFER_END of a per-context batch: on to the ring or the batch left before. */
static enum cs_next leave_per_ctx(struct cs *cs)
{
	enter_position(cs);
	return CS_JUMP;
}

/* ---- Commands ------------------------------------------------------------------------------- */

static enum cs_next execute_flow(struct cs *cs, enum cmd_id id, const uint32_t *dw)
{
	switch (id) {
	case CMD_MI_ARB_ON_OFF:
		return mi_arb_on_off(cs, dw);
	case CMD_MI_SET_PREDICATE:
		return mi_set_predicate(cs, dw);
	case CMD_MI_PREDICATE:
		return mi_predicate(cs, dw);
	case CMD_MI_SEMAPHORE_WAIT:
		return mi_semaphore_wait(cs, dw);
	case CMD_MI_CONDITIONAL_BATCH_BUFFER_END:
		return mi_conditional_batch_buffer_end(cs, dw);
	case CMD_MI_DISPLAY_FLIP:
		return mi_display_flip(cs, dw);
	default:
		/* MI_SET_CONTEXT belongs to the ring mode of scheduling, MI_UPDATE_GTT to a driver
		 * that owns the whole GGTT: neither has a place under execlists in a vGPU. */
		return cs_fault(cs, GPU_FAULT_PRIVILEGE);
	}
}

static enum cs_next execute_memory(struct cs *cs, enum cmd_id id, const uint32_t *dw,
				   uint32_t dwords)
{
	switch (id) {
	case CMD_MI_STORE_DATA_IMM:
		return mi_store_data_imm(cs, dw, dwords);
	case CMD_MI_STORE_DATA_INDEX:
		return mi_store_data_index(cs, dw, dwords);
	case CMD_MI_REPORT_HEAD:
		return mi_report_head(cs);
	case CMD_MI_REPORT_PERF_COUNT:
		return mi_report_perf_count(cs, dw);
	case CMD_MI_COPY_MEM_MEM:
		return mi_copy_mem_mem(cs, dw);
	case CMD_MI_ATOMIC:
		return mi_atomic(cs, dw, dwords);
	case CMD_MI_LOAD_REGISTER_MEM:
		return mi_load_register_mem(cs, dw);
	case CMD_MI_LOAD_REGISTER_REG:
		return mi_load_register_reg(cs, dw);
	case CMD_MI_STORE_REGISTER_MEM:
		return mi_store_register_mem(cs, dw);
	case CMD_MI_MATH:
		return mi_math(cs, dw, dwords);
	default:
		return execute_flow(cs, id, dw);
	}
}

static enum cs_next execute(struct cs *cs, enum cmd_id id, const uint32_t *dw, uint32_t dwords)
{
	switch (id) {
	case CMD_MI_NOOP:
		return mi_noop(cs, dw);
	case CMD_MI_USER_INTERRUPT:
		cs_interrupt(cs, GPU_INTERRUPT_USER);
		return CS_ADVANCE;
	case CMD_MI_BATCH_BUFFER_START:
		return mi_batch_buffer_start(cs, dw);
	case CMD_MI_BATCH_BUFFER_END:
		if (cs->source == CS_SOURCE_PER_CTX)
			return leave_per_ctx(cs);
		return mi_batch_buffer_end(cs);
	case CMD_MI_LOAD_REGISTER_IMM:
		return mi_load_register_imm(cs, dw, dwords);
	case CMD_MI_FLUSH_DW:
		return mi_flush_dw(cs, dw, dwords);
	case CMD_PIPE_CONTROL:
		return pipe_control(cs, dw);
	default:
		return execute_memory(cs, id, dw, dwords);
	}
}

/* State and work of units there are none of: counted, so that nobody wonders. */
static void skip_over(struct cs *cs, const struct gpu_command *command, uint32_t header)
{
	if (command->klass == GPU_COMMAND_NOP)
		return;
	if ((header & command->predicate_mask) && !cs_predicate(cs))
		return;
	cs_count(&cs->not_executed[command->id], 1);
	cs_count(command->klass == GPU_COMMAND_WORK ? &cs->work_dropped : &cs->state_skipped, 1);
}

static bool is_2d(uint32_t header)
{
	return header >> 29 == 2;
}

static enum cs_next fetch_failed(struct cs *cs, enum cs_fetch fetched, gma_t fault_at)
{
	if (fetched == CS_FETCH_FAULT)
		return cs_fault_address(cs, cs_source_in_ggtt(cs), fault_at, false);
	return cs_fault(cs, GPU_FAULT_LENGTH);
}

enum cs_next cs_fetch_whole(struct cs *cs, uint32_t dwords)
{
	enum cs_fetch fetched;
	gma_t fault_at;

	if (unlikely(dwords > CS_WINDOW_DWORDS))
		return cs_fault(cs, GPU_FAULT_LENGTH);
	fetched = cs_fetch(cs, dwords, &fault_at);
	return likely(fetched == CS_FETCHED) ? CS_ADVANCE : fetch_failed(cs, fetched, fault_at);
}

/* True when MI_SET_PREDICATE makes the command a no-op.  It speaks of its own batch, not of the
 * context batches that run when a preempted context comes back. */
static bool is_predicated(struct cs *cs, enum cmd_id id)
{
	if (cs->source == CS_SOURCE_INDIRECT || cs->source == CS_SOURCE_PER_CTX)
		return false;
	return id != CMD_MI_SET_PREDICATE && id != CMD_MI_BATCH_BUFFER_END && cs_predicated_off(cs);
}

/* The command in the window, @dwords long, checked. */
static enum cs_next perform(struct cs *cs, const struct gpu_command *command, uint32_t dwords)
{
	if (unlikely(cs->at.set_predicate) && is_predicated(cs, command->id))
		return CS_ADVANCE;
	if (unlikely(command->privileged && cs->user))
		return CS_ADVANCE;
	if (command->klass != GPU_COMMAND_EXEC || (is_2d(cs->header) && !cs->follow_batches)) {
		skip_over(cs, command, cs->header);
		return CS_ADVANCE;
	}
	if (unlikely(!cs_held(cs, dwords)) && cs_fetch_whole(cs, dwords) != CS_ADVANCE)
		return CS_FAULT;
	if (is_2d(cs->header))
		return blt_command(cs, &cs->window[cs->next], dwords);
	return execute(cs, command->id, &cs->window[cs->next], dwords);
}

/* A blit that was left in the middle goes on only where it is the first thing to do. */
static void forget_blit(struct cs *cs)
{
	cs->workload->blt.row = cs->workload->blt.piece = 0;
}

/*
 * How many MI_NOOPs lie at the window's front, the first of which may run: up to where the audit
 * has been, and not past the next look at the clock.
 */
static uint32_t count_noops(const struct cs *cs)
{
	uint32_t end = MIN(cs->filled, cs->audited), at = cs->next + 1;

	if (cs->credit < (int)(end - cs->next))
		end = cs->next + (uint32_t)MAX(cs->credit, 1);
	while (at < end && !cs->window[at])
		at++;
	return at - cs->next;
}

/* One or more of them in a step: i915 pads with them, and so may a guest by the million. */
static enum cs_next step_noops(struct cs *cs)
{
	uint32_t count = TRACE_ON(scan_command) ? 1 : count_noops(cs);

	if (cs->source >= CS_SOURCE_RING)
		forget_blit(cs);
	cs_skip(cs, count);
	cs_count(&cs->commands, count);
	cs->credit -= (int)(count - 1);
	return CS_ADVANCE;
}

static enum cs_next fetch_header(struct cs *cs)
{
	gma_t fault_at;
	enum cs_fetch fetched = cs_fetch(cs, 1, &fault_at);

	if (likely(fetched == CS_FETCHED))
		return CS_ADVANCE;
	return fetched == CS_FETCH_EMPTY ? source_empty(cs) : fetch_failed(cs, fetched, fault_at);
}

static enum cs_next step(struct cs *cs)
{
	const struct gpu_command *command;
	enum cs_source source = cs->source;
	enum cs_next next;
	uint32_t dwords;

	cs->header = 0;
	if (unlikely(!cs_held(cs, 1))) {
		next = fetch_header(cs);
		if (unlikely(next != CS_ADVANCE))
			return next;
	}
	cs->header = cs->window[cs->next];
	command = cmd_find(cs->engine, cs->header);
	if (unlikely(!command))
		return cs_fault(cs, GPU_FAULT_OPCODE);
	dwords = cmd_dwords(command, cs->header);
	if (unlikely(!dwords || (!cs_held(cs, dwords) && !cs_fits(cs, dwords))))
		return cs_fault(cs, GPU_FAULT_LENGTH);
	TRACE(scan_command, cs->engine, cs_address(cs), cs->header, dwords);
	if (unlikely(cs->next >= cs->audited) && cs_audit(cs, dwords) != CS_ADVANCE)
		return CS_FAULT;
	if (!cs->header)
		return step_noops(cs);
	next = perform(cs, command, dwords);
	if (likely(next == CS_ADVANCE))
		cs_skip(cs, dwords);
	if (likely(next == CS_ADVANCE || next == CS_JUMP)) {
		cs_count(&cs->commands, 1);
		if (source >= CS_SOURCE_RING)
			forget_blit(cs);
	}
	/* A long command does the work of many short ones. */
	cs->credit -= (int)(dwords / 64);
	return next;
}

/* ---- Running -------------------------------------------------------------------------------- */

static void publish(struct cs *cs)
{
	uint32_t flags = 0;

	for (unsigned int level = 0; level < 2; level++) {
		atomic_store_explicit(&cs->seen_batch[level], cs->at.bb_head[level],
				      memory_order_relaxed);
		flags |= cs->at.bb_valid[level] ? SEEN_VALID(level) : 0;
		flags |= cs->at.bb_ppgtt[level] ? SEEN_PPGTT(level) : 0;
	}
	atomic_store_explicit(&cs->seen_flags, flags, memory_order_relaxed);
	atomic_store_explicit(&cs->seen_head, cs->at.head, memory_order_relaxed);
	atomic_store_explicit(&cs->seen_tail, cs->at.tail, memory_order_relaxed);
	if (cs->header)
		atomic_store_explicit(&cs->seen_header, cs->header, memory_order_relaxed);
}

/* Every now and then: is the slice used up, does somebody wait for the lane? */
static bool must_leave(struct cs *cs, uint64_t deadline_ns)
{
	cs->credit = cs->check_commands;
	publish(cs);
	return cs->client->ops->yield(cs->client) || clock_now_ns() >= deadline_ns;
}

static enum gpu_run loop(struct cs *cs, uint64_t deadline_ns)
{
	for (;;) {
		if (unlikely(atomic_load_explicit(&cs->stop, memory_order_relaxed))) {
			atomic_store(&cs->stop, false);
			return GPU_RUN_STOPPED;
		}
		switch (step(cs)) {
		case CS_ADVANCE:
		case CS_JUMP:
			break;
		case CS_AGAIN:
			cs->credit = 0;
			break;
		case CS_WAIT:
			return GPU_RUN_WAIT;
		case CS_FAULT:
			return GPU_RUN_FAULT;
		case CS_DONE:
			return GPU_RUN_DONE;
		}
		if (unlikely(--cs->credit <= 0) && must_leave(cs, deadline_ns))
			return GPU_RUN_BUDGET;
	}
}

void cs_begin(struct cs *cs, struct gpu_workload *workload)
{
	enum gpu_fault_kind kind;

	assert(!cs->workload && workload->engine == cs->engine);
	cs->workload = workload;
	cs->client = workload->client;
	cs->at = workload->cs;
	cs->faulted = cs->waiting = false;
	workload->arbitration_off = false;
	cs->header = 0;
	atomic_store(&cs->stop, false);
	/* A context switch drops the translations. */
	gpu_as_invalidate(workload->ggtt);
	gpu_as_invalidate(workload->ppgtt);
	cs_set_source(cs, CS_SOURCE_RING);
	kind = position_check(cs);
	if (kind != GPU_FAULT_NONE)
		cs_fault(cs, kind);
	else
		enter_context(cs);
	trace_resumed(cs);
	publish(cs);
}

struct as_use {
	uint64_t hits, misses;
};

static struct as_use as_use(const struct cs *cs)
{
	const struct gpu_as *ggtt = cs->workload->ggtt, *ppgtt = cs->workload->ppgtt;

	return (struct as_use){ ggtt->hits + ppgtt->hits, ggtt->misses + ppgtt->misses };
}

enum gpu_run cs_run(struct cs *cs, uint64_t deadline_ns)
{
	struct as_use before, after;
	uint64_t begin = gpu_timestamp();
	enum gpu_run result;

	assert(cs->workload);
	if (cs->faulted)
		return GPU_RUN_FAULT;
	as_refresh(cs->workload->ggtt);
	as_refresh(cs->workload->ppgtt);
	before = as_use(cs);
	cs_drop_window(cs);
	cs->credit = cs->check_commands;
	result = loop(cs, deadline_ns);
	after = as_use(cs);
	cs_count(&cs->tlb_hits, after.hits - before.hits);
	cs_count(&cs->tlb_misses, after.misses - before.misses);
	cs_set_reg(cs, CS_REG_CTX_TIMESTAMP,
		   cs_reg(cs, CS_REG_CTX_TIMESTAMP) + (uint32_t)(gpu_timestamp() - begin));
	publish(cs);
	return result;
}

void cs_end(struct cs *cs)
{
	assert(cs->workload);
	cs->workload->cs = cs->at;
	cs->workload = NULL;
	cs->client = NULL;
	cs->source = CS_SOURCE_NONE;
}

void cs_reset(struct cs *cs)
{
	for (unsigned int i = 0; i < CS_REGS; i++)
		cs_set_reg(cs, i, 0);
	cs->at = (struct gpu_cs_state){ 0 };
	cs->header = 0;
	publish(cs);
	atomic_store_explicit(&cs->seen_header, 0, memory_order_relaxed);
}

void cs_where(struct cs *cs, struct gpu_cs_state *at, uint32_t *header)
{
	uint32_t flags = atomic_load_explicit(&cs->seen_flags, memory_order_relaxed);

	*at = (struct gpu_cs_state){
		.head = atomic_load_explicit(&cs->seen_head, memory_order_relaxed),
		.tail = atomic_load_explicit(&cs->seen_tail, memory_order_relaxed),
	};
	for (unsigned int level = 0; level < 2; level++) {
		at->bb_head[level] =
			atomic_load_explicit(&cs->seen_batch[level], memory_order_relaxed);
		at->bb_valid[level] = flags & SEEN_VALID(level);
		at->bb_ppgtt[level] = flags & SEEN_PPGTT(level);
	}
	*header = atomic_load_explicit(&cs->seen_header, memory_order_relaxed);
}

static uint64_t get(_Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

void cs_stats(struct cs *cs, struct gpu_stats *stats)
{
	enum gpu_engine e = cs->engine;

	stats->commands[e] = get(&cs->commands);
	stats->batches[e] = get(&cs->batches);
	stats->work_dropped[e] = get(&cs->work_dropped);
	stats->not_executed[e] = stats->work_dropped[e] + get(&cs->state_skipped);
	stats->faults[e] = get(&cs->faults);
	stats->bytes_fetched[e] = get(&cs->bytes_fetched);
	stats->tlb_hits += get(&cs->tlb_hits);
	stats->tlb_misses += get(&cs->tlb_misses);
}
