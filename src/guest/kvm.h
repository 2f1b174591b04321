/* SPDX-License-Identifier: MIT */
/*
 * The inside of the guest of a VMM in this process, shared by guest/kvm*.c: its memory, the KVM
 * slot numbers and interrupt numbers the VMM lent, its traps.
 */
#ifndef GUEST_KVM_H
#define GUEST_KVM_H

#include "base/lock.h"
#include "guest/guest.h"
#include "guest/slots.h"
#include "guest/traps.h"

#define KVM_GUEST_MAX_SLOTS 512u /* of ours; KVM has 32764 */
#define KVM_GUEST_MAX_GSIS  64u
#define KVM_GUEST_MAX_RUNS  32u

/* What a slot is for.  Each kind is taken away only by those who made it. */
enum kvm_slot_kind {
	KVM_SLOT_MEMORY, /* guest memory, or a piece of it */
	KVM_SLOT_WINDOW, /* a device's memory */
	KVM_SLOT_ALIAS,	 /* guest memory that is also elsewhere */
};

/* A KVM memory slot that we made. */
struct kvm_slot {
	enum kvm_slot_kind kind;
	uint64_t gpa, bytes; /* bytes 0: the number is free */
	void *host;
	bool read_only;
	bool unwanted; /* KVM would not take it away: asked again */
	bool gone;     /* in the middle of a removal */
	uint64_t of;   /* ALIAS: where else */
};

struct kvm_userspace_memory_region;

struct kvm_gsi {
	int eventfd; /* borrowed, -1: free */
	struct guest_msi msi;
};

/* Page numbers, sorted, and who is told. */
struct kvm_tracker {
	uint64_t *pages;
	size_t count;
	struct guest_watch watch;
};

struct guest_kvm {
	struct guest guest;
	struct guest_kvm_config config;
	struct guest_slots slots;   /* changes in writer sections */
	struct kvm_tracker tracker; /* changes in writer sections */
	/* Memory has been split: stores to it may exit.  For good, one may be on its way here. */
	_Atomic bool was_split;
	struct guest_traps traps;
	struct lock lock; /* LOCK_LEAF: the two below */
	struct kvm_slot kvm_slots[KVM_GUEST_MAX_SLOTS];
	struct kvm_gsi gsis[KVM_GUEST_MAX_GSIS];
	/* Of KVM: guest_kvm_set_region(). */
	int (*set_region)(struct guest_kvm *kvm, const struct kvm_userspace_memory_region *region);
	/* Changed by the thread that changes the device, read by the one that empties the ring. */
	struct lock run_lock; /* LOCK_RUNS: slack() takes the device's */
	struct guest_run runs[KVM_GUEST_MAX_RUNS];
	unsigned int run_count;
	/* Their places, for whoever has no lock; of two that change the address comes last. */
	_Atomic uint64_t run_at[KVM_GUEST_MAX_RUNS];
	_Atomic uint32_t run_bytes[KVM_GUEST_MAX_RUNS];
};

static inline struct guest_kvm *guest_kvm_of(struct guest *guest)
{
	return container_of(guest, struct guest_kvm, guest);
}

/* kvm_slots.c: with the lock held.  Guest memory, or a piece of it. */
int guest_kvm_slot_add(struct guest_kvm *kvm, uint64_t gpa, uint64_t bytes, void *host,
		       bool read_only);
bool guest_kvm_slot_is_memory(const struct kvm_slot *slot, uint64_t gpa, uint64_t bytes);
/*
 * All guest memory of ours in [@gpa, @gpa + @bytes), or (-errno of KVM) none of it; -ENOENT: there
 * is none.
 */
int guest_kvm_slot_remove(struct guest_kvm *kvm, uint64_t gpa, uint64_t bytes);
/* Those aliases that show any of the guest memory [@gpa, @gpa + @bytes); -errno of KVM: none. */
int guest_kvm_aliases_remove(struct guest_kvm *kvm, uint64_t gpa, uint64_t bytes);
/* Closes every window that shares a byte with [@gpa, @gpa + @bytes); -errno of KVM: none. */
int guest_kvm_make_way(struct guest_kvm *kvm, uint64_t gpa, uint64_t bytes);
int guest_kvm_set_region(struct guest_kvm *kvm, const struct kvm_userspace_memory_region *region);
/* At the end. */
void guest_kvm_slots_fini(struct guest_kvm *kvm);
int guest_kvm_window(struct guest *guest, const struct guest_window *window, bool on);

/* kvm_run.c */
int guest_kvm_run(struct guest *guest, const struct guest_run *run, bool on);

/* kvm_track.c */
int guest_kvm_track(struct guest *guest, const gpa_t *pages, size_t count,
		    const struct guest_watch *watch);
/* In a reader or writer section, or on the thread that changes the set. */
bool guest_kvm_any_tracked(struct guest_kvm *kvm, uint64_t gpa, uint64_t bytes);
/* In a writer section: memory that goes. */
void guest_kvm_track_forget(struct guest_kvm *kvm, uint64_t gpa, uint64_t bytes);
/* A vCPU's store that found its page read-only; false: not for us. */
bool guest_kvm_track_store(struct guest_kvm *kvm, gpa_t gpa, const void *buf, size_t len);
/* In a reader section: the device is about to store there. */
void guest_kvm_track_write(struct guest_kvm *kvm, gpa_t gpa, size_t len);
/* The same for as long as it has the mapping, which it may have up to the next tracked page. */
void guest_kvm_track_map(struct guest_kvm *kvm, gpa_t gpa, size_t *len);

/* kvm_irq.c */
int guest_kvm_doorbell(struct guest *guest, const struct guest_doorbell *doorbell, bool on);
int guest_kvm_irq_route(struct guest *guest, int eventfd, const struct guest_msi *msi);
int guest_kvm_irq_signal(struct guest *guest, const struct guest_msi *msi);
void guest_kvm_irq_init(struct guest_kvm *kvm);
void guest_kvm_irq_fini(struct guest_kvm *kvm);

#endif
