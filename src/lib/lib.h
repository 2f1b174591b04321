/* SPDX-License-Identifier: MIT */
/*
 * A vGPU as a VFIO PCI device, the one public header of the layer: the glue between vgpu/, which
 * knows no VFIO, and vfio/, which knows no GPU.  It owns both, the GPU and the lane behind them,
 * and the display timer.
 *
 * Owner: the thread that runs the loop; it serves the device's messages and the display timer.
 * Interrupts leave from any thread.
 */
#ifndef LIB_LIB_H
#define LIB_LIB_H

#include "base/loop.h"
#include "vfio/vfio.h"
#include "vgpu/vgpu.h"

enum vgpu_device_gpu { VGPU_DEVICE_GPU_SOFT, VGPU_DEVICE_GPU_NULL };

struct vgpu_device_config {
	struct loop *loop; /* borrowed; outlives the device */
	const char *name;
	const struct vgpu_type *type;
	enum vgpu_device_gpu gpu;
	bool render_only;
	uint64_t watchdog_ns;	   /* as vgpu_config has it */
	struct sched_lease *lease; /* what its lane asks for its turn, borrowed; NULL: nobody */
	struct vgpu_port_config ports[VGPU_MAX_PORTS];
	/* The guest of a VMM in this process (borrowed); NULL: the VMM is at the end of a
	 * transport.
	 */
	struct guest *guest;
	struct shadow_tracker *tracker; /* as vgpu_config has it */
	bool trap_all;			/* with a guest: make no use of windows and runs */
};

struct vgpu_device;

/* 0, or -errno with nothing left behind.  Destroy it after the transport that serves it. */
int vgpu_device_create(const struct vgpu_device_config *config, struct vgpu_device **device);
void vgpu_device_destroy(struct vgpu_device *device);

struct vfio_device *vgpu_device_vfio(struct vgpu_device *device);
struct vgpu *vgpu_device_vgpu(struct vgpu_device *device);

/* The PCI side of a vGPU with @aperture_bytes of BAR2: ids, BARs, capabilities, interrupts. */
void vgpu_device_describe(struct vfio_config *config, uint64_t aperture_bytes);

#endif
