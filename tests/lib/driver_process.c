/* SPDX-License-Identifier: MIT */
/*
 * The driver's transport to a vGPU in this process whose guest's memory is another process's: all
 * that the GPU reads and writes it copies by process_vm_readv() and process_vm_writev().  The other
 * process does nothing; what the driver stores it stores in pages that both share.  Accesses to
 * BARs are calls, on the test's threads.
 */
#include "tests/vgpu/driver.h"

#include <linux/pci_regs.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/lib.h"

#define BAR0_AT	 0xc0000000u
#define BAR2_AT	 0xd0000000u
#define CAP_MSI	 0xacu
#define SPARE_AT 0x100000000ull /* behind all memory */
#define TRIGGER	 (VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER)

struct link {
	struct ram ram;
	pid_t other;
	int pidfd;
	struct loop loop;
	struct guest *guest;
	struct vgpu_device *device;
	int msi;
	unsigned int messages;
	pthread_mutex_t mutex; /* the device's owner */
};

static struct vfio_device *vfio_of(struct link *link)
{
	return vgpu_device_vfio(link->device);
}

/* ---- The device ------------------------------------------------------------------------------ */

static void over_read(struct driver *d, unsigned int bar, uint64_t offset, void *buf, size_t len)
{
	assert_int_equal(vfio_device_bar_access(vfio_of(d->link), bar, offset, buf, len, false), 0);
}

static void over_write(struct driver *d, unsigned int bar, uint64_t offset, const void *buf,
		       size_t len)
{
	assert_int_equal(
		vfio_device_bar_access(vfio_of(d->link), bar, offset, (void *)buf, len, true), 0);
}

static void config_set(struct link *link, uint16_t offset, uint32_t value, size_t len)
{
	assert_int_equal(
		vfio_device_write(vfio_of(link), VFIO_PCI_CONFIG_REGION_INDEX, offset, &value, len),
		0);
}

/* What firmware and the bus driver do. */
static void bring_up(struct link *link)
{
	config_set(link, PCI_BASE_ADDRESS_0, BAR0_AT, 4);
	config_set(link, PCI_BASE_ADDRESS_2, BAR2_AT, 4);
	config_set(link, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
	config_set(link, CAP_MSI + PCI_MSI_FLAGS, PCI_MSI_FLAGS_64BIT | PCI_MSI_FLAGS_ENABLE, 2);
}

static void connect_msi(struct link *link)
{
	struct vfio_irq_set set = {
		.argsz = sizeof(set) + sizeof(int),
		.flags = TRIGGER,
		.index = VFIO_PCI_MSI_IRQ_INDEX,
		.count = 1,
	};

	link->msi = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int fd = dup(link->msi); /* the device's then */
	assert_true(fd >= 0);
	assert_int_equal(vfio_device_set_irqs(vfio_of(link), &set, NULL, 0, &fd, 1), 0);
}

static uint8_t over_config_read(struct driver *d, uint16_t offset)
{
	struct link *link = d->link;
	uint8_t value;

	pthread_mutex_lock(&link->mutex);
	vfio_device_read(vfio_of(link), VFIO_PCI_CONFIG_REGION_INDEX, offset, &value, 1);
	pthread_mutex_unlock(&link->mutex);
	return value;
}

static unsigned int over_messages(struct driver *d)
{
	struct link *link = d->link;
	eventfd_t more;

	pthread_mutex_lock(&link->mutex);
	if (!eventfd_read(link->msi, &more))
		link->messages += (unsigned int)more;
	unsigned int messages = link->messages;
	pthread_mutex_unlock(&link->mutex);
	return messages;
}

static void over_reset(struct driver *d)
{
	struct link *link = d->link;

	pthread_mutex_lock(&link->mutex);
	vfio_device_reset(vfio_of(link));
	bring_up(link);
	pthread_mutex_unlock(&link->mutex);
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

	pthread_mutex_lock(&link->mutex);
	assert_int_equal(add_memory(link, SPARE_AT, PAGE_BYTES), 0);
	assert_int_equal(guest_kvm_memory_remove(link->guest, gpa(SPARE_AT), PAGE_BYTES), 0);
	pthread_mutex_unlock(&link->mutex);
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
	pthread_mutex_init(&link->mutex, NULL);
	assert_int_equal(ram_init(&link->ram, DRIVER_GUEST_BYTES, true), 0);
	start_other(link);
	assert_int_equal(loop_init(&link->loop), 0);
	assert_int_equal(guest_kvm_create(&guest, &link->guest), 0);
	assert_int_equal(add_memory(link, 0, DRIVER_GUEST_BYTES), 0);
	config.loop = &link->loop;
	config.guest = link->guest;
	assert_int_equal(vgpu_device_create(&config, &link->device), 0);
	connect_msi(link);
	bring_up(link);
	d->ram = &link->ram;
	d->v = vgpu_device_vgpu(link->device);
	d->link = link;
}

static void over_close(struct driver *d)
{
	struct link *link = d->link;

	vgpu_device_destroy(link->device);
	guest_kvm_destroy(link->guest);
	loop_fini(&link->loop);
	kill(link->other, SIGKILL);
	assert_int_equal(waitpid(link->other, NULL, 0), link->other);
	close(link->pidfd);
	close(link->msi);
	ram_fini(&link->ram);
	pthread_mutex_destroy(&link->mutex);
	free(link);
}

const struct driver_transport driver_transport = {
	.name = "another process's memory",
	.dear_memory = true,
	.open = over_open,
	.close = over_close,
	.bar_read = over_read,
	.bar_write = over_write,
	.config_read = over_config_read,
	.messages = over_messages,
	.reset = over_reset,
	.change_map = over_change_map,
	.memory = &memory_by_system_calls,
};
