/* SPDX-License-Identifier: MIT */
/*
 * Memory slots, with a model of KVM that has few of them and may refuse to give one up: what the
 * guest can reach is what was said, nothing that is refused is forgotten, and memory that cannot go
 * stays whole.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/checked.h"
#include "guest/kvm.h"

#define MODEL_SLOTS 64u
#define RAM_PAGES   256u
#define RAM_BYTES   (RAM_PAGES * PAGE_BYTES)
#define WINDOW_AT   0xc0000000ull
#define PAGE(n)	    ((n)*PAGE_BYTES)

/* One VM at a time. */
static struct {
	struct kvm_userspace_memory_region slots[MODEL_SLOTS];
	unsigned int refuse; /* the so manieth removal from now on, and those after it; 0: none */
	bool no_read_only;
	struct guest *guest;
	uint8_t *ram;
	unsigned int pauses;
	uint64_t told; /* of tracked pages: the sum of their addresses */
} m;

/* ---- KVM ------------------------------------------------------------------------------------- */

static int model_remove(struct kvm_userspace_memory_region *slot)
{
	if (!slot->memory_size)
		return -EINVAL;
	if (m.refuse && !--m.refuse) {
		m.refuse = 1;
		return -ENOMEM;
	}
	slot->memory_size = 0;
	return 0;
}

static int model_set_region(struct guest_kvm *kvm, const struct kvm_userspace_memory_region *region)
{
	struct kvm_userspace_memory_region *slot = &m.slots[region->slot];

	assert_true(region->slot < MODEL_SLOTS);
	if (!region->memory_size)
		return model_remove(slot);
	if (slot->memory_size || (m.no_read_only && (region->flags & KVM_MEM_READONLY)))
		return -EINVAL;
	for (unsigned int i = 0; i < MODEL_SLOTS; i++)
		if (m.slots[i].memory_size &&
		    ranges_overlap(m.slots[i].guest_phys_addr, m.slots[i].memory_size,
				   region->guest_phys_addr, region->memory_size))
			return -EEXIST;
	*slot = *region;
	return 0;
}

/* What a store of the guest meets. */
enum met { NOTHING, READ_ONLY, MEMORY };

static enum met store(uint64_t gpa, void **host)
{
	for (unsigned int i = 0; i < MODEL_SLOTS; i++) {
		const struct kvm_userspace_memory_region *slot = &m.slots[i];

		if (!slot->memory_size || gpa < slot->guest_phys_addr ||
		    gpa - slot->guest_phys_addr >= slot->memory_size)
			continue;
		*host = (void *)(uintptr_t)(slot->userspace_addr + gpa - slot->guest_phys_addr);
		return slot->flags & KVM_MEM_READONLY ? READ_ONLY : MEMORY;
	}
	return NOTHING;
}

static unsigned int in_use(void)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < MODEL_SLOTS; i++)
		count += m.slots[i].memory_size != 0;
	return count;
}

/* Every page of the memory is there; how many of them cannot be stored to. */
static unsigned int read_only_pages(void)
{
	unsigned int count = 0;

	for (uint64_t page = 0; page < RAM_PAGES; page++) {
		void *host = NULL;
		enum met met = store(PAGE(page), &host);

		assert_int_not_equal(met, NOTHING);
		assert_ptr_equal(host, m.ram + PAGE(page));
		count += met == READ_ONLY;
	}
	return count;
}

/* ---- Set up ---------------------------------------------------------------------------------- */

static void pause_vcpus(void *opaque)
{
	m.pauses++;
}

static void resume_vcpus(void *opaque)
{
}

static void open_guest(uint32_t slot_count)
{
	struct guest_kvm_config config = {
		.vm_fd = open("/dev/null", O_RDWR | O_CLOEXEC),
		.slot_count = slot_count,
		.pause = pause_vcpus,
		.resume = resume_vcpus,
	};
	struct guest_kvm_memory memory = {
		.bytes = RAM_BYTES,
		.access = GUEST_READ | GUEST_WRITE,
		.install = true,
	};

	memset(&m, 0, sizeof(m));
	memory.host = m.ram = aligned_alloc(PAGE_BYTES, RAM_BYTES);
	assert_int_equal(guest_kvm_create(&config, &m.guest), 0);
	guest_kvm_of(m.guest)->set_region = model_set_region;
	assert_int_equal(guest_kvm_memory_add(m.guest, &memory), 0);
}

static void close_guest(void)
{
	int fd = guest_kvm_of(m.guest)->config.vm_fd;

	guest_kvm_destroy(m.guest);
	close(fd);
	free(m.ram);
}

static int set_up(void **state)
{
	open_guest(MODEL_SLOTS);
	return 0;
}

static int tear_down(void **state)
{
	close_guest();
	assert_int_equal(in_use(), 0);
	return 0;
}

/* The guest's memory from page @of on, in a BAR. */
static int show(uint64_t page, bool on)
{
	struct guest_window window = { .gpa = gpa(WINDOW_AT),
				       .bytes = PAGE_BYTES,
				       .alias = true,
				       .of = gpa(PAGE(page)),
				       .writable = true };

	return m.guest->ops->window(m.guest, &window, on);
}

/* Memory of a device's. */
static int open_window(uint64_t at, void *host, bool writable, bool on)
{
	struct guest_window window = {
		.gpa = gpa(at), .bytes = PAGE_BYTES, .host = host, .writable = writable
	};

	return m.guest->ops->window(m.guest, &window, on);
}

static void written(void *opaque, gpa_t page)
{
	*(uint64_t *)opaque += page.v;
}

static int track(uint64_t first, uint64_t stride, size_t count, bool on)
{
	const struct guest_watch watch = { .written = written, .opaque = &m.told };
	gpa_t pages[RAM_PAGES];

	for (size_t i = 0; i < count; i++)
		pages[i] = gpa(PAGE(first + i * stride));
	return m.guest->ops->track(m.guest, pages, count, on ? &watch : NULL);
}

static int remove_memory(void)
{
	return guest_kvm_memory_remove(m.guest, gpa(0), RAM_BYTES);
}

/* ---- Where memory is --------------------------------------------------------------------------
 */

/* A guest puts a BAR there; what was refused and is closed all the same takes nothing with it. */
static void a_window_does_not_close_memory(void **state)
{
	void *page = aligned_alloc(PAGE_BYTES, PAGE_BYTES);
	struct guest_window alias = { .bytes = PAGE_BYTES, .alias = true, .of = gpa(PAGE(9)) };

	for (uint64_t at = 0; at < RAM_BYTES; at += RAM_BYTES / 4) {
		assert_int_equal(open_window(at, page, true, true), -EEXIST);
		assert_int_equal(open_window(at, page, true, false), -ENOENT);
		alias.gpa = gpa(at);
		assert_int_equal(m.guest->ops->window(m.guest, &alias, true), -EEXIST);
		assert_int_equal(m.guest->ops->window(m.guest, &alias, false), -ENOENT);
	}
	assert_int_equal(in_use(), 1);
	assert_int_equal(track(20, 60, 3, true), 0);
	unsigned int pieces = in_use();
	/* A piece of it that starts where the window was to be. */
	assert_int_equal(open_window(PAGE(20), page, true, false), -ENOENT);
	assert_int_equal(in_use(), pieces);
	assert_int_equal(read_only_pages(), 3);
	assert_int_equal(remove_memory(), 0);
	assert_int_equal(in_use(), 0);
	free(page);
}

static int add_memory(uint64_t at, uint8_t *host, bool install)
{
	struct guest_kvm_memory memory = { .gpa = gpa(at),
					   .bytes = PAGE(4),
					   .host = host,
					   .access = GUEST_READ | GUEST_WRITE,
					   .install = install };

	return guest_kvm_memory_add(m.guest, &memory);
}

/* The guest has put a BAR where memory is to come, the VMM's own slot or ours. */
static void windows_give_way_to_memory(void **state)
{
	uint8_t *page = aligned_alloc(PAGE_BYTES, PAGE_BYTES), *host;
	uint8_t *more = aligned_alloc(PAGE_BYTES, PAGE(4));

	for (unsigned int install = 0; install < 2; install++) {
		assert_int_equal(open_window(WINDOW_AT + PAGE(1), page, true, true), 0);
		assert_int_equal(show(3, true), 0);
		m.refuse = 1;
		assert_int_equal(add_memory(WINDOW_AT, more, install), -ENOMEM);
		m.refuse = 0;
		assert_int_equal(in_use(), 3);
		assert_int_equal(add_memory(WINDOW_AT, more, install), 0);
		assert_int_equal(in_use(), 1 + install);
		if (install) {
			assert_int_equal(store(WINDOW_AT + PAGE(1), (void **)&host), MEMORY);
			assert_ptr_equal(host, more + PAGE(1));
		}
		/* Not before it has gone. */
		assert_int_equal(open_window(WINDOW_AT + PAGE(1), page, true, false), -ENOENT);
		assert_int_equal(open_window(WINDOW_AT + PAGE(1), page, true, true), -EEXIST);
		assert_int_equal(show(3, true), -EEXIST);
		assert_int_equal(guest_kvm_memory_remove(m.guest, gpa(WINDOW_AT), PAGE(4)), 0);
	}
	/* Memory that moves there. */
	assert_int_equal(add_memory(2 * WINDOW_AT, more, true), 0);
	assert_int_equal(show(3, true), 0);
	assert_int_equal(
		guest_kvm_memory_move(m.guest, gpa(2 * WINDOW_AT), PAGE(4), gpa(WINDOW_AT)), 0);
	assert_int_equal(in_use(), 2);
	assert_int_equal(guest_kvm_memory_remove(m.guest, gpa(WINDOW_AT), PAGE(4)), 0);
	free(page);
	free(more);
}

/* Only what was opened, whole. */
static void a_window_closes_itself_alone(void **state)
{
	void *page = aligned_alloc(PAGE_BYTES, PAGE_BYTES);
	struct guest_window both = { .gpa = gpa(WINDOW_AT), .bytes = PAGE(2), .host = page };

	assert_int_equal(open_window(WINDOW_AT, page, true, true), 0);
	assert_int_equal(open_window(WINDOW_AT + PAGE(1), page, true, true), 0);
	assert_int_equal(m.guest->ops->window(m.guest, &both, true), -EEXIST);
	assert_int_equal(m.guest->ops->window(m.guest, &both, false), -ENOENT);
	assert_int_equal(in_use(), 3);
	assert_int_equal(open_window(WINDOW_AT, page, true, false), 0);
	assert_int_equal(in_use(), 2);
	free(page);
}

/* ---- KVM refuses ----------------------------------------------------------------------------- */

static void memory_that_kvm_keeps_stays_lent(void **state)
{
	uint32_t value = 7;

	m.refuse = 1;
	assert_int_equal(remove_memory(), -ENOMEM);
	assert_int_equal(guest_write(m.guest, gpa(8), &value, 4), 0);
	assert_int_equal(m.ram[8], 7);
	assert_int_equal(guest_kvm_memory_move(m.guest, gpa(0), RAM_BYTES, gpa(RAM_BYTES)),
			 -ENOMEM);
	assert_int_equal(guest_read(m.guest, gpa(8), &value, 4), 0);
	assert_int_equal(read_only_pages(), 0);
	m.refuse = 0;
	assert_int_equal(remove_memory(), 0);
	assert_int_equal(in_use(), 0);
	assert_int_equal(guest_read(m.guest, gpa(8), &value, 4), -EFAULT);
}

static void memory_in_pieces_goes_whole_or_not(void **state)
{
	assert_int_equal(track(20, 60, 3, true), 0);
	unsigned int pieces = in_use(), read_only = read_only_pages();
	assert_true(pieces > 3);
	for (unsigned int nth = 1; nth <= pieces; nth++) {
		m.refuse = nth;
		assert_int_equal(remove_memory(), -ENOMEM);
		assert_int_equal(in_use(), pieces);
		assert_int_equal(read_only_pages(), read_only);
	}
	m.refuse = 0;
	assert_int_equal(remove_memory(), 0);
	assert_int_equal(in_use(), 0);
}

/* Memory that a BAR still shows may not go: the guest would write into what the VMM then frees. */
static void memory_goes_after_its_aliases(void **state)
{
	void *host;

	assert_int_equal(show(3, true), 0);
	m.refuse = 1;
	assert_int_equal(remove_memory(), -ENOMEM);
	assert_int_equal(store(WINDOW_AT, &host), MEMORY);
	/* Not wanted any more, refused, and not forgotten. */
	assert_int_equal(show(3, false), -ENOMEM);
	assert_int_equal(remove_memory(), -ENOMEM);
	assert_int_equal(read_only_pages(), 0);
	m.refuse = 0;
	assert_int_equal(remove_memory(), 0);
	assert_int_equal(in_use(), 0);
}

static void a_window_that_kvm_keeps_goes_with_the_next(void **state)
{
	void *page = aligned_alloc(PAGE_BYTES, PAGE_BYTES), *host;

	assert_int_equal(open_window(WINDOW_AT, page, true, true), 0);
	m.refuse = 1;
	assert_int_equal(open_window(WINDOW_AT, page, true, false), -ENOMEM);
	assert_int_equal(store(WINDOW_AT, &host), MEMORY);
	m.refuse = 0;
	/* In its place, too. */
	assert_int_equal(show(5, true), 0);
	assert_int_equal(store(WINDOW_AT, &host), MEMORY);
	assert_ptr_equal(host, m.ram + PAGE(5));
	assert_int_equal(open_window(WINDOW_AT + PAGE(1), page, false, true), 0);
	m.refuse = 1;
	assert_int_equal(open_window(WINDOW_AT + PAGE(1), page, false, false), -ENOMEM);
	m.refuse = 0;
	/* The end asks once more. */
	free(page);
}

static void pages_that_are_seen_elsewhere_are_not_tracked(void **state)
{
	assert_int_equal(show(4, true), 0);
	m.refuse = 1;
	assert_int_equal(track(4, 1, 1, true), -ENOMEM);
	assert_int_equal(m.pauses, 0);
	assert_int_equal(read_only_pages(), 0);
	assert_false(guest_kvm_any_tracked(guest_kvm_of(m.guest), 0, RAM_BYTES));
	m.refuse = 0;
	assert_int_equal(track(4, 1, 1, true), 0);
	assert_int_equal(read_only_pages(), 1);
	m.refuse = 1;
	assert_int_equal(track(100, 1, 1, true), -ENOMEM);
	assert_int_equal(read_only_pages(), 1);
	assert_true(guest_kvm_any_tracked(guest_kvm_of(m.guest), PAGE(4), PAGE_BYTES));
	assert_false(guest_kvm_any_tracked(guest_kvm_of(m.guest), PAGE(100), PAGE_BYTES));
	m.refuse = 0;
}

/* ---- Who is told ----------------------------------------------------------------------------- */

static void one_watch_is_told_of_what_it_has_tracked(void **state)
{
	uint64_t told = 0;
	const struct guest_watch other = { .written = written, .opaque = &told };
	const gpa_t page = gpa(PAGE(9));
	uint32_t value = 7;

	assert_int_equal(track(4, 1, 1, true), 0);
	assert_int_equal(guest_write(m.guest, gpa(PAGE(4) + 8), &value, 4), 0);
	assert_int_equal(m.told, PAGE(4));
	assert_int_equal(m.guest->ops->track(m.guest, &page, 1, &other), -EBUSY);
	assert_int_equal(guest_write(m.guest, page, &value, 4), 0);
	assert_int_equal(read_only_pages(), 1);
	/* Nobody's any more, and then another's. */
	assert_int_equal(track(4, 1, 1, false), 0);
	assert_int_equal(m.guest->ops->track(m.guest, &page, 1, &other), 0);
	assert_int_equal(guest_write(m.guest, page, &value, 4), 0);
	assert_int_equal(told, PAGE(9));
	assert_int_equal(m.told, PAGE(4));
	assert_int_equal(remove_memory(), 0);
	assert_int_equal(told, 2 * PAGE(9));
}

/* ---- KVM has little -------------------------------------------------------------------------- */

/* With the one number that the memory has, all of it is read-only; with three, what lies between.
 */
static void memory_stays_whole_with_few_numbers(void **state)
{
	for (uint32_t numbers = 1; numbers < 8; numbers++) {
		open_guest(numbers);
		assert_int_equal(track(10, 60, 4, true), 0);
		unsigned int read_only = read_only_pages();
		if (numbers < 3)
			assert_int_equal(read_only, RAM_PAGES);
		else
			assert_in_range(read_only, 4, 181);
		assert_int_equal(track(10, 60, 4, false), 0);
		assert_int_equal(read_only_pages(), 0);
		close_guest();
		assert_int_equal(in_use(), 0);
	}
}

static void without_numbers_windows_are_refused(void **state)
{
	void *page = aligned_alloc(PAGE_BYTES, PAGE_BYTES);

	open_guest(1);
	assert_int_equal(show(3, true), -ENOSPC);
	assert_int_equal(open_window(WINDOW_AT, page, true, true), -ENOSPC);
	assert_int_equal(open_window(WINDOW_AT, page, true, false), -ENOENT);
	close_guest();
	free(page);
}

/* Pages cannot be tracked then; the memory is as it was. */
static void without_read_only_slots(void **state)
{
	void *page = aligned_alloc(PAGE_BYTES, PAGE_BYTES);

	m.no_read_only = true;
	assert_int_equal(open_window(WINDOW_AT, page, false, true), -EINVAL);
	assert_int_equal(open_window(WINDOW_AT, page, true, true), 0);
	assert_int_equal(track(4, 1, 1, true), -EINVAL);
	assert_int_equal(read_only_pages(), 0);
	assert_int_equal(open_window(WINDOW_AT, page, true, false), 0);
	free(page);
}

#define with_guest(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_guest(a_window_does_not_close_memory),
		with_guest(windows_give_way_to_memory),
		with_guest(a_window_closes_itself_alone),
		with_guest(memory_that_kvm_keeps_stays_lent),
		with_guest(memory_in_pieces_goes_whole_or_not),
		with_guest(memory_goes_after_its_aliases),
		with_guest(a_window_that_kvm_keeps_goes_with_the_next),
		with_guest(pages_that_are_seen_elsewhere_are_not_tracked),
		with_guest(one_watch_is_told_of_what_it_has_tracked),
		cmocka_unit_test(memory_stays_whole_with_few_numbers),
		cmocka_unit_test(without_numbers_windows_are_refused),
		with_guest(without_read_only_slots),
	};

	return cmocka_run_group_tests_name("kvm slots", tests, NULL, NULL);
}
