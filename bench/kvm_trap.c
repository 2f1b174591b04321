/* SPDX-License-Identifier: MIT */
/*
 * Our share of a trapped access.  The function that serves an exit is called as a VMM calls it,
 * with a struct kvm_run of our own, so this is measured everywhere; where there is /dev/kvm, the
 * exit itself is beside it.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/kvm_machine.h"
#include "guest/kvm.h"
#include "kvm/kvm.h"
#include "lib/lib.h"

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
	machine_must(mediant_vm_create(&vm, &s->vm), "VM");
	MEDIANT_INIT(&device);
	device.gpu = MEDIANT_GPU_NULL;
	device.render_only = true;
	machine_must(mediant_device_create(s->vm, &device, &s->device), "vGPU");
	machine_must(mediant_vcpu_create(s->vm, s->run, &s->vcpu), "vCPU");
	machine_must(mediant_device_config_write(s->device, 0x10, &bar0, 4), "config space");
	machine_must(mediant_device_config_write(s->device, 0x18, &bar2, 4), "config space");
	machine_must(mediant_device_config_write(s->device, 0x04, &command, 2), "config space");
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
	machine_report(jsonl, name, &ours, "the access as a call (exit made up, caches warm)",
		       &call, "the bar", 300);
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
	machine_report(jsonl, name, &ours,
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
	machine_must(vfio_device_write(vgpu_device_vfio(f->device), VFIO_PCI_CONFIG_REGION_INDEX,
				       offset, &value, len),
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
	machine_must(guest_kvm_create(&config, &f->guest), "guest");
	guest_kvm_of(f->guest)->set_region = make_believe;
	machine_must(guest_kvm_memory_add(f->guest, &memory), "memory");
	door.guest = device.guest = f->guest;
	machine_must(loop_init(&f->loop), "loop");
	machine_must(kvm_door_create(&door, &f->door), "door");
	machine_must(vgpu_device_create(&device, &f->device), "vGPU");
	machine_must(kvm_vcpu_create(f->door, NULL, &f->vcpu), "vCPU");
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
	machine_report(jsonl, name, &ours, "a store to GT_IIR", &plain, "the bar", 300);
	flush_close(&f);
	bench_samples_fini(&ours);
	bench_samples_fini(&plain);
}

void bench_traps(FILE *jsonl)
{
	bench_trap(jsonl, "kvm.trap.store", GT_IIR, true);
	bench_trap(jsonl, "kvm.trap.load", MASTER_IRQ, false);
	bench_trap_cold(jsonl, "kvm.trap.store.cold", GT_IIR, true);
	bench_trap_cold(jsonl, "kvm.trap.load.cold", MASTER_IRQ, false);
	bench_flush(jsonl, "kvm.trap.flush", GFX_FLSH, 1);
	bench_flush(jsonl, "kvm.trap.fence", FENCE, 0);
}

/* ---- A real exit ------------------------------------------------------------------------------
 */

/* What our share is a share of: an exit that nobody looks at. */
void bench_exit(FILE *jsonl)
{
	struct rig_job ours = { .kind = RIG_LOAD, .at = BAR0_AT + MASTER_IRQ, .count = PER_ROUND };
	struct rig_job theirs = { .kind = RIG_LOAD, .at = NOTHING_AT, .count = PER_ROUND };
	struct bench_samples served, bare;
	struct machine m;

	bench_samples_init(&served, ROUNDS);
	bench_samples_init(&bare, ROUNDS);
	machine_open(&m, false);
	for (int round = 0; round < ROUNDS; round++) {
		bench_sample(&served, machine_run(&m.rig, ours, machine_serve, &m));
		bench_sample(&bare, machine_run(&m.rig, theirs, machine_serve_not, NULL));
	}
	double floor = machine_median_ns(&bare);
	machine_report(jsonl, "kvm.exit", &served, "a bare exit", &bare, "a bare exit", floor);
	machine_close(&m);
	bench_samples_fini(&served);
	bench_samples_fini(&bare);
}
