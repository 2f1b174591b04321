/* SPDX-License-Identifier: MIT */
/*
 * The state of one vGPU.  vgpu->lock (LOCK_VGPU) guards what registers do: execlist queues, the
 * interrupt tree, the display.  Register values, GGTT entries and counters are atomic words that
 * need no lock.  What a lane alone touches is said in engine.h.
 */
#ifndef VGPU_DEVICE_H
#define VGPU_DEVICE_H

#include <stdatomic.h>

#include "base/lock.h"
#include "scan/scan.h"
#include "vgpu/engine.h"
#include "vgpu/vgpu.h"

struct vgpu_display;

/*
 * Accesses by kind, counted in several places: a cache line for (nearly) each thread, so that vCPUs
 * which look at registers do not fight over one.
 */
#define VGPU_ACCESS_SHARDS 16u
struct vgpu_access_counters {
	_Alignas(64) _Atomic uint64_t reg_reads;
	_Atomic uint64_t reg_writes;
	_Atomic uint64_t opregion_reads;
	_Atomic uint64_t ggtt_reads, ggtt_writes;
	_Atomic uint64_t aperture_reads, aperture_writes;
	_Atomic uint64_t unknown_registers;
};

/* What else vgpu_stats() reports; relaxed, any thread. */
struct vgpu_counters {
	_Atomic uint64_t submissions[GPU_ENGINES];
	_Atomic uint64_t contexts_completed[GPU_ENGINES];
	_Atomic uint64_t engine_resets[GPU_ENGINES], full_resets;
	_Atomic uint64_t interrupts;
	_Atomic uint64_t faults[GPU_FAULT_KINDS];
	_Atomic uint64_t frames[VGPU_PIPES], flips[VGPU_PIPES], vblanks[VGPU_PIPES];
};

/* What vgpu_aperture_runs() met last, and made of it; one call at a time. */
struct vgpu_aperture_seen {
	uint64_t *entries; /* of the mappable part */
	uint64_t fences[32];
	struct vgpu_aperture_run runs[VGPU_APERTURE_RUNS];
	unsigned int count;
};

static inline void vgpu_count(_Atomic uint64_t *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

struct vgpu {
	struct vgpu_config config; /* name is ours, the rest is borrowed */
	struct lock lock;
	_Atomic uint32_t *vreg; /* VGPU_MMIO_BYTES / 4 */
	_Atomic uint64_t *ggtt; /* VGPU_GGTT_ENTRIES */
	struct vgpu_engine engines[GPU_ENGINES];
	struct vgpu_display *display; /* the display files'; guarded by lock */
	struct vgpu_access_counters accesses[VGPU_ACCESS_SHARDS];
	struct vgpu_counters counters;
	struct vgpu_aperture_seen seen;

	/* What commands with privilege may do; constant. */
	struct scan_audit audit;
	struct gpu_range share[SCAN_SHARE_RANGES]; /* of the GGTT */
	uint64_t cs_writable[SCAN_REGISTER_WORDS];

	/* Guarded by lock. */
	bool irq_level;	  /* enabled and something pending: the next message is due when it rises */
	uint32_t irq_due; /* it rose by these: whoever lets go of the lock sends the message */
	uint64_t handled_since_ns; /* a handler disabled the master register; 0: none */
	bool driver_ready;
	struct gpu_fault last_fault;

	_Atomic uint32_t irq_cost_ns; /* written under the lock */
};

/* vgpu.c: where this thread counts its accesses. */
struct vgpu_access_counters *vgpu_accesses(struct vgpu *v);

/* audit.c: fills in what commands may do. */
void vgpu_audit_init(struct vgpu *v);

/* True when the GGTT address is one of this vGPU's. */
static inline bool vgpu_in_share(const struct vgpu *v, uint64_t gma)
{
	return (gma >= v->share[0].first && gma < v->share[0].end) ||
	       (gma >= v->share[1].first && gma < v->share[1].end);
}

static inline void vgpu_lock(struct vgpu *v)
{
	lock_acquire(&v->lock);
}

/* irq.c: lets go of the lock, then sends the interrupt message that became due meanwhile. */
void vgpu_unlock(struct vgpu *v);

/* After entries or fences have changed; no lock is held. */
static inline void vgpu_aperture_changed(struct vgpu *v)
{
	if (v->config.host->aperture_changed)
		v->config.host->aperture_changed(v->config.opaque);
}

static inline struct guest *vgpu_guest(struct vgpu *v)
{
	return v->config.guest;
}

#endif
