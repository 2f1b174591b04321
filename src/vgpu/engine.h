/* SPDX-License-Identifier: MIT */
/*
 * One engine of a vGPU: an entity of the lane that takes what was written to ELSP, loads the
 * contexts, lets the GPU run them and tells the guest through the context status buffer.
 *
 * The MMIO side (any thread, under vgpu->lock) only leaves a pair in `pending` or raises `stopped`
 * and kicks; everything a guest can see of a submission is done by the lane in program order, so
 * the events come out in the order that i915 expects.  A reset halts the entity first.
 */
#ifndef VGPU_ENGINE_H
#define VGPU_ENGINE_H

#include "gpu/gpu.h"
#include "sched/sched.h"
#include "shadow/shadow.h"
#include "vgpu/context.h"
#include "vgpu/watchdog.h"

struct vgpu;

/* Two context descriptors; 0: that port is empty. */
struct vgpu_elsp {
	uint64_t desc[2];
};

struct vgpu_engine {
	struct vgpu *vgpu;
	enum gpu_engine id;
	uint32_t base;
	struct sched_entity entity;
	struct gpu_client client;

	/* Guarded by vgpu->lock. */
	uint32_t elsp_dwords[4];
	unsigned int elsp_count;
	struct vgpu_elsp pending;
	_Atomic bool has_pending; /* written under the lock, peeked at without */
	_Atomic bool stopped;	  /* STOP_RING */

	/* The lane's; a reset's while the entity is halted. */
	struct vgpu_elsp port; /* desc[0] is what runs; 0: idle */
	bool loaded;	       /* the GPU has the workload */
	uint32_t irq_held;     /* interrupts (enum gpu_interrupt) that happened and were not sent */
	uint64_t irq_until_ns; /* when they have to be */
	uint32_t tail;	       /* of the ring, as of the last lite restore */
	bool hung;	       /* met a fault: nothing more until a reset */
	struct vgpu_watchdog watchdog;
	struct vgpu_context context;
	struct gpu_workload workload;
	struct shadow_ggtt ggtt;
	struct shadow_ppgtt ppgtt;

	/* Peeked at by registers on other threads. */
	_Atomic unsigned int csb_next; /* slot of the next entry */
	_Atomic bool active;
	_Atomic uint32_t running_id; /* descriptor's high dword */
};

void vgpu_engine_init(struct vgpu *v, enum gpu_engine id);
void vgpu_engine_fini(struct vgpu *v, enum gpu_engine id);

/*
 * Drops everything that the engines (bits, 1 << id) were doing; returns when the lane has let go
 * of them.  Not under lock.  What readers of guest memory wait for meanwhile fails.
 */
void vgpu_engines_reset(struct vgpu *v, uint32_t engines);

/* Records a fault and shows it in the error registers.  The lane; takes the lock. */
void vgpu_engine_fault(struct vgpu_engine *e, const struct gpu_fault *fault);

/* Translations cached by the engines are not to be trusted any longer; any thread. */
void vgpu_engines_invalidate(struct vgpu *v);

/* execlist.c: takes the submission that waits, if there is one.  The lane; takes the lock. */
bool vgpu_execlist_take(struct vgpu_engine *e, struct vgpu_elsp *pair);
/* Takes it only if it goes on with the context that runs. */
bool vgpu_execlist_take_lite(struct vgpu_engine *e, struct vgpu_elsp *pair);
/* Writes an entry into the status buffer: registers, status page, then the index.  The lane. */
void vgpu_execlist_event(struct vgpu_engine *e, uint32_t status, uint32_t context_id);
void vgpu_execlist_reset(struct vgpu_engine *e);

/* Bits of an entry (i915: GEN8_CTX_STATUS_*). */
enum vgpu_csb_status {
	CSB_IDLE_ACTIVE = BIT(0),
	CSB_PREEMPTED = BIT(1),
	CSB_ELEMENT_SWITCH = BIT(2),
	CSB_ACTIVE_IDLE = BIT(3),
	CSB_COMPLETE = BIT(4),
	CSB_LITE_RESTORE = BIT(15),
};

#endif
