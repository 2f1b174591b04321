/* SPDX-License-Identifier: MIT */
/* The policies; see policy.h.  Pure: everything they know is in their arguments. */
#include "sched/policy.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"

/* Fraction bits of virtual time: a nanosecond at the greatest weight is still told apart. */
#define VTIME_SHIFT   10
#define CARRY_NS      (4 * NSEC_PER_MSEC)
#define SHORT_NS      (2 * NSEC_PER_MSEC)
/* A cap is kept over such a stretch: shorter, and each slice would end early. */
#define CAP_WINDOW_NS (50 * NSEC_PER_MSEC)

static const char *const names[] = {
	[SCHED_POLICY_FAIR] = "fair",
	[SCHED_POLICY_RR] = "rr",
};

int sched_policy_parse(const char *word, enum sched_policy_kind *kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!strcmp(word, names[i])) {
			*kind = (enum sched_policy_kind)i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *sched_policy_name(enum sched_policy_kind kind)
{
	return names[kind];
}

void sched_policy_init(struct sched_policy *policy, enum sched_policy_kind kind, uint64_t slice_ns)
{
	*policy = (struct sched_policy){
		.kind = kind,
		.slice_ns = slice_ns,
		.short_ns = MIN(slice_ns, SHORT_NS),
	};
}

static uint64_t vtime_of(const struct sched_share *share, uint64_t ns)
{
	return (ns << VTIME_SHIFT) / share->weight;
}

bool sched_vtime_less(uint64_t a, uint64_t b)
{
	return (int64_t)(a - b) < 0;
}

/* What fits into the bucket: the cap's part of the window. */
static int64_t bucket_ns(const struct sched_share *share)
{
	return (int64_t)(CAP_WINDOW_NS * share->cap_percent / 100);
}

void sched_share_init(const struct sched_policy *policy, struct sched_share *share, uint32_t weight,
		      uint32_t cap_percent, uint64_t now_ns)
{
	*share = (struct sched_share){
		.weight = weight,
		.cap_percent = cap_percent,
		.vtime = policy->floor,
		.filled_ns = now_ns,
	};
	share->budget_ns = bucket_ns(share);
}

void sched_share_wait(struct sched_policy *policy, struct sched_share *share, bool was_running)
{
	uint64_t least = policy->floor - vtime_of(share, CARRY_NS);

	share->waiting = true;
	share->rested = !was_running;
	share->ticket = policy->next_ticket++;
	if (!was_running && sched_vtime_less(share->vtime, least))
		share->vtime = least;
}

void sched_share_charge(struct sched_share *share, uint64_t used_ns, bool contended)
{
	if (share->cap_percent)
		share->budget_ns -= (int64_t)used_ns;
	if (contended)
		share->vtime += vtime_of(share, used_ns);
}

static void fill(struct sched_share *share, uint64_t now_ns)
{
	/* Steps of a microsecond lose nothing to rounding: what is left over stays for later. */
	uint64_t gained_us = (now_ns - share->filled_ns) / NSEC_PER_USEC;
	uint64_t gained_ns = gained_us * (NSEC_PER_USEC / 100) * share->cap_percent;

	share->filled_ns += gained_us * NSEC_PER_USEC;
	share->budget_ns = MIN(share->budget_ns + (int64_t)gained_ns, bucket_ns(share));
}

uint64_t sched_share_ready_at(const struct sched_policy *policy, struct sched_share *share,
			      uint64_t now_ns)
{
	int64_t wanted, missing;

	if (!share->cap_percent)
		return now_ns;
	fill(share, now_ns);
	wanted = MIN((int64_t)policy->short_ns, bucket_ns(share));
	missing = wanted - share->budget_ns;
	if (missing <= 0)
		return now_ns;
	return now_ns + ((uint64_t)missing / share->cap_percent + 1) * 100 + NSEC_PER_USEC;
}

uint64_t sched_share_slice(const struct sched_policy *policy, const struct sched_share *share)
{
	if (!share->cap_percent || share->budget_ns >= (int64_t)policy->slice_ns)
		return policy->slice_ns;
	return share->budget_ns > 0 ? (uint64_t)share->budget_ns : 0;
}

bool sched_share_is_urgent(const struct sched_policy *policy, const struct sched_share *share)
{
	return policy->kind == SCHED_POLICY_FAIR && share->waiting && share->rested;
}

bool sched_share_before(const struct sched_policy *policy, const struct sched_share *a,
			const struct sched_share *b)
{
	if (policy->kind == SCHED_POLICY_FAIR && a->vtime != b->vtime)
		return sched_vtime_less(a->vtime, b->vtime);
	return a->ticket < b->ticket;
}

void sched_policy_raise(struct sched_policy *policy, uint64_t least_vtime)
{
	if (sched_vtime_less(policy->floor, least_vtime))
		policy->floor = least_vtime;
}
