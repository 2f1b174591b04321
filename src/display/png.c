/* SPDX-License-Identifier: MIT */
/* Writes a picture as a PNG file, whole or not at all.  Any thread. */
#include <png.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "display/display.h"

/* libpng leaves its functions by longjmp() on an error; nothing here lives across that. */
static int write_rows(png_structp png, png_infop info, FILE *file,
		      const struct display_image *image, png_bytep row)
{
	if (setjmp(png_jmpbuf(png)))
		return -EIO;
	png_init_io(png, file);
	png_set_compression_level(png, 4);
	png_set_IHDR(png, info, image->width, image->height, 8, PNG_COLOR_TYPE_RGB,
		     PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
	png_write_info(png, info);
	for (uint32_t y = 0; y < image->height; y++) {
		const uint32_t *from = image->pixels + (size_t)y * image->width;

		for (uint32_t x = 0; x < image->width; x++) {
			row[3 * x] = (png_byte)(from[x] >> 16);
			row[3 * x + 1] = (png_byte)(from[x] >> 8);
			row[3 * x + 2] = (png_byte)from[x];
		}
		png_write_row(png, row);
	}
	png_write_end(png, info);
	return 0;
}

static int file_write(FILE *file, const struct display_image *image)
{
	png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
	png_infop info = png ? png_create_info_struct(png) : NULL;
	png_bytep row = malloc((size_t)image->width * 3);
	int err = -ENOMEM;

	if (info && row)
		err = write_rows(png, info, file, image, row);
	free(row);
	png_destroy_write_struct(&png, &info);
	return err;
}

int display_png_write(const struct display_image *image, const char *path)
{
	char *temporary;
	FILE *file;
	int err;

	if (!image->width || !image->height)
		return -EINVAL;
	if (asprintf(&temporary, "%s.part", path) < 0)
		return -ENOMEM;
	file = fopen(temporary, "wbe");
	if (!file) {
		err = -errno;
		free(temporary);
		return err;
	}
	err = file_write(file, image);
	if (fclose(file) && !err)
		err = -errno;
	if (!err && rename(temporary, path))
		err = -errno;
	if (err)
		unlink(temporary);
	free(temporary);
	return err;
}
