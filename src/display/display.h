/* SPDX-License-Identifier: MIT */
/*
 * Scanout to pixels, then to sinks.  The one public header of the layer.  It does not know how
 * the pixels were made nor what a vGPU is: a source hands it descriptions of planes and a way to
 * read graphics memory.
 */
#ifndef DISPLAY_DISPLAY_H
#define DISPLAY_DISPLAY_H

#include "base/types.h"

#define DISPLAY_MAX_HEADS 3u

/* PLANE_CTL formats we show (i915: PLANE_CTL_FORMAT_*). */
enum display_format {
	DISPLAY_XRGB8888,
	DISPLAY_XBGR8888,
	DISPLAY_RGB565,
	DISPLAY_XRGB2101010,
	DISPLAY_XBGR2101010,
	DISPLAY_ARGB8888
};
enum display_tiling { DISPLAY_LINEAR, DISPLAY_X_TILED, DISPLAY_Y_TILED };

struct display_plane {
	bool enabled;
	enum display_format format;
	enum display_tiling tiling;
	gma_t surface;
	uint32_t stride_bytes;
	uint32_t offset_x, offset_y; /* PLANE_OFFSET, in pixels */
	int32_t x, y;		     /* place on the pipe */
	uint32_t width, height;
};

/* What a head shows at this moment. */
struct display_head {
	bool active;
	uint32_t width, height; /* PIPESRC */
	uint32_t refresh_mhz;	/* millihertz */
	struct display_plane primary, cursor;
	uint64_t flips; /* count: another frame when it changed */
};

struct display_source;

struct display_source_ops {
	/* -ENODEV: no such head; there may be others behind it. */
	int (*head)(struct display_source *source, unsigned int index, struct display_head *head);
	/*
	 * Copies graphics memory (GGTT); pages that are not there read as zeros.  Any thread but
	 * one that would have to bring the memory itself.  -EIO: it could not be had just now.
	 */
	int (*read)(struct display_source *source, gma_t gma, void *buf, size_t len);
};

struct display_source {
	const struct display_source_ops *ops;
};

/* A picture: 32 bits a pixel, B G R X in memory, rows without gaps. */
struct display_image {
	uint32_t width, height;
	uint32_t *pixels;
	size_t capacity_pixels;
};
void display_image_fini(struct display_image *image);

/*
 * Draws head @index into @image (grown as needed); -ENODEV no such head, -EAGAIN it is off, -EIO
 * its memory could not be read, -ENOMEM.  Not on a thread that would have to bring that memory.
 */
int display_grab(struct display_source *source, unsigned int index, struct display_image *image);

/* Writes a PNG; -errno. */
int display_png_write(const struct display_image *image, const char *path);

/*
 * A TCP socket that listens on @address: "HOST:PORT", "[HOST]:PORT", or ":DISPLAY" for 127.0.0.1
 * port 5900 + DISPLAY; port 0 takes any.  Returns a non-blocking descriptor and sets *@port;
 * -EINVAL: no such address.
 */
int display_listen(const char *address, uint16_t *port);

/* A live sink: VNC; its own thread. */
struct display_vnc;
struct display_vnc_config {
	struct display_source *source;
	unsigned int head;
	int listen_fd; /* of display_listen(); taken over, also on failure */
	uint16_t port; /* likewise */
	const char *title;
};
int display_vnc_create(const struct display_vnc_config *config, struct display_vnc **vnc);
void display_vnc_destroy(struct display_vnc *vnc);
/* The port it listens on. */
uint16_t display_vnc_port(struct display_vnc *vnc);

#endif
