/* SPDX-License-Identifier: MIT */
/*
 * The arithmetic of a raster.  A blank is n * period from the start, not period from the last
 * one, so a late timer never makes the rate drift.  128-bit products: nanoseconds times kilohertz
 * pass 64 bits within a day.  Pure functions, any thread.
 */
#include "vgpu/display/vblank.h"

#define MAX_REFRESH_HZ	    240u
#define FALLBACK_REFRESH_HZ 60u
#define PIPEDSL_LINE_MASK   0xfffffu

typedef unsigned __int128 wide_t;

void vgpu_raster_init(struct vgpu_raster *raster, uint64_t start_ns, uint32_t clock_khz,
		      uint32_t htotal, uint32_t vtotal, uint32_t vblank_start)
{
	uint64_t pixels, max_khz;

	/* Sync widths and blanking need a few pixels and lines; less is no raster. */
	htotal = MAX(htotal, 64u);
	vtotal = MAX(vtotal, 8u);
	pixels = (uint64_t)htotal * vtotal;
	max_khz = pixels * MAX_REFRESH_HZ / 1000 + 1;
	if (!clock_khz)
		clock_khz = (uint32_t)(pixels * FALLBACK_REFRESH_HZ / 1000 + 1);
	*raster = (struct vgpu_raster){
		.start_ns = start_ns,
		.clock_khz = (uint32_t)MIN((uint64_t)clock_khz, max_khz),
		.htotal = htotal,
		.vtotal = vtotal,
		.vblank_start = MIN(MAX(vblank_start, 1u), vtotal - 1),
		.line_offset = 1,
	};
}

static uint64_t lines_since_start(const struct vgpu_raster *raster, uint64_t now_ns)
{
	uint64_t elapsed_ns = now_ns > raster->start_ns ? now_ns - raster->start_ns : 0;
	wide_t pixels = (wide_t)elapsed_ns * raster->clock_khz / 1000000u;

	return (uint64_t)(pixels / raster->htotal);
}

uint64_t vgpu_raster_frames(const struct vgpu_raster *raster, uint64_t now_ns)
{
	uint64_t lines = lines_since_start(raster, now_ns);

	return (lines + raster->vtotal - raster->vblank_start) / raster->vtotal;
}

uint32_t vgpu_raster_scanline(const struct vgpu_raster *raster, uint64_t now_ns)
{
	uint64_t lines = lines_since_start(raster, now_ns);
	uint64_t line = (lines + raster->vtotal - raster->line_offset) % raster->vtotal;

	/*
	 * Haswell's counter reads 0 for a moment before the blank, so i915 reads a 0 again, up to
	 * a hundred times.  It gets the line after instead, and reads once.
	 */
	return line ? (uint32_t)line & PIPEDSL_LINE_MASK : 1;
}

uint64_t vgpu_raster_vblank_ns(const struct vgpu_raster *raster, uint64_t n)
{
	wide_t lines = (wide_t)(n ? n - 1 : 0) * raster->vtotal + raster->vblank_start;
	wide_t pixels = lines * raster->htotal;

	return raster->start_ns +
	       (uint64_t)((pixels * 1000000u + raster->clock_khz - 1) / raster->clock_khz);
}

uint32_t vgpu_raster_refresh_mhz(const struct vgpu_raster *raster)
{
	return (uint32_t)((uint64_t)raster->clock_khz * 1000000u /
			  ((uint64_t)raster->htotal * raster->vtotal));
}
