/* SPDX-License-Identifier: MIT */
/*
 * Four vCPUs of a real KVM hammer registers and memory while the VMM moves the BAR, switches
 * decoding off and on, takes memory slots away and gives them back, and tracks pages and lets them
 * go.  Every store arrives once, in the ring of coalesced stores as well, and nothing is served
 * where the BAR is not, from the moment on in which the config write has returned.
 *
 * MEDIANT_HAMMER_SECONDS: how long; meant for the sanitizers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <linux/pci_regs.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "kvm/kvm.h"
#include "tests/support/kvm_rig.h"
#include "vfio/vfio.h"

#define VCPUS	  4u
#define BAR_BYTES 0x10000u
#define RUNS	  0x4000u     /* in the BAR: a register for each vCPU that takes stores in runs */
#define WINDOW	  0x8000u     /* in the BAR: a page that need not trap */
#define PAGES_AT  0x1000000u  /* tracked now and then; a page for each vCPU, 32 pages apart */
#define SPARE_AT  0x10000000u /* a memory slot that comes and goes */
#define PER_JOB	  32u

static const uint32_t places[] = { 0xc0000000, 0xc0100000 };

struct machine;

struct vcpu {
	struct machine *m;
	struct rig_cpu *cpu, more;
	struct kvm_vcpu *vcpu;
	pthread_t thread;
	unsigned int number;
	uint64_t stored, loaded; /* accesses to the BAR that were said to be served */
	uint64_t runs, nobodys;	 /* stores to the register of runs; those that nobody served */
	uint64_t lost;		 /* stores to memory that are not there */
	uint64_t jobs, failed;
};

struct machine {
	struct rig rig;
	struct guest *guest;
	struct kvm_door *door;
	struct vfio_device *device;
	struct vcpu vcpus[VCPUS];
	uint8_t *window, *spare;
	_Atomic unsigned int open; /* a bit for each place where the device may be reached */
	_Atomic uint64_t writes, reads, late;
	_Atomic uint64_t run_writes, foreign;
	_Atomic unsigned int counts[VCPUS]; /* of the runs */
	_Atomic uint64_t page_stores;
	_Atomic bool ending;
	uint64_t changes;
};

/* ---- The device ---- */

static void nap(uint64_t ns)
{
	nanosleep(&(struct timespec){ .tv_nsec = (long)ns }, NULL);
}

/* Where the access lies that this thread is serving: a bit of machine.open. */
static _Thread_local unsigned int serving;

/* Some take their time, so that the change comes in their midst; it has to wait for them. */
static void note(struct machine *m, _Atomic uint64_t *count, unsigned int where)
{
	if (atomic_fetch_add_explicit(count, 1, memory_order_relaxed) % 64 == 0)
		nap(100000);
	if (!(atomic_load(&m->open) & where))
		atomic_fetch_add(&m->late, 1);
}

static void region_read(void *opaque, unsigned int region, uint64_t offset, void *buf, size_t len)
{
	struct machine *m = opaque;

	memset(buf, 0, len);
	note(m, &m->reads, serving);
}

/* Those of a run come from the ring, too: then it is not known where they were made. */
static void region_write(void *opaque, unsigned int region, uint64_t offset, const void *buf,
			 size_t len)
{
	struct machine *m = opaque;

	if (offset - RUNS < 4 * VCPUS) {
		note(m, &m->run_writes, ~0u);
		atomic_fetch_add(&m->counts[(offset - RUNS) / 4], 1);
	} else {
		note(m, &m->writes, serving);
	}
}

/* Of four stores the last must not be kept back. */
static unsigned int slack(void *opaque)
{
	struct machine *m = opaque;
	unsigned int most = 0;

	for (unsigned int i = 0; i < VCPUS; i++)
		most = MAX(most, atomic_load(&m->counts[i]) % 4);
	return 3 - most;
}

/* From the ring, for a place where the BAR is no more. */
static void foreign_store(void *opaque, gpa_t gpa, const void *buf, size_t len)
{
	atomic_fetch_add(&((struct machine *)opaque)->foreign, 1);
}

static const struct vfio_device_ops device_ops = {
	.region_read = region_read,
	.region_write = region_write,
};

static void make_device(struct machine *m)
{
	struct vfio_config config = {
		.pci = { .vendor = 0x8086, .device = 1, .config_bytes = 256 },
		.region_count = VFIO_PCI_NUM_REGIONS,
		.guest = m->guest,
		.ops = &device_ops,
		.opaque = m,
	};
	struct vfio_window window = {
		.offset = WINDOW,
		.size = PAGE_BYTES,
		.host = m->window,
		.writable = true,
	};

	config.regions[0] = (struct vfio_region_config){
		.size = BAR_BYTES,
		.flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE,
	};
	config.regions[VFIO_PCI_CONFIG_REGION_INDEX] = config.regions[0];
	config.regions[VFIO_PCI_CONFIG_REGION_INDEX].size = 256;
	assert_int_equal(vfio_device_create(&config, &m->device), 0);
	assert_int_equal(vfio_device_add_window(m->device, 0, &window), 0);
	for (unsigned int i = 0; i < VCPUS; i++) {
		struct vfio_run run = {
			.offset = RUNS + 4 * i, .bytes = 4, .slack = slack, .opaque = m
		};

		assert_int_equal(vfio_device_add_run(m->device, 0, &run), 0);
	}
}

/* ---- The VMM ---- */

static void pause_vcpus(void *opaque)
{
	rig_pause(&((struct machine *)opaque)->rig);
}

static void resume_vcpus(void *opaque)
{
	rig_resume(&((struct machine *)opaque)->rig);
}

static void page_written(void *opaque, gpa_t page)
{
	struct machine *m = opaque;

	atomic_fetch_add_explicit(&m->page_stores, 1, memory_order_relaxed);
}

static void add_memory(struct machine *m, uint64_t at, uint64_t bytes, void *host)
{
	struct guest_kvm_memory memory = {
		.gpa = gpa(at),
		.bytes = bytes,
		.host = host,
		.access = GUEST_READ | GUEST_WRITE,
		.install = true,
	};

	assert_int_equal(guest_kvm_memory_add(m->guest, &memory), 0);
}

static void machine_open(struct machine *m)
{
	assert_null(rig_open(&m->rig, false, NULL));
	m->rig.gated = true;
	m->window = aligned_alloc(PAGE_BYTES, PAGE_BYTES);
	m->spare = aligned_alloc(PAGE_BYTES, PAGE_BYTES);
	memset(m->window, 0, PAGE_BYTES);
	memset(m->spare, 0, PAGE_BYTES);

	struct guest_kvm_config config = {
		.vm_fd = m->rig.vm_fd,
		.slot_count = 64,
		.coalesce = true,
		.pause = pause_vcpus,
		.resume = resume_vcpus,
		.opaque = m,
	};
	assert_int_equal(guest_kvm_create(&config, &m->guest), 0);
	add_memory(m, 0, RIG_RAM_BYTES, m->rig.ram);
	struct kvm_door_config door = {
		.guest = m->guest,
		.vm_fd = m->rig.vm_fd,
		.coalesce = true,
		.store = foreign_store,
		.opaque = m,
	};
	assert_int_equal(kvm_door_create(&door, &m->door), 0);
	make_device(m);
	for (unsigned int i = 0; i < VCPUS; i++) {
		struct vcpu *v = &m->vcpus[i];

		*v = (struct vcpu){ .m = m, .number = i, .cpu = i ? &v->more : &m->rig.cpu };
		if (i)
			assert_int_equal(rig_cpu_open(&m->rig, v->cpu), 0);
		assert_int_equal(kvm_vcpu_create(m->door, v->cpu->run, &v->vcpu), 0);
	}
}

static void machine_close(struct machine *m)
{
	for (unsigned int i = 0; i < VCPUS; i++) {
		kvm_vcpu_destroy(m->vcpus[i].vcpu);
		if (i)
			rig_cpu_close(m->vcpus[i].cpu);
	}
	vfio_device_destroy(m->device);
	kvm_door_destroy(m->door);
	guest_kvm_destroy(m->guest);
	rig_close(&m->rig);
	free(m->window);
	free(m->spare);
}

/* ---- vCPUs ---- */

/* A bit of machine.open; 0: not the BAR. */
static unsigned int place_of(uint64_t at)
{
	for (unsigned int i = 0; i < 2; i++)
		if (at - places[i] < BAR_BYTES)
			return 1u << i;
	return 0;
}

/* What nobody serves is nobody's: a store is lost, a load gives all ones. */
static bool serve(void *opaque)
{
	struct vcpu *v = opaque;
	struct kvm_run *run = v->cpu->run;
	uint64_t at = run->mmio.phys_addr;

	serving = place_of(at);
	bool served = kvm_vcpu_exit(v->vcpu);
	if (!served && run->exit_reason != KVM_EXIT_MMIO)
		return false;
	bool of_run = (at & (BAR_BYTES - 1)) - RUNS < 4 * VCPUS;
	if (served && serving && !(run->mmio.is_write && of_run))
		*(run->mmio.is_write ? &v->stored : &v->loaded) += 1;
	if (!served && serving && run->mmio.is_write && of_run)
		v->nobodys++;
	if (!served && !run->mmio.is_write)
		memset(run->mmio.data, 0xff, sizeof(run->mmio.data));
	return true;
}

static void do_job(struct vcpu *v, enum rig_kind kind, uint64_t at, uint32_t value)
{
	struct rig_job job = { .kind = kind, .at = at, .count = PER_JOB, .value = value };

	v->failed += rig_cpu_run(v->cpu, &job, serve, v) != 0;
	v->jobs++;
}

/* The last of a row of stores to the vCPU's own word of memory is what is there. */
static void store_to_memory(struct vcpu *v, uint32_t value)
{
	uint64_t at = PAGES_AT + v->number * 32 * PAGE_BYTES;

	do_job(v, RIG_STORE, at, value);
	uint32_t *word = (uint32_t *)(v->m->rig.ram + at);
	v->lost += __atomic_load_n(word, __ATOMIC_ACQUIRE) != value + PER_JOB - 1;
}

static void *vcpu_thread(void *opaque)
{
	struct vcpu *v = opaque;
	uint32_t value = v->number << 24;

	for (unsigned int i = v->number; !atomic_load(&v->m->ending); i++) {
		uint64_t bar = places[i / 5 % 2];

		switch (i % 5) {
		case 0:
			do_job(v, RIG_STORE, bar + 4 * v->number, value);
			break;
		case 1:
			do_job(v, RIG_LOAD, bar + 4 * v->number, 0);
			do_job(v, RIG_LOAD, SPARE_AT, 0);
			break;
		case 2:
			do_job(v, RIG_LOAD, bar + WINDOW + 4 * v->number, 0);
			break;
		case 3:
			do_job(v, RIG_STORE, bar + RUNS + 4 * v->number, 0);
			v->runs += PER_JOB;
			break;
		default:
			store_to_memory(v, value);
			value += PER_JOB;
		}
	}
	return NULL;
}

/* ---- The changes ---- */

static void config_set(struct machine *m, uint16_t offset, uint32_t value, size_t len)
{
	assert_int_equal(
		vfio_device_write(m->device, VFIO_PCI_CONFIG_REGION_INDEX, offset, &value, len), 0);
	kvm_door_drain(m->door);
}

static void track(struct machine *m, bool on)
{
	const struct guest_watch watch = { .written = page_written, .opaque = m };
	gpa_t pages[VCPUS];

	for (unsigned int i = 0; i < VCPUS; i++)
		pages[i] = gpa(PAGES_AT + i * 32 * PAGE_BYTES);
	assert_int_equal(m->guest->ops->track(m->guest, pages, VCPUS, on ? &watch : NULL), 0);
}

/* Once through everything that a VMM changes under its vCPUs. */
static void change(struct machine *m)
{
	uint64_t stay = m->changes % 4 * NSEC_PER_MSEC;
	unsigned int here = m->changes % 2, there = 1 - here;

	config_set(m, PCI_BASE_ADDRESS_0, places[here], 4);
	atomic_store(&m->open, 1u << here);
	config_set(m, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	nap(stay);
	atomic_store(&m->open, 3);
	config_set(m, PCI_BASE_ADDRESS_0, places[there], 4);
	atomic_store(&m->open, 1u << there);
	track(m, true);
	nap(stay);
	assert_int_equal(guest_kvm_memory_remove(m->guest, gpa(SPARE_AT), PAGE_BYTES), 0);
	track(m, false);
	add_memory(m, SPARE_AT, PAGE_BYTES, m->spare);
	config_set(m, PCI_COMMAND, 0, 2);
	atomic_store(&m->open, 0);
	nap(stay / 2);
	m->changes++;
}

static uint64_t hammer_ns(void)
{
	const char *seconds = getenv("MEDIANT_HAMMER_SECONDS");

	return seconds ? strtoull(seconds, NULL, 10) * NSEC_PER_SEC : NSEC_PER_SEC;
}

/* All that the vCPUs have counted. */
static struct vcpu sum_of(const struct machine *m)
{
	struct vcpu sum = { 0 };

	for (unsigned int i = 0; i < VCPUS; i++) {
		const struct vcpu *v = &m->vcpus[i];

		assert_true(v->jobs > 0);
		sum.failed += v->failed;
		sum.lost += v->lost;
		sum.stored += v->stored;
		sum.loaded += v->loaded;
		sum.runs += v->runs;
		sum.nobodys += v->nobodys;
		sum.jobs += v->jobs;
	}
	return sum;
}

static void report(const struct machine *m, const struct vcpu *sum, uint64_t coalesced)
{
	uint64_t accesses = sum->jobs * PER_JOB, nobodys = sum->nobodys + m->foreign;

	printf("# %llu rounds of changes; %llu accesses, of which trapped: %llu stores, %llu loads; "
	       "%llu stores in runs (%llu by the ring, %llu found nobody); %llu stores to tracked "
	       "pages\n",
	       (unsigned long long)m->changes, (unsigned long long)accesses,
	       (unsigned long long)sum->stored, (unsigned long long)sum->loaded,
	       (unsigned long long)sum->runs, (unsigned long long)coalesced,
	       (unsigned long long)nobodys, (unsigned long long)m->page_stores);
}

static void everything_changes_under_four_vcpus(void **state)
{
	static struct machine m;
	uint64_t until = clock_now_ns() + hammer_ns();
	struct kvm_door_stats stats;

	machine_open(&m);
	add_memory(&m, SPARE_AT, PAGE_BYTES, m.spare);
	for (unsigned int i = 0; i < VCPUS; i++)
		pthread_create(&m.vcpus[i].thread, NULL, vcpu_thread, &m.vcpus[i]);
	/* On a busy machine it may take longer until one comes while the BAR is there. */
	while (clock_now_ns() < until || !m.writes || !m.reads)
		change(&m);
	atomic_store(&m.ending, true);
	for (unsigned int i = 0; i < VCPUS; i++)
		pthread_join(m.vcpus[i].thread, NULL);
	struct vcpu sum = sum_of(&m);
	kvm_door_stats(m.door, &stats);
	report(&m, &sum, stats.coalesced);
	assert_int_equal(sum.failed, 0);
	assert_int_equal(sum.lost, 0);
	assert_int_equal(m.late, 0);
	assert_int_equal(m.writes, sum.stored);
	assert_int_equal(m.reads, sum.loaded);
	assert_int_equal(m.run_writes + m.foreign + sum.nobodys, sum.runs);
	assert_true(sum.stored && sum.loaded && m.changes);
	machine_close(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_changes_under_four_vcpus),
	};

	if (rig_missing())
		return 77;
	return cmocka_run_group_tests_name("kvm hammer", tests, NULL, NULL);
}
