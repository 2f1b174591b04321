/* SPDX-License-Identifier: MIT */
/*
 * The glue of a vGPU and its VFIO device.  The VFIO device is made first, because it owns the
 * guest's memory map, and is destroyed last, because the lane reads that memory until the vGPU is
 * gone.  Nothing reaches the callbacks before vgpu_device_create() has returned: accesses come
 * from the transport, which the caller makes afterwards.
 */
#include "lib/lib.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <stdlib.h>

#include "base/clock.h"

#define PCI_VENDOR_INTEL      0x8086
#define PCI_DEVICE_SKL_GT2    0x1912
/* Stepping G0: the first the driver does not call pre-production. */
#define PCI_REVISION_SKL_G0   6
#define PCI_CLASS_DISPLAY_VGA 0x030000

#define CAP_MSI_OFFSET 0xac
#define CAP_PM_OFFSET  0xd0
#define IO_BAR_BYTES   64

struct vgpu_device {
	struct vfio_device *vfio;
	struct vgpu *vgpu;
	struct gpu *gpu;
	struct sched_lane *lane;
	struct loop *loop;
	struct loop_timer display_timer;
	bool timer_ready;
};

static void region_read(void *opaque, unsigned int region, uint64_t offset, void *buf, size_t len)
{
	struct vgpu_device *device = opaque;
	uint8_t *bytes = buf;

	switch (region) {
	case VFIO_PCI_BAR0_REGION_INDEX:
		vgpu_bar0_read(device->vgpu, offset, buf, len);
		break;
	case VFIO_PCI_BAR2_REGION_INDEX:
		vgpu_aperture_read(device->vgpu, offset, buf, len);
		break;
	default: /* BAR4: the index and data ports of old; no driver of this generation uses them */
		while (len--)
			*bytes++ = 0;
	}
}

static void region_write(void *opaque, unsigned int region, uint64_t offset, const void *buf,
			 size_t len)
{
	struct vgpu_device *device = opaque;

	if (region == VFIO_PCI_BAR0_REGION_INDEX)
		vgpu_bar0_write(device->vgpu, offset, buf, len);
	else if (region == VFIO_PCI_BAR2_REGION_INDEX)
		vgpu_aperture_write(device->vgpu, offset, buf, len);
}

static bool config_read(void *opaque, uint16_t offset, uint8_t *value)
{
	struct vgpu_device *device = opaque;
	uint64_t bar0 = vfio_pci_bar_address(device->vfio, VFIO_PCI_BAR0_REGION_INDEX);

	return vgpu_pci_config_read(device->vgpu, offset, bar0, value);
}

static void reset(void *opaque)
{
	struct vgpu_device *device = opaque;

	vgpu_reset(device->vgpu);
}

/* The shadow notices a changed DMA map by the guest's generation: no dma_changed here. */
static const struct vfio_device_ops device_ops = {
	.region_read = region_read,
	.region_write = region_write,
	.config_read = config_read,
	.reset = reset,
};

static void host_interrupt(void *opaque)
{
	struct vgpu_device *device = opaque;

	vfio_device_interrupt(device->vfio);
}

/* Any thread: arming a timerfd is one system call and needs no lock of the loop's. */
static void host_display_timer(void *opaque, uint64_t when_ns)
{
	struct vgpu_device *device = opaque;

	loop_timer_set(&device->display_timer, when_ns);
}

static void host_aperture_changed(void *opaque)
{
	struct vgpu_device *device = opaque;

	vfio_device_update_aliases(device->vfio, VFIO_PCI_BAR2_REGION_INDEX);
}

static const struct vgpu_host_ops host_ops = {
	.interrupt = host_interrupt,
	.display_timer = host_display_timer,
	.aperture_changed = host_aperture_changed,
};

static void display_timer_expired(struct loop_timer *timer)
{
	struct vgpu_device *device = container_of(timer, struct vgpu_device, display_timer);

	vgpu_display_tick(device->vgpu, clock_now_ns());
}

static void describe_bar(struct vfio_config *config, unsigned int bar, uint64_t bytes,
			 uint32_t bar_flags)
{
	config->regions[bar] = (struct vfio_region_config){
		.size = bytes,
		.flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE,
		.bar_flags = bar_flags,
	};
}

/*
 * One MSI vector with a 64-bit address, no mask bits; PM version 3, D0 and D3hot only, no
 * PME, and no reset on the way back from D3hot: the driver finds its registers as it left them.
 */
static void describe_caps(struct vfio_pci_config *pci)
{
	pci->cap_count = 2;
	pci->caps[0] = (struct vfio_pci_cap){
		.id = PCI_CAP_ID_MSI,
		.offset = CAP_MSI_OFFSET,
		.len = 14,
		.bytes = { PCI_CAP_ID_MSI, 0, PCI_MSI_FLAGS_64BIT, 0 },
	};
	pci->caps[1] = (struct vfio_pci_cap){
		.id = PCI_CAP_ID_PM,
		.offset = CAP_PM_OFFSET,
		.len = PCI_PM_SIZEOF,
		.bytes = { PCI_CAP_ID_PM, 0, 0x03, 0, PCI_PM_CTRL_NO_SOFT_RESET },
	};
}

void vgpu_device_describe(struct vfio_config *config, uint64_t aperture_bytes)
{
	*config = (struct vfio_config){
		.pci = { .vendor = PCI_VENDOR_INTEL,
			 .device = PCI_DEVICE_SKL_GT2,
			 .subsystem_vendor = PCI_VENDOR_INTEL,
			 .subsystem = PCI_DEVICE_SKL_GT2,
			 .class_code = PCI_CLASS_DISPLAY_VGA,
			 .revision = PCI_REVISION_SKL_G0,
			 .interrupt_pin = 1,
			 .config_bytes = 256 },
		.region_count = VFIO_PCI_NUM_REGIONS,
		.lenient = true,
		/* ERR is never raised; without it QEMU warns that it cannot recover from errors. */
		.irq_counts = { [VFIO_PCI_INTX_IRQ_INDEX] = 1,
				[VFIO_PCI_MSI_IRQ_INDEX] = 1,
				[VFIO_PCI_ERR_IRQ_INDEX] = 1 },
	};
	describe_bar(config, VFIO_PCI_BAR0_REGION_INDEX, VGPU_BAR0_BYTES,
		     PCI_BASE_ADDRESS_MEM_TYPE_64);
	describe_bar(config, VFIO_PCI_BAR2_REGION_INDEX, aperture_bytes,
		     PCI_BASE_ADDRESS_MEM_TYPE_64 | PCI_BASE_ADDRESS_MEM_PREFETCH);
	describe_bar(config, VFIO_PCI_BAR4_REGION_INDEX, IO_BAR_BYTES, PCI_BASE_ADDRESS_SPACE_IO);
	config->regions[VFIO_PCI_CONFIG_REGION_INDEX] = (struct vfio_region_config){
		.size = config->pci.config_bytes,
		.flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE,
	};
	describe_caps(&config->pci);
}

static int create_vfio(struct vgpu_device *device, uint64_t aperture_bytes, struct guest *guest)
{
	struct vfio_config config;

	vgpu_device_describe(&config, aperture_bytes);
	config.ops = &device_ops;
	config.opaque = device;
	config.guest = guest;
	return vfio_device_create(&config, &device->vfio);
}

static int create_gpu(struct vgpu_device *device, const struct vgpu_device_config *config)
{
	int err;

	device->gpu = config->gpu == VGPU_DEVICE_GPU_NULL ? gpu_null_create() : gpu_soft_create();
	if (!device->gpu)
		return -ENOMEM;
	err = sched_lane_create("lane", &device->lane);
	if (!err)
		sched_lane_set_lease(device->lane, config->lease);
	return err;
}

static int create_timer(struct vgpu_device *device)
{
	int err = loop_timer_init(device->loop, &device->display_timer, display_timer_expired);

	device->timer_ready = !err;
	return err;
}

static int create_vgpu(struct vgpu_device *device, const struct vgpu_device_config *config)
{
	struct vgpu_config vgpu = {
		.name = config->name,
		.type = config->type,
		.render_only = config->render_only,
		.watchdog_ns = config->watchdog_ns,
		.guest = vfio_device_guest(device->vfio),
		.tracker = config->tracker,
		.gpu = device->gpu,
		.lane = device->lane,
		.host = &host_ops,
		.opaque = device,
	};

	for (unsigned int i = 0; i < VGPU_MAX_PORTS; i++)
		vgpu.ports[i] = config->ports[i];
	return vgpu_create(&vgpu, &device->vgpu);
}

static unsigned int elsp_slack(void *opaque)
{
	struct vgpu_device *device = opaque;

	return vgpu_elsp_slack(device->vgpu);
}

_Static_assert(VGPU_APERTURE_RUNS <= VFIO_MAX_ALIASES, "each can be shown");

/* Under the lock of the aliases. */
static unsigned int aperture_aliases(void *opaque, struct vfio_alias *aliases)
{
	struct vgpu_device *device = opaque;
	struct vgpu_aperture_run runs[VGPU_APERTURE_RUNS];
	unsigned int count = vgpu_aperture_runs(device->vgpu, runs);

	for (unsigned int i = 0; i < count; i++)
		aliases[i] = (struct vfio_alias){ runs[i].offset, runs[i].bytes, runs[i].gpa };
	return count;
}

/* What a hypervisor in this process may spare the guest. */
static int add_shortcuts(struct vgpu_device *device)
{
	struct vgpu_window plain;
	int err = 0;

	for (unsigned int i = 0; !err && vgpu_bar0_window(device->vgpu, i, &plain); i++) {
		struct vfio_window window = {
			.offset = plain.offset,
			.size = plain.size,
			.host = plain.host,
			.writable = plain.writable,
		};

		err = vfio_device_add_window(device->vfio, VFIO_PCI_BAR0_REGION_INDEX, &window);
	}
	for (unsigned int e = 0; !err && e < GPU_ENGINES; e++) {
		struct vfio_run run = {
			.offset = vgpu_elsp_offset(e),
			.bytes = 4,
			.slack = elsp_slack,
			.opaque = device,
		};

		err = vfio_device_add_run(device->vfio, VFIO_PCI_BAR0_REGION_INDEX, &run);
	}
	if (err)
		return err;
	return vfio_device_add_aliases(device->vfio, VFIO_PCI_BAR2_REGION_INDEX,
				       &(struct vfio_alias_source){ aperture_aliases, device });
}

int vgpu_device_create(const struct vgpu_device_config *config, struct vgpu_device **out)
{
	struct vgpu_device *device = calloc(1, sizeof(*device));
	int err;

	if (!device)
		return -ENOMEM;
	device->loop = config->loop;
	err = create_vfio(device, config->type->aperture_bytes, config->guest);
	if (!err)
		err = create_gpu(device, config);
	if (!err)
		err = create_timer(device);
	if (!err)
		err = create_vgpu(device, config);
	if (!err && config->guest && !config->trap_all)
		err = add_shortcuts(device);
	if (err) {
		vgpu_device_destroy(device);
		return err;
	}
	*out = device;
	return 0;
}

void vgpu_device_destroy(struct vgpu_device *device)
{
	if (!device)
		return;
	/* No vCPU may come in while the vGPU goes. */
	if (device->vgpu && vfio_device_config(device->vfio)->guest)
		vfio_device_detach(device->vfio);
	if (device->vgpu)
		vgpu_destroy(device->vgpu);
	if (device->lane)
		sched_lane_destroy(device->lane);
	if (device->timer_ready)
		loop_timer_fini(device->loop, &device->display_timer);
	gpu_destroy(device->gpu);
	if (device->vfio)
		vfio_device_destroy(device->vfio);
	free(device);
}

struct vfio_device *vgpu_device_vfio(struct vgpu_device *device)
{
	return device->vfio;
}

struct vgpu *vgpu_device_vgpu(struct vgpu_device *device)
{
	return device->vgpu;
}
