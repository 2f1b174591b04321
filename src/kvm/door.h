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
	struct kvm_coalesced_mmio_ring
		*ring; /* in this vCPU's mapping; NULL: no ring, no mapping */
	uint32_t number;
	_Atomic uint64_t exits; /* written by the vCPU's thread */
	struct kvm_vcpu *next;
};

struct kvm_door {
	struct kvm_door_config config;
	/*
	 * The ring as some vCPU has it mapped, which is in the list as long as this points there;
	 * NULL: none has.  Followed with the lock held alone.
	 */
	_Atomic(struct kvm_coalesced_mmio_ring *) ring;
	uint32_t ring_page;    /* of a vCPU's mapping; 0: nothing is coalesced */
	struct lock ring_lock; /* LOCK_RING: these, changes of the list, who serves from the ring */
	uint32_t head;	       /* the oldest entry not yet served */
	bool head_known;       /* since the first vCPU has brought the ring */
	bool wound_back;       /* and no store has come since */
	struct guest_vcpu mark; /* of him who serves from the ring */
	/* Returns when KVM has finished the stores it is in the middle of. */
	void (*barrier)(struct kvm_door *door);
	_Atomic uint64_t coalesced;
	struct lock lock; /* LOCK_LEAF: the list of vCPUs, for those who only look */
	struct kvm_vcpu *vcpus;
	uint32_t vcpu_count;
	uint64_t gone_exits; /* of vCPUs that have gone */
};

/* ring.c */
int kvm_ring_init(struct kvm_door *door);
/* Where the mapping @run has it; NULL: no ring, or no mapping. */
struct kvm_coalesced_mmio_ring *kvm_ring_of(const struct kvm_door *door, struct kvm_run *run);
/* With the ring's lock held: the ring of a vCPU that has come, should there be none yet. */
void kvm_ring_attach(struct kvm_door *door, struct kvm_coalesced_mmio_ring *ring);
/*
 * With the ring's lock held.  The mapping of @gone goes: the ring is reached through @other, of
 * another vCPU's, or (NULL) not at all.
 */
void kvm_ring_move(struct kvm_door *door, const struct kvm_coalesced_mmio_ring *gone,
		   struct kvm_coalesced_mmio_ring *other);
void kvm_ring_drain(struct kvm_door *door);
/*
 * Serves a store that found the ring full, after what waits in it and before anything later;
 * false: nobody's.
 */
bool kvm_ring_store(struct kvm_door *door, struct kvm_vcpu *vcpu, gpa_t gpa, void *buf, size_t len);

/*
 * True when something may wait: a glance without the lock, by the vCPU's own mapping, for any other
 * may go meanwhile.  Who has none has to ask with the lock held.
 */
static inline bool kvm_ring_waiting(const struct kvm_vcpu *vcpu)
{
	struct kvm_door *door = vcpu->door;

	if (!vcpu->ring)
		return atomic_load_explicit(&door->ring, memory_order_relaxed);
	return __atomic_load_n(&vcpu->ring->last, __ATOMIC_ACQUIRE) !=
	       __atomic_load_n(&door->head, __ATOMIC_ACQUIRE);
}

/* True when a store may have found the ring full, or changes how much room it may have. */
static inline bool kvm_ring_concerns(const struct kvm_vcpu *vcpu, gpa_t gpa, size_t len)
{
	return kvm_ring_waiting(vcpu) ||
	       (vcpu->ring && guest_kvm_in_run(vcpu->door->config.guest, gpa, len));
}

#endif
