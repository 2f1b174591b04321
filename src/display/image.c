/* SPDX-License-Identifier: MIT */
/* Pictures: memory that grows and is kept.  An image belongs to one thread at a time. */
#include "display/image.h"

#include <errno.h>
#include <stdlib.h>

int display_image_resize(struct display_image *image, uint32_t width, uint32_t height)
{
	size_t pixels = (size_t)width * height;
	uint32_t *memory;

	if (!width || !height || width > DISPLAY_MAX_SIZE || height > DISPLAY_MAX_SIZE ||
	    pixels > DISPLAY_MAX_PIXELS)
		return -EINVAL;
	if (pixels > image->capacity_pixels) {
		memory = realloc(image->pixels, pixels * sizeof(*memory));
		if (!memory)
			return -ENOMEM;
		image->pixels = memory;
		image->capacity_pixels = pixels;
	}
	image->width = width;
	image->height = height;
	return 0;
}

void display_image_fini(struct display_image *image)
{
	free(image->pixels);
	*image = (struct display_image){ .width = 0 };
}
