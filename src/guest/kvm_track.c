/* SPDX-License-Identifier: MIT */
/*
 * Pages whose stores are told: memory that we installed is split into slots, read-only where
 * tracked pages are, so that a store there exits and is done here, on the vCPU's thread.
 *
 * A change of slots costs as much as several exits, and every vCPU must be out for it.  So pages
 * are taken in batches; pages near each other share a read-only stretch, as do those between them
 * (their stores exit, and nobody is told); a page inside a stretch that is there already costs
 * nothing; and a stretch is kept until most of its pages are no longer tracked.
 *
 * What the device stores does not exit: it is told when it asks for a mapping to store through.
 * Mappings from before end with the reader sections, because tracking raises the generation.
 *
 * The set changes on the thread that changes the device, in a writer section; stores look it up in
 * a reader section.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "guest/kvm.h"

#define NEAR_PAGES 16u /* between tracked pages of one stretch, to begin with */
#define KEEP_RATIO 64u /* a stretch goes when less than one page in so many is tracked */

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* How many tracked pages lie below @page. */
static size_t rank_of(const struct kvm_tracker *tracker, uint64_t page)
{
	size_t low = 0, high = tracker->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (tracker->pages[mid] < page)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool is_tracked(const struct kvm_tracker *tracker, uint64_t page)
{
	size_t rank = rank_of(tracker, page);

	return rank < tracker->count && tracker->pages[rank] == page;
}

/* ---- Slots ----------------------------------------------------------------------------------- */

/* With kvm->lock held.  The stretches of @slot, of pages no further apart than @near. */
static int add_pieces(struct guest_kvm *kvm, const struct guest_slot *slot, uint64_t near)
{
	const struct kvm_tracker *tracker = &kvm->tracker;
	uint64_t at = slot->gpa, end = slot->gpa + slot->bytes;
	size_t i = rank_of(tracker, slot->gpa >> PAGE_SHIFT);
	int err = 0;

	while (!err && i < tracker->count && tracker->pages[i] << PAGE_SHIFT < end) {
		uint64_t first = tracker->pages[i], last = first;

		while (++i < tracker->count && tracker->pages[i] << PAGE_SHIFT < end &&
		       tracker->pages[i] - last <= near)
			last = tracker->pages[i];
		first <<= PAGE_SHIFT;
		last = (last + 1) << PAGE_SHIFT;
		if (first > at)
			err = guest_kvm_slot_add(kvm, at, first - at, slot->host + (at - slot->gpa),
						 false);
		if (!err)
			err = guest_kvm_slot_add(kvm, first, last - first,
						 slot->host + (first - slot->gpa), true);
		at = last;
	}
	if (!err && at < end)
		err = guest_kvm_slot_add(kvm, at, end - at, slot->host + (at - slot->gpa), false);
	return err;
}

static size_t tracked_between(const struct kvm_tracker *tracker, uint64_t gpa, uint64_t bytes)
{
	return rank_of(tracker, (gpa + bytes) >> PAGE_SHIFT) - rank_of(tracker, gpa >> PAGE_SHIFT);
}

static int take_out(struct guest_kvm *kvm, const struct guest_slot *slot)
{
	int err = guest_kvm_slot_remove(kvm, slot->gpa, slot->bytes);

	return err == -ENOENT ? 0 : err;
}

static int put_whole(struct guest_kvm *kvm, const struct guest_slot *slot, bool read_only)
{
	take_out(kvm, slot);
	return guest_kvm_slot_add(kvm, slot->gpa, slot->bytes, slot->host, read_only);
}

/*
 * With kvm->lock held.  Fewer, longer stretches when the slot numbers do not suffice, and in the
 * end one over all, for which there is at least the number that has just become free.  A KVM that
 * has no read-only slots gets its memory back as it was.
 */
static int split(struct guest_kvm *kvm, const struct guest_slot *slot)
{
	bool any = tracked_between(&kvm->tracker, slot->gpa, slot->bytes);
	uint64_t near = NEAR_PAGES;
	int err = take_out(kvm, slot);

	if (err)
		return err;
	while ((err = add_pieces(kvm, slot, near)) && near <= slot->bytes >> PAGE_SHIFT) {
		take_out(kvm, slot);
		near *= 8;
	}
	if (err)
		err = put_whole(kvm, slot, any);
	if (err)
		put_whole(kvm, slot, false);
	return err;
}

/*
 * With kvm->lock held: do the slots of @slot have to change?  Yes when a tracked page can be
 * stored to, or when a read-only stretch is kept for few.
 */
static bool needs_split(struct guest_kvm *kvm, const struct guest_slot *slot)
{
	for (uint32_t i = 0; i < kvm->config.slot_count; i++) {
		const struct kvm_slot *piece = &kvm->kvm_slots[i];

		if (!guest_kvm_slot_is_memory(piece, slot->gpa, slot->bytes))
			continue;
		size_t tracked = tracked_between(&kvm->tracker, piece->gpa, piece->bytes);
		if (piece->read_only ? tracked * KEEP_RATIO < piece->bytes >> PAGE_SHIFT
				     : tracked > 0)
			return true;
		if (piece->read_only && !tracked)
			return true;
	}
	return false;
}

static bool can_be_split(const struct guest_slot *slot)
{
	return slot->installed && (slot->access & GUEST_WRITE);
}

/* The vCPUs are out. */
static int split_all(struct guest_kvm *kvm)
{
	int err = 0;

	lock_acquire(&kvm->lock);
	for (uint32_t i = 0; i < kvm->slots.count; i++) {
		const struct guest_slot *slot = &kvm->slots.slots[i];
		int failed = can_be_split(slot) && needs_split(kvm, slot) ? split(kvm, slot) : 0;

		err = err ? err : failed;
	}
	lock_release(&kvm->lock);
	return err;
}

static bool any_needs_split(struct guest_kvm *kvm)
{
	bool any = false;

	lock_acquire(&kvm->lock);
	for (uint32_t i = 0; i < kvm->slots.count && !any; i++)
		any = can_be_split(&kvm->slots.slots[i]) && needs_split(kvm, &kvm->slots.slots[i]);
	lock_release(&kvm->lock);
	return any;
}

/* ---- The set --------------------------------------------------------------------------------- */

/* A page that is not to be tracked any more may have lost its memory meanwhile. */
static int check_pages(struct guest_kvm *kvm, const gpa_t *pages, size_t count, bool on)
{
	for (size_t i = 0; i < count; i++) {
		const struct guest_slot *slot = guest_slots_find(&kvm->slots, pages[i].v);

		if (PAGE_OFFSET(pages[i].v))
			return -EINVAL;
		if (on && (!slot || !can_be_split(slot)))
			return -EFAULT;
	}
	return 0;
}

/* The set with the @count pages for @watch, or (NULL) without them, into memory of its own. */
static int make_set(const struct kvm_tracker *old, const gpa_t *pages, size_t count,
		    const struct guest_watch *watch, struct kvm_tracker *fresh)
{
	const bool on = watch;
	struct kvm_tracker given = { .pages = calloc(count + 1, sizeof(*given.pages)),
				     .count = count };
	size_t used = 0;

	*fresh = (struct kvm_tracker){
		.pages = calloc(old->count + count + 1, sizeof(*fresh->pages)),
		.watch = watch ? *watch : old->watch,
	};
	if (!given.pages || !fresh->pages) {
		free(given.pages);
		free(fresh->pages);
		return -ENOMEM;
	}
	for (size_t i = 0; i < count; i++)
		given.pages[i] = pages[i].v >> PAGE_SHIFT;
	qsort(given.pages, count, sizeof(*given.pages), compare);
	for (size_t i = 0; i < old->count; i++)
		if (on || !is_tracked(&given, old->pages[i]))
			fresh->pages[used++] = old->pages[i];
	for (size_t i = 0; on && i < count; i++)
		if (!is_tracked(old, given.pages[i]) &&
		    (!i || given.pages[i] != given.pages[i - 1]))
			fresh->pages[used++] = given.pages[i];
	fresh->count = used;
	qsort(fresh->pages, used, sizeof(*fresh->pages), compare);
	free(given.pages);
	return 0;
}

bool guest_kvm_any_tracked(struct guest_kvm *kvm, uint64_t gpa, uint64_t bytes)
{
	return tracked_between(&kvm->tracker, gpa, bytes) != 0;
}

/* A store by another address would not be told. */
static int remove_aliases(struct guest_kvm *kvm)
{
	int err = 0;

	lock_acquire(&kvm->lock);
	for (size_t i = 0; !err && i < kvm->tracker.count; i++)
		err = guest_kvm_aliases_remove(kvm, kvm->tracker.pages[i] << PAGE_SHIFT,
					       PAGE_BYTES);
	lock_release(&kvm->lock);
	return err;
}

static void set_pages(struct guest_kvm *kvm, struct kvm_tracker *fresh, bool on)
{
	struct kvm_tracker old = kvm->tracker;

	guest_quiesce(&kvm->guest);
	kvm->tracker = *fresh;
	if (on)
		guest_resume(&kvm->guest); /* the device asks for its mappings again */
	else
		guest_resume_unchanged(&kvm->guest);
	*fresh = old;
}

static bool of_another(const struct kvm_tracker *tracker, const struct guest_watch *watch)
{
	return tracker->count &&
	       (tracker->watch.written != watch->written || tracker->watch.opaque != watch->opaque);
}

/* Split before it is told that the pages are tracked: a store in between exits and is done. */
int guest_kvm_track(struct guest *guest, const gpa_t *pages, size_t count,
		    const struct guest_watch *watch)
{
	struct guest_kvm *kvm = guest_kvm_of(guest);
	const bool on = watch;
	struct kvm_tracker fresh;
	int err = check_pages(kvm, pages, count, on);

	if (!kvm->config.pause || !kvm->config.resume)
		return -ENOTSUP;
	if (!err && on && of_another(&kvm->tracker, watch))
		err = -EBUSY;
	if (!err)
		err = make_set(&kvm->tracker, pages, count, watch, &fresh);
	if (err)
		return err;
	set_pages(kvm, &fresh, on);
	if (on)
		err = remove_aliases(kvm);
	if (!err && any_needs_split(kvm)) {
		atomic_store(&kvm->was_split, true);
		kvm->config.pause(kvm->config.opaque);
		err = split_all(kvm);
		kvm->config.resume(kvm->config.opaque);
	}
	/* What has been split already costs exits and is not told. */
	if (err && on)
		set_pages(kvm, &fresh, false);
	free(fresh.pages);
	return err;
}

static void tell(const struct kvm_tracker *tracker, uint64_t page)
{
	tracker->watch.written(tracker->watch.opaque, gpa(page << PAGE_SHIFT));
}

void guest_kvm_track_forget(struct guest_kvm *kvm, uint64_t gpa, uint64_t bytes)
{
	struct kvm_tracker *tracker = &kvm->tracker;
	size_t first = rank_of(tracker, gpa >> PAGE_SHIFT);
	size_t count = tracked_between(tracker, gpa, bytes);

	if (!count)
		return;
	for (size_t i = first; i < first + count; i++)
		tell(tracker, tracker->pages[i]);
	memmove(&tracker->pages[first], &tracker->pages[first + count],
		(tracker->count - first - count) * sizeof(*tracker->pages));
	tracker->count -= count;
}

/* ---- Stores ---------------------------------------------------------------------------------- */

bool guest_kvm_track_store(struct guest_kvm *kvm, gpa_t gpa, const void *buf, size_t len)
{
	const struct guest_slot *slot;
	bool done = false;

	guest_enter(&kvm->guest);
	slot = guest_slots_find(&kvm->slots, gpa.v);
	if (slot && can_be_split(slot) && len <= slot->bytes - (gpa.v - slot->gpa)) {
		guest_kvm_track_write(kvm, gpa, len);
		memcpy(slot->host + (gpa.v - slot->gpa), buf, len);
		done = true;
	}
	guest_leave(&kvm->guest);
	return done;
}

void guest_kvm_track_write(struct guest_kvm *kvm, gpa_t gpa, size_t len)
{
	const struct kvm_tracker *tracker = &kvm->tracker;
	uint64_t last = (gpa.v + len - 1) >> PAGE_SHIFT;

	for (size_t i = rank_of(tracker, gpa.v >> PAGE_SHIFT);
	     len && i < tracker->count && tracker->pages[i] <= last; i++)
		tell(tracker, tracker->pages[i]);
}

void guest_kvm_track_map(struct guest_kvm *kvm, gpa_t gpa, size_t *len)
{
	const struct kvm_tracker *tracker = &kvm->tracker;
	size_t next = rank_of(tracker, (gpa.v >> PAGE_SHIFT) + 1);

	guest_kvm_track_write(kvm, gpa, 1);
	if (next < tracker->count)
		*len = MIN(*len, (tracker->pages[next] << PAGE_SHIFT) - gpa.v);
}
