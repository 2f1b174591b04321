/* SPDX-License-Identifier: MIT */
/* The monitors' video timings: which clock and blanking a size asked for gets.  Pure functions. */
#ifndef VGPU_DISPLAY_MONITOR_H
#define VGPU_DISPLAY_MONITOR_H

#include "vgpu/vgpu.h"

#define VGPU_MONITOR_MIN_WIDTH	320u
#define VGPU_MONITOR_MIN_HEIGHT 200u
#define VGPU_MONITOR_MAX_WIDTH	3840u
#define VGPU_MONITOR_MAX_HEIGHT 2160u

/* A progressive mode; positions in pixels and lines from the start of the active picture. */
struct vgpu_timing {
	uint32_t clock_khz;
	uint16_t hdisplay, hsync_start, hsync_end, htotal;
	uint16_t vdisplay, vsync_start, vsync_end, vtotal;
	bool hsync_positive, vsync_positive;
};

/*
 * The timing of @width x @height at @refresh_hz on a port of @kind: VESA's where there is a
 * standard one, CVT with reduced blanking otherwise.  @refresh_hz 0 takes 60 Hz, or 30 Hz where
 * the link cannot carry 60.  -EINVAL: no such size, rate or port; -ERANGE: the link is too slow.
 */
int vgpu_timing_choose(enum vgpu_port_kind kind, uint32_t width, uint32_t height,
		       uint32_t refresh_hz, struct vgpu_timing *timing);

bool vgpu_timing_equal(const struct vgpu_timing *a, const struct vgpu_timing *b);

/* Frames in 1000 seconds. */
uint32_t vgpu_timing_refresh_mhz(const struct vgpu_timing *timing);

#endif
