/* SPDX-License-Identifier: MIT */
/*
 * Timings and EDIDs of many sizes on both kinds of port: the preferred mode decoded from the bytes
 * is the mode asked for, within what i915 accepts, and every mode offered fits below it.  With
 * --write FOLDER the EDIDs are left as files, for edid-decode to judge.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/leaks.h"
#include "vgpu/display/edid.h"

static const struct {
	uint32_t width, height, refresh_hz;
} sizes[] = {
	{ 320, 200, 60 },    { 640, 480, 60 },	 { 800, 600, 60 },   { 1024, 768, 60 },
	{ 1024, 600, 60 },   { 1152, 864, 75 },	 { 1280, 720, 60 },  { 1280, 800, 60 },
	{ 1280, 1024, 60 },  { 1366, 768, 60 },	 { 1440, 900, 60 },  { 1600, 900, 60 },
	{ 1600, 1200, 60 },  { 1680, 1050, 60 }, { 1920, 1080, 60 }, { 1920, 1080, 30 },
	{ 1920, 1080, 120 }, { 1920, 1200, 60 }, { 2048, 1152, 60 }, { 2560, 1080, 60 },
	{ 2560, 1440, 60 },  { 2560, 1600, 60 }, { 3440, 1440, 30 }, { 3840, 2160, 30 },
	{ 1000, 1000, 60 },  { 1234, 566, 50 },	 { 2000, 2160, 24 }, { 642, 482, 60 },
	{ 3840, 200, 60 },   { 320, 2160, 60 },	 { 1080, 1920, 60 },
};

static uint32_t le16(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8;
}

static void checksum_check(const uint8_t *block)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < 128; i++)
		sum = (uint8_t)(sum + block[i]);
	assert_int_equal(sum, 0);
}

/* Reads a detailed timing descriptor as drm_edid.c does. */
static struct vgpu_timing detailed_read(const uint8_t *d)
{
	uint32_t hblank = d[3] | (d[4] & 0xfu) << 8, vblank = d[6] | (d[7] & 0xfu) << 8;
	uint32_t hfront = d[8] | (d[11] & 0xc0u) << 2, hsync = d[9] | (d[11] & 0x30u) << 4;
	uint32_t vfront = d[10] >> 4 | (d[11] & 0xcu) << 2, vsync = (d[10] & 15) | (d[11] & 3u)
											   << 4;
	struct vgpu_timing t;

	t.clock_khz = le16(d) * 10;
	t.hdisplay = (uint16_t)(d[2] | (d[4] & 0xf0u) << 4);
	t.vdisplay = (uint16_t)(d[5] | (d[7] & 0xf0u) << 4);
	t.hsync_start = (uint16_t)(t.hdisplay + hfront);
	t.hsync_end = (uint16_t)(t.hsync_start + hsync);
	t.htotal = (uint16_t)(t.hdisplay + hblank);
	t.vsync_start = (uint16_t)(t.vdisplay + vfront);
	t.vsync_end = (uint16_t)(t.vsync_start + vsync);
	t.vtotal = (uint16_t)(t.vdisplay + vblank);
	assert_int_equal(d[17] & 0x18, 0x18); /* separate digital syncs */
	t.vsync_positive = d[17] & 4;
	t.hsync_positive = d[17] & 2;
	return t;
}

static void standard_check(const uint8_t *edid, const struct vgpu_timing *t)
{
	static const uint32_t rows[4][2] = { { 10, 16 }, { 3, 4 }, { 4, 5 }, { 9, 16 } };

	for (size_t i = 38; i < 54; i += 2) {
		uint32_t width, height;

		if (edid[i] == 1 && edid[i + 1] == 1)
			continue;
		width = (edid[i] + 31u) * 8;
		height = width * rows[edid[i + 1] >> 6][0] / rows[edid[i + 1] >> 6][1];
		assert_int_equal(edid[i + 1] & 63, 0);
		assert_true(width <= t->hdisplay && height <= t->vdisplay);
	}
}

/* i915: intel_mode_valid() and the ports' own limits. */
static void timing_check(enum vgpu_port_kind kind, const struct vgpu_timing *t, bool hdmi_sink)
{
	assert_true(t->hsync_start > t->hdisplay && t->hsync_end > t->hsync_start);
	assert_true(t->htotal >= t->hsync_end && t->htotal - t->hdisplay >= 32);
	assert_true(t->vsync_start > t->vdisplay && t->vsync_end > t->vsync_start);
	assert_true(t->vtotal >= t->vsync_end && t->vtotal - t->vdisplay >= 5);
	assert_true(t->htotal <= 8192 && t->vtotal <= 8192);
	assert_true(t->clock_khz >= 25000);
	if (kind == VGPU_PORT_HDMI)
		assert_true(t->clock_khz <= (hdmi_sink ? 300000u : 165000u));
	else
		assert_true((uint64_t)t->clock_khz * 3 <= 540000u * 4);
}

static bool is_hdmi_sink(const uint8_t *edid, size_t bytes)
{
	const uint8_t *cta = edid + 128;

	if (bytes == 128)
		return false;
	assert_int_equal(edid[126], 1);
	assert_int_equal(cta[0], 2);
	assert_int_equal(cta[1], 3);
	checksum_check(cta);
	for (uint32_t at = 4; at < cta[2]; at += (cta[at] & 31u) + 1) {
		if (cta[at] >> 5 == 3 && cta[at + 1] == 0x03 && cta[at + 2] == 0x0c) {
			assert_int_equal(cta[at + 7] * 5, 300);
			return true;
		}
	}
	return false;
}

static void edid_check(enum vgpu_port_kind kind, const struct vgpu_timing *t)
{
	static const uint8_t header[8] = { 0, 255, 255, 255, 255, 255, 255, 0 };
	uint8_t edid[VGPU_EDID_MAX_BYTES];
	size_t bytes = vgpu_edid_build(kind, t, 1, edid);
	struct vgpu_timing read;

	assert_memory_equal(edid, header, 8);
	checksum_check(edid);
	assert_int_equal(edid[18], 1);
	assert_true(edid[20] & 0x80);
	assert_true(edid[24] & 2); /* the first descriptor is preferred */
	read = detailed_read(edid + 54);
	assert_int_equal(read.clock_khz, t->clock_khz / 10 * 10);
	read.clock_khz = t->clock_khz;
	assert_true(vgpu_timing_equal(&read, t));
	timing_check(kind, t, is_hdmi_sink(edid, bytes));
	standard_check(edid, t);
}

static void every_size_makes_a_believable_edid(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		for (int kind = VGPU_PORT_HDMI; kind <= VGPU_PORT_DP; kind++) {
			struct vgpu_timing t;
			int err;

			err = vgpu_timing_choose((enum vgpu_port_kind)kind, sizes[i].width,
						 sizes[i].height, sizes[i].refresh_hz, &t);
			assert_int_equal(err, 0);
			assert_int_equal(t.hdisplay, sizes[i].width);
			assert_int_equal(t.vdisplay, sizes[i].height);
			/* Within 1 % of what was asked. */
			assert_in_range(vgpu_timing_refresh_mhz(&t), sizes[i].refresh_hz * 990,
					sizes[i].refresh_hz * 1010);
			edid_check((enum vgpu_port_kind)kind, &t);
		}
	}
}

/* Every even size there is, not one by one but many of them. */
static void no_size_within_the_limits_is_refused(void **state)
{
	for (uint32_t width = 320; width <= 3840; width += 34) {
		for (uint32_t height = 200; height <= 2160; height += 23) {
			for (int kind = VGPU_PORT_HDMI; kind <= VGPU_PORT_DP; kind++) {
				struct vgpu_timing t;

				assert_int_equal(vgpu_timing_choose((enum vgpu_port_kind)kind,
								    width, height, 0, &t),
						 0);
				edid_check((enum vgpu_port_kind)kind, &t);
			}
		}
	}
}

static void the_largest_size_fits_each_link(void **state)
{
	struct vgpu_timing t;

	assert_int_equal(vgpu_timing_choose(VGPU_PORT_DP, 3840, 2160, 60, &t), 0);
	assert_int_equal(t.clock_khz, 533250);
	assert_int_equal(vgpu_timing_choose(VGPU_PORT_HDMI, 3840, 2160, 60, &t), -ERANGE);
	assert_int_equal(vgpu_timing_choose(VGPU_PORT_HDMI, 3840, 2160, 0, &t), 0);
	assert_in_range(vgpu_timing_refresh_mhz(&t), 29700, 30300);
	assert_true(t.clock_khz <= 300000);
}

static void senseless_wishes_are_refused(void **state)
{
	static const uint32_t bad[][3] = {
		{ 0, 0, 60 },
		{ 318, 200, 60 },
		{ 320, 199, 60 },
		{ 3842, 2160, 60 },
		{ 3840, 2161, 60 },
		{ 1023, 768, 60 },
		{ 1024, 768, 1 },
		{ 1024, 768, 1000 },
		{ 0x80000000, 768, 60 },
		{ 1024, 0xffffffff, 60 },
	};
	struct vgpu_timing t;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(
			vgpu_timing_choose(VGPU_PORT_DP, bad[i][0], bad[i][1], bad[i][2], &t),
			-EINVAL);
	assert_int_equal(vgpu_timing_choose(VGPU_PORT_NONE, 1024, 768, 60, &t), -EINVAL);
	assert_int_equal(vgpu_timing_choose(VGPU_PORT_DP, 640, 2160, 144, &t), -ERANGE);
}

/* A plain monitor stays a DVI sink: fewer registers for the driver to write. */
static void only_fast_hdmi_has_an_extension(void **state)
{
	uint8_t edid[VGPU_EDID_MAX_BYTES];
	struct vgpu_timing t;

	vgpu_timing_choose(VGPU_PORT_HDMI, 1920, 1080, 60, &t);
	assert_int_equal(vgpu_edid_build(VGPU_PORT_HDMI, &t, 1, edid), 128);
	assert_int_equal(edid[126], 0);
	vgpu_timing_choose(VGPU_PORT_HDMI, 2560, 1440, 60, &t);
	assert_int_equal(vgpu_edid_build(VGPU_PORT_HDMI, &t, 1, edid), 256);
	vgpu_timing_choose(VGPU_PORT_DP, 3840, 2160, 60, &t);
	assert_int_equal(vgpu_edid_build(VGPU_PORT_DP, &t, 1, edid), 128);
}

static void smaller_standard_modes_are_offered(void **state)
{
	uint8_t edid[VGPU_EDID_MAX_BYTES];
	struct vgpu_timing t;
	unsigned int count = 0;

	vgpu_timing_choose(VGPU_PORT_HDMI, 1920, 1080, 60, &t);
	vgpu_edid_build(VGPU_PORT_HDMI, &t, 1, edid);
	assert_int_equal(edid[35], 0x21);
	assert_int_equal(edid[36], 0x08);
	for (size_t i = 38; i < 54; i += 2)
		count += edid[i] != 1;
	assert_int_equal(count, 6); /* 1280x720, x800, x1024, 1440x900, 1600x900, 1680x1050 */
}

static int edids_write(const char *folder)
{
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		for (int kind = VGPU_PORT_HDMI; kind <= VGPU_PORT_DP; kind++) {
			uint8_t edid[VGPU_EDID_MAX_BYTES];
			struct vgpu_timing t;
			char path[512];
			size_t bytes;
			FILE *file;

			if (vgpu_timing_choose((enum vgpu_port_kind)kind, sizes[i].width,
					       sizes[i].height, sizes[i].refresh_hz, &t))
				return 1;
			bytes = vgpu_edid_build((enum vgpu_port_kind)kind, &t, 1, edid);
			snprintf(path, sizeof(path), "%s/%ux%u-%u-%d.edid", folder, sizes[i].width,
				 sizes[i].height, sizes[i].refresh_hz, kind);
			file = fopen(path, "wb");
			if (!file)
				return 1;
			fwrite(edid, 1, bytes, file);
			fclose(file);
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		leak_checked(every_size_makes_a_believable_edid),
		leak_checked(no_size_within_the_limits_is_refused),
		leak_checked(the_largest_size_fits_each_link),
		leak_checked(senseless_wishes_are_refused),
		leak_checked(only_fast_hdmi_has_an_extension),
		leak_checked(smaller_standard_modes_are_offered),
	};

	if (argc == 3 && !strcmp(argv[1], "--write"))
		return edids_write(argv[2]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
