/* SPDX-License-Identifier: MIT */
/*
 * The DMA map: checks what the client asks and turns it into slots of the guest.  Without a
 * virtual IOMMU an IOVA is a guest physical address; with one the device's addresses are IOVAs
 * all the same, so the guest seen from here is keyed by them either way.
 *
 * Called by the transport on the owner's thread, never in a reader section of the guest.
 */
#include <errno.h>

#include "base/log.h"
#include "base/trace.h"
#include "vfio/device.h"

static gpa_t gpa_of(iova_t iova)
{
	return gpa(iova.v);
}

/* Whole pages at page addresses: that is the one page size we tell the client. */
static bool is_aligned(iova_t iova, uint64_t bytes, int fd, uint64_t fd_offset)
{
	return !PAGE_OFFSET(iova.v) && !PAGE_OFFSET(bytes) && (fd < 0 || !PAGE_OFFSET(fd_offset));
}

static int check_map(struct vfio_device *device, uint32_t flags, uint64_t bytes, int fd)
{
	uint32_t modes = flags & (VFIO_DMA_MODE_MMAP | VFIO_DMA_MODE_FILE);

	if (device->config.guest)
		return -ENOTSUP;
	if (flags &
	    ~(uint32_t)(VFIO_DMA_READ | VFIO_DMA_WRITE | VFIO_DMA_MODE_MMAP | VFIO_DMA_MODE_FILE))
		return -EINVAL;
	if (!(flags & (VFIO_DMA_READ | VFIO_DMA_WRITE)) || !bytes)
		return -EINVAL;
	if (modes && (fd < 0 || modes == (VFIO_DMA_MODE_MMAP | VFIO_DMA_MODE_FILE)))
		return -EINVAL;
	if (bytes > device->config.max_dma_bytes ||
	    guest_remote_bytes(device->guest) > device->config.max_dma_bytes - bytes)
		return -ENOSPC;
	return guest_remote_slot_count(device->guest) < device->config.max_dma_maps ? 0 : -EINVAL;
}

static enum guest_backing backing_of(uint32_t flags, int fd)
{
	if (fd < 0)
		return GUEST_BACKING_MESSAGE;
	return flags & VFIO_DMA_MODE_FILE ? GUEST_BACKING_FILE : GUEST_BACKING_MMAP;
}

int vfio_device_dma_map(struct vfio_device *device, uint32_t flags, iova_t iova, uint64_t bytes,
			int fd, uint64_t fd_offset)
{
	struct guest_slot_config slot = {
		.gpa = gpa_of(iova),
		.bytes = bytes,
		.access = flags & (GUEST_READ | GUEST_WRITE),
		.backing = backing_of(flags, fd),
		.fd = fd,
		.fd_offset = fd_offset,
	};

	_Static_assert((int)GUEST_READ == (int)VFIO_DMA_READ &&
			       (int)GUEST_WRITE == (int)VFIO_DMA_WRITE,
		       "same bits");
	TRACE(vfio_dma_map, iova.v, bytes, flags, fd);
	int err = is_aligned(iova, bytes, fd, fd_offset) ? check_map(device, flags, bytes, fd)
							 : -EINVAL;
	if (!err)
		err = guest_remote_map(device->guest, &slot, device->config.ops->dma_changed,
				       device->config.opaque);
	if (err)
		return err;
	counter_add(&device->dma_maps, 1);
	return 0;
}

int vfio_device_dma_unmap(struct vfio_device *device, uint32_t flags, iova_t iova, uint64_t bytes)
{
	const struct vfio_config *config = &device->config;

	TRACE(vfio_dma_unmap, iova.v, bytes, flags, 0);
	if (config->guest)
		return -ENOTSUP;
	if (flags == VFIO_DMA_UNMAP_FLAG_ALL) {
		if (iova.v || bytes)
			return -EINVAL;
		guest_remote_unmap_all(device->guest, config->ops->dma_changed, config->opaque);
	} else if (flags) {
		return -EINVAL;
	} else {
		int err = guest_remote_unmap(device->guest, gpa_of(iova), bytes,
					     config->ops->dma_changed, config->opaque);
		if (err)
			return err;
	}
	counter_add(&device->dma_unmaps, 1);
	return 0;
}

void vfio_device_set_dma_ops(struct vfio_device *device, const struct guest_dma_ops *ops,
			     void *opaque)
{
	guest_remote_set_dma(device->guest, ops, opaque);
}
