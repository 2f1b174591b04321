/* SPDX-License-Identifier: MIT */
/*
 * Trapped ranges under threads that play vCPUs: look-ups without a lock while ranges come, go and
 * move.  The promise that matters: once untrap has returned, no access is being served.  Seconds of
 * hammering from MEDIANT_HAMMER_SECONDS (none: a moment); meant for the thread sanitizer as well.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "guest/guest.h"

#define BASE  0xe0000000ull
#define BYTES 0x10000ull
#define VCPUS 4u

struct range {
	_Atomic bool live; /* between trap and the return of untrap */
	_Atomic uint32_t regs[16];
	_Atomic uint64_t late; /* accesses served while it was not live */
};

static void range_read(void *opaque, uint64_t offset, void *buf, size_t len)
{
	struct range *range = opaque;
	uint32_t value = atomic_load(&range->regs[offset / 4 % 16]);

	if (!atomic_load(&range->live))
		atomic_fetch_add(&range->late, 1);
	memcpy(buf, &value, len);
}

static void range_write(void *opaque, uint64_t offset, const void *buf, size_t len)
{
	struct range *range = opaque;
	uint32_t value = 0;

	if (!atomic_load(&range->live))
		atomic_fetch_add(&range->late, 1);
	memcpy(&value, buf, len);
	atomic_fetch_add(&range->regs[offset / 4 % 16], value);
}

static struct guest_trap trap_at(struct range *range, uint64_t at)
{
	return (struct guest_trap){
		.gpa = gpa(at),
		.bytes = BYTES,
		.read = range_read,
		.write = range_write,
		.opaque = range,
	};
}

static struct guest *open_guest(void)
{
	struct guest_kvm_config config = { .vm_fd = -1 };
	struct guest *guest;

	assert_int_equal(guest_kvm_create(&config, &guest), 0);
	return guest;
}

static void accesses_find_their_range(void **state)
{
	struct guest *guest = open_guest();
	struct range a = { .live = true }, b = { .live = true };
	struct guest_trap first = trap_at(&a, BASE), second = trap_at(&b, BASE + BYTES);
	struct guest_vcpu vcpu;
	uint32_t value = 7;

	guest_kvm_vcpu_add(guest, &vcpu);
	assert_false(guest_kvm_access(guest, &vcpu, gpa(BASE), &value, 4, true));
	assert_int_equal(guest->ops->trap(guest, &second), 0);
	assert_int_equal(guest->ops->trap(guest, &first), 0);
	assert_true(guest_kvm_access(guest, &vcpu, gpa(BASE + 4), &value, 4, true));
	assert_true(guest_kvm_access(guest, &vcpu, gpa(BASE + BYTES + 8), &value, 4, true));
	assert_int_equal(a.regs[1], 7);
	assert_int_equal(b.regs[2], 7);
	/* Across the border it belongs to neither. */
	assert_false(guest_kvm_access(guest, &vcpu, gpa(BASE + BYTES - 2), &value, 4, true));
	assert_false(guest_kvm_access(guest, &vcpu, gpa(BASE - 1), &value, 1, false));
	assert_false(guest_kvm_access(guest, &vcpu, gpa(UINT64_MAX - 1), &value, 4, false));
	assert_int_equal(vcpu.served, 2);
	assert_int_equal(guest->ops->untrap(guest, first.gpa, BYTES), 0);
	assert_false(guest_kvm_access(guest, &vcpu, gpa(BASE + 4), &value, 4, true));
	assert_true(guest_kvm_access(guest, &vcpu, gpa(BASE + BYTES), &value, 4, false));
	guest_kvm_vcpu_remove(guest, &vcpu);
	guest_kvm_destroy(guest);
}

static void bad_ranges_are_refused(void **state)
{
	struct guest *guest = open_guest();
	struct range a = { .live = true };
	struct guest_trap trap = trap_at(&a, BASE);

	assert_int_equal(guest->ops->trap(guest, &trap), 0);
	assert_int_equal(guest->ops->trap(guest, &trap), -EEXIST);
	trap.gpa = gpa(BASE + BYTES - 1);
	assert_int_equal(guest->ops->trap(guest, &trap), -EEXIST);
	trap.gpa = gpa(UINT64_MAX - 4);
	assert_int_equal(guest->ops->trap(guest, &trap), -EINVAL);
	trap.bytes = 0;
	assert_int_equal(guest->ops->trap(guest, &trap), -EINVAL);
	assert_int_equal(guest->ops->untrap(guest, gpa(BASE), BYTES - 1), -ENOENT);
	assert_int_equal(guest->ops->untrap(guest, gpa(BASE + 1), BYTES), -ENOENT);
	for (uint64_t i = 1; i <= 200; i++) {
		trap = trap_at(&a, BASE + i * BYTES);
		int err = guest->ops->trap(guest, &trap);
		assert_true(!err || err == -ENOSPC);
		if (i == 200)
			assert_int_equal(err, -ENOSPC);
	}
	guest_kvm_destroy(guest);
}

static void memory_is_read_and_written_in_place(void **state)
{
	struct guest *guest = open_guest();
	uint8_t *ram = calloc(1, 4 * PAGE_BYTES);
	struct guest_kvm_memory memory = {
		.gpa = gpa(0x10000),
		.bytes = 4 * PAGE_BYTES,
		.host = ram,
		.access = GUEST_READ | GUEST_WRITE,
	};
	uint64_t generation = guest_generation(guest);
	uint32_t value = 0xabcd;
	size_t len;

	assert_int_equal(guest_kvm_memory_add(guest, &memory), 0);
	assert_int_equal(guest_kvm_memory_add(guest, &memory), -EEXIST);
	assert_true(guest_generation(guest) > generation);
	assert_int_equal(guest_write(guest, gpa(0x10010), &value, 4), 0);
	assert_int_equal(ram[0x10], 0xcd);
	assert_ptr_equal(guest_map(guest, gpa(0x11000), GUEST_READ, &len), ram + 0x1000);
	assert_int_equal(len, 3 * PAGE_BYTES);
	assert_int_equal(guest_read(guest, gpa(0x13ffe), &value, 4), -EFAULT);
	assert_int_equal(guest_kvm_memory_move(guest, gpa(0x10000), 4 * PAGE_BYTES, gpa(0x20000)),
			 0);
	assert_int_equal(guest_read(guest, gpa(0x10010), &value, 4), -EFAULT);
	assert_int_equal(guest_read(guest, gpa(0x20010), &value, 4), 0);
	assert_int_equal(value, 0xabcd);
	assert_int_equal(guest_kvm_memory_remove(guest, gpa(0x20000), PAGE_BYTES), -ENOENT);
	assert_int_equal(guest_kvm_memory_remove(guest, gpa(0x20000), 4 * PAGE_BYTES), 0);
	assert_null(guest_map(guest, gpa(0x20000), GUEST_READ, &len));
	memory.access = GUEST_READ;
	assert_int_equal(guest_kvm_memory_add(guest, &memory), 0);
	assert_int_equal(guest_write(guest, gpa(0x10010), &value, 4), -EFAULT);
	memory.gpa = gpa(UINT64_MAX - 4);
	assert_int_equal(guest_kvm_memory_add(guest, &memory), -EINVAL);
	guest_kvm_destroy(guest);
	free(ram);
}

static void memory_moves_only_where_there_is_room(void **state)
{
	struct guest *guest = open_guest();
	uint8_t *ram = calloc(1, 4 * PAGE_BYTES);
	struct guest_kvm_memory memory = {
		.bytes = 2 * PAGE_BYTES,
		.host = ram,
		.access = GUEST_READ | GUEST_WRITE,
	};
	size_t len;

	assert_int_equal(guest_kvm_memory_add(guest, &memory), 0);
	memory.gpa = gpa(2 * PAGE_BYTES);
	memory.host = ram + 2 * PAGE_BYTES;
	assert_int_equal(guest_kvm_memory_add(guest, &memory), 0);
	assert_int_equal(guest_kvm_memory_move(guest, gpa(0), 2 * PAGE_BYTES, gpa(PAGE_BYTES)),
			 -EEXIST);
	assert_ptr_equal(guest_map(guest, gpa(0), GUEST_READ, &len), ram);
	/* Over its own old place it may. */
	assert_int_equal(guest_kvm_memory_move(guest, gpa(2 * PAGE_BYTES), 2 * PAGE_BYTES,
					       gpa(3 * PAGE_BYTES)),
			 0);
	assert_int_equal(guest_kvm_memory_count(guest), 2);
	assert_int_equal(guest_kvm_memory_bytes(guest), 4 * PAGE_BYTES);
	guest_kvm_destroy(guest);
	free(ram);
}

/* A vCPU's store to another device of the VMM's. */
static void *store_elsewhere(void *opaque)
{
	struct guest *guest = opaque;
	struct guest_vcpu vcpu;
	uint32_t value = 0;

	guest_kvm_vcpu_add(guest, &vcpu);
	assert_false(guest_kvm_access(guest, &vcpu, gpa(BASE), &value, 4, true));
	guest_kvm_vcpu_remove(guest, &vcpu);
	return NULL;
}

/* Nothing has been tracked: the memory map may be changing for as long as it likes. */
static void a_store_that_is_not_ours_waits_for_nobody(void **state)
{
	struct guest *guest = open_guest();
	pthread_t vcpu;

	guest_quiesce(guest);
	pthread_create(&vcpu, NULL, store_elsewhere, guest);
	pthread_join(vcpu, NULL);
	guest_resume(guest);
	guest_kvm_destroy(guest);
}

/* ---- Hammering ---------------------------------------------------------------------------------
 */

struct hammer {
	struct guest *guest;
	struct range *ranges;
	struct guest_vcpu vcpu;
	pthread_t thread;
	uint64_t stored; /* stores that were said to have been served */
};

static _Atomic bool ending;

static void *vcpu_thread(void *opaque)
{
	struct hammer *h = opaque;
	uint32_t one = 1, value;
	uint64_t at = 0;

	guest_kvm_vcpu_add(h->guest, &h->vcpu);
	while (!atomic_load_explicit(&ending, memory_order_relaxed)) {
		at = (at * 5 + 4) % (2 * BYTES) & ~3ull;
		h->stored += guest_kvm_access(h->guest, &h->vcpu, gpa(BASE + at), &one, 4, true);
		guest_kvm_access(h->guest, &h->vcpu, gpa(BASE + at), &value, 4, false);
	}
	guest_kvm_vcpu_remove(h->guest, &h->vcpu);
	return NULL;
}

static uint64_t hammer_ns(void)
{
	const char *seconds = getenv("MEDIANT_HAMMER_SECONDS");

	return seconds ? strtoull(seconds, NULL, 10) * NSEC_PER_SEC : 300 * NSEC_PER_MSEC;
}

static uint64_t sum_of(struct range *range)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < 16; i++)
		sum += range->regs[i];
	return sum;
}

/* The range hops between two places and nowhere; each access is served where it lives, or not. */
static void ranges_change_under_vcpus(void **state)
{
	struct guest *guest = open_guest();
	struct range ranges[2] = { 0 };
	struct hammer vcpus[VCPUS];
	uint64_t until = clock_now_ns() + hammer_ns(), stored = 0, changes = 0;

	atomic_store(&ending, false);
	for (unsigned int i = 0; i < VCPUS; i++) {
		vcpus[i] = (struct hammer){ .guest = guest, .ranges = ranges };
		pthread_create(&vcpus[i].thread, NULL, vcpu_thread, &vcpus[i]);
	}
	while (clock_now_ns() < until) {
		struct range *range = &ranges[changes & 1];
		struct guest_trap trap = trap_at(range, BASE + (changes / 2 & 1) * BYTES);

		atomic_store(&range->live, true);
		assert_int_equal(guest->ops->trap(guest, &trap), 0);
		if (changes % 8 == 0)
			sched_yield();
		assert_int_equal(guest->ops->untrap(guest, trap.gpa, BYTES), 0);
		atomic_store(&range->live, false);
		changes++;
	}
	atomic_store(&ending, true);
	for (unsigned int i = 0; i < VCPUS; i++) {
		pthread_join(vcpus[i].thread, NULL);
		stored += vcpus[i].stored;
	}
	assert_int_equal(ranges[0].late + ranges[1].late, 0);
	/* No store that was said to be done is lost (the registers count them, modulo 2^32). */
	assert_int_equal((uint32_t)(sum_of(&ranges[0]) + sum_of(&ranges[1])), (uint32_t)stored);
	assert_true(changes > 0);
	guest_kvm_destroy(guest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accesses_find_their_range),
		cmocka_unit_test(bad_ranges_are_refused),
		cmocka_unit_test(memory_is_read_and_written_in_place),
		cmocka_unit_test(memory_moves_only_where_there_is_room),
		cmocka_unit_test(a_store_that_is_not_ours_waits_for_nobody),
		cmocka_unit_test(ranges_change_under_vcpus),
	};

	return cmocka_run_group_tests_name("kvm traps", tests, NULL, NULL);
}
