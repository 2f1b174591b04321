/* SPDX-License-Identifier: MIT */
/* Rows of pixels out of a linear or tiled surface, within the layer. */
#ifndef DISPLAY_SURFACE_H
#define DISPLAY_SURFACE_H

#include "display/display.h"

/* Reads one plane of a source row by row.  Embedded; one thread. */
struct display_surface {
	struct display_source *source;
	const struct display_plane *plane;
	uint32_t bytes_per_pixel;
	uint32_t x, pixels;  /* the columns that are read */
	uint8_t *row;	     /* one linear row of them */
	uint8_t *band;	     /* one row of tiles */
	uint32_t band_index; /* which row of tiles band holds; UINT32_MAX: none */
	uint32_t band_tiles; /* how many tiles wide */
	uint32_t first_tile; /* its first tile in the surface's row of tiles */
};

/*
 * Prepares for columns [@x, @x + @pixels) of @plane's surface, both below 32,768.
 * -ENOMEM.  @plane must outlive the surface.
 */
int display_surface_init(struct display_surface *surface, struct display_source *source,
			 const struct display_plane *plane, uint32_t x, uint32_t pixels);
void display_surface_fini(struct display_surface *surface);

/* Reads row @y into surface->row; -EIO. */
int display_surface_read(struct display_surface *surface, uint32_t y);

/* Converts @pixels of @format at @from to B G R X words. */
void display_row_convert(enum display_format format, const uint8_t *from, uint32_t pixels,
			 uint32_t *to);

#endif
