/* SPDX-License-Identifier: MIT */
/*
 * Ranked mutexes.  The ranks a thread holds are bits of one thread-local word: taking a rank
 * asks that no bit at or above it is set.  Builds without -Ddebug_checks=true keep the mutex and
 * drop the word.
 */
#include "base/lock.h"

#include <stdio.h>
#include <stdlib.h>

static _Thread_local uint32_t held_ranks;

void lock_rank_push(enum lock_rank rank)
{
#ifdef MEDIANT_DEBUG_CHECKS
	if (held_ranks >> rank) {
		fprintf(stderr, "mediant: lock order: rank %d taken while ranks 0x%x are held\n",
			rank, held_ranks);
		abort();
	}
	held_ranks |= BIT(rank);
#else
	(void)rank;
	(void)held_ranks;
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
