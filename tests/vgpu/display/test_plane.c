/* SPDX-License-Identifier: MIT */
/* Plane and cursor registers with the values that i915 writes, and senseless ones. */
#include <string.h>

#include "tests/support/leaks.h"
#include "vgpu/display/plane.h"

static void the_console_is_linear_xrgb(void **state)
{
	const struct vgpu_plane_regs regs = {
		.ctl = 0x84042000, .stride = 0x40, .size = 0x02ff03ff, .surf = 0x40000
	};
	struct display_plane plane;

	vgpu_plane_decode(&regs, &plane);
	assert_true(plane.enabled);
	assert_int_equal(plane.format, DISPLAY_XRGB8888);
	assert_int_equal(plane.tiling, DISPLAY_LINEAR);
	assert_int_equal(plane.stride_bytes, 4096);
	assert_int_equal(plane.width, 1024);
	assert_int_equal(plane.height, 768);
	assert_int_equal(plane.surface.v, 0x40000);
}

static void formats_and_tilings(void **state)
{
	static const struct {
		uint32_t ctl;
		enum display_format format;
		enum display_tiling tiling;
		uint32_t stride_bytes;
	} cases[] = {
		{ 0x84000000, DISPLAY_XRGB8888, DISPLAY_LINEAR, 640 },
		{ 0x84100000, DISPLAY_XBGR8888, DISPLAY_LINEAR, 640 },
		{ 0x8e000000, DISPLAY_RGB565, DISPLAY_LINEAR, 640 },
		{ 0x82000000, DISPLAY_XRGB2101010, DISPLAY_LINEAR, 640 },
		{ 0x82100000, DISPLAY_XBGR2101010, DISPLAY_LINEAR, 640 },
		{ 0x84000400, DISPLAY_XRGB8888, DISPLAY_X_TILED, 5120 },
		{ 0x84001000, DISPLAY_XRGB8888, DISPLAY_Y_TILED, 1280 },
		{ 0x84009000, DISPLAY_XRGB8888, DISPLAY_Y_TILED, 1280 }, /* compressed */
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct vgpu_plane_regs regs = { .ctl = cases[i].ctl, .stride = 10 };
		struct display_plane plane;

		vgpu_plane_decode(&regs, &plane);
		assert_true(plane.enabled);
		assert_int_equal(plane.format, cases[i].format);
		assert_int_equal(plane.tiling, cases[i].tiling);
		assert_int_equal(plane.stride_bytes, cases[i].stride_bytes);
	}
}

static void position_and_offset(void **state)
{
	const struct vgpu_plane_regs regs = {
		.ctl = 0x84000000, .pos = 0x00200010, .size = 0x00630031, .offset = 0x00040003
	};
	struct display_plane plane;

	vgpu_plane_decode(&regs, &plane);
	assert_int_equal(plane.x, 16);
	assert_int_equal(plane.y, 32);
	assert_int_equal(plane.width, 50);
	assert_int_equal(plane.height, 100);
	assert_int_equal(plane.offset_x, 3);
	assert_int_equal(plane.offset_y, 4);
}

static void what_is_not_shown_is_off(void **state)
{
	/* Off, NV12, FP16, indexed, Yf-tiled, tilings that are none, rotated. */
	static const uint32_t ctls[] = { 0x04000000, 0x81000000, 0x86000000, 0x8c000000, 0x84001400,
					 0x84000800, 0x84001c00, 0x84000001, 0x84000002 };

	for (size_t i = 0; i < ARRAY_SIZE(ctls); i++) {
		const struct vgpu_plane_regs regs = { .ctl = ctls[i] };
		struct display_plane plane;

		vgpu_plane_decode(&regs, &plane);
		assert_false(plane.enabled);
	}
}

static void cursor_sizes(void **state)
{
	static const uint32_t modes[][2] = { { 0x27, 64 }, { 0x22, 128 }, { 0x23, 256 } };

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		const struct vgpu_cursor_regs regs = { .cntr = modes[i][0] | BIT(26),
						       .base = 0x123000 };
		struct display_plane plane;

		vgpu_cursor_decode(&regs, &plane);
		assert_true(plane.enabled);
		assert_int_equal(plane.format, DISPLAY_ARGB8888);
		assert_int_equal(plane.width, modes[i][1]);
		assert_int_equal(plane.height, modes[i][1]);
		assert_int_equal(plane.stride_bytes, modes[i][1] * 4);
		assert_int_equal(plane.surface.v, 0x123000);
	}
}

static void cursor_positions_have_signs(void **state)
{
	static const struct {
		uint32_t pos;
		int32_t x, y;
	} cases[] = { { 0x00640032, 50, 100 },
		      { 0x8005800a, -10, -5 },
		      { 0x0000803f, -63, 0 },
		      { 0x80400000, 0, -64 } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct vgpu_cursor_regs regs = { .cntr = 0x27, .pos = cases[i].pos };
		struct display_plane plane;

		vgpu_cursor_decode(&regs, &plane);
		assert_int_equal(plane.x, cases[i].x);
		assert_int_equal(plane.y, cases[i].y);
	}
}

static void cursors_may_be_low(void **state)
{
	struct vgpu_cursor_regs regs = { .cntr = 0x27, .fbc_ctl = 0x80000000 | 31 };
	struct display_plane plane;

	vgpu_cursor_decode(&regs, &plane);
	assert_int_equal(plane.height, 32);
	regs.fbc_ctl = 0x800000ff;
	vgpu_cursor_decode(&regs, &plane);
	assert_int_equal(plane.height, 64);
	regs.cntr = 0;
	vgpu_cursor_decode(&regs, &plane);
	assert_false(plane.enabled);
	regs.cntr = 0x07; /* an AND/XOR mode */
	vgpu_cursor_decode(&regs, &plane);
	assert_false(plane.enabled);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_checked(the_console_is_linear_xrgb),
		leak_checked(formats_and_tilings),
		leak_checked(position_and_offset),
		leak_checked(what_is_not_shown_is_off),
		leak_checked(cursor_sizes),
		leak_checked(cursor_positions_have_signs),
		leak_checked(cursors_may_be_low),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
