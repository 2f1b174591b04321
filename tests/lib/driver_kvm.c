/* SPDX-License-Identifier: MIT */
/*
 * The driver's transport over KVM: every access of a test is a job for a vCPU, whose guest program
 * makes it, and what of it exits is served on the thread that runs the vCPU, which is the test's.
 * Memory is the VM's; config space and the MSI's eventfd are the VMM's, which is this file.
 *
 * Threads of a test take the vCPU that is free, or a new one.
 */
#include "tests/lib/driver_kvm.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "kvm/kvm.h"
#include "lib/lib.h"
#include "shadow/shadow.h"
#include "tests/lib/driver_bus.h"

_Static_assert(DRIVER_GUEST_BYTES == RIG_RAM_BYTES, "the driver's memory is the VM's");

struct cpu {
	struct rig_cpu *rig_cpu, more; /* the first is the rig's own */
	struct kvm_vcpu *vcpu;
	struct cpu *next; /* of the free ones */
};

struct link {
	struct driver_bus bus; /* its mutex guards who has which vCPU, too */
	struct rig rig;
	struct ram ram;
	struct loop loop;
	struct guest *guest;
	struct kvm_door *door;
	struct shadow_tracker *tracker;
	struct cpu cpus[RIG_MAX_CPUS], *free;
	unsigned int cpu_count;
};

/* ---- vCPUs ----------------------------------------------------------------------------------- */

/* With the mutex held. */
static struct cpu *new_cpu(struct link *link)
{
	struct cpu *cpu = &link->cpus[link->cpu_count++];

	cpu->rig_cpu = cpu == link->cpus ? &link->rig.cpu : &cpu->more;
	if (cpu != link->cpus)
		assert_int_equal(rig_cpu_open(&link->rig, &cpu->more), 0);
	assert_int_equal(kvm_vcpu_create(link->door, cpu->rig_cpu->run, &cpu->vcpu), 0);
	return cpu;
}

static struct cpu *take_cpu(struct link *link)
{
	pthread_mutex_lock(&link->bus.mutex);
	struct cpu *cpu = link->free;
	if (cpu)
		link->free = cpu->next;
	else
		cpu = new_cpu(link);
	pthread_mutex_unlock(&link->bus.mutex);
	return cpu;
}

static void give_cpu(struct link *link, struct cpu *cpu)
{
	pthread_mutex_lock(&link->bus.mutex);
	cpu->next = link->free;
	link->free = cpu;
	pthread_mutex_unlock(&link->bus.mutex);
}

static bool serve(void *opaque)
{
	return kvm_vcpu_exit(((struct cpu *)opaque)->vcpu);
}

/* The guest moves @len bytes between @buf and its address space. */
static void move(struct driver *d, enum rig_kind kind, uint64_t at, uint8_t *buf, size_t len)
{
	struct link *link = d->link;
	struct cpu *cpu = take_cpu(link);

	while (len) {
		size_t n = MIN(len, RIG_DATA_BYTES);
		struct rig_job job = { .kind = kind, .at = at, .count = n };

		if (kind == RIG_PUT)
			memcpy(job.data, buf, n);
		assert_int_equal(rig_cpu_run(cpu->rig_cpu, &job, serve, cpu), 0);
		if (kind == RIG_GET)
			memcpy(buf, job.data, n);
		at += n;
		buf += n;
		len -= n;
	}
	give_cpu(link, cpu);
}

unsigned int driver_kvm_sequence(struct driver *d, const struct rig_access *accesses, size_t count)
{
	struct link *link = d->link;
	struct cpu *cpu = take_cpu(link);
	struct rig_job job = {
		.kind = RIG_SEQUENCE, .at = BAR0_AT, .count = 1, .step_count = count
	};

	assert_true(count <= sizeof(job.steps) / sizeof(job.steps[0]));
	memcpy(job.steps, accesses, count * sizeof(*accesses));
	assert_int_equal(rig_cpu_run(cpu->rig_cpu, &job, serve, cpu), 0);
	unsigned int exits = (unsigned int)cpu->rig_cpu->exits;
	give_cpu(link, cpu);
	return exits;
}

unsigned int driver_kvm_store64(struct driver *d, gpa_t at, uint64_t value)
{
	struct link *link = d->link;
	struct cpu *cpu = take_cpu(link);
	struct rig_job job = { .kind = RIG_PUT, .at = at.v, .count = sizeof(value) };

	memcpy(job.data, &value, sizeof(value));
	assert_int_equal(rig_cpu_run(cpu->rig_cpu, &job, serve, cpu), 0);
	unsigned int exits = (unsigned int)cpu->rig_cpu->exits;
	give_cpu(link, cpu);
	return exits;
}

static uint64_t address_of(unsigned int bar, uint64_t offset)
{
	return (bar ? BAR2_AT : BAR0_AT) + offset;
}

static void over_read(struct driver *d, unsigned int bar, uint64_t offset, void *buf, size_t len)
{
	move(d, RIG_GET, address_of(bar, offset), buf, len);
}

static void over_write(struct driver *d, unsigned int bar, uint64_t offset, const void *buf,
		       size_t len)
{
	move(d, RIG_PUT, address_of(bar, offset), (void *)buf, len);
}

/* ---- Memory ---------------------------------------------------------------------------------- */

static void over_change_map(struct driver *d)
{
	struct link *link = d->link;
	struct guest_kvm_memory spare = {
		.gpa = gpa(SPARE_AT),
		.bytes = PAGE_BYTES,
		.host = link->ram.bytes,
		.access = GUEST_READ,
		.install = true,
	};

	pthread_mutex_lock(&link->bus.mutex);
	assert_int_equal(guest_kvm_memory_add(link->guest, &spare), 0);
	assert_int_equal(guest_kvm_memory_remove(link->guest, spare.gpa, spare.bytes), 0);
	pthread_mutex_unlock(&link->bus.mutex);
}

/* The same bytes, as a process's: this one's.  No vCPU stores to memory in what comes after. */
static void hide(struct driver *d)
{
	struct link *link = d->link;
	struct guest_kvm_process memory = {
		.bytes = DRIVER_GUEST_BYTES,
		.pidfd = pidfd_open(getpid(), 0),
		.address = (uintptr_t)link->ram.bytes,
		.access = GUEST_READ | GUEST_WRITE,
	};

	pthread_mutex_lock(&link->bus.mutex);
	assert_int_equal(guest_kvm_memory_remove(link->guest, gpa(0), DRIVER_GUEST_BYTES), 0);
	assert_int_equal(guest_kvm_process_add(link->guest, &memory), 0);
	pthread_mutex_unlock(&link->bus.mutex);
	close(memory.pidfd);
}

static const struct driver_messages memory_by_system_calls = { .hide = hide, .in_traps = true };

/* ---- Tracking -------------------------------------------------------------------------------- */

/* The test's thread runs the only vCPU, and asks by itself. */
static void nothing_to_do(void *opaque)
{
}

uint64_t driver_kvm_track(struct driver *d)
{
	struct link *link = d->link;

	pthread_mutex_lock(&link->bus.mutex);
	shadow_tracker_update(link->tracker);
	pthread_mutex_unlock(&link->bus.mutex);
	return shadow_tracker_count(link->tracker);
}

/* ---- Life ------------------------------------------------------------------------------------ */

static const char *missing(void)
{
	struct rig rig;
	const char *why = rig_open(&rig, false, NULL);

	rig_close(&rig);
	return why;
}

/* A store to config space may move what the door serves. */
static void drain(struct driver_bus *bus)
{
	kvm_door_drain(container_of(bus, struct link, bus)->door);
}

static void open_vm(struct link *link)
{
	assert_int_equal(ram_init(&link->ram, DRIVER_GUEST_BYTES, true), 0);
	assert_null(rig_open(&link->rig, false, link->ram.bytes));

	struct guest_kvm_config guest = {
		.vm_fd = link->rig.vm_fd,
		.slot_count = 200,
		.coalesce = true,
		.pause = nothing_to_do,
		.resume = nothing_to_do,
		.opaque = link,
	};
	struct guest_kvm_memory memory = {
		.bytes = DRIVER_GUEST_BYTES,
		.host = link->ram.bytes,
		.access = GUEST_READ | GUEST_WRITE,
		.install = true,
	};
	assert_int_equal(guest_kvm_create(&guest, &link->guest), 0);
	assert_int_equal(guest_kvm_memory_add(link->guest, &memory), 0);
	assert_int_equal(shadow_tracker_create(link->guest, nothing_to_do, NULL, &link->tracker),
			 0);

	struct kvm_door_config door = {
		.guest = link->guest,
		.vm_fd = link->rig.vm_fd,
		.coalesce = true,
	};
	assert_int_equal(kvm_door_create(&door, &link->door), 0);
}

static void over_open(struct driver *d, bool render_only)
{
	struct link *link = calloc(1, sizeof(*link));
	struct vgpu_device_config config = {
		.name = "test",
		.type = vgpu_type_find(DRIVER_TYPE),
		.render_only = render_only,
	};

	assert_non_null(link);
	driver_bus_init(&link->bus, drain);
	assert_int_equal(loop_init(&link->loop), 0);
	open_vm(link);
	config.loop = &link->loop;
	config.guest = link->guest;
	config.tracker = link->tracker;
	assert_int_equal(vgpu_device_create(&config, &link->bus.device), 0);
	driver_bus_connect_msi(&link->bus);
	link->free = new_cpu(link);
	driver_bus_bring_up(&link->bus);
	d->ram = &link->ram;
	d->v = vgpu_device_vgpu(link->bus.device);
	d->link = link;
}

static void over_close(struct driver *d)
{
	struct link *link = d->link;

	for (unsigned int i = 0; i < link->cpu_count; i++)
		kvm_vcpu_destroy(link->cpus[i].vcpu);
	vgpu_device_destroy(link->bus.device);
	shadow_tracker_destroy(link->tracker);
	kvm_door_destroy(link->door);
	guest_kvm_destroy(link->guest);
	for (unsigned int i = 1; i < link->cpu_count; i++)
		rig_cpu_close(link->cpus[i].rig_cpu);
	rig_close(&link->rig);
	ram_fini(&link->ram);
	loop_fini(&link->loop);
	driver_bus_fini(&link->bus);
	free(link);
}

const struct driver_transport driver_transport = {
	.name = "KVM",
	.dear = 50,
	.missing = missing,
	.open = over_open,
	.close = over_close,
	.bar_read = over_read,
	.bar_write = over_write,
	.config_read = driver_bus_config_read,
	.messages = driver_bus_messages,
	.reset = driver_bus_reset,
	.change_map = over_change_map,
	.memory = &memory_by_system_calls,
};
