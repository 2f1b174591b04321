/* SPDX-License-Identifier: MIT */
/*
 * A lane's lease: the right to use one core of the host GPU, got from the arbiter through a page
 * of memory that both map.  The lane acquires it before it steps anything and lets it go when it
 * has nothing to do.  As long as nobody else waits for a lane, both are one exchange of a word.
 *
 * Who owns which word: the client moves `state` by its own hand from RUN and IDLE, the arbiter
 * from WANT; HELD is either's, by compare and exchange.  All else is written by the arbiter.  The
 * arbiter believes nothing it reads here, and keeps its own account of who has what.
 */
#ifndef SCHED_LEASE_H
#define SCHED_LEASE_H

#include <stdatomic.h>

#include "base/types.h"

enum sched_lease_state {
	SCHED_LEASE_IDLE, /* no lease, and none is wanted */
	SCHED_LEASE_WANT, /* waits (on this very word, a futex) */
	SCHED_LEASE_RUN,  /* has a lane and uses it */
	SCHED_LEASE_HELD, /* has a lane and nothing to do: the arbiter may take it back */
};

/* How a lane let its lease go, in traces. */
enum sched_lease_end {
	SCHED_LEASE_END_YIELDED,  /* the slice was over */
	SCHED_LEASE_END_RELEASED, /* it ran dry, and somebody waits */
	SCHED_LEASE_END_PARKED,	  /* it ran dry: the lane stays ours until somebody wants it */
	SCHED_LEASE_END_TAKEN,	  /* the arbiter was faster than we at letting it go */
};

#define SCHED_SLICE_FREE UINT64_MAX /* nobody else wants the lane */

struct sched_lease_page {
	_Atomic uint32_t state;
	_Atomic uint32_t cpu;	       /* of the lane that was granted */
	_Atomic uint64_t slice_end_ns; /* CLOCK_MONOTONIC; yield from then on */
	_Atomic uint64_t grants;
	_Atomic uint64_t overruns;     /* slices that had to be taken away */
	_Atomic uint64_t contended_ns; /* lane time while others waited, as it was charged */
};

struct sched_lease;

/*
 * @page_fd: a page from the arbiter, @bell_fd: the eventfd that wakes it.  Both are the lease's
 * from now on, also on failure; -errno (-EPROTO: the descriptors are not what they should be).
 */
int sched_lease_create(int page_fd, int bell_fd, struct sched_lease **lease);
/* After the lane that uses it.  NULL is fine. */
void sched_lease_destroy(struct sched_lease *lease);

/* The arbiter has gone: from now on the lease is free.  Any thread. */
void sched_lease_set_free(struct sched_lease *lease);
/* Whoever waits for the lease, now or later, goes away empty-handed.  Any thread. */
void sched_lease_cancel(struct sched_lease *lease);

struct sched_lease_stats {
	uint64_t grants;       /* leases the arbiter gave */
	uint64_t waits;	       /* times the lane had to ask for one */
	uint64_t wait_ns;      /* and waited in all */
	uint64_t yields;       /* slices that were over with work left */
	uint64_t overruns;     /* slices the arbiter had to take away */
	uint64_t contended_ns; /* lane time while others waited */
	bool shared;	       /* an arbiter is there */
};
/* Any thread. */
void sched_lease_stats(struct sched_lease *lease, struct sched_lease_stats *stats);

/* ---- The rest is for the lane's thread alone ---- */

/* Returns true when the lane may run, sooner or later; false after sched_lease_cancel(). */
bool sched_lease_acquire(struct sched_lease *lease);
/* Gives up a slice that is over and waits for the next; as sched_lease_acquire(). */
bool sched_lease_yield(struct sched_lease *lease);
/* The lane ran dry; true when the lane is still ours to spin on. */
bool sched_lease_release(struct sched_lease *lease);
/* When the present slice ends: one load. */
uint64_t sched_lease_slice_end_ns(const struct sched_lease *lease);

#endif
