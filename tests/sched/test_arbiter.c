/* SPDX-License-Identifier: MIT */
/*
 * Policies and the arbiter's core in a simulation: the clock is a number, and the vGPUs are loops
 * that read and write their pages as lease.c does, or worse.  Nothing here waits or runs in
 * parallel, so the shares come out the same each time.
 */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "sched/arbiter.h"

#define MS	  NSEC_PER_MSEC
#define US	  NSEC_PER_USEC
#define TICK	  (50 * US) /* how finely a simulated vGPU looks at its page */
#define START	  (1000 * NSEC_PER_SEC)
#define MAX_SEATS 16u

enum habit {
	BUSY,	  /* always has work */
	BURSTS,	  /* works busy_ns, sleeps sleep_ns, and so on */
	STUBBORN, /* takes a lane and never says a word again */
	ABSENT,	  /* wants nothing */
};

struct player {
	struct sched_lease_page page;
	struct sched_seat *seat;
	enum habit habit;
	uint64_t busy_ns, sleep_ns;
	uint64_t left_ns; /* of the present burst */
	uint64_t wake_at_ns;
	uint64_t ran_ns; /* as it says itself */
	uint64_t longest_wait_ns, want_since_ns;
};

struct world {
	struct sched_arbiter *arbiter;
	struct player players[MAX_SEATS];
	unsigned int count;
	uint64_t now_ns, look_at_ns;
	unsigned int runs; /* of the arbiter */
	unsigned int outlaws;
};

static void outlaw(void *opaque, struct sched_seat *seat)
{
	struct world *w = opaque;

	w->outlaws++;
}

static void open_world_of(struct world *w, enum sched_policy_kind policy, unsigned int lanes,
			  uint64_t slice_ns)
{
	struct sched_arbiter_config config = {
		.policy = policy,
		.lanes = lanes,
		.cpus = { 3, 5 },
		.slice_ns = slice_ns,
		.outlaw = outlaw,
		.opaque = w,
	};

	memset(w, 0, sizeof(*w));
	w->now_ns = START;
	assert_int_equal(sched_arbiter_create(&config, &w->arbiter), 0);
}

/* With slices so short that shares come out even soon. */
static void open_world(struct world *w, enum sched_policy_kind policy, unsigned int lanes)
{
	open_world_of(w, policy, lanes, 2 * MS);
}

static void close_world(struct world *w)
{
	for (unsigned int i = 0; i < w->count; i++)
		if (w->players[i].seat)
			sched_arbiter_remove(w->arbiter, w->players[i].seat, w->now_ns);
	sched_arbiter_destroy(w->arbiter);
}

static struct player *enter(struct world *w, enum habit habit, uint32_t weight, uint32_t cap)
{
	struct player *p = &w->players[w->count++];

	p->habit = habit;
	assert_int_equal(sched_arbiter_add(w->arbiter, &p->page, weight, cap, w->now_ns, &p->seat),
			 0);
	return p;
}

static void leave(struct world *w, struct player *p)
{
	sched_arbiter_remove(w->arbiter, p->seat, w->now_ns);
	p->seat = NULL;
	p->habit = ABSENT;
	w->look_at_ns = w->now_ns;
}

static void ring(struct world *w)
{
	w->look_at_ns = w->now_ns;
}

static void want(struct world *w, struct player *p)
{
	uint32_t held = SCHED_LEASE_HELD;

	if (atomic_compare_exchange_strong(&p->page.state, &held, SCHED_LEASE_RUN))
		return;
	p->page.state = SCHED_LEASE_WANT;
	p->want_since_ns = w->now_ns;
	ring(w);
}

static void rest(struct world *w, struct player *p)
{
	if (p->page.slice_end_ns == SCHED_SLICE_FREE) {
		p->page.state = SCHED_LEASE_HELD;
		return;
	}
	p->page.state = SCHED_LEASE_IDLE;
	ring(w);
}

static void run_player(struct world *w, struct player *p)
{
	p->ran_ns += TICK;
	if (p->habit == STUBBORN)
		return;
	if (p->habit == BURSTS) {
		p->left_ns -= MIN(p->left_ns, TICK);
		if (!p->left_ns) {
			p->wake_at_ns = w->now_ns + p->sleep_ns;
			rest(w, p);
			return;
		}
	}
	if (w->now_ns + TICK >= p->page.slice_end_ns)
		want(w, p);
}

static void step_player(struct world *w, struct player *p)
{
	switch (atomic_load(&p->page.state)) {
	case SCHED_LEASE_RUN:
		if (p->want_since_ns)
			p->longest_wait_ns = MAX(p->longest_wait_ns, w->now_ns - p->want_since_ns);
		p->want_since_ns = 0;
		run_player(w, p);
		break;
	case SCHED_LEASE_IDLE:
	case SCHED_LEASE_HELD:
		if (p->habit == ABSENT || w->now_ns < p->wake_at_ns)
			break;
		p->left_ns = p->busy_ns;
		want(w, p);
		break;
	default:
		break;
	}
}

static void pass(struct world *w, uint64_t ns)
{
	for (uint64_t end = w->now_ns + ns; w->now_ns < end; w->now_ns += TICK) {
		for (unsigned int i = 0; i < w->count; i++)
			if (w->players[i].seat)
				step_player(w, &w->players[i]);
		while (w->look_at_ns && w->look_at_ns <= w->now_ns) {
			w->look_at_ns = sched_arbiter_run(w->arbiter, w->now_ns);
			w->runs++;
		}
	}
}

static uint64_t lane_ns(const struct player *p)
{
	struct sched_seat_stats stats;

	sched_seat_stats(p->seat, &stats);
	return stats.lane_ns;
}

static double jain(const double *x, unsigned int n)
{
	double sum = 0, squares = 0;

	for (unsigned int i = 0; i < n; i++) {
		sum += x[i];
		squares += x[i] * x[i];
	}
	return sum * sum / (n * squares);
}

static void expect_share(uint64_t part_ns, uint64_t whole_ns, double share, double error)
{
	double is = (double)part_ns / (double)whole_ns;

	if (fabs(is - share) > share * error)
		fail_msg("a share of %.4f where %.4f was due", is, share);
}

/* ---- Fair ---- */

static void eight_equals_get_the_same(void **state)
{
	double ran[8];
	struct world w;

	open_world(&w, SCHED_POLICY_FAIR, 1);
	for (int i = 0; i < 8; i++)
		enter(&w, BUSY, 2, 0);
	pass(&w, 10 * NSEC_PER_SEC);
	for (int i = 0; i < 8; i++) {
		ran[i] = (double)w.players[i].ran_ns;
		assert_true(w.players[i].longest_wait_ns <= 8 * 3 * MS);
	}
	assert_true(jain(ran, 8) >= 0.999);
	close_world(&w);
}

static void weights_are_kept(void **state)
{
	static const uint32_t weights[] = { 1, 2, 4 };
	struct world w;

	open_world(&w, SCHED_POLICY_FAIR, 1);
	for (int i = 0; i < 3; i++)
		enter(&w, BUSY, weights[i], 0);
	pass(&w, 10 * NSEC_PER_SEC);
	for (int i = 0; i < 3; i++)
		expect_share(w.players[i].ran_ns, 10 * NSEC_PER_SEC, weights[i] / 7.0, 0.02);
	close_world(&w);
}

static void three_share_two_lanes(void **state)
{
	struct world w;

	open_world(&w, SCHED_POLICY_FAIR, 2);
	for (int i = 0; i < 3; i++)
		enter(&w, BUSY, 1, 0);
	pass(&w, 3 * NSEC_PER_SEC);
	for (int i = 0; i < 3; i++)
		expect_share(w.players[i].ran_ns, 6 * NSEC_PER_SEC, 1 / 3.0, 0.02);
	assert_true(w.players[0].page.cpu == 3 || w.players[0].page.cpu == 5);
	close_world(&w);
}

static void no_lane_is_idle_while_one_is_wanted(void **state)
{
	uint64_t ran = 0;
	struct world w;

	open_world(&w, SCHED_POLICY_FAIR, 1);
	enter(&w, BUSY, 1, 0);
	for (int i = 0; i < 3; i++) {
		struct player *p = enter(&w, BURSTS, 16, 0);

		p->busy_ns = 300 * US;
		p->sleep_ns = (uint64_t)(i + 1) * 7 * MS;
	}
	pass(&w, 4 * NSEC_PER_SEC);
	for (int i = 0; i < 4; i++)
		ran += w.players[i].ran_ns;
	/* A tick is lost at each change of hands, for so the simulation goes. */
	assert_true(ran > 4 * NSEC_PER_SEC * 9 / 10);
	assert_true(w.players[0].ran_ns > 2 * NSEC_PER_SEC);
	close_world(&w);
}

static void alone_nobody_is_asked(void **state)
{
	struct player *p;
	struct world w;

	open_world(&w, SCHED_POLICY_FAIR, 1);
	p = enter(&w, BURSTS, 1, 0);
	p->busy_ns = MS;
	p->sleep_ns = MS;
	enter(&w, ABSENT, 1, 0);
	pass(&w, NSEC_PER_SEC);
	assert_int_equal(w.runs, 1);
	assert_int_equal(p->page.grants, 1);
	assert_true(p->ran_ns > 400 * MS);
	close_world(&w);
}

static void a_parked_lane_is_taken_back(void **state)
{
	struct player *p, *other;
	struct world w;

	open_world(&w, SCHED_POLICY_FAIR, 1);
	p = enter(&w, BURSTS, 1, 0);
	p->busy_ns = MS;
	p->sleep_ns = 5 * NSEC_PER_SEC;
	pass(&w, 10 * MS);
	assert_int_equal(p->page.state, SCHED_LEASE_HELD);
	other = enter(&w, BUSY, 1, 0);
	pass(&w, 10 * MS);
	assert_int_equal(p->page.state, SCHED_LEASE_IDLE);
	assert_true(other->ran_ns > 9 * MS);
	assert_int_equal(other->page.slice_end_ns, SCHED_SLICE_FREE);
	close_world(&w);
}

static void a_newcomer_owes_and_is_owed_nothing(void **state)
{
	struct player *early, *late;
	uint64_t before;
	struct world w;

	open_world(&w, SCHED_POLICY_FAIR, 1);
	early = enter(&w, BUSY, 1, 0);
	enter(&w, BUSY, 1, 0);
	pass(&w, 5 * NSEC_PER_SEC);
	late = enter(&w, BUSY, 1, 0);
	before = early->ran_ns;
	pass(&w, 300 * MS);
	expect_share(late->ran_ns, 300 * MS, 1 / 3.0, 0.06);
	expect_share(early->ran_ns - before, 300 * MS, 1 / 3.0, 0.06);
	close_world(&w);
}

/* Neither of the two was hurt by what the other did while it was away. */
static void what_nobody_else_wanted_is_not_owed(void **state)
{
	struct player *early, *late;
	uint64_t before;
	struct world w;

	open_world(&w, SCHED_POLICY_FAIR, 1);
	early = enter(&w, BURSTS, 1, 0);
	early->busy_ns = 3 * NSEC_PER_SEC;
	early->sleep_ns = NSEC_PER_SEC;
	pass(&w, 3 * NSEC_PER_SEC + 500 * MS);
	late = enter(&w, BUSY, 1, 0);
	pass(&w, 600 * MS); /* the first one is back by now */
	before = late->ran_ns;
	early->ran_ns = 0;
	pass(&w, 400 * MS);
	expect_share(early->ran_ns, 400 * MS, 0.5, 0.06);
	expect_share(late->ran_ns - before, 400 * MS, 0.5, 0.06);
	close_world(&w);
}

static void a_sleeper_saves_nothing_up(void **state)
{
	struct player *busy, *sleeper;
	uint64_t before;
	struct world w;

	open_world(&w, SCHED_POLICY_FAIR, 1);
	busy = enter(&w, BUSY, 1, 0);
	enter(&w, BUSY, 1, 0);
	sleeper = enter(&w, BURSTS, 1, 0);
	sleeper->busy_ns = 10 * NSEC_PER_SEC;
	sleeper->wake_at_ns = START + 5 * NSEC_PER_SEC;
	pass(&w, 5 * NSEC_PER_SEC);
	before = busy->ran_ns;
	pass(&w, 100 * MS);
	assert_in_range(sleeper->ran_ns, 30 * MS, 42 * MS);
	assert_true(busy->ran_ns - before > 27 * MS);
	assert_true(sleeper->longest_wait_ns <= 9 * MS);
	close_world(&w);
}

/* How long one that mostly rests has waited at most, beside @others that never do. */
static uint64_t longest_wait_beside(enum sched_policy_kind policy, unsigned int others)
{
	struct player *rested;
	uint64_t longest_ns;
	struct world w;

	open_world_of(&w, policy, 1, 16 * MS);
	for (unsigned int i = 0; i < others; i++)
		enter(&w, BUSY, 1, 0);
	rested = enter(&w, BURSTS, 1, 0);
	rested->busy_ns = 300 * US;
	rested->sleep_ns = 16 * MS;
	pass(&w, 200 * MS); /* newcomers are level, and have come at once */
	rested->longest_wait_ns = rested->ran_ns = 0;
	pass(&w, 4 * NSEC_PER_SEC);
	assert_true(rested->ran_ns > 4 * NSEC_PER_SEC / 500);
	longest_ns = rested->longest_wait_ns;
	close_world(&w);
	return longest_ns;
}

/* However many want the lane all the time; first come, first served has it wait for them all.
 * Beside one it is at times the other's turn, and then its own. */
static void who_comes_from_a_pause_waits_for_no_long_slice(void **state)
{
	assert_true(longest_wait_beside(SCHED_POLICY_FAIR, 1) <= 4 * MS + 4 * TICK);
	assert_true(longest_wait_beside(SCHED_POLICY_FAIR, 4) <= 2 * MS + 2 * TICK);
	assert_true(longest_wait_beside(SCHED_POLICY_RR, 4) > 40 * MS);
}

/* A million tiny jobs take no more than one big one. */
static void short_jobs_gain_nothing(void **state)
{
	struct player *busy, *tiny;
	struct world w;

	open_world(&w, SCHED_POLICY_FAIR, 1);
	busy = enter(&w, BUSY, 1, 0);
	tiny = enter(&w, BURSTS, 1, 0);
	tiny->busy_ns = TICK;
	pass(&w, 2 * NSEC_PER_SEC);
	assert_true(busy->ran_ns >= tiny->ran_ns);
	assert_true(busy->ran_ns > 900 * MS);
	close_world(&w);
}

static void caps_hold(void **state)
{
	struct player *capped, *free_one;
	struct world w;

	open_world(&w, SCHED_POLICY_FAIR, 1);
	capped = enter(&w, BUSY, 8, 20);
	pass(&w, 4 * NSEC_PER_SEC);
	expect_share(capped->ran_ns, 4 * NSEC_PER_SEC, 0.2, 0.05);
	capped->ran_ns = 0;
	free_one = enter(&w, BUSY, 1, 0);
	pass(&w, 4 * NSEC_PER_SEC);
	expect_share(capped->ran_ns, 4 * NSEC_PER_SEC, 0.2, 0.05);
	expect_share(free_one->ran_ns, 4 * NSEC_PER_SEC, 0.8, 0.05);
	close_world(&w);
}

/* ---- Round robin ---- */

static void round_robin_knows_no_weights(void **state)
{
	struct world w;

	open_world(&w, SCHED_POLICY_RR, 1);
	enter(&w, BUSY, 1, 0);
	enter(&w, BUSY, 16, 0);
	pass(&w, 2 * NSEC_PER_SEC);
	expect_share(w.players[0].ran_ns, 2 * NSEC_PER_SEC, 0.5, 0.02);
	expect_share(w.players[1].ran_ns, 2 * NSEC_PER_SEC, 0.5, 0.02);
	close_world(&w);
}

/* ---- The hostile ---- */

static void who_does_not_yield_loses_its_own(void **state)
{
	struct player *bad;
	struct world w;

	open_world(&w, SCHED_POLICY_FAIR, 1);
	bad = enter(&w, STUBBORN, 16, 0);
	for (int i = 0; i < 3; i++)
		enter(&w, BUSY, 1, 0);
	pass(&w, 4 * NSEC_PER_SEC);
	for (int i = 1; i < 4; i++)
		expect_share(lane_ns(&w.players[i]), 4 * NSEC_PER_SEC, 1 / 3.0, 0.02);
	assert_true(lane_ns(bad) < 20 * MS);
	assert_int_equal(bad->page.overruns, 1);
	assert_int_equal(bad->page.grants, 1);
	assert_int_equal(w.outlaws, 1);
	close_world(&w);
}

/* Once it does behave, it pays for what it took before it gets more. */
static void an_overrun_is_paid_for(void **state)
{
	struct player *bad, *good;
	uint64_t before;
	struct world w;

	open_world(&w, SCHED_POLICY_FAIR, 1);
	bad = enter(&w, STUBBORN, 1, 0);
	good = enter(&w, BUSY, 1, 0);
	pass(&w, 500 * MS);
	bad->habit = BUSY;
	before = bad->page.grants;
	pass(&w, 400 * MS);
	assert_int_equal(bad->page.grants, before);
	pass(&w, 2 * NSEC_PER_SEC);
	assert_true(bad->page.grants > before);
	assert_int_equal(bad->page.overruns, 1);
	assert_true(good->ran_ns > 1500 * MS);
	close_world(&w);
}

static void the_dead_give_their_lane_back(void **state)
{
	struct player *dead, *other;
	struct world w;

	open_world(&w, SCHED_POLICY_FAIR, 1);
	dead = enter(&w, STUBBORN, 1, 0);
	pass(&w, MS);
	other = enter(&w, BUSY, 1, 0);
	pass(&w, MS);
	leave(&w, dead);
	pass(&w, 10 * MS);
	assert_true(other->ran_ns >= 9 * MS);
	close_world(&w);
}

/* Whatever stands in a page: no lane is had twice, and the others get theirs. */
static void nonsense_in_a_page_hurts_nobody(void **state)
{
	struct player *liar, *other;
	uint64_t seed = 88172645463325252ull;
	struct world w;

	open_world(&w, SCHED_POLICY_FAIR, 1);
	liar = enter(&w, ABSENT, 1, 0);
	other = enter(&w, BUSY, 1, 0);
	for (int i = 0; i < 40000; i++) {
		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		liar->page.state = seed & 0x100 ? (uint32_t)(seed & 3) : (uint32_t)(seed >> 32);
		liar->page.slice_end_ns = seed;
		liar->page.cpu = (uint32_t)seed;
		liar->page.grants = seed;
		ring(&w);
		pass(&w, TICK);
	}
	assert_true(lane_ns(other) + lane_ns(liar) <= 2 * NSEC_PER_SEC);
	assert_true(lane_ns(other) > 900 * MS);
	close_world(&w);
}

static void seats_are_checked_and_counted(void **state)
{
	struct sched_lease_page page = { 0 };
	struct sched_seat *seats[SCHED_SEATS_MAX], *more;
	struct world w;

	open_world(&w, SCHED_POLICY_FAIR, 1);
	assert_int_equal(sched_arbiter_add(w.arbiter, &page, 0, 0, 1, &more), -EINVAL);
	assert_int_equal(sched_arbiter_add(w.arbiter, &page, 1001, 0, 1, &more), -EINVAL);
	assert_int_equal(sched_arbiter_add(w.arbiter, &page, 1, 101, 1, &more), -EINVAL);
	for (unsigned int i = 0; i < SCHED_SEATS_MAX; i++)
		assert_int_equal(sched_arbiter_add(w.arbiter, &page, 1, 0, 1, &seats[i]), 0);
	assert_int_equal(sched_arbiter_add(w.arbiter, &page, 1, 0, 1, &more), -EUSERS);
	for (unsigned int i = 0; i < SCHED_SEATS_MAX; i++)
		sched_arbiter_remove(w.arbiter, seats[i], 2);
	close_world(&w);
}

static void policies_have_names(void **state)
{
	enum sched_policy_kind kind;

	assert_int_equal(sched_policy_parse("rr", &kind), 0);
	assert_int_equal(kind, SCHED_POLICY_RR);
	assert_string_equal(sched_policy_name(kind), "rr");
	assert_int_equal(sched_policy_parse("fair", &kind), 0);
	assert_int_equal(sched_policy_parse("fairer", &kind), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(eight_equals_get_the_same),
		cmocka_unit_test(weights_are_kept),
		cmocka_unit_test(three_share_two_lanes),
		cmocka_unit_test(no_lane_is_idle_while_one_is_wanted),
		cmocka_unit_test(alone_nobody_is_asked),
		cmocka_unit_test(a_parked_lane_is_taken_back),
		cmocka_unit_test(a_newcomer_owes_and_is_owed_nothing),
		cmocka_unit_test(what_nobody_else_wanted_is_not_owed),
		cmocka_unit_test(a_sleeper_saves_nothing_up),
		cmocka_unit_test(who_comes_from_a_pause_waits_for_no_long_slice),
		cmocka_unit_test(short_jobs_gain_nothing),
		cmocka_unit_test(caps_hold),
		cmocka_unit_test(round_robin_knows_no_weights),
		cmocka_unit_test(who_does_not_yield_loses_its_own),
		cmocka_unit_test(an_overrun_is_paid_for),
		cmocka_unit_test(the_dead_give_their_lane_back),
		cmocka_unit_test(nonsense_in_a_page_hurts_nobody),
		cmocka_unit_test(seats_are_checked_and_counted),
		cmocka_unit_test(policies_have_names),
	};

	return cmocka_run_group_tests_name("sched/arbiter", tests, NULL, NULL);
}
