/* SPDX-License-Identifier: MIT */
/*
 * A VFIO PCI device: regions, PCI config space and capabilities, interrupts, DMA map, reset.
 * The one public header of the layer.  It knows no socket, no hypervisor and no GPU: a transport
 * (vfio_user/, and lib/ for a VMM in this process) calls the vfio_device_*() functions below, the
 * device behind it is reached by vfio_device_ops.  Structures and flags are those of
 * <linux/vfio.h>.
 *
 * Owner: the thread that serves the device's messages.  vfio_irq_trigger() may be called from
 * any thread.
 */
#ifndef VFIO_VFIO_H
#define VFIO_VFIO_H

#include <linux/vfio.h>

#include "base/lock.h"
#include "base/loop.h"
#include "base/types.h"
#include "guest/guest.h"

#define VFIO_MAX_REGIONS    16u
#define VFIO_MAX_MMAP_AREAS 32u
#define VFIO_MAX_IO_FDS	    32u
#define VFIO_MAX_CAPS	    16u
#define VFIO_MAX_VECTORS    2048u /* MSI-X's limit; of one IRQ index */
#define VFIO_MAX_WINDOWS    64u
#define VFIO_MAX_RUNS	    8u
#define VFIO_MAX_XFER_BYTES (1024u * 1024) /* of one bulk access */

struct vfio_device;

/* A part of a region that the client may map. */
struct vfio_mmap_area {
	uint64_t offset, size; /* in the region; page aligned, not overlapping another */
};

/* One sub-region of VFIO_USER_DEVICE_GET_REGION_IO_FDS. */
struct vfio_io_fd {
	uint64_t offset, size;
	uint32_t type; /* 0 ioeventfd, 1 ioregionfd, 2 shadow ioeventfd */
	uint32_t flags;
	uint64_t datamatch; /* ioeventfd: datamatch; ioregionfd: user_data */
	int fd;		    /* owned by the device behind; -1: none yet */
	int shadow_fd;	    /* type 2: the memory the value is written to before the signal */
	uint64_t shadow_offset;
};

struct vfio_region_config {
	uint64_t size;	/* 0: absent */
	uint32_t flags; /* VFIO_REGION_INFO_FLAG_READ | _WRITE; _MMAP and _CAPS are derived */
	/*
	 * The file behind a region that can be mapped: the protocol passes one descriptor for a
	 * region, and with it the whole file.  Byte n of the region is byte mmap_offset + n of it.
	 * No areas: all of the region can be mapped.
	 */
	bool mmap;
	int mmap_fd; /* owned by the device behind */
	uint64_t mmap_offset;
	unsigned int mmap_area_count;
	struct vfio_mmap_area mmap_areas[VFIO_MAX_MMAP_AREAS];
	unsigned int io_fd_count;
	struct vfio_io_fd io_fds[VFIO_MAX_IO_FDS];
	/* BARs only: PCI_BASE_ADDRESS_* low bits (I/O, 64-bit, prefetchable). */
	uint32_t bar_flags;
};

/*
 * Part of a BAR that is plain memory: a hypervisor in this process may let the guest load from it,
 * and store if @writable, without a trap.
 */
struct vfio_window {
	uint64_t offset, size; /* in the BAR; whole pages */
	void *host;	       /* the device's; outlives it */
	bool writable;
	bool open; /* kept by vfio/ */
};

/* Guest memory at @of that is seen in a BAR as well. */
struct vfio_alias {
	uint64_t offset, size; /* in the BAR; whole pages */
	gpa_t of;
	bool open; /* kept by vfio/ */
};

#define VFIO_MAX_ALIASES 16u

/*
 * Which guest memory a BAR shows, at this moment: at most VFIO_MAX_ALIASES stretches that do not
 * overlap, and how many.  On the thread that changes it, under a lock: takes none itself.
 */
struct vfio_alias_source {
	unsigned int (*list)(void *opaque, struct vfio_alias *aliases);
	void *opaque;
};

/* A register of a BAR that takes stores in runs; see struct guest_run. */
struct vfio_run {
	uint64_t offset;
	uint32_t bytes;
	unsigned int (*slack)(void *opaque);
	void *opaque;
	bool open; /* kept by vfio/ */
};

struct vfio_pci_cap {
	uint8_t id;	/* PCI_CAP_ID_*; MSI, PM and PCIe reset have behaviour, others are bytes */
	uint8_t offset; /* 0x40 or above, dword aligned */
	uint8_t len;	/* with the two bytes of id and next, which are filled in */
	uint8_t bytes[64];
	uint8_t write_mask[64]; /* MSI and PM: ignored, they know what can be written */
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
	 * flags, not empty.  @len is 1, 2, 4 or 8 for a register access, and up to
	 * VFIO_MAX_XFER_BYTES for a bulk one.
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
	/*
	 * The DMA map has changed: translations of guest addresses must be dropped.  Called while
	 * no reader is in the guest; must not enter it.
	 */
	void (*dma_changed)(void *opaque);
	/* The VFIO device is being destroyed: nothing will be called after this. */
	void (*destroy)(void *opaque);
};

#define VFIO_DEFAULT_DMA_MAPS  65535u
#define VFIO_DEFAULT_DMA_BYTES ((uint64_t)8 << 40)

struct vfio_config {
	struct vfio_pci_config pci;
	struct vfio_region_config
		regions[VFIO_MAX_REGIONS];	/* 0-5 BARs, 6 ROM, 7 config, 8 VGA, 9… own */
	unsigned int region_count;		/* >= 9 */
	uint32_t irq_counts[VFIO_PCI_NUM_IRQS]; /* INTx, MSI, MSI-X, ERR, REQ */
	uint32_t max_dma_maps;			/* slots at a time; 0: VFIO_DEFAULT_DMA_MAPS */
	uint64_t max_dma_bytes;			/* mapped at a time; 0: VFIO_DEFAULT_DMA_BYTES */
	/*
	 * What a region access outside any region or against its flags gets: false, an error as the
	 * protocol has it; true, all-ones for a read and nothing for a write, as on a PCI bus, for
	 * clients that cannot take an error there (cloud-hypervisor waits for the data for ever).
	 */
	bool lenient;
	/*
	 * The guest of a VMM in this process: borrowed, and its memory map is the VMM's business,
	 * so that DMA maps are -ENOTSUP.  Its traps, windows and interrupts are used.  NULL: the
	 * VMM is elsewhere and the device makes a guest of its own.
	 */
	struct guest *guest;
	const struct vfio_device_ops *ops;
	void *opaque;
};

/*
 * @config is copied; descriptors in it stay their owner's.  -EINVAL, with a log line that names
 * the field, for a configuration that makes no sense.  The device reaches guest memory through
 * vfio_device_guest().
 */
int vfio_device_create(const struct vfio_config *config, struct vfio_device **device);
void vfio_device_destroy(struct vfio_device *device);
struct guest *vfio_device_guest(struct vfio_device *device);

/*
 * Makes one vector fire once; dropped while the client has given it no eventfd, kept for later
 * while it is masked.  Any thread; never blocks.
 */
void vfio_irq_trigger(struct vfio_device *device, unsigned int index, unsigned int vector);
/* The interrupt a PCI function would use now: MSI vector 0 if the guest enabled it, else INTx. */
void vfio_device_interrupt(struct vfio_device *device);
/*
 * The level of the INTx line: while asserted, each unmasking fires again.  Any thread.  A device
 * that only knows events uses vfio_device_interrupt().
 */
void vfio_irq_set_level(struct vfio_device *device, bool asserted);

/*
 * A VMM in this process: MSIs end in the hypervisor, by eventfds of our own that follow what the
 * guest writes to the capability, or as messages sent by hand.  -ENOTSUP: not with this guest.
 */
int vfio_device_interrupt_hypervisor(struct vfio_device *device);
/* Before the BAR is first decoded.  -EINVAL: no such bytes or not whole pages; -ENOSPC. */
int vfio_device_add_window(struct vfio_device *device, unsigned int region,
			   const struct vfio_window *window);
int vfio_device_add_run(struct vfio_device *device, unsigned int region,
			const struct vfio_run *run);
/* One for each BAR; the hypervisor then lets the guest reach that memory without a trap. */
int vfio_device_add_aliases(struct vfio_device *device, unsigned int region,
			    const struct vfio_alias_source *source);
/*
 * What the source lists has changed: when this returns, no vCPU reaches what is no longer listed.
 * Any thread that may take LOCK_ALIASES, a trap's as well.
 */
void vfio_device_update_aliases(struct vfio_device *device, unsigned int region);
/* A BAR's bytes from any thread.  -EINVAL: no such bytes, or against its flags. */
int vfio_device_bar_access(struct vfio_device *device, uint32_t region, uint64_t offset, void *buf,
			   size_t len, bool write);

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

/* ---- What a transport calls, all on the thread that owns the device --------------------- */

/* Where unmask eventfds are waited for; NULL before the transport goes. */
void vfio_device_set_loop(struct vfio_device *device, struct loop *loop);
/* A client has gone: eventfds closed, device reset, memory unmapped. */
void vfio_device_detach(struct vfio_device *device);
const struct vfio_config *vfio_device_config(struct vfio_device *device);

void vfio_device_get_info(struct vfio_device *device, struct vfio_device_info *info);

/*
 * Answers for region @index into @buf of @room bytes, at least a struct vfio_region_info: with
 * its capabilities if they fit, else without them and argsz telling what is wanted.  *@bytes is
 * how much was written, *@fd a borrowed descriptor to pass on or -1.  For whom !@takes_fd, no
 * region can be mapped.  -EINVAL: no such region.
 */
int vfio_device_region_info(struct vfio_device *device, uint32_t index, bool takes_fd, void *buf,
			    size_t room, size_t *bytes, int *fd);
/* The region's descriptors; -EINVAL: no such region, or it is absent. */
int vfio_device_region_io_fds(struct vfio_device *device, uint32_t index,
			      const struct vfio_io_fd **fds, unsigned int *count);
/* -EINVAL: no such index. */
int vfio_device_irq_info(struct vfio_device *device, uint32_t index, struct vfio_irq_info *info);

/*
 * VFIO_DEVICE_SET_IRQS: @bools has @bool_bytes bytes (VFIO_IRQ_SET_DATA_BOOL), @fds has @fd_count
 * descriptors (_EVENTFD).  Those it keeps are replaced by -1, the others stay the caller's.
 * -EINVAL for anything but the combinations VFIO defines, and for descriptors that cannot be
 * eventfds.
 */
int vfio_device_set_irqs(struct vfio_device *device, const struct vfio_irq_set *set,
			 const uint8_t *bools, size_t bool_bytes, int *fds, unsigned int fd_count);

enum {
	VFIO_DMA_READ = 1, /* as the wire has them */
	VFIO_DMA_WRITE = 2,
	VFIO_DMA_MODE_MMAP = 4,
	VFIO_DMA_MODE_FILE = 8,
};
/*
 * Adds a DMA map; @fd -1 is memory without a file, reached by messages.  -EINVAL, -EEXIST
 * (overlap), -ENOSPC (too many bytes), -errno of mmap(); too many maps are -EINVAL.
 */
int vfio_device_dma_map(struct vfio_device *device, uint32_t flags, iova_t iova, uint64_t bytes,
			int fd, uint64_t fd_offset);
/* @flags: 0 or VFIO_DMA_UNMAP_FLAG_ALL.  -ENOENT when it is not one of the maps; -EINVAL. */
int vfio_device_dma_unmap(struct vfio_device *device, uint32_t flags, iova_t iova, uint64_t bytes);
/* How memory without a file is reached; NULL when the client has gone. */
void vfio_device_set_dma_ops(struct vfio_device *device, const struct guest_dma_ops *ops,
			     void *opaque);

/* Any region, config space included.  -EINVAL: outside it, or against its flags. */
int vfio_device_read(struct vfio_device *device, uint32_t region, uint64_t offset, void *buf,
		     size_t len);
int vfio_device_write(struct vfio_device *device, uint32_t region, uint64_t offset, const void *buf,
		      size_t len);
/* The check alone: 0 when an access of @flags (VFIO_REGION_INFO_FLAG_READ, _WRITE) is good. */
int vfio_device_check_access(struct vfio_device *device, uint32_t region, uint64_t offset,
			     size_t len, uint32_t flags);

/*
 * VFIO_DEVICE_FEATURE: @flags as on the wire, @data of @data_bytes for SET, @room for GET whose
 * answer has *@answer_bytes.  -EINVAL: unknown feature, an operation it does not have, or
 * low power entered twice.
 */
int vfio_device_feature(struct vfio_device *device, uint32_t flags, void *data, size_t data_bytes,
			size_t room, size_t *answer_bytes);

/* Function reset, by the client or the guest. */
void vfio_device_reset(struct vfio_device *device);

/* ---- A plain device --------------------------------------------------------------------- */

/*
 * A PCI device described by a JSON file (docs/vfio-user.md) whose regions hold what was written to
 * them; vfio_device_destroy() ends it.  -errno, with a log line that names the key and what is
 * wrong with it.
 */
int vfio_plain_create(const char *path, struct vfio_device **device);

#endif
