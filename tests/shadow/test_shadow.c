/* SPDX-License-Identifier: MIT */
/*
 * GGTT and PPGTT walks over a guest of 4 MiB, of which one page is read-only, one stretch is
 * reached by messages only, and nothing lies beyond.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shadow/shadow.h"

#define GUEST_BYTES  (4u << 20)
#define READ_ONLY_AT 0x3000u
#define MESSAGE_AT   0x200000u /* to 0x210000: no host mapping */
#define MESSAGE_END  0x210000u

#define PML4 0x10000u
#define PDP  0x11000u
#define PD   0x12000u
#define PT   0x13000u

#define P  1u
#define RW 2u

static uint8_t *ram;
static struct guest guest;
static struct shadow_ppgtt ppgtt;
static unsigned int reads; /* asked of the guest's methods */

static int ram_read(struct guest *g, gpa_t at, void *buf, size_t len)
{
	if (at.v + len > GUEST_BYTES)
		return -EFAULT;
	reads++;
	memcpy(buf, ram + at.v, len);
	return 0;
}

static int ram_write(struct guest *g, gpa_t at, const void *buf, size_t len)
{
	if (at.v + len > GUEST_BYTES || (at.v & ~(uint64_t)0xfff) == READ_ONLY_AT)
		return -EFAULT;
	memcpy(ram + at.v, buf, len);
	return 0;
}

static void *ram_map(struct guest *g, gpa_t at, unsigned int access, size_t *len)
{
	if (at.v >= GUEST_BYTES || (at.v >= MESSAGE_AT && at.v < MESSAGE_END))
		return NULL;
	if ((access & GUEST_WRITE) && (at.v & ~(uint64_t)0xfff) == READ_ONLY_AT)
		return NULL;
	*len = GUEST_BYTES - at.v;
	return ram + at.v;
}

static const struct guest_ops ram_ops = { .read = ram_read, .write = ram_write, .map = ram_map };

static void entry(uint32_t table, unsigned int index, uint64_t value)
{
	memcpy(ram + table + index * 8, &value, sizeof(value));
}

static int set_up(void **state)
{
	ram = calloc(1, GUEST_BYTES);
	guest_init(&guest, &ram_ops);
	entry(PML4, 0, PDP | P | RW);
	entry(PML4, 511, PDP | P | RW);
	entry(PDP, 0, PD | P | RW);
	entry(PDP, 511, PD | P | RW);
	entry(PD, 0, PT | P | RW);
	entry(PT, 0, 0x5000 | P | RW);
	entry(PT, 1, 0x6000 | P);
	entry(PT, 2, READ_ONLY_AT | P | RW);
	entry(PT, 3, MESSAGE_AT | P | RW);
	entry(PT, 4, 0x40000000 | P | RW); /* beyond the guest */
	entry(PT, 5, 0x5000);		   /* not present */
	shadow_ppgtt_init(&ppgtt, &guest);
	shadow_ppgtt_load(&ppgtt, gpa(PML4));
	return 0;
}

static int tear_down(void **state)
{
	guest_fini(&guest);
	free(ram);
	return 0;
}

static int translate(uint64_t at, unsigned int access, struct gpu_page *page)
{
	return ppgtt.as.ops->translate(&ppgtt.as, gma(at), access, page);
}

static void small_pages(void **state)
{
	struct gpu_page page;

	assert_int_equal(translate(0, GPU_READ | GPU_WRITE, &page), 0);
	assert_ptr_equal(page.host, ram + 0x5000);
	assert_true(page.writable);
	assert_int_equal(translate(0x1000, GPU_READ, &page), 0);
	assert_ptr_equal(page.host, ram + 0x6000);
	assert_false(page.writable);
	assert_int_equal(translate(0x5000, GPU_READ, &page), -EFAULT);
}

/* The table walked to last is used again: with its present entries, and not beyond a drop. */
static void the_last_table_is_forgotten_with_the_translations(void **state)
{
	struct gpu_page page;

	assert_int_equal(translate(0, GPU_READ, &page), 0);
	entry(PT, 0, 0x6000 | P);
	assert_int_equal(translate(0, GPU_READ, &page), 0);
	assert_ptr_equal(page.host, ram + 0x6000);
	assert_false(page.writable);
	/* Another table, of a directory that is read-only. */
	entry(0x20000, 0, 0x7000 | P | RW);
	entry(PD, 0, 0x20000 | P);
	gpu_as_invalidate(&ppgtt.as);
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(translate(0, GPU_READ, &page), 0);
		assert_ptr_equal(page.host, ram + 0x7000);
		assert_false(page.writable);
	}
	/* The next 2 MiB have no table, another space has none at all. */
	assert_int_equal(translate(0x200000, GPU_READ, &page), -EFAULT);
	shadow_ppgtt_load(&ppgtt, gpa(0x30000));
	assert_int_equal(translate(0, GPU_READ, &page), -EFAULT);
}

static void writes_to_read_only_entries_are_discarded(void **state)
{
	struct gpu_page page;
	uint32_t value = 0x12345678, back = 1;

	assert_int_equal(translate(0x1000, GPU_WRITE, &page), 0);
	assert_null(page.host);
	assert_int_equal(ppgtt.as.ops->write(&ppgtt.as, gma(0x1010), &value, 4), 0);
	assert_int_equal(ppgtt.as.ops->read(&ppgtt.as, gma(0x1010), &back, 4), 0);
	assert_int_equal(back, 0);
}

static void read_only_guest_memory(void **state)
{
	struct gpu_page page;

	assert_int_equal(translate(0x2000, GPU_READ, &page), 0);
	assert_ptr_equal(page.host, ram + READ_ONLY_AT);
	assert_false(page.writable);
	assert_int_equal(translate(0x2000, GPU_WRITE, &page), -EFAULT);
}

static void memory_reached_by_messages(void **state)
{
	struct gpu_page page;
	uint32_t value = 0x12345678, back = 0;

	assert_int_equal(translate(0x3000, GPU_WRITE, &page), 0);
	assert_null(page.host);
	assert_int_equal(ppgtt.as.ops->write(&ppgtt.as, gma(0x3010), &value, 4), 0);
	assert_memory_equal(ram + MESSAGE_AT + 0x10, &value, 4);
	assert_int_equal(ppgtt.as.ops->read(&ppgtt.as, gma(0x3010), &back, 4), 0);
	assert_int_equal(back, value);
}

static void addresses_outside_the_guest_fault(void **state)
{
	struct gpu_page page;
	uint8_t byte;

	assert_int_equal(translate(0x4000, GPU_READ, &page), -EFAULT);
	assert_int_equal(ppgtt.as.ops->read(&ppgtt.as, gma(0x4000), &byte, 1), -EFAULT);
	entry(PD, 1, 0x7ffffffff000 | P | RW); /* a table beyond the guest */
	assert_int_equal(translate(0x200000, GPU_READ, &page), -EFAULT);
	entry(PML4, 1, ~0ull);
	assert_int_equal(translate(1ull << 39, GPU_READ, &page), -EFAULT);
}

static void pages_of_2m_and_1g(void **state)
{
	struct shadow_walk walk;

	entry(PD, 2, 0x200000 | P | RW | 0x80);
	assert_int_equal(shadow_ppgtt_walk(&ppgtt, gma(0x400000 + 0x12345), &walk), 0);
	assert_int_equal(walk.page_bytes, 2u << 20);
	assert_int_equal(walk.gpa.v, 0x212000);
	entry(PDP, 1, 0x40000000 | P | RW | 0x80);
	assert_int_equal(shadow_ppgtt_walk(&ppgtt, gma(0x40000000 + 0x7654321), &walk), 0);
	assert_int_equal(walk.page_bytes, 1u << 30);
	assert_int_equal(walk.gpa.v, 0x47654000);
}

static void pages_of_64k_use_every_16th_entry(void **state)
{
	struct shadow_walk walk;

	entry(PD, 0, PT | P | RW | (1u << 11));
	entry(PT, 16, 0x30000 | P | RW);
	entry(PT, 17, 0xdead000 | P | RW); /* the hardware does not look here */
	assert_int_equal(shadow_ppgtt_walk(&ppgtt, gma(0x11008), &walk), 0);
	assert_int_equal(walk.page_bytes, 64u << 10);
	assert_int_equal(walk.gpa.v, 0x31000);
}

static void permissions_are_those_of_every_level(void **state)
{
	struct shadow_walk walk;

	entry(PDP, 0, PD | P);
	assert_int_equal(shadow_ppgtt_walk(&ppgtt, gma(0), &walk), 0);
	assert_false(walk.writable);
}

static void top_of_the_48_bit_space(void **state)
{
	struct shadow_walk walk;

	entry(PD, 511, PT | P | RW);
	entry(PT, 511, 0x7000 | P | RW);
	assert_int_equal(shadow_ppgtt_walk(&ppgtt, gma(0xfffffffff000), &walk), 0);
	assert_int_equal(walk.gpa.v, 0x7000);
}

static void a_changed_map_makes_it_stale_once(void **state)
{
	assert_false(ppgtt.as.ops->stale(&ppgtt.as));
	guest_quiesce(&guest);
	guest_resume(&guest);
	assert_true(ppgtt.as.ops->stale(&ppgtt.as));
	assert_false(ppgtt.as.ops->stale(&ppgtt.as));
}

static void another_thread_makes_it_stale_once(void **state)
{
	assert_false(ppgtt.as.ops->stale(&ppgtt.as));
	shadow_ppgtt_invalidate(&ppgtt);
	assert_true(ppgtt.as.ops->stale(&ppgtt.as));
	assert_false(ppgtt.as.ops->stale(&ppgtt.as));
}

static void four_page_directories(void **state)
{
	const gpa_t pdp[4] = { gpa(0x40000000), gpa(PD), gpa(0), gpa(PD) };
	struct shadow_walk walk;

	shadow_ppgtt_load_legacy(&ppgtt, pdp);
	assert_int_equal(shadow_ppgtt_walk(&ppgtt, gma(0x40000123), &walk), 0);
	assert_int_equal(walk.gpa.v, 0x5000);
	assert_int_equal(shadow_ppgtt_walk(&ppgtt, gma(0xc0001000), &walk), 0);
	assert_int_equal(walk.gpa.v, 0x6000);
	assert_int_equal(shadow_ppgtt_walk(&ppgtt, gma(0), &walk), -EFAULT);
	assert_int_equal(shadow_ppgtt_walk(&ppgtt, gma(0x80000000), &walk), -EFAULT);
	shadow_ppgtt_load(&ppgtt, gpa(PML4));
	assert_int_equal(shadow_ppgtt_walk(&ppgtt, gma(0), &walk), 0);
}

static void global_gtt(void **state)
{
	static _Atomic uint64_t ptes[8];
	static struct shadow_ggtt ggtt;
	struct gpu_page page;

	ptes[0] = 0x5000 | P;
	ptes[1] = 0x5000;
	ptes[2] = 0x80000000 | P;
	shadow_ggtt_init(&ggtt, &guest, ptes, 8);
	assert_int_equal(ggtt.as.ops->translate(&ggtt.as, gma(0), GPU_WRITE, &page), 0);
	assert_ptr_equal(page.host, ram + 0x5000);
	assert_int_equal(ggtt.as.ops->translate(&ggtt.as, gma(0x1000), GPU_READ, &page), -EFAULT);
	assert_int_equal(ggtt.as.ops->translate(&ggtt.as, gma(0x2000), GPU_READ, &page), -EFAULT);
	assert_int_equal(ggtt.as.ops->translate(&ggtt.as, gma(0x8000), GPU_READ, &page), -EFAULT);
	assert_int_equal(ggtt.as.ops->translate(&ggtt.as, gma(~0ull << 12), GPU_READ, &page),
			 -EFAULT);
}

/* ---- What a drop leaves ---------------------------------------------------------------------- */

/* The page at @at through the TLB; *@missed: had to be translated for it. */
static uint8_t *look(struct gpu_as *as, uint64_t at, unsigned int access, bool *missed)
{
	uint64_t before = as->misses;
	uint8_t *host = gpu_as_map(as, gma(at), access);

	*missed = as->misses != before;
	return host;
}

static void unchanged_entries_are_not_translated_again(void **state)
{
	bool missed;

	assert_ptr_equal(look(&ppgtt.as, 0, GPU_WRITE, &missed), ram + 0x5000);
	assert_ptr_equal(look(&ppgtt.as, 0x1000, GPU_READ, &missed), ram + 0x6000);
	assert_true(missed);
	gpu_as_invalidate(&ppgtt.as);
	assert_ptr_equal(look(&ppgtt.as, 0x1000, GPU_READ, &missed), ram + 0x6000);
	assert_false(missed);
	assert_ptr_equal(look(&ppgtt.as, 0, GPU_WRITE, &missed), ram + 0x5000);
	assert_false(missed);
	/* A page that was never looked at is not there by its neighbours. */
	assert_ptr_equal(look(&ppgtt.as, 0x2000, GPU_READ, &missed), ram + READ_ONLY_AT);
	assert_true(missed);
}

static void changed_entries_are_seen_after_a_drop(void **state)
{
	bool missed;

	look(&ppgtt.as, 0, GPU_WRITE, &missed);
	look(&ppgtt.as, 0x1000, GPU_READ, &missed);
	entry(PT, 0, 0x7000 | P | RW);
	/* Until then the old one is as right. */
	assert_ptr_equal(look(&ppgtt.as, 0, GPU_WRITE, &missed), ram + 0x5000);
	shadow_ppgtt_invalidate(&ppgtt);
	assert_ptr_equal(look(&ppgtt.as, 0, GPU_WRITE, &missed), ram + 0x7000);
	assert_true(missed);
	assert_ptr_equal(look(&ppgtt.as, 0x1000, GPU_READ, &missed), ram + 0x6000);
	assert_false(missed);
	entry(PT, 0, 0);
	gpu_as_invalidate(&ppgtt.as);
	assert_null(look(&ppgtt.as, 0, GPU_READ, &missed));
	/* Hardware does not cache what is not present: no drop is needed for the way back. */
	entry(PT, 0, 0x5000 | P | RW);
	assert_ptr_equal(look(&ppgtt.as, 0, GPU_READ, &missed), ram + 0x5000);
}

static void upper_levels_are_walked_again(void **state)
{
	bool missed;

	look(&ppgtt.as, 0, GPU_WRITE, &missed);
	/* The same entries in a table that is read-only now. */
	entry(PDP, 0, PD | P);
	gpu_as_invalidate(&ppgtt.as);
	assert_ptr_equal(look(&ppgtt.as, 0, GPU_READ, &missed), ram + 0x5000);
	assert_true(missed);
	assert_null(look(&ppgtt.as, 0, GPU_WRITE, &missed));
	/* Other entries in another table. */
	entry(0x20000, 0, 0x7000 | P | RW);
	entry(PD, 0, 0x20000 | P);
	gpu_as_invalidate(&ppgtt.as);
	assert_ptr_equal(look(&ppgtt.as, 0, GPU_READ, &missed), ram + 0x7000);
	/* No table any more, and larger pages. */
	entry(PD, 0, 0);
	gpu_as_invalidate(&ppgtt.as);
	assert_null(look(&ppgtt.as, 0, GPU_READ, &missed));
	entry(PD, 0, P | RW | 0x80);
	gpu_as_invalidate(&ppgtt.as);
	assert_ptr_equal(look(&ppgtt.as, 0x1000, GPU_READ, &missed), ram + 0x1000);
	entry(PD, 0, PT | P | RW | (1u << 11));
	gpu_as_invalidate(&ppgtt.as);
	assert_ptr_equal(look(&ppgtt.as, 0xf000, GPU_READ, &missed), ram + 0xf000);
}

/* Of 2 MiB and 64 KiB: kept until a drop, and translated again after each. */
static void large_pages_follow_their_entries(void **state)
{
	bool missed;

	entry(PD, 0, P | RW | 0x80);
	gpu_as_invalidate(&ppgtt.as);
	assert_ptr_equal(look(&ppgtt.as, 0x11000, GPU_WRITE, &missed), ram + 0x11000);
	entry(PD, 0, 0x200000 | P | RW | 0x80);
	assert_ptr_equal(look(&ppgtt.as, 0x11000, GPU_WRITE, &missed), ram + 0x11000);
	assert_false(missed);
	gpu_as_invalidate(&ppgtt.as);
	assert_ptr_equal(look(&ppgtt.as, 0x11000, GPU_WRITE, &missed), ram + 0x211000);
	assert_true(missed);
	/* 64 KiB: the first entry of 16 is all their pages', whatever the others say. */
	entry(PD, 0, PT | P | RW | (1u << 11));
	entry(PT, 0, 0x20000 | P | RW);
	gpu_as_invalidate(&ppgtt.as);
	assert_ptr_equal(look(&ppgtt.as, 0xf000, GPU_READ, &missed), ram + 0x2f000);
	entry(PT, 0, 0x30000 | P);
	entry(PT, 15, 0x7000 | P | RW);
	assert_ptr_equal(look(&ppgtt.as, 0xf000, GPU_READ, &missed), ram + 0x2f000);
	gpu_as_invalidate(&ppgtt.as);
	assert_ptr_equal(look(&ppgtt.as, 0xf000, GPU_READ, &missed), ram + 0x3f000);
	assert_null(look(&ppgtt.as, 0xf000, GPU_WRITE, &missed));
	/* The same table with 4 KiB pages. */
	entry(PD, 0, PT | P | RW);
	gpu_as_invalidate(&ppgtt.as);
	assert_ptr_equal(look(&ppgtt.as, 0xf000, GPU_READ, &missed), ram + 0x7000);
	assert_ptr_equal(look(&ppgtt.as, 0, GPU_READ, &missed), ram + 0x30000);
}

/*
 * A page that came by another table than its neighbours, because theirs had nothing there: it is
 * forgotten with them, though the entry that is found later says the same.
 */
static void a_page_of_another_table(void **state)
{
	uint32_t value = 7;

	entry(PD, 0, PT | P);
	gpu_as_invalidate(&ppgtt.as);
	assert_non_null(gpu_as_map(&ppgtt.as, gma(0), GPU_READ));
	entry(0x20000, 5, 0x5000 | P | RW);
	entry(PD, 0, 0x20000 | P | RW);
	assert_non_null(gpu_as_map(&ppgtt.as, gma(0x5000), GPU_READ | GPU_WRITE));
	/* Read-only, as the directory has it. */
	entry(PT, 5, 0x5000 | P | RW);
	entry(PD, 0, PT | P);
	gpu_as_invalidate(&ppgtt.as);
	assert_int_equal(gpu_as_write(&ppgtt.as, gma(0x5000), &value, 4, NULL), 0);
	memcpy(&value, ram + 0x5000, 4);
	assert_int_equal(value, 0);
}

static void a_changed_map_leaves_nothing(void **state)
{
	bool missed;

	look(&ppgtt.as, 0, GPU_WRITE, &missed);
	guest_quiesce(&guest);
	guest_resume(&guest);
	look(&ppgtt.as, 0, GPU_WRITE, &missed);
	assert_true(missed);
	guest_quiesce(&guest);
	guest_resume(&guest);
	shadow_ppgtt_load(&ppgtt, gpa(PML4));
	look(&ppgtt.as, 0, GPU_WRITE, &missed);
	assert_true(missed);
}

static void spaces_that_take_turns_keep_theirs(void **state)
{
	bool missed;

	/* The second space: pages 0 and 1 the other way round. */
	entry(0x20000, 0, 0x21000 | P | RW);
	entry(0x21000, 0, 0x22000 | P | RW);
	entry(0x22000, 0, 0x23000 | P | RW);
	entry(0x23000, 0, 0x6000 | P | RW);
	for (unsigned int turn = 0; turn < 4; turn++) {
		shadow_ppgtt_load(&ppgtt, gpa(PML4));
		assert_ptr_equal(look(&ppgtt.as, 0, GPU_READ, &missed), ram + 0x5000);
		assert_int_equal(missed, turn == 0);
		shadow_ppgtt_load(&ppgtt, gpa(0x20000));
		assert_ptr_equal(look(&ppgtt.as, 0, GPU_READ, &missed), ram + 0x6000);
		assert_int_equal(missed, turn == 0);
	}
	/* One that was reused for something else meanwhile. */
	entry(0x23000, 0, 0x7000 | P | RW);
	assert_ptr_equal(look(&ppgtt.as, 0, GPU_READ, &missed), ram + 0x6000);
	shadow_ppgtt_load(&ppgtt, gpa(0x20000));
	assert_ptr_equal(look(&ppgtt.as, 0, GPU_READ, &missed), ram + 0x7000);
}

/* Tables that have no host mapping are read a block at a time. */
static void tables_reached_by_messages(void **state)
{
	bool missed;

	entry(PD, 0, MESSAGE_AT | P | RW);
	entry(MESSAGE_AT, 0, 0x5000 | P | RW);
	entry(MESSAGE_AT, 1, 0x6000 | P | RW);
	look(&ppgtt.as, 0, GPU_READ, &missed);
	look(&ppgtt.as, 0x1000, GPU_READ, &missed);
	gpu_as_invalidate(&ppgtt.as);
	reads = 0;
	assert_ptr_equal(look(&ppgtt.as, 0, GPU_READ, &missed), ram + 0x5000);
	assert_false(missed);
	assert_ptr_equal(look(&ppgtt.as, 0x1000, GPU_READ, &missed), ram + 0x6000);
	assert_false(missed);
	assert_int_equal(reads, 1);
	entry(MESSAGE_AT, 1, 0x7000 | P | RW);
	gpu_as_invalidate(&ppgtt.as);
	assert_ptr_equal(look(&ppgtt.as, 0x1000, GPU_READ, &missed), ram + 0x7000);
}

static void global_entries_are_compared_as_well(void **state)
{
	static _Atomic uint64_t ptes[256];
	static struct shadow_ggtt ggtt;
	bool missed;

	ptes[0] = 0x5000 | P;
	ptes[255] = 0x6000 | P;
	shadow_ggtt_init(&ggtt, &guest, ptes, 256);
	look(&ggtt.as, 0, GPU_READ, &missed);
	look(&ggtt.as, 0xff000, GPU_READ, &missed);
	shadow_ggtt_invalidate(&ggtt);
	assert_ptr_equal(look(&ggtt.as, 0, GPU_READ, &missed), ram + 0x5000);
	assert_false(missed);
	ptes[255] = 0x7000 | P;
	shadow_ggtt_invalidate(&ggtt);
	assert_ptr_equal(look(&ggtt.as, 0xff000, GPU_READ, &missed), ram + 0x7000);
	assert_ptr_equal(look(&ggtt.as, 0, GPU_READ, &missed), ram + 0x5000);
	assert_false(missed);
	ptes[0] = 0;
	shadow_ggtt_invalidate(&ggtt);
	assert_null(look(&ggtt.as, 0, GPU_READ, &missed));
}

/* Whatever the tables hold, a walk ends, and ends inside the guest or in a fault. */
static void random_tables_never_escape(void **state)
{
	unsigned int seed = 1;

	for (uint32_t i = 0; i < GUEST_BYTES / 8; i++) {
		uint64_t v = ((uint64_t)rand_r(&seed) << 20) ^ (uint64_t)rand_r(&seed);

		v = (v & (rand_r(&seed) & 1 ? 0x3fffff : ~0ull)) | (rand_r(&seed) & 3 ? P : 0);
		memcpy(ram + (size_t)i * 8, &v, 8);
	}
	for (int i = 0; i < 200000; i++) {
		uint64_t at = ((uint64_t)rand_r(&seed) << 24 ^ (uint64_t)rand_r(&seed)) << 12;
		struct gpu_page page = { 0 };

		if (translate(at & 0xfffffffff000, GPU_READ, &page) || !page.host)
			continue;
		assert_in_range((uintptr_t)page.host, (uintptr_t)ram,
				(uintptr_t)ram + GUEST_BYTES - PAGE_BYTES);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(small_pages, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_last_table_is_forgotten_with_the_translations,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(writes_to_read_only_entries_are_discarded, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(read_only_guest_memory, set_up, tear_down),
		cmocka_unit_test_setup_teardown(memory_reached_by_messages, set_up, tear_down),
		cmocka_unit_test_setup_teardown(addresses_outside_the_guest_fault, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(pages_of_2m_and_1g, set_up, tear_down),
		cmocka_unit_test_setup_teardown(pages_of_64k_use_every_16th_entry, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(permissions_are_those_of_every_level, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(top_of_the_48_bit_space, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_changed_map_makes_it_stale_once, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(another_thread_makes_it_stale_once, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(four_page_directories, set_up, tear_down),
		cmocka_unit_test_setup_teardown(global_gtt, set_up, tear_down),
		cmocka_unit_test_setup_teardown(unchanged_entries_are_not_translated_again, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(changed_entries_are_seen_after_a_drop, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(upper_levels_are_walked_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(large_pages_follow_their_entries, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_page_of_another_table, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_changed_map_leaves_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(spaces_that_take_turns_keep_theirs, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(tables_reached_by_messages, set_up, tear_down),
		cmocka_unit_test_setup_teardown(global_entries_are_compared_as_well, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(random_tables_never_escape, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("shadow/shadow", tests, NULL, NULL);
}
