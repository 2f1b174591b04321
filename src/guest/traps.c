/* SPDX-License-Identifier: MIT */
/*
 * The table of trapped ranges; see traps.h for who waits for whom.  A look-up costs one exchange
 * of a word in the vCPU's own cache line (the full barrier between "I look" and the load of the
 * pointer), a search of a few entries, and one plain store at the end.  Rejected: a read-write
 * lock, whose reader count is one cache line that all vCPUs of a machine fight over.
 */
#include "guest/traps.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/checked.h"

void guest_traps_init(struct guest_traps *traps)
{
	traps->tables[0].count = 0;
	atomic_init(&traps->table, &traps->tables[0]);
	lock_init(&traps->lock, LOCK_LEAF);
	traps->vcpus = NULL;
}

void guest_traps_fini(struct guest_traps *traps)
{
	lock_fini(&traps->lock);
}

#define SPINS  1000
#define NAP_NS 20000

/* ---- Changing -------------------------------------------------------------------------------- */

/* Waits until @vcpu is not in the access it may be in now. */
static void wait_for(struct guest_vcpu *vcpu)
{
	uint64_t seen = atomic_load(&vcpu->serving);

	if (!(seen & 1))
		return;
	/* An access takes a microsecond, unless its thread has just lost the CPU: perhaps to us. */
	for (unsigned int i = 0; atomic_load_explicit(&vcpu->serving, memory_order_acquire) == seen;
	     i++) {
		if (i > SPINS)
			nanosleep(&(struct timespec){ .tv_nsec = NAP_NS }, NULL);
	}
}

/* With the lock held.  The table nobody uses. */
static struct trap_table *spare_table(struct guest_traps *traps)
{
	return atomic_load_explicit(&traps->table, memory_order_relaxed) == &traps->tables[0]
		       ? &traps->tables[1]
		       : &traps->tables[0];
}

/* With the lock held: puts @fresh in place, and the other out of use. */
static void publish(struct guest_traps *traps, const struct trap_table *fresh)
{
	atomic_exchange(&traps->table, fresh);
	for (struct guest_vcpu *vcpu = traps->vcpus; vcpu; vcpu = vcpu->next)
		wait_for(vcpu);
}

/* How many traps of @table start below @at. */
static uint32_t rank_of(const struct trap_table *table, uint64_t at)
{
	uint32_t rank = 0;

	while (rank < table->count && table->traps[rank].gpa.v < at)
		rank++;
	return rank;
}

static bool overlaps(const struct trap_table *table, const struct guest_trap *trap)
{
	for (uint32_t i = 0; i < table->count; i++)
		if (ranges_overlap(table->traps[i].gpa.v, table->traps[i].bytes, trap->gpa.v,
				   trap->bytes))
			return true;
	return false;
}

/* With the lock held. */
static int insert(struct guest_traps *traps, const struct guest_trap *trap)
{
	const struct trap_table *old = atomic_load_explicit(&traps->table, memory_order_relaxed);
	struct trap_table *fresh = spare_table(traps);
	uint32_t at = rank_of(old, trap->gpa.v);

	if (overlaps(old, trap))
		return -EEXIST;
	if (old->count == GUEST_MAX_TRAPS)
		return -ENOSPC;
	memcpy(fresh->traps, old->traps, at * sizeof(*trap));
	fresh->traps[at] = *trap;
	memcpy(&fresh->traps[at + 1], &old->traps[at], (old->count - at) * sizeof(*trap));
	fresh->count = old->count + 1;
	publish(traps, fresh);
	return 0;
}

/* With the lock held. */
static int delete (struct guest_traps *traps, uint64_t gpa, uint64_t bytes)
{
	const struct trap_table *old = atomic_load_explicit(&traps->table, memory_order_relaxed);
	struct trap_table *fresh = spare_table(traps);
	uint32_t at = rank_of(old, gpa);

	if (at == old->count || old->traps[at].gpa.v != gpa || old->traps[at].bytes != bytes)
		return -ENOENT;
	memcpy(fresh->traps, old->traps, at * sizeof(fresh->traps[0]));
	fresh->count = old->count - 1;
	memcpy(&fresh->traps[at], &old->traps[at + 1],
	       (fresh->count - at) * sizeof(fresh->traps[0]));
	publish(traps, fresh);
	return 0;
}

int guest_traps_add(struct guest_traps *traps, const struct guest_trap *trap)
{
	uint64_t end;

	if (!trap->bytes || !add_fits(trap->gpa.v, trap->bytes, &end))
		return -EINVAL;
	lock_acquire(&traps->lock);
	int err = insert(traps, trap);
	lock_release(&traps->lock);
	return err;
}

int guest_traps_remove(struct guest_traps *traps, gpa_t gpa, uint64_t bytes)
{
	lock_acquire(&traps->lock);
	int err = delete (traps, gpa.v, bytes);
	lock_release(&traps->lock);
	return err;
}

void guest_traps_vcpu_add(struct guest_traps *traps, struct guest_vcpu *vcpu)
{
	atomic_init(&vcpu->serving, 0);
	vcpu->served = 0;
	lock_acquire(&traps->lock);
	vcpu->next = traps->vcpus;
	traps->vcpus = vcpu;
	lock_release(&traps->lock);
}

void guest_traps_vcpu_remove(struct guest_traps *traps, struct guest_vcpu *vcpu)
{
	struct guest_vcpu **link = &traps->vcpus;

	lock_acquire(&traps->lock);
	while (*link && *link != vcpu)
		link = &(*link)->next;
	if (*link)
		*link = vcpu->next;
	lock_release(&traps->lock);
}

/* ---- Serving --------------------------------------------------------------------------------- */

static const struct guest_trap *find(const struct trap_table *table, uint64_t at, size_t len)
{
	/* A device has a handful of ranges: a scan beats anything clever. */
	for (uint32_t i = 0; i < table->count; i++) {
		const struct guest_trap *trap = &table->traps[i];

		if (at >= trap->gpa.v && range_fits(at - trap->gpa.v, len, trap->bytes))
			return trap;
	}
	return NULL;
}

bool guest_traps_access(struct guest_traps *traps, struct guest_vcpu *vcpu, gpa_t gpa, void *buf,
			size_t len, bool write)
{
	uint64_t mark = atomic_load_explicit(&vcpu->serving, memory_order_relaxed) + 1;

	/* Sequentially consistent, as are replace() and wait_for(): seen before the load below. */
	atomic_exchange(&vcpu->serving, mark);
	const struct guest_trap *trap = find(atomic_load(&traps->table), gpa.v, len);
	if (trap && write)
		trap->write(trap->opaque, gpa.v - trap->gpa.v, buf, len);
	else if (trap)
		trap->read(trap->opaque, gpa.v - trap->gpa.v, buf, len);
	vcpu->served += trap != NULL;
	atomic_store_explicit(&vcpu->serving, mark + 1, memory_order_release);
	return trap != NULL;
}
