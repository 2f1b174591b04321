/* SPDX-License-Identifier: MIT */
/*
 * The vfio-user server: serves one VFIO device on one UNIX socket, to one client at a time, in
 * the caller's event loop.  The one public header of the layer.
 */
#ifndef VFIO_USER_VFIO_USER_H
#define VFIO_USER_VFIO_USER_H

#include "base/loop.h"
#include "vfio/vfio.h"

struct vfu_server;

struct vfu_server_config {
	struct loop *loop;
	struct vfio_device *device;
	const char
		*socket_path; /* listens here (mode 0600), replacing a dead socket file; or NULL */
	int fd;		      /* a connected or listening socket to take over; -1 for none */
	/* A client came or went; may be NULL. */
	void (*client_changed)(void *opaque, bool connected);
	void *opaque;
};

/*
 * Takes config->fd over, unless it fails: -errno, with a log line that says what to do.  The
 * device must be without another transport.
 */
int vfu_server_create(const struct vfu_server_config *config, struct vfu_server **server);
/* Disconnects the client, removes the socket file. */
void vfu_server_destroy(struct vfu_server *server);

/*
 * A socket that listens on @path as socket_path does, for vfu_server_config.fd: for who wants its
 * file made before the server.  Removing it is the caller's.  -errno, told in the log.
 */
int vfu_listen(const char *path);

struct vfu_stats {
	uint64_t messages, posted, replies, errors;
	uint64_t connections;
	uint64_t dma_reads, dma_writes; /* messages to the client */
	uint64_t dma_timeouts;		/* of them, those it did not answer in time */
	bool connected;
};
void vfu_server_stats(struct vfu_server *server, struct vfu_stats *stats);

/* What the specification calls a message of this number, without VFIO_USER_; NULL for none. */
const char *vfu_command_name(uint64_t command);

#endif
