/* SPDX-License-Identifier: MIT */
/*
 * The reader and writer sections of the guest's memory map.  A read-write lock that prefers
 * writers, plus a word that tells readers in the middle of long work that a writer waits.
 */
#include "guest/guest.h"

#include "base/lock.h"

void guest_init(struct guest *guest, const struct guest_ops *ops)
{
	pthread_rwlockattr_t attr;

	guest->ops = ops;
	atomic_init(&guest->wanted, 0);
	atomic_init(&guest->generation, 1);
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&guest->readers, &attr);
	pthread_rwlockattr_destroy(&attr);
}

void guest_fini(struct guest *guest)
{
	pthread_rwlock_destroy(&guest->readers);
}

void guest_enter(struct guest *guest)
{
	lock_rank_push(LOCK_GUEST);
	pthread_rwlock_rdlock(&guest->readers);
}

void guest_leave(struct guest *guest)
{
	pthread_rwlock_unlock(&guest->readers);
	lock_rank_pop(LOCK_GUEST);
}

void guest_quiesce(struct guest *guest)
{
	lock_rank_push(LOCK_GUEST);
	atomic_fetch_add(&guest->wanted, 1);
	pthread_rwlock_wrlock(&guest->readers);
	atomic_fetch_sub(&guest->wanted, 1);
}

void guest_resume(struct guest *guest)
{
	atomic_fetch_add(&guest->generation, 1);
	guest_resume_unchanged(guest);
}

void guest_resume_unchanged(struct guest *guest)
{
	pthread_rwlock_unlock(&guest->readers);
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
