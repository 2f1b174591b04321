/* SPDX-License-Identifier: MIT */
/* A picture written as PNG and read back is the same picture; failures leave no file. */
#include <png.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "display/display.h"
#include "tests/support/leaks.h"

static char directory[] = "/tmp/mediant-png-XXXXXX";

static int directory_make(void **state)
{
	return mkdtemp(directory) ? 0 : -1;
}

static int directory_remove(void **state)
{
	return rmdir(directory);
}

static char *path_of(const char *name)
{
	char *path;

	assert_true(asprintf(&path, "%s/%s", directory, name) > 0);
	return path;
}

static struct display_image picture(uint32_t width, uint32_t height)
{
	struct display_image image = { .width = width, .height = height };

	image.capacity_pixels = (size_t)width * height;
	image.pixels = malloc(image.capacity_pixels * sizeof(uint32_t));
	for (uint32_t i = 0; i < width * height; i++)
		image.pixels[i] = (i * 2654435761u) >> 8;
	return image;
}

static void a_picture_comes_back_the_same(void **state)
{
	struct display_image image = picture(123, 45);
	png_image png = { .version = PNG_IMAGE_VERSION };
	char *path = path_of("a.png");
	uint8_t *rgb;

	assert_int_equal(display_png_write(&image, path), 0);
	assert_true(png_image_begin_read_from_file(&png, path));
	assert_int_equal(png.width, 123);
	assert_int_equal(png.height, 45);
	png.format = PNG_FORMAT_RGB;
	rgb = malloc(PNG_IMAGE_SIZE(png));
	assert_true(png_image_finish_read(&png, NULL, rgb, 0, NULL));
	for (uint32_t i = 0; i < 123 * 45; i++)
		assert_int_equal(rgb[3 * i] << 16 | rgb[3 * i + 1] << 8 | rgb[3 * i + 2],
				 image.pixels[i]);
	free(rgb);
	unlink(path);
	free(path);
	display_image_fini(&image);
}

static void an_empty_picture_is_refused(void **state)
{
	struct display_image image = { .width = 0 };
	char *path = path_of("b.png");

	assert_int_equal(display_png_write(&image, path), -EINVAL);
	assert_int_equal(access(path, F_OK), -1);
	free(path);
}

static void a_folder_that_is_not_there_is_an_error(void **state)
{
	struct display_image image = picture(8, 8);
	char *path = path_of("nowhere/c.png");

	assert_int_equal(display_png_write(&image, path), -ENOENT);
	free(path);
	display_image_fini(&image);
}

/* The name is taken by a folder: the half-made file goes away again. */
static void a_failed_write_leaves_nothing(void **state)
{
	struct display_image image = picture(8, 8);

	assert_int_not_equal(display_png_write(&image, directory), 0);
	display_image_fini(&image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_checked(a_picture_comes_back_the_same),
		leak_checked(an_empty_picture_is_refused),
		leak_checked(a_folder_that_is_not_there_is_an_error),
		leak_checked(a_failed_write_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, directory_make, directory_remove);
}
