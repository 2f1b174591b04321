/* SPDX-License-Identifier: MIT */
/*
 * Page tables whose stores are told, over a guest that tracks pages of its memory: when a table is
 * tracked, that it is not looked at then, and that no store to it is lost, whichever thread makes
 * it and when.
 */
#include "shadow/tracker.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define GUEST_BYTES (4u << 20)
#define PAGES	    (GUEST_BYTES / 4096u)
#define PML4	    0x1000u
#define PDP	    0x2000u
#define PD	    0x3000u
#define PML4_OTHER  0x4000u
#define PDP_OTHER   0x5000u
#define PD_OTHER    0x6000u
#define PT	    0x10000u /* the first of many, one after the other */
#define TABLES	    128u
#define DATA	    0x200000u /* 256 pages */
#define MESSAGES    0x300000u /* one page without a mapping */

#define P  1u
#define RW 2u

static uint8_t *ram;
static struct guest guest;
static struct shadow_tracker *tracker;
static struct shadow_ppgtt ppgtt, other;
static bool tracked[PAGES];
static unsigned int calls_on, calls_off;
static _Atomic unsigned int kicks;
static struct guest_watch told;
static bool in_place;	       /* to track pages does not change the map */
static uint32_t refused;       /* a page that cannot be tracked; 0: none */
static void (*tracking)(void); /* in the middle of track */

static int ram_read(struct guest *g, gpa_t at, void *buf, size_t len)
{
	if (at.v + len > GUEST_BYTES)
		return -EFAULT;
	memcpy(buf, ram + at.v, len);
	return 0;
}

static int ram_write(struct guest *g, gpa_t at, const void *buf, size_t len)
{
	return -EFAULT;
}

static void *ram_map(struct guest *g, gpa_t at, unsigned int access, size_t *len)
{
	if (at.v >= GUEST_BYTES || at.v >> 12 == MESSAGES >> 12)
		return NULL;
	*len = GUEST_BYTES - at.v;
	return ram + at.v;
}

static int ram_track(struct guest *g, const gpa_t *pages, size_t count,
		     const struct guest_watch *watch)
{
	const bool on = watch;

	assert_true(count > 0);
	calls_on += on;
	calls_off += !on;
	for (size_t i = 0; i < count; i++)
		if (on && refused && pages[i].v == refused)
			return -EFAULT;
	guest_quiesce(g);
	if (on)
		told = *watch;
	for (size_t i = 0; i < count; i++)
		tracked[pages[i].v >> 12] = on;
	if (on && !in_place)
		guest_resume(g);
	else
		guest_resume_unchanged(g);
	if (tracking)
		tracking();
	return 0;
}

static const struct guest_ops ram_ops = {
	.read = ram_read, .write = ram_write, .map = ram_map, .track = ram_track
};

static void kicked(void *opaque)
{
	atomic_fetch_add(&kicks, 1);
}

static void set_entry(uint32_t table, unsigned int index, uint64_t value)
{
	__atomic_store_n((uint64_t *)(void *)(ram + table + index * 8), value, __ATOMIC_RELAXED);
}

/* As a vCPU does it: told first, and both inside a reader section. */
static void store(uint32_t table, unsigned int index, uint64_t value)
{
	guest_enter(&guest);
	if (tracked[table >> 12])
		told.written(told.opaque, gpa(table));
	set_entry(table, index, value);
	guest_leave(&guest);
}

static int set_up(void **state)
{
	ram = aligned_alloc(4096, GUEST_BYTES);
	memset(ram, 0, GUEST_BYTES);
	memset(tracked, 0, sizeof(tracked));
	calls_on = calls_off = 0;
	atomic_store(&kicks, 0);
	refused = 0;
	in_place = false;
	tracking = NULL;
	guest_init(&guest, &ram_ops);
	set_entry(PML4, 0, PDP | P | RW);
	set_entry(PDP, 0, PD | P | RW);
	set_entry(PML4_OTHER, 0, PDP_OTHER | P | RW);
	set_entry(PDP_OTHER, 0, PD_OTHER | P | RW);
	for (unsigned int i = 0; i < TABLES; i++) {
		set_entry(PD, i, (PT + i * 4096) | P | RW);
		set_entry(PT + i * 4096, 0, DATA | P | RW);
	}
	assert_int_equal(shadow_tracker_create(&guest, kicked, NULL, &tracker), 0);
	shadow_ppgtt_init(&ppgtt, &guest);
	shadow_ppgtt_track(&ppgtt, tracker);
	shadow_ppgtt_load(&ppgtt, gpa(PML4));
	shadow_ppgtt_init(&other, &guest);
	shadow_ppgtt_track(&other, tracker);
	shadow_ppgtt_load(&other, gpa(PML4_OTHER));
	return 0;
}

static int tear_down(void **state)
{
	shadow_tracker_destroy(tracker);
	guest_fini(&guest);
	free(ram);
	return 0;
}

/* Number of the data page behind the first page of table @i. */
static unsigned int look(struct shadow_ppgtt *space, unsigned int i)
{
	guest_enter(&guest);
	uint8_t *host = gpu_as_map(&space->as, gma((uint64_t)i << 21), GPU_READ);
	guest_leave(&guest);
	assert_non_null(host);
	return (unsigned int)((size_t)(host - ram - DATA) / 4096);
}

/* @count times what i915 does with each request: an invalidation, and the first @tables are used.
 */
static void use(struct shadow_ppgtt *space, unsigned int tables, unsigned int count)
{
	while (count--) {
		gpu_as_invalidate(&space->as);
		for (unsigned int i = 0; i < tables; i++)
			look(space, i);
	}
}

/* One look enters the table, each after it finds it unchanged. */
static void use_until_tracked(unsigned int tables)
{
	use(&ppgtt, tables, TRACKER_STABLE + 1);
	shadow_tracker_update(tracker);
	for (unsigned int i = 0; i < tables; i++)
		assert_true(tracked[(PT >> 12) + i]);
	use(&ppgtt, tables, 2); /* translated anew, for tracking changed the map; looked at */
}

static void stable_tables_are_tracked_in_one_batch(void **state)
{
	use(&ppgtt, 5, TRACKER_STABLE);
	assert_int_equal(kicks, 0);
	use(&ppgtt, 5, 1);
	assert_int_equal(kicks, 5);
	assert_int_equal(calls_on, 0); /* not on the lane */
	shadow_tracker_update(tracker);
	assert_int_equal(calls_on, 1);
	assert_int_equal(shadow_tracker_count(tracker), 5);
	shadow_tracker_update(tracker);
	assert_int_equal(calls_on, 1);
	assert_int_equal(calls_off, 0);
}

/* A change that nobody tells is not noticed: the table was not read. */
static void tracked_tables_are_not_looked_at(void **state)
{
	uint64_t misses;

	use_until_tracked(3);
	misses = ppgtt.as.misses;
	ppgtt.kept = 0;
	set_entry(PT, 0, (DATA + 0x1000) | P | RW);
	use(&ppgtt, 3, 10);
	assert_int_equal(ppgtt.kept, 30);
	assert_int_equal(ppgtt.as.misses, misses);
	assert_int_equal(look(&ppgtt, 0), 0);
}

static void a_store_is_seen_after_the_next_drop(void **state)
{
	use_until_tracked(2);
	store(PT, 0, (DATA + 0x1000) | P | RW);
	assert_int_equal(look(&ppgtt, 0), 0); /* until then the old one is as right */
	gpu_as_invalidate(&ppgtt.as);
	assert_int_equal(look(&ppgtt, 0), 1);
	/* And so is the next, which is told to nobody else. */
	store(PT, 0, (DATA + 0x2000) | P | RW);
	gpu_as_invalidate(&ppgtt.as);
	assert_int_equal(look(&ppgtt, 0), 2);
	shadow_tracker_update(tracker);
	assert_false(tracked[PT >> 12]);
	assert_true(tracked[(PT >> 12) + 1]);
	store(PT, 0, (DATA + 0x3000) | P | RW);
	gpu_as_invalidate(&ppgtt.as);
	assert_int_equal(look(&ppgtt, 0), 3);
	/* Page 1 of the table: stored to while the table was tracked, never translated before. */
	store(PT + 0x1000, 1, (DATA + 0x4000) | P | RW);
	gpu_as_invalidate(&ppgtt.as);
	assert_ptr_equal(gpu_as_map(&ppgtt.as, gma(0x201000), GPU_READ), ram + DATA + 0x4000);
}

static void stores_make_it_reluctant(void **state)
{
	unsigned int uses[4] = { 0 };

	for (unsigned int round = 0; round < ARRAY_SIZE(uses); round++) {
		gpu_as_invalidate(&ppgtt.as);
		look(&ppgtt, 0);
		while (!tracked[PT >> 12]) {
			use(&ppgtt, 1, 1);
			shadow_tracker_update(tracker);
			uses[round]++;
		}
		store(PT, 0, (DATA + round * 0x1000) | P | RW);
		shadow_tracker_update(tracker);
	}
	assert_int_equal(uses[0], TRACKER_STABLE);
	for (unsigned int round = 1; round < ARRAY_SIZE(uses); round++)
		assert_in_range(uses[round], ((1u << (round - 1)) + 1) * TRACKER_STABLE,
				((1u << (round - 1)) + 1) * TRACKER_STABLE + 2);
	/* One that changes between looks is never asked for. */
	calls_on = 0;
	for (unsigned int i = 0; i < 100; i++) {
		store(PT + 0x1000, 0, (DATA + i * 0x1000) | P | RW);
		use(&ppgtt, 2, 1);
		shadow_tracker_update(tracker);
		assert_int_equal(look(&ppgtt, 1), i);
	}
	assert_false(tracked[(PT >> 12) + 1]);
}

static void store_in_the_middle(void)
{
	tracking = NULL;
	store(PT, 0, (DATA + 0x1000) | P | RW);
}

/* After it was asked for, before it got its stamp. */
static void a_store_while_tracking_begins(void **state)
{
	use(&ppgtt, 1, TRACKER_STABLE + 1);
	tracking = store_in_the_middle;
	shadow_tracker_update(tracker);
	assert_int_equal(shadow_tracker_count(tracker), 0);
	assert_false(tracked[PT >> 12]);
	gpu_as_invalidate(&ppgtt.as);
	assert_int_equal(look(&ppgtt, 0), 1);
}

/* The mark stays until nobody can be in the middle of a store. */
static void a_store_while_tracking_ends(void **state)
{
	use_until_tracked(1);
	store(PT, 0, (DATA + 0x2000) | P | RW);
	tracking = store_in_the_middle;
	shadow_tracker_update(tracker);
	gpu_as_invalidate(&ppgtt.as);
	assert_int_equal(look(&ppgtt, 0), 1);
}

static void tables_go_with_their_space(void **state)
{
	const gpa_t root = gpa(PML4), another = gpa(PML4_OTHER);

	set_entry(PD_OTHER, 0, (PT + 7 * 4096) | P | RW);
	use_until_tracked(2);
	use(&other, 1, TRACKER_STABLE + 1);
	shadow_tracker_update(tracker);
	assert_int_equal(shadow_tracker_count(tracker), 3);
	shadow_tracker_drop(tracker, &another);
	shadow_tracker_update(tracker);
	assert_false(tracked[(PT >> 12) + 7]);
	assert_int_equal(shadow_tracker_count(tracker), 2);
	shadow_tracker_drop(tracker, &root);
	shadow_tracker_update(tracker);
	assert_int_equal(shadow_tracker_count(tracker), 0);
	assert_int_equal(calls_off, 2);
	/* What comes to lie there is as new. */
	use_until_tracked(2);
	shadow_tracker_drop(tracker, NULL);
	shadow_tracker_update(tracker);
	assert_int_equal(shadow_tracker_count(tracker), 0);
	assert_int_equal(calls_off, 3);
	shadow_tracker_drop(NULL, NULL);
}

/* Two engines, the same table: one had it tracked, both spare the look. */
static void spaces_share_a_table(void **state)
{
	set_entry(PD_OTHER, 0, PT | P | RW);
	use_until_tracked(1);
	other.kept = 0;
	use(&other, 1, 3);
	assert_int_equal(other.kept, 2);
	store(PT, 0, (DATA + 0x1000) | P | RW);
	gpu_as_invalidate(&other.as);
	assert_int_equal(look(&other, 0), 1);
}

/* Stored to and tracked again, thanks to the other space, while this one did not look. */
static void what_was_made_before_a_store(void **state)
{
	in_place = true;
	set_entry(PD_OTHER, 0, PT | P | RW);
	use_until_tracked(1);
	store(PT, 0, (DATA + 0x1000) | P | RW);
	shadow_tracker_update(tracker);
	assert_false(tracked[PT >> 12]);
	use(&other, 1, 2 * TRACKER_STABLE + 1);
	shadow_tracker_update(tracker);
	assert_true(tracked[PT >> 12]);
	gpu_as_invalidate(&ppgtt.as);
	assert_int_equal(look(&ppgtt, 0), 1);
}

/* One of them is tracked: it says nothing about the other. */
static void two_tables_that_share_a_place(void **state)
{
	const uint32_t rival = PT + TRACKER_TABLES * 4096;

	set_entry(PD, 1, rival | P | RW);
	set_entry(rival, 0, DATA | P | RW);
	use_until_tracked(1);
	use(&ppgtt, 2, 3 * TRACKER_STABLE);
	shadow_tracker_update(tracker);
	assert_int_equal(calls_on, 1);
	store(rival, 0, (DATA + 0x1000) | P | RW);
	gpu_as_invalidate(&ppgtt.as);
	assert_int_equal(look(&ppgtt, 1), 1);
	/* Nor is a store to the other one to this. */
	told.written(told.opaque, gpa(rival));
	assert_int_equal(shadow_tracker_count(tracker), 1);
}

/* The levels above are walked all the same. */
static void another_table_in_its_place(void **state)
{
	use_until_tracked(2);
	set_entry(PT + 0x1000, 0, (DATA + 0x5000) | P | RW);
	set_entry(PD, 0, (PT + 5 * 4096) | P | RW);
	set_entry(PT + 5 * 4096, 0, (DATA + 0x3000) | P | RW);
	gpu_as_invalidate(&ppgtt.as);
	assert_int_equal(look(&ppgtt, 0), 3);
	/* And back: what is tracked was not stored to, but the other one's page came in between. */
	set_entry(PD, 0, PT | P | RW);
	gpu_as_invalidate(&ppgtt.as);
	assert_int_equal(look(&ppgtt, 0), 0);
	/* The same one, of a directory that is read-only now. */
	set_entry(PD, 0, PT | P);
	gpu_as_invalidate(&ppgtt.as);
	assert_int_equal(look(&ppgtt, 0), 0);
	guest_enter(&guest);
	assert_null(gpu_as_map(&ppgtt.as, gma(0), GPU_WRITE));
	guest_leave(&guest);
	/* One that is tracked, in the place of another. */
	set_entry(PD, 0, (PT + 0x1000) | P | RW);
	gpu_as_invalidate(&ppgtt.as);
	assert_int_equal(look(&ppgtt, 0), 5);
	set_entry(PD, 0, 0);
	gpu_as_invalidate(&ppgtt.as);
	assert_null(gpu_as_map(&ppgtt.as, gma(0), GPU_READ));
}

/* As guest_kvm does it when memory goes: told, and no longer tracked. */
static void memory_that_goes(void **state)
{
	use_until_tracked(1);
	guest_quiesce(&guest);
	told.written(told.opaque, gpa(PT));
	tracked[PT >> 12] = false;
	guest_resume(&guest);
	set_entry(PT, 0, (DATA + 0x1000) | P | RW);
	assert_int_equal(look(&ppgtt, 0), 1);
	set_entry(PT, 0, (DATA + 0x2000) | P | RW);
	gpu_as_invalidate(&ppgtt.as);
	assert_int_equal(look(&ppgtt, 0), 2);
}

static void pages_that_cannot_be_tracked(void **state)
{
	refused = PT + 0x1000;
	use(&ppgtt, 3, TRACKER_STABLE + 1);
	shadow_tracker_update(tracker);
	assert_int_equal(calls_on, 1 + 3);
	assert_true(tracked[PT >> 12] && tracked[(PT >> 12) + 2]);
	assert_int_equal(shadow_tracker_count(tracker), 2);
	/* It is looked at as before, and not asked for again soon. */
	use(&ppgtt, 3, 100 * TRACKER_STABLE);
	shadow_tracker_update(tracker);
	assert_int_equal(calls_on, 1 + 3);
	store(refused, 0, (DATA + 0x1000) | P | RW);
	gpu_as_invalidate(&ppgtt.as);
	assert_int_equal(look(&ppgtt, 1), 1);
	/* Nor is one that has no mapping here. */
	set_entry(PD, 0, MESSAGES | P | RW);
	memcpy(ram + MESSAGES, ram + PT, 4096);
	atomic_store(&kicks, 0);
	use(&ppgtt, 1, 10 * TRACKER_STABLE);
	assert_int_equal(kicks, 0);
}

/* More tables than places, and places that two tables would have. */
static void the_number_is_bounded(void **state)
{
	for (unsigned int round = 0; round < 8; round++) {
		for (unsigned int i = 0; i < TABLES; i++)
			set_entry(PD, i, (PT + (round * TABLES + i) % 900 * 4096) | P | RW);
		for (unsigned int i = 0; i < 900; i++)
			set_entry(PT + i * 4096, 0, DATA | P | RW);
		for (unsigned int i = 0; i < TABLES; i++)
			for (unsigned int n = 0; n < TRACKER_STABLE + 2; n++) {
				gpu_as_invalidate(&ppgtt.as);
				look(&ppgtt, i);
			}
		shadow_tracker_update(tracker);
	}
	unsigned int count = 0;
	for (unsigned int i = 0; i < PAGES; i++)
		count += tracked[i];
	assert_int_equal(count, TRACKER_TABLES);
	assert_int_equal(shadow_tracker_count(tracker), TRACKER_TABLES);
}

static void a_guest_that_cannot_track(void **state)
{
	const struct guest_ops plain = { .read = ram_read, .write = ram_write, .map = ram_map };
	struct shadow_tracker *none = NULL;
	struct guest bare;

	guest_init(&bare, &plain);
	assert_int_equal(shadow_tracker_create(&bare, kicked, NULL, &none), -ENOTSUP);
	guest_fini(&bare);
	shadow_tracker_destroy(NULL);
}

/* ---- Threads --------------------------------------------------------------------------------- */

#define STORES 1000u

static struct {
	_Atomic unsigned int begun, done; /* stores, by number */
	_Atomic unsigned int looks;
	_Atomic bool over;
} race;

static unsigned int table_of(unsigned int number)
{
	return number / 8 % TABLES;
}

/* A vCPU: some stores come as soon as the lane saw the last, others when it had time to trust. */
static void *storing(void *opaque)
{
	for (unsigned int i = 1; i <= STORES; i++) {
		unsigned int from = race.looks;

		while (race.looks - from < (i & 1 ? 1 : 3 * TRACKER_STABLE))
			sched_yield();
		race.begun = i;
		store(PT + table_of(i) * 4096, 0, (DATA + i % 256 * 4096) | P | RW);
		race.done = i;
	}
	race.over = true;
	return NULL;
}

static void *updating(void *opaque)
{
	while (!race.over) {
		shadow_tracker_update(tracker);
		sched_yield();
	}
	return NULL;
}

/*
 * This thread is the lane: after each drop it must find what the last store that was done before
 * the drop has put there, or something later.
 */
static void no_store_is_lost(void **state)
{
	pthread_t vcpu, updater;

	memset(&race, 0, sizeof(race));
	ppgtt.kept = 0;
	assert_int_equal(pthread_create(&vcpu, NULL, storing, NULL), 0);
	assert_int_equal(pthread_create(&updater, NULL, updating, NULL), 0);
	while (!race.over) {
		unsigned int before = race.done, found, after;

		gpu_as_invalidate(&ppgtt.as);
		found = look(&ppgtt, table_of(before));
		after = race.begun;
		race.looks++;
		/* The table's first page was nobody's before the first store to it. */
		if (before)
			assert_in_range((found - before) % 256, 0, after - before);
	}
	pthread_join(vcpu, NULL);
	pthread_join(updater, NULL);
	assert_true(ppgtt.kept > 0);
}

#define with_guest(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_guest(stable_tables_are_tracked_in_one_batch),
		with_guest(tracked_tables_are_not_looked_at),
		with_guest(a_store_is_seen_after_the_next_drop),
		with_guest(stores_make_it_reluctant),
		with_guest(a_store_while_tracking_begins),
		with_guest(a_store_while_tracking_ends),
		with_guest(tables_go_with_their_space),
		with_guest(spaces_share_a_table),
		with_guest(what_was_made_before_a_store),
		with_guest(two_tables_that_share_a_place),
		with_guest(another_table_in_its_place),
		with_guest(memory_that_goes),
		with_guest(pages_that_cannot_be_tracked),
		with_guest(the_number_is_bounded),
		with_guest(a_guest_that_cannot_track),
		with_guest(no_store_is_lost),
	};

	return cmocka_run_group_tests_name("shadow/tracker", tests, NULL, NULL);
}
