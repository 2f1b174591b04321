/* SPDX-License-Identifier: MIT */
/* The raster as a function of time: counters agree, nothing drifts, nothing divides by nothing. */
#include "base/clock.h"
#include "tests/support/leaks.h"
#include "vgpu/display/vblank.h"

#define START_NS 123456789ull

/* 1024x768 at 60 Hz. */
static void xga(struct vgpu_raster *raster)
{
	vgpu_raster_init(raster, START_NS, 65000, 1344, 806, 768);
}

static void the_rate_is_the_modes(void **state)
{
	struct vgpu_raster raster;

	xga(&raster);
	assert_int_equal(vgpu_raster_refresh_mhz(&raster), 60003);
	/* 10 s, 100 days. */
	assert_in_range(vgpu_raster_frames(&raster, START_NS + 10 * NSEC_PER_SEC), 600, 601);
	assert_in_range(vgpu_raster_frames(&raster, START_NS + 8640000 * NSEC_PER_SEC),
			60003ull * 8640, 60004ull * 8640);
}

static void a_blank_is_where_the_counter_steps(void **state)
{
	struct vgpu_raster raster;

	xga(&raster);
	for (uint64_t n = 1; n < 2000000; n = n * 3 + 1) {
		uint64_t at = vgpu_raster_vblank_ns(&raster, n);

		assert_int_equal(vgpu_raster_frames(&raster, at), n);
		assert_int_equal(vgpu_raster_frames(&raster, at - 2), n - 1);
		/* The line counter is one behind: it reads 767 in line 768. */
		assert_int_equal(vgpu_raster_scanline(&raster, at), 767);
		assert_int_equal(vgpu_raster_scanline(&raster, at - 2), 766);
	}
}

static void lines_go_round_and_never_read_zero(void **state)
{
	struct vgpu_raster raster;
	uint32_t seen = 0, last = 0;

	xga(&raster);
	for (uint64_t t = 0; t < 17 * NSEC_PER_MSEC; t += 10000) {
		uint32_t line = vgpu_raster_scanline(&raster, START_NS + t);

		assert_in_range(line, 1, 805);
		seen += line != last;
		last = line;
	}
	assert_in_range(seen, 780, 830);
}

static void before_the_start_nothing_has_happened(void **state)
{
	struct vgpu_raster raster;

	xga(&raster);
	assert_int_equal(vgpu_raster_frames(&raster, 0), 0);
	assert_int_equal(vgpu_raster_frames(&raster, START_NS), 0);
}

static void senseless_modes_become_plain_ones(void **state)
{
	static const uint32_t values[] = { 0, 1, 7, 64, 8192, 0x1fffffff, 0xffffffff };
	struct vgpu_raster raster;

	for (size_t c = 0; c < ARRAY_SIZE(values); c++) {
		for (size_t h = 0; h < 5; h++) {
			for (size_t v = 0; v < 5; v++) {
				vgpu_raster_init(&raster, 0, values[c], values[h], values[v],
						 values[(c + h) % ARRAY_SIZE(values)]);
				assert_true(vgpu_raster_refresh_mhz(&raster) <= 250000);
				assert_true(raster.vblank_start < raster.vtotal);
				assert_true(vgpu_raster_vblank_ns(&raster, 2) >
					    vgpu_raster_vblank_ns(&raster, 1));
				vgpu_raster_scanline(&raster, UINT64_MAX);
			}
		}
	}
	vgpu_raster_init(&raster, 0, 0, 1344, 806, 768);
	assert_in_range(vgpu_raster_refresh_mhz(&raster), 59900, 60100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_checked(the_rate_is_the_modes),
		leak_checked(a_blank_is_where_the_counter_steps),
		leak_checked(lines_go_round_and_never_read_zero),
		leak_checked(before_the_start_nothing_has_happened),
		leak_checked(senseless_modes_become_plain_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
