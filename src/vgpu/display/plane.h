/* SPDX-License-Identifier: MIT */
/* What the registers of a plane or cursor mean, as a display_plane.  Pure functions. */
#ifndef VGPU_DISPLAY_PLANE_H
#define VGPU_DISPLAY_PLANE_H

#include "display/display.h"

#define PLANE_CTL_TILED_SHIFT 10
#define PLANE_CTL_TILED_MASK  (7u << PLANE_CTL_TILED_SHIFT)

/* The registers of one plane that say what it shows; latched together. */
struct vgpu_plane_regs {
	uint32_t ctl, stride, pos, size, offset, surf;
};

struct vgpu_cursor_regs {
	uint32_t cntr, pos, base, fbc_ctl;
};

/* A format or rotation that is not shown leaves the plane disabled. */
void vgpu_plane_decode(const struct vgpu_plane_regs *regs, struct display_plane *plane);
void vgpu_cursor_decode(const struct vgpu_cursor_regs *regs, struct display_plane *plane);

#endif
