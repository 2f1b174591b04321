/* SPDX-License-Identifier: MIT */
/*
 * The inside of a VFIO device, shared by the files of this layer only.
 *
 * Owner: the thread that serves the device's messages, for everything but the interrupts, which
 * have a lock, and the words marked as read by others.
 */
#ifndef VFIO_DEVICE_H
#define VFIO_DEVICE_H

#include <stdatomic.h>

#include "vfio/vfio.h"

#define PCI_CONFIG_MAX_BYTES 4096u
#define PCI_HEADER_BYTES     64u

/* Config space: bytes, which of their bits can be written, and where capabilities live. */
struct pci_space {
	uint16_t bytes_count; /* 256 or 4096 */
	uint8_t bytes[PCI_CONFIG_MAX_BYTES];
	uint8_t write_mask[PCI_CONFIG_MAX_BYTES];
	uint8_t reset_bytes[PCI_CONFIG_MAX_BYTES];
	uint8_t claimed[PCI_CONFIG_MAX_BYTES / 8]; /* by the header or a capability */
	uint8_t msi, pm, pcie;			   /* offsets of capabilities, 0: none */
	_Atomic bool msi_enabled;		   /* read by any thread */
	_Atomic bool intx_disabled;		   /* command register's bit; read by any thread */
};

struct irq_vector {
	int trigger_fd;	    /* all guarded by the lock of the interrupts */
	bool in_hypervisor; /* it ends there, by an eventfd of our own */
	bool by_hand;	    /* the hypervisor has no route for it: send it the message itself */
	struct guest_msi msi;
	bool masked;
	bool pending;			  /* fired while masked */
	struct irq_switch *mask, *unmask; /* eventfds by which the client does it; or NULL */
};

struct vfio_irqs {
	struct lock lock; /* LOCK_IRQ */
	struct irq_vector *vectors[VFIO_PCI_NUM_IRQS];
	uint32_t counts[VFIO_PCI_NUM_IRQS];
	bool intx_asserted; /* level; guarded by the lock */
	struct loop *loop;
};

/* Where a BAR is decoded by a hypervisor in this process. */
struct vfio_decode {
	struct vfio_device *device;
	unsigned int bar;
	bool on;
	uint64_t gpa;
	unsigned int window_count;
	struct vfio_window windows[VFIO_MAX_WINDOWS];
	unsigned int run_count;
	struct vfio_run runs[VFIO_MAX_RUNS];
	struct vfio_alias_source source; /* constant once the BAR is decoded */
	/* What is open of it; guarded by the device's aliases_lock. */
	bool shows; /* the BAR is decoded, at @gpa */
	uint64_t generation;
	unsigned int alias_count;
	struct vfio_alias aliases[VFIO_MAX_ALIASES];
};

struct vfio_device {
	struct vfio_config config;
	struct guest *guest; /* of our own, unless the configuration brought one */
	struct vfio_decode decode[6];
	struct lock aliases_lock; /* LOCK_ALIASES */
	struct pci_space pci;
	struct vfio_irqs irqs;
	bool low_power; /* the client allows low power states: nothing here draws less in them */
	bool resetting; /* a reset by config write ends in the same place once */
	/* Counters: written by their owner, read by any thread. */
	_Atomic uint64_t region_reads, region_writes, config_reads, config_writes;
	_Atomic uint64_t interrupts, dma_maps, dma_unmaps;
};

/* For counters with one writer: no locked instruction. */
static inline void counter_add(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

/* region.c */
int vfio_regions_check(const struct vfio_config *config);

/* pci_config.c */
int pci_space_init(struct vfio_device *device);
void pci_space_reset(struct vfio_device *device);
void pci_space_read(struct vfio_device *device, uint16_t offset, uint8_t *buf, size_t len);
void pci_space_write(struct vfio_device *device, uint16_t offset, const uint8_t *buf, size_t len);

static inline uint16_t pci_get16(const struct pci_space *pci, unsigned int offset)
{
	return (uint16_t)(pci->bytes[offset] | pci->bytes[offset + 1] << 8);
}

static inline uint32_t pci_get32(const struct pci_space *pci, unsigned int offset)
{
	return pci_get16(pci, offset) | (uint32_t)pci_get16(pci, offset + 2) << 16;
}

static inline void pci_put16(uint8_t *bytes, unsigned int offset, uint16_t value)
{
	bytes[offset] = (uint8_t)value;
	bytes[offset + 1] = (uint8_t)(value >> 8);
}

static inline void pci_put32(uint8_t *bytes, unsigned int offset, uint32_t value)
{
	pci_put16(bytes, offset, (uint16_t)value);
	pci_put16(bytes, offset + 2, (uint16_t)(value >> 16));
}

/* decode.c */
void vfio_decode_init(struct vfio_device *device);
/* After config space has changed. */
void vfio_decode_update(struct vfio_device *device);
void vfio_decode_fini(struct vfio_device *device);
/* With the lock of the interrupts held: the vector ends in the hypervisor no longer. */
void vfio_decode_unroute(struct vfio_device *device, struct irq_vector *v);

/* pci_caps.c */
int pci_caps_init(struct vfio_device *device);
/* After @buf was written to [@offset, @offset + @len); @old_pmcsr is from before. */
void pci_caps_written(struct vfio_device *device, unsigned int offset, const uint8_t *buf,
		      size_t len, uint16_t old_pmcsr);
/* Before [@offset, @offset + @len) is read: pending bits become current. */
void pci_caps_reading(struct vfio_device *device, unsigned int offset, size_t len);
/* The message of vector 0, as the guest has set it. */
void pci_msi_message(const struct pci_space *pci, uint64_t *address, uint32_t *data);
/* Follows the MSI registers after a write or a reset. */
void pci_msi_update(struct vfio_device *device);

/* irq.c */
int vfio_irqs_init(struct vfio_device *device);
void vfio_irqs_fini(struct vfio_device *device);
/* Masks and pending bits of the device as after power on; eventfds stay. */
void vfio_irqs_reset(struct vfio_device *device);
/* Closes every eventfd the client gave. */
void vfio_irqs_disable(struct vfio_device *device);
bool vfio_intx_pending(struct vfio_device *device);
void vfio_irq_mask(struct vfio_device *device, unsigned int index, unsigned int vector, bool mask);
bool vfio_irq_is_pending(struct vfio_device *device, unsigned int index, unsigned int vector);

#endif
