/* SPDX-License-Identifier: MIT */
/*
 * What the vGPU costs in a VMM's own process: our share of a trapped access, doorbells, coalesced
 * stores, windows, interrupts and page tracking, each beside what it is spared; and the exits of
 * one submission as i915 makes it.  The guest is a loop in user mode (tests/support/kvm_rig.h).
 *
 *   bench-kvm [JSONL]
 *
 * Our share of a trapped access is measured everywhere: the function that serves an exit is called
 * as a VMM calls it, with a struct kvm_run of our own.  Without /dev/kvm that is all, and it says
 * so.  Every round of ours has a round of the baseline beside it, so that a busy moment of the
 * machine hits both.
 */
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/bench.h"
#include "bench/submission.h"
#include "guest/kvm.h"
#include "kvm/kvm.h"
#include "lib/lib.h"
#include "mediant/mediant.h"

#define ROUNDS	   9
#define PER_ROUND  200
#define BAR0_AT	   0xc0000000ull
#define BAR2_AT	   0xd0000000ull
#define NOTHING_AT 0xe0000000ull
#define PAGES_AT   0x1000000ull

#define GT_IIR	   0x44308u
#define MASTER_IRQ 0x44200u
#define MSI_CAP	   0xacu

/* ---- The rig with a vGPU -----------------------------------------------------------------------
 */

struct machine {
	struct rig rig;
	struct mediant_vm *vm;
	struct mediant_device *device;
	struct mediant_vcpu *vcpu;
	int event_fd;
};

static void must(int result, const char *what)
{
	if (result < 0)
		bench_die("%s: %s", what, strerror(-result));
}

static void config_write(struct machine *m, uint16_t offset, uint32_t value, size_t len)
{
	must(mediant_device_config_write(m->device, offset, &value, len), "config space");
}

static void machine_open(struct machine *m, bool trap_all)
{
	struct mediant_vm_config vm;
	struct mediant_device_config device;
	const char *missing = rig_open(&m->rig, false, NULL);

	if (missing)
		bench_die("%s", missing);
	must(rig_install_memory(&m->rig), "memory");
	MEDIANT_INIT(&vm);
	vm.vm_fd = m->rig.vm_fd;
	vm.first_slot = 1;
	vm.slot_count = 100;
	vm.coalesce = !trap_all;
	must(mediant_vm_create(&vm, &m->vm), "VM");
	must(mediant_memory_add(m->vm, 0, RIG_RAM_BYTES, m->rig.ram, MEDIANT_MEMORY_WRITE),
	     "memory");
	MEDIANT_INIT(&device);
	device.gpu = MEDIANT_GPU_NULL;
	device.render_only = true;
	device.trap_all = trap_all;
	must(mediant_device_create(m->vm, &device, &m->device), "vGPU");
	m->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	must(mediant_device_irq_eventfd(m->device, MEDIANT_IRQ_MSI, 0, m->event_fd), "MSI");
	must(mediant_vcpu_create(m->vm, m->rig.cpu.run, &m->vcpu), "vCPU");
	config_write(m, 0x10, (uint32_t)BAR0_AT, 4);
	config_write(m, 0x18, (uint32_t)BAR2_AT, 4);
	config_write(m, 0x04, 6, 2);
}

static void machine_close(struct machine *m)
{
	mediant_vcpu_destroy(m->vcpu);
	mediant_device_destroy(m->device);
	mediant_vm_destroy(m->vm);
	rig_close(&m->rig);
	close(m->event_fd);
}

static bool serve_device(void *opaque)
{
	struct machine *m = opaque;

	return mediant_vcpu_exit(m->vcpu);
}

static bool serve_nothing(void *opaque)
{
	return true;
}

/* Runs @job; nanoseconds for each of its accesses. */
static uint64_t run(struct rig *rig, struct rig_job job, bool (*serve)(void *), void *opaque)
{
	uint64_t before = clock_now_ns();

	must(rig_run(rig, &job, serve, opaque), "the guest");
	return (clock_now_ns() - before) / job.count;
}

static double median_ns(struct bench_samples *samples)
{
	return 1000 * bench_percentile_us(samples, 50);
}

static void report(FILE *jsonl, const char *name, struct bench_samples *ours, const char *what,
		   struct bench_samples *beside, const char *floor, double floor_ns)
{
	bench_report(jsonl, &(struct bench_result){
				    .name = name,
				    .unit = "ns",
				    .value = median_ns(ours),
				    .p99 = 1000 * bench_percentile_us(ours, 99),
				    .baseline = { what, median_ns(beside) },
				    .limit = { floor, floor_ns },
			    });
}

/* ---- Traps -------------------------------------------------------------------------------------
 */

#define CALLS 2000 /* of a round */

/* A device whose VM is not KVM's, with one vCPU: exits are made up. */
struct share {
	struct mediant_vm *vm;
	struct mediant_device *device;
	struct mediant_vcpu *vcpu;
	struct kvm_run *run;
};

static void share_open(struct share *s)
{
	struct mediant_vm_config vm;
	struct mediant_device_config device;
	const uint32_t bar0 = (uint32_t)BAR0_AT, bar2 = (uint32_t)BAR2_AT;
	const uint16_t command = 6;

	s->run = aligned_alloc(PAGE_BYTES, PAGE_BYTES);
	memset(s->run, 0, PAGE_BYTES);
	MEDIANT_INIT(&vm);
	vm.vm_fd = -1;
	must(mediant_vm_create(&vm, &s->vm), "VM");
	MEDIANT_INIT(&device);
	device.gpu = MEDIANT_GPU_NULL;
	device.render_only = true;
	must(mediant_device_create(s->vm, &device, &s->device), "vGPU");
	must(mediant_vcpu_create(s->vm, s->run, &s->vcpu), "vCPU");
	must(mediant_device_config_write(s->device, 0x10, &bar0, 4), "config space");
	must(mediant_device_config_write(s->device, 0x18, &bar2, 4), "config space");
	must(mediant_device_config_write(s->device, 0x04, &command, 2), "config space");
}

static void share_close(struct share *s)
{
	mediant_vcpu_destroy(s->vcpu);
	mediant_device_destroy(s->device);
	mediant_vm_destroy(s->vm);
	free(s->run);
}

static void make_up_exit(struct share *s, uint32_t offset, bool store)
{
	s->run->exit_reason = KVM_EXIT_MMIO;
	s->run->mmio.phys_addr = BAR0_AT + offset;
	s->run->mmio.len = 4;
	s->run->mmio.is_write = store;
}

/* Nanoseconds of one call, from exit to "run again". */
static uint64_t exits_ns(struct share *s, uint32_t offset, bool store)
{
	uint64_t before = clock_now_ns();

	for (int i = 0; i < CALLS; i++) {
		make_up_exit(s, offset, store);
		if (mediant_vcpu_exit(s->vcpu) != 1)
			bench_die("the exit was not served");
	}
	return (clock_now_ns() - before) / CALLS;
}

/* The same access as a call, with nothing to look up. */
static uint64_t calls_ns(struct share *s, uint32_t offset, bool store)
{
	uint64_t before = clock_now_ns();
	uint32_t value = 0;

	for (int i = 0; i < CALLS; i++) {
		if (store)
			mediant_device_bar_write(s->device, 0, offset, &value, sizeof(value));
		else
			mediant_device_bar_read(s->device, 0, offset, &value, sizeof(value));
	}
	return (clock_now_ns() - before) / CALLS;
}

static void bench_trap(FILE *jsonl, const char *name, uint32_t offset, bool store)
{
	struct bench_samples ours, call;
	struct share s;

	bench_samples_init(&ours, ROUNDS * 5);
	bench_samples_init(&call, ROUNDS * 5);
	share_open(&s);
	for (int round = 0; round < ROUNDS * 5; round++) {
		bench_sample(&ours, exits_ns(&s, offset, store));
		bench_sample(&call, calls_ns(&s, offset, store));
	}
	report(jsonl, name, &ours, "the access as a call (exit made up, caches warm)", &call,
	       "the bar", 300);
	share_close(&s);
	bench_samples_fini(&ours);
	bench_samples_fini(&call);
}

/* What the guest and the kernel leave of the nearest caches: nothing. */
static void fill_caches(void)
{
	static volatile uint8_t other[128 << 10];

	for (size_t i = 0; i < sizeof(other); i += 64)
		other[i]++;
	getppid();
}

/* One at a time, after a stretch of other work; the clock's own time is in both. */
static void bench_trap_cold(FILE *jsonl, const char *name, uint32_t offset, bool store)
{
	struct bench_samples ours, clock;
	struct share s;

	bench_samples_init(&ours, CALLS);
	bench_samples_init(&clock, CALLS);
	share_open(&s);
	for (int i = 0; i < CALLS; i++) {
		make_up_exit(&s, offset, store);
		fill_caches();
		uint64_t before = clock_now_ns();
		mediant_vcpu_exit(s.vcpu);
		bench_sample(&ours, clock_now_ns() - before);
		fill_caches();
		before = clock_now_ns();
		bench_sample(&clock, clock_now_ns() - before);
	}
	report(jsonl, name, &ours,
	       "the clock alone (exit made up, near caches full of other things)", &clock,
	       "the bar", 300);
	share_close(&s);
	bench_samples_fini(&ours);
	bench_samples_fini(&clock);
}

/* ---- Flushes -----------------------------------------------------------------------------------
 */

#define FENCE	  0x100000u
#define GFX_FLSH  0x101008u
#define GTT	  0x800000u
#define SHOWN	  352u /* pages that BAR2 shows */
#define FLUSH_RAM (16ull << 20)

/* A device whose windows are open, on a VM that only says that it made the slots. */
struct flush {
	struct loop loop;
	struct guest *guest;
	struct kvm_door *door;
	struct kvm_vcpu *vcpu;
	struct vgpu_device *device;
	void *ram;
	int null_fd;
	unsigned int slots; /* asked for */
};

static unsigned int *slots_asked;

static int make_believe(struct guest_kvm *kvm, const struct kvm_userspace_memory_region *region)
{
	++*slots_asked;
	return 0;
}

static void flush_store(struct flush *f, uint32_t offset, uint64_t value, size_t len)
{
	if (!kvm_vcpu_access(f->vcpu, gpa(BAR0_AT + offset), &value, len, true))
		bench_die("the store was not served");
}

static void flush_config(struct flush *f, uint16_t offset, uint32_t value, size_t len)
{
	must(vfio_device_write(vgpu_device_vfio(f->device), VFIO_PCI_CONFIG_REGION_INDEX, offset,
			       &value, len),
	     "config space");
}

static void flush_open(struct flush *f)
{
	f->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct guest_kvm_config config = { .vm_fd = f->null_fd, .slot_count = 100 };
	struct guest_kvm_memory memory = {
		.bytes = FLUSH_RAM,
		.host = f->ram = aligned_alloc(PAGE_BYTES, FLUSH_RAM),
		.access = GUEST_READ | GUEST_WRITE,
	};
	struct kvm_door_config door = { .vm_fd = -1 };
	struct vgpu_device_config device = {
		.loop = &f->loop,
		.name = "bench",
		.type = vgpu_types(&(size_t){ 0 }),
		.gpu = VGPU_DEVICE_GPU_NULL,
		.render_only = true,
	};

	slots_asked = &f->slots;
	must(guest_kvm_create(&config, &f->guest), "guest");
	guest_kvm_of(f->guest)->set_region = make_believe;
	must(guest_kvm_memory_add(f->guest, &memory), "memory");
	door.guest = device.guest = f->guest;
	must(loop_init(&f->loop), "loop");
	must(kvm_door_create(&door, &f->door), "door");
	must(vgpu_device_create(&device, &f->device), "vGPU");
	must(kvm_vcpu_create(f->door, NULL, &f->vcpu), "vCPU");
	flush_config(f, 0x10, (uint32_t)BAR0_AT, 4);
	flush_config(f, 0x18, (uint32_t)BAR2_AT, 4);
	flush_config(f, 0x04, 2, 2);
}

static void flush_close(struct flush *f)
{
	kvm_vcpu_destroy(f->vcpu);
	kvm_door_destroy(f->door);
	vgpu_device_destroy(f->device);
	loop_fini(&f->loop);
	guest_kvm_destroy(f->guest);
	free(f->ram);
	close(f->null_fd);
}

static uint64_t stores_ns(struct flush *f, uint32_t offset, uint32_t value)
{
	uint64_t before = clock_now_ns();

	for (int i = 0; i < CALLS; i++)
		flush_store(f, offset, value, 4);
	return (clock_now_ns() - before) / CALLS;
}

/* Surfaces in 40 stretches, more than there are windows; a flush of which none has changed. */
static void bench_flush(FILE *jsonl, const char *name, uint32_t offset, uint32_t value)
{
	struct bench_samples ours, plain;
	struct flush f = { 0 };

	bench_samples_init(&ours, ROUNDS * 5);
	bench_samples_init(&plain, ROUNDS * 5);
	flush_open(&f);
	for (uint32_t i = 0; i < SHOWN; i++)
		flush_store(&f, GTT + 8 * i, (0x100ull + i + i / 9) << PAGE_SHIFT | 1, 8);
	flush_store(&f, GFX_FLSH, 1, 4);
	unsigned int slots = f.slots;
	if (slots < 16)
		bench_die("BAR2 shows nothing");
	for (int round = 0; round < ROUNDS * 5; round++) {
		bench_sample(&ours, stores_ns(&f, offset, value));
		bench_sample(&plain, stores_ns(&f, GT_IIR, 0));
	}
	if (f.slots != slots)
		bench_die("nothing has changed, and the slots did");
	report(jsonl, name, &ours, "a store to GT_IIR", &plain, "the bar", 300);
	flush_close(&f);
	bench_samples_fini(&ours);
	bench_samples_fini(&plain);
}

/* What our share is a share of: an exit that nobody looks at. */
static void bench_exit(FILE *jsonl)
{
	struct rig_job ours = { .kind = RIG_LOAD, .at = BAR0_AT + MASTER_IRQ, .count = PER_ROUND };
	struct rig_job theirs = { .kind = RIG_LOAD, .at = NOTHING_AT, .count = PER_ROUND };
	struct bench_samples served, bare;
	struct machine m;

	bench_samples_init(&served, ROUNDS);
	bench_samples_init(&bare, ROUNDS);
	machine_open(&m, false);
	for (int round = 0; round < ROUNDS; round++) {
		bench_sample(&served, run(&m.rig, ours, serve_device, &m));
		bench_sample(&bare, run(&m.rig, theirs, serve_nothing, NULL));
	}
	double floor = median_ns(&bare);
	report(jsonl, "kvm.exit", &served, "a bare exit", &bare, "a bare exit", floor);
	machine_close(&m);
	bench_samples_fini(&served);
	bench_samples_fini(&bare);
}

/* ---- What spares an exit -----------------------------------------------------------------------
 */

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
	must(guest_kvm_create(&config, &s->guest), "guest");
	must(guest_kvm_memory_add(s->guest, &memory), "memory");
	struct kvm_door_config door = { .guest = s->guest,
					.vm_fd = s->rig.vm_fd,
					.coalesce = true };
	must(kvm_door_create(&door, &s->door), "ring of coalesced stores");
	must(kvm_vcpu_create(s->door, s->rig.cpu.run, &s->vcpu), "vCPU");
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
		bench_sample(&ours, run(&s->rig, job, serve_spare, s));
		job.at = NOTHING_AT;
		bench_sample(&exits, run(&s->rig, job, serve_nothing, NULL));
		job.at = PAGES_AT;
		bench_sample(&memory, run(&s->rig, job, serve_spare, s));
	}
	report(jsonl, name, &ours, "a bare exit", &exits, "a store to memory", median_ns(&memory));
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

	must(s->guest->ops->doorbell(s->guest, &doorbell, true), "KVM_IOEVENTFD");
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

	must(s->guest->ops->trap(s->guest, &trap), "trap");
	must(s->guest->ops->run(s->guest, &one, true), "run");
	kvm_door_drain(s->door); /* sees that there is a run now */
	bench_stores(jsonl, s, "kvm.coalesced", one.gpa.v);
	kvm_door_stats(s->door, &stats);
	if (stores != ROUNDS * PER_ROUND ||
	    stats.coalesced != stores / RUN_STORES * (RUN_STORES - 1))
		bench_die("of %u stores %llu came through the ring", stores,
			  (unsigned long long)stats.coalesced);
	s->guest->ops->run(s->guest, &one, false);
	kvm_door_drain(s->door);
	must(s->guest->ops->untrap(s->guest, trap.gpa, trap.bytes), "untrap");
}

static void bench_mapped(FILE *jsonl, struct spare *s)
{
	struct guest_window window = {
		.gpa = gpa(NOTHING_AT + 0x3000),
		.bytes = PAGE_BYTES,
		.host = aligned_alloc(PAGE_BYTES, PAGE_BYTES),
		.writable = true,
	};

	must(s->guest->ops->window(s->guest, &window, true), "window");
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
	must(s->guest->ops->irq_route(s->guest, fd, &msi), "KVM_IRQFD");
	for (int i = 0; i < ROUNDS * PER_ROUND; i++) {
		uint64_t t0 = clock_now_ns();

		must((int)write(fd, &one, sizeof(one)), "eventfd");
		uint64_t t1 = clock_now_ns();
		s->guest->ops->irq_signal(s->guest, &msi);
		uint64_t t2 = clock_now_ns();
		must((int)write(silent, &one, sizeof(one)), "eventfd");
		bench_sample(&ours, t1 - t0);
		bench_sample(&hand, t2 - t1);
		bench_sample(&plain, clock_now_ns() - t2);
	}
	report(jsonl, "kvm.irqfd", &ours, "KVM_SIGNAL_MSI", &hand, "an eventfd that ends nowhere",
	       median_ns(&plain));
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

		must(track(s, pages, 512, true), "track");
		uint64_t t1 = clock_now_ns();
		must(track(s, pages, 512, false), "track");
		uint64_t t2 = clock_now_ns();
		must(track(s, pages, 1, true), "track");
		bench_sample(&single, clock_now_ns() - t2);
		must(track(s, pages, 1, false), "track");
		bench_sample(&batch, (t1 - t0) / 512);
	}
	report(jsonl, "kvm.track.page", &batch, "a change of slots for the page", &single,
	       "no limit", 0);
	bench_samples_fini(&batch);
	bench_samples_fini(&single);
}

/* ---- A submission ------------------------------------------------------------------------------
 */

#define CONTEXT_AT 0x1800000u

/* What a pass cost, from one submission's end to the next one's. */
struct pass {
	struct machine m;
	struct submission s;
	struct bench_samples times;
	struct bench_samples exits; /* thousands of them, where others have nanoseconds */
	double mean_exits;
	uint64_t ended_ns, ended_exits;
	bool begun; /* a submission of this job has ended */
};

static uint32_t door_load(void *opaque, uint32_t at)
{
	struct machine *m = opaque;
	uint32_t value;

	must(mediant_device_bar_read(m->device, 0, at, &value, sizeof(value)), "a register");
	return value;
}

static void door_store(void *opaque, uint32_t at, uint32_t value)
{
	struct machine *m = opaque;

	must(mediant_device_bar_write(m->device, 0, at, &value, sizeof(value)), "a register");
}

static void ended(struct pass *p)
{
	const uint64_t exits = p->m.rig.cpu.exits;

	submission_wait(&p->s);
	if (p->begun) {
		bench_sample(&p->times, clock_now_ns() - p->ended_ns);
		bench_sample(&p->exits, 1000 * (exits - p->ended_exits));
	}
	p->begun = true;
	p->ended_exits = exits;
	submission_prepare(&p->s);
	p->ended_ns = clock_now_ns();
}

/* The guest stays out while its submission runs. */
static bool serve_submission(void *opaque)
{
	struct pass *p = opaque;
	const struct kvm_run *run = p->m.rig.cpu.run;
	const uint32_t last = p->s.steps[SUBMISSION_PORT - 1].value;
	bool submits = run->exit_reason == KVM_EXIT_MMIO && run->mmio.is_write &&
		       run->mmio.phys_addr == BAR0_AT + SUBMISSION_ELSP &&
		       !memcmp(run->mmio.data, &last, sizeof(last));

	if (!mediant_vcpu_exit(p->m.vcpu))
		return false;
	if (submits)
		ended(p);
	return true;
}

static void pass_open(struct pass *p, bool trap_all)
{
	const struct submission_door door = { door_load, door_store, &p->m };

	*p = (struct pass){ 0 };
	bench_samples_init(&p->times, ROUNDS * PER_ROUND);
	bench_samples_init(&p->exits, ROUNDS * PER_ROUND);
	machine_open(&p->m, trap_all);
	config_write(&p->m, MSI_CAP + PCI_MSI_FLAGS, PCI_MSI_FLAGS_ENABLE, 2);
	submission_init(&p->s, p->m.rig.ram + CONTEXT_AT, CONTEXT_AT, &door);
	submission_prepare(&p->s);
}

static void pass_close(struct pass *p)
{
	machine_close(&p->m);
	bench_samples_fini(&p->times);
	bench_samples_fini(&p->exits);
}

/* A round by the guest's own accesses. */
static void guest_round(struct pass *p, unsigned int steps)
{
	struct rig_job job = {
		.kind = RIG_SEQUENCE, .at = BAR0_AT, .count = PER_ROUND, .step_count = steps
	};

	memcpy(job.steps, p->s.steps, sizeof(p->s.steps));
	p->begun = false;
	p->ended_exits = 0;
	run(&p->m.rig, job, serve_submission, p);
	p->mean_exits += (double)p->m.rig.cpu.exits / PER_ROUND / ROUNDS;
}

/* A round by calls: what is left when no access leaves a guest. */
static void calls_round(struct pass *p, unsigned int steps)
{
	p->begun = false;
	for (int i = 0; i < PER_ROUND; i++) {
		for (unsigned int n = 0; n < steps; n++) {
			if (p->s.steps[n].store)
				door_store(&p->m, p->s.steps[n].at, p->s.steps[n].value);
			else
				door_load(&p->m, p->s.steps[n].at);
			if (n == SUBMISSION_PORT - 1)
				ended(p);
		}
	}
}

static void bench_submission(FILE *jsonl, const char *name, const char *time_name,
			     unsigned int steps)
{
	struct pass ours, all, calls;

	pass_open(&all, true);
	pass_open(&ours, false);
	pass_open(&calls, true);
	for (int round = 0; round < ROUNDS; round++) {
		guest_round(&all, steps);
		guest_round(&ours, steps);
		calls_round(&calls, steps);
	}
	bench_report(jsonl, &(struct bench_result){
				    .name = name,
				    .unit = "exits",
				    .value = ours.mean_exits,
				    .p99 = bench_percentile_us(&ours.exits, 99),
				    .baseline = { "every access traps", all.mean_exits },
				    .limit = { "one has to be seen", 1 },
			    });
	bench_report(
		jsonl,
		&(struct bench_result){
			.name = time_name,
			.unit = "us",
			.value = bench_percentile_us(&ours.times, 50),
			.p99 = bench_percentile_us(&ours.times, 99),
			.baseline = { "every access traps", bench_percentile_us(&all.times, 50) },
			.limit = { "calls, and no guest", bench_percentile_us(&calls.times, 50) },
		});
	pass_close(&calls);
	pass_close(&ours);
	pass_close(&all);
}

int main(int argc, char **argv)
{
	FILE *jsonl = NULL;
	struct spare spare;
	struct rig rig;
	int cpu;
	const char *missing = rig_open(&rig, true, NULL);

	rig_close(&rig);
	if (argc > 1 && !(jsonl = fopen(argv[1], "a")))
		bench_die("%s: %m", argv[1]);
	if (bench_cpus(&cpu, 1))
		bench_pin(cpu);
	bench_table_head();
	bench_trap(jsonl, "kvm.trap.store", GT_IIR, true);
	bench_trap(jsonl, "kvm.trap.load", MASTER_IRQ, false);
	bench_trap_cold(jsonl, "kvm.trap.store.cold", GT_IIR, true);
	bench_trap_cold(jsonl, "kvm.trap.load.cold", MASTER_IRQ, false);
	bench_flush(jsonl, "kvm.trap.flush", GFX_FLSH, 1);
	bench_flush(jsonl, "kvm.trap.fence", FENCE, 0);
	if (missing) {
		printf("bench: kvm.*, submit.kvm.*: the rest was not measured: %s\n", missing);
		return jsonl ? fclose(jsonl) != 0 : 0;
	}
	bench_exit(jsonl);
	spare_open(&spare);
	bench_doorbell(jsonl, &spare);
	bench_coalesced(jsonl, &spare);
	bench_mapped(jsonl, &spare);
	bench_irqfd(jsonl, &spare);
	bench_track(jsonl, &spare);
	spare_close(&spare);
	bench_submission(jsonl, "submit.kvm.exits", "submit.kvm.time", SUBMISSION_PORT);
	bench_submission(jsonl, "submit.kvm.irq.exits", "submit.kvm.irq.time", SUBMISSION_STEPS);
	if (jsonl)
		fclose(jsonl);
	return 0;
}
