/* SPDX-License-Identifier: MIT */
/* Address spaces: translations cached and dropped, copies across pages, pages without a map. */
#include <errno.h>
#include <string.h>

#include "gpu/mem/mem.h"
#include "rig.h"

static struct rig_space *space_create(struct rig **rig)
{
	*rig = rig_create(GPU_RCS);
	for (uint32_t i = 0; i < sizeof((*rig)->ppgtt.memory); i += 4)
		poke32(&(*rig)->ppgtt, i, i * 2654435761u);
	return &(*rig)->ppgtt;
}

static void translations_are_kept(void **state)
{
	struct rig *rig;
	struct rig_space *space = space_create(&rig);
	uint32_t value;

	for (int i = 0; i < 10; i++)
		assert_int_equal(gpu_as_read(&space->as, gma(0x5004), &value, 4, NULL), 0);
	assert_int_equal(value, 0x5004 * 2654435761u);
	assert_int_equal(space->translations, 1);
	assert_int_equal(space->as.misses, 1);
	assert_int_equal(space->as.hits, 9);
	gpu_as_invalidate(&space->as);
	gpu_as_read(&space->as, gma(0x5004), &value, 4, NULL);
	assert_int_equal(space->translations, 2);
	space->stale = true;
	gpu_as_read(&space->as, gma(0x5004), &value, 4, NULL);
	assert_int_equal(space->translations, 3);
	rig_destroy(rig);
}

static void invalidation_survives_the_last_epoch(void **state)
{
	struct rig *rig;
	struct rig_space *space = space_create(&rig);
	uint32_t value;

	/* An entry of epoch 1 must not come back to life when epochs start over. */
	gpu_as_read(&space->as, gma(0x5004), &value, 4, NULL);
	space->as.epoch = (1u << 28) - 1;
	gpu_as_invalidate(&space->as);
	assert_int_equal(space->as.epoch, 1);
	gpu_as_read(&space->as, gma(0x5004), &value, 4, NULL);
	assert_int_equal(space->translations, 2);
	rig_destroy(rig);
}

static void writing_asks_again(void **state)
{
	struct rig *rig;
	struct rig_space *space = space_create(&rig);
	uint32_t value = 1;
	gma_t fault_at = gma(0);

	space->flags[5] = PAGE_READ_ONLY;
	assert_int_equal(gpu_as_read(&space->as, gma(0x5000), &value, 4, NULL), 0);
	assert_true(gpu_as_write(&space->as, gma(0x5000), &value, 4, &fault_at) < 0);
	assert_int_equal(fault_at.v, 0x5000);
	assert_null(gpu_as_map(&space->as, gma(0x5000), GPU_WRITE));
	assert_non_null(gpu_as_map(&space->as, gma(0x5000), GPU_READ));
	/* Made writable meanwhile: an upgrade needs no invalidation. */
	space->flags[5] = 0;
	assert_int_equal(gpu_as_write(&space->as, gma(0x5000), &value, 4, &fault_at), 0);
	rig_destroy(rig);
}

static void copies_cross_pages(void **state)
{
	for (int no_host = 0; no_host < 2; no_host++) {
		struct rig *rig;
		struct rig_space *space = space_create(&rig);
		static uint8_t buf[3 * 4096];

		space->flags[6] = no_host ? PAGE_NO_HOST : 0;
		assert_int_equal(gpu_as_read(&space->as, gma(0x5801), buf, 0x2000, NULL), 0);
		assert_memory_equal(buf, &space->memory[0x5801], 0x2000);
		memset(buf, 0xa5, sizeof(buf));
		assert_int_equal(gpu_as_write(&space->as, gma(0x57ff), buf, 0x1900, NULL), 0);
		assert_memory_equal(&space->memory[0x57ff], buf, 0x1900);
		assert_int_equal(space->memory[0x57fe], (0x57fc * 2654435761u) >> 16 & 0xff);
		assert_int_equal(space->translations, 3 + 0);
		rig_destroy(rig);
	}
}

/* The page behind is asked for where it is known, and read in no case. */
static void asking_for_the_next_page_changes_nothing(void **state)
{
	struct rig *rig;
	struct rig_space *space = space_create(&rig);
	static uint8_t buf[PAGE_BYTES];
	gma_t fault_at = gma(0);
	uint32_t value;

	space->flags[8] = PAGE_NO_HOST;
	space->flags[9] = PAGE_ABSENT;
	for (uint32_t page = 5; page < 9; page++) {
		uint32_t at = page * (uint32_t)PAGE_BYTES + 0x14, len = (uint32_t)PAGE_BYTES - 0x14;

		gpu_as_read(&space->as, gma(0x6000), &value, 4, NULL);
		memset(buf, 0xee, sizeof(buf));
		assert_int_equal(as_read_and_ask(&space->as, gma(at), buf, len, &fault_at), 0);
		for (uint32_t i = 0; i < len; i += 4) {
			memcpy(&value, &buf[i], 4);
			assert_int_equal(value, (at + i) * 2654435761u);
		}
		assert_int_equal(buf[len], 0xee);
	}
	assert_int_equal(as_read_and_ask(&space->as, gma(0x9014), buf, 4, &fault_at), -EFAULT);
	assert_int_equal(fault_at.v, 0x9014);
	/* Of pages 5 to 9, the absent one twice; nobody translated the one behind. */
	assert_int_equal(space->translations, 6);
	rig_destroy(rig);
}

static void first_bad_page_is_named(void **state)
{
	struct rig *rig;
	struct rig_space *space = space_create(&rig);
	static uint8_t buf[3 * 4096];
	gma_t fault_at;

	space->flags[6] = PAGE_ABSENT;
	assert_true(gpu_as_read(&space->as, gma(0x5f00), buf, 0x2000, &fault_at) < 0);
	assert_int_equal(fault_at.v, 0x6000);
	assert_memory_equal(buf, &space->memory[0x5f00], 0x100);
	assert_true(gpu_as_read(&space->as, gma(0x6123), buf, 1, &fault_at) < 0);
	assert_int_equal(fault_at.v, 0x6123);
	rig_destroy(rig);
}

static void addresses_wrap_at_their_bits(void **state)
{
	struct rig *rig;
	struct rig_space *space = space_create(&rig);
	uint32_t value, other;

	assert_int_equal(gpu_as_read(&space->as, gma(0xffff000000000010), &value, 4, NULL), 0);
	assert_int_equal(gpu_as_read(&space->as, gma(0x10), &other, 4, NULL), 0);
	assert_int_equal(value, other);
	assert_int_equal(space->translations, 1);
	rig_destroy(rig);
}

static void a_run_ends_with_what_the_drop_left(void **state)
{
	struct rig *rig;
	struct gpu_as *as = &space_create(&rig)->as;
	uint64_t *page = as->table[0].page;

	/* Pages of two blocks in a row, of which only the first was met since. */
	for (uint64_t i = 0; i < GPU_TLB_TABLE_PAGES; i++)
		page[i] = (i + 1) * PAGE_BYTES | GPU_READ;
	as->tag[0] = as_tag(as, 0);
	assert_int_equal(as_run(as, 0, UINT32_MAX), GPU_TLB_BLOCK_PAGES);
	assert_int_equal(as_run(as, 5 * PAGE_BYTES, UINT32_MAX), GPU_TLB_BLOCK_PAGES - 5);
	assert_int_equal(as_run(as, 5 * PAGE_BYTES, 3), 3);
	assert_int_equal(as_run(as, 5 * PAGE_BYTES, 1), 1);
	page[7] |= GPU_WRITE;
	assert_int_equal(as_run(as, 5 * PAGE_BYTES, 9), 2);
	rig_destroy(rig);
}

static void pages_that_share_a_slot(void **state)
{
	struct rig *rig;
	struct rig_space *space = space_create(&rig);
	uint32_t value;

	/* Page 1 and page 0x400 fall on one entry of the TLB; the second does not exist. */
	assert_int_equal(gpu_as_read(&space->as, gma(0x1000), &value, 4, NULL), 0);
	assert_true(gpu_as_read(&space->as, gma(0x400000), &value, 4, NULL) < 0);
	assert_int_equal(gpu_as_read(&space->as, gma(0x1000), &value, 4, NULL), 0);
	rig_destroy(rig);
}

static void single_accesses_without_a_map(void **state)
{
	struct rig *rig;
	struct rig_space *space = space_create(&rig);
	uint64_t value;
	uint32_t half;

	space->flags[5] = PAGE_NO_HOST;
	assert_true(as_write64(&space->as, gma(0x5008), 0x1122334455667788));
	assert_true(as_read64(&space->as, gma(0x5008), &value));
	assert_int_equal(value, 0x1122334455667788);
	assert_true(as_write64(&space->as, gma(0x5014), 0x99));
	assert_true(as_read32(&space->as, gma(0x5014), &half));
	assert_int_equal(half, 0x99);
	/* Aligned to four only, in a page that is mapped and across its end. */
	assert_true(as_write64(&space->as, gma(0x7004), 0xaabbccdd11223344));
	assert_int_equal(peek64(space, 0x7004), 0xaabbccdd11223344);
	assert_true(as_write64(&space->as, gma(0x7ffc), 0xaabbccdd11223344));
	assert_int_equal(peek64(space, 0x7ffc), 0xaabbccdd11223344);
	rig_destroy(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(translations_are_kept),
		cmocka_unit_test(invalidation_survives_the_last_epoch),
		cmocka_unit_test(writing_asks_again),
		cmocka_unit_test(copies_cross_pages),
		cmocka_unit_test(asking_for_the_next_page_changes_nothing),
		cmocka_unit_test(first_bad_page_is_named),
		cmocka_unit_test(addresses_wrap_at_their_bits),
		cmocka_unit_test(pages_that_share_a_slot),
		cmocka_unit_test(a_run_ends_with_what_the_drop_left),
		cmocka_unit_test(single_accesses_without_a_map),
	};

	return cmocka_run_group_tests_name("gpu as", tests, NULL, NULL);
}
