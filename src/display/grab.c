/* SPDX-License-Identifier: MIT */
/*
 * Draws what a head shows: the primary plane, and the cursor blended over it.  What the planes
 * ask for comes from a guest's registers; sizes are bounded and clipped here, once, and everything
 * after is plain arithmetic.  Called by sinks on their own threads, and by screenshots.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "display/image.h"
#include "display/surface.h"

#define MAX_OFFSET 8191u

/* The part of a plane that lies on the picture. */
struct clip {
	uint32_t to_x, to_y;	 /* in the picture */
	uint32_t from_x, from_y; /* in the surface */
	uint32_t width, height;
};

/* One axis: [at, at + size) against [0, limit); how much is cut off the front, and what is left. */
static uint32_t clip_axis(int32_t at, uint32_t size, uint32_t limit, uint32_t *cut)
{
	int64_t first = MAX((int64_t)at, 0), end = MIN((int64_t)at + size, (int64_t)limit);

	*cut = (uint32_t)(first - at);
	return end > first ? (uint32_t)(end - first) : 0;
}

/* False when nothing of @plane is to be seen, or it asks for what no plane can be. */
static bool clip_plane(const struct display_plane *plane, const struct display_image *image,
		       struct clip *clip)
{
	uint32_t cut_x, cut_y;

	if (!plane->enabled || plane->width > DISPLAY_MAX_SIZE ||
	    plane->height > DISPLAY_MAX_SIZE || plane->offset_x > MAX_OFFSET ||
	    plane->offset_y > MAX_OFFSET)
		return false;
	clip->width = clip_axis(plane->x, plane->width, image->width, &cut_x);
	clip->height = clip_axis(plane->y, plane->height, image->height, &cut_y);
	clip->to_x = (uint32_t)MAX(plane->x, 0);
	clip->to_y = (uint32_t)MAX(plane->y, 0);
	clip->from_x = plane->offset_x + cut_x;
	clip->from_y = plane->offset_y + cut_y;
	return clip->width && clip->height;
}

/* @to = @over + @to * (1 - alpha), the cursor's colours being multiplied by alpha already. */
static void row_blend(const uint32_t *over, uint32_t pixels, uint32_t *to)
{
	for (uint32_t i = 0; i < pixels; i++) {
		uint32_t through = 255 - (over[i] >> 24), sum = 0;

		if (through == 255 && !over[i])
			continue;
		for (unsigned int shift = 0; shift < 24; shift += 8) {
			uint32_t under = to[i] >> shift & 0xff;
			uint32_t part = (over[i] >> shift & 0xff) + (under * through + 127) / 255;

			sum |= MIN(part, 255u) << shift;
		}
		to[i] = sum;
	}
}

static int plane_draw(struct display_source *source, const struct display_plane *plane,
		      struct display_image *image)
{
	struct display_surface surface;
	struct clip clip;
	uint32_t *blend = NULL;
	int err;

	if (!clip_plane(plane, image, &clip))
		return 0;
	err = display_surface_init(&surface, source, plane, clip.from_x, clip.width);
	if (err)
		return err;
	if (plane->format == DISPLAY_ARGB8888) {
		blend = malloc((size_t)clip.width * sizeof(*blend));
		if (!blend) {
			display_surface_fini(&surface);
			return -ENOMEM;
		}
	}
	for (uint32_t y = 0; y < clip.height; y++) {
		uint32_t *to = image->pixels + (size_t)(clip.to_y + y) * image->width + clip.to_x;

		err = display_surface_read(&surface, clip.from_y + y);
		if (err)
			break;
		display_row_convert(plane->format, surface.row, clip.width, blend ? blend : to);
		if (blend)
			row_blend(blend, clip.width, to);
	}
	free(blend);
	display_surface_fini(&surface);
	return err;
}

/* The primary plane need not cover the pipe; what it leaves is black. */
static bool covers(const struct display_plane *plane, const struct display_image *image)
{
	return plane->enabled && plane->x <= 0 && plane->y <= 0 &&
	       (int64_t)plane->x + plane->width >= image->width &&
	       (int64_t)plane->y + plane->height >= image->height;
}

int display_grab(struct display_source *source, unsigned int index, struct display_image *image)
{
	struct display_head head;
	int err = source->ops->head(source, index, &head);

	if (err)
		return err;
	if (!head.active)
		return -EAGAIN;
	err = display_image_resize(image, head.width, head.height);
	if (err)
		return err;
	if (!covers(&head.primary, image))
		memset(image->pixels, 0,
		       (size_t)image->width * image->height * sizeof(*image->pixels));
	err = plane_draw(source, &head.primary, image);
	return err ? err : plane_draw(source, &head.cursor, image);
}
