/* SPDX-License-Identifier: MIT */
/*
 * Lanes: threads that run engines' work in slices, knowing nothing of what the work is.
 * An entity (one engine of one vGPU) is runnable after sched_kick() and is stepped, a slice at a
 * time and in turn with the lane's other entities, until its step says that it is idle.
 *
 * Lanes of several processes share the host GPU's cores by leases (lease.h), which an arbiter hands
 * out (arbiter.h) by a policy (policy.h).
 */
#ifndef SCHED_SCHED_H
#define SCHED_SCHED_H

#include "base/types.h"
#include "sched/arbiter.h"
#include "sched/lease.h"

enum sched_step {
	SCHED_STEP_IDLE, /* nothing to do until the next kick */
	SCHED_STEP_MORE, /* the slice is used up: call again */
	SCHED_STEP_WAIT, /* blocked on what sends no kick (a semaphore in memory): poll again soon
			  */
};

struct sched_lane;

struct sched_entity {
	/* Works until @deadline_ns at most; on the lane's thread, no lock of the lane held. */
	enum sched_step (*step)(struct sched_entity *entity, uint64_t deadline_ns);
	uint32_t id; /* how traces call it */
	/* The rest is the lane's, guarded by its lock. */
	struct sched_lane *lane;
	struct sched_entity *next_queued, *next_all;
	bool queued;		/* in the run queue */
	bool kicked;		/* wants another step */
	unsigned int halted;	/* sched_halt() calls not yet released */
	uint64_t poll_at_ns;	/* 0: not waiting */
	uint64_t poll_delay_ns; /* the next wait's length */
	uint64_t busy_ns;	/* lane time used so far */
};

/* Starts a lane's thread, named @name (15 characters); -errno. */
int sched_lane_create(const char *name, struct sched_lane **lane);
/*
 * Nothing is stepped any more but while @lease is had; before the first sched_add().  Borrowed
 * until the lane has been destroyed.  A lane without one asks nobody.
 */
void sched_lane_set_lease(struct sched_lane *lane, struct sched_lease *lease);
/* Ends the thread; every entity must have been removed.  NULL is fine. */
void sched_lane_destroy(struct sched_lane *lane);

void sched_add(struct sched_lane *lane, struct sched_entity *entity);
/* Returns when @entity is not running and will not run again.  Not from a step. */
void sched_remove(struct sched_entity *entity);

/* Any thread, the entity's own step included; never blocks for long. */
void sched_kick(struct sched_entity *entity);
/*
 * Returns when @entity is not running; it stays off until as many sched_release().  Kicks in
 * between are kept.  Not from a step, and not while holding a lock that a step takes.
 */
void sched_halt(struct sched_entity *entity);
void sched_release(struct sched_entity *entity);

uint64_t sched_busy_ns(struct sched_entity *entity);

#endif
