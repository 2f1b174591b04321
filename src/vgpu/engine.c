/* SPDX-License-Identifier: MIT */
/*
 * One engine as an entity of its lane: takes pairs from the port, loads, runs and saves contexts,
 * writes the status buffer.  Runs on the lane's thread, inside a guest section that it leaves
 * whenever the memory map wants to change; takes vgpu->lock only for moments, and never while it
 * touches guest memory, which may have to be asked for by messages that another thread carries.
 *
 * A guest pays two register reads for an interrupt, so interrupts that are likely to be followed by
 * another are held back for a while, and one tells of all.  The longest an event may wait depends
 * on what the driver could do about it:
 *
 * - A submission was taken: the rest of the slice.  The driver looks at the status buffer in memory
 *   before it submits again and so needs no interrupt, unless it wanted to submit in the very
 *   moment before the entry was there.
 * - One of two contexts ended (HOLD_SWITCH_NS).  As both ports were full, the driver may have more
 *   work, and the other context may end before it has heard of it and come back.  What is waited
 *   for here is a pair that ends within a moment; a slow guest has both in one interrupt anyway,
 *   for the second end comes before it has read of the first.
 * - A command asked for an interrupt, and the engine goes on: as long as an interrupt costs the
 *   guest (vgpu_irq_cost_ns()).  All requests ask once somebody sleeps, and which of them is waited
 *   for is not told.  So the guest spends at most half of its time in its handler, and who sleeps
 *   is told at most twice as late.
 *
 * vgpu_config.irq_hold_ns replaces all three.  Nothing is held back when the engine is idle, waits,
 * or has met a fault: i915 may have kept a request back until it knows that the last submission was
 * taken, and the engine would stand still meanwhile.
 */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/trace.h"
#include "vgpu/display/vgpu_display.h"
#include "vgpu/ggtt.h"
#include "vgpu/irq.h"
#include "vgpu/mmio.h"

#define HOLD_SWITCH_NS (10 * NSEC_PER_USEC)
#define HOLD_SLICE     UINT64_MAX /* its rest */

/* Fields of the fault registers (i915: RING_FAULT_FAULT_TYPE, GEN8_RING_FAULT_ENGINE_ID). */
#define RING_FAULT_VALID	BIT(0)
#define RING_FAULT_TYPE_SHIFT	1
#define RING_FAULT_ENGINE_SHIFT 12
#define FAULT_GTT_SEL		BIT(4)

static struct gpu *gpu_of(struct vgpu_engine *e)
{
	return e->vgpu->config.gpu;
}

/* ---- Interrupts -------------------------------------------------------------------------------
 */

/* @usual_ns: how long they may wait where nothing else is set; HOLD_SLICE. */
static void hold(struct vgpu_engine *e, uint32_t bits, uint64_t usual_ns)
{
	uint64_t ns = e->vgpu->config.irq_hold_ns ? e->vgpu->config.irq_hold_ns : usual_ns;
	uint64_t until_ns = ns == HOLD_SLICE ? UINT64_MAX : clock_now_ns() + ns;

	e->irq_until_ns = e->irq_held ? MIN(e->irq_until_ns, until_ns) : until_ns;
	e->irq_held |= bits;
}

static bool overdue(const struct vgpu_engine *e)
{
	return e->irq_held && e->irq_until_ns != UINT64_MAX && clock_now_ns() >= e->irq_until_ns;
}

/* The slice ended with work left: what is held may go on waiting only where that is set. */
static bool holds_on(const struct vgpu_engine *e)
{
	return e->vgpu->config.irq_hold_ns && !overdue(e);
}

/* Sends what was held back, and @more. */
static void signal_now(struct vgpu_engine *e, uint32_t more)
{
	uint32_t bits = e->irq_held | more;

	if (!bits)
		return;
	e->irq_held = 0;
	vgpu_lock(e->vgpu);
	vgpu_irq_assert_engine(e->vgpu, e->id, bits);
	vgpu_unlock(e->vgpu);
}

static void status_event(struct vgpu_engine *e, uint32_t status, uint64_t desc)
{
	vgpu_execlist_event(e, status, CTX_DESC_ID(desc));
	hold(e, GPU_INTERRUPT_CONTEXT_SWITCH, status & CSB_COMPLETE ? HOLD_SWITCH_NS : HOLD_SLICE);
}

/* ---- What the GPU asks of us ----------------------------------------------------------------- */

static struct vgpu_engine *to_engine(struct gpu_client *client)
{
	return container_of(client, struct vgpu_engine, client);
}

static uint32_t client_reg_read(struct gpu_client *client, enum gpu_engine engine, uint32_t offset)
{
	return vgpu_reg_read_cs(to_engine(client)->vgpu, engine, offset);
}

static void client_reg_write(struct gpu_client *client, enum gpu_engine engine, uint32_t offset,
			     uint32_t value)
{
	vgpu_reg_write_cs(to_engine(client)->vgpu, engine, offset, value);
}

static void client_flip(struct gpu_client *client, const struct gpu_flip *flip)
{
	vgpu_display_flip(to_engine(client)->vgpu, flip);
}

static void client_interrupt(struct gpu_client *client, enum gpu_engine engine, uint32_t bits)
{
	struct vgpu_engine *e = to_engine(client);

	/* Masked, as i915 has it while nobody sleeps, it is lost and hurries nothing. */
	if (!vgpu_irq_engine_wanted(e->vgpu, engine, bits))
		return;
	if (bits == GPU_INTERRUPT_USER)
		hold(e, bits, vgpu_irq_cost_ns(e->vgpu));
	else
		signal_now(e, bits);
}

/* Takes the waiting pair if it is a lite restore of what runs; true when it was. */
static bool try_lite_restore(struct vgpu_engine *e)
{
	struct vgpu_elsp pair;

	if (!vgpu_execlist_take_lite(e, &pair))
		return false;
	e->port = pair;
	e->tail = vgpu_context_tail(e);
	vgpu_vreg_set(e->vgpu, REG_RING_TAIL(e->base), e->tail);
	status_event(e, CSB_LITE_RESTORE | CSB_PREEMPTED, pair.desc[0]);
	return true;
}

static uint32_t client_ring_tail(struct gpu_client *client, enum gpu_engine engine)
{
	struct vgpu_engine *e = to_engine(client);

	try_lite_restore(e);
	return e->tail;
}

static bool client_yield(struct gpu_client *client)
{
	struct vgpu_engine *e = to_engine(client);

	return guest_wanted(vgpu_guest(e->vgpu)) ||
	       atomic_load_explicit(&e->has_pending, memory_order_relaxed) ||
	       atomic_load_explicit(&e->stopped, memory_order_relaxed) || overdue(e);
}

static void client_fault(struct gpu_client *client, const struct gpu_fault *fault)
{
	vgpu_engine_fault(to_engine(client), fault);
}

static const struct gpu_client_ops client_ops = {
	.reg_read = client_reg_read,
	.reg_write = client_reg_write,
	.flip = client_flip,
	.interrupt = client_interrupt,
	.ring_tail = client_ring_tail,
	.fault = client_fault,
	.yield = client_yield,
};

/* ---- Faults ---------------------------------------------------------------------------------- */

/*
 * Whose entry was no good: 0 the page table's, 1 the directory's, 2 and 3 those above it.  The
 * tables are asked once more, past what is cached, and so without the lock.
 */
static uint32_t fault_type(struct vgpu_engine *e, const struct gpu_fault *fault)
{
	struct shadow_walk walk;

	if (fault->kind != GPU_FAULT_ADDRESS || !fault->ppgtt)
		return 0;
	shadow_ppgtt_walk(&e->ppgtt, gma(fault->address), &walk);
	return walk.level - 1;
}

/* The source (RING_FAULT_SRCID) stays 0: it numbers units of the hardware. */
static void report_page_fault(struct vgpu_engine *e, const struct gpu_fault *fault, uint32_t type)
{
	/* The hardware's numbers of the engines. */
	static const uint32_t hw_id[GPU_ENGINES] = { 0, 2, 1, 3 };
	struct vgpu *v = e->vgpu;
	uint32_t high = (uint32_t)(fault->address >> 44) & 0xf;

	if (vgpu_vreg(v, REG_GEN8_RING_FAULT_REG) & RING_FAULT_VALID)
		return; /* the first fault stays until it is cleared */
	vgpu_vreg_set(v, REG_GEN8_FAULT_TLB_DATA0, (uint32_t)(fault->address >> 12));
	vgpu_vreg_set(v, REG_GEN8_FAULT_TLB_DATA1, high | (fault->ppgtt ? 0 : FAULT_GTT_SEL));
	vgpu_vreg_set(v, REG_GEN8_RING_FAULT_REG,
		      RING_FAULT_VALID | type << RING_FAULT_TYPE_SHIFT |
			      hw_id[e->id] << RING_FAULT_ENGINE_SHIFT);
}

/* An address of the GGTT that is not there because it is not the guest's has a name of its own. */
static enum gpu_fault_kind fault_kind(const struct vgpu *v, const struct gpu_fault *fault)
{
	if (fault->kind == GPU_FAULT_ADDRESS && !fault->ppgtt && !vgpu_in_share(v, fault->address))
		return GPU_FAULT_SHARE;
	return fault->kind;
}

void vgpu_engine_fault(struct vgpu_engine *e, const struct gpu_fault *fault)
{
	struct vgpu *v = e->vgpu;
	enum gpu_fault_kind kind = fault_kind(v, fault);
	uint32_t type = fault_type(e, fault);

	TRACE(vgpu_fault, (uint64_t)e->id << 32 | fault->context_id,
	      (uint64_t)(kind | fault->ppgtt << 8 | fault->write << 9) << 32 | fault->header,
	      fault->command_at, fault->address);
	log_limited(LOG_INFO, "%s: %s: %s: context %u, %s (0x%08x) at 0x%llx, address 0x%llx",
		    v->config.name, gpu_engine_name(e->id), gpu_fault_name(kind), fault->context_id,
		    scan_command_name(e->id, fault->header), fault->header,
		    (unsigned long long)fault->command_at, (unsigned long long)fault->address);
	vgpu_lock(v);
	if (kind < GPU_FAULT_KINDS)
		vgpu_count(&v->counters.faults[kind]);
	v->last_fault = *fault;
	v->last_fault.kind = kind;
	switch (kind) {
	case GPU_FAULT_ENDLESS:
		break; /* hardware would run on: the driver's heartbeat finds out */
	case GPU_FAULT_SHARE:
	case GPU_FAULT_ADDRESS:
	case GPU_FAULT_CONTEXT:
	case GPU_FAULT_RING:
		/* Hardware stops at it without a word; the driver finds out by its heartbeat. */
		report_page_fault(e, fault, type);
		break;
	default:
		vgpu_irq_engine_error(v, e->id, ENGINE_ERROR_INSTRUCTION);
	}
	vgpu_unlock(v);
}

static void bad_context(struct vgpu_engine *e, uint64_t desc, enum gpu_fault_kind kind)
{
	struct gpu_fault fault = {
		.kind = kind,
		.engine = e->id,
		.context_id = CTX_DESC_ID(desc),
		.address = CTX_DESC_LRCA(desc),
	};

	vgpu_engine_fault(e, &fault);
	e->hung = true;
}

/* ---- Loading and unloading ------------------------------------------------------------------- */

static void load(struct vgpu_engine *e)
{
	uint64_t desc = e->port.desc[0];
	enum gpu_fault_kind kind;

	atomic_store_explicit(&e->running_id, CTX_DESC_ID(desc), memory_order_relaxed);
	atomic_store_explicit(&e->active, true, memory_order_release);
	kind = vgpu_context_load(e, desc);
	if (kind != GPU_FAULT_NONE) {
		bad_context(e, desc, kind);
		return;
	}
	e->tail = e->workload.cs.tail;
	gpu_of(e)->ops->begin(gpu_of(e), &e->workload);
	e->loaded = true;
}

static void unload(struct vgpu_engine *e)
{
	gpu_of(e)->ops->end(gpu_of(e), e->id);
	e->loaded = false;
	vgpu_context_save(e);
}

/* What runs reached its tail: its end is told, the other element follows. */
static void complete(struct vgpu_engine *e)
{
	uint64_t ended = e->port.desc[0];

	vgpu_watchdog_done(&e->watchdog, ended);
	unload(e);
	vgpu_count(&e->vgpu->counters.contexts_completed[e->id]);
	e->port.desc[0] = e->port.desc[1];
	e->port.desc[1] = 0;
	if (e->port.desc[0]) {
		status_event(e, CSB_COMPLETE | CSB_ELEMENT_SWITCH, ended);
	} else {
		atomic_store_explicit(&e->active, false, memory_order_release);
		status_event(e, CSB_COMPLETE | CSB_ACTIVE_IDLE, ended);
	}
}

/*
 * Hardware switches contexts where the commands allow it: between any two of them here, but for
 * what MI_ARB_ON_OFF guards.
 */
static bool may_switch(const struct vgpu_engine *e)
{
	return !e->loaded || !e->workload.arbitration_off;
}

/* Puts a waiting pair onto the engine; false when none waits, or what runs may not be left. */
static bool accept(struct vgpu_engine *e)
{
	struct vgpu_elsp pair;

	if (!e->port.desc[0]) {
		if (!vgpu_execlist_take(e, &pair))
			return false;
		e->port = pair;
		status_event(e, CSB_IDLE_ACTIVE, pair.desc[0]);
		return true;
	}
	if (e->loaded && try_lite_restore(e))
		return true;
	if (!may_switch(e) || !vgpu_execlist_take(e, &pair))
		return false;
	if (e->loaded)
		unload(e);
	status_event(e, CSB_PREEMPTED, e->port.desc[0]);
	e->port = pair;
	return true;
}

/* ---- Running --------------------------------------------------------------------------------- */

/* Runs what is loaded; interrupts that cannot be held back any longer are sent in between. */
static enum gpu_run run_loaded(struct vgpu_engine *e, uint64_t deadline_ns)
{
	struct gpu *gpu = gpu_of(e);
	enum gpu_run ran;

	do {
		if (overdue(e))
			signal_now(e, 0);
		ran = gpu->ops->run(gpu, e->id, deadline_ns);
	} while (ran == GPU_RUN_BUDGET && overdue(e) && clock_now_ns() < deadline_ns);
	return ran;
}

/* The slice that began at @start_ns ended in the middle of something. */
static void watch(struct vgpu_engine *e, uint64_t start_ns)
{
	struct gpu_fault fault = {
		.kind = GPU_FAULT_ENDLESS,
		.engine = e->id,
		.context_id = CTX_DESC_ID(e->port.desc[0]),
		.ppgtt = true,
	};
	struct gpu_cs_state at;

	gpu_of(e)->ops->where(gpu_of(e), e->id, &at, &fault.header);
	if (!vgpu_watchdog_ran(&e->watchdog, e->port.desc[0], at.head, clock_now_ns() - start_ns,
			       e->vgpu->config.watchdog_ns))
		return;
	fault.command_at = at.bb_valid[0] ? at.bb_head[at.bb_valid[1]] : at.head;
	vgpu_engine_fault(e, &fault);
	e->hung = true;
}

static bool may_work(struct vgpu_engine *e)
{
	return !e->hung && !atomic_load_explicit(&e->stopped, memory_order_acquire);
}

/* One turn of the state machine; true when there is another one to do in this slice. */
static bool turn(struct vgpu_engine *e, uint64_t deadline_ns, enum sched_step *step)
{
	uint64_t start_ns;
	enum gpu_run ran;

	accept(e);
	if (!e->port.desc[0]) {
		*step = SCHED_STEP_IDLE;
		return false;
	}
	if (!e->loaded)
		load(e);
	if (e->hung) {
		*step = SCHED_STEP_IDLE;
		return false;
	}
	start_ns = clock_now_ns();
	ran = run_loaded(e, deadline_ns);
	switch (ran) {
	case GPU_RUN_DONE:
		complete(e);
		break;
	case GPU_RUN_FAULT:
		e->hung = true;
		*step = SCHED_STEP_IDLE;
		return false;
	case GPU_RUN_WAIT:
		*step = SCHED_STEP_WAIT;
		return may_switch(e) && client_yield(&e->client) &&
		       !guest_wanted(vgpu_guest(e->vgpu));
	case GPU_RUN_BUDGET:
		watch(e, start_ns);
		break;
	case GPU_RUN_STOPPED:
		break;
	}
	*step = SCHED_STEP_MORE;
	return clock_now_ns() < deadline_ns && !guest_wanted(vgpu_guest(e->vgpu));
}

static enum sched_step engine_step(struct sched_entity *entity, uint64_t deadline_ns)
{
	struct vgpu_engine *e = container_of(entity, struct vgpu_engine, entity);
	struct guest *guest = vgpu_guest(e->vgpu);
	enum sched_step step = SCHED_STEP_IDLE;

	guest_enter(guest);
	while (may_work(e) && turn(e, deadline_ns, &step))
		;
	if (!may_work(e))
		step = SCHED_STEP_IDLE;
	if (step != SCHED_STEP_MORE || !holds_on(e))
		signal_now(e, 0);
	guest_leave(guest);
	return step;
}

/* ---- Life ------------------------------------------------------------------------------------ */

static void reset_halted(struct vgpu_engine *e)
{
	struct vgpu *v = e->vgpu;
	struct gpu *gpu = gpu_of(e);

	vgpu_lock(v);
	/* Not saved: a context that is reset away keeps the image of its last switch. */
	if (e->loaded)
		gpu->ops->end(gpu, e->id);
	e->loaded = false;
	e->hung = false;
	e->watchdog = (struct vgpu_watchdog){ 0 };
	gpu->ops->reset(gpu, e->id);
	vgpu_mmio_reset(v, e->base, e->base + (uint32_t)PAGE_BYTES);
	vgpu_execlist_reset(e);
	atomic_store(&e->stopped, false);
	atomic_store(&e->active, false);
	TRACE(vgpu_reset_engine, e->id, 0, 0, 0);
	vgpu_unlock(v);
}

void vgpu_engines_reset(struct vgpu *v, uint32_t engines)
{
	struct gpu *gpu = v->config.gpu;

	/* The lane may wait for a message that this very thread would bring: it fails instead. */
	guest_hold(vgpu_guest(v));
	/* All before the first wait, or the lane would turn to those that are to go next. */
	for_each_engine(id) {
		if (!(engines & BIT(id)))
			continue;
		/* Both: a workload that begins right now has not heard of the stop. */
		atomic_store(&v->engines[id].stopped, true);
		gpu->ops->stop(gpu, id);
	}
	for_each_engine(id)
		if (engines & BIT(id))
			sched_halt(&v->engines[id].entity);
	guest_unhold(vgpu_guest(v));
	for_each_engine(id)
		if (engines & BIT(id))
			reset_halted(&v->engines[id]);
	for_each_engine(id)
		if (engines & BIT(id))
			sched_release(&v->engines[id].entity);
}

void vgpu_engines_invalidate(struct vgpu *v)
{
	for_each_engine(id) {
		shadow_ggtt_invalidate(&v->engines[id].ggtt);
		shadow_ppgtt_invalidate(&v->engines[id].ppgtt);
	}
}

void vgpu_engine_init(struct vgpu *v, enum gpu_engine id)
{
	struct vgpu_engine *e = &v->engines[id];

	e->vgpu = v;
	e->id = id;
	e->base = gpu_engine_base(id);
	e->client.ops = &client_ops;
	e->entity.step = engine_step;
	e->entity.id = id;
	shadow_ggtt_init(&e->ggtt, vgpu_guest(v), v->ggtt, VGPU_GGTT_ENTRIES);
	shadow_ggtt_limit(&e->ggtt, v->share);
	shadow_ppgtt_init(&e->ppgtt, vgpu_guest(v));
	shadow_ppgtt_track(&e->ppgtt, v->config.tracker);
	e->workload = (struct gpu_workload){
		.engine = id,
		.ggtt = &e->ggtt.as,
		.ppgtt = &e->ppgtt.as,
		.client = &e->client,
		.audit = &v->audit.audit,
	};
	sched_add(v->config.lane, &e->entity);
}

void vgpu_engine_fini(struct vgpu *v, enum gpu_engine id)
{
	struct vgpu_engine *e = &v->engines[id];

	if (!e->vgpu)
		return;
	gpu_of(e)->ops->stop(gpu_of(e), id);
	sched_remove(&e->entity);
	if (e->loaded)
		gpu_of(e)->ops->end(gpu_of(e), id);
	e->loaded = false;
}
