/* SPDX-License-Identifier: MIT */
/*
 * What only a real KVM can show: tracked pages, doorbells, windows and interrupts of guest_kvm with
 * a vCPU that runs.  Skips, with the reason, where there is no /dev/kvm that will do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "guest/guest.h"
#include "kvm/kvm.h"
#include "tests/support/kvm_rig.h"

#define PAGES_AT 0x1000000ull /* 16 MiB: upper half of the rig's memory */
#define TRAP_AT	 0xc0000000ull

struct fixture {
	struct rig rig;
	struct guest *guest;
	struct kvm_door *door;
	struct kvm_vcpu *vcpu;
	unsigned int pauses, written;
	uint64_t last_written;
	uint64_t trapped;
	uint32_t gsi_routed;
};

static void pause_vcpus(void *opaque)
{
	/* The one vCPU runs on this thread. */
	((struct fixture *)opaque)->pauses++;
}

static void resume_vcpus(void *opaque)
{
}

static void page_written(void *opaque, gpa_t page)
{
	struct fixture *f = opaque;

	f->written++;
	f->last_written = page.v;
}

static int track(struct fixture *f, const gpa_t *pages, size_t count, bool on)
{
	const struct guest_watch watch = { .written = page_written, .opaque = f };

	return f->guest->ops->track(f->guest, pages, count, on ? &watch : NULL);
}

static int route(void *opaque, uint32_t gsi, const struct guest_msi *msi)
{
	struct fixture *f = opaque;

	if (msi)
		f->gsi_routed = gsi;
	return rig_route(&f->rig, gsi, msi ? msi->address : 0, msi ? msi->data : 0, msi);
}

static int open_fixture(void **state, bool irqchip)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const char *missing = rig_open(&f->rig, irqchip, NULL);
	struct guest_kvm_config config = {
		.vm_fd = f->rig.vm_fd,
		.slot_count = 64,
		.route = route,
		.first_gsi = 24,
		.gsi_count = 4,
		.pause = pause_vcpus,
		.resume = resume_vcpus,
		.opaque = f,
	};
	struct guest_kvm_memory memory = {
		.bytes = RIG_RAM_BYTES,
		.host = f->rig.ram,
		.access = GUEST_READ | GUEST_WRITE,
		.install = true,
	};

	*state = f;
	assert_null(missing);
	assert_int_equal(guest_kvm_create(&config, &f->guest), 0);
	assert_int_equal(guest_kvm_memory_add(f->guest, &memory), 0);
	struct kvm_door_config door = { .guest = f->guest, .vm_fd = f->rig.vm_fd };
	assert_int_equal(kvm_door_create(&door, &f->door), 0);
	assert_int_equal(kvm_vcpu_create(f->door, f->rig.cpu.run, &f->vcpu), 0);
	return 0;
}

static int setup(void **state)
{
	return open_fixture(state, false);
}

static int setup_irqchip(void **state)
{
	return open_fixture(state, true);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	kvm_vcpu_destroy(f->vcpu);
	kvm_door_destroy(f->door);
	guest_kvm_destroy(f->guest);
	rig_close(&f->rig);
	free(f);
	return 0;
}

static bool serve(void *opaque)
{
	return kvm_vcpu_exit(((struct fixture *)opaque)->vcpu);
}

/* @count stores, a page apart; how many exits they took. */
static uint64_t store_pages(struct fixture *f, uint64_t at, uint64_t count, uint32_t value)
{
	struct rig_job job = {
		.kind = RIG_STORE, .at = at, .stride = PAGE_BYTES, .count = count, .value = value
	};

	assert_int_equal(rig_run(&f->rig, &job, serve, f), 0);
	return f->rig.cpu.exits;
}

static uint32_t word_at(struct fixture *f, uint64_t gpa)
{
	uint32_t value;

	memcpy(&value, f->rig.ram + gpa, 4);
	return value;
}

static void stores_to_tracked_pages_are_told_and_done(void **state)
{
	struct fixture *f = *state;
	gpa_t page = gpa(PAGES_AT + 5 * PAGE_BYTES);

	assert_int_equal(store_pages(f, PAGES_AT, 10, 1), 0);
	assert_int_equal(track(f, &page, 1, true), 0);
	assert_int_equal(store_pages(f, PAGES_AT, 10, 100), 1);
	assert_int_equal(f->written, 1);
	assert_true(f->last_written == page.v);
	for (uint32_t i = 0; i < 10; i++)
		assert_int_equal(word_at(f, PAGES_AT + i * PAGE_BYTES), 100 + i);
	assert_int_equal(track(f, &page, 1, false), 0);
	assert_int_equal(store_pages(f, PAGES_AT, 10, 200), 0);
	assert_int_equal(f->written, 1);
	assert_int_equal(word_at(f, page.v), 205);
}

/* What the device stores does not exit; it is told all the same, when it asks where to. */
static void stores_of_the_device_are_told(void **state)
{
	struct fixture *f = *state;
	const gpa_t page = gpa(PAGES_AT + 5 * PAGE_BYTES);
	const uint8_t bytes[2 * PAGE_BYTES] = { 0 };
	uint64_t generation = guest_generation(f->guest);
	size_t len;

	assert_int_equal(track(f, &page, 1, true), 0);
	/* Mappings to store through, had before, are to be asked for again. */
	assert_true(guest_generation(f->guest) != generation);
	guest_enter(f->guest);
	assert_non_null(guest_map(f->guest, page, GUEST_READ, &len));
	assert_non_null(guest_map(f->guest, gpa(PAGES_AT + 8), GUEST_READ | GUEST_WRITE, &len));
	assert_int_equal(len, 5 * PAGE_BYTES - 8);
	assert_int_equal(guest_write(f->guest, gpa(page.v - PAGE_BYTES), bytes, PAGE_BYTES), 0);
	assert_int_equal(f->written, 0);
	assert_non_null(guest_map(f->guest, gpa(page.v + 16), GUEST_WRITE, &len));
	assert_int_equal(len, RIG_RAM_BYTES - page.v - 16);
	assert_int_equal(f->written, 1);
	assert_int_equal(guest_write(f->guest, gpa(page.v - 4), bytes, 8), 0);
	assert_int_equal(f->written, 2);
	assert_true(f->last_written == page.v);
	guest_leave(f->guest);
	generation = guest_generation(f->guest);
	assert_int_equal(track(f, &page, 1, false), 0);
	assert_true(guest_generation(f->guest) == generation);
}

/* Memory that goes takes what is tracked along, and can be named no more. */
static void tracked_memory_that_goes(void **state)
{
	struct fixture *f = *state;
	const gpa_t pages[2] = { gpa(PAGES_AT), gpa(PAGES_AT + 40 * PAGE_BYTES) };
	struct guest_kvm_memory memory = {
		.bytes = RIG_RAM_BYTES,
		.host = f->rig.ram,
		.access = GUEST_READ | GUEST_WRITE,
		.install = true,
	};

	assert_int_equal(track(f, pages, 2, true), 0);
	assert_int_equal(guest_kvm_memory_remove(f->guest, gpa(0), RIG_RAM_BYTES), 0);
	assert_int_equal(f->written, 2);
	assert_int_equal(track(f, pages, 2, false), 0);
	assert_int_equal(track(f, pages, 2, true), -EFAULT);
	assert_int_equal(guest_kvm_memory_add(f->guest, &memory), 0);
	assert_int_equal(store_pages(f, PAGES_AT, 50, 1), 0);
	assert_int_equal(f->written, 2);
}

/* Pages near each other cost one change of slots, and later ones between them none. */
static void many_pages_cost_one_change(void **state)
{
	struct fixture *f = *state;
	gpa_t pages[512];

	for (unsigned int i = 0; i < 512; i++)
		pages[i] = gpa(PAGES_AT + 2 * i * PAGE_BYTES);
	assert_int_equal(track(f, pages, 512, true), 0);
	assert_int_equal(f->pauses, 1);
	for (unsigned int i = 0; i < 511; i++)
		pages[i] = gpa(PAGES_AT + (2 * i + 1) * PAGE_BYTES);
	assert_int_equal(track(f, pages, 511, true), 0);
	assert_int_equal(f->pauses, 1);
	assert_int_equal(store_pages(f, PAGES_AT, 1030, 1), 1023);
	assert_int_equal(f->written, 1023);
	/* Most of them again: the stretch stays, and nobody is told. */
	assert_int_equal(track(f, pages, 511, false), 0);
	assert_int_equal(f->pauses, 1);
	store_pages(f, PAGES_AT, 1030, 1);
	assert_int_equal(f->written, 1023 + 512);
}

/* Far apart they want more slot numbers than there are: longer stretches then. */
static void too_many_stretches_become_fewer(void **state)
{
	struct fixture *f = *state;
	gpa_t pages[60];

	for (unsigned int i = 0; i < 60; i++)
		pages[i] = gpa(PAGES_AT + 40 * i * PAGE_BYTES);
	assert_int_equal(track(f, pages, 60, true), 0);
	store_pages(f, PAGES_AT, 2400, 7);
	assert_int_equal(f->written, 60);
	assert_int_equal(word_at(f, PAGES_AT + 2399 * PAGE_BYTES), 7 + 2399);
}

static void pages_that_are_no_memory_are_refused(void **state)
{
	struct fixture *f = *state;
	gpa_t page = gpa(RIG_RAM_BYTES);

	assert_int_equal(track(f, &page, 1, true), -EFAULT);
	page = gpa(PAGES_AT + 8);
	assert_int_equal(track(f, &page, 1, true), -EINVAL);
}

static void trap_write(void *opaque, uint64_t offset, const void *buf, size_t len)
{
	((struct fixture *)opaque)->trapped++;
}

static void trap_read(void *opaque, uint64_t offset, void *buf, size_t len)
{
	uint32_t value = (uint32_t)offset;

	memcpy(buf, &value, len);
	((struct fixture *)opaque)->trapped++;
}

static void trap_page(struct fixture *f)
{
	struct guest_trap trap = { .gpa = gpa(TRAP_AT),
				   .bytes = 4 * PAGE_BYTES,
				   .read = trap_read,
				   .write = trap_write,
				   .opaque = f };

	assert_int_equal(f->guest->ops->trap(f->guest, &trap), 0);
}

static void a_doorbell_does_not_exit(void **state)
{
	struct fixture *f = *state;
	struct rig_job job = { .kind = RIG_STORE, .at = TRAP_AT + 8, .count = 10 };
	struct guest_doorbell doorbell = { .gpa = gpa(TRAP_AT + 8), .bytes = 4 };
	uint64_t count = 0;

	trap_page(f);
	doorbell.eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_int_equal(f->guest->ops->doorbell(f->guest, &doorbell, true), 0);
	assert_int_equal(rig_run(&f->rig, &job, serve, f), 0);
	assert_int_equal(f->rig.cpu.exits, 0);
	assert_int_equal(read(doorbell.eventfd, &count, sizeof(count)), sizeof(count));
	assert_int_equal(count, 10);
	assert_int_equal(f->guest->ops->doorbell(f->guest, &doorbell, false), 0);
	job.count = 3;
	assert_int_equal(rig_run(&f->rig, &job, serve, f), 0);
	assert_int_equal(f->trapped, 3);
	close(doorbell.eventfd);
}

static void a_window_is_read_without_an_exit(void **state)
{
	struct fixture *f = *state;
	uint32_t *page = aligned_alloc(PAGE_BYTES, PAGE_BYTES);
	struct guest_window window = { .gpa = gpa(TRAP_AT + PAGE_BYTES),
				       .bytes = PAGE_BYTES,
				       .host = page };
	struct rig_job load = { .kind = RIG_LOAD, .at = TRAP_AT + PAGE_BYTES + 4, .count = 5 };
	struct rig_job store = { .kind = RIG_STORE, .at = TRAP_AT + PAGE_BYTES + 4, .count = 5 };

	trap_page(f);
	memset(page, 0, PAGE_BYTES);
	page[1] = 7;
	assert_int_equal(f->guest->ops->window(f->guest, &window, true), 0);
	assert_int_equal(rig_run(&f->rig, &load, serve, f), 0);
	assert_int_equal(f->rig.cpu.exits, 0);
	assert_int_equal(load.sum, 35);
	assert_int_equal(rig_run(&f->rig, &store, serve, f), 0);
	assert_int_equal(f->trapped, 5);
	assert_int_equal(page[1], 7);
	assert_int_equal(f->guest->ops->window(f->guest, &window, false), 0);
	load.sum = 0;
	assert_int_equal(rig_run(&f->rig, &load, serve, f), 0);
	assert_int_equal(f->rig.cpu.exits, 5);
	assert_int_equal(load.sum, 5 * (PAGE_BYTES + 4));
	free(page);
}

static int show(struct fixture *f, uint64_t of, bool on)
{
	struct guest_window window = { .gpa = gpa(TRAP_AT + 2 * PAGE_BYTES),
				       .bytes = 2 * PAGE_BYTES,
				       .alias = true,
				       .of = gpa(of),
				       .writable = true };

	return f->guest->ops->window(f->guest, &window, on);
}

/* Two stores to the pages of show(); how many of them exited. */
static uint64_t store_by_alias(struct fixture *f, uint32_t value)
{
	return store_pages(f, TRAP_AT + 2 * PAGE_BYTES, 2, value);
}

static void memory_is_seen_in_another_place(void **state)
{
	struct fixture *f = *state;

	trap_page(f);
	assert_int_equal(show(f, PAGES_AT, true), 0);
	assert_int_equal(store_by_alias(f, 70), 0);
	assert_int_equal(word_at(f, PAGES_AT), 70);
	assert_int_equal(word_at(f, PAGES_AT + PAGE_BYTES), 71);
	assert_int_equal(show(f, PAGES_AT, false), 0);
	assert_int_equal(store_by_alias(f, 80), 2);
	assert_int_equal(f->trapped, 2);
	assert_int_equal(word_at(f, PAGES_AT), 70);
	assert_int_equal(show(f, RIG_RAM_BYTES - PAGE_BYTES, true), -EFAULT);
	assert_int_equal(show(f, PAGES_AT + 8, true), -EINVAL);
}

/* A store by the alias would not be told of. */
static void tracked_pages_are_not_seen_elsewhere(void **state)
{
	struct fixture *f = *state;
	gpa_t page = gpa(PAGES_AT + PAGE_BYTES);

	trap_page(f);
	assert_int_equal(show(f, PAGES_AT, true), 0);
	assert_int_equal(track(f, &page, 1, true), 0);
	assert_int_equal(store_by_alias(f, 1), 2);
	assert_int_equal(show(f, PAGES_AT, true), -EFAULT);
	assert_int_equal(track(f, &page, 1, false), 0);
	assert_int_equal(show(f, PAGES_AT, true), 0);
	assert_int_equal(store_by_alias(f, 1), 0);
}

static void what_is_seen_goes_with_its_memory(void **state)
{
	struct fixture *f = *state;
	const uint64_t at = 0x10000000;
	uint8_t *pages = aligned_alloc(PAGE_BYTES, 2 * PAGE_BYTES);
	struct guest_kvm_memory memory = {
		.gpa = gpa(at),
		.bytes = 2 * PAGE_BYTES,
		.host = pages,
		.access = GUEST_READ | GUEST_WRITE,
	};

	memset(pages, 0, 2 * PAGE_BYTES);
	trap_page(f);
	assert_int_equal(guest_kvm_memory_add(f->guest, &memory), 0);
	assert_int_equal(show(f, at, true), 0);
	assert_int_equal(store_by_alias(f, 1), 0);
	assert_int_equal(guest_kvm_memory_move(f->guest, gpa(at), 2 * PAGE_BYTES, gpa(2 * at)), 0);
	assert_int_equal(store_by_alias(f, 2), 2);
	assert_int_equal(show(f, 2 * at, true), 0);
	assert_int_equal(guest_kvm_memory_remove(f->guest, gpa(2 * at), 2 * PAGE_BYTES), 0);
	assert_int_equal(store_by_alias(f, 3), 2);
	assert_int_equal(pages[0], 1);
	/* Memory that forbids stores does so here as well. */
	memory.access = GUEST_READ;
	assert_int_equal(guest_kvm_memory_add(f->guest, &memory), 0);
	assert_int_equal(show(f, at, true), 0);
	assert_int_equal(store_by_alias(f, 4), 2);
	assert_int_equal(pages[0], 1);
	assert_int_equal(guest_kvm_memory_remove(f->guest, gpa(at), 2 * PAGE_BYTES), 0);
	free(pages);
}

/* ---- Interrupts ---- */

static void an_eventfd_ends_as_an_interrupt(void **state)
{
	struct fixture *f = *state;
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct guest_msi msi = { 0xfee00000, 0x41 };
	uint64_t one = 1;

	rig_enable_lapic(&f->rig.cpu);
	assert_int_equal(f->guest->ops->irq_route(f->guest, fd, &msi), 0);
	assert_int_equal(f->gsi_routed, 24);
	assert_false(rig_requested(&f->rig.cpu, 0x41));
	assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
	assert_true(rig_wait_requested(&f->rig.cpu, 0x41));
	/* The guest writes another message; then it disarms. */
	msi.data = 0x52;
	assert_int_equal(f->guest->ops->irq_route(f->guest, fd, &msi), 0);
	assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
	assert_true(rig_wait_requested(&f->rig.cpu, 0x52));
	assert_int_equal(f->guest->ops->irq_route(f->guest, fd, NULL), 0);
	assert_int_equal(f->guest->ops->irq_route(f->guest, fd, NULL), -ENOENT);
	close(fd);
}

static void a_message_is_sent_by_hand(void **state)
{
	struct fixture *f = *state;
	struct guest_msi msi = { 0xfee00000, 0x63 };

	rig_enable_lapic(&f->rig.cpu);
	assert_int_equal(f->guest->ops->irq_signal(f->guest, &msi), 0);
	assert_true(rig_wait_requested(&f->rig.cpu, 0x63));
}

#define with_vm(test)	   cmocka_unit_test_setup_teardown(test, setup, teardown)
#define with_irqchip(test) cmocka_unit_test_setup_teardown(test, setup_irqchip, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_vm(stores_to_tracked_pages_are_told_and_done),
		with_vm(stores_of_the_device_are_told),
		with_vm(tracked_memory_that_goes),
		with_vm(many_pages_cost_one_change),
		with_vm(too_many_stretches_become_fewer),
		with_vm(pages_that_are_no_memory_are_refused),
		with_vm(a_doorbell_does_not_exit),
		with_vm(a_window_is_read_without_an_exit),
		with_vm(memory_is_seen_in_another_place),
		with_vm(tracked_pages_are_not_seen_elsewhere),
		with_vm(what_is_seen_goes_with_its_memory),
		with_irqchip(an_eventfd_ends_as_an_interrupt),
		with_irqchip(a_message_is_sent_by_hand),
	};

	if (rig_missing())
		return 77;
	return cmocka_run_group_tests_name("kvm", tests, NULL, NULL);
}
