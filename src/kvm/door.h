/* SPDX-License-Identifier: MIT */
/*
 * The inside of the door, shared by the files of this layer.
 */
#ifndef KVM_DOOR_H
#define KVM_DOOR_H

#include <stdatomic.h>

#include "base/lock.h"
#include "kvm/kvm.h"

struct kvm_vcpu {
	struct guest_vcpu mark; /* first: it has a cache line of its own */
	struct kvm_door *door;
	struct kvm_run *run;
	uint32_t number;
	_Atomic uint64_t exits; /* written by the vCPU's thread */
	struct kvm_vcpu *next;
};

struct kvm_door {
	struct kvm_door_config config;
	/* Ring; NULL until the first vCPU has brought it, and when nothing is coalesced. */
	_Atomic(struct kvm_coalesced_mmio_ring *) ring;
	uint32_t ring_page;	/* of a vCPU's mapping */
	struct lock ring_lock;	/* LOCK_RING: the three below, and who serves from the ring */
	uint32_t head;		/* the oldest entry not yet served */
	bool wound_back;	/* and no store has come since */
	struct guest_vcpu mark; /* of him who serves from the ring */
	/* Returns when KVM has finished the stores it is in the middle of. */
	void (*barrier)(struct kvm_door *door);
	_Atomic uint64_t coalesced;
	struct lock lock; /* LOCK_LEAF: the list of vCPUs */
	struct kvm_vcpu *vcpus;
	uint32_t vcpu_count;
	uint64_t gone_exits; /* of vCPUs that have gone */
};

/* ring.c */
int kvm_ring_init(struct kvm_door *door);
/* The first vCPU brings the mapping. */
void kvm_ring_attach(struct kvm_door *door, struct kvm_run *run);
/* The mapping of @gone goes: the ring is reached through that of @other, or (NULL) not at all. */
void kvm_ring_move(struct kvm_door *door, struct kvm_run *gone, struct kvm_run *other);
void kvm_ring_drain(struct kvm_door *door);
/*
 * Serves a store that found the ring full, after what waits in it and before anything later;
 * false: nobody's.
 */
bool kvm_ring_store(struct kvm_door *door, struct kvm_vcpu *vcpu, gpa_t gpa, void *buf, size_t len);

/* True when something waits: a glance without the lock. */
static inline bool kvm_ring_waiting(struct kvm_door *door)
{
	struct kvm_coalesced_mmio_ring *ring =
		atomic_load_explicit(&door->ring, memory_order_acquire);

	return ring && __atomic_load_n(&ring->last, __ATOMIC_ACQUIRE) !=
			       __atomic_load_n(&door->head, __ATOMIC_ACQUIRE);
}

/* True when a store may have found the ring full, or changes how much room it may have. */
static inline bool kvm_ring_concerns(struct kvm_door *door, gpa_t gpa)
{
	return atomic_load_explicit(&door->ring, memory_order_relaxed) &&
	       (kvm_ring_waiting(door) || guest_kvm_in_run(door->config.guest, gpa));
}

#endif
