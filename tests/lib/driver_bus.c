/* SPDX-License-Identifier: MIT */
/* The machine around a device of this process; see driver_bus.h. */
#include "tests/lib/driver_bus.h"

#include <linux/pci_regs.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/lib.h"

#define CAP_MSI 0xacu
#define TRIGGER (VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER)

void driver_bus_init(struct driver_bus *bus, void (*configured)(struct driver_bus *bus))
{
	pthread_mutex_init(&bus->mutex, NULL);
	bus->configured = configured;
	bus->msi = -1;
}

void driver_bus_fini(struct driver_bus *bus)
{
	close(bus->msi);
	pthread_mutex_destroy(&bus->mutex);
}

struct vfio_device *driver_bus_vfio(struct driver_bus *bus)
{
	return vgpu_device_vfio(bus->device);
}

static void config_set(struct driver_bus *bus, uint16_t offset, uint32_t value, size_t len)
{
	assert_int_equal(vfio_device_write(driver_bus_vfio(bus), VFIO_PCI_CONFIG_REGION_INDEX,
					   offset, &value, len),
			 0);
	if (bus->configured)
		bus->configured(bus);
}

void driver_bus_bring_up(struct driver_bus *bus)
{
	config_set(bus, PCI_BASE_ADDRESS_0, BAR0_AT, 4);
	config_set(bus, PCI_BASE_ADDRESS_2, BAR2_AT, 4);
	config_set(bus, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
	config_set(bus, CAP_MSI + PCI_MSI_FLAGS, PCI_MSI_FLAGS_64BIT | PCI_MSI_FLAGS_ENABLE, 2);
}

void driver_bus_connect_msi(struct driver_bus *bus)
{
	struct vfio_irq_set set = {
		.argsz = sizeof(set) + sizeof(int),
		.flags = TRIGGER,
		.index = VFIO_PCI_MSI_IRQ_INDEX,
		.count = 1,
	};

	bus->msi = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int fd = dup(bus->msi); /* the device's then */
	assert_true(fd >= 0);
	assert_int_equal(vfio_device_set_irqs(driver_bus_vfio(bus), &set, NULL, 0, &fd, 1), 0);
}

uint8_t driver_bus_config_read(struct driver *d, uint16_t offset)
{
	struct driver_bus *bus = d->link;
	uint8_t value;

	pthread_mutex_lock(&bus->mutex);
	vfio_device_read(driver_bus_vfio(bus), VFIO_PCI_CONFIG_REGION_INDEX, offset, &value, 1);
	pthread_mutex_unlock(&bus->mutex);
	return value;
}

unsigned int driver_bus_messages(struct driver *d)
{
	struct driver_bus *bus = d->link;
	eventfd_t more;

	pthread_mutex_lock(&bus->mutex);
	if (!eventfd_read(bus->msi, &more))
		bus->messages += (unsigned int)more;
	unsigned int messages = bus->messages;
	pthread_mutex_unlock(&bus->mutex);
	return messages;
}

void driver_bus_reset(struct driver *d)
{
	struct driver_bus *bus = d->link;

	pthread_mutex_lock(&bus->mutex);
	vfio_device_reset(driver_bus_vfio(bus));
	driver_bus_bring_up(bus);
	pthread_mutex_unlock(&bus->mutex);
}
