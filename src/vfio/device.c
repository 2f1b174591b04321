/* SPDX-License-Identifier: MIT */
/*
 * The life of a VFIO device and its region accesses: checked here once, then handed to config
 * space or to the device behind.  A transport calls it on the thread that owns the device.  No
 * access allocates.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/log.h"
#include "base/trace.h"
#include "vfio/device.h"

static void take_config(struct vfio_device *device, const struct vfio_config *config)
{
	struct vfio_region_config *space;

	device->config = *config;
	if (!device->config.max_dma_maps)
		device->config.max_dma_maps = VFIO_DEFAULT_DMA_MAPS;
	if (!device->config.max_dma_bytes)
		device->config.max_dma_bytes = VFIO_DEFAULT_DMA_BYTES;
	/* Config space is ours: its region says what the PCI description says. */
	space = &device->config.regions[VFIO_PCI_CONFIG_REGION_INDEX];
	*space = (struct vfio_region_config){
		.size = config->pci.config_bytes,
		.flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE,
	};
}

int vfio_device_create(const struct vfio_config *config, struct vfio_device **out)
{
	int err = vfio_regions_check(config);

	if (err)
		return err;
	struct vfio_device *device = calloc(1, sizeof(*device));
	if (!device)
		return -ENOMEM;
	take_config(device, config);
	device->guest = config->guest;
	vfio_decode_init(device);
	if (!config->guest)
		err = guest_remote_create(&device->guest);
	if (!err)
		err = pci_space_init(device);
	if (!err)
		err = vfio_irqs_init(device);
	if (err) {
		if (!config->guest)
			guest_remote_destroy(device->guest);
		lock_fini(&device->aliases_lock);
		free(device);
		return err;
	}
	pci_space_reset(device);
	*out = device;
	return 0;
}

void vfio_device_destroy(struct vfio_device *device)
{
	if (!device)
		return;
	vfio_decode_fini(device);
	if (device->config.ops->destroy) {
		guest_hold(device->guest);
		device->config.ops->destroy(device->config.opaque);
		guest_unhold(device->guest);
	}
	vfio_irqs_fini(device);
	if (!device->config.guest)
		guest_remote_destroy(device->guest);
	lock_fini(&device->aliases_lock);
	free(device);
}

struct guest *vfio_device_guest(struct vfio_device *device)
{
	return device->guest;
}

const struct vfio_config *vfio_device_config(struct vfio_device *device)
{
	return &device->config;
}

void vfio_device_reset(struct vfio_device *device)
{
	/* The device behind may write config space while it resets: once is enough. */
	if (device->resetting)
		return;
	device->resetting = true;
	TRACE(vfio_reset, 0, 0, 0, 0);
	/* What is pending goes first: the end of the guest's masks must not let it out. */
	vfio_irqs_reset(device);
	pci_space_reset(device);
	vfio_decode_update(device);
	if (device->config.ops->reset) {
		/* It stops its lanes, and one may wait for a message this thread would bring. */
		guest_hold(device->guest);
		device->config.ops->reset(device->config.opaque);
		guest_unhold(device->guest);
	}
	device->resetting = false;
}

void vfio_device_detach(struct vfio_device *device)
{
	vfio_irqs_disable(device);
	device->low_power = false;
	if (device->config.guest) {
		vfio_device_reset(device);
		return;
	}
	vfio_device_set_dma_ops(device, NULL, NULL);
	vfio_device_reset(device);
	vfio_device_dma_unmap(device, VFIO_DMA_UNMAP_FLAG_ALL, iova(0), 0);
}

/* ---- Region accesses -------------------------------------------------------------------- */

int vfio_device_check_access(struct vfio_device *device, uint32_t region, uint64_t offset,
			     size_t len, uint32_t flags)
{
	if (region >= device->config.region_count || len > VFIO_MAX_XFER_BYTES)
		return -EINVAL;

	const struct vfio_region_config *config = &device->config.regions[region];
	if (!range_fits(offset, len, config->size) || (config->flags & flags) != flags)
		return -EINVAL;
	return 0;
}

/* No counters: they have one writer.  Who serves vCPUs counts for each of them. */
int vfio_device_bar_access(struct vfio_device *device, uint32_t region, uint64_t offset, void *buf,
			   size_t len, bool write)
{
	const struct vfio_config *config = &device->config;
	uint32_t flags = write ? VFIO_REGION_INFO_FLAG_WRITE : VFIO_REGION_INFO_FLAG_READ;
	int err = vfio_device_check_access(device, region, offset, len, flags);

	if (err || region >= VFIO_PCI_CONFIG_REGION_INDEX)
		return -EINVAL;
	if (len && write)
		config->ops->region_write(config->opaque, region, offset, buf, len);
	else if (len)
		config->ops->region_read(config->opaque, region, offset, buf, len);
	return 0;
}

/* For the trace: the bytes as a number, as far as they make one. */
static uint64_t value_of(const void *buf, size_t len)
{
	uint64_t value = 0;

	memcpy(&value, buf, MIN(len, sizeof(value)));
	return value;
}

static int refuse(struct vfio_device *device, const char *what, uint32_t region, uint64_t offset,
		  size_t len)
{
	log_limited(LOG_INFO, "%s of %zu bytes at 0x%llx of region %u, which has no such bytes",
		    what, len, (unsigned long long)offset, region);
	return device->config.lenient && len <= VFIO_MAX_XFER_BYTES ? 0 : -EINVAL;
}

int vfio_device_read(struct vfio_device *device, uint32_t region, uint64_t offset, void *buf,
		     size_t len)
{
	const struct vfio_config *config = &device->config;
	uint64_t start_ns = TRACE_CLOCK(vfio_access);

	if (unlikely(vfio_device_check_access(device, region, offset, len,
					      VFIO_REGION_INFO_FLAG_READ))) {
		if (device->config.lenient && len <= VFIO_MAX_XFER_BYTES)
			memset(buf, 0xff, len);
		return refuse(device, "read", region, offset, len);
	}
	counter_add(&device->region_reads, 1);
	if (!len)
		return 0;
	if (region == VFIO_PCI_CONFIG_REGION_INDEX) {
		counter_add(&device->config_reads, 1);
		pci_space_read(device, (uint16_t)offset, buf, len);
	} else {
		config->ops->region_read(config->opaque, region, offset, buf, len);
	}
	TRACE(vfio_region_read, region, offset, len, value_of(buf, len));
	TRACE_SINCE(start_ns, vfio_access, region, offset, len, value_of(buf, len));
	return 0;
}

int vfio_device_write(struct vfio_device *device, uint32_t region, uint64_t offset, const void *buf,
		      size_t len)
{
	const struct vfio_config *config = &device->config;
	uint64_t start_ns = TRACE_CLOCK(vfio_access);

	if (unlikely(vfio_device_check_access(device, region, offset, len,
					      VFIO_REGION_INFO_FLAG_WRITE)))
		return refuse(device, "write", region, offset, len);
	counter_add(&device->region_writes, 1);
	if (!len)
		return 0;
	TRACE(vfio_region_write, region, offset, len, value_of(buf, len));
	if (region == VFIO_PCI_CONFIG_REGION_INDEX) {
		counter_add(&device->config_writes, 1);
		pci_space_write(device, (uint16_t)offset, buf, len);
		vfio_decode_update(device);
	} else {
		config->ops->region_write(config->opaque, region, offset, buf, len);
	}
	TRACE_SINCE(start_ns, vfio_access, (uint64_t)1 << 32 | region, offset, len,
		    value_of(buf, len));
	return 0;
}

/* ---- Features and counters -------------------------------------------------------------- */

/* Which of GET and SET a feature has.  Low power needs a function that has power states. */
static uint32_t feature_operations(struct vfio_device *device, uint32_t feature)
{
	switch (feature) {
	case VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY:
	case VFIO_DEVICE_FEATURE_LOW_POWER_EXIT:
		return device->pci.pm ? VFIO_DEVICE_FEATURE_SET : 0;
	default:
		return 0;
	}
}

int vfio_device_feature(struct vfio_device *device, uint32_t flags, void *data, size_t data_bytes,
			size_t room, size_t *answer_bytes)
{
	uint32_t feature = flags & VFIO_DEVICE_FEATURE_MASK;
	uint32_t asked = flags & (VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET);
	uint32_t has = feature_operations(device, feature);
	bool probe = flags & VFIO_DEVICE_FEATURE_PROBE;

	if (flags & ~(VFIO_DEVICE_FEATURE_MASK | VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET |
		      VFIO_DEVICE_FEATURE_PROBE))
		return -EINVAL;
	if (!has || (asked & ~has) || (!probe && asked != VFIO_DEVICE_FEATURE_SET))
		return -EINVAL;
	*answer_bytes = 0;
	if (probe)
		return 0;
	/* Once is enough, says the kernel's driver; leaving is never wrong. */
	if (feature == VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY && device->low_power)
		return -EINVAL;
	device->low_power = feature == VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY;
	return 0;
}

void vfio_device_stats(struct vfio_device *device, struct vfio_stats *stats)
{
	*stats = (struct vfio_stats){
		.region_reads = device->region_reads,
		.region_writes = device->region_writes,
		.config_reads = device->config_reads,
		.config_writes = device->config_writes,
		.interrupts = device->interrupts,
		.dma_maps = device->dma_maps,
		.dma_unmaps = device->dma_unmaps,
	};
	if (!device->config.guest) {
		stats->dma_bytes_mapped = guest_remote_bytes(device->guest);
		stats->dma_map_count = (uint32_t)guest_remote_slot_count(device->guest);
	}
}
