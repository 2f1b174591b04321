/* SPDX-License-Identifier: MIT */
/*
 * The display of a vGPU, as the rest of the layer sees it.  vgpu_display_* functions for monitors
 * and sinks are in vgpu/vgpu.h.  (Not "display.h": vgpu.h means the layer of that name by it.)
 */
#ifndef VGPU_DISPLAY_VGPU_DISPLAY_H
#define VGPU_DISPLAY_VGPU_DISPLAY_H

#include "vgpu/vgpu.h"

/*
 * Makes the display of @config; its registers are set by the first vgpu_display_reset().
 * -EINVAL: a monitor's size, rate or port cannot be; -ERANGE: its link is too slow; -ENOMEM.
 */
int vgpu_display_init(struct vgpu *v, const struct vgpu_config *config);
/* Nobody uses the source any longer and no tick is under way. */
void vgpu_display_fini(struct vgpu *v);

/*
 * Power on, after the registers got their power-on values: straps and levels.  Monitors keep
 * their modes and plugs.  With vgpu->lock held.
 */
void vgpu_display_reset(struct vgpu *v);

/* Bytes of the OpRegion, inside it.  Any thread: they never change. */
void vgpu_opregion_read(struct vgpu *v, uint32_t offset, void *buf, size_t len);

/* IMR or IER of a pipe's interrupt block changed; with vgpu->lock held. */
void vgpu_display_irq_changed(struct vgpu *v, unsigned int pipe);

/* A command flips a plane, as a write to its PLANE_SURF does.  Any thread; takes vgpu->lock. */
void vgpu_display_flip(struct vgpu *v, const struct gpu_flip *flip);

/* Brings the frame and flip counters of vgpu->counters up to now; with vgpu->lock held. */
void vgpu_display_count(struct vgpu *v);

#endif
