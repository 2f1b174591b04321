/* SPDX-License-Identifier: MIT */
/*
 * A lane: one thread, one run queue, first in first out.  Everything here is guarded by the
 * lane's lock but the step itself, which runs without it.
 *
 * A wake-up across CPUs costs tens of microseconds where a short batch costs one, so a lane that
 * runs dry spins for SPIN_NS on a counter that every kick raises before it sleeps.  As long as that
 * is in vain, work coming in a slower rhythm, it spins half as long each time; a kick that comes
 * while it spins, or would have, makes it spin for SPIN_NS again.  An entity
 * whose step said WAIT is asked again after a delay that doubles from POLL_MIN_NS to POLL_MAX_NS:
 * a semaphore in memory costs no core, and is seen soon when it is short.  It is also asked after
 * each step of another entity of the lane that did something, for most semaphores are another
 * engine's to release.
 *
 * A lane with a lease steps nothing without it.  It waits for one with its lock released and no
 * entity marked as running, so whoever halts an entity never waits for an arbiter; afterwards it
 * looks at its queue anew.
 */
#include "sched/sched.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/trace.h"

#define SLICE_NS    NSEC_PER_MSEC
#define SPIN_NS	    (20 * NSEC_PER_USEC)
#define WAKE_NS	    (100 * NSEC_PER_USEC)
#define POLL_MIN_NS (20 * NSEC_PER_USEC)
#define POLL_MAX_NS NSEC_PER_MSEC

struct sched_lane {
	pthread_t thread;
	struct lock lock;		   /* LOCK_SCHED */
	pthread_cond_t work;		   /* the thread sleeps here */
	pthread_cond_t stepped;		   /* sched_halt() waits here */
	struct sched_entity *first, *last; /* run queue */
	struct sched_entity *all;
	struct sched_entity *running;
	_Atomic uint32_t kicks; /* raised by every kick: what the spin looks at */
	bool sleeping, stop;
	uint64_t spin_ns;	   /* the thread's: how long it spins the next time */
	struct sched_lease *lease; /* NULL: the lane is its own */
	bool leased;		   /* the thread's: it has the lease and uses it */
};

/* ---- The run queue; the lock is held ---- */

static void enqueue(struct sched_lane *lane, struct sched_entity *entity)
{
	if (entity->queued || entity->halted || lane->running == entity)
		return;
	entity->queued = true;
	entity->poll_at_ns = 0;
	entity->next_queued = NULL;
	if (lane->last)
		lane->last->next_queued = entity;
	else
		lane->first = entity;
	lane->last = entity;
}

static struct sched_entity *dequeue(struct sched_lane *lane)
{
	struct sched_entity *entity = lane->first;

	if (entity) {
		lane->first = entity->next_queued;
		if (!lane->first)
			lane->last = NULL;
		entity->queued = false;
	}
	return entity;
}

static void unqueue(struct sched_lane *lane, struct sched_entity *entity)
{
	struct sched_entity *before = NULL, *at = lane->first;

	if (!entity->queued)
		return;
	for (; at != entity; at = at->next_queued)
		before = at;
	if (before)
		before->next_queued = entity->next_queued;
	else
		lane->first = entity->next_queued;
	if (lane->last == entity)
		lane->last = before;
	entity->queued = false;
}

/* Queues the waiting entities whose time has come; returns when the next one's comes, 0: none. */
static uint64_t queue_polls(struct sched_lane *lane, uint64_t now_ns)
{
	uint64_t next = 0;

	for (struct sched_entity *e = lane->all; e; e = e->next_all) {
		if (!e->poll_at_ns || e->halted)
			continue;
		if (e->poll_at_ns <= now_ns)
			enqueue(lane, e);
		else if (!next || e->poll_at_ns < next)
			next = e->poll_at_ns;
	}
	return next;
}

/* What an entity did may be what others wait for: they look at once and wait less long again. */
static void queue_waiting(struct sched_lane *lane)
{
	for (struct sched_entity *e = lane->all; e; e = e->next_all) {
		if (!e->poll_at_ns || e->halted)
			continue;
		e->poll_delay_ns = 0;
		enqueue(lane, e);
	}
}

/* ---- The thread ---- */

static void account_step(struct sched_entity *entity, enum sched_step result, uint64_t now_ns)
{
	if (result == SCHED_STEP_WAIT) {
		entity->poll_delay_ns =
			MIN(MAX(entity->poll_delay_ns * 2, POLL_MIN_NS), POLL_MAX_NS);
		entity->poll_at_ns = now_ns + entity->poll_delay_ns;
		return;
	}
	entity->poll_delay_ns = 0;
	if (result == SCHED_STEP_MORE)
		entity->kicked = true;
}

static void step_entity(struct sched_lane *lane, struct sched_entity *entity)
{
	uint64_t start = clock_now_ns(), deadline = start + SLICE_NS, end;
	enum sched_step result;

	if (lane->lease)
		deadline = MIN(deadline, sched_lease_slice_end_ns(lane->lease));
	lane->running = entity;
	entity->kicked = false;
	lock_release(&lane->lock);
	result = entity->step(entity, deadline);
	end = clock_now_ns();
	TRACE_SINCE(start, sched_run, entity->id, deadline > start ? deadline - start : 0, result,
		    0);
	lock_acquire(&lane->lock);
	lane->running = NULL;
	entity->busy_ns += end - start;
	account_step(entity, result, end);
	if (result != SCHED_STEP_WAIT)
		queue_waiting(lane);
	if (entity->kicked)
		enqueue(lane, entity);
	if (entity->halted)
		pthread_cond_broadcast(&lane->stepped);
}

/* True when something happened while spinning; the lock is dropped meanwhile. */
static bool spin(struct sched_lane *lane)
{
	uint32_t seen = atomic_load(&lane->kicks);
	uint64_t end = clock_now_ns() + lane->spin_ns;
	bool changed = false;

	lock_release(&lane->lock);
	while (!changed && clock_now_ns() < end) {
		for (int i = 0; i < 64; i++)
			__builtin_ia32_pause();
		changed = atomic_load_explicit(&lane->kicks, memory_order_relaxed) != seen;
	}
	lock_acquire(&lane->lock);
	if (changed)
		lane->spin_ns = SPIN_NS;
	return changed || lane->first || lane->stop;
}

static void sleep_until(struct sched_lane *lane, uint64_t when_ns)
{
	struct timespec ts = {
		.tv_sec = (time_t)(when_ns / NSEC_PER_SEC),
		.tv_nsec = (long)(when_ns % NSEC_PER_SEC),
	};
	uint64_t start = clock_now_ns();

	lane->sleeping = true;
	if (when_ns)
		pthread_cond_timedwait(&lane->work, &lane->lock.mutex, &ts);
	else
		pthread_cond_wait(&lane->work, &lane->lock.mutex);
	lane->sleeping = false;
	/* The wake-up is part of it: what came at once may seem to have come late. */
	if (clock_now_ns() - start < SPIN_NS + WAKE_NS)
		lane->spin_ns = SPIN_NS;
	else
		lane->spin_ns /= 2;
}

/* ---- The lease; the lock is held, and dropped to wait ---- */

/* True when the next entity may be stepped at once; else the lock was dropped, and look again. */
static bool may_step(struct sched_lane *lane)
{
	uint64_t end;

	if (!lane->lease)
		return true;
	if (lane->leased) {
		end = sched_lease_slice_end_ns(lane->lease);
		if (end == SCHED_SLICE_FREE || clock_now_ns() < end)
			return true;
	}
	lock_release(&lane->lock);
	lane->leased = lane->leased ? sched_lease_yield(lane->lease)
				    : sched_lease_acquire(lane->lease);
	lock_acquire(&lane->lock);
	return false;
}

/* Lets the lane go; true when it may still be spun on. */
static bool let_go(struct sched_lane *lane)
{
	if (!lane->leased)
		return !lane->lease;
	lane->leased = false;
	return sched_lease_release(lane->lease);
}

static void *lane_thread(void *opaque)
{
	struct sched_lane *lane = opaque;
	bool spun = false;

	lock_acquire(&lane->lock);
	while (!lane->stop) {
		uint64_t poll = queue_polls(lane, clock_now_ns());

		if (lane->first) {
			if (may_step(lane))
				step_entity(lane, dequeue(lane));
			spun = false;
		} else if (!spun && let_go(lane)) {
			spun = !spin(lane);
		} else {
			sleep_until(lane, poll);
			spun = false;
		}
	}
	let_go(lane);
	lock_release(&lane->lock);
	return NULL;
}

/* ---- What others call ---- */

/* Lets go of the lock, which a thread that wakes up on this very CPU wants at once. */
static void release_and_wake(struct sched_lane *lane)
{
	bool sleeping = lane->sleeping;

	atomic_fetch_add(&lane->kicks, 1);
	lock_release(&lane->lock);
	if (sleeping)
		pthread_cond_signal(&lane->work);
}

int sched_lane_create(const char *name, struct sched_lane **out)
{
	struct sched_lane *lane = calloc(1, sizeof(*lane));
	pthread_condattr_t attr;
	int err;

	if (!lane)
		return -ENOMEM;
	lane->spin_ns = SPIN_NS;
	lock_init(&lane->lock, LOCK_SCHED);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&lane->work, &attr);
	pthread_cond_init(&lane->stepped, &attr);
	pthread_condattr_destroy(&attr);
	err = pthread_create(&lane->thread, NULL, lane_thread, lane);
	if (err) {
		lock_fini(&lane->lock);
		free(lane);
		return -err;
	}
	pthread_setname_np(lane->thread, name);
	*out = lane;
	return 0;
}

void sched_lane_set_lease(struct sched_lane *lane, struct sched_lease *lease)
{
	lock_acquire(&lane->lock);
	assert(!lane->all);
	lane->lease = lease;
	lock_release(&lane->lock);
}

void sched_lane_destroy(struct sched_lane *lane)
{
	if (!lane)
		return;
	lock_acquire(&lane->lock);
	assert(!lane->all);
	lane->stop = true;
	if (lane->lease)
		sched_lease_cancel(lane->lease);
	release_and_wake(lane);
	pthread_join(lane->thread, NULL);
	pthread_cond_destroy(&lane->work);
	pthread_cond_destroy(&lane->stepped);
	lock_fini(&lane->lock);
	free(lane);
}

void sched_add(struct sched_lane *lane, struct sched_entity *entity)
{
	lock_acquire(&lane->lock);
	entity->lane = lane;
	entity->next_all = lane->all;
	lane->all = entity;
	lock_release(&lane->lock);
}

void sched_remove(struct sched_entity *entity)
{
	struct sched_lane *lane = entity->lane;
	struct sched_entity **link;

	sched_halt(entity);
	lock_acquire(&lane->lock);
	for (link = &lane->all; *link != entity; link = &(*link)->next_all)
		;
	*link = entity->next_all;
	entity->lane = NULL;
	lock_release(&lane->lock);
}

void sched_kick(struct sched_entity *entity)
{
	struct sched_lane *lane = entity->lane;

	lock_acquire(&lane->lock);
	entity->kicked = true;
	enqueue(lane, entity);
	release_and_wake(lane);
}

void sched_halt(struct sched_entity *entity)
{
	struct sched_lane *lane = entity->lane;

	lock_acquire(&lane->lock);
	entity->halted++;
	unqueue(lane, entity);
	while (lane->running == entity)
		pthread_cond_wait(&lane->stepped, &lane->lock.mutex);
	lock_release(&lane->lock);
}

void sched_release(struct sched_entity *entity)
{
	struct sched_lane *lane = entity->lane;

	lock_acquire(&lane->lock);
	assert(entity->halted);
	entity->halted--;
	/* What a halted entity was about to do, a poll included, it finds by itself. */
	enqueue(lane, entity);
	release_and_wake(lane);
}

uint64_t sched_busy_ns(struct sched_entity *entity)
{
	struct sched_lane *lane = entity->lane;
	uint64_t busy;

	lock_acquire(&lane->lock);
	busy = entity->busy_ns;
	lock_release(&lane->lock);
	return busy;
}
