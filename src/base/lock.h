/* SPDX-License-Identifier: MIT */
/*
 * Mutexes with a rank.  A thread may only take a lock of a higher rank than those it holds; in
 * builds with -Ddebug_checks=true each acquisition is checked against that order and a violation
 * aborts with the names of both.  The order below is the only one in the house.
 */
#ifndef BASE_LOCK_H
#define BASE_LOCK_H

#include <pthread.h>

#include "base/types.h"

enum lock_rank {
	LOCK_DEVICE,  /* vfio: one VFIO device's state, the thread that brought a message */
	LOCK_RING,    /* kvm: taking stores out of the ring they wait in */
	LOCK_RUNS,    /* guest: registers whose stores may wait */
	LOCK_ALIASES, /* vfio: which guest memory shows in a BAR */
	LOCK_GUEST,   /* guest: the memory map (guest_enter() counts as taking it) */
	LOCK_VGPU,    /* vgpu: register file side effects, execlists, interrupt tree */
	LOCK_SCHED,   /* sched: a lane's run queue */
	LOCK_IRQ,     /* vfio: eventfds of the interrupts */
	LOCK_LEAF,    /* anything that takes no other lock */
	LOCK_RANKS
};

struct lock {
	pthread_mutex_t mutex;
	enum lock_rank rank;
};

void lock_init(struct lock *lock, enum lock_rank rank);
void lock_fini(struct lock *lock);
void lock_acquire(struct lock *lock);
void lock_release(struct lock *lock);

/* The bookkeeping alone, for locks of other kinds (the guest's reader section). */
void lock_rank_push(enum lock_rank rank);
void lock_rank_pop(enum lock_rank rank);

#endif
