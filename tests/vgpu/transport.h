/* SPDX-License-Identifier: MIT */
/*
 * What differs for the tests' driver between a vGPU that is called directly, one at the end of a
 * vfio-user socket and one on KVM.  A test program is linked with one transport; the device's model
 * is in the test's own process with all of them, so that a test may also look inside (driver.v).
 *
 * A test calls from its thread, unless it says so; then from several at once, all functions but
 * open, close and reset.
 */
#ifndef TESTS_VGPU_TRANSPORT_H
#define TESTS_VGPU_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DRIVER_GUEST_BYTES (32u << 20)
#define DRIVER_TYPE	   "i915-GVTg_V5_4"

struct driver;

struct driver_transport {
	const char *name;
	/*
	 * What is repeated very often is enough so many times less often, where an access costs
	 * much; 0: it costs little.
	 */
	unsigned int dear;
	/* A page of memory costs the GPU a dozen system calls: little work takes long. */
	bool dear_memory;
	/* NULL, or why this machine has no such thing: the program is then skipped. */
	const char *(*missing)(void);
	/*
	 * Makes memory of DRIVER_GUEST_BYTES (driver.ram) and a vGPU of DRIVER_TYPE on the software
	 * GPU (driver.v) without ports, its BARs decoded and MSI on, as a bus driver leaves it.
	 */
	void (*open)(struct driver *d, bool render_only);
	void (*close)(struct driver *d);

	/* 0: registers and GGTT; 2: aperture.  Any length and alignment. */
	void (*bar_read)(struct driver *d, unsigned int bar, uint64_t offset, void *buf,
			 size_t len);
	void (*bar_write)(struct driver *d, unsigned int bar, uint64_t offset, const void *buf,
			  size_t len);
	/* A byte of PCI config space. */
	uint8_t (*config_read)(struct driver *d, uint16_t offset);
	/* Interrupt messages that have reached the guest, since open. */
	unsigned int (*messages)(struct driver *d);
	/* Function reset; BARs, decoding and MSI as after open. */
	void (*reset)(struct driver *d);
	/* A change of the memory map that takes nothing away: all readers have to leave. */
	void (*change_map)(struct driver *d);
	/* Now and then while the driver waits; may be NULL. */
	void (*idle)(struct driver *d);

	/* Of transports with memory that can only be copied; NULL in others. */
	const struct driver_messages *memory;
};

struct driver_messages {
	/* All of memory is reached by messages, or by system calls, only, from now on. */
	void (*hide)(struct driver *d);
	/*
	 * Messages get no answer while @on.  NULL: it is system calls, for which nobody has to
	 * answer; then the next two as well.
	 */
	void (*silence)(struct driver *d, bool on);
	/* Messages that wait for an answer now; and that did so in vain, since open. */
	unsigned int (*waiting)(struct driver *d);
	unsigned int (*timeouts)(struct driver *d);
	/* An access to the aperture may wait for one, too. */
	bool in_traps;
};

/* The one this program is linked with. */
extern const struct driver_transport driver_transport;

#endif
