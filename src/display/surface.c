/* SPDX-License-Identifier: MIT */
/*
 * Reads scanout memory: row by row when it is linear, a row of tiles at a time when it is tiled
 * (a row of tiles is contiguous), each byte once.
 * Called by the grabber on a sink's thread; memory is read through the source.
 */
#include "display/surface.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/tiling.h"

static uint32_t format_bytes(enum display_format format)
{
	return format == DISPLAY_RGB565 ? 2 : 4;
}

/* Not for linear planes. */
static enum tiling tiling_of(const struct display_plane *plane)
{
	return plane->tiling == DISPLAY_X_TILED ? TILING_X : TILING_Y;
}

int display_surface_init(struct display_surface *surface, struct display_source *source,
			 const struct display_plane *plane, uint32_t x, uint32_t pixels)
{
	uint32_t bytes_per_pixel = format_bytes(plane->format);
	uint32_t first = x * bytes_per_pixel, end = (x + pixels) * bytes_per_pixel, width;

	*surface = (struct display_surface){
		.source = source,
		.plane = plane,
		.bytes_per_pixel = bytes_per_pixel,
		.x = x,
		.pixels = pixels,
		.band_index = UINT32_MAX,
	};
	surface->row = malloc(MAX((size_t)pixels * bytes_per_pixel, 1u));
	if (!surface->row)
		return -ENOMEM;
	if (plane->tiling == DISPLAY_LINEAR)
		return 0;
	width = tile_width_bytes(tiling_of(plane));
	surface->first_tile = first / width;
	surface->band_tiles = (end + width - 1) / width - surface->first_tile;
	surface->band = malloc(MAX((size_t)surface->band_tiles * TILE_BYTES, 1u));
	if (!surface->band) {
		display_surface_fini(surface);
		return -ENOMEM;
	}
	return 0;
}

void display_surface_fini(struct display_surface *surface)
{
	free(surface->row);
	free(surface->band);
	surface->row = NULL;
	surface->band = NULL;
}

static int read_linear(struct display_surface *surface, uint32_t y)
{
	const struct display_plane *plane = surface->plane;
	uint64_t at = plane->surface.v + (uint64_t)y * plane->stride_bytes +
		      (uint64_t)surface->x * surface->bytes_per_pixel;

	return surface->source->ops->read(surface->source, gma(at), surface->row,
					  (size_t)surface->pixels * surface->bytes_per_pixel);
}

static int read_band(struct display_surface *surface, uint32_t index)
{
	const struct display_plane *plane = surface->plane;
	uint64_t tiles_per_row = plane->stride_bytes / tile_width_bytes(tiling_of(plane));
	uint64_t at = plane->surface.v + (index * tiles_per_row + surface->first_tile) * TILE_BYTES;

	int err;

	if (surface->band_index == index)
		return 0;
	err = surface->source->ops->read(surface->source, gma(at), surface->band,
					 (size_t)surface->band_tiles * TILE_BYTES);
	surface->band_index = err ? UINT32_MAX : index;
	return err;
}

/* Copies the row out of the band, one run of contiguous bytes at a time. */
static void detile_row(struct display_surface *surface, uint32_t y)
{
	enum tiling tiling = tiling_of(surface->plane);
	uint32_t width = tile_width_bytes(tiling), run = tile_run_bytes(tiling);
	uint32_t line = y % tile_height(tiling);
	uint32_t from = surface->x * surface->bytes_per_pixel - surface->first_tile * width;
	uint32_t left = surface->pixels * surface->bytes_per_pixel;
	uint8_t *to = surface->row;

	while (left) {
		uint32_t bytes = MIN(run - from % run, left);
		const uint8_t *tile = surface->band + (size_t)(from / width) * TILE_BYTES;

		memcpy(to, tile + tile_offset(tiling, from % width, line), bytes);
		to += bytes;
		from += bytes;
		left -= bytes;
	}
}

int display_surface_read(struct display_surface *surface, uint32_t y)
{
	int err;

	if (surface->plane->tiling == DISPLAY_LINEAR)
		return read_linear(surface, y);
	err = read_band(surface, y / tile_height(tiling_of(surface->plane)));
	if (!err)
		detile_row(surface, y);
	return err;
}

static uint32_t load32(const uint8_t *from)
{
	uint32_t value;

	memcpy(&value, from, sizeof(value));
	return value;
}

static uint32_t swap_red_blue(uint32_t pixel)
{
	return (pixel & 0x00ff00) | (pixel & 0xff) << 16 | (pixel >> 16 & 0xff);
}

static uint32_t rgb565_expand(const uint8_t *from)
{
	uint32_t pixel = from[0] | (uint32_t)from[1] << 8;
	uint32_t r = pixel >> 11, g = pixel >> 5 & 63, b = pixel & 31;

	return (r << 3 | r >> 2) << 16 | (g << 2 | g >> 4) << 8 | (b << 3 | b >> 2);
}

/* Ten bits a component to eight: the upper ones. */
static uint32_t rgb30_reduce(uint32_t pixel)
{
	return (pixel >> 22 & 0xff) << 16 | (pixel >> 12 & 0xff) << 8 | (pixel >> 2 & 0xff);
}

void display_row_convert(enum display_format format, const uint8_t *from, uint32_t pixels,
			 uint32_t *to)
{
	uint32_t i;

	switch (format) {
	case DISPLAY_XRGB8888:
		for (i = 0; i < pixels; i++)
			to[i] = load32(from + 4 * i) & 0xffffff;
		break;
	case DISPLAY_XBGR8888:
		for (i = 0; i < pixels; i++)
			to[i] = swap_red_blue(load32(from + 4 * i));
		break;
	case DISPLAY_RGB565:
		for (i = 0; i < pixels; i++)
			to[i] = rgb565_expand(from + 2 * i);
		break;
	case DISPLAY_XRGB2101010:
		for (i = 0; i < pixels; i++)
			to[i] = rgb30_reduce(load32(from + 4 * i));
		break;
	case DISPLAY_XBGR2101010:
		for (i = 0; i < pixels; i++)
			to[i] = swap_red_blue(rgb30_reduce(load32(from + 4 * i)));
		break;
	case DISPLAY_ARGB8888:
		memcpy(to, from, (size_t)pixels * 4);
		break;
	}
}
