/* SPDX-License-Identifier: MIT */
/*
 * The inside of the vfio-user server, shared by the files of this layer only.
 *
 * Owner: the thread that runs the loop, but for what says otherwise.
 */
#ifndef VFIO_USER_SERVER_H
#define VFIO_USER_SERVER_H

#include <stdatomic.h>

#include "vfio_user/channel.h"
#include "vfio_user/vfio_user.h"

#define DMA_ABANDONED_MAX 64u

/* What the client said of itself in VERSION. */
struct vfu_peer {
	uint16_t minor;
	uint32_t max_msg_fds;
	uint32_t max_xfer_bytes;
	bool offers_pgsizes, offers_max_dma_maps; /* it named them, so we answer them */
	bool write_multiple;
	bool twin_socket;
	uint64_t max_dma_maps;
};

/* A DMA message for which a lane waits; lives on the lane's stack.  Guarded by vfu_dma.lock. */
struct vfu_dma_request {
	struct vfu_dma_request *next;
	bool write, sent, done;
	uint16_t id;
	uint64_t addr;
	uint8_t *buf;
	size_t bytes;	   /* asked */
	size_t bytes_done; /* answered, may be fewer */
	int result;
};

struct vfu_dma {
	struct lock lock; /* LOCK_LEAF: guards all below up to work */
	pthread_cond_t answered;
	struct vfu_dma_request *requests; /* in the order asked */
	uint16_t next_id;
	uint16_t abandoned[DMA_ABANDONED_MAX]; /* sent, but nobody waits any more */
	unsigned int abandoned_count;
	size_t max_xfer_bytes;
	bool up;
	struct loop_work work;
	_Atomic uint64_t reads, writes, timeouts;
};

struct vfu_server {
	struct vfu_server_config config;
	struct loop *loop;
	struct vfio_device *device;

	struct loop_source listener; /* fd -1: none */
	int spare_fd; /* held back while there is a listener, for when no more can be opened */
	char *path;   /* of the socket file we made, or NULL */
	uint64_t path_dev, path_ino;

	struct vfu_channel client;
	struct vfu_channel twin; /* closed where the client wants none */
	bool negotiated;	 /* VERSION is done */
	bool closing;		 /* the client is dropped when the message in hand is done */
	struct vfu_peer peer;
	struct vfu_dma dma;
	_Atomic(pthread_t) thread; /* that runs the loop; read by lanes */

	_Atomic uint64_t messages, posted, replies, errors, connections;
	_Atomic bool connected;
};

/* What a handler answers; its payload goes straight into the transmit buffer. */
struct vfu_reply {
	uint8_t *payload;
	size_t bytes;
	int fds[2 * VFIO_MAX_IO_FDS];
	unsigned int fd_count;
	int close_fd; /* of ours, to be closed once it was sent; -1 */
};

static inline void vfu_count(_Atomic uint64_t *counter)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
			      memory_order_relaxed);
}

/* dispatch.c: answers everything that has been received, until the socket is full. */
void vfu_dispatch(struct vfu_server *server);
/* The same for the twin socket, where only replies may come. */
void vfu_dispatch_twin(struct vfu_server *server);

/*
 * version.c: checks a VERSION payload into *@peer, pure; -EINVAL.  And writes our answer for it:
 * the number of bytes, shorter than any request that named the same capabilities.
 */
int vfu_version_parse(const uint8_t *payload, size_t bytes, struct vfu_peer *peer);
size_t vfu_version_answer(const struct vfu_peer *peer, uint32_t max_dma_maps, uint8_t *out,
			  size_t room);

/* dma.c */
int vfu_dma_init(struct vfu_server *server);
void vfu_dma_fini(struct vfu_server *server);
/* From when VERSION is done until the client goes. */
void vfu_dma_attach(struct vfu_server *server);
void vfu_dma_detach(struct vfu_server *server);
/* Sends what lanes have asked for, as far as the socket takes it.  Between messages only. */
void vfu_dma_pump(struct vfu_server *server);
/* A reply from the client; -EINVAL when nothing was asked that it could answer. */
int vfu_dma_reply(struct vfu_server *server, const struct vfu_message *message);

#endif
