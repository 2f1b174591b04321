/* SPDX-License-Identifier: MIT */
/*
 * A sorted array with binary search: VMMs have tens of slots, and even the tens of thousands a
 * virtual IOMMU makes move in a few hundred microseconds, on a path that is rare by comparison
 * with look-ups.  The hint of the last hit is shared by all readers: a stale one costs a search.
 */
#include "guest/slots.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

void guest_slots_clear(struct guest_slots *slots)
{
	for (uint32_t i = 0; i < slots->count; i++)
		guest_slot_close(&slots->slots[i]);
	slots->count = 0;
	slots->bytes = 0;
}

void guest_slots_fini(struct guest_slots *slots)
{
	guest_slots_clear(slots);
	free(slots->slots);
	*slots = (struct guest_slots){ 0 };
}

/* How many slots start at or below @gpa. */
static uint32_t rank_of(const struct guest_slots *slots, uint64_t gpa)
{
	uint32_t low = 0, high = slots->count;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (slots->slots[mid].gpa <= gpa)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool slot_holds(const struct guest_slot *slot, uint64_t gpa)
{
	return gpa >= slot->gpa && gpa - slot->gpa < slot->bytes;
}

struct guest_slot *guest_slots_find(struct guest_slots *slots, uint64_t gpa)
{
	uint32_t hint = atomic_load_explicit(&slots->last, memory_order_relaxed);

	if (likely(hint < slots->count && slot_holds(&slots->slots[hint], gpa)))
		return &slots->slots[hint];

	uint32_t rank = rank_of(slots, gpa);
	if (!rank || !slot_holds(&slots->slots[rank - 1], gpa))
		return NULL;
	atomic_store_explicit(&slots->last, rank - 1, memory_order_relaxed);
	return &slots->slots[rank - 1];
}

struct guest_slot *guest_slots_exact(struct guest_slots *slots, uint64_t gpa, uint64_t bytes)
{
	struct guest_slot *slot = guest_slots_find(slots, gpa);

	return slot && slot->gpa == gpa && slot->bytes == bytes ? slot : NULL;
}

struct guest_slot *guest_slots_overlap(struct guest_slots *slots, uint64_t gpa, uint64_t bytes)
{
	uint32_t rank = rank_of(slots, gpa);

	if (rank && slot_holds(&slots->slots[rank - 1], gpa))
		return &slots->slots[rank - 1];
	if (rank < slots->count && slots->slots[rank].gpa - gpa < bytes)
		return &slots->slots[rank];
	return NULL;
}

int guest_slots_reserve(struct guest_slots *slots)
{
	if (slots->count < slots->room)
		return 0;

	uint32_t room = slots->room ? 2 * slots->room : 16;
	struct guest_slot *grown = realloc(slots->slots, room * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	slots->slots = grown;
	slots->room = room;
	return 0;
}

void guest_slots_insert(struct guest_slots *slots, const struct guest_slot *slot)
{
	uint32_t at = rank_of(slots, slot->gpa);

	assert(slots->count < slots->room);
	memmove(&slots->slots[at + 1], &slots->slots[at],
		(slots->count - at) * sizeof(slots->slots[0]));
	slots->slots[at] = *slot;
	slots->count++;
	slots->bytes += slot->bytes;
}

void guest_slots_remove(struct guest_slots *slots, struct guest_slot *slot)
{
	uint32_t at = (uint32_t)(slot - slots->slots);

	assert(at < slots->count);
	slots->bytes -= slot->bytes;
	slots->count--;
	memmove(slot, slot + 1, (slots->count - at) * sizeof(*slot));
}
