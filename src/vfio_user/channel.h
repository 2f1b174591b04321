/* SPDX-License-Identifier: MIT */
/*
 * One socket of a client: whole messages in, with the descriptors that came with them, and whole
 * messages out.  Never blocks.  Owner: the thread that runs the server's loop.
 */
#ifndef VFIO_USER_CHANNEL_H
#define VFIO_USER_CHANNEL_H

#include "base/loop.h"
#include "vfio_user/wire.h"

#define CHANNEL_RX_BYTES (2 * (size_t)VFU_MAX_MSG_BYTES)
#define CHANNEL_TX_BYTES ((size_t)VFU_MAX_MSG_BYTES + 4096)

struct vfu_message {
	struct vfu_header header;
	const uint8_t *payload; /* in the receive buffer, until the next channel_receive() */
	size_t bytes;		/* of the payload */
	int *fds;		/* what the handler keeps it replaces by -1 */
	unsigned int fd_count;
};

struct vfu_channel {
	int fd; /* -1: closed */
	struct loop *loop;
	struct loop_source source;

	uint8_t *rx;
	size_t rx_head, rx_tail;
	/* Descriptors not yet given out, and which message each belongs to. */
	int rx_fds[VFU_FDS_LIMIT];
	size_t rx_fd_owner; /* offset in rx of that message's header */
	unsigned int rx_fd_count;

	uint8_t *tx;
	size_t tx_bytes, tx_sent; /* tx_bytes != 0: a message waits for the socket */
	int tx_fds[VFU_FDS_LIMIT];
	unsigned int tx_fd_count;
};

/* Allocates the buffers, once for the life of the server; -ENOMEM. */
int channel_init(struct vfu_channel *channel, struct loop *loop,
		 void (*ready)(struct loop_source *source, uint32_t events));
void channel_fini(struct vfu_channel *channel);

/* Takes over @fd (closed by channel_close()) and waits for its messages. */
int channel_open(struct vfu_channel *channel, int fd);
void channel_close(struct vfu_channel *channel);

/* Closes a descriptor that came with a message; never waits for a socket's peer. */
void channel_close_fd(int fd);

static inline bool channel_is_open(const struct vfu_channel *channel)
{
	return channel->fd >= 0;
}

/*
 * One recvmsg(): as much as the socket and the buffer hold.  1: something came; 0: nothing to be
 * had now; -EPIPE: the peer has closed; -EMFILE: descriptors were lost; -errno.
 */
int channel_receive(struct vfu_channel *channel);

/*
 * The next whole message: 1 and *@message, whose descriptors are the caller's to close; 0: none
 * yet.  -EMSGSIZE: a header whose size is impossible, *@message has that header alone.
 */
int channel_next(struct vfu_channel *channel, struct vfu_message *message);

/* True while a message waits for the socket: nothing else may be sent, or answered. */
static inline bool channel_is_blocked(const struct vfu_channel *channel)
{
	return channel->tx_bytes != 0;
}

/* Where to build a message of up to CHANNEL_TX_BYTES; only while not blocked. */
static inline uint8_t *channel_buffer(struct vfu_channel *channel)
{
	return channel->tx;
}

/*
 * Sends the @bytes built in channel_buffer(), with borrowed descriptors, in one sendmsg() if the
 * socket has room.  If not, the rest goes out later and the channel is blocked until then; for
 * that case descriptors are duplicated.  -errno: the peer is gone.
 */
int channel_send(struct vfu_channel *channel, size_t bytes, const int *fds, unsigned int fd_count);
/* The socket can take more: 0, also while still blocked; -errno. */
int channel_flush(struct vfu_channel *channel);

#endif
