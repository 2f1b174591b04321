/* SPDX-License-Identifier: MIT */
/*
 * The slots of a guest's physical memory, sorted by address.  Readers look up inside a reader
 * section of the guest, the map changes inside a writer section, so nothing here locks.
 */
#ifndef GUEST_SLOTS_H
#define GUEST_SLOTS_H

#include <sys/types.h>

#include "guest/guest.h"

struct guest_slot {
	uint64_t gpa, bytes; /* does not wrap, never empty */
	unsigned int access; /* GUEST_* */
	enum guest_backing backing;
	uint8_t *host; /* MMAP: the byte of @gpa */
	int fd;	       /* FILE: a duplicate of our own, else -1 */
	uint64_t fd_offset;
	dev_t dev; /* which file, for those that have one */
	ino_t ino;
	void *map_base; /* MMAP: what munmap() wants */
	size_t map_bytes;
	int sigbus;	/* MMAP: handle */
	bool installed; /* a VMM in this process had us make the hypervisor's slot too */
};

struct guest_slots {
	struct guest_slot *slots;
	uint32_t count, room;
	uint64_t bytes;	       /* sum over all slots */
	_Atomic uint32_t last; /* index of the last hit: a hint, checked before use */
};

void guest_slots_fini(struct guest_slots *slots);

/* The slot that holds @gpa, or NULL.  O(log n), O(1) when it is the one of the last call. */
struct guest_slot *guest_slots_find(struct guest_slots *slots, uint64_t gpa);
/* The first slot sharing a byte with [@gpa, @gpa + @bytes), which does not wrap; or NULL. */
struct guest_slot *guest_slots_overlap(struct guest_slots *slots, uint64_t gpa, uint64_t bytes);

/* Makes room for one more slot, so that the next insertion cannot fail; -ENOMEM. */
int guest_slots_reserve(struct guest_slots *slots);
/* @slot is copied and overlaps none; needs room. */
void guest_slots_insert(struct guest_slots *slots, const struct guest_slot *slot);
void guest_slots_remove(struct guest_slots *slots, struct guest_slot *slot);

#endif
