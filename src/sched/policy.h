/* SPDX-License-Identifier: MIT */
/*
 * Who is served next: the scheduler's policies as pure functions of what was used and of the time
 * they are told.  No clock, no thread, no system call; the arbiter's core calls them.
 *
 * Weighted fair: a share's virtual time is the lane time it was charged, divided by its weight;
 * the one that is furthest behind is next.  Who comes back after a pause is set no further behind
 * the others than CARRY of lane time, so that sleeping saves nothing up.  Round robin: first come,
 * first served, weights ignored; it is the reference that weighted fair is measured against.
 *
 * A cap is a bucket that fills at so many percent of a lane's time and is emptied by use.
 *
 * Slices are long, because each begins with caches full of another guest's data.  While one waits
 * that comes from a pause, weighted fair has short ones: so only those who always want a lane wait
 * long for each other.
 */
#ifndef SCHED_POLICY_H
#define SCHED_POLICY_H

#include "base/types.h"

#define SCHED_WEIGHT_MAX 1000u

enum sched_policy_kind { SCHED_POLICY_FAIR, SCHED_POLICY_RR };

struct sched_share {
	uint32_t weight;      /* 1 … SCHED_WEIGHT_MAX */
	uint32_t cap_percent; /* of one lane's time; 0: none */
	bool waiting, running;
	bool rested;	 /* it waits, and wanted nothing before */
	uint64_t vtime;	 /* charged time / weight, in units of its own; it may wrap */
	uint64_t ticket; /* its place in the order of coming */
	int64_t budget_ns;
	uint64_t filled_ns; /* when the budget was topped up last */
};

struct sched_policy {
	enum sched_policy_kind kind;
	uint64_t slice_ns;
	uint64_t short_ns; /* the same of short slices */
	uint64_t floor;	   /* virtual time that nobody active is behind of; never falls */
	uint64_t next_ticket;
};

/* "fair" or "rr"; -EINVAL. */
int sched_policy_parse(const char *word, enum sched_policy_kind *kind);
const char *sched_policy_name(enum sched_policy_kind kind);

void sched_policy_init(struct sched_policy *policy, enum sched_policy_kind kind, uint64_t slice_ns);

/* A newcomer: neither ahead of the others nor behind. */
void sched_share_init(const struct sched_policy *policy, struct sched_share *share, uint32_t weight,
		      uint32_t cap_percent, uint64_t now_ns);

/* It wants a lane.  @was_running: it was just put off one, so this is no pause. */
void sched_share_wait(struct sched_policy *policy, struct sched_share *share, bool was_running);

/* It had a lane for @used_ns; @contended: while somebody else waited for one. */
void sched_share_charge(struct sched_share *share, uint64_t used_ns, bool contended);

/* When a waiting share may run next as far as its cap goes: @now_ns or later. */
uint64_t sched_share_ready_at(const struct sched_policy *policy, struct sched_share *share,
			      uint64_t now_ns);

/* The longest slice its cap allows now. */
uint64_t sched_share_slice(const struct sched_policy *policy, const struct sched_share *share);

/* True when slices are to be short for its sake. */
bool sched_share_is_urgent(const struct sched_policy *policy, const struct sched_share *share);

/* Whose turn it is of two that wait: true when @a goes before @b. */
bool sched_share_before(const struct sched_policy *policy, const struct sched_share *a,
			const struct sched_share *b);

/* Raises the floor to the virtual time of the active share that is furthest behind. */
void sched_policy_raise(struct sched_policy *policy, uint64_t least_vtime);

/* Virtual times wrap: true when @a is behind @b. */
bool sched_vtime_less(uint64_t a, uint64_t b);

#endif
