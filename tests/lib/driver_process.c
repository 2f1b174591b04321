/* SPDX-License-Identifier: MIT */
/*
 * The driver's transport to a vGPU in this process whose guest's memory is another process's: all
 * that the GPU reads and writes it copies by process_vm_readv() and process_vm_writev().  The other
 * process does nothing; what the driver stores it stores in pages that both share.  Accesses to
 * BARs are calls, on the test's threads.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/lib.h"
#include "tests/lib/driver_bus.h"

struct link {
	struct driver_bus bus;
	struct ram ram;
	pid_t other;
	int pidfd;
	struct loop loop;
	struct guest *guest;
};

/* ---- The device ------------------------------------------------------------------------------ */

static void over_read(struct driver *d, unsigned int bar, uint64_t offset, void *buf, size_t len)
{
	assert_int_equal(
		vfio_device_bar_access(driver_bus_vfio(d->link), bar, offset, buf, len, false), 0);
}

static void over_write(struct driver *d, unsigned int bar, uint64_t offset, const void *buf,
		       size_t len)
{
	assert_int_equal(vfio_device_bar_access(driver_bus_vfio(d->link), bar, offset, (void *)buf,
						len, true),
			 0);
}

/* ---- Memory ---------------------------------------------------------------------------------- */

static void start_other(struct link *link)
{
	link->other = fork();
	if (!link->other) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	assert_true(link->other > 0);
	link->pidfd = pidfd_open(link->other, 0);
	assert_true(link->pidfd >= 0);
}

static int add_memory(struct link *link, uint64_t at, uint64_t bytes)
{
	struct guest_kvm_process memory = {
		.gpa = gpa(at),
		.bytes = bytes,
		.pidfd = link->pidfd,
		.address = (uintptr_t)link->ram.bytes,
		.access = GUEST_READ | GUEST_WRITE,
	};

	return guest_kvm_process_add(link->guest, &memory);
}

static void over_change_map(struct driver *d)
{
	struct link *link = d->link;

	pthread_mutex_lock(&link->bus.mutex);
	assert_int_equal(add_memory(link, SPARE_AT, PAGE_BYTES), 0);
	assert_int_equal(guest_kvm_memory_remove(link->guest, gpa(SPARE_AT), PAGE_BYTES), 0);
	pthread_mutex_unlock(&link->bus.mutex);
}

/* It never was to be had otherwise. */
static void hide(struct driver *d)
{
}

static const struct driver_messages memory_by_system_calls = { .hide = hide, .in_traps = true };

/* ---- Life ------------------------------------------------------------------------------------ */

static void over_open(struct driver *d, bool render_only)
{
	struct link *link = calloc(1, sizeof(*link));
	struct guest_kvm_config guest = { .vm_fd = -1 };
	struct vgpu_device_config config = {
		.name = "test",
		.type = vgpu_type_find(DRIVER_TYPE),
		.render_only = render_only,
	};

	assert_non_null(link);
	driver_bus_init(&link->bus, NULL);
	assert_int_equal(ram_init(&link->ram, DRIVER_GUEST_BYTES, true), 0);
	start_other(link);
	assert_int_equal(loop_init(&link->loop), 0);
	assert_int_equal(guest_kvm_create(&guest, &link->guest), 0);
	assert_int_equal(add_memory(link, 0, DRIVER_GUEST_BYTES), 0);
	config.loop = &link->loop;
	config.guest = link->guest;
	assert_int_equal(vgpu_device_create(&config, &link->bus.device), 0);
	driver_bus_connect_msi(&link->bus);
	driver_bus_bring_up(&link->bus);
	d->ram = &link->ram;
	d->v = vgpu_device_vgpu(link->bus.device);
	d->link = link;
}

static void over_close(struct driver *d)
{
	struct link *link = d->link;

	vgpu_device_destroy(link->bus.device);
	guest_kvm_destroy(link->guest);
	loop_fini(&link->loop);
	kill(link->other, SIGKILL);
	assert_int_equal(waitpid(link->other, NULL, 0), link->other);
	close(link->pidfd);
	ram_fini(&link->ram);
	driver_bus_fini(&link->bus);
	free(link);
}

const struct driver_transport driver_transport = {
	.name = "another process's memory",
	.dear_memory = true,
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
