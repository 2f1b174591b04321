/* SPDX-License-Identifier: MIT */
/*
 * The inside of the plain device, shared by its two files: plain_json.c fills the description,
 * plain.c makes it live.
 */
#ifndef VFIO_PLAIN_H
#define VFIO_PLAIN_H

#include "vfio/vfio.h"

#define PLAIN_MAX_DOORBELLS 16u

/* Writing the byte at @offset makes an interrupt. */
struct plain_doorbell {
	unsigned int region;
	uint64_t offset;
	unsigned int irq, vector;
};

struct plain_region {
	char *file; /* backing file, or NULL for memory of our own */
	uint64_t file_offset;
	int fd; /* -1: none */
	uint8_t *bytes;
	size_t map_bytes; /* whole pages */
	int sigbus;
	int own_fds[2 * VFIO_MAX_IO_FDS]; /* made for region I/O */
	unsigned int own_fd_count;
	int io_same_as[VFIO_MAX_IO_FDS]; /* shares the descriptor of an earlier one; -1 */
};

/* Config bytes beyond header and capabilities. */
struct plain_config_bytes {
	uint8_t value[4096], write_mask[4096], present[4096 / 8];
};

struct plain_device {
	struct vfio_device *vfio;
	struct vfio_config config;
	struct plain_region regions[VFIO_MAX_REGIONS];
	struct plain_config_bytes extra;
	struct plain_doorbell doorbells[PLAIN_MAX_DOORBELLS];
	unsigned int doorbell_count;
	uint32_t described;	     /* regions, a bit each: to notice one that is there twice */
	struct plain_engine *engine; /* NULL: none */
	bool has_engine;
	struct plain_doorbell engine_at; /* where its registers are, and what it fires */
};

/* Reads @path into @plain; -errno with a log line that names the key. */
int plain_load(const char *path, struct plain_device *plain);
void plain_unload(struct plain_device *plain);

#endif
