/* SPDX-License-Identifier: MIT */
/*
 * The other door of the house: exits of a vCPU in this very process, served on its own thread.
 * The one public header of the layer.  It knows struct kvm_run and the ring of coalesced stores;
 * what an access does it asks the guest (guest_kvm_access()), which has the trapped ranges.
 *
 * A vCPU is used by one thread at a time; the ring belongs to the VM and is emptied by whoever
 * comes first.
 */
#ifndef KVM_KVM_H
#define KVM_KVM_H

#include <linux/kvm.h>

#include "guest/guest.h"

struct kvm_door;
struct kvm_vcpu;

struct kvm_door_config {
	struct guest *guest; /* of guest_kvm_create(); outlives the door */
	int vm_fd;	     /* borrowed; -1: no ring */
	/*
	 * The ring of coalesced stores is ours to empty.  A store in it that is not ours (a zone of
	 * the VMM's own) is given to @store, on the thread that empties it.
	 */
	bool coalesce;
	void (*store)(void *opaque, gpa_t gpa, const void *buf, size_t len);
	void *opaque;
};

/* -EINVAL, -ENOMEM, -ENOTSUP (this KVM has no ring). */
int kvm_door_create(const struct kvm_door_config *config, struct kvm_door **door);
void kvm_door_destroy(struct kvm_door *door);
/* Serves what waits in the ring, in order.  Any thread that holds no lock; not from a trap. */
void kvm_door_drain(struct kvm_door *door);

struct kvm_door_stats {
	uint64_t exits;	    /* accesses served for a vCPU by an exit */
	uint64_t coalesced; /* stores that came through the ring */
};
void kvm_door_stats(struct kvm_door *door, struct kvm_door_stats *stats);

/* @run: mapped from the vCPU's descriptor, the whole of it; NULL for a vCPU that is not KVM's. */
int kvm_vcpu_create(struct kvm_door *door, struct kvm_run *run, struct kvm_vcpu **vcpu);
void kvm_vcpu_destroy(struct kvm_vcpu *vcpu);

/* False: the vCPU is not KVM's, and has no exits that kvm_vcpu_exit() could serve. */
bool kvm_vcpu_has_run(const struct kvm_vcpu *vcpu);
/*
 * After each return of KVM_RUN.  True: the exit was ours and is served, run again; it is
 * KVM_EXIT_UNKNOWN then, for KVM leaves it in place when the next KVM_RUN fails (EINTR).  False:
 * the VMM's business; stores that came before it have been done.
 */
bool kvm_vcpu_exit(struct kvm_vcpu *vcpu);
/* The same for a VMM that has taken the exit apart itself. */
bool kvm_vcpu_access(struct kvm_vcpu *vcpu, gpa_t gpa, void *buf, size_t len, bool write);

#endif
