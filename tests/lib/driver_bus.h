/* SPDX-License-Identifier: MIT */
/*
 * What a machine does to a PCI device of this process, for the driver's transports: config space,
 * the places of its BARs, the MSI's eventfd, reset.  A transport's link begins with one of these.
 * Calls with a driver lock the device's owner themselves; those with a bus are made where nobody
 * else is yet.
 */
#ifndef TESTS_LIB_DRIVER_BUS_H
#define TESTS_LIB_DRIVER_BUS_H

#include <pthread.h>

#include "tests/vgpu/driver.h"

#define BAR0_AT	 0xc0000000u
#define BAR2_AT	 0xd0000000u
/* A page's address behind all memory. */
#define SPARE_AT 0x100000000ull

struct driver_bus {
	struct vgpu_device *device;
	pthread_mutex_t mutex;			    /* the device's owner */
	void (*configured)(struct driver_bus *bus); /* after each store to config space; or NULL */
	int msi;
	unsigned int messages;
};

/* Before the device is made. */
void driver_bus_init(struct driver_bus *bus, void (*configured)(struct driver_bus *bus));
/* The device is destroyed already. */
void driver_bus_fini(struct driver_bus *bus);

struct vfio_device *driver_bus_vfio(struct driver_bus *bus);
/* What firmware and the bus driver do: BARs in their places, decoding on, one MSI. */
void driver_bus_bring_up(struct driver_bus *bus);
/* One eventfd for the MSI. */
void driver_bus_connect_msi(struct driver_bus *bus);

/* For struct driver_transport. */
uint8_t driver_bus_config_read(struct driver *d, uint16_t offset);
unsigned int driver_bus_messages(struct driver *d);
void driver_bus_reset(struct driver *d);

#endif
