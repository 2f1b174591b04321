/* SPDX-License-Identifier: MIT */
/* What spares an exit, or a system call: each beside what it is spared. */
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/kvm_machine.h"
#include "guest/kvm.h"
#include "kvm/kvm.h"

#define PAGES_AT 0x1000000ull

struct spare {
	struct rig rig;
	struct guest *guest;
	struct kvm_door *door;
	struct kvm_vcpu *vcpu;
};

static bool serve_spare(void *opaque)
{
	struct spare *s = opaque;

	kvm_vcpu_exit(s->vcpu);
	return true;
}

static int route(void *opaque, uint32_t gsi, const struct guest_msi *msi)
{
	struct spare *s = opaque;

	return rig_route(&s->rig, gsi, msi ? msi->address : 0, msi ? msi->data : 0, msi);
}

static void nothing(void *opaque)
{
}

static void spare_open(struct spare *s)
{
	const char *missing = rig_open(&s->rig, true, NULL);

	if (missing)
		bench_die("%s", missing);
	struct guest_kvm_config config = {
		.vm_fd = s->rig.vm_fd,
		.slot_count = 400,
		.coalesce = true,
		.route = route,
		.first_gsi = 24,
		.gsi_count = 1,
		.pause = nothing,
		.resume = nothing,
		.opaque = s,
	};
	struct guest_kvm_memory memory = {
		.bytes = RIG_RAM_BYTES,
		.host = s->rig.ram,
		.access = GUEST_READ | GUEST_WRITE,
		.install = true,
	};
	machine_must(guest_kvm_create(&config, &s->guest), "guest");
	machine_must(guest_kvm_memory_add(s->guest, &memory), "memory");
	struct kvm_door_config door = { .guest = s->guest,
					.vm_fd = s->rig.vm_fd,
					.coalesce = true };
	machine_must(kvm_door_create(&door, &s->door), "ring of coalesced stores");
	machine_must(kvm_vcpu_create(s->door, s->rig.cpu.run, &s->vcpu), "vCPU");
}

static void spare_close(struct spare *s)
{
	kvm_vcpu_destroy(s->vcpu);
	kvm_door_destroy(s->door);
	guest_kvm_destroy(s->guest);
	rig_close(&s->rig);
}

/* Stores at @at against stores that exit; @limit_at: where nothing could be faster. */
static void bench_stores(FILE *jsonl, struct spare *s, const char *name, uint64_t at)
{
	struct bench_samples ours, exits, memory;
	struct rig_job job = { .kind = RIG_STORE, .count = PER_ROUND };

	bench_samples_init(&ours, ROUNDS);
	bench_samples_init(&exits, ROUNDS);
	bench_samples_init(&memory, ROUNDS);
	for (int round = 0; round < ROUNDS; round++) {
		job.at = at;
		bench_sample(&ours, machine_run(&s->rig, job, serve_spare, s));
		job.at = NOTHING_AT;
		bench_sample(&exits, machine_run(&s->rig, job, machine_serve_not, NULL));
		job.at = PAGES_AT;
		bench_sample(&memory, machine_run(&s->rig, job, serve_spare, s));
	}
	machine_report(jsonl, name, &ours, "a bare exit", &exits, "a store to memory",
		       machine_median_ns(&memory));
	bench_samples_fini(&ours);
	bench_samples_fini(&exits);
	bench_samples_fini(&memory);
}

static void bench_doorbell(FILE *jsonl, struct spare *s)
{
	struct guest_doorbell doorbell = {
		.gpa = gpa(NOTHING_AT + 0x1000),
		.bytes = 4,
		.eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	};

	machine_must(s->guest->ops->doorbell(s->guest, &doorbell, true), "KVM_IOEVENTFD");
	bench_stores(jsonl, s, "kvm.doorbell", doorbell.gpa.v);
	s->guest->ops->doorbell(s->guest, &doorbell, false);
	close(doorbell.eventfd);
}

#define RUN_STORES 4u

/* As the vGPU does for ELSP: all but the last store of a run may be kept back. */
static unsigned int run_slack(void *opaque)
{
	return RUN_STORES - 1 - *(unsigned int *)opaque % RUN_STORES;
}

static void run_write(void *opaque, uint64_t offset, const void *buf, size_t len)
{
	++*(unsigned int *)opaque;
}

static void bench_coalesced(FILE *jsonl, struct spare *s)
{
	unsigned int stores = 0;
	struct guest_trap trap = {
		.gpa = gpa(NOTHING_AT + 0x2000),
		.bytes = PAGE_BYTES,
		.write = run_write,
		.opaque = &stores,
	};
	struct guest_run one = {
		.gpa = trap.gpa, .bytes = 4, .slack = run_slack, .opaque = &stores
	};
	struct kvm_door_stats stats;

	machine_must(s->guest->ops->trap(s->guest, &trap), "trap");
	machine_must(s->guest->ops->run(s->guest, &one, true), "run");
	kvm_door_drain(s->door); /* sees that there is a run now */
	bench_stores(jsonl, s, "kvm.coalesced", one.gpa.v);
	kvm_door_stats(s->door, &stats);
	if (stores != ROUNDS * PER_ROUND ||
	    stats.coalesced != stores / RUN_STORES * (RUN_STORES - 1))
		bench_die("of %u stores %llu came through the ring", stores,
			  (unsigned long long)stats.coalesced);
	s->guest->ops->run(s->guest, &one, false);
	kvm_door_drain(s->door);
	machine_must(s->guest->ops->untrap(s->guest, trap.gpa, trap.bytes), "untrap");
}

static void bench_mapped(FILE *jsonl, struct spare *s)
{
	struct guest_window window = {
		.gpa = gpa(NOTHING_AT + 0x3000),
		.bytes = PAGE_BYTES,
		.host = aligned_alloc(PAGE_BYTES, PAGE_BYTES),
		.writable = true,
	};

	machine_must(s->guest->ops->window(s->guest, &window, true), "window");
	bench_stores(jsonl, s, "kvm.mapped", window.gpa.v);
	s->guest->ops->window(s->guest, &window, false);
	free(window.host);
}

/* ---- Interrupts and tracking -------------------------------------------------------------------
 */

static void bench_irqfd(FILE *jsonl, struct spare *s)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct guest_msi msi = { 0xfee00000, 0x41 };
	struct bench_samples ours, hand, plain;
	int silent = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	uint64_t one = 1;

	bench_samples_init(&ours, ROUNDS * PER_ROUND);
	bench_samples_init(&hand, ROUNDS * PER_ROUND);
	bench_samples_init(&plain, ROUNDS * PER_ROUND);
	machine_must(s->guest->ops->irq_route(s->guest, fd, &msi), "KVM_IRQFD");
	for (int i = 0; i < ROUNDS * PER_ROUND; i++) {
		uint64_t t0 = clock_now_ns();

		machine_must((int)write(fd, &one, sizeof(one)), "eventfd");
		uint64_t t1 = clock_now_ns();
		s->guest->ops->irq_signal(s->guest, &msi);
		uint64_t t2 = clock_now_ns();
		machine_must((int)write(silent, &one, sizeof(one)), "eventfd");
		bench_sample(&ours, t1 - t0);
		bench_sample(&hand, t2 - t1);
		bench_sample(&plain, clock_now_ns() - t2);
	}
	machine_report(jsonl, "kvm.irqfd", &ours, "KVM_SIGNAL_MSI", &hand,
		       "an eventfd that ends nowhere", machine_median_ns(&plain));
	s->guest->ops->irq_route(s->guest, fd, NULL);
	bench_samples_fini(&ours);
	bench_samples_fini(&hand);
	bench_samples_fini(&plain);
	close(silent);
	close(fd);
}

static void written(void *opaque, gpa_t page)
{
}

static int track(struct spare *s, const gpa_t *pages, size_t count, bool on)
{
	static const struct guest_watch watch = { .written = written };

	return s->guest->ops->track(s->guest, pages, count, on ? &watch : NULL);
}

/* One page of a batch of 512 that lie together, against a change of slots for each page. */
static void bench_track(FILE *jsonl, struct spare *s)
{
	struct bench_samples batch, single;
	gpa_t pages[512];

	bench_samples_init(&batch, ROUNDS);
	bench_samples_init(&single, ROUNDS);
	for (unsigned int i = 0; i < 512; i++)
		pages[i] = gpa(PAGES_AT + 2 * i * PAGE_BYTES);
	for (int round = 0; round < ROUNDS; round++) {
		uint64_t t0 = clock_now_ns();

		machine_must(track(s, pages, 512, true), "track");
		uint64_t t1 = clock_now_ns();
		machine_must(track(s, pages, 512, false), "track");
		uint64_t t2 = clock_now_ns();
		machine_must(track(s, pages, 1, true), "track");
		bench_sample(&single, clock_now_ns() - t2);
		machine_must(track(s, pages, 1, false), "track");
		bench_sample(&batch, (t1 - t0) / 512);
	}
	machine_report(jsonl, "kvm.track.page", &batch, "a change of slots for the page", &single,
		       "no limit", 0);
	bench_samples_fini(&batch);
	bench_samples_fini(&single);
}

void bench_spares(FILE *jsonl)
{
	struct spare s;

	spare_open(&s);
	bench_doorbell(jsonl, &s);
	bench_coalesced(jsonl, &s);
	bench_mapped(jsonl, &s);
	bench_irqfd(jsonl, &s);
	bench_track(jsonl, &s);
	spare_close(&s);
}
