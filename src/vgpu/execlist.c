/* SPDX-License-Identifier: MIT */
/*
 * Execlists: the submission port and the context status buffer.
 *
 * A vCPU writes four dwords to ELSP; the fourth leaves the pair in `pending` and wakes the lane.
 * The lane answers with entries in the status buffer: exactly one that promotes (IDLE_ACTIVE or
 * PREEMPTED) for each pair, then one for each context that completes.  i915 treats any surplus as
 * a broken engine.
 *
 * An entry lives in the registers and in the engine's status page, where the driver polls: the
 * 64-bit entry is stored first, then the index, so that a driver that sees the index sees the
 * entry.
 */
#include "base/trace.h"
#include "vgpu/irq.h"
#include "vgpu/mmio.h"

#define CSB_ENTRIES	   6u
#define CSB_WRITE_PTR_MASK 0x7u

/* Bytes into the status page (i915: I915_HWS_CSB_BUF0_INDEX, I915_HWS_CSB_WRITE_INDEX). */
#define HWSP_CSB	   0x40u
#define HWSP_CSB_WRITE_PTR 0x7cu

static struct vgpu_engine *engine_at(struct vgpu *v, uint32_t base)
{
	for_each_engine(id)
		if (v->engines[id].base == base)
			return &v->engines[id];
	return NULL;
}

/* ---- The port -------------------------------------------------------------------------------- */

/* True when @value was the last of the four. */
static bool elsp_store(struct vgpu_engine *e, uint32_t value)
{
	const uint32_t *dw = e->elsp_dwords;
	struct vgpu_elsp pair;

	e->elsp_dwords[e->elsp_count++] = value;
	if (e->elsp_count < 4)
		return false;
	e->elsp_count = 0;
	/* Written from the last element's high half to the first one's low half. */
	pair.desc[1] = (uint64_t)dw[0] << 32 | dw[1];
	pair.desc[0] = (uint64_t)dw[2] << 32 | dw[3];
	for (unsigned int i = 0; i < 2; i++)
		if (!(pair.desc[i] & CTX_DESC_VALID))
			pair.desc[i] = 0;
	vgpu_count(&e->vgpu->counters.submissions[e->id]);
	TRACE(vgpu_elsp, e->id, pair.desc[0], pair.desc[1], 0);
	/* Without a first element it is none, and takes nothing from one that still waits. */
	if (!pair.desc[0])
		return false;
	e->pending = pair;
	atomic_store_explicit(&e->has_pending, true, memory_order_release);
	return true;
}

/* The lane, once woken up, wants the lock: the row is `unlocked`. */
void vgpu_write_ring_elsp(struct vgpu *v, uint32_t offset, uint32_t value)
{
	struct vgpu_engine *e = engine_at(v, offset - REG_RING_ELSP(0));
	bool submitted;

	vgpu_lock(v);
	submitted = elsp_store(e, value);
	vgpu_unlock(v);
	if (submitted)
		sched_kick(&e->entity);
}

/* The same context on top of a waiting pair: hardware restores it "lite", ring tail only. */
static bool is_lite_restore(const struct vgpu_engine *e, const struct vgpu_elsp *pair)
{
	return context_desc_same(pair->desc[0], e->port.desc[0]) &&
	       !(pair->desc[0] & CTX_DESC_FORCE_RESTORE);
}

/* Looks and takes under one lock: a pair may be replaced by one of other contexts at any time. */
static bool take(struct vgpu_engine *e, struct vgpu_elsp *pair, bool lite_only)
{
	bool found;

	if (!atomic_load_explicit(&e->has_pending, memory_order_acquire))
		return false;
	vgpu_lock(e->vgpu);
	found = atomic_load_explicit(&e->has_pending, memory_order_relaxed) &&
		(!lite_only || is_lite_restore(e, &e->pending));
	if (found) {
		*pair = e->pending;
		atomic_store_explicit(&e->has_pending, false, memory_order_relaxed);
		/* Inside the lock, so that a trace has it before the next write of ELSP. */
		TRACE(vgpu_taken, e->id, pair->desc[0], pair->desc[1], 0);
	}
	vgpu_unlock(e->vgpu);
	return found;
}

bool vgpu_execlist_take(struct vgpu_engine *e, struct vgpu_elsp *pair)
{
	return take(e, pair, false);
}

bool vgpu_execlist_take_lite(struct vgpu_engine *e, struct vgpu_elsp *pair)
{
	return take(e, pair, true);
}

/* ---- The status buffer ----------------------------------------------------------------------- */

static void hwsp_store(struct vgpu_engine *e, uint32_t at, uint64_t value, size_t len)
{
	gma_t where = gma(vgpu_vreg(e->vgpu, REG_RING_HWS_PGA(e->base)) + at);
	void *host = gpu_as_map(&e->ggtt.as, where, GPU_WRITE);
	gma_t fault_at;

	/* Release: what the context wrote is seen before its completion is. */
	if (!host)
		gpu_as_write(&e->ggtt.as, where, &value, len, &fault_at);
	else if (len == sizeof(uint64_t))
		__atomic_store_n((uint64_t *)host, value, __ATOMIC_RELEASE);
	else
		__atomic_store_n((uint32_t *)host, (uint32_t)value, __ATOMIC_RELEASE);
}

void vgpu_execlist_event(struct vgpu_engine *e, uint32_t status, uint32_t context_id)
{
	struct vgpu *v = e->vgpu;
	unsigned int slot = atomic_load_explicit(&e->csb_next, memory_order_relaxed);
	uint32_t ptr = REG_RING_CONTEXT_STATUS_PTR(e->base);
	uint32_t entry = REG_RING_CONTEXT_STATUS_BUF(e->base) + 8 * slot;

	vgpu_vreg_set(v, entry, status);
	vgpu_vreg_set(v, entry + 4, context_id);
	hwsp_store(e, HWSP_CSB + 8 * slot, (uint64_t)context_id << 32 | status, sizeof(uint64_t));
	/* The driver may move the read pointer beside it now. */
	vgpu_vreg_replace(v, ptr, CSB_WRITE_PTR_MASK, slot);
	hwsp_store(e, HWSP_CSB_WRITE_PTR, slot, sizeof(uint32_t));
	atomic_store_explicit(&e->csb_next, (slot + 1) % CSB_ENTRIES, memory_order_relaxed);
	TRACE(vgpu_csb, e->id, status, context_id, slot);
}

/*
 * A masked register of two pointers, of which the lane moves one without the lock.  The driver
 * writes both after a reset; the entry that follows the write pointer is the next one used.
 */
void vgpu_write_ring_csb_ptr(struct vgpu *v, uint32_t offset, uint32_t value)
{
	struct vgpu_engine *e = engine_at(v, offset - REG_RING_CONTEXT_STATUS_PTR(0));
	uint32_t mask = value >> 16;

	vgpu_vreg_replace(v, offset, mask, value);
	if ((mask & CSB_WRITE_PTR_MASK) && !atomic_load(&e->active))
		atomic_store(&e->csb_next, ((value & CSB_WRITE_PTR_MASK) + 1) % CSB_ENTRIES);
}

void vgpu_execlist_reset(struct vgpu_engine *e)
{
	e->elsp_count = 0;
	e->pending = (struct vgpu_elsp){ { 0, 0 } };
	atomic_store(&e->has_pending, false);
	e->port = (struct vgpu_elsp){ { 0, 0 } };
	e->irq_held = 0;
	atomic_store(&e->csb_next, 0);
	/* The pointer rests on the last slot, so that the first entry goes into slot 0. */
	vgpu_vreg_set(e->vgpu, REG_RING_CONTEXT_STATUS_PTR(e->base),
		      (CSB_ENTRIES - 1) << 8 | (CSB_ENTRIES - 1));
}

/* Low: which elements are valid; high: the identity of the context that runs. */
uint32_t vgpu_read_ring_execlist_status(struct vgpu *v, uint32_t offset)
{
	for_each_engine(id) {
		struct vgpu_engine *e = &v->engines[id];
		bool active = atomic_load(&e->active);

		if (offset == REG_RING_EXECLIST_STATUS_LO(e->base))
			return active ? BIT(4) | BIT(17) : 0;
		if (offset == REG_RING_EXECLIST_STATUS_HI(e->base))
			return active ? atomic_load(&e->running_id) : 0;
	}
	return 0;
}
