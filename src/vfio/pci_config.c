/* SPDX-License-Identifier: MIT */
/*
 * PCI config space.  Every byte has a value and a mask of the bits that can be written, so BAR
 * sizing needs no state machine: the address bits below a BAR's size are simply not writable, and
 * all-ones reads back as the size.  Bytes neither the header nor a capability claims are offered
 * to the device behind, and read as zero when it does not want them.
 *
 * Owner: the thread that serves the device's messages.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>

#include "base/log.h"
#include "vfio/device.h"

#define COMMAND_WRITABLE                                                                 \
	(PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_PARITY | \
	 PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE)
#define BARS 6u

static bool claimed(const struct pci_space *pci, unsigned int offset)
{
	return pci->claimed[offset / 8] & BIT(offset % 8);
}

/* ---- Making the header ------------------------------------------------------------------ */

static uint64_t bar_bytes(uint64_t size, uint64_t least)
{
	uint64_t bytes = least;

	while (bytes < size)
		bytes <<= 1;
	return bytes;
}

static bool bar_is_64(uint32_t flags)
{
	return !(flags & PCI_BASE_ADDRESS_SPACE_IO) &&
	       (flags & PCI_BASE_ADDRESS_MEM_TYPE_MASK) == PCI_BASE_ADDRESS_MEM_TYPE_64;
}

/*
 * I/O BARs decode 32 bits: a VMM that sizes them on our answer alone (cloud-hypervisor) takes
 * the upper half literally.
 */
static void init_bar(struct pci_space *pci, unsigned int bar,
		     const struct vfio_region_config *region)
{
	unsigned int at = PCI_BASE_ADDRESS_0 + 4 * bar;
	bool io = region->bar_flags & PCI_BASE_ADDRESS_SPACE_IO;
	uint64_t mask = ~(bar_bytes(region->size, io ? 4 : 16) - 1);

	if (!region->size)
		return;
	pci_put32(pci->reset_bytes, at, region->bar_flags & (io ? 0x3u : 0xfu));
	pci_put32(pci->write_mask, at, (uint32_t)mask);
	if (bar_is_64(region->bar_flags))
		pci_put32(pci->write_mask, at + 4, (uint32_t)(mask >> 32));
}

static void init_rom(struct pci_space *pci, const struct vfio_region_config *region)
{
	if (!region->size)
		return;
	uint32_t mask = (uint32_t) ~(bar_bytes(region->size, 2048) - 1);
	pci_put32(pci->write_mask, PCI_ROM_ADDRESS, mask | PCI_ROM_ADDRESS_ENABLE);
}

static void init_header(struct pci_space *pci, const struct vfio_pci_config *config)
{
	uint8_t *bytes = pci->reset_bytes;

	pci_put16(bytes, PCI_VENDOR_ID, config->vendor);
	pci_put16(bytes, PCI_DEVICE_ID, config->device);
	bytes[PCI_REVISION_ID] = config->revision;
	bytes[PCI_CLASS_PROG] = (uint8_t)config->class_code;
	pci_put16(bytes, PCI_CLASS_DEVICE, (uint16_t)(config->class_code >> 8));
	pci_put16(bytes, PCI_SUBSYSTEM_VENDOR_ID, config->subsystem_vendor);
	pci_put16(bytes, PCI_SUBSYSTEM_ID, config->subsystem);
	bytes[PCI_INTERRUPT_PIN] = config->interrupt_pin;

	pci_put16(pci->write_mask, PCI_COMMAND, COMMAND_WRITABLE);
	pci->write_mask[PCI_CACHE_LINE_SIZE] = 0xff;
	pci->write_mask[PCI_LATENCY_TIMER] = 0xff;
	pci->write_mask[PCI_INTERRUPT_LINE] = 0xff;
	memset(pci->claimed, 0xff, PCI_HEADER_BYTES / 8);
}

int pci_space_init(struct vfio_device *device)
{
	struct pci_space *pci = &device->pci;

	pci->bytes_count = device->config.pci.config_bytes;
	init_header(pci, &device->config.pci);
	for (unsigned int bar = 0; bar < BARS; bar++)
		init_bar(pci, bar, &device->config.regions[bar]);
	init_rom(pci, &device->config.regions[VFIO_PCI_ROM_REGION_INDEX]);
	return pci_caps_init(device);
}

void pci_space_reset(struct vfio_device *device)
{
	struct pci_space *pci = &device->pci;

	memcpy(pci->bytes, pci->reset_bytes, sizeof(pci->bytes));
	atomic_store(&pci->intx_disabled, false);
	pci_msi_update(device);
}

/* ---- Reading and writing ---------------------------------------------------------------- */

static uint8_t read_byte(struct vfio_device *device, uint16_t offset)
{
	const struct vfio_device_ops *ops = device->config.ops;
	uint8_t value;

	if (offset == PCI_STATUS) {
		value = device->pci.bytes[offset];
		return vfio_intx_pending(device) ? value | PCI_STATUS_INTERRUPT : value;
	}
	if (claimed(&device->pci, offset))
		return device->pci.bytes[offset];
	if (ops->config_read && ops->config_read(device->config.opaque, offset, &value))
		return value;
	return 0;
}

void pci_space_read(struct vfio_device *device, uint16_t offset, uint8_t *buf, size_t len)
{
	pci_caps_reading(device, offset, len);
	for (size_t i = 0; i < len; i++)
		buf[i] = read_byte(device, (uint16_t)(offset + i));
}

static void write_byte(struct vfio_device *device, uint16_t offset, uint8_t value)
{
	const struct vfio_device_ops *ops = device->config.ops;
	struct pci_space *pci = &device->pci;

	if (claimed(pci, offset)) {
		uint8_t mask = pci->write_mask[offset];

		pci->bytes[offset] = (uint8_t)((pci->bytes[offset] & ~mask) | (value & mask));
	} else if (ops->config_write) {
		ops->config_write(device->config.opaque, offset, value);
	}
}

static void command_written(struct vfio_device *device)
{
	uint16_t command = pci_get16(&device->pci, PCI_COMMAND);
	bool disable = command & PCI_COMMAND_INTX_DISABLE;

	if (atomic_exchange(&device->pci.intx_disabled, disable) && !disable &&
	    vfio_intx_pending(device))
		vfio_irq_trigger(device, VFIO_PCI_INTX_IRQ_INDEX, 0);
}

void pci_space_write(struct vfio_device *device, uint16_t offset, const uint8_t *buf, size_t len)
{
	struct pci_space *pci = &device->pci;
	uint16_t old_pmcsr = pci->pm ? pci_get16(pci, pci->pm + PCI_PM_CTRL) : 0;

	for (size_t i = 0; i < len; i++)
		write_byte(device, (uint16_t)(offset + i), buf[i]);
	if (offset < PCI_COMMAND + 2 && offset + len > PCI_COMMAND)
		command_written(device);
	pci_caps_written(device, offset, buf, len, old_pmcsr);
}

uint64_t vfio_pci_bar_address(struct vfio_device *device, unsigned int bar)
{
	const struct pci_space *pci = &device->pci;

	if (bar >= BARS || !device->config.regions[bar].size)
		return 0;

	unsigned int at = PCI_BASE_ADDRESS_0 + 4 * bar;
	uint32_t flags = device->config.regions[bar].bar_flags;
	uint64_t low = pci_get32(pci, at);
	if (flags & PCI_BASE_ADDRESS_SPACE_IO)
		return low & PCI_BASE_ADDRESS_IO_MASK;
	low &= (uint64_t)PCI_BASE_ADDRESS_MEM_MASK;
	return bar_is_64(flags) ? low | (uint64_t)pci_get32(pci, at + 4) << 32 : low;
}

bool vfio_pci_memory_enabled(struct vfio_device *device)
{
	return pci_get16(&device->pci, PCI_COMMAND) & PCI_COMMAND_MEMORY;
}
