/* SPDX-License-Identifier: MIT */
/*
 * The ring of coalesced stores.  KVM puts a store to a coalesced zone into a page that it shares
 * with us, and goes on with the guest; when the ring is full, the store exits instead.  That last
 * rule is put to use: of registers that take stores in runs (ELSP: four dwords, the fourth submits)
 * the ring is never left more room than all but the last store of a run need.  So the stores
 * before cost no exit to user space, and the one that matters always makes one, at which the
 * others are served first, in order.
 *
 *      0        head            last   head + room          KVM_COALESCED_MMIO_MAX
 *      |  served |  waiting      | room |  first = head + room + 1        |
 *
 * What is waiting is remembered in `head`, ours alone; `first`, which KVM takes for the oldest
 * entry, only says where it must stop.  A run that has been served is wound back, and the next one
 * takes the same entries.  Where that cannot be, the room moves on; KVM before 6.12 computes it
 * wrongly when the stores wait at the ring's end, so the stop never falls on the last entry.
 *
 * Whoever serves from the ring holds its lock; a vCPU's load takes it only when something waits.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/trace.h"
#include "kvm/door.h"

#define RING_ENTRIES                                                        \
	((uint32_t)((PAGE_BYTES - sizeof(struct kvm_coalesced_mmio_ring)) / \
		    sizeof(struct kvm_coalesced_mmio)))

/*
 * Unregistering a zone waits (SRCU) until no vCPU is in the middle of a store.  The zone is one
 * nobody can reach: the last page of the physical address space.
 */
static void wait_for_stores(struct kvm_door *door)
{
	struct kvm_coalesced_mmio_zone zone = { .addr = ~(uint64_t)0xfff, .size = 4 };

	if (!ioctl(door->config.vm_fd, KVM_REGISTER_COALESCED_MMIO, &zone))
		ioctl(door->config.vm_fd, KVM_UNREGISTER_COALESCED_MMIO, &zone);
}

int kvm_ring_init(struct kvm_door *door)
{
	int page = 0;

	door->barrier = wait_for_stores;
	lock_init(&door->ring_lock, LOCK_RING);
	atomic_init(&door->ring, NULL);
	if (!door->config.coalesce)
		return 0;
	if (door->config.vm_fd >= 0)
		page = ioctl(door->config.vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_COALESCED_MMIO);
	if (page <= 0)
		return -ENOTSUP;
	door->ring_page = (uint32_t)page;
	return 0;
}

static uint64_t value_of(const struct kvm_coalesced_mmio *entry)
{
	uint64_t value;

	memcpy(&value, entry->data, sizeof(value));
	return value;
}

/* With the lock held. */
static void serve(struct kvm_door *door, const struct kvm_coalesced_mmio *shared)
{
	struct kvm_coalesced_mmio entry = *shared;
	size_t len = MIN(entry.len, sizeof(entry.data));

	TRACE(kvm_coalesced, entry.phys_addr, len, value_of(&entry), 0);
	if (guest_kvm_access(door->config.guest, &door->mark, gpa(entry.phys_addr), entry.data, len,
			     true))
		atomic_fetch_add_explicit(&door->coalesced, 1, memory_order_relaxed);
	else if (door->config.store)
		door->config.store(door->config.opaque, gpa(entry.phys_addr), entry.data, len);
}

/* With the lock held: serves what waits. */
static void take(struct kvm_door *door, struct kvm_coalesced_mmio_ring *ring)
{
	uint32_t last = __atomic_load_n(&ring->last, __ATOMIC_ACQUIRE) % RING_ENTRIES;

	while (door->head != last) {
		door->wound_back = false;
		serve(door, &ring->coalesced_mmio[door->head]);
		__atomic_store_n(&door->head, (door->head + 1) % RING_ENTRIES, __ATOMIC_RELEASE);
	}
}

/* How much of @room can be given from @head on, so that the stop is not on the last entry. */
static uint32_t fitting_room(uint32_t head, uint32_t room)
{
	if (room >= RING_ENTRIES - 1)
		return RING_ENTRIES - 1;
	return (head + room) % RING_ENTRIES == RING_ENTRIES - 1 && room ? room - 1 : room;
}

/* How many stores from the oldest on the ring now takes. */
static uint32_t given_room(const struct kvm_door *door, const struct kvm_coalesced_mmio_ring *ring)
{
	return (__atomic_load_n(&ring->first, __ATOMIC_RELAXED) + 2 * RING_ENTRIES - 1 -
		door->head) %
	       RING_ENTRIES;
}

/*
 * With the lock held, nothing waits: room by going back over entries that were served, as `first`
 * stays where it is.  `last` is KVM's, but not of a full ring: each store that comes finds no room
 * and exits, and none that KVM is in the middle of has seen more room, for what is taken back is
 * waited for (below).  One that has read the `last` of before finds the ring full by this `first`;
 * so that stays until a store has come, for which KVM must have been done with the other.
 */
static bool wind_back(struct kvm_door *door, struct kvm_coalesced_mmio_ring *ring, uint32_t room)
{
	/* Not before the end: it is better passed than met again and again. */
	if (!room || room > door->head || door->head > RING_ENTRIES / 2 || given_room(door, ring))
		return false;
	__atomic_store_n(&door->head, door->head - room, __ATOMIC_RELEASE);
	__atomic_store_n(&ring->last, door->head, __ATOMIC_SEQ_CST);
	door->wound_back = true;
	return true;
}

/* With the lock held: the ring takes @room stores from the oldest on; true: it took more before. */
static bool set_room(struct kvm_door *door, struct kvm_coalesced_mmio_ring *ring, uint32_t room)
{
	uint32_t given = given_room(door, ring);

	if (room == given)
		return false;
	if (door->wound_back)
		door->barrier(door);
	door->wound_back = false;
	__atomic_store_n(&ring->first, (door->head + room + 1) % RING_ENTRIES, __ATOMIC_SEQ_CST);
	return room < given;
}

/*
 * With the lock held: serves what waits and leaves room for more.
 *
 * Room is rarely taken back: what was served from the ring has used up as much of it as of the
 * slack.  But a store that found the ring full may be on its way here, not yet counted, while
 * somebody else gives room.  Then KVM may just have looked at the old `first` and put its store
 * beyond the new one, which opens the ring to its whole length; so it is given time to finish, and
 * looked at again.  A last store of a run that slips in meanwhile is served in the next round.
 */
static void drain(struct kvm_door *door, struct kvm_coalesced_mmio_ring *ring)
{
	uint32_t room, last;

	do {
		take(door, ring);
		room = guest_kvm_slack(door->config.guest);
		if (wind_back(door, ring, room))
			return;
		room = fitting_room(door->head, room);
		if (set_room(door, ring, room))
			door->barrier(door);
		last = __atomic_load_n(&ring->last, __ATOMIC_SEQ_CST) % RING_ENTRIES;
	} while ((last + RING_ENTRIES - door->head) % RING_ENTRIES > room);
}

struct kvm_coalesced_mmio_ring *kvm_ring_of(const struct kvm_door *door, struct kvm_run *run)
{
	return run && door->ring_page ? (void *)((uint8_t *)run + door->ring_page * PAGE_BYTES)
				      : NULL;
}

void kvm_ring_attach(struct kvm_door *door, struct kvm_coalesced_mmio_ring *ring)
{
	if (atomic_load_explicit(&door->ring, memory_order_relaxed))
		return;
	/* From then on `first` is ours, and no more the oldest entry. */
	if (!door->head_known)
		door->head = __atomic_load_n(&ring->first, __ATOMIC_RELAXED) % RING_ENTRIES;
	door->head_known = true;
	drain(door, ring);
	atomic_store_explicit(&door->ring, ring, memory_order_release);
}

void kvm_ring_move(struct kvm_door *door, const struct kvm_coalesced_mmio_ring *gone,
		   struct kvm_coalesced_mmio_ring *other)
{
	struct kvm_coalesced_mmio_ring *ring =
		atomic_load_explicit(&door->ring, memory_order_relaxed);

	if (ring != gone)
		return;
	drain(door, ring);
	atomic_store_explicit(&door->ring, other, memory_order_release);
}

void kvm_ring_drain(struct kvm_door *door)
{
	lock_acquire(&door->ring_lock);
	struct kvm_coalesced_mmio_ring *ring =
		atomic_load_explicit(&door->ring, memory_order_relaxed);
	if (ring)
		drain(door, ring);
	lock_release(&door->ring_lock);
}

bool kvm_ring_store(struct kvm_door *door, struct kvm_vcpu *vcpu, gpa_t gpa, void *buf, size_t len)
{
	/* Ours, or another vCPU's that cannot go while the lock is held. */
	lock_acquire(&door->ring_lock);
	struct kvm_coalesced_mmio_ring *ring =
		atomic_load_explicit(&door->ring, memory_order_relaxed);
	if (ring)
		take(door, ring);
	bool served = guest_kvm_access(door->config.guest, &vcpu->mark, gpa, buf, len, true);
	if (ring)
		drain(door, ring);
	lock_release(&door->ring_lock);
	return served;
}
