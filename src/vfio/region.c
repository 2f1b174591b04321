/* SPDX-License-Identifier: MIT */
/*
 * What the device says about itself: device, region and interrupt info, and the check of a
 * configuration before a device is made of it.  Called by the transport on the owner's thread.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <string.h>

#include "base/checked.h"
#include "base/log.h"
#include "vfio/device.h"

/* ---- Checking a configuration ----------------------------------------------------------- */

static int check_areas(unsigned int index, const struct vfio_region_config *region)
{
	for (unsigned int i = 0; i < region->mmap_area_count; i++) {
		const struct vfio_mmap_area *area = &region->mmap_areas[i];

		if (!area->size || PAGE_OFFSET(area->offset | area->size) ||
		    !range_fits(area->offset, area->size, region->size)) {
			log_error("region %u: mmap area %u is empty, not page aligned or outside",
				  index, i);
			return -EINVAL;
		}
		for (unsigned int j = 0; j < i; j++) {
			const struct vfio_mmap_area *other = &region->mmap_areas[j];

			if (ranges_overlap(area->offset, area->size, other->offset, other->size)) {
				log_error("region %u: mmap areas %u and %u overlap", index, j, i);
				return -EINVAL;
			}
		}
	}
	return 0;
}

static int check_region(unsigned int index, const struct vfio_region_config *region)
{
	if (region->mmap_area_count > VFIO_MAX_MMAP_AREAS ||
	    region->io_fd_count > VFIO_MAX_IO_FDS) {
		log_error("region %u: too many mmap areas or I/O descriptors", index);
		return -EINVAL;
	}
	if (region->mmap && (region->mmap_fd < 0 || PAGE_OFFSET(region->mmap_offset) ||
			     PAGE_OFFSET(region->size) || !region->size)) {
		log_error("region %u: to be mapped it needs a descriptor, and its size and the "
			  "offset in the file must be multiples of a page",
			  index);
		return -EINVAL;
	}
	for (unsigned int i = 0; i < region->io_fd_count; i++) {
		if (!range_fits(region->io_fds[i].offset, region->io_fds[i].size, region->size)) {
			log_error("region %u: I/O descriptor %u lies outside the region", index, i);
			return -EINVAL;
		}
	}
	return check_areas(index, region);
}

static int check_bar(const struct vfio_config *config, unsigned int bar)
{
	const struct vfio_region_config *region = &config->regions[bar];
	bool is_64 = (region->bar_flags & PCI_BASE_ADDRESS_SPACE) ==
			     PCI_BASE_ADDRESS_SPACE_MEMORY &&
		     (region->bar_flags & PCI_BASE_ADDRESS_MEM_TYPE_MASK) ==
			     PCI_BASE_ADDRESS_MEM_TYPE_64;

	if (!region->size)
		return 0;
	if (is_64 && (bar == 5 || config->regions[bar + 1].size)) {
		log_error("BAR %u is 64 bits wide: it needs the next BAR's register for its upper "
			  "half",
			  bar);
		return -EINVAL;
	}
	if (!is_64 && region->size > (uint64_t)1 << 31) {
		log_error("BAR %u: more than 2 GiB needs a 64-bit BAR", bar);
		return -EINVAL;
	}
	return 0;
}

int vfio_regions_check(const struct vfio_config *config)
{
	int err = 0;

	if (config->region_count < VFIO_PCI_NUM_REGIONS ||
	    config->region_count > VFIO_MAX_REGIONS) {
		log_error("a PCI device has 9 to %u regions, not %u", VFIO_MAX_REGIONS,
			  config->region_count);
		return -EINVAL;
	}
	if (config->pci.config_bytes != 256 && config->pci.config_bytes != 4096) {
		log_error("config space is 256 or 4096 bytes, not %u", config->pci.config_bytes);
		return -EINVAL;
	}
	for (unsigned int i = 0; !err && i < VFIO_PCI_NUM_IRQS; i++) {
		if (config->irq_counts[i] > VFIO_MAX_VECTORS) {
			log_error("interrupt index %u: more than %u vectors", i, VFIO_MAX_VECTORS);
			err = -EINVAL;
		}
	}
	for (unsigned int i = 0; !err && i < config->region_count; i++)
		err = check_region(i, &config->regions[i]);
	for (unsigned int bar = 0; !err && bar < 6; bar++)
		err = check_bar(config, bar);
	return err;
}

/* ---- Info ------------------------------------------------------------------------------- */

void vfio_device_get_info(struct vfio_device *device, struct vfio_device_info *info)
{
	info->argsz = 16;
	info->flags = VFIO_DEVICE_FLAGS_RESET | VFIO_DEVICE_FLAGS_PCI;
	info->num_regions = device->config.region_count;
	info->num_irqs = VFIO_PCI_NUM_IRQS;
}

static size_t sparse_cap_bytes(const struct vfio_region_config *region)
{
	if (!region->mmap_area_count)
		return 0;
	return sizeof(struct vfio_region_info_cap_sparse_mmap) +
	       region->mmap_area_count * sizeof(struct vfio_region_sparse_mmap_area);
}

static void put_sparse_cap(uint8_t *at, const struct vfio_region_config *region)
{
	struct vfio_region_info_cap_sparse_mmap cap = {
		.header = { .id = VFIO_REGION_INFO_CAP_SPARSE_MMAP, .version = 1 },
		.nr_areas = region->mmap_area_count,
	};

	memcpy(at, &cap, sizeof(cap));
	at += sizeof(cap);
	for (unsigned int i = 0; i < region->mmap_area_count; i++) {
		struct vfio_region_sparse_mmap_area area = {
			.offset = region->mmap_areas[i].offset,
			.size = region->mmap_areas[i].size,
		};

		memcpy(at, &area, sizeof(area));
		at += sizeof(area);
	}
}

/*
 * The descriptor goes with an answer that is whole: a client that asked with too little room asks
 * again, and cloud-hypervisor keeps only the descriptor of the last answer.
 */
int vfio_device_region_info(struct vfio_device *device, uint32_t index, bool takes_fd, void *buf,
			    size_t room, size_t *bytes, int *fd)
{
	struct vfio_region_info info = { .index = index };

	*fd = -1;
	if (index >= device->config.region_count || room < sizeof(info))
		return -EINVAL;

	const struct vfio_region_config *region = &device->config.regions[index];
	bool mappable = region->mmap && takes_fd;
	size_t cap_bytes = mappable ? sparse_cap_bytes(region) : 0;

	info.argsz = (uint32_t)(sizeof(info) + cap_bytes);
	info.size = region->size;
	info.offset = mappable ? region->mmap_offset : 0;
	if (region->size)
		info.flags = region->flags;
	*bytes = sizeof(info);
	if (mappable) {
		info.flags |= VFIO_REGION_INFO_FLAG_MMAP;
		if (room >= info.argsz)
			*fd = region->mmap_fd;
	}
	if (cap_bytes && room >= info.argsz) {
		info.flags |= VFIO_REGION_INFO_FLAG_CAPS;
		info.cap_offset = sizeof(info);
		put_sparse_cap((uint8_t *)buf + sizeof(info), region);
		*bytes = info.argsz;
	}
	memcpy(buf, &info, sizeof(info));
	return 0;
}

int vfio_device_region_io_fds(struct vfio_device *device, uint32_t index,
			      const struct vfio_io_fd **fds, unsigned int *count)
{
	if (index >= device->config.region_count)
		return -EINVAL;

	const struct vfio_region_config *region = &device->config.regions[index];
	if (!region->size)
		return -EINVAL;
	*fds = region->io_fds;
	*count = region->io_fd_count;
	return 0;
}

int vfio_device_irq_info(struct vfio_device *device, uint32_t index, struct vfio_irq_info *info)
{
	static const uint32_t flags[VFIO_PCI_NUM_IRQS] = {
		[VFIO_PCI_INTX_IRQ_INDEX] = VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_MASKABLE |
					    VFIO_IRQ_INFO_AUTOMASKED,
		[VFIO_PCI_MSI_IRQ_INDEX] = VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE,
		[VFIO_PCI_MSIX_IRQ_INDEX] = VFIO_IRQ_INFO_EVENTFD,
		[VFIO_PCI_ERR_IRQ_INDEX] = VFIO_IRQ_INFO_EVENTFD,
		[VFIO_PCI_REQ_IRQ_INDEX] = VFIO_IRQ_INFO_EVENTFD,
	};

	if (index >= VFIO_PCI_NUM_IRQS)
		return -EINVAL;
	*info = (struct vfio_irq_info){
		.argsz = 16,
		.flags = flags[index],
		.index = index,
		.count = device->config.irq_counts[index],
	};
	return 0;
}
