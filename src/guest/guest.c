/* SPDX-License-Identifier: MIT */
/*
 * The reader and writer sections of the guest's memory map.  A reader says that it is inside in a
 * cache line that it shares with few other threads or none, then looks whether the map is closed;
 * a writer closes it, then waits until nobody is inside.  Both orders are sequentially consistent,
 * so one of the two sees the other.  Readers meet each other nowhere: no vCPU's look at guest
 * memory waits for another's.  A word tells readers in the middle of long work that a writer waits.
 */
#include "guest/guest.h"

#include "base/lock.h"
#include "base/thread.h"

void guest_init(struct guest *guest, const struct guest_ops *ops)
{
	guest->ops = ops;
	atomic_init(&guest->wanted, 0);
	atomic_init(&guest->generation, 1);
	atomic_init(&guest->closed, false);
	for (unsigned int i = 0; i < GUEST_READERS; i++)
		atomic_init(&guest->readers[i].inside, 0);
	pthread_mutex_init(&guest->lock, NULL);
	pthread_cond_init(&guest->moved, NULL);
}

void guest_fini(struct guest *guest)
{
	pthread_cond_destroy(&guest->moved);
	pthread_mutex_destroy(&guest->lock);
}

/* ---- Readers --------------------------------------------------------------------------------- */

static struct guest_readers *own_readers(struct guest *guest)
{
	return &guest->readers[thread_number() % GUEST_READERS];
}

/* The map is closed to one who has said that it is inside: out again, and in when it opens. */
static void wait_outside(struct guest *guest, struct guest_readers *readers)
{
	pthread_mutex_lock(&guest->lock);
	atomic_fetch_sub(&readers->inside, 1);
	pthread_cond_broadcast(&guest->moved);
	while (atomic_load(&guest->closed))
		pthread_cond_wait(&guest->moved, &guest->lock);
	atomic_fetch_add(&readers->inside, 1);
	pthread_mutex_unlock(&guest->lock);
}

static void tell_writer(struct guest *guest)
{
	pthread_mutex_lock(&guest->lock);
	pthread_cond_broadcast(&guest->moved);
	pthread_mutex_unlock(&guest->lock);
}

void guest_enter(struct guest *guest)
{
	struct guest_readers *readers = own_readers(guest);

	lock_rank_push(LOCK_GUEST);
	atomic_fetch_add(&readers->inside, 1);
	if (unlikely(atomic_load(&guest->closed)))
		wait_outside(guest, readers);
}

void guest_leave(struct guest *guest)
{
	atomic_fetch_sub(&own_readers(guest)->inside, 1);
	if (unlikely(atomic_load(&guest->closed)))
		tell_writer(guest);
	lock_rank_pop(LOCK_GUEST);
}

/* ---- Writers --------------------------------------------------------------------------------- */

static bool anybody_inside(struct guest *guest)
{
	for (unsigned int i = 0; i < GUEST_READERS; i++)
		if (atomic_load(&guest->readers[i].inside))
			return true;
	return false;
}

void guest_quiesce(struct guest *guest)
{
	lock_rank_push(LOCK_GUEST);
	atomic_fetch_add(&guest->wanted, 1);
	pthread_mutex_lock(&guest->lock);
	while (atomic_load(&guest->closed)) /* by another writer */
		pthread_cond_wait(&guest->moved, &guest->lock);
	atomic_store(&guest->closed, true);
	while (anybody_inside(guest))
		pthread_cond_wait(&guest->moved, &guest->lock);
	pthread_mutex_unlock(&guest->lock);
	atomic_fetch_sub(&guest->wanted, 1);
}

void guest_resume(struct guest *guest)
{
	atomic_fetch_add(&guest->generation, 1);
	guest_resume_unchanged(guest);
}

void guest_resume_unchanged(struct guest *guest)
{
	pthread_mutex_lock(&guest->lock);
	atomic_store(&guest->closed, false);
	pthread_cond_broadcast(&guest->moved);
	pthread_mutex_unlock(&guest->lock);
	lock_rank_pop(LOCK_GUEST);
}

void guest_hold(struct guest *guest)
{
	atomic_fetch_add(&guest->wanted, 1);
	if (guest->ops->cancel)
		guest->ops->cancel(guest);
}

void guest_unhold(struct guest *guest)
{
	atomic_fetch_sub(&guest->wanted, 1);
}
