/* SPDX-License-Identifier: MIT */
/* The grabber against a slow reference that computes each byte's address by the book. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "screen.h"
#include "tests/support/leaks.h"

static void fill_noise(struct screen *screen)
{
	uint32_t x = 12345;

	for (size_t i = 0; i < SCREEN_MEMORY_BYTES; i++) {
		x = x * 1664525u + 1013904223u;
		screen->memory[i] = (uint8_t)(x >> 24);
	}
}

/* Byte (@x bytes, @y rows) of a surface, one at a time. */
static uint64_t reference_address(const struct display_plane *plane, uint64_t x, uint64_t y)
{
	uint64_t tiles;

	switch (plane->tiling) {
	case DISPLAY_X_TILED:
		tiles = y / 8 * (plane->stride_bytes / 512) + x / 512;
		return plane->surface.v + tiles * 4096 + y % 8 * 512 + x % 512;
	case DISPLAY_Y_TILED:
		tiles = y / 32 * (plane->stride_bytes / 128) + x / 128;
		return plane->surface.v + tiles * 4096 + x % 128 / 16 * 512 + y % 32 * 16 + x % 16;
	default:
		return plane->surface.v + y * plane->stride_bytes + x;
	}
}

static uint32_t reference_pixel(const struct screen *screen, uint32_t x, uint32_t y)
{
	const struct display_plane *plane = &screen->head.primary;
	uint32_t bytes = plane->format == DISPLAY_RGB565 ? 2 : 4, raw = 0, r, g, b;

	for (uint32_t i = 0; i < bytes; i++) {
		uint64_t at = reference_address(plane, (uint64_t)(x + plane->offset_x) * bytes + i,
						y + plane->offset_y);

		raw |= (uint32_t)(at < SCREEN_MEMORY_BYTES ? screen->memory[at] : 0) << (8 * i);
	}
	switch (plane->format) {
	case DISPLAY_XBGR8888:
		r = raw & 255, g = raw >> 8 & 255, b = raw >> 16 & 255;
		break;
	case DISPLAY_RGB565:
		r = (raw >> 11) * 255 / 31, g = (raw >> 5 & 63) * 255 / 63,
		b = (raw & 31) * 255 / 31;
		break;
	case DISPLAY_XRGB2101010:
		r = raw >> 22 & 255, g = raw >> 12 & 255, b = raw >> 2 & 255;
		break;
	case DISPLAY_XBGR2101010:
		r = raw >> 2 & 255, g = raw >> 12 & 255, b = raw >> 22 & 255;
		break;
	default:
		return raw & 0xffffff;
	}
	return r << 16 | g << 8 | b;
}

/* 5-6-5 expands by rounding in one place and by repeating bits in the other: one apart at most. */
static bool close_enough(uint32_t a, uint32_t b, uint32_t slack)
{
	for (unsigned int shift = 0; shift < 24; shift += 8) {
		int d = (int)(a >> shift & 255) - (int)(b >> shift & 255);

		if (abs(d) > (int)slack)
			return false;
	}
	return true;
}

static void grab_compare(struct screen *screen)
{
	struct display_image image = { .width = 0 };
	uint32_t slack = screen->head.primary.format == DISPLAY_RGB565;

	assert_int_equal(display_grab(&screen->source, 0, &image), 0);
	assert_int_equal(image.width, screen->head.width);
	assert_int_equal(image.height, screen->head.height);
	for (uint32_t y = 0; y < image.height; y++) {
		for (uint32_t x = 0; x < image.width; x++) {
			uint32_t got = image.pixels[(size_t)y * image.width + x];

			if (!close_enough(got, reference_pixel(screen, x, y), slack))
				fail_msg("%u,%u: %06x, not %06x", x, y, got,
					 reference_pixel(screen, x, y));
		}
	}
	display_image_fini(&image);
}

static void every_format_in_every_tiling(void **state)
{
	static const enum display_format formats[] = { DISPLAY_XRGB8888, DISPLAY_XBGR8888,
						       DISPLAY_RGB565, DISPLAY_XRGB2101010,
						       DISPLAY_XBGR2101010 };
	static const enum display_tiling tilings[] = { DISPLAY_LINEAR, DISPLAY_X_TILED,
						       DISPLAY_Y_TILED };
	struct screen screen;

	screen_init(&screen, 203, 77);
	fill_noise(&screen);
	for (size_t f = 0; f < ARRAY_SIZE(formats); f++) {
		for (size_t t = 0; t < ARRAY_SIZE(tilings); t++) {
			screen_linear(&screen);
			screen.head.primary.format = formats[f];
			screen.head.primary.tiling = tilings[t];
			screen.head.primary.stride_bytes = 2048;
			screen.head.primary.surface = gma(0x5000);
			screen.head.primary.offset_x = 37;
			screen.head.primary.offset_y = 41;
			grab_compare(&screen);
		}
	}
	screen_fini(&screen);
}

static void a_row_of_tiles_is_read_once(void **state)
{
	struct screen screen;
	struct display_image image = { .width = 0 };

	screen_init(&screen, 256, 64);
	screen_linear(&screen);
	screen.head.primary.tiling = DISPLAY_Y_TILED;
	assert_int_equal(display_grab(&screen.source, 0, &image), 0);
	assert_int_equal(screen.reads, 2);
	display_image_fini(&image);
	screen_fini(&screen);
}

static void a_plane_smaller_than_the_pipe_leaves_black(void **state)
{
	struct screen screen;
	struct display_image image = { .width = 0 };

	screen_init(&screen, 32, 32);
	screen_linear(&screen);
	memset(screen.memory, 0xff, SCREEN_MEMORY_BYTES);
	screen.head.primary.x = 30;
	screen.head.primary.y = 31;
	assert_int_equal(display_grab(&screen.source, 0, &image), 0);
	for (uint32_t i = 0; i < 32 * 32; i++)
		assert_int_equal(image.pixels[i], i % 32 >= 30 && i / 32 >= 31 ? 0xffffff : 0);
	display_image_fini(&image);
	screen_fini(&screen);
}

static void cursor_put(struct screen *screen, uint32_t argb, int32_t x, int32_t y)
{
	for (uint32_t i = 0; i < 64 * 64; i++)
		memcpy(screen->memory + 0x100000 + 4 * i, &argb, 4);
	screen->head.cursor = (struct display_plane){
		.enabled = true,
		.format = DISPLAY_ARGB8888,
		.surface = gma(0x100000),
		.stride_bytes = 256,
		.x = x,
		.y = y,
		.width = 64,
		.height = 64,
	};
}

static uint32_t blended(uint32_t under, uint32_t argb)
{
	struct screen screen;
	struct display_image image = { .width = 0 };
	uint32_t pixel;

	screen_init(&screen, 100, 100);
	screen_linear(&screen);
	screen_set(&screen, 50, 50, under);
	cursor_put(&screen, argb, 20, 20);
	assert_int_equal(display_grab(&screen.source, 0, &image), 0);
	pixel = image.pixels[50 * 100 + 50];
	/* Outside the cursor nothing changes. */
	assert_int_equal(image.pixels[10 * 100 + 10], 0);
	display_image_fini(&image);
	screen_fini(&screen);
	return pixel;
}

static void the_cursor_is_blended_premultiplied(void **state)
{
	assert_int_equal(blended(0x102030, 0xff405060), 0x405060);
	assert_int_equal(blended(0x102030, 0x00000000), 0x102030);
	assert_int_equal(blended(0xffffff, 0x80000000), 0x7f7f7f);
	assert_int_equal(blended(0xffffff, 0x80808080), 0xffffff);
	/* More colour than alpha allows saturates, and goes no further. */
	assert_int_equal(blended(0xffffff, 0x80ffffff), 0xffffff);
	assert_int_equal(blended(0x000000, 0x00ff0000), 0xff0000);
}

static void the_cursor_is_cut_at_every_edge(void **state)
{
	static const int32_t places[][2] = { { -63, -63 }, { 99, 99 }, { -63, 99 }, { 99, -63 } };
	static const uint32_t corner[] = { 0, 99 * 100 + 99, 99 * 100, 99 };
	struct screen screen;
	struct display_image image = { .width = 0 };

	screen_init(&screen, 100, 100);
	screen_linear(&screen);
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		uint32_t lit = 0;

		cursor_put(&screen, 0xffffffff, places[i][0], places[i][1]);
		assert_int_equal(display_grab(&screen.source, 0, &image), 0);
		for (uint32_t p = 0; p < 100 * 100; p++)
			lit += image.pixels[p] != 0;
		assert_int_equal(lit, 1);
		assert_int_equal(image.pixels[corner[i]], 0xffffff);
	}
	cursor_put(&screen, 0xffffffff, -64, 0);
	assert_int_equal(display_grab(&screen.source, 0, &image), 0);
	assert_int_equal(image.pixels[0], 0);
	display_image_fini(&image);
	screen_fini(&screen);
}

static void a_head_that_is_off_or_absent_says_so(void **state)
{
	struct screen screen;
	struct display_image image = { .width = 0 };

	screen_init(&screen, 64, 64);
	assert_int_equal(display_grab(&screen.source, 1, &image), -ENODEV);
	screen.head.active = false;
	assert_int_equal(display_grab(&screen.source, 0, &image), -EAGAIN);
	screen_fini(&screen);
}

/* Whatever a guest puts into its registers: an error or a picture, nothing else. */
static void senseless_planes_do_no_harm(void **state)
{
	static const uint32_t values[] = { 0, 1, 63, 8191, 8192, 8193, 0x7fffffff, 0xffffffff };
	struct screen screen;
	struct display_image image = { .width = 0 };
	uint32_t x = 1;

	screen_init(&screen, 48, 48);
	screen_linear(&screen);
	for (unsigned int i = 0; i < 3000; i++) {
		struct display_plane *plane = i % 2 ? &screen.head.cursor : &screen.head.primary;
		uint32_t field[10];

		for (size_t f = 0; f < ARRAY_SIZE(field); f++) {
			x = x * 1664525u + 1013904223u;
			field[f] = values[x >> 24 & 7];
		}
		*plane = (struct display_plane){
			.enabled = true,
			.format = (enum display_format)(x >> 20 & 3),
			.tiling = (enum display_tiling)((x >> 16 & 0xff) % 3),
			.surface = gma((uint64_t)field[0] << (x >> 13 & 31)),
			.stride_bytes = field[1],
			.offset_x = field[2],
			.offset_y = field[3],
			.x = (int32_t)field[4],
			.y = (int32_t)field[5],
			.width = field[6],
			.height = field[7],
		};
		assert_int_equal(display_grab(&screen.source, 0, &image), 0);
	}
	display_image_fini(&image);
	screen_fini(&screen);
}

/* The first row that fails is the last that is asked for: each may take its time. */
static void memory_that_cannot_be_had_is_an_error(void **state)
{
	struct screen screen;
	struct display_image image = { .width = 0 };

	screen_init(&screen, 64, 64);
	screen_linear(&screen);
	for (int tiling = DISPLAY_LINEAR; tiling <= DISPLAY_Y_TILED; tiling++) {
		screen.head.primary.tiling = (enum display_tiling)tiling;
		screen.unreadable = true;
		screen.reads = 0;
		assert_int_equal(display_grab(&screen.source, 0, &image), -EIO);
		assert_int_equal(screen.reads, 1);
		screen.unreadable = false;
		assert_int_equal(display_grab(&screen.source, 0, &image), 0);
	}
	display_image_fini(&image);
	screen_fini(&screen);
}

static void sizes_without_end_are_refused(void **state)
{
	static const uint32_t sizes[][2] = {
		{ 0, 1 },    { 1, 0 },	     { 8193, 1 },
		{ 1, 8193 }, { 8192, 8192 }, { 0xffffffff, 0xffffffff }
	};
	struct screen screen;
	struct display_image image = { .width = 0 };

	screen_init(&screen, 64, 64);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		screen.head.width = sizes[i][0];
		screen.head.height = sizes[i][1];
		assert_int_equal(display_grab(&screen.source, 0, &image), -EINVAL);
	}
	display_image_fini(&image);
	screen_fini(&screen);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_checked(every_format_in_every_tiling),
		leak_checked(a_row_of_tiles_is_read_once),
		leak_checked(a_plane_smaller_than_the_pipe_leaves_black),
		leak_checked(the_cursor_is_blended_premultiplied),
		leak_checked(the_cursor_is_cut_at_every_edge),
		leak_checked(a_head_that_is_off_or_absent_says_so),
		leak_checked(senseless_planes_do_no_harm),
		leak_checked(memory_that_cannot_be_had_is_an_error),
		leak_checked(sizes_without_end_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
