/* SPDX-License-Identifier: MIT */
/*
 * Which page tables are tracked, where guest_ops can: while the guest's stores to a table would be
 * told and none was, the translations made of it are good without a look at it.
 *
 * Four kinds of threads meet here.  Lanes ask for tables that they found unchanged often, and take
 * stamps.  vCPUs tell of stores.  Whoever drops spaces (a register's handler, a reset) gives their
 * tables up.  The updater, one thread at a time, does what the others asked for, in batches,
 * because each change of the tracked set costs the guest a pause.
 *
 * No store is lost.  A stamp is given out after guest_ops.track has returned; a lane takes it
 * before it looks at the table, so what it looked at was already being tracked.  A store is told
 * before it is done, inside a reader section, and the mark stays until track has taken the page
 * back, which waits for the readers: in between nobody gets a stamp for it.
 *
 * A store to a tracked table costs an exit of its vCPU, dearer than many looks.  So a table that
 * was stored to has to be asked for twice as often the next time.
 */
#include "shadow/tracker.h"

#include <errno.h>
#include <stdlib.h>

#define MAX_DOUBLINGS 20u

static bool step(struct tracker_place *place, uint64_t from, uint64_t to)
{
	return atomic_compare_exchange_strong_explicit(&place->state, &from, to,
						       memory_order_acq_rel, memory_order_acquire);
}

/* Gives a place up that is tracked, or about to be. */
static bool give_up(struct tracker_place *place, enum tracker_state why)
{
	uint64_t state = atomic_load_explicit(&place->state, memory_order_acquire);

	while (state == TRACKER_WANTED || state >= TRACKER_STAMPS)
		if (atomic_compare_exchange_weak_explicit(
			    &place->state, &state, why, memory_order_acq_rel, memory_order_acquire))
			return true;
	return false;
}

/* ---- Lanes ----------------------------------------------------------------------------------- */

/* With the lock held.  Makes the place @page's, unless another's is of use; true: it is. */
static bool occupy(struct tracker_place *place, gpa_t page, gpa_t root)
{
	if (atomic_load_explicit(&place->state, memory_order_acquire) != TRACKER_AT_REST)
		return false;
	if (atomic_load_explicit(&place->page, memory_order_relaxed) != (page.v | 1)) {
		place->written = place->waits = 0;
		atomic_store_explicit(&place->page, page.v | 1, memory_order_release);
	}
	atomic_store_explicit(&place->root, root.v, memory_order_relaxed);
	return true;
}

void tracker_want(struct shadow_tracker *tracker, gpa_t page, gpa_t root)
{
	struct tracker_place *place = tracker_place(tracker, page);
	bool wanted = false;

	lock_acquire(&tracker->lock);
	if (occupy(place, page, root)) {
		if (place->waits)
			place->waits--;
		else
			wanted = step(place, TRACKER_AT_REST, TRACKER_WANTED);
	}
	lock_release(&tracker->lock);
	if (wanted)
		tracker->kick(tracker->opaque);
}

/* ---- Those who take away --------------------------------------------------------------------- */

/* A struct guest_watch: the guest is about to store to @page. */
static void page_written(void *opaque, gpa_t page)
{
	struct shadow_tracker *tracker = opaque;
	struct tracker_place *place = tracker_place(tracker, page);

	if (atomic_load_explicit(&place->page, memory_order_acquire) != (page.v | 1) ||
	    !give_up(place, TRACKER_WRITTEN))
		return;
	tracker->kick(tracker->opaque);
}

void shadow_tracker_drop(struct shadow_tracker *tracker, const gpa_t *root)
{
	bool any = false;

	if (!tracker)
		return;
	for (unsigned int i = 0; i < TRACKER_TABLES; i++) {
		struct tracker_place *place = &tracker->place[i];

		if (!root || atomic_load_explicit(&place->root, memory_order_relaxed) == root->v)
			any |= give_up(place, TRACKER_GONE);
	}
	if (any)
		tracker->kick(tracker->opaque);
}

/* ---- The updater ----------------------------------------------------------------------------- */

struct batch {
	struct tracker_place *place[TRACKER_TABLES];
	gpa_t page[TRACKER_TABLES];
	size_t count;
};

static int track(struct shadow_tracker *tracker, const gpa_t *pages, size_t count, bool on)
{
	const struct guest_watch watch = { .written = page_written, .opaque = tracker };

	return tracker->guest->ops->track(tracker->guest, pages, count, on ? &watch : NULL);
}

/* Those whose state lies between the two. */
static void collect(struct shadow_tracker *tracker, uint64_t first, uint64_t last,
		    struct batch *batch)
{
	batch->count = 0;
	for (unsigned int i = 0; i < TRACKER_TABLES; i++) {
		struct tracker_place *place = &tracker->place[i];
		uint64_t state = atomic_load_explicit(&place->state, memory_order_acquire);

		if (state < first || state > last)
			continue;
		batch->place[batch->count] = place;
		batch->page[batch->count++] =
			gpa(atomic_load_explicit(&place->page, memory_order_relaxed) & ~1ull);
	}
}

/* With the lock held: a place that is tracked no more. */
static void rest(struct tracker_place *place)
{
	if (atomic_load_explicit(&place->state, memory_order_acquire) == TRACKER_GONE) {
		atomic_store_explicit(&place->page, 0, memory_order_relaxed);
	} else {
		place->waits = 1u << place->written;
		place->written += place->written < MAX_DOUBLINGS;
	}
	atomic_store_explicit(&place->state, TRACKER_AT_REST, memory_order_release);
}

static void untrack(struct shadow_tracker *tracker, struct batch *batch)
{
	collect(tracker, TRACKER_WRITTEN, TRACKER_GONE, batch);
	if (!batch->count || track(tracker, batch->page, batch->count, false))
		return; /* once more the next time */
	lock_acquire(&tracker->lock);
	for (size_t i = 0; i < batch->count; i++)
		rest(batch->place[i]);
	lock_release(&tracker->lock);
}

/* The guest's memory does not allow it here: as good as never again. */
static void refuse(struct shadow_tracker *tracker, struct tracker_place *place)
{
	lock_acquire(&tracker->lock);
	place->written = MAX_DOUBLINGS;
	lock_release(&tracker->lock);
	give_up(place, TRACKER_WRITTEN);
}

static void take(struct shadow_tracker *tracker, struct batch *batch)
{
	collect(tracker, TRACKER_WANTED, TRACKER_WANTED, batch);
	bool all = batch->count && !track(tracker, batch->page, batch->count, true);

	for (size_t i = 0; i < batch->count; i++) {
		if (all || !track(tracker, &batch->page[i], 1, true))
			step(batch->place[i], TRACKER_WANTED, ++tracker->stamp);
		else
			refuse(tracker, batch->place[i]);
	}
}

void shadow_tracker_update(struct shadow_tracker *tracker)
{
	struct batch batch;

	take(tracker, &batch);
	untrack(tracker, &batch);
}

/* ---- Life ------------------------------------------------------------------------------------ */

uint64_t shadow_tracker_count(struct shadow_tracker *tracker)
{
	uint64_t count = 0;

	for (unsigned int i = 0; tracker && i < TRACKER_TABLES; i++)
		count += atomic_load_explicit(&tracker->place[i].state, memory_order_relaxed) >=
			 TRACKER_STAMPS;
	return count;
}

int shadow_tracker_create(struct guest *guest, void (*kick)(void *opaque), void *opaque,
			  struct shadow_tracker **out)
{
	struct shadow_tracker *tracker;

	if (!guest->ops->track)
		return -ENOTSUP;
	tracker = calloc(1, sizeof(*tracker));
	if (!tracker)
		return -ENOMEM;
	tracker->guest = guest;
	tracker->kick = kick;
	tracker->opaque = opaque;
	tracker->stamp = TRACKER_STAMPS;
	lock_init(&tracker->lock, LOCK_LEAF);
	*out = tracker;
	return 0;
}

void shadow_tracker_destroy(struct shadow_tracker *tracker)
{
	if (!tracker)
		return;
	lock_fini(&tracker->lock);
	free(tracker);
}
