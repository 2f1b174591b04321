/* SPDX-License-Identifier: MIT */
/*
 * Trapped ranges, looked up by vCPUs without a lock and changed under them.
 *
 * The ranges are a sorted table behind one pointer.  A change is made to a second table, which
 * is put in place of the first; then the thread waits until every vCPU that might still use the old
 * one has left it; a vCPU marks itself before it loads the pointer, so one of the two always sees
 * the other.  After guest_traps_remove() has returned no access to the range is being served, and
 * none will be.
 */
#ifndef GUEST_TRAPS_H
#define GUEST_TRAPS_H

#include "base/lock.h"
#include "guest/guest.h"

#define GUEST_MAX_TRAPS 128u

struct trap_table {
	uint32_t count;
	struct guest_trap traps[GUEST_MAX_TRAPS]; /* by address, not overlapping */
};

struct guest_traps {
	_Atomic(const struct trap_table *) table; /* one of the two */
	struct trap_table tables[2];
	struct lock lock;	  /* LOCK_LEAF: changes of the table and the list, not look-ups */
	struct guest_vcpu *vcpus; /* guarded by the lock */
};

void guest_traps_init(struct guest_traps *traps);
void guest_traps_fini(struct guest_traps *traps);

/* Not from a trap.  -EEXIST, -EINVAL, -ENOSPC. */
int guest_traps_add(struct guest_traps *traps, const struct guest_trap *trap);
/* Not from a trap.  -ENOENT. */
int guest_traps_remove(struct guest_traps *traps, gpa_t gpa, uint64_t bytes);

void guest_traps_vcpu_add(struct guest_traps *traps, struct guest_vcpu *vcpu);
void guest_traps_vcpu_remove(struct guest_traps *traps, struct guest_vcpu *vcpu);

/* The vCPU's own thread.  False: no trap holds the whole access. */
bool guest_traps_access(struct guest_traps *traps, struct guest_vcpu *vcpu, gpa_t gpa, void *buf,
			size_t len, bool write);

#endif
