/* SPDX-License-Identifier: MIT */
/*
 * libmediant as a VMM without KVM uses it: through the installed header and the shared library
 * alone.  The last test has four threads play vCPUs while BARs move, decoding goes off and on and
 * memory comes and goes; MEDIANT_HAMMER_SECONDS says for how long (none: a moment).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "mediant/mediant.h"
#include "tests/support/leaks.h"

#define RAM_BYTES (4u << 20)
#define BAR0_AT	  0xc0000000ull
#define BAR2_AT	  0xd0000000ull

#define PVINFO_MAGIC 0x78000u
#define FENCE_REG(i) (0x100000u + 8u * (i))
#define GTT(i)	     (0x800000u + 8u * (i))
#define MASTER_IRQ   0x44200u
#define RING_IMR     0x20a8u
#define RING_ELSP    0x2230u
#define MSI_CAP	     0xacu
#define GT_IIR0	     0x44308u
#define GT_IER0	     0x4430cu
#define GT_IMR0	     0x44304u

struct fixture {
	struct leaks before;
	struct mediant_vm *vm;
	struct mediant_device *device;
	struct mediant_vcpu *vcpu;
	uint8_t *ram;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct mediant_vm_config vm;
	struct mediant_device_config device;

	f->before = leaks_count();
	f->ram = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MEDIANT_INIT(&vm);
	vm.vm_fd = -1;
	assert_int_equal(mediant_vm_create(&vm, &f->vm), 0);
	assert_int_equal(mediant_memory_add(f->vm, 0, RAM_BYTES, f->ram, MEDIANT_MEMORY_WRITE), 0);
	MEDIANT_INIT(&device);
	device.gpu = MEDIANT_GPU_NULL;
	assert_int_equal(mediant_device_create(f->vm, &device, &f->device), 0);
	assert_int_equal(mediant_vcpu_create(f->vm, NULL, &f->vcpu), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	mediant_vcpu_destroy(f->vcpu);
	mediant_device_destroy(f->device);
	mediant_vm_destroy(f->vm);
	munmap(f->ram, RAM_BYTES);
	int result = leaks_compare(&f->before);
	free(f);
	return result;
}

static uint32_t config_read(struct fixture *f, uint16_t offset, size_t len)
{
	uint32_t value = 0;

	assert_int_equal(mediant_device_config_read(f->device, offset, &value, len), 0);
	return value;
}

static void config_write(struct fixture *f, uint16_t offset, uint32_t value, size_t len)
{
	assert_int_equal(mediant_device_config_write(f->device, offset, &value, len), 0);
}

static void decode(struct fixture *f, bool on)
{
	config_write(f, PCI_COMMAND, on ? PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER : 0, 2);
}

static void place(struct fixture *f, uint64_t bar0, uint64_t bar2)
{
	config_write(f, PCI_BASE_ADDRESS_0, (uint32_t)bar0, 4);
	config_write(f, PCI_BASE_ADDRESS_1, (uint32_t)(bar0 >> 32), 4);
	config_write(f, PCI_BASE_ADDRESS_2, (uint32_t)bar2, 4);
	config_write(f, PCI_BASE_ADDRESS_3, (uint32_t)(bar2 >> 32), 4);
}

static bool load(struct fixture *f, uint64_t gpa, uint32_t *value)
{
	return mediant_vcpu_access(f->vcpu, gpa, value, 4, false);
}

static bool store(struct fixture *f, uint64_t gpa, uint32_t value)
{
	return mediant_vcpu_access(f->vcpu, gpa, &value, 4, true);
}

static void a_bar_is_sized_placed_and_served(void **state)
{
	struct fixture *f = *state;
	uint32_t value;

	assert_int_equal(config_read(f, PCI_VENDOR_ID, 2), 0x8086);
	config_write(f, PCI_BASE_ADDRESS_0, ~0u, 4);
	assert_int_equal(config_read(f, PCI_BASE_ADDRESS_0, 4) & ~15u, 0xff000000);
	place(f, BAR0_AT, BAR2_AT);
	assert_false(load(f, BAR0_AT + PVINFO_MAGIC, &value));
	decode(f, true);
	assert_true(load(f, BAR0_AT + PVINFO_MAGIC, &value));
	assert_int_equal(value, 0x76544776);
	assert_false(load(f, BAR0_AT - 4, &value));
	assert_false(load(f, BAR0_AT + (16 << 20), &value));
}

static void a_bar_moves(void **state)
{
	struct fixture *f = *state;
	uint32_t value;

	place(f, BAR0_AT, BAR2_AT);
	decode(f, true);
	assert_true(store(f, BAR0_AT + FENCE_REG(0) + 4, 0x1234000));
	decode(f, false);
	assert_false(load(f, BAR0_AT + FENCE_REG(0) + 4, &value));
	/* Above 4 GiB, and each in the other's place. */
	place(f, BAR2_AT << 8, BAR0_AT);
	decode(f, true);
	assert_true(load(f, (BAR2_AT << 8) + FENCE_REG(0) + 4, &value));
	assert_int_equal(value, 0x1234000);
	assert_false(load(f, BAR2_AT, &value));
	assert_true(load(f, BAR0_AT, &value));
}

static void the_aperture_reaches_lent_memory(void **state)
{
	struct fixture *f = *state;
	uint64_t pte = 0x3000 | 1;
	uint32_t value = 0x600d;

	place(f, BAR0_AT, BAR2_AT);
	decode(f, true);
	assert_int_equal(mediant_vcpu_access(f->vcpu, BAR0_AT + GTT(0), &pte, 8, true), 1);
	memcpy(f->ram + 0x3010, &value, 4);
	assert_true(load(f, BAR2_AT + 0x10, &value));
	assert_int_equal(value, 0x600d);
	assert_true(store(f, BAR2_AT + 0x14, 0xf00d));
	memcpy(&value, f->ram + 0x3014, 4);
	assert_int_equal(value, 0xf00d);
	/* Elsewhere it is not memory any more, and then again. */
	assert_int_equal(mediant_memory_move(f->vm, 0, RAM_BYTES, 1 << 30), 0);
	assert_true(load(f, BAR2_AT + 0x10, &value));
	assert_int_not_equal(value, 0x600d);
	assert_int_equal(mediant_memory_move(f->vm, 1 << 30, RAM_BYTES, 0), 0);
	assert_true(load(f, BAR2_AT + 0x10, &value));
	assert_int_equal(value, 0x600d);
	assert_int_equal(mediant_memory_remove(f->vm, 0, RAM_BYTES), 0);
	assert_true(load(f, BAR2_AT + 0x10, &value));
	assert_int_not_equal(value, 0x600d);
	assert_int_equal(mediant_memory_add(f->vm, 0, RAM_BYTES, f->ram, 0), 0);
	assert_true(store(f, BAR2_AT + 0x14, 0xbad));
	memcpy(&value, f->ram + 0x3014, 4);
	assert_int_equal(value, 0xf00d);
}

static pid_t start_sleeper(void)
{
	pid_t child = fork();

	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	assert_true(child > 0);
	return child;
}

/* The VMM is another process, which has told us where in it the guest's memory is. */
static void memory_may_be_another_processes(void **state)
{
	struct fixture *f = *state;
	uint32_t *shared =
		mmap(NULL, 0x4000, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t pte = 0x3000 | 1, address = (uintptr_t)shared;
	pid_t child = start_sleeper();
	int pidfd = pidfd_open(child, 0);
	uint32_t value;

	assert_int_equal(mediant_memory_remove(f->vm, 0, RAM_BYTES), 0);
	assert_int_equal(mediant_memory_add_process(f->vm, 0, 0x4000, pidfd, address,
						    MEDIANT_MEMORY_INSTALL),
			 -EINVAL);
	assert_int_equal(
		mediant_memory_add_process(f->vm, 0, 0x4000, pidfd, address, MEDIANT_MEMORY_WRITE),
		0);
	place(f, BAR0_AT, BAR2_AT);
	decode(f, true);
	assert_int_equal(mediant_vcpu_access(f->vcpu, BAR0_AT + GTT(0), &pte, 8, true), 1);
	shared[0x3010 / 4] = 0x600d;
	assert_true(load(f, BAR2_AT + 0x10, &value));
	assert_int_equal(value, 0x600d);
	assert_true(store(f, BAR2_AT + 0x14, 0xf00d));
	assert_int_equal(shared[0x3014 / 4], 0xf00d);
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_true(load(f, BAR2_AT + 0x10, &value));
	assert_int_equal(value, 0);
	assert_true(store(f, BAR2_AT + 0x14, 0xbad));
	assert_int_equal(shared[0x3014 / 4], 0xf00d);
	assert_int_equal(mediant_memory_remove(f->vm, 0, 0x4000), 0);
	close(pidfd);
	munmap(shared, 0x4000);
}

/* A context that cannot run: the engine goes from idle to active, and says so. */
static void raise_interrupt(struct fixture *f)
{
	static const struct {
		uint32_t reg, value;
	} stores[] = {
		{ RING_IMR, 0xfffff6f6 }, { MASTER_IRQ, 0 },	{ GT_IIR0, ~0u },
		{ GT_IER0, 0x101 },	  { GT_IMR0, ~0x101u }, { MASTER_IRQ, 1u << 31 },
		{ RING_ELSP, 0 },	  { RING_ELSP, 0 },	{ RING_ELSP, 0x20 },
		{ RING_ELSP, 0x1019 },
	};

	for (unsigned int i = 0; i < sizeof(stores) / sizeof(stores[0]); i++)
		assert_true(store(f, BAR0_AT + stores[i].reg, stores[i].value));
}

static bool fired(int fd)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	uint64_t count;

	return poll(&ready, 1, 10000) == 1 && read(fd, &count, sizeof(count)) == sizeof(count);
}

static void an_interrupt_is_an_eventfd(void **state)
{
	struct fixture *f = *state;
	int fd = eventfd(0, EFD_CLOEXEC), pipes[2];

	assert_int_equal(pipe(pipes), 0);
	place(f, BAR0_AT, BAR2_AT);
	decode(f, true);
	assert_int_equal(mediant_device_irq_eventfd(f->device, MEDIANT_IRQ_MSI, 0, fd), 0);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_int_equal(mediant_device_irq_eventfd(f->device, MEDIANT_IRQ_MSI, 1, fd), -EINVAL);
	assert_int_equal(mediant_device_irq_eventfd(f->device, MEDIANT_IRQ_MSI, 0, pipes[0]),
			 -EINVAL);
	assert_int_equal(mediant_device_irq_eventfd(f->device, MEDIANT_IRQ_MSI, 0, 9999), -EBADF);
	assert_int_equal(mediant_device_irq_kvm(f->device), -ENOTSUP);
	config_write(f, MSI_CAP + PCI_MSI_FLAGS, PCI_MSI_FLAGS_ENABLE, 2);
	raise_interrupt(f);
	assert_true(fired(fd));
	assert_int_equal(mediant_device_irq_eventfd(f->device, MEDIANT_IRQ_MSI, 0, -1), 0);
	assert_int_equal(mediant_device_irq_unmask(f->device, MEDIANT_IRQ_INTX, 0), 0);
	assert_int_equal(mediant_device_irq_unmask(f->device, MEDIANT_IRQ_INTX, 1), -EINVAL);
	close(fd);
	close(pipes[0]);
	close(pipes[1]);
}

static void a_reset_ends_decoding(void **state)
{
	struct fixture *f = *state;
	uint32_t value;

	place(f, BAR0_AT, BAR2_AT);
	decode(f, true);
	assert_true(store(f, BAR0_AT + FENCE_REG(1), 0x4000));
	mediant_device_reset(f->device);
	assert_false(load(f, BAR0_AT + PVINFO_MAGIC, &value));
	assert_int_equal(config_read(f, PCI_COMMAND, 2), 0);
	place(f, BAR0_AT, BAR2_AT);
	decode(f, true);
	assert_true(load(f, BAR0_AT + FENCE_REG(1), &value));
	assert_int_equal(value, 0);
}

static void numbers_are_kept(void **state)
{
	struct fixture *f = *state;
	struct mediant_stats stats = { 0 };
	char line[4096] = "";
	int pipes[2];
	uint32_t value;

	place(f, BAR0_AT, BAR2_AT);
	decode(f, true);
	for (int i = 0; i < 5; i++)
		load(f, BAR0_AT + PVINFO_MAGIC, &value);
	assert_int_equal(mediant_device_stats(f->device, &stats), -EINVAL);
	MEDIANT_INIT(&stats);
	assert_int_equal(mediant_device_stats(f->device, &stats), 0);
	assert_int_equal(stats.register_reads, 5);
	assert_int_equal(stats.exits, 5);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(mediant_device_stats_save(f->device, pipes[1]), 0);
	assert_true(read(pipes[0], line, sizeof(line) - 1) > 0);
	assert_non_null(strstr(line, "\"register_reads\": 5,"));
	assert_string_equal(line + strlen(line) - 2, "}\n");
	assert_int_equal(mediant_device_stats_save(f->device, -1), -EBADF);
	close(pipes[0]);
	close(pipes[1]);
}

static void paused(void *opaque)
{
}

/* Without KVM nothing can be tracked, and nobody is ever paused. */
static void pages_that_cannot_be_tracked(void **state)
{
	struct mediant_vm_config config;
	struct rlimit before, none;
	struct mediant_vm *vm;

	MEDIANT_INIT(&config);
	config.vm_fd = -1;
	config.pause = config.resume = paused;
	assert_int_equal(mediant_vm_create(&config, &vm), 0);
	mediant_vm_destroy(vm);
	/* They want a descriptor all the same. */
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){ .rlim_max = before.rlim_max };
	setrlimit(RLIMIT_NOFILE, &none);
	int err = mediant_vm_create(&config, &vm);
	setrlimit(RLIMIT_NOFILE, &before);
	assert_int_equal(err, -EMFILE);
}

static void what_makes_no_sense_is_refused(void **state)
{
	struct fixture *f = *state;
	struct mediant_vm_config vm = { 0 };
	struct mediant_device_config config;
	struct mediant_device *device;
	struct mediant_vm *other;
	struct mediant_type type;
	static uint8_t more[(1 << 20) + 1];
	uint32_t value;

	assert_int_equal(mediant_vm_create(&vm, &other), -EINVAL);
	MEDIANT_INIT(&vm);
	vm.vm_fd = -1;
	vm.coalesce = true;
	assert_int_equal(mediant_vm_create(&vm, &other), -ENOTSUP);
	vm.coalesce = false;
	vm.pause = paused;
	assert_int_equal(mediant_vm_create(&vm, &other), -EINVAL);
	MEDIANT_INIT(&config);
	config.type = "i915-GVTg_V5_none";
	assert_int_equal(mediant_device_create(f->vm, &config, &device), -ENOENT);
	config.type = NULL;
	config.gpu = 7;
	assert_int_equal(mediant_device_create(f->vm, &config, &device), -EINVAL);
	assert_int_equal(mediant_memory_add(f->vm, 0, 4096, f->ram, 0), -EEXIST);
	assert_int_equal(mediant_memory_add(f->vm, 1 << 30, 0, f->ram, 0), -EINVAL);
	assert_int_equal(mediant_memory_add(f->vm, 1 << 30, 4096, f->ram, 64), -EINVAL);
	assert_int_equal(mediant_memory_add(f->vm, 1 << 30, 4096, f->ram, MEDIANT_MEMORY_INSTALL),
			 -ENOTSUP);
	assert_int_equal(mediant_memory_remove(f->vm, 4096, 4096), -ENOENT);
	assert_int_equal(mediant_device_config_read(f->device, 254, &value, 4), -EINVAL);
	assert_int_equal(mediant_device_config_read(f->device, 0, &value, 3), -EINVAL);
	assert_int_equal(mediant_device_bar_read(f->device, 7, 0, &value, 4), -EINVAL);
	assert_int_equal(mediant_device_bar_read(f->device, 0, 16 << 20, &value, 4), -EINVAL);
	assert_int_equal(mediant_device_bar_read(f->device, 0, 0, more, sizeof(more)), -EINVAL);
	assert_int_equal(mediant_device_bar_read(f->device, 0, 0, more, sizeof(more) - 1), 0);
	/* Not KVM's: it has no exit to look at. */
	assert_int_equal(mediant_vcpu_exit(f->vcpu), -EINVAL);
	assert_int_equal(mediant_type_get(0, &type), 0);
	assert_int_equal(mediant_type_get(1000, &type), -ENOENT);
	mediant_device_destroy(NULL);
	mediant_vm_destroy(NULL);
	mediant_vcpu_destroy(NULL);
}

/* A newer caller with a member we do not know, and an older one without the last of ours. */
static void structures_may_grow(void **state)
{
	struct {
		struct mediant_vm_config known;
		uint64_t unknown;
	} grown;
	struct mediant_vm *vm;

	memset(&grown, 0, sizeof(grown));
	grown.known.struct_bytes = sizeof(grown);
	grown.known.vm_fd = -1;
	assert_int_equal(mediant_vm_create(&grown.known, &vm), 0);
	mediant_vm_destroy(vm);
	grown.unknown = 1;
	assert_int_equal(mediant_vm_create(&grown.known, &vm), -EINVAL);
	grown.known.struct_bytes = offsetof(struct mediant_vm_config, first_gsi);
	assert_int_equal(mediant_vm_create(&grown.known, &vm), 0);
	mediant_vm_destroy(vm);
}

/* ---- Four vCPUs --------------------------------------------------------------------------------
 */

struct cpu {
	pthread_t thread;
	struct mediant_vm *vm;
	unsigned int number;
	uint64_t lost;
};

static _Atomic bool ending, some_served;

/* Its own fence register: a store that was served must be what the next load gives. */
static void *cpu_thread(void *opaque)
{
	struct cpu *cpu = opaque;
	struct mediant_vcpu *vcpu;
	uint32_t count = 0, value, last = 0;
	uint64_t at = FENCE_REG(cpu->number) + 4;

	assert_int_equal(mediant_vcpu_create(cpu->vm, NULL, &vcpu), 0);
	while (!atomic_load_explicit(&ending, memory_order_relaxed)) {
		uint64_t base = count & 1 ? BAR0_AT : BAR2_AT << 8;

		value = ++count << 12;
		if (mediant_vcpu_access(vcpu, base + at, &value, 4, true))
			last = value;
		if (mediant_vcpu_access(vcpu, base + at, &value, 4, false)) {
			atomic_store_explicit(&some_served, true, memory_order_relaxed);
			cpu->lost += value != last;
		}
		mediant_vcpu_access(vcpu, BAR2_AT + 0x1000 * cpu->number, &value, 4, count & 1);
	}
	mediant_vcpu_destroy(vcpu);
	return NULL;
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void vcpus_hammer_while_things_change(void **state)
{
	struct fixture *f = *state;
	const char *seconds = getenv("MEDIANT_HAMMER_SECONDS");
	uint64_t until = now_ms() + (seconds ? strtoull(seconds, NULL, 10) * 1000 : 300);
	struct cpu cpus[4];

	atomic_store(&ending, false);
	atomic_store(&some_served, false);
	for (unsigned int i = 0; i < 4; i++) {
		cpus[i] = (struct cpu){ .vm = f->vm, .number = i };
		pthread_create(&cpus[i].thread, NULL, cpu_thread, &cpus[i]);
	}
	/* On a busy machine it may take longer until one comes in while decoding is on. */
	for (unsigned int i = 0; now_ms() < until || !atomic_load(&some_served); i++) {
		struct timespec nap = { .tv_nsec = 200000 };

		place(f, i & 1 ? BAR0_AT : BAR2_AT << 8, BAR2_AT);
		decode(f, true);
		nanosleep(&nap, NULL);
		assert_int_equal(mediant_memory_move(f->vm, 0, RAM_BYTES, 1 << 30), 0);
		assert_int_equal(mediant_memory_remove(f->vm, 1 << 30, RAM_BYTES), 0);
		assert_int_equal(
			mediant_memory_add(f->vm, 0, RAM_BYTES, f->ram, MEDIANT_MEMORY_WRITE), 0);
		decode(f, i % 3);
	}
	atomic_store(&ending, true);
	for (unsigned int i = 0; i < 4; i++) {
		pthread_join(cpus[i].thread, NULL);
		assert_int_equal(cpus[i].lost, 0);
	}
}

#define with_device(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_device(a_bar_is_sized_placed_and_served),
		with_device(a_bar_moves),
		with_device(the_aperture_reaches_lent_memory),
		with_device(memory_may_be_another_processes),
		with_device(an_interrupt_is_an_eventfd),
		with_device(a_reset_ends_decoding),
		with_device(numbers_are_kept),
		with_device(what_makes_no_sense_is_refused),
		cmocka_unit_test(pages_that_cannot_be_tracked),
		cmocka_unit_test(structures_may_grow),
		with_device(vcpus_hammer_while_things_change),
	};

	return cmocka_run_group_tests_name("lib mediant", tests, NULL, NULL);
}
