/* SPDX-License-Identifier: MIT */
/*
 * PCI capabilities: the list, MSI, power management, and the function-level reset of PCI Express.
 * Others are plain bytes with a mask of what can be written.
 *
 * Owner: the thread that serves the device's messages.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>

#include "base/checked.h"
#include "base/log.h"
#include "vfio/device.h"

#define PMC_D1	 (PCI_PM_CAP_D1)
#define PMC_D2	 (PCI_PM_CAP_D2)
#define PM_D0	 0u
#define PM_D3HOT 3u

/* ---- Building the list ------------------------------------------------------------------ */

static size_t msi_bytes(uint16_t flags)
{
	size_t bytes = flags & PCI_MSI_FLAGS_64BIT ? 14 : 10;

	return flags & PCI_MSI_FLAGS_MASKBIT ? (flags & PCI_MSI_FLAGS_64BIT ? 24 : 20) : bytes;
}

static unsigned int msi_mask_offset(uint16_t flags)
{
	return flags & PCI_MSI_FLAGS_64BIT ? PCI_MSI_MASK_64 : PCI_MSI_MASK_32;
}

static void msi_init(struct pci_space *pci, unsigned int at)
{
	uint16_t flags = (uint16_t)(pci->reset_bytes[at + 2] | pci->reset_bytes[at + 3] << 8);
	bool is_64 = flags & PCI_MSI_FLAGS_64BIT;

	memset(&pci->write_mask[at], 0, msi_bytes(flags));
	pci_put16(pci->write_mask, at + PCI_MSI_FLAGS, PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE);
	pci_put32(pci->write_mask, at + PCI_MSI_ADDRESS_LO, 0xfffffffcu);
	if (is_64)
		pci_put32(pci->write_mask, at + PCI_MSI_ADDRESS_HI, 0xffffffffu);
	pci_put16(pci->write_mask, at + (is_64 ? PCI_MSI_DATA_64 : PCI_MSI_DATA_32), 0xffff);
	if (flags & PCI_MSI_FLAGS_MASKBIT)
		pci_put32(pci->write_mask, at + msi_mask_offset(flags), 0xffffffffu);
	pci->msi = (uint8_t)at;
}

static void pm_init(struct pci_space *pci, unsigned int at)
{
	uint16_t pmc = (uint16_t)(pci->reset_bytes[at + 2] | pci->reset_bytes[at + 3] << 8);

	memset(&pci->write_mask[at], 0, PCI_PM_SIZEOF);
	/* PME_Status is write-one-to-clear, and never set: this function makes no PME. */
	pci_put16(pci->write_mask, at + PCI_PM_CTRL,
		  PCI_PM_CTRL_STATE_MASK |
			  (pmc & PCI_PM_CAP_PME_MASK ? PCI_PM_CTRL_PME_ENABLE : 0));
	pci->pm = (uint8_t)at;
}

static size_t least_bytes(const struct vfio_pci_cap *cap)
{
	switch (cap->id) {
	case PCI_CAP_ID_MSI:
		return msi_bytes((uint16_t)(cap->bytes[2] | cap->bytes[3] << 8));
	case PCI_CAP_ID_PM:
		return PCI_PM_SIZEOF;
	default:
		return 2;
	}
}

static int check_cap(const struct pci_space *pci, const struct vfio_pci_cap *cap)
{
	const char *fault = NULL;

	if (cap->offset < PCI_HEADER_BYTES || cap->offset % 4)
		fault = "its offset must be 0x40 or above and a multiple of 4";
	else if (cap->len > sizeof(cap->bytes) || !range_fits(cap->offset, cap->len, 256))
		fault = "it must end within 64 bytes and within the first 256 of config space";
	else if (cap->len < least_bytes(cap))
		fault = "it is shorter than its registers";
	for (unsigned int i = 0; !fault && i < cap->len; i++) {
		unsigned int at = cap->offset + i;

		if (pci->claimed[at / 8] & BIT(at % 8))
			fault = "it overlaps another";
	}
	if ((cap->id == PCI_CAP_ID_MSI && pci->msi) || (cap->id == PCI_CAP_ID_PM && pci->pm))
		fault = "there can be only one";
	if (fault)
		log_error("PCI capability 0x%02x at 0x%02x: %s", cap->id, cap->offset, fault);
	return fault ? -EINVAL : 0;
}

static void add_cap(struct pci_space *pci, const struct vfio_pci_cap *cap, unsigned int *link)
{
	unsigned int at = cap->offset;

	memcpy(&pci->reset_bytes[at], cap->bytes, cap->len);
	memcpy(&pci->write_mask[at], cap->write_mask, cap->len);
	pci->reset_bytes[at] = cap->id;
	pci->reset_bytes[at + 1] = 0;
	pci->reset_bytes[*link] = (uint8_t)at;
	*link = at + 1;
	pci_put16(pci->write_mask, at, 0);
	for (unsigned int i = at; i < at + cap->len; i++)
		pci->claimed[i / 8] |= (uint8_t)BIT(i % 8);
	if (cap->id == PCI_CAP_ID_MSI)
		msi_init(pci, at);
	else if (cap->id == PCI_CAP_ID_PM)
		pm_init(pci, at);
	else if (cap->id == PCI_CAP_ID_EXP && cap->len >= PCI_EXP_DEVCTL + 2)
		pci->pcie = (uint8_t)at;
}

int pci_caps_init(struct vfio_device *device)
{
	const struct vfio_pci_config *config = &device->config.pci;
	struct pci_space *pci = &device->pci;
	unsigned int link = PCI_CAPABILITY_LIST;

	if (config->cap_count > VFIO_MAX_CAPS)
		return -EINVAL;
	for (unsigned int i = 0; i < config->cap_count; i++) {
		int err = check_cap(pci, &config->caps[i]);

		if (err)
			return err;
		add_cap(pci, &config->caps[i], &link);
	}
	if (config->cap_count)
		pci->reset_bytes[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	/* The function-level reset bit is a trigger: it reads as zero whatever the mask says. */
	if (pci->pcie)
		pci->write_mask[pci->pcie + PCI_EXP_DEVCTL + 1] &=
			(uint8_t) ~(PCI_EXP_DEVCTL_BCR_FLR >> 8);
	return 0;
}

/* ---- Behaviour -------------------------------------------------------------------------- */

static uint32_t msi_vectors(const struct vfio_device *device)
{
	return MIN(device->config.irq_counts[VFIO_PCI_MSI_IRQ_INDEX], 32u);
}

static bool msi_is_maskable(const struct pci_space *pci)
{
	return pci->msi && (pci_get16(pci, pci->msi + PCI_MSI_FLAGS) & PCI_MSI_FLAGS_MASKBIT);
}

/* The guest's mask bits; the pending bits follow them in the next dword. */
static unsigned int msi_mask_at(const struct pci_space *pci)
{
	return pci->msi + msi_mask_offset(pci_get16(pci, pci->msi + PCI_MSI_FLAGS));
}

static void update_msi_pending(struct vfio_device *device)
{
	uint32_t pending = 0;

	for (unsigned int i = 0; i < msi_vectors(device); i++)
		if (vfio_irq_is_pending(device, VFIO_PCI_MSI_IRQ_INDEX, i))
			pending |= BIT(i);
	pci_put32(device->pci.bytes, msi_mask_at(&device->pci) + 4, pending);
}

void pci_msi_message(const struct pci_space *pci, uint64_t *address, uint32_t *data)
{
	bool is_64 = pci_get16(pci, pci->msi + PCI_MSI_FLAGS) & PCI_MSI_FLAGS_64BIT;

	*address = pci_get32(pci, pci->msi + PCI_MSI_ADDRESS_LO);
	if (is_64)
		*address |= (uint64_t)pci_get32(pci, pci->msi + PCI_MSI_ADDRESS_HI) << 32;
	*data = pci_get16(pci, pci->msi + (is_64 ? PCI_MSI_DATA_64 : PCI_MSI_DATA_32));
}

void pci_msi_update(struct vfio_device *device)
{
	struct pci_space *pci = &device->pci;

	if (!pci->msi)
		return;
	atomic_store(&pci->msi_enabled,
		     pci_get16(pci, pci->msi + PCI_MSI_FLAGS) & PCI_MSI_FLAGS_ENABLE);
	if (!msi_is_maskable(pci))
		return;
	uint32_t mask = pci_get32(pci, msi_mask_at(pci));
	for (unsigned int i = 0; i < msi_vectors(device); i++)
		vfio_irq_mask(device, VFIO_PCI_MSI_IRQ_INDEX, i, mask & BIT(i));
}

/*
 * A write of a power state the function lacks is discarded.  Coming back from D3hot resets the
 * function, unless it says No_Soft_Reset.
 */
static void pmcsr_written(struct vfio_device *device, uint16_t old)
{
	struct pci_space *pci = &device->pci;
	unsigned int at = pci->pm + PCI_PM_CTRL;
	uint16_t pmc = pci_get16(pci, pci->pm + PCI_PM_PMC);
	uint16_t now = pci_get16(pci, at);
	unsigned int was = old & PCI_PM_CTRL_STATE_MASK;
	unsigned int state = now & PCI_PM_CTRL_STATE_MASK;

	if ((state == 1 && !(pmc & PMC_D1)) || (state == 2 && !(pmc & PMC_D2)))
		pci_put16(pci->bytes, at, (uint16_t)((now & ~PCI_PM_CTRL_STATE_MASK) | was));
	else if (was == PM_D3HOT && state == PM_D0 && !(now & PCI_PM_CTRL_NO_SOFT_RESET))
		vfio_device_reset(device);
}

static bool touches(unsigned int offset, size_t len, unsigned int at, size_t bytes)
{
	return ranges_overlap(offset, len, at, bytes);
}

static bool asks_function_reset(const struct pci_space *pci, unsigned int offset,
				const uint8_t *buf, size_t len)
{
	unsigned int at = pci->pcie + PCI_EXP_DEVCTL + 1;

	return pci->pcie && touches(offset, len, at, 1) &&
	       (buf[at - offset] & (PCI_EXP_DEVCTL_BCR_FLR >> 8)) &&
	       (pci_get32(pci, pci->pcie + PCI_EXP_DEVCAP) & PCI_EXP_DEVCAP_FLR);
}

void pci_caps_reading(struct vfio_device *device, unsigned int offset, size_t len)
{
	if (msi_is_maskable(&device->pci) && touches(offset, len, device->pci.msi, 24))
		update_msi_pending(device);
}

void pci_caps_written(struct vfio_device *device, unsigned int offset, const uint8_t *buf,
		      size_t len, uint16_t old_pmcsr)
{
	struct pci_space *pci = &device->pci;

	if (asks_function_reset(pci, offset, buf, len)) {
		vfio_device_reset(device);
		return;
	}
	if (pci->msi && touches(offset, len, pci->msi, 24))
		pci_msi_update(device);
	if (pci->pm && touches(offset, len, pci->pm + PCI_PM_CTRL, 2))
		pmcsr_written(device, old_pmcsr);
}
