/* SPDX-License-Identifier: MIT */
/* See screen.h.  Memory past the end reads as zeros, as graphics memory that is not mapped does. */
#include "screen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct screen *screen_of(struct display_source *source)
{
	return container_of(source, struct screen, source);
}

static int head(struct display_source *source, unsigned int index, struct display_head *out)
{
	struct screen *screen = screen_of(source);

	if (index)
		return -ENODEV;
	pthread_mutex_lock(&screen->mutex);
	*out = screen->head;
	pthread_mutex_unlock(&screen->mutex);
	return 0;
}

static int read_memory(struct display_source *source, gma_t gma, void *buf, size_t len)
{
	struct screen *screen = screen_of(source);
	size_t have = 0;

	pthread_mutex_lock(&screen->mutex);
	screen->reads++;
	if (gma.v < SCREEN_MEMORY_BYTES)
		have = MIN(len, SCREEN_MEMORY_BYTES - gma.v);
	memcpy(buf, screen->memory + (have ? gma.v : 0), have);
	memset((uint8_t *)buf + have, 0, len - have);
	pthread_mutex_unlock(&screen->mutex);
	return screen->unreadable ? -EIO : 0;
}

static const struct display_source_ops ops = {
	.head = head,
	.read = read_memory,
};

void screen_init(struct screen *screen, uint32_t width, uint32_t height)
{
	memset(screen, 0, sizeof(*screen));
	screen->source.ops = &ops;
	pthread_mutex_init(&screen->mutex, NULL);
	screen->memory = calloc(1, SCREEN_MEMORY_BYTES);
	screen->head = (struct display_head){ .active = true, .width = width, .height = height };
}

void screen_fini(struct screen *screen)
{
	pthread_mutex_destroy(&screen->mutex);
	free(screen->memory);
}

void screen_linear(struct screen *screen)
{
	screen->head.primary = (struct display_plane){
		.enabled = true,
		.format = DISPLAY_XRGB8888,
		.stride_bytes = MAX(4096u, screen->head.width * 4),
		.width = screen->head.width,
		.height = screen->head.height,
	};
}

static uint8_t *pixel_at(struct screen *screen, uint32_t x, uint32_t y)
{
	return screen->memory + (size_t)y * screen->head.primary.stride_bytes + 4u * x;
}

void screen_set(struct screen *screen, uint32_t x, uint32_t y, uint32_t pixel)
{
	pthread_mutex_lock(&screen->mutex);
	memcpy(pixel_at(screen, x, y), &pixel, sizeof(pixel));
	pthread_mutex_unlock(&screen->mutex);
}

uint32_t screen_get(struct screen *screen, uint32_t x, uint32_t y)
{
	uint32_t pixel;

	memcpy(&pixel, pixel_at(screen, x, y), sizeof(pixel));
	return pixel;
}
