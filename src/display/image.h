/* SPDX-License-Identifier: MIT */
/* Sizes of pictures, within the layer. */
#ifndef DISPLAY_IMAGE_H
#define DISPLAY_IMAGE_H

#include "display/display.h"

/* The largest side and area we draw; a guest's registers can ask for more, and get -EINVAL. */
#define DISPLAY_MAX_SIZE   8192u
#define DISPLAY_MAX_PIXELS (32u << 20)

/* The pixels are undefined afterwards.  -EINVAL: no such size; -ENOMEM. */
int display_image_resize(struct display_image *image, uint32_t width, uint32_t height);

#endif
