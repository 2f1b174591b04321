/* SPDX-License-Identifier: MIT */
/*
 * A guest for fuzz targets whose memory guards itself.  Its pages are seen twice: `ram` is the
 * target's own view; what guest_map() hands out lies in another, where a slot that is read-only,
 * reached by messages or gone has the protection that says so and nothing but guard pages lies
 * around it.  An access that the guest's map forbids is a SIGSEGV.  Stores to pages can be told, as
 * guest_kvm tells them.  One thread.
 */
#ifndef FUZZ_GUEST_H
#define FUZZ_GUEST_H

#include "guest/guest.h"

#define FUZZ_MAX_SLOTS 8u
#define FUZZ_MAX_PAGES 4096u

struct fuzz_slot {
	uint64_t gpa;
	uint32_t first_page; /* of the guest's pages */
	uint32_t bytes;	     /* the last page may be cut short */
	unsigned int access; /* GUEST_* */
	bool messages;	     /* read and write only */
};

struct fuzz_guest {
	struct guest guest;
	uint8_t *ram, *view;
	size_t bytes;
	const struct fuzz_slot *slots;
	unsigned int slot_count;
	bool gone[FUZZ_MAX_SLOTS];
	bool tracked[FUZZ_MAX_PAGES];
	struct guest_watch watch;    /* of those tracked */
	void (*asked)(void *opaque); /* before every operation; or NULL */
	void *opaque;
};

/* @slots is borrowed.  Ends the program when there is no memory. */
void fuzz_guest_init(struct fuzz_guest *g, size_t pages, const struct fuzz_slot *slots,
		     unsigned int count);
/* A change of the map, when it is one. */
void fuzz_guest_set_slot(struct fuzz_guest *g, unsigned int slot, bool present);
void fuzz_guest_all_present(struct fuzz_guest *g);
/* The slot that holds @gpa; NULL: no memory. */
const struct fuzz_slot *fuzz_guest_find(const struct fuzz_guest *g, uint64_t gpa);
/* The guest's CPU is about to store to the page at @place: tells it, if it is tracked. */
void fuzz_guest_tell(struct fuzz_guest *g, size_t place);
/* The byte's place in `ram`, and so in `view`. */
size_t fuzz_guest_place(const struct fuzz_slot *slot, uint64_t gpa);

#endif
