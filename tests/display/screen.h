/* SPDX-License-Identifier: MIT */
/* A display source made of plain memory, for the tests of the layer. */
#ifndef TESTS_DISPLAY_SCREEN_H
#define TESTS_DISPLAY_SCREEN_H

#include <pthread.h>

#include "display/display.h"

#define SCREEN_MEMORY_BYTES (8u << 20)

struct screen {
	struct display_source source;
	pthread_mutex_t mutex; /* guards head and memory: sinks look from their own thread */
	struct display_head head;
	uint8_t *memory;
	uint64_t reads;
	_Atomic bool unreadable; /* its memory cannot be had */
};

void screen_init(struct screen *screen, uint32_t width, uint32_t height);
void screen_fini(struct screen *screen);

/* A linear XRGB8888 primary plane at address 0 covering the head, 4 KiB rows at least. */
void screen_linear(struct screen *screen);
/* One pixel of such a plane. */
void screen_set(struct screen *screen, uint32_t x, uint32_t y, uint32_t pixel);
uint32_t screen_get(struct screen *screen, uint32_t x, uint32_t y);

#endif
