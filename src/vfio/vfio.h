/* SPDX-License-Identifier: MIT */
/*
 * A VFIO PCI device: regions, PCI config space and capabilities, interrupts, DMA map, reset.
 * The one public header of the layer.  It knows no socket, no hypervisor and no GPU: a transport
 * (vfio_user/, later kvm/) calls the vfio_device_*() functions below, the device behind it is
 * reached by vfio_device_ops.  Structures and flags are those of <linux/vfio.h>.
 *
 * Owner: the thread that serves the device's messages.  vfio_irq_trigger() may be called from
 * any thread.
 */
#ifndef VFIO_VFIO_H
#define VFIO_VFIO_H

#include <linux/vfio.h>

#include "base/lock.h"
#include "base/types.h"
#include "guest/guest.h"

#define VFIO_MAX_REGIONS    16u
#define VFIO_MAX_MMAP_AREAS 8u
#define VFIO_MAX_IO_FDS	    16u
#define VFIO_MAX_CAPS	    16u

struct vfio_device;

/* A part of a region that the client may map: a descriptor of its own, offset 0 of it. */
struct vfio_mmap_area {
	uint64_t offset, size; /* in the region; page aligned */
	int fd;		       /* owned by the device behind */
	uint64_t fd_offset;
};

/* One sub-region of VFIO_USER_DEVICE_GET_REGION_IO_FDS. */
struct vfio_io_fd {
	uint64_t offset, size;
	uint32_t type; /* 0 ioeventfd, 1 ioregionfd, 2 shadow ioeventfd */
	uint32_t flags;
	uint64_t datamatch; /* ioeventfd: datamatch; ioregionfd: user_data */
	int fd;
};

struct vfio_region_config {
	uint64_t size;	/* 0: absent */
	uint32_t flags; /* VFIO_REGION_INFO_FLAG_READ | _WRITE; _MMAP and _CAPS are derived */
	unsigned int mmap_area_count;
	struct vfio_mmap_area mmap_areas[VFIO_MAX_MMAP_AREAS];
	unsigned int io_fd_count;
	struct vfio_io_fd io_fds[VFIO_MAX_IO_FDS];
	/* BARs only: PCI_BASE_ADDRESS_* low bits (I/O, 64-bit, prefetchable). */
	uint32_t bar_flags;
};

struct vfio_pci_cap {
	uint8_t id; /* PCI_CAP_ID_*; MSI and PM have behaviour, others are bytes */
	uint8_t offset;
	uint8_t len;
	uint8_t bytes[64];
	uint8_t write_mask[64];
};

struct vfio_pci_config {
	uint16_t vendor, device, subsystem_vendor, subsystem;
	uint32_t class_code; /* 24 bits */
	uint8_t revision, interrupt_pin;
	uint16_t config_bytes; /* 256 or 4096 */
	unsigned int cap_count;
	struct vfio_pci_cap caps[VFIO_MAX_CAPS];
};

/* What the device behind provides; every member but region_* may be NULL. */
struct vfio_device_ops {
	/*
	 * A checked access to a region other than config space: inside its size, allowed by its
	 * flags.  @len is 1, 2, 4 or 8 for a register access and anything for a bulk one.
	 */
	void (*region_read)(void *opaque, unsigned int region, uint64_t offset, void *buf,
			    size_t len);
	void (*region_write)(void *opaque, unsigned int region, uint64_t offset, const void *buf,
			     size_t len);
	/* Device-specific config bytes: asked after the header and capabilities did not claim them.
	 */
	bool (*config_read)(void *opaque, uint16_t offset, uint8_t *value);
	bool (*config_write)(void *opaque, uint16_t offset, uint8_t value);
	/* Function reset; also when a client has gone (the next one finds a device as at power on).
	 */
	void (*reset)(void *opaque);
	/* The DMA map has changed: translations of guest addresses must be dropped. */
	void (*dma_changed)(void *opaque);
};

struct vfio_config {
	struct vfio_pci_config pci;
	struct vfio_region_config
		regions[VFIO_MAX_REGIONS];	/* 0-5 BARs, 6 ROM, 7 config, 8 VGA, 9… own */
	unsigned int region_count;		/* >= 9 */
	uint32_t irq_counts[VFIO_PCI_NUM_IRQS]; /* INTx, MSI, MSI-X, ERR, REQ */
	uint32_t max_dma_maps;
	uint64_t max_dma_bytes;
	const struct vfio_device_ops *ops;
	void *opaque;
};

/* @config is copied.  The device reaches guest memory through vfio_device_guest(). */
int vfio_device_create(const struct vfio_config *config, struct vfio_device **device);
void vfio_device_destroy(struct vfio_device *device);
struct guest *vfio_device_guest(struct vfio_device *device);

/* Makes MSI vector 0, or INTx while MSI is off, fire.  Any thread; never blocks. */
void vfio_irq_trigger(struct vfio_device *device, unsigned int index, unsigned int vector);
/* The interrupt a PCI function would use now: MSI if the guest enabled it, else INTx. */
void vfio_device_interrupt(struct vfio_device *device);

/* The live BAR address (as the guest last wrote it, 64-bit BARs whole); 0 while unassigned. */
uint64_t vfio_pci_bar_address(struct vfio_device *device, unsigned int bar);
bool vfio_pci_memory_enabled(struct vfio_device *device);

struct vfio_stats {
	uint64_t region_reads, region_writes; /* all regions */
	uint64_t config_reads, config_writes;
	uint64_t interrupts;
	uint64_t dma_maps, dma_unmaps;
	uint64_t dma_bytes_mapped;
	uint32_t dma_map_count;
};
void vfio_device_stats(struct vfio_device *device, struct vfio_stats *stats);

#endif
