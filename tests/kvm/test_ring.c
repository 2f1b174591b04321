/* SPDX-License-Identifier: MIT */
/*
 * The ring of coalesced stores, with a model of KVM's half of it: what waits is served in order and
 * before anything that could see it, and the last store of a run always exits, wherever in the
 * ring it falls and whoever else stores meanwhile.  The model is there twice: KVM before 6.12
 * reckons the room by a remainder of 2^32 that is not one of the ring's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "guest/kvm.h"
#include "kvm/door.h"

#define AT	 0xe0000000ull
#define ENGINES	 4u
#define PLAIN_AT 0x100u /* a register whose stores are kept back and mean nothing by themselves */
#define ENTRIES                                                             \
	((uint32_t)((PAGE_BYTES - sizeof(struct kvm_coalesced_mmio_ring)) / \
		    sizeof(struct kvm_coalesced_mmio)))

struct model {
	struct guest *guest;
	struct kvm_door *door;
	int ring_fd; /* one page, which each vCPU has mapped */
	struct kvm_coalesced_mmio_ring *ring;
	bool old_kernel;
	pthread_mutex_t ring_lock; /* KVM's own */
	pthread_mutex_t device_lock;
	/* The device: runs of four stores, whose values must arrive in order. */
	uint32_t count[ENGINES], next[ENGINES];
	uint64_t submissions[ENGINES];
	uint64_t out_of_order, foreign;
};

/* ---- The device ---- */

static void device_write(void *opaque, uint64_t offset, const void *buf, size_t len)
{
	struct model *m = opaque;
	uint32_t engine = (uint32_t)(offset / 4), value;

	if (engine >= ENGINES)
		return;
	memcpy(&value, buf, 4);
	pthread_mutex_lock(&m->device_lock);
	m->out_of_order += value != m->next[engine]++;
	if (++m->count[engine] == 4) {
		m->count[engine] = 0;
		m->submissions[engine]++;
	}
	pthread_mutex_unlock(&m->device_lock);
}

static void device_read(void *opaque, uint64_t offset, void *buf, size_t len)
{
	struct model *m = opaque;
	uint32_t value;

	pthread_mutex_lock(&m->device_lock);
	value = m->next[offset / 4 % ENGINES];
	pthread_mutex_unlock(&m->device_lock);
	memcpy(buf, &value, 4);
}

static unsigned int device_slack(void *opaque)
{
	struct model *m = opaque;
	uint32_t most = 0;

	pthread_mutex_lock(&m->device_lock);
	for (unsigned int i = 0; i < ENGINES; i++)
		most = MAX(most, m->count[i]);
	pthread_mutex_unlock(&m->device_lock);
	return 3 - most;
}

static void foreign_store(void *opaque, gpa_t gpa, const void *buf, size_t len)
{
	struct model *m = opaque;

	m->foreign++;
}

/* ---- KVM ---- */

static bool has_room(const struct model *m, uint32_t last)
{
	uint32_t first = __atomic_load_n(&m->ring->first, __ATOMIC_SEQ_CST);

	if (m->old_kernel)
		return (first - last - 1) % ENTRIES != 0;
	return (last + 1) % ENTRIES != first;
}

static bool kernel_takes(struct model *m, uint64_t at, uint32_t value)
{
	pthread_mutex_lock(&m->ring_lock);
	uint32_t last = __atomic_load_n(&m->ring->last, __ATOMIC_SEQ_CST);
	bool room = has_room(m, last);
	if (room) {
		struct kvm_coalesced_mmio *entry = &m->ring->coalesced_mmio[last];

		entry->phys_addr = at;
		entry->len = 4;
		memcpy(entry->data, &value, 4);
		__atomic_store_n(&m->ring->last, (last + 1) % ENTRIES, __ATOMIC_SEQ_CST);
	}
	pthread_mutex_unlock(&m->ring_lock);
	return room;
}

/* A guest's store; true when it exited. */
static bool store(struct model *m, struct kvm_vcpu *vcpu, uint64_t at, uint32_t value)
{
	if (kernel_takes(m, at, value))
		return false;
	kvm_vcpu_access(vcpu, gpa(at), &value, 4, true);
	return true;
}

/* The unregistering of a zone: waits for the store KVM is in the middle of. */
static struct model *barrier_model;

static void model_barrier(struct kvm_door *door)
{
	struct model *m = barrier_model;

	pthread_mutex_lock(&m->ring_lock);
	pthread_mutex_unlock(&m->ring_lock);
}

/* ---- Set up ---- */

static void model_open(struct model *m, bool old_kernel, uint32_t start)
{
	struct guest_kvm_config config = { .vm_fd = -1 };
	struct guest_trap trap = { .gpa = gpa(AT),
				   .bytes = PAGE_BYTES,
				   .read = device_read,
				   .write = device_write,
				   .opaque = m };

	*m = (struct model){ .old_kernel = old_kernel };
	pthread_mutex_init(&m->ring_lock, NULL);
	pthread_mutex_init(&m->device_lock, NULL);
	assert_int_equal(guest_kvm_create(&config, &m->guest), 0);
	assert_int_equal(m->guest->ops->trap(m->guest, &trap), 0);
	/* As guest_kvm_run() leaves them, without a KVM to tell. */
	for (unsigned int i = 0; i < ENGINES; i++) {
		guest_kvm_of(m->guest)->runs[i] = (struct guest_run){
			.gpa = gpa(AT + 4 * i), .bytes = 4, .slack = device_slack, .opaque = m
		};
		guest_kvm_of(m->guest)->run_at[i] = AT + 4 * i;
		guest_kvm_of(m->guest)->run_bytes[i] = 4;
	}
	guest_kvm_of(m->guest)->run_count = ENGINES;
	struct kvm_door_config door = {
		.guest = m->guest, .vm_fd = -1, .store = foreign_store, .opaque = m
	};
	assert_int_equal(kvm_door_create(&door, &m->door), 0);
	barrier_model = m;
	m->door->barrier = model_barrier;
	m->door->ring_page = 1;
	m->ring_fd = memfd_create("ring", MFD_CLOEXEC);
	assert_int_equal(ftruncate(m->ring_fd, PAGE_BYTES), 0);
	m->ring = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, m->ring_fd, 0);
	assert_ptr_not_equal(m->ring, MAP_FAILED);
	m->ring->first = m->ring->last = start;
}

static void model_close(struct model *m)
{
	kvm_door_destroy(m->door);
	guest_kvm_destroy(m->guest);
	munmap(m->ring, PAGE_BYTES);
	close(m->ring_fd);
}

/* With a mapping like KVM's: struct kvm_run, then the ring. */
static struct kvm_vcpu *vcpu_open(struct model *m)
{
	struct kvm_vcpu *vcpu;
	uint8_t *run = mmap(NULL, 2 * PAGE_BYTES, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(run, MAP_FAILED);
	assert_ptr_equal(mmap(run + PAGE_BYTES, PAGE_BYTES, PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_FIXED, m->ring_fd, 0),
			 run + PAGE_BYTES);
	assert_int_equal(kvm_vcpu_create(m->door, (struct kvm_run *)run, &vcpu), 0);
	return vcpu;
}

/* Whoever looks there afterwards faults. */
static void vcpu_close(struct kvm_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	kvm_vcpu_destroy(vcpu);
	munmap(run, 2 * PAGE_BYTES);
}

/* Four stores to @engine, of which the fourth must have been seen when the last returns. */
static unsigned int submit(struct model *m, struct kvm_vcpu *vcpu, unsigned int engine,
			   uint32_t *value)
{
	unsigned int exits = 0;

	for (unsigned int i = 0; i < 4; i++)
		exits += store(m, vcpu, AT + 4 * engine, (*value)++);
	return exits;
}

static void a_run_exits_once(void **state)
{
	for (unsigned int old = 0; old < 2; old++) {
		struct kvm_vcpu *vcpu;
		struct model m;
		uint32_t value = 0;

		model_open(&m, old, 0);
		vcpu = vcpu_open(&m);
		for (unsigned int i = 0; i < 1000; i++) {
			assert_int_equal(submit(&m, vcpu, i % ENGINES, &value), 1);
			assert_int_equal(m.submissions[i % ENGINES], i / ENGINES + 1);
			/* What is read in between does not change that. */
			if (i % 3 == 0)
				kvm_door_drain(m.door);
		}
		vcpu_close(vcpu);
		model_close(&m);
	}
}

/* Stores that wait and mean nothing move the room along, to the ring's end and over it. */
static void over_the_end(void **state)
{
	for (unsigned int old = 0; old < 2; old++) {
		struct kvm_vcpu *vcpu;
		struct model m;
		uint32_t value = 0;
		unsigned int exits = 0;

		model_open(&m, old, 0);
		vcpu = vcpu_open(&m);
		for (unsigned int i = 0; i < 1000; i++) {
			assert_false(store(&m, vcpu, AT + PLAIN_AT, 0));
			kvm_door_drain(m.door);
			unsigned int took = submit(&m, vcpu, 0, &value);

			assert_in_range(took, 1, 2);
			assert_int_equal(m.submissions[0], i + 1);
			exits += took;
		}
		assert_int_equal(m.out_of_order, 0);
		/* Two only where the end is near. */
		assert_true(exits <= 1000 + 1000 / 100);
		vcpu_close(vcpu);
		model_close(&m);
	}
}

static void wherever_it_starts(void **state)
{
	for (uint32_t start = 0; start < ENTRIES; start++) {
		for (unsigned int old = 0; old < 2; old++) {
			/* The last entry is where an old KVM cannot be stopped. */
			if (old && start == ENTRIES - 1)
				continue;
			struct kvm_vcpu *vcpu;
			struct model m;
			uint32_t value = 0;

			model_open(&m, old, start);
			vcpu = vcpu_open(&m);
			submit(&m, vcpu, 2, &value);
			assert_int_equal(m.submissions[2], 1);
			vcpu_close(vcpu);
			model_close(&m);
		}
	}
}

static void a_load_sees_the_stores_before_it(void **state)
{
	struct kvm_vcpu *vcpu;
	struct model m;
	uint32_t value;

	model_open(&m, false, 0);
	vcpu = vcpu_open(&m);
	assert_false(store(&m, vcpu, AT + 4, 0));
	assert_false(store(&m, vcpu, AT + 4, 1));
	assert_int_equal(m.next[1], 0);
	assert_true(kvm_vcpu_access(vcpu, gpa(AT + 4), &value, 4, false));
	assert_int_equal(value, 2);
	vcpu_close(vcpu);
	model_close(&m);
}

static void stores_of_others_are_handed_on(void **state)
{
	struct kvm_vcpu *vcpu;
	struct model m;

	model_open(&m, false, 0);
	vcpu = vcpu_open(&m);
	assert_true(kernel_takes(&m, AT - 0x1000, 0));
	assert_true(kernel_takes(&m, AT, 0));
	kvm_door_drain(m.door);
	assert_int_equal(m.foreign, 1);
	assert_int_equal(m.next[0], 1);
	vcpu_close(vcpu);
	model_close(&m);
}

/* KVM leaves an exit in its place when the next KVM_RUN is interrupted. */
static void an_exit_is_served_once(void **state)
{
	struct kvm_vcpu *vcpu;
	struct model m;

	model_open(&m, false, 0);
	vcpu = vcpu_open(&m);
	vcpu->run->exit_reason = KVM_EXIT_MMIO;
	vcpu->run->mmio.phys_addr = AT;
	vcpu->run->mmio.len = 4;
	vcpu->run->mmio.is_write = true;
	assert_true(kvm_vcpu_exit(vcpu));
	assert_false(kvm_vcpu_exit(vcpu));
	assert_int_equal(m.next[0], 1);
	/* The VMM's is the VMM's. */
	vcpu->run->exit_reason = KVM_EXIT_MMIO;
	vcpu->run->mmio.phys_addr = AT - 0x1000;
	assert_false(kvm_vcpu_exit(vcpu));
	assert_int_equal(vcpu->run->exit_reason, KVM_EXIT_MMIO);
	vcpu_close(vcpu);
	model_close(&m);
}

/* A store that reaches one by another address changes its room as well. */
static void a_run_is_known_by_all_its_bytes(void **state)
{
	struct model m;

	model_open(&m, false, 0);
	assert_true(guest_kvm_in_run(m.guest, gpa(AT), 4));
	assert_true(guest_kvm_in_run(m.guest, gpa(AT - 4), 8));
	assert_true(guest_kvm_in_run(m.guest, gpa(AT + 4 * ENGINES - 1), 1));
	assert_false(guest_kvm_in_run(m.guest, gpa(AT - 4), 4));
	assert_false(guest_kvm_in_run(m.guest, gpa(AT + 4 * ENGINES), 8));
	model_close(&m);
}

/* The last one takes the ring along; the next finds there what has been served already. */
static void the_ring_outlives_its_vcpus(void **state)
{
	struct kvm_vcpu *vcpu, *other;
	uint32_t value = 0;
	struct model m;

	model_open(&m, false, 0);
	for (unsigned int i = 0; i < 50; i++) {
		vcpu = vcpu_open(&m);
		assert_int_equal(submit(&m, vcpu, 0, &value), 1);
		/* What waits is served before its mapping goes. */
		assert_false(store(&m, vcpu, AT, value++));
		other = i % 2 ? vcpu_open(&m) : NULL;
		vcpu_close(vcpu);
		assert_int_equal(m.next[0], value);
		/* By the other's mapping, and for it. */
		vcpu = other ? other : vcpu_open(&m);
		for (unsigned int n = 0; n < 3; n++)
			assert_int_equal(store(&m, vcpu, AT, value++), n == 2);
		vcpu_close(vcpu);
		assert_null(m.door->ring);
		assert_int_equal(m.submissions[0], 2 * (i + 1));
	}
	assert_int_equal(m.out_of_order + m.foreign, 0);
	model_close(&m);
}

/* Whose accesses the VMM brings, and who has no mapping: sees the stores before them all the same.
 */
static void a_vcpu_without_a_mapping(void **state)
{
	struct kvm_vcpu *vcpu, *bare;
	struct model m;
	uint32_t value = 0;

	model_open(&m, false, 0);
	assert_int_equal(kvm_vcpu_create(m.door, NULL, &bare), 0);
	assert_true(kvm_vcpu_access(bare, gpa(AT + PLAIN_AT), &value, 4, true));
	vcpu = vcpu_open(&m);
	assert_false(store(&m, vcpu, AT + 4, value++));
	assert_true(kvm_vcpu_access(bare, gpa(AT + 4), &value, 4, false));
	assert_int_equal(value, 1);
	vcpu_close(vcpu);
	assert_true(kvm_vcpu_access(bare, gpa(AT + 4), &value, 4, false));
	kvm_vcpu_destroy(bare);
	model_close(&m);
}

/* Not by that of another, which may be on its way out. */
static void each_glances_by_its_own_mapping(void **state)
{
	struct kvm_vcpu *lender, *vcpu;
	struct model m;
	uint32_t value = 0;

	model_open(&m, false, 0);
	lender = vcpu_open(&m);
	vcpu = vcpu_open(&m);
	assert_ptr_equal(m.door->ring, lender->ring);
	assert_int_equal(mprotect(lender->ring, PAGE_BYTES, PROT_NONE), 0);
	assert_true(kvm_vcpu_access(vcpu, gpa(AT + PLAIN_AT), &value, 4, false));
	assert_true(kvm_vcpu_access(vcpu, gpa(AT + PLAIN_AT), &value, 4, true));
	assert_int_equal(mprotect(lender->ring, PAGE_BYTES, PROT_READ | PROT_WRITE), 0);
	vcpu_close(lender);
	assert_ptr_equal(m.door->ring, vcpu->ring);
	vcpu_close(vcpu);
	model_close(&m);
}

/* ---- Several vCPUs ---- */

static void *plain_vcpu(void *opaque)
{
	struct kvm_vcpu *vcpu = opaque;
	uint32_t value = 7;

	kvm_vcpu_access(vcpu, gpa(AT + PLAIN_AT), &value, 4, true);
	kvm_vcpu_access(vcpu, gpa(AT + PLAIN_AT), &value, 4, false);
	return NULL;
}

/* While nothing waits, neither a load nor a store of another register needs the ring's lock. */
static void plain_accesses_do_not_wait_for_the_ring(void **state)
{
	struct kvm_vcpu *vcpu;
	struct timespec end;
	pthread_t thread;
	struct model m;

	model_open(&m, false, 0);
	vcpu = vcpu_open(&m);
	lock_acquire(&m.door->ring_lock);
	pthread_create(&thread, NULL, plain_vcpu, vcpu);
	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += 10;
	int err = pthread_timedjoin_np(thread, NULL, &end);
	lock_release(&m.door->ring_lock);
	if (err)
		pthread_join(thread, NULL);
	assert_int_equal(err, 0);
	vcpu_close(vcpu);
	model_close(&m);
}

struct cpu {
	pthread_t thread;
	struct model *m;
	unsigned int engine;
	uint64_t lost, submitted;
};

static _Atomic bool ending;

/*
 * At once, or as soon as the one who is emptying the ring has come to it: nobody needs to touch the
 * device again for it.
 */
static bool arrives(struct cpu *cpu)
{
	uint64_t until = clock_now_ns() + 10 * NSEC_PER_SEC;
	bool there;

	do {
		pthread_mutex_lock(&cpu->m->device_lock);
		there = cpu->m->submissions[cpu->engine] == cpu->submitted;
		pthread_mutex_unlock(&cpu->m->device_lock);
	} while (!there && clock_now_ns() < until && !atomic_load(&ending));
	return there || atomic_load(&ending);
}

/* As i915: the port is one thread's at a time, and a submission is waited for. */
static void *cpu_thread(void *opaque)
{
	struct cpu *cpu = opaque;
	struct kvm_vcpu *vcpu = vcpu_open(cpu->m);
	uint32_t value = 0, seed = cpu->engine, got;

	while (!atomic_load_explicit(&ending, memory_order_relaxed)) {
		submit(cpu->m, vcpu, cpu->engine, &value);
		cpu->submitted++;
		if (!arrives(cpu))
			cpu->lost++;
		seed = seed * 1664525u + 1013904223u;
		if (seed >> 30 == 0)
			store(cpu->m, vcpu, AT + PLAIN_AT, 0);
		if (seed >> 30 == 1)
			kvm_vcpu_access(vcpu, gpa(AT), &got, 4, false);
		/* Unplugged, with its mapping, and plugged in again. */
		if (seed >> 28 == 8) {
			vcpu_close(vcpu);
			vcpu = vcpu_open(cpu->m);
		}
	}
	vcpu_close(vcpu);
	return NULL;
}

static void hammer(bool old_kernel)
{
	const char *seconds = getenv("MEDIANT_HAMMER_SECONDS");
	uint64_t ns = seconds ? strtoull(seconds, NULL, 10) * NSEC_PER_SEC : 300 * NSEC_PER_MSEC;
	struct timespec nap = { (time_t)(ns / NSEC_PER_SEC), (long)(ns % NSEC_PER_SEC) };
	struct cpu cpus[ENGINES];
	struct model m;

	model_open(&m, old_kernel, 0);
	atomic_store(&ending, false);
	for (unsigned int i = 0; i < ENGINES; i++) {
		cpus[i] = (struct cpu){ .m = &m, .engine = i };
		pthread_create(&cpus[i].thread, NULL, cpu_thread, &cpus[i]);
	}
	nanosleep(&nap, NULL);
	atomic_store(&ending, true);
	for (unsigned int i = 0; i < ENGINES; i++) {
		pthread_join(cpus[i].thread, NULL);
		assert_int_equal(cpus[i].lost, 0);
		assert_true(cpus[i].submitted > 0);
	}
	/* Nothing waits for somebody to come by. */
	for (unsigned int i = 0; i < ENGINES; i++)
		assert_int_equal(m.submissions[i], cpus[i].submitted);
	assert_int_equal(m.out_of_order, 0);
	model_close(&m);
}

static void runs_of_several_vcpus_all_arrive(void **state)
{
	hammer(false);
	hammer(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_run_exits_once),
		cmocka_unit_test(over_the_end),
		cmocka_unit_test(wherever_it_starts),
		cmocka_unit_test(a_load_sees_the_stores_before_it),
		cmocka_unit_test(stores_of_others_are_handed_on),
		cmocka_unit_test(an_exit_is_served_once),
		cmocka_unit_test(a_run_is_known_by_all_its_bytes),
		cmocka_unit_test(the_ring_outlives_its_vcpus),
		cmocka_unit_test(a_vcpu_without_a_mapping),
		cmocka_unit_test(each_glances_by_its_own_mapping),
		cmocka_unit_test(plain_accesses_do_not_wait_for_the_ring),
		cmocka_unit_test(runs_of_several_vcpus_all_arrive),
	};

	return cmocka_run_group_tests_name("kvm ring", tests, NULL, NULL);
}
