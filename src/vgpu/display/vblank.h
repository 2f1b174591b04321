/* SPDX-License-Identifier: MIT */
/*
 * The raster of a running pipe as a function of time: nothing ticks, every counter is computed
 * from one monotonic clock, so the line and frame counters can never disagree.  Pure functions.
 */
#ifndef VGPU_DISPLAY_VBLANK_H
#define VGPU_DISPLAY_VBLANK_H

#include "base/types.h"

struct vgpu_raster {
	uint64_t start_ns; /* when line 0 of frame 0 began */
	uint32_t clock_khz;
	uint32_t htotal, vtotal, vblank_start; /* pixels, lines, line */
	uint32_t line_offset;		       /* how far PIPEDSL is behind the line */
};

/*
 * Fills @raster from what the guest programmed, whatever that is: totals of nothing, a clock of
 * nothing or more than 240 frames a second become a plain 60 Hz or 240 Hz raster.
 */
void vgpu_raster_init(struct vgpu_raster *raster, uint64_t start_ns, uint32_t clock_khz,
		      uint32_t htotal, uint32_t vtotal, uint32_t vblank_start);

/* Starts of a vertical blank until @now_ns: the frame counter. */
uint64_t vgpu_raster_frames(const struct vgpu_raster *raster, uint64_t now_ns);
/* What PIPEDSL reads. */
uint32_t vgpu_raster_scanline(const struct vgpu_raster *raster, uint64_t now_ns);
/* When vertical blank number @n (1 is the first) starts: the first moment frames() is @n. */
uint64_t vgpu_raster_vblank_ns(const struct vgpu_raster *raster, uint64_t n);
/* Frames in 1000 seconds. */
uint32_t vgpu_raster_refresh_mhz(const struct vgpu_raster *raster);

#endif
