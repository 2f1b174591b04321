/* SPDX-License-Identifier: MIT */
/* What the GT's small registers need at a reset.  Under vgpu->lock. */
#ifndef VGPU_GT_H
#define VGPU_GT_H

struct vgpu;

/* Fills the PVINFO page from the vGPU's type. */
void vgpu_pvinfo_reset(struct vgpu *v);

#endif
