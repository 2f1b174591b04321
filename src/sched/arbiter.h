/* SPDX-License-Identifier: MIT */
/*
 * The arbiter's core: which seat (the lane of one vGPU process) has which lane of the host GPU.
 * It is told the time and knows no socket; whoever calls it owns the seats' pages and sees to
 * it that sched_arbiter_run() is called when a seat rings and when the last call said so.  One
 * thread.
 */
#ifndef SCHED_ARBITER_H
#define SCHED_ARBITER_H

#include "sched/lease.h"
#include "sched/policy.h"

#define SCHED_LANES_MAX 64u
#define SCHED_SEATS_MAX 64u

struct sched_seat;

struct sched_arbiter_config {
	enum sched_policy_kind policy;
	unsigned int lanes; /* 1 … SCHED_LANES_MAX */
	uint32_t cpus[SCHED_LANES_MAX];
	uint64_t slice_ns;  /* 0: the default, likewise */
	uint64_t grace_ns;  /* how much later than its slice's end a lane is taken away */
	uint64_t outlaw_ns; /* an overrun so long is told */
	/* @seat keeps using a core that is no longer its own.  Once for each overrun; may be NULL.
	 */
	void (*outlaw)(void *opaque, struct sched_seat *seat);
	void *opaque;
};

struct sched_arbiter;

int sched_arbiter_create(const struct sched_arbiter_config *config, struct sched_arbiter **arbiter);
/* Every seat must have been removed.  NULL is fine. */
void sched_arbiter_destroy(struct sched_arbiter *arbiter);

/*
 * A seat at @page, which stays the caller's and must outlive it; what is read there is not
 * believed.  @weight 1 … SCHED_WEIGHT_MAX, @cap_percent 0 (none) … 100.  -EUSERS: no room,
 * -EINVAL, -ENOMEM.
 */
int sched_arbiter_add(struct sched_arbiter *arbiter, struct sched_lease_page *page, uint32_t weight,
		      uint32_t cap_percent, uint64_t now_ns, struct sched_seat **seat);
/* Its lane is free again.  Call sched_arbiter_run() afterwards. */
void sched_arbiter_remove(struct sched_arbiter *arbiter, struct sched_seat *seat, uint64_t now_ns);

/* Looks at every seat and hands out lanes; when to call again at the latest, 0: not by itself. */
uint64_t sched_arbiter_run(struct sched_arbiter *arbiter, uint64_t now_ns);

struct sched_seat_stats {
	uint64_t grants, overruns;
	uint64_t lane_ns; /* had a lane for so long, up to the last time it gave one back */
	int lane;	  /* it has now; -1: none */
};
void sched_seat_stats(const struct sched_seat *seat, struct sched_seat_stats *stats);

#endif
