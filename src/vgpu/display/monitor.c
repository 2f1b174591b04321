/* SPDX-License-Identifier: MIT */
/*
 * Chooses the video timing of a monitor.  i915 believes an EDID only as far as its own limits go:
 * at least 25 MHz and at most 300 MHz of TMDS clock on a Skylake HDMI port, four lanes of
 * 5.4 Gb/s on DisplayPort; a detailed timing descriptor itself ends at 655.35 MHz.  Pure
 * functions, any thread.
 */
#include "vgpu/display/monitor.h"

#include <errno.h>

#define HDMI_MIN_KHZ	   25000u
#define HDMI_MAX_KHZ	   300000u
/* 4 lanes * 540 MB/s after 8b/10b at 3 bytes a pixel is 720 MHz; the descriptor ends before. */
#define DP_MAX_KHZ	   655350u
#define MIN_REFRESH_HZ	   24u
#define MAX_REFRESH_HZ	   144u
#define MAX_HSYNC_KHZ	   255u /* what the range descriptor can say */
#define CVT_RB_HBLANK	   160u
#define CVT_RB_VBLANK_US   460u
#define CVT_CLOCK_STEP_KHZ 250u

/* VESA DMT, 60 Hz; where VESA defines both blankings of a size, the one up to 165 MHz. */
static const struct vgpu_timing dmt_60hz[] = {
	{ 25175, 640, 656, 752, 800, 480, 490, 492, 525, false, false },
	{ 40000, 800, 840, 968, 1056, 600, 601, 605, 628, true, true },
	{ 65000, 1024, 1048, 1184, 1344, 768, 771, 777, 806, false, false },
	{ 74250, 1280, 1390, 1430, 1650, 720, 725, 730, 750, true, true },
	{ 71000, 1280, 1328, 1360, 1440, 800, 803, 809, 823, true, false },
	{ 108000, 1280, 1328, 1440, 1688, 1024, 1025, 1028, 1066, true, true },
	{ 85500, 1366, 1436, 1579, 1792, 768, 771, 774, 798, true, true },
	{ 88750, 1440, 1488, 1520, 1600, 900, 903, 909, 926, true, false },
	{ 108000, 1600, 1624, 1704, 1800, 900, 901, 904, 1000, true, true },
	{ 162000, 1600, 1664, 1856, 2160, 1200, 1201, 1204, 1250, true, true },
	{ 119000, 1680, 1728, 1760, 1840, 1050, 1053, 1059, 1080, true, false },
	{ 148500, 1920, 2008, 2052, 2200, 1080, 1084, 1089, 1125, true, true },
	{ 154000, 1920, 1968, 2000, 2080, 1200, 1203, 1209, 1235, true, false },
};

uint32_t vgpu_timing_refresh_mhz(const struct vgpu_timing *timing)
{
	uint64_t pixels = (uint64_t)timing->htotal * timing->vtotal;

	return pixels ? (uint32_t)((uint64_t)timing->clock_khz * 1000000u / pixels) : 0;
}

bool vgpu_timing_equal(const struct vgpu_timing *a, const struct vgpu_timing *b)
{
	return a->clock_khz == b->clock_khz && a->hdisplay == b->hdisplay &&
	       a->hsync_start == b->hsync_start && a->hsync_end == b->hsync_end &&
	       a->htotal == b->htotal && a->vdisplay == b->vdisplay &&
	       a->vsync_start == b->vsync_start && a->vsync_end == b->vsync_end &&
	       a->vtotal == b->vtotal && a->hsync_positive == b->hsync_positive &&
	       a->vsync_positive == b->vsync_positive;
}

static const struct vgpu_timing *dmt_find(uint32_t width, uint32_t height)
{
	for (size_t i = 0; i < ARRAY_SIZE(dmt_60hz); i++) {
		if (dmt_60hz[i].hdisplay == width && dmt_60hz[i].vdisplay == height)
			return &dmt_60hz[i];
	}
	return NULL;
}

/* CVT tells the aspect ratio by the width of the vertical sync. */
static uint32_t cvt_vsync_lines(uint32_t width, uint32_t height)
{
	if (width * 3 == height * 4)
		return 4;
	if (width * 9 == height * 16)
		return 5;
	if (width * 10 == height * 16)
		return 6;
	if (width * 4 == height * 5 || width * 9 == height * 15)
		return 7;
	return 10;
}

/* CVT 1.2, reduced blanking version 1, in whole numbers. */
static void cvt_reduced(uint32_t width, uint32_t height, uint32_t refresh_hz, struct vgpu_timing *t)
{
	uint32_t vsync = cvt_vsync_lines(width, height);
	/* Time of one line in picoseconds, were the vertical blanking exactly the minimum. */
	uint64_t frame_ps = 1000000000000ull / refresh_hz;
	uint64_t line_ps = (frame_ps - CVT_RB_VBLANK_US * 1000000ull) / height;
	uint32_t vblank = (uint32_t)(CVT_RB_VBLANK_US * 1000000ull / line_ps) + 1;
	uint32_t vtotal, htotal = width + CVT_RB_HBLANK;
	uint32_t clock_khz;

	vblank = MAX(vblank, 3 + vsync + 6);
	vtotal = height + vblank;
	clock_khz = (uint32_t)((uint64_t)refresh_hz * htotal * vtotal / 1000);
	clock_khz -= clock_khz % CVT_CLOCK_STEP_KHZ;
	if (clock_khz < HDMI_MIN_KHZ) {
		/* A small picture in a clock that the port can make: longer lines. */
		clock_khz = HDMI_MIN_KHZ + CVT_CLOCK_STEP_KHZ;
		htotal = (uint32_t)((uint64_t)clock_khz * 1000 / refresh_hz / vtotal);
	}
	*t = (struct vgpu_timing){
		.clock_khz = clock_khz,
		.hdisplay = (uint16_t)width,
		.hsync_start = (uint16_t)(width + 48),
		.hsync_end = (uint16_t)(width + 80),
		.htotal = (uint16_t)htotal,
		.vdisplay = (uint16_t)height,
		.vsync_start = (uint16_t)(height + 3),
		.vsync_end = (uint16_t)(height + 3 + vsync),
		.vtotal = (uint16_t)vtotal,
		.hsync_positive = true,
	};
}

static int timing_check(enum vgpu_port_kind kind, const struct vgpu_timing *t)
{
	uint32_t limit_khz = kind == VGPU_PORT_HDMI ? HDMI_MAX_KHZ : DP_MAX_KHZ;

	if (t->clock_khz > limit_khz || t->clock_khz / t->htotal >= MAX_HSYNC_KHZ)
		return -ERANGE;
	return 0;
}

int vgpu_timing_choose(enum vgpu_port_kind kind, uint32_t width, uint32_t height,
		       uint32_t refresh_hz, struct vgpu_timing *timing)
{
	const struct vgpu_timing *standard = dmt_find(width, height);

	if (kind != VGPU_PORT_HDMI && kind != VGPU_PORT_DP)
		return -EINVAL;
	if (width < VGPU_MONITOR_MIN_WIDTH || width > VGPU_MONITOR_MAX_WIDTH || width % 2 ||
	    height < VGPU_MONITOR_MIN_HEIGHT || height > VGPU_MONITOR_MAX_HEIGHT)
		return -EINVAL;
	if (!refresh_hz) {
		int err = vgpu_timing_choose(kind, width, height, 60, timing);

		return err == -ERANGE ? vgpu_timing_choose(kind, width, height, 30, timing) : err;
	}
	if (refresh_hz < MIN_REFRESH_HZ || refresh_hz > MAX_REFRESH_HZ)
		return -EINVAL;
	if (refresh_hz == 60 && standard)
		*timing = *standard;
	else
		cvt_reduced(width, height, refresh_hz, timing);
	return timing_check(kind, timing);
}
