/* SPDX-License-Identifier: MIT */
/*
 * libmediant as a VMM with KVM uses it, through the installed header and the shared library alone:
 * interrupts that KVM ends, what a VMM with little to lend gets, several VMs and vGPUs in a
 * process, and calls in an order that no friendly VMM would choose.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "mediant/mediant.h"
#include "tests/support/kvm_rig.h"
#include "tests/support/leaks.h"

#define BAR0_AT	 0xc0000000u
#define BAR2_AT	 0xd0000000u
#define SPARE_AT 0x10000000u /* memory that comes and goes */
#define SPARE	 0x10000u

#define PVINFO	     0x78000u
#define FENCE_REG    0x100000u
#define FLUSH	     0x101008u /* GFX_FLSH_CNTL_GEN6 */
#define GTT(i)	     (0x800000u + 8u * (i))
#define MASTER_IRQ   0x44200u
#define RING_IMR     0x20a8u
#define GDRST	     0x941cu
#define RING_ELSP    0x2230u
#define MSI_CAP	     0xacu
#define GT_IIR0	     0x44308u
#define GT_IER0	     0x4430cu
#define GT_IMR0	     0x44304u
#define FIRST_VECTOR 0x41u

struct machine {
	struct leaks before;
	struct rig rig;
	struct mediant_vm *vm;
	struct mediant_device *device;
	struct mediant_vcpu *vcpu;
	unsigned int routes; /* that are there now */
	uint32_t gsi;
	unsigned int stores; /* to the VMM's own zone */
};

/* ---- The VMM --------------------------------------------------------------------------------- */

static int route(void *opaque, uint32_t gsi, uint64_t address, uint32_t data, bool on)
{
	struct machine *m = opaque;

	m->routes = on;
	m->gsi = gsi;
	return rig_route(&m->rig, gsi, address, data, on);
}

static void store(void *opaque, uint64_t gpa, const void *buf, size_t len)
{
	((struct machine *)opaque)->stores++;
}

static void lend_memory(struct machine *m)
{
	assert_int_equal(mediant_memory_add(m->vm, 0, RIG_RAM_BYTES, m->rig.ram,
					    MEDIANT_MEMORY_WRITE | MEDIANT_MEMORY_INSTALL),
			 0);
}

static struct mediant_device *make_device(struct machine *m)
{
	struct mediant_device_config config;
	struct mediant_device *device;

	MEDIANT_INIT(&config);
	config.gpu = MEDIANT_GPU_NULL;
	config.render_only = true;
	assert_int_equal(mediant_device_create(m->vm, &config, &device), 0);
	return device;
}

static void config_write(struct mediant_device *device, uint16_t offset, uint32_t value, size_t len)
{
	assert_int_equal(mediant_device_config_write(device, offset, &value, len), 0);
}

static void decode(struct mediant_device *device, bool on)
{
	config_write(device, PCI_COMMAND, on ? PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER : 0, 2);
}

static void place(struct mediant_device *device, uint32_t bar0, uint32_t bar2)
{
	config_write(device, PCI_BASE_ADDRESS_0, bar0, 4);
	config_write(device, PCI_BASE_ADDRESS_2, bar2, 4);
	decode(device, true);
}

/* @config: without what every VM has. */
static void machine_open(struct machine *m, struct mediant_vm_config config, bool irqchip)
{
	*m = (struct machine){ .before = leaks_count() };
	assert_null(rig_open(&m->rig, irqchip, NULL));
	config.struct_bytes = sizeof(config);
	config.vm_fd = m->rig.vm_fd;
	config.opaque = m;
	assert_int_equal(mediant_vm_create(&config, &m->vm), 0);
	lend_memory(m);
	m->device = make_device(m);
	assert_int_equal(mediant_vcpu_create(m->vm, m->rig.cpu.run, &m->vcpu), 0);
	place(m->device, BAR0_AT, BAR2_AT);
}

static void machine_close(struct machine *m)
{
	mediant_vcpu_destroy(m->vcpu);
	mediant_device_destroy(m->device);
	mediant_vm_destroy(m->vm);
	rig_close(&m->rig);
	assert_int_equal(leaks_compare(&m->before), 0);
}

static const struct mediant_vm_config all_lent = {
	.slot_count = 200,
	.first_gsi = 24,
	.gsi_count = 1,
	.route = route,
	.coalesce = true,
	.store = store,
};

/* An exit of nobody's reads as all ones. */
static bool serve(void *opaque)
{
	struct machine *m = opaque;

	if (mediant_vcpu_exit(m->vcpu))
		return true;
	if (!m->rig.cpu.run->mmio.is_write)
		memset(m->rig.cpu.run->mmio.data, 0xff, 8);
	return m->rig.cpu.run->exit_reason == KVM_EXIT_MMIO;
}

static uint64_t run(struct machine *m, enum rig_kind kind, uint64_t at, uint32_t value,
		    uint32_t count)
{
	struct rig_job job = { .kind = kind, .at = at, .value = value, .count = count };

	assert_int_equal(rig_run(&m->rig, &job, serve, m), 0);
	return job.sum;
}

static void put(struct machine *m, uint64_t at, uint32_t value)
{
	run(m, RIG_STORE, at, value, 1);
}

static uint32_t get(struct machine *m, uint64_t at)
{
	return (uint32_t)run(m, RIG_LOAD, at, 0, 1);
}

/* ---- Interrupts ------------------------------------------------------------------------------ */

static void arm(struct machine *m, uint32_t vector, bool on)
{
	config_write(m->device, MSI_CAP + PCI_MSI_ADDRESS_LO, 0xfee00000, 4);
	config_write(m->device, MSI_CAP + PCI_MSI_DATA_64, vector, 2);
	config_write(m->device, MSI_CAP + PCI_MSI_FLAGS, on ? PCI_MSI_FLAGS_ENABLE : 0, 2);
}

/* A context that cannot run: the engine goes from idle to active, says so, and wants a reset. */
static void raise_interrupt(struct machine *m)
{
	static const struct rig_access steps[] = {
		{ GDRST, 1, 1 },
		{ RING_IMR, 1, 0xfffff6f6 },
		{ MASTER_IRQ, 1, 0 },
		{ GT_IIR0, 1, ~0u },
		{ GT_IER0, 1, 0x101 },
		{ GT_IMR0, 1, ~0x101u },
		{ MASTER_IRQ, 1, 1u << 31 },
		{ RING_ELSP, 1, 0 },
		{ RING_ELSP, 1, 0 },
		{ RING_ELSP, 1, 0x20 },
		{ RING_ELSP, 1, 0x1019 },
	};
	struct rig_job job = { .kind = RIG_SEQUENCE,
			       .at = BAR0_AT,
			       .count = 1,
			       .step_count = sizeof(steps) / sizeof(steps[0]) };

	memcpy(job.steps, steps, sizeof(steps));
	assert_int_equal(rig_run(&m->rig, &job, serve, m), 0);
}

/* Signalled to @vector and nowhere else. */
static void interrupts_arrive(struct machine *m, bool by_irqfd)
{
	rig_enable_lapic(&m->rig.cpu);
	assert_int_equal(mediant_device_irq_kvm(m->device), 0);
	arm(m, FIRST_VECTOR, true);
	assert_int_equal(m->routes, by_irqfd);
	assert_false(rig_requested(&m->rig.cpu, FIRST_VECTOR));
	raise_interrupt(m);
	assert_true(rig_wait_requested(&m->rig.cpu, FIRST_VECTOR));
	/* The guest wants another one from now on. */
	arm(m, FIRST_VECTOR + 9, true);
	raise_interrupt(m);
	assert_true(rig_wait_requested(&m->rig.cpu, FIRST_VECTOR + 9));
	arm(m, FIRST_VECTOR, false);
	assert_int_equal(m->routes, 0);
}

static void an_interrupt_is_an_irqfd(void **state)
{
	struct machine m;

	machine_open(&m, all_lent, true);
	interrupts_arrive(&m, true);
	assert_int_equal(m.gsi, 24);
	machine_close(&m);
}

static void without_routes_it_is_sent_by_hand(void **state)
{
	struct mediant_vm_config config = all_lent;
	struct machine m;

	config.route = NULL;
	machine_open(&m, config, true);
	interrupts_arrive(&m, false);
	machine_close(&m);
}

static void without_numbers_too(void **state)
{
	struct mediant_vm_config config = all_lent;
	struct machine m;

	config.gsi_count = 0;
	machine_open(&m, config, true);
	interrupts_arrive(&m, false);
	machine_close(&m);
}

/* Its vCPUs stay; what is pending in the eventfd and the route go with it. */
static void a_device_goes_with_its_irqfd(void **state)
{
	struct machine m;

	machine_open(&m, all_lent, true);
	assert_int_equal(mediant_device_irq_kvm(m.device), 0);
	arm(&m, FIRST_VECTOR, true);
	raise_interrupt(&m);
	assert_int_equal(m.routes, 1);
	mediant_device_destroy(m.device);
	assert_int_equal(m.routes, 0);
	assert_int_equal(get(&m, BAR0_AT + PVINFO), ~0u);
	m.device = make_device(&m);
	place(m.device, BAR0_AT, BAR2_AT);
	assert_int_equal(get(&m, BAR0_AT + PVINFO), 0x76544776);
	assert_int_equal(mediant_device_irq_kvm(m.device), 0);
	arm(&m, FIRST_VECTOR, true);
	mediant_device_reset(m.device);
	assert_int_equal(m.routes, 0);
	machine_close(&m);
}

/* Each says where they go from now on, and the one before hears nothing any more. */
static void they_go_where_was_said_last(void **state)
{
	struct machine m;
	eventfd_t count;

	machine_open(&m, all_lent, true);
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	rig_enable_lapic(&m.rig.cpu);
	arm(&m, FIRST_VECTOR, true);
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(mediant_device_irq_kvm(m.device), 0);
		assert_int_equal(mediant_device_irq_kvm(m.device), 0);
		assert_int_equal(m.routes, 1);
		assert_int_equal(mediant_device_irq_eventfd(m.device, MEDIANT_IRQ_MSI, 0, fd), 0);
		assert_int_equal(m.routes, 0);
		arm(&m, FIRST_VECTOR, true);
		assert_int_equal(m.routes, 0);
		count = 0;
		raise_interrupt(&m);
		for (unsigned int n = 0; eventfd_read(fd, &count) && n < 10000; n++)
			nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
		assert_true(count > 0);
		assert_false(rig_requested(&m.rig.cpu, FIRST_VECTOR));
	}
	assert_int_equal(mediant_device_irq_eventfd(m.device, MEDIANT_IRQ_MSI, 0, -1), 0);
	raise_interrupt(&m);
	assert_int_equal(mediant_device_irq_kvm(m.device), 0);
	raise_interrupt(&m);
	assert_true(rig_wait_requested(&m.rig.cpu, FIRST_VECTOR));
	close(fd);
	machine_close(&m);
}

/* ---- What is lent ---------------------------------------------------------------------------- */

/* The GTT, plain registers, the aperture and its memory behave the same whatever was lent. */
static void drive(struct machine *m)
{
	const uint32_t page = 0x100000;

	assert_int_equal(get(m, BAR0_AT + PVINFO), 0x76544776);
	put(m, BAR0_AT + FENCE_REG + 4, 0x1234000);
	assert_int_equal(get(m, BAR0_AT + FENCE_REG + 4), 0x1234000);
	put(m, BAR0_AT + GTT(5), page | 1);
	put(m, BAR0_AT + GTT(5) + 4, 0);
	put(m, BAR0_AT + FLUSH, 1);
	put(m, BAR2_AT + 0x5010, 0x600d);
	assert_memory_equal(m->rig.ram + page + 0x10, &(uint32_t){ 0x600d }, 4);
	memcpy(m->rig.ram + page + 0x14, &(uint32_t){ 0xf00d }, 4);
	assert_int_equal(get(m, BAR2_AT + 0x5014), 0xf00d);
	/* Four stores, whichever of them exits. */
	raise_interrupt(m);
}

static void little_is_enough(void **state)
{
	for (uint32_t slots = 1; slots < 6; slots += 2) {
		for (unsigned int coalesce = 0; coalesce < 2; coalesce++) {
			struct mediant_vm_config config = { .slot_count = slots,
							    .coalesce = coalesce };
			struct mediant_stats stats;
			struct machine m;

			machine_open(&m, config, false);
			drive(&m);
			MEDIANT_INIT(&stats);
			assert_int_equal(mediant_device_stats(m.device, &stats), 0);
			assert_int_equal(stats.submissions, 1);
			assert_int_equal(stats.coalesced, 3 * coalesce);
			machine_close(&m);
		}
	}
}

static void stores_of_the_vmms_zone_are_its_own(void **state)
{
	struct kvm_coalesced_mmio_zone zone = { .addr = 0xe0000000, .size = 4 };
	struct machine m;

	machine_open(&m, all_lent, false);
	assert_int_equal(ioctl(m.rig.vm_fd, KVM_REGISTER_COALESCED_MMIO, &zone), 0);
	run(&m, RIG_STORE, zone.addr, 0, 40);
	/* Those that found the ring full were exits, which are the VMM's anyway. */
	assert_int_equal(m.stores + m.rig.cpu.exits, 40);
	assert_true(m.stores > 0);
	drive(&m);
	/* Without runs the ring is the VMM's, all of it and at once. */
	mediant_device_destroy(m.device);
	m.stores = 0;
	run(&m, RIG_STORE, zone.addr, 0, 40);
	assert_int_equal(m.rig.cpu.exits, 0);
	assert_int_equal(m.stores, 40);
	m.device = NULL;
	machine_close(&m);
}

/* Eight bytes of which the last four are ELSP's: the first of its four, by another address. */
static void a_wide_store_counts_in_a_run(void **state)
{
	struct rig_job wide = { .kind = RIG_PUT, .at = BAR0_AT + RING_ELSP - 4, .count = 8 };
	struct mediant_stats stats;
	struct machine m;

	machine_open(&m, all_lent, false);
	assert_int_equal(rig_run(&m.rig, &wide, serve, &m), 0);
	assert_int_equal(m.rig.cpu.exits, 1);
	run(&m, RIG_STORE, BAR0_AT + RING_ELSP, 0, 3);
	assert_int_equal(m.rig.cpu.exits, 1);
	MEDIANT_INIT(&stats);
	assert_int_equal(mediant_device_stats(m.device, &stats), 0);
	assert_int_equal(stats.coalesced, 2);
	machine_close(&m);
}

/* Served, kicked before it is back in the guest, and shown to the library once more. */
static bool serve_and_kick(void *opaque)
{
	struct machine *m = opaque;
	struct kvm_run *run = m->rig.cpu.run;

	if (!mediant_vcpu_exit(m->vcpu))
		return serve(opaque);
	run->immediate_exit = 1;
	assert_int_equal(ioctl(m->rig.cpu.fd, KVM_RUN, 0), -1);
	assert_int_equal(errno, EINTR);
	run->immediate_exit = 0;
	assert_int_equal(mediant_vcpu_exit(m->vcpu), 0);
	return true;
}

static void an_exit_is_served_once(void **state)
{
	struct rig_job job = { .kind = RIG_STORE, .at = BAR0_AT + MASTER_IRQ, .count = 3 };
	struct mediant_stats before, after;
	struct machine m;

	machine_open(&m, all_lent, false);
	MEDIANT_INIT(&before);
	MEDIANT_INIT(&after);
	assert_int_equal(mediant_device_stats(m.device, &before), 0);
	assert_int_equal(rig_run(&m.rig, &job, serve_and_kick, &m), 0);
	assert_int_equal(mediant_device_stats(m.device, &after), 0);
	assert_int_equal(after.register_writes - before.register_writes, 3);
	assert_int_equal(after.exits - before.exits, 3);
	machine_close(&m);
}

/* ---- Several --------------------------------------------------------------------------------- */

static void two_vgpus_in_a_vm(void **state)
{
	struct mediant_device *other;
	struct machine m;

	machine_open(&m, all_lent, false);
	other = make_device(&m);
	place(other, BAR0_AT + 0x2000000, BAR2_AT + 0x10000000);
	for (uint32_t i = 0; i < 2; i++)
		put(&m, BAR0_AT + i * 0x2000000 + FENCE_REG + 4, (i + 1) << 12);
	assert_int_equal(get(&m, BAR0_AT + FENCE_REG + 4), 1 << 12);
	assert_int_equal(get(&m, BAR0_AT + 0x2000000 + FENCE_REG + 4), 2 << 12);
	drive(&m);
	/* In the other's place: refused, and it stays where it is not. */
	decode(other, false);
	place(other, BAR0_AT, BAR2_AT);
	assert_int_equal(get(&m, BAR0_AT + FENCE_REG + 4), 0x1234000);
	mediant_device_destroy(other);
	assert_int_equal(get(&m, BAR0_AT + FENCE_REG + 4), 0x1234000);
	drive(&m);
	machine_close(&m);
}

static void two_vms_in_a_process(void **state)
{
	struct machine a, b;

	machine_open(&a, all_lent, true);
	assert_int_equal(mediant_device_irq_kvm(a.device), 0);
	machine_open(&b, all_lent, true);
	assert_int_equal(mediant_device_irq_kvm(b.device), 0);
	rig_enable_lapic(&a.rig.cpu);
	rig_enable_lapic(&b.rig.cpu);
	arm(&a, FIRST_VECTOR, true);
	arm(&b, FIRST_VECTOR, true);
	drive(&a);
	assert_true(rig_wait_requested(&a.rig.cpu, FIRST_VECTOR));
	assert_false(rig_requested(&b.rig.cpu, FIRST_VECTOR));
	drive(&b);
	machine_close(&b);
	drive(&a);
	machine_close(&a);
}

/* ---- BARs where memory is -------------------------------------------------------------------- */

static void *make_spare(void)
{
	void *spare = mmap(NULL, SPARE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(spare, MAP_FAILED);
	return spare;
}

static int add_spare(struct machine *m, uint64_t at, void *spare)
{
	return mediant_memory_add(m->vm, at, SPARE, spare,
				  MEDIANT_MEMORY_WRITE | MEDIANT_MEMORY_INSTALL);
}

static void point_gtt(struct machine *m, uint32_t entry, uint32_t value)
{
	put(m, BAR0_AT + GTT(entry), value);
	put(m, BAR0_AT + GTT(entry) + 4, 0);
	put(m, BAR0_AT + FLUSH, 1);
}

/* The guest puts its aperture over memory, and has it show pages and show them no more. */
static void a_bar_over_memory_takes_nothing_of_it(void **state)
{
	uint32_t *spare = make_spare();
	struct machine m;

	machine_open(&m, all_lent, false);
	decode(m.device, false);
	assert_int_equal(add_spare(&m, BAR2_AT, spare), 0);
	place(m.device, BAR0_AT, BAR2_AT);
	for (uint32_t page = 0; page < SPARE / 0x1000; page++) {
		point_gtt(&m, page, 0x100000 | 1);
		point_gtt(&m, page, 0);
	}
	put(&m, BAR2_AT + 0x8000, 0x222);
	assert_int_equal(m.rig.cpu.exits, 0);
	assert_int_equal(spare[0x8000 / 4], 0x222);
	decode(m.device, false);
	assert_int_equal(mediant_memory_remove(m.vm, BAR2_AT, SPARE), 0);
	/* And the GPU's way there is gone. */
	place(m.device, BAR0_AT, BAR2_AT + 0x10000000);
	point_gtt(&m, 7, (BAR2_AT + 0x3000) | 1);
	put(&m, BAR2_AT + 0x10000000 + 0x7000, 0x333);
	assert_int_equal(spare[0x3000 / 4], 0);
	machine_close(&m);
	munmap(spare, SPARE);
}

/* The guest puts the GTT where the VMM plugs memory in, by our slot or its own. */
static void memory_is_plugged_in_where_a_bar_is(void **state)
{
	const uint64_t at = SPARE_AT + GTT(0);
	uint32_t *spare = make_spare();
	struct kvm_userspace_memory_region own = { .slot = 400,
						   .guest_phys_addr = at,
						   .memory_size = SPARE,
						   .userspace_addr = (uintptr_t)spare };
	struct machine m;

	machine_open(&m, all_lent, false);
	for (uint32_t i = 1; i < 3; i++) {
		decode(m.device, false);
		place(m.device, SPARE_AT, BAR2_AT);
		put(&m, at, 0x1000);
		assert_int_equal(m.rig.cpu.exits, 0);
		if (i == 1)
			assert_int_equal(add_spare(&m, at, spare), 0);
		else
			assert_int_equal(mediant_memory_add(m.vm, at, SPARE, spare, 0), 0);
		/* A flush looks which windows there are to be, and opens none there. */
		put(&m, SPARE_AT + FLUSH, 1);
		if (i == 2)
			assert_int_equal(ioctl(m.rig.vm_fd, KVM_SET_USER_MEMORY_REGION, &own), 0);
		put(&m, at, i);
		assert_int_equal(spare[0], i);
		assert_int_equal(mediant_memory_remove(m.vm, at, SPARE), 0);
	}
	machine_close(&m);
	munmap(spare, SPARE);
}

/* ---- Under a vCPU that does not stop --------------------------------------------------------- */

struct busy {
	struct machine m;
	pthread_t thread;
	_Atomic bool ending;
	_Atomic uint64_t jobs;
	bool failed;
};

/* Registers, submissions, the GTT, the aperture, memory that comes and goes. */
static void *busy_thread(void *opaque)
{
	static const struct rig_access steps[] = {
		{ PVINFO, 0, 0 },
		{ FENCE_REG + 4, 1, 0x1000 },
		{ MASTER_IRQ, 0, 0 },
		{ RING_ELSP, 1, 0 },
		{ RING_ELSP, 1, 0 },
		{ RING_ELSP, 1, 0x20 },
		{ RING_ELSP, 1, 0x1019 },
		{ GTT(0), 1, SPARE_AT | 1 },
		{ GTT(1), 1, (SPARE_AT + 0x1000) | 1 },
		{ FLUSH, 1, 1 },
		{ BAR2_AT - BAR0_AT, 1, 1 },
		{ BAR2_AT - BAR0_AT + 0x1000, 0, 0 },
	};
	struct busy *b = opaque;

	while (!atomic_load(&b->ending)) {
		struct rig_job job = { .kind = RIG_SEQUENCE,
				       .at = BAR0_AT,
				       .count = 4,
				       .step_count = sizeof(steps) / sizeof(steps[0]) };

		memcpy(job.steps, steps, sizeof(steps));
		if (rig_run(&b->m.rig, &job, serve, &b->m))
			b->failed = true;
		atomic_fetch_add(&b->jobs, 1);
	}
	return NULL;
}

static void busy_start(struct busy *b)
{
	machine_open(&b->m, all_lent, true);
	assert_int_equal(mediant_device_irq_kvm(b->m.device), 0);
	arm(&b->m, FIRST_VECTOR, true);
	atomic_init(&b->ending, false);
	atomic_init(&b->jobs, 0);
	b->failed = false;
	pthread_create(&b->thread, NULL, busy_thread, b);
}

#define STANDS_STILL_NS (90 * NSEC_PER_SEC)

/* Says whether it leaves the guest at all. */
static void stands_still(struct busy *b)
{
	uint64_t before = __atomic_load_n(&b->m.rig.cpu.exits, __ATOMIC_RELAXED);

	sleep(1);
	fail_msg("the vCPU does not get round: %llu exits in this round, %llu more in a second",
		 (unsigned long long)before,
		 (unsigned long long)(__atomic_load_n(&b->m.rig.cpu.exits, __ATOMIC_RELAXED) -
				      before));
}

/* Until the vCPU has gone round once more, having met whatever there is now. */
static void let_it_run(struct busy *b)
{
	uint64_t seen = atomic_load(&b->jobs);
	uint64_t end_ns = clock_now_ns() + STANDS_STILL_NS;

	while (atomic_load(&b->jobs) < seen + 2) {
		if (clock_now_ns() > end_ns)
			stands_still(b);
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
}

static void busy_end(struct busy *b)
{
	atomic_store(&b->ending, true);
	pthread_join(b->thread, NULL);
	assert_false(b->failed);
	machine_close(&b->m);
}

/*
 * Memory goes at the very moment in which it is given back: had the guest still a way to it, its
 * next store would end the vCPU, and had we, the test.
 */
static void memory_goes_under_a_vcpu(void **state)
{
	static struct busy b;

	busy_start(&b);
	for (unsigned int i = 0; i < 5; i++) {
		void *spare = make_spare();

		assert_int_equal(add_spare(&b.m, SPARE_AT, spare), 0);
		let_it_run(&b);
		assert_int_equal(mediant_memory_remove(b.m.vm, SPARE_AT, SPARE), 0);
		munmap(spare, SPARE);
		let_it_run(&b);
	}
	busy_end(&b);
}

static void a_reset_under_a_vcpu(void **state)
{
	static struct busy b;

	busy_start(&b);
	for (unsigned int i = 0; i < 10; i++) {
		let_it_run(&b);
		mediant_device_reset(b.m.device);
		if (i % 2)
			let_it_run(&b);
		place(b.m.device, BAR0_AT, BAR2_AT);
		arm(&b.m, FIRST_VECTOR, true);
	}
	busy_end(&b);
}

/* A VMM that unplugs the vGPU and does not stop its vCPUs. */
static void a_device_goes_under_a_vcpu(void **state)
{
	static struct busy b;

	busy_start(&b);
	for (unsigned int i = 0; i < 3; i++) {
		let_it_run(&b);
		mediant_device_destroy(b.m.device);
		let_it_run(&b);
		b.m.device = make_device(&b.m);
		place(b.m.device, BAR0_AT, BAR2_AT);
	}
	busy_end(&b);
}

/* ---- Page tables that may be tracked ---------------------------------------------------------
 */

static void unwanted(void *opaque)
{
	fail();
}

/* The tracker's thread comes and goes with the VM; without page tables nobody is paused. */
static void who_lends_pauses_is_not_paused_for_nothing(void **state)
{
	struct mediant_vm_config config = all_lent;
	struct mediant_stats stats;
	struct machine m;

	config.pause = config.resume = unwanted;
	machine_open(&m, config, false);
	drive(&m);
	mediant_device_reset(m.device);
	MEDIANT_INIT(&stats);
	assert_int_equal(mediant_device_stats(m.device, &stats), 0);
	assert_int_equal(stats.tables_tracked, 0);
	machine_close(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_interrupt_is_an_irqfd),
		cmocka_unit_test(without_routes_it_is_sent_by_hand),
		cmocka_unit_test(without_numbers_too),
		cmocka_unit_test(a_device_goes_with_its_irqfd),
		cmocka_unit_test(they_go_where_was_said_last),
		cmocka_unit_test(little_is_enough),
		cmocka_unit_test(stores_of_the_vmms_zone_are_its_own),
		cmocka_unit_test(a_wide_store_counts_in_a_run),
		cmocka_unit_test(an_exit_is_served_once),
		cmocka_unit_test(two_vgpus_in_a_vm),
		cmocka_unit_test(two_vms_in_a_process),
		cmocka_unit_test(a_bar_over_memory_takes_nothing_of_it),
		cmocka_unit_test(memory_is_plugged_in_where_a_bar_is),
		cmocka_unit_test(memory_goes_under_a_vcpu),
		cmocka_unit_test(a_reset_under_a_vcpu),
		cmocka_unit_test(a_device_goes_under_a_vcpu),
		cmocka_unit_test(who_lends_pauses_is_not_paused_for_nothing),
	};

	if (rig_missing())
		return 77;
	return cmocka_run_group_tests_name("lib mediant on kvm", tests, NULL, NULL);
}
