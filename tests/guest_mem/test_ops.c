/* SPDX-License-Identifier: MIT */
/*
 * What guest_ops promises of memory, held against every implementation: the same cases for each,
 * named after it.  The layout, where pieces can be chosen:
 *
 *	0x10000  4 pages  the truth's 0 to 3
 *	0x14000  2 pages  its 6 and 7: next to the first for the guest, not for the VMM
 *	0x16000  nothing
 *	0x20000  2 pages  its 4 and 5, read only
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/guest_mem/kinds.h"

#define PAGE(n) ((n)*PAGE_BYTES)
#define CHANGES 50

static const struct piece low = { 0x10000, PAGE(4), 0 };
static const struct piece high = { 0x14000, PAGE(2), PAGE(6) };
static const struct piece fixed = { 0x20000, PAGE(2), PAGE(4) };
static const struct piece whole = { 0, PAGE(TRUTH_PAGES), 0 };

struct place {
	const struct kind *kind;
	struct machine m;
};

static struct machine *machine_of(void **state)
{
	return &((struct place *)*state)->m;
}

static int set_up(void **state)
{
	struct place *place = *state;
	struct machine *m = &place->m;

	machine_open(m, place->kind);
	if (place->kind->fixed)
		return 0;
	assert_int_equal(place->kind->add(m, &low, GUEST_READ | GUEST_WRITE), 0);
	assert_int_equal(place->kind->add(m, &high, GUEST_READ | GUEST_WRITE), 0);
	assert_int_equal(place->kind->add(m, &fixed, GUEST_READ), 0);
	return 0;
}

static int tear_down(void **state)
{
	machine_close(machine_of(state));
	return 0;
}

/* The piece that every kind has. */
static const struct piece *first_of(struct machine *m)
{
	return m->kind->fixed ? &whole : &low;
}

static int get(struct machine *m, uint64_t at, void *buf, size_t len)
{
	guest_enter(m->guest);
	int err = guest_read(m->guest, gpa(at), buf, len);
	guest_leave(m->guest);
	return err;
}

static int put(struct machine *m, uint64_t at, const void *buf, size_t len)
{
	guest_enter(m->guest);
	int err = guest_write(m->guest, gpa(at), buf, len);
	guest_leave(m->guest);
	return err;
}

/* Nobody changes the map here, so the pointer stays good; a failed assertion must be outside. */
static uint8_t *look(struct machine *m, uint64_t at, unsigned int access, size_t *len)
{
	guest_enter(m->guest);
	uint8_t *host = guest_map(m->guest, gpa(at), access, len);
	guest_leave(m->guest);
	return host;
}

/* ---- One thread ------------------------------------------------------------------------------ */

static void reads_what_is_there(void **state)
{
	struct machine *m = machine_of(state);
	const struct piece *at = first_of(m);
	uint8_t buf[3 * PAGE_BYTES];

	for (size_t len = 0; len <= 9; len++) {
		memset(buf, 0xee, sizeof(buf));
		assert_int_equal(get(m, at->gpa + 4091, buf, len), 0);
		assert_memory_equal(buf, m->truth + at->offset + 4091, len);
		assert_int_equal(buf[len], 0xee);
	}
	assert_int_equal(get(m, at->gpa + 1, buf, sizeof(buf)), 0);
	assert_memory_equal(buf, m->truth + at->offset + 1, sizeof(buf));
	/* The last byte. */
	assert_int_equal(get(m, at->gpa + at->bytes - 1, buf, 1), 0);
	assert_int_equal(buf[0], m->truth[at->offset + at->bytes - 1]);
	/* Nothing is kept: the next look sees what the guest has stored meanwhile. */
	m->truth[at->offset + 1] ^= 0xff;
	assert_int_equal(get(m, at->gpa + 1, buf, 1), 0);
	assert_int_equal(buf[0], m->truth[at->offset + 1]);
}

static void writes_what_is_given(void **state)
{
	struct machine *m = machine_of(state);
	const struct piece *at = first_of(m);
	uint8_t old[PAGE_BYTES], buf[PAGE_BYTES];

	for (size_t len = 0; len <= 9; len++) {
		uint8_t *bytes = m->truth + at->offset + 4091;

		memset(buf, 0x50 + (int)len, sizeof(buf));
		memcpy(old, bytes - 1, 16);
		assert_int_equal(put(m, at->gpa + 4091, buf, len), 0);
		assert_memory_equal(bytes, buf, len);
		assert_int_equal(bytes[-1], old[0]);
		assert_int_equal(bytes[len], old[1 + len]);
	}
	memset(buf, 0x77, sizeof(buf));
	assert_int_equal(put(m, at->gpa + 2048, buf, sizeof(buf)), 0);
	assert_memory_equal(m->truth + at->offset + 2048, buf, sizeof(buf));
	assert_int_equal(put(m, at->gpa + at->bytes - 1, "\x42", 1), 0);
	assert_int_equal(m->truth[at->offset + at->bytes - 1], 0x42);
}

static void map_is_the_memory_itself(void **state)
{
	struct machine *m = machine_of(state);
	const struct piece *at = first_of(m);
	size_t len = 0;

	uint8_t *host = look(m, at->gpa + 5, GUEST_READ | GUEST_WRITE, &len);

	if (m->kind->maps) {
		assert_non_null(host);
		assert_int_equal(len, at->bytes - 5);
		assert_memory_equal(host, m->truth + at->offset + 5, len);
		*host = 0x99;
		assert_int_equal(m->truth[at->offset + 5], 0x99);
	} else {
		assert_null(host);
	}
}

static void nothing_is_behind_the_ends(void **state)
{
	struct machine *m = machine_of(state);
	uint64_t end = m->kind->fixed ? whole.bytes : high.gpa + high.bytes;
	static const uint64_t far[] = { 1ull << 40, UINT64_MAX - 3, UINT64_MAX };
	uint8_t buf[16] = { 0 };
	size_t len;

	/* The last bytes there are, and one more. */
	assert_int_equal(get(m, end - 4, buf, 4), 0);
	assert_int_equal(get(m, end - 4, buf, 5), -EFAULT);
	assert_int_equal(put(m, end - 4, buf, 5), -EFAULT);
	assert_int_equal(get(m, end, buf, 1), -EFAULT);
	assert_int_equal(put(m, end, buf, 1), -EFAULT);
	for (size_t i = 0; i < ARRAY_SIZE(far); i++) {
		assert_int_equal(get(m, far[i], buf, 8), -EFAULT);
		assert_int_equal(put(m, far[i], buf, 8), -EFAULT);
	}
	assert_null(look(m, end, GUEST_READ, &len));
	assert_null(look(m, UINT64_MAX, GUEST_READ, &len));
}

static void pieces_are_one_memory(void **state)
{
	struct machine *m = machine_of(state);
	uint8_t buf[PAGE_BYTES];
	size_t len;

	assert_int_equal(get(m, high.gpa - 100, buf, 300), 0);
	assert_memory_equal(buf, m->truth + PAGE(4) - 100, 100);
	assert_memory_equal(buf + 100, m->truth + PAGE(6), 200);
	memset(buf, 0x31, sizeof(buf));
	assert_int_equal(put(m, high.gpa - 2000, buf, PAGE_BYTES), 0);
	assert_memory_equal(m->truth + PAGE(4) - 2000, buf, 2000);
	assert_memory_equal(m->truth + PAGE(6), buf, PAGE_BYTES - 2000);
	/* But a mapping ends with its piece. */
	if (look(m, high.gpa - 100, GUEST_READ, &len))
		assert_int_equal(len, 100);
}

static void before_and_between_is_nothing(void **state)
{
	struct machine *m = machine_of(state);
	uint8_t buf[16] = { 0 };

	assert_int_equal(get(m, low.gpa - 1, buf, 2), -EFAULT);
	assert_int_equal(put(m, low.gpa - 1, buf, 2), -EFAULT);
	assert_int_equal(get(m, 0x18000, buf, 8), -EFAULT);
	assert_int_equal(get(m, fixed.gpa - 8, buf, 16), -EFAULT);
	assert_int_equal(get(m, fixed.gpa, buf, 16), 0);
}

static void read_only_is_not_written(void **state)
{
	struct machine *m = machine_of(state);
	uint8_t old[8], buf[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	size_t len;

	memcpy(old, m->truth + fixed.offset + 8, 8);
	assert_int_equal(put(m, fixed.gpa + 8, buf, 8), -EFAULT);
	assert_memory_equal(m->truth + fixed.offset + 8, old, 8);
	assert_int_equal(get(m, fixed.gpa + 8, buf, 8), 0);
	assert_memory_equal(buf, old, 8);
	assert_null(look(m, fixed.gpa, GUEST_WRITE, &len));
	assert_null(look(m, fixed.gpa, GUEST_READ | GUEST_WRITE, &len));
	assert_int_equal(look(m, fixed.gpa, GUEST_READ, &len) != NULL, m->kind->maps);
}

static void pieces_that_cannot_be(void **state)
{
	struct machine *m = machine_of(state);
	const struct piece empty = { 0x30000, 0, 0 };
	const struct piece wraps = { UINT64_MAX - 0xfff, PAGE(2), 0 };
	const struct piece over = { high.gpa + PAGE(1), PAGE(2), 0 };
	uint64_t generation = guest_generation(m->guest);

	assert_int_equal(m->kind->add(m, &empty, GUEST_READ), -EINVAL);
	assert_int_equal(m->kind->add(m, &wraps, GUEST_READ), -EINVAL);
	assert_int_equal(m->kind->add(m, &low, 0), -EINVAL);
	assert_int_equal(m->kind->add(m, &over, GUEST_READ), -EEXIST);
	assert_int_equal(m->kind->remove(m, low.gpa, PAGE(3)), -ENOENT);
	assert_int_equal(m->kind->remove(m, low.gpa + PAGE(1), PAGE(3)), -ENOENT);
	assert_int_equal(m->kind->remove(m, 0x30000, PAGE(1)), -ENOENT);
	assert_int_equal(guest_generation(m->guest), generation);
}

static void pieces_go_and_others_come(void **state)
{
	struct machine *m = machine_of(state);
	const struct piece other = { high.gpa, PAGE(1), PAGE(2) };
	uint64_t generation = guest_generation(m->guest);
	uint8_t buf[16];

	assert_int_equal(get(m, high.gpa - 8, buf, 16), 0);
	assert_int_equal(guest_generation(m->guest), generation);
	assert_int_equal(m->kind->remove(m, high.gpa, high.bytes), 0);
	assert_true(guest_generation(m->guest) > generation);
	assert_int_equal(get(m, high.gpa, buf, 8), -EFAULT);
	assert_int_equal(get(m, high.gpa - 8, buf, 16), -EFAULT);
	generation = guest_generation(m->guest);
	assert_int_equal(m->kind->add(m, &other, GUEST_READ), 0);
	assert_true(guest_generation(m->guest) > generation);
	assert_int_equal(get(m, high.gpa - 8, buf, 16), 0);
	assert_memory_equal(buf, m->truth + PAGE(4) - 8, 8);
	assert_memory_equal(buf + 8, m->truth + PAGE(2), 8);
	assert_int_equal(get(m, high.gpa + PAGE(1), buf, 1), -EFAULT);
}

/* ---- Memory the VMM has lost ----------------------------------------------------------------- */

static void lost_pages_harm_no_others(void **state)
{
	struct machine *m = machine_of(state);
	const uint8_t zeros[64] = { 0 };
	uint8_t buf[2 * PAGE_BYTES];

	/* Since set_up, cmocka has put handlers of its own in the place of a mapping's. */
	assert_int_equal(m->kind->remove(m, low.gpa, low.bytes), 0);
	assert_int_equal(m->kind->add(m, &low, GUEST_READ | GUEST_WRITE), 0);
	m->kind->lose(m);
	memset(buf, 0xee, sizeof(buf));
	assert_int_equal(get(m, low.gpa + PAGE(3), buf, 64), m->kind->lost);
	if (!m->kind->lost)
		assert_memory_equal(buf, zeros, 64);
	assert_int_equal(get(m, low.gpa + PAGE(1), buf, PAGE(2)), m->kind->lost);
	assert_int_equal(get(m, high.gpa + 8, buf, 64), m->kind->lost);
	/* What is left reads and writes. */
	assert_int_equal(get(m, low.gpa, buf, PAGE(2)), 0);
	assert_memory_equal(buf, m->truth, PAGE(2));
	assert_int_equal(put(m, low.gpa + PAGE(1), zeros, 64), 0);
	assert_memory_equal(m->truth + PAGE(1), zeros, 64);
}

/* ---- Several threads ------------------------------------------------------------------------- */

static _Atomic bool ending;
static _Atomic unsigned int inside, looks, mistakes;

static void *stay_until_wanted(void *opaque)
{
	struct machine *m = opaque;
	uint8_t buf[8];

	while (!atomic_load(&ending)) {
		guest_enter(m->guest);
		atomic_fetch_add(&inside, 1);
		while (!guest_wanted(m->guest) && !atomic_load(&ending)) {
			if (guest_read(m->guest, gpa(first_of(m)->gpa), buf, sizeof(buf)))
				atomic_fetch_add(&mistakes, 1);
			atomic_fetch_add(&looks, 1);
		}
		atomic_fetch_sub(&inside, 1);
		guest_leave(m->guest);
	}
	return NULL;
}

static void start(pthread_t *threads, unsigned int count, void *(*act)(void *), struct machine *m)
{
	atomic_store(&ending, false);
	atomic_store(&looks, 0);
	atomic_store(&mistakes, 0);
	for (unsigned int i = 0; i < count; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, act, m), 0);
}

static void end(pthread_t *threads, unsigned int count)
{
	atomic_store(&ending, true);
	for (unsigned int i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&mistakes), 0);
	assert_true(atomic_load(&looks) > 0);
}

static void wait_looks(unsigned int more)
{
	unsigned int until = atomic_load(&looks) + more;

	while (atomic_load(&looks) < until)
		nanosleep(&(struct timespec){ .tv_nsec = 20000 }, NULL);
}

static unsigned int places_taken(struct guest *guest)
{
	unsigned int taken = 0;

	for (unsigned int i = 0; i < GUEST_READERS; i++)
		taken += atomic_load(&guest->readers[i].inside) != 0;
	return taken;
}

static void *enter_last(void *opaque)
{
	struct machine *m = opaque;

	guest_enter(m->guest);
	uintptr_t taken = places_taken(m->guest);
	guest_leave(m->guest);
	return (void *)taken;
}

static void *enter_first(void *opaque)
{
	struct machine *m = opaque;
	pthread_t last;
	void *taken;

	guest_enter(m->guest);
	pthread_create(&last, NULL, enter_last, m);
	pthread_join(last, &taken);
	guest_leave(m->guest);
	return taken;
}

/* Two vCPUs that look at guest memory share not even a word. */
static void readers_meet_nowhere(void **state)
{
	struct machine *m = machine_of(state);
	pthread_t first;
	void *taken;

	pthread_create(&first, NULL, enter_first, m);
	pthread_join(first, &taken);
	assert_int_equal((uintptr_t)taken, 2);
	assert_int_equal(places_taken(m->guest), 0);
}

static void a_writer_is_alone(void **state)
{
	struct machine *m = machine_of(state);
	pthread_t threads[2];

	start(threads, 2, stay_until_wanted, m);
	for (int i = 0; i < CHANGES; i++) {
		uint64_t generation = guest_generation(m->guest);

		wait_looks(1);
		guest_quiesce(m->guest);
		assert_int_equal(atomic_load(&inside), 0);
		guest_resume(m->guest);
		assert_int_equal(guest_generation(m->guest), generation + 1);
	}
	end(threads, 2);
}

/* Across the border of two pieces, one of which comes and goes: all of it or nothing. */
static void *look_across(void *opaque)
{
	struct machine *m = opaque;
	uint8_t buf[16];

	while (!atomic_load(&ending)) {
		guest_enter(m->guest);
		int err = guest_read(m->guest, gpa(high.gpa - 8), buf, sizeof(buf));
		bool wrong = err ? err != -EFAULT
				 : memcmp(buf, m->truth + PAGE(4) - 8, 8) ||
					     memcmp(buf + 8, m->truth + PAGE(6), 8);
		guest_leave(m->guest);
		atomic_fetch_add(&mistakes, wrong);
		atomic_fetch_add(&looks, 1);
	}
	return NULL;
}

static void the_map_changes_under_readers(void **state)
{
	struct machine *m = machine_of(state);
	pthread_t threads[2];

	start(threads, 2, look_across, m);
	for (int i = 0; i < CHANGES; i++) {
		assert_int_equal(m->kind->remove(m, high.gpa, high.bytes), 0);
		wait_looks(1);
		assert_int_equal(m->kind->add(m, &high, GUEST_READ | GUEST_WRITE), 0);
		wait_looks(1);
	}
	end(threads, 2);
}

/* ---------------------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	CMUnitTestFunction test;
	bool pieces, lost; /* only where there are such */
} cases[] = {
	{ "reads what is there", reads_what_is_there, false, false },
	{ "writes what is given", writes_what_is_given, false, false },
	{ "map is the memory itself", map_is_the_memory_itself, false, false },
	{ "nothing is behind the ends", nothing_is_behind_the_ends, false, false },
	{ "pieces are one memory", pieces_are_one_memory, true, false },
	{ "before and between is nothing", before_and_between_is_nothing, true, false },
	{ "read only is not written", read_only_is_not_written, true, false },
	{ "pieces that cannot be", pieces_that_cannot_be, true, false },
	{ "pieces go and others come", pieces_go_and_others_come, true, false },
	{ "lost pages harm no others", lost_pages_harm_no_others, true, true },
	{ "readers meet nowhere", readers_meet_nowhere, false, false },
	{ "a writer is alone", a_writer_is_alone, false, false },
	{ "the map changes under readers", the_map_changes_under_readers, true, false },
};

static void not_on_this_machine(void **state)
{
	struct place *place = *state;

	printf("# skip: %s\n", place->kind->missing());
	skip();
}

static bool applies(const struct kind *kind, size_t c)
{
	return !(cases[c].pieces && kind->fixed) && !(cases[c].lost && !kind->lose);
}

/* The cases of one kind, behind @tests; how many. */
static size_t list(struct place *place, struct CMUnitTest *tests)
{
	size_t count = 0;

	if (place->kind->missing && place->kind->missing()) {
		*tests = (struct CMUnitTest){ place->kind->name, not_on_this_machine, NULL, NULL,
					      place };
		return 1;
	}
	for (size_t c = 0; c < ARRAY_SIZE(cases); c++) {
		char *name;

		if (!applies(place->kind, c))
			continue;
		if (asprintf(&name, "%s: %s", place->kind->name, cases[c].name) < 0)
			abort();
		tests[count++] =
			(struct CMUnitTest){ name, cases[c].test, set_up, tear_down, place };
	}
	return count;
}

int main(void)
{
	struct CMUnitTest *tests = calloc(kind_count * ARRAY_SIZE(cases), sizeof(*tests));
	struct place *places = calloc(kind_count, sizeof(*places));
	size_t count = 0;

	for (size_t k = 0; k < kind_count; k++) {
		places[k].kind = &kinds[k];
		count += list(&places[k], tests + count);
	}
	int failed = _cmocka_run_group_tests("guest memory", tests, count, NULL, NULL);
	for (size_t i = 0; i < count; i++)
		if (tests[i].test_func != not_on_this_machine)
			free((char *)tests[i].name);
	free(tests);
	free(places);
	return failed;
}
