/* SPDX-License-Identifier: MIT */
/* What an address space asks of the tracker, shared by the files of this layer. */
#ifndef SHADOW_TRACKER_H
#define SHADOW_TRACKER_H

#include "base/lock.h"
#include "shadow/shadow.h"

#define TRACKER_TABLES 256u /* a power of two; each a page that may be tracked */
#define TRACKER_STABLE 8u   /* looks that find a table unchanged until it is asked to be tracked */

/*
 * What becomes of a place.  Its page changes only while it is at rest, with the tracker's lock
 * held; the steps are made by whoever is named, each in one exchange of the state.
 */
enum tracker_state {
	TRACKER_AT_REST, /* holds a page with its history, or none */
	TRACKER_WANTED,	 /* a lane: to be tracked */
	TRACKER_WRITTEN, /* a vCPU: the guest stored to it; not to be tracked any more */
	TRACKER_GONE,	 /* its space went; the same, and its history with it */
	TRACKER_STAMPS,	 /* this and above, the updater: tracked, and not stored to since */
};

/* One place; a page has only one where it may be. */
struct tracker_place {
	_Atomic uint64_t page; /* | 1; 0: none */
	_Atomic uint64_t root; /* of the space that asked for it */
	_Atomic uint64_t state;
	/* With the lock held. */
	uint32_t written; /* how often it was tracked in vain */
	uint32_t waits;	  /* how often it has to be asked for again until it is tracked */
};

struct shadow_tracker {
	struct guest *guest;
	void (*kick)(void *opaque);
	void *opaque;
	struct lock lock; /* LOCK_LEAF */
	uint64_t stamp;	  /* the last given out; never the same again.  The updater's */
	struct tracker_place place[TRACKER_TABLES];
};

static inline struct tracker_place *tracker_place(struct shadow_tracker *tracker, gpa_t page)
{
	return &tracker->place[(page.v >> PAGE_SHIFT) % TRACKER_TABLES];
}

/*
 * The stamp of a table that is tracked and has not been stored to since it got the stamp, else 0.
 * What is read of the table after this call, and found under the same stamp later, is what it
 * holds then.  Any thread.
 */
static inline uint64_t tracker_stamp(struct shadow_tracker *tracker, gpa_t page)
{
	struct tracker_place *place = tracker_place(tracker, page);
	uint64_t state;

	/* In this order: a page seen here was there no earlier than the state was. */
	state = atomic_load_explicit(&place->state, memory_order_acquire);
	if (state < TRACKER_STAMPS ||
	    atomic_load_explicit(&place->page, memory_order_acquire) != (page.v | 1))
		return 0;
	return state;
}

/* The table at @page was looked at often and did not change.  The lane; does not block long. */
void tracker_want(struct shadow_tracker *tracker, gpa_t page, gpa_t root);

#endif
