/* SPDX-License-Identifier: MIT */
/*
 * Ranked mutexes.  The ranks a thread holds are bits of one thread-local word: taking a rank
 * asks that no bit at or above it is set.  Builds without -Ddebug_checks=true keep the mutex and
 * drop the word.
 */
#include "base/lock.h"

#include <stdio.h>
#include <stdlib.h>

#ifdef MEDIANT_DEBUG_CHECKS
static _Thread_local uint32_t held_ranks;

static const char *const rank_names[LOCK_RANKS] = {
	[LOCK_DEVICE] = "LOCK_DEVICE",	 [LOCK_RING] = "LOCK_RING",   [LOCK_RUNS] = "LOCK_RUNS",
	[LOCK_ALIASES] = "LOCK_ALIASES", [LOCK_GUEST] = "LOCK_GUEST", [LOCK_VGPU] = "LOCK_VGPU",
	[LOCK_SCHED] = "LOCK_SCHED",	 [LOCK_IRQ] = "LOCK_IRQ",     [LOCK_LEAF] = "LOCK_LEAF",
};

static void out_of_order(enum lock_rank rank)
{
	fprintf(stderr, "mediant: lock order: %s taken while these are held:", rank_names[rank]);
	for (unsigned int r = 0; r < LOCK_RANKS; r++)
		if (held_ranks & BIT(r))
			fprintf(stderr, " %s", rank_names[r]);
	fputc('\n', stderr);
	abort();
}
#endif

void lock_rank_push(enum lock_rank rank)
{
#ifdef MEDIANT_DEBUG_CHECKS
	if (held_ranks >> rank)
		out_of_order(rank);
	held_ranks |= BIT(rank);
#else
	(void)rank;
#endif
}

void lock_rank_pop(enum lock_rank rank)
{
#ifdef MEDIANT_DEBUG_CHECKS
	held_ranks &= ~BIT(rank);
#else
	(void)rank;
#endif
}

void lock_init(struct lock *lock, enum lock_rank rank)
{
	pthread_mutex_init(&lock->mutex, NULL);
	lock->rank = rank;
}

void lock_fini(struct lock *lock)
{
	pthread_mutex_destroy(&lock->mutex);
}

void lock_acquire(struct lock *lock)
{
	lock_rank_push(lock->rank);
	pthread_mutex_lock(&lock->mutex);
}

void lock_release(struct lock *lock)
{
	pthread_mutex_unlock(&lock->mutex);
	lock_rank_pop(lock->rank);
}
