/* SPDX-License-Identifier: MIT */
/*
 * The arbiter's core; see arbiter.h.  What a seat says in its page is a wish or a claim: who has
 * which lane, since when and until when is kept here, where no client can write.  A client that
 * scribbles on its page therefore loses or keeps its own lane, is charged for it, and that is all.
 *
 * While nobody waits, a lane's slice has no end and its time is not charged: fairness is between
 * those who want the same thing.  When somebody begins to wait, the slices of all others get an
 * end, and parked lanes are taken back.
 *
 * A seat that goes on after its slice loses the lane on paper after a grace; its overrun is charged
 * like lane time until it says that it has stopped, and it gets nothing before.
 */
#include "sched/arbiter.h"

#include <assert.h>
#include <errno.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"

#define SLICE_NS  (16 * NSEC_PER_MSEC)
#define GRACE_NS  (10 * NSEC_PER_MSEC)
#define OUTLAW_NS (2 * NSEC_PER_SEC)

struct sched_seat {
	struct sched_seat *next;
	struct sched_lease_page *page;
	struct sched_share share;
	int lane;	       /* -1: none */
	int last_lane;	       /* -1: never had one */
	uint64_t since_ns;     /* the lane was granted */
	uint64_t charged_ns;   /* lane time, or an overrun, is charged up to here */
	uint64_t slice_end_ns; /* SCHED_SLICE_FREE */
	bool overrunning;      /* lost its lane and has not stopped yet */
	bool told;	       /* as an outlaw */
	uint64_t outlaw_at_ns;
	uint64_t grants, overruns, lane_ns, contended_ns;
};

struct sched_arbiter {
	struct sched_arbiter_config config;
	struct sched_policy policy;
	struct sched_seat *seats;
	unsigned int seat_count;
	struct sched_seat *lanes[SCHED_LANES_MAX]; /* who has it; NULL: nobody */
};

/* ---- A seat's lane --------------------------------------------------------------------------- */

static void set_slice_end(struct sched_seat *seat, uint64_t end_ns)
{
	seat->slice_end_ns = end_ns;
	atomic_store(&seat->page->slice_end_ns, end_ns);
}

/* Charges what was used since the last time; free time is nobody's loss. */
static void settle(struct sched_seat *seat, uint64_t now_ns)
{
	uint64_t used_ns = now_ns > seat->charged_ns ? now_ns - seat->charged_ns : 0;
	bool contended = seat->slice_end_ns != SCHED_SLICE_FREE;

	sched_share_charge(&seat->share, used_ns, contended);
	seat->charged_ns = now_ns;
	if (!contended)
		return;
	seat->contended_ns += used_ns;
	atomic_store_explicit(&seat->page->contended_ns, seat->contended_ns, memory_order_relaxed);
}

static void take_lane(struct sched_arbiter *arbiter, struct sched_seat *seat, uint64_t now_ns)
{
	settle(seat, now_ns);
	seat->lane_ns += now_ns - seat->since_ns;
	arbiter->lanes[seat->lane] = NULL;
	seat->lane = -1;
	seat->share.running = false;
}

/* Takes back a lane whose seat has parked it; false when the seat is using it. */
static bool take_parked(struct sched_arbiter *arbiter, struct sched_seat *seat, uint64_t now_ns)
{
	uint32_t held = SCHED_LEASE_HELD;

	if (!atomic_compare_exchange_strong(&seat->page->state, &held, SCHED_LEASE_IDLE))
		return false;
	/* Nobody knows how long it was parked: not charged since it was last looked at. */
	seat->charged_ns = now_ns;
	take_lane(arbiter, seat, now_ns);
	return true;
}

static void grant(struct sched_arbiter *arbiter, struct sched_seat *seat, int lane, uint64_t now_ns)
{
	struct sched_lease_page *page = seat->page;
	uint32_t want = SCHED_LEASE_WANT;
	uint64_t slice_ns = sched_share_slice(&arbiter->policy, &seat->share);

	seat->share.waiting = false;
	atomic_store(&page->cpu, arbiter->config.cpus[lane]);
	set_slice_end(seat, seat->share.cap_percent ? now_ns + slice_ns : SCHED_SLICE_FREE);
	if (!atomic_compare_exchange_strong(&page->state, &want, SCHED_LEASE_RUN))
		return; /* it has changed its mind */
	arbiter->lanes[lane] = seat;
	seat->lane = seat->last_lane = lane;
	seat->since_ns = seat->charged_ns = now_ns;
	seat->share.running = true;
	seat->grants++;
	atomic_store_explicit(&page->grants, seat->grants, memory_order_relaxed);
	syscall(SYS_futex, &page->state, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void take_overrun(struct sched_arbiter *arbiter, struct sched_seat *seat, uint64_t now_ns)
{
	take_lane(arbiter, seat, now_ns);
	seat->overrunning = true;
	seat->told = false;
	seat->outlaw_at_ns = now_ns + arbiter->config.outlaw_ns;
	seat->overruns++;
	atomic_store_explicit(&seat->page->overruns, seat->overruns, memory_order_relaxed);
}

/* ---- Looking at what the seats say ----------------------------------------------------------- */

static void look_at_holder(struct sched_arbiter *arbiter, struct sched_seat *seat, uint32_t state,
			   uint64_t now_ns)
{
	if (state != SCHED_LEASE_WANT && state != SCHED_LEASE_IDLE) {
		settle(seat, now_ns);
		return;
	}
	take_lane(arbiter, seat, now_ns);
	if (state == SCHED_LEASE_WANT)
		sched_share_wait(&arbiter->policy, &seat->share, true);
}

static void look_at_other(struct sched_arbiter *arbiter, struct sched_seat *seat, uint32_t state,
			  uint64_t now_ns)
{
	bool stopped = state == SCHED_LEASE_WANT || state == SCHED_LEASE_IDLE;
	bool was_running = seat->overrunning;

	if (seat->overrunning) {
		settle(seat, now_ns);
		if (!stopped)
			return;
		seat->overrunning = false;
	}
	if (state != SCHED_LEASE_WANT)
		seat->share.waiting = false;
	else if (!seat->share.waiting)
		sched_share_wait(&arbiter->policy, &seat->share, was_running);
}

static void look(struct sched_arbiter *arbiter, uint64_t now_ns)
{
	for (struct sched_seat *seat = arbiter->seats; seat; seat = seat->next) {
		uint32_t state = atomic_load(&seat->page->state);

		if (seat->lane >= 0)
			look_at_holder(arbiter, seat, state, now_ns);
		else
			look_at_other(arbiter, seat, state, now_ns);
	}
}

static void raise_floor(struct sched_arbiter *arbiter)
{
	const struct sched_seat *least = NULL;

	for (const struct sched_seat *seat = arbiter->seats; seat; seat = seat->next) {
		if (!seat->share.waiting && !seat->share.running)
			continue;
		if (!least || sched_vtime_less(seat->share.vtime, least->share.vtime))
			least = seat;
	}
	if (least)
		sched_policy_raise(&arbiter->policy, least->share.vtime);
}

/* ---- Handing out ------------------------------------------------------------------------------
 */

/* It waits, and its cap lets it run. */
static bool is_ready(const struct sched_arbiter *arbiter, struct sched_seat *seat, uint64_t now_ns)
{
	return seat->share.waiting &&
	       sched_share_ready_at(&arbiter->policy, &seat->share, now_ns) <= now_ns;
}

/* The seat whose turn it is; NULL when none may run now. */
static struct sched_seat *next_seat(struct sched_arbiter *arbiter, uint64_t now_ns)
{
	struct sched_seat *best = NULL;

	for (struct sched_seat *seat = arbiter->seats; seat; seat = seat->next) {
		if (!is_ready(arbiter, seat, now_ns))
			continue;
		if (!best || sched_share_before(&arbiter->policy, &seat->share, &best->share))
			best = seat;
	}
	return best;
}

/* The one it had last, if that is free: its caches are warm, and no thread has to move. */
static int free_lane(const struct sched_arbiter *arbiter, const struct sched_seat *seat)
{
	if (seat->last_lane >= 0 && !arbiter->lanes[seat->last_lane])
		return seat->last_lane;
	for (unsigned int i = 0; i < arbiter->config.lanes; i++)
		if (!arbiter->lanes[i])
			return (int)i;
	return -1;
}

/* True when somebody who may run has to wait. */
static bool hand_out(struct sched_arbiter *arbiter, uint64_t now_ns)
{
	struct sched_seat *seat;

	while ((seat = next_seat(arbiter, now_ns))) {
		int lane = free_lane(arbiter, seat);

		if (lane < 0)
			return true;
		grant(arbiter, seat, lane, now_ns);
	}
	return false;
}

/* Nobody waits: slices need no end, but where a cap sets one. */
static void open_slices(struct sched_arbiter *arbiter, uint64_t now_ns)
{
	for (unsigned int i = 0; i < arbiter->config.lanes; i++) {
		struct sched_seat *seat = arbiter->lanes[i];

		if (!seat || seat->share.cap_percent || seat->slice_end_ns == SCHED_SLICE_FREE)
			continue;
		settle(seat, now_ns);
		set_slice_end(seat, SCHED_SLICE_FREE);
	}
}

/* How long slices are: that depends on who waits. */
static uint64_t slice_ns(const struct sched_arbiter *arbiter, uint64_t now_ns)
{
	for (struct sched_seat *seat = arbiter->seats; seat; seat = seat->next)
		if (sched_share_is_urgent(&arbiter->policy, &seat->share) &&
		    is_ready(arbiter, seat, now_ns))
			return arbiter->policy.short_ns;
	return arbiter->policy.slice_ns;
}

/* Gives a slice an end, or an earlier one. */
static void end_slice(struct sched_seat *seat, uint64_t end_ns, uint64_t now_ns)
{
	if (end_ns >= seat->slice_end_ns)
		return;
	settle(seat, now_ns);
	set_slice_end(seat, end_ns);
}

/* Somebody waits: every slice gets an end; true when a lane became free on the spot. */
static bool close_slices(struct sched_arbiter *arbiter, uint64_t now_ns)
{
	const uint64_t length_ns = slice_ns(arbiter, now_ns);
	bool freed = false;

	for (unsigned int i = 0; i < arbiter->config.lanes; i++) {
		struct sched_seat *seat = arbiter->lanes[i];

		if (!seat)
			continue;
		end_slice(seat, MAX(now_ns, seat->since_ns + length_ns), now_ns);
		if (take_parked(arbiter, seat, now_ns)) {
			freed = true;
		} else if (now_ns >= seat->slice_end_ns + arbiter->config.grace_ns) {
			take_overrun(arbiter, seat, now_ns);
			freed = true;
		}
	}
	return freed;
}

/* ---- When to look again ------------------------------------------------------------------------
 */

static void sooner(uint64_t *when_ns, uint64_t other_ns)
{
	if (!*when_ns || other_ns < *when_ns)
		*when_ns = other_ns;
}

static uint64_t next_look(struct sched_arbiter *arbiter, bool contended, uint64_t now_ns)
{
	uint64_t when_ns = 0;

	for (struct sched_seat *seat = arbiter->seats; seat; seat = seat->next) {
		if (seat->lane >= 0 && contended)
			sooner(&when_ns, seat->slice_end_ns + arbiter->config.grace_ns);
		if (seat->overrunning && !seat->told)
			sooner(&when_ns, seat->outlaw_at_ns);
		if (seat->share.waiting) {
			uint64_t ready_ns =
				sched_share_ready_at(&arbiter->policy, &seat->share, now_ns);

			if (ready_ns > now_ns)
				sooner(&when_ns, ready_ns);
		}
	}
	return when_ns;
}

static void tell_outlaws(struct sched_arbiter *arbiter, uint64_t now_ns)
{
	for (struct sched_seat *seat = arbiter->seats; seat; seat = seat->next) {
		if (!seat->overrunning || seat->told || now_ns < seat->outlaw_at_ns)
			continue;
		seat->told = true;
		if (arbiter->config.outlaw)
			arbiter->config.outlaw(arbiter->config.opaque, seat);
	}
}

uint64_t sched_arbiter_run(struct sched_arbiter *arbiter, uint64_t now_ns)
{
	bool contended;

	look(arbiter, now_ns);
	raise_floor(arbiter);
	do {
		contended = hand_out(arbiter, now_ns);
		if (!contended)
			open_slices(arbiter, now_ns);
	} while (contended && close_slices(arbiter, now_ns));
	tell_outlaws(arbiter, now_ns);
	return next_look(arbiter, contended, now_ns);
}

/* ---- Life -------------------------------------------------------------------------------------
 */

int sched_arbiter_create(const struct sched_arbiter_config *config, struct sched_arbiter **out)
{
	struct sched_arbiter *arbiter;

	if (!config->lanes || config->lanes > SCHED_LANES_MAX)
		return -EINVAL;
	arbiter = calloc(1, sizeof(*arbiter));
	if (!arbiter)
		return -ENOMEM;
	arbiter->config = *config;
	if (!config->slice_ns)
		arbiter->config.slice_ns = SLICE_NS;
	if (!config->grace_ns)
		arbiter->config.grace_ns = GRACE_NS;
	if (!config->outlaw_ns)
		arbiter->config.outlaw_ns = OUTLAW_NS;
	sched_policy_init(&arbiter->policy, config->policy, arbiter->config.slice_ns);
	*out = arbiter;
	return 0;
}

void sched_arbiter_destroy(struct sched_arbiter *arbiter)
{
	assert(!arbiter || !arbiter->seats);
	free(arbiter);
}

int sched_arbiter_add(struct sched_arbiter *arbiter, struct sched_lease_page *page, uint32_t weight,
		      uint32_t cap_percent, uint64_t now_ns, struct sched_seat **out)
{
	struct sched_seat *seat;

	if (!weight || weight > SCHED_WEIGHT_MAX || cap_percent > 100)
		return -EINVAL;
	if (arbiter->seat_count == SCHED_SEATS_MAX)
		return -EUSERS;
	seat = calloc(1, sizeof(*seat));
	if (!seat)
		return -ENOMEM;
	seat->page = page;
	seat->lane = seat->last_lane = -1;
	sched_share_init(&arbiter->policy, &seat->share, weight, cap_percent, now_ns);
	set_slice_end(seat, 0);
	seat->next = arbiter->seats;
	arbiter->seats = seat;
	arbiter->seat_count++;
	*out = seat;
	return 0;
}

void sched_arbiter_remove(struct sched_arbiter *arbiter, struct sched_seat *seat, uint64_t now_ns)
{
	struct sched_seat **link = &arbiter->seats;

	if (seat->lane >= 0)
		take_lane(arbiter, seat, now_ns);
	while (*link != seat)
		link = &(*link)->next;
	*link = seat->next;
	arbiter->seat_count--;
	free(seat);
}

void sched_seat_stats(const struct sched_seat *seat, struct sched_seat_stats *stats)
{
	*stats = (struct sched_seat_stats){
		.grants = seat->grants,
		.overruns = seat->overruns,
		.lane_ns = seat->lane_ns,
		.lane = seat->lane,
	};
}
