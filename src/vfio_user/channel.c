/* SPDX-License-Identifier: MIT */
/*
 * Framing and descriptors.
 *
 * One recvmsg() takes whatever the socket has, so a small message costs one call, and a burst of
 * posted writes one call for many.  How descriptors stay with their message then rests on what
 * the kernel does with a UNIX stream socket: it hands over descriptors with the first byte of the
 * sendmsg() that carried them, and ends that recvmsg() after the buffer they rode on.  So all
 * descriptors of one recvmsg() came with one sendmsg(), the last that contributed to it; and since
 * a sender puts one message into one sendmsg(), or a header and its body into two, they belong to
 * the last message that starts, or goes on, in what was received.  Should that message be one that
 * takes no descriptors, the sender has put several messages into one sendmsg() and meant the last
 * of them that does.
 *
 * Sending is one sendmsg() per message, header first, descriptors with it.  What the socket does
 * not take stays in the one transmit buffer, and no further message is read from the client until
 * it is gone: a client that does not read its replies stalls itself and nobody else.
 */
#include "vfio_user/channel.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(VFU_FDS_LIMIT * sizeof(int))];
};

int channel_init(struct vfu_channel *channel, struct loop *loop,
		 void (*ready)(struct loop_source *source, uint32_t events))
{
	*channel = (struct vfu_channel){
		.fd = -1,
		.loop = loop,
		.source = { .ready = ready },
		.rx = malloc(CHANNEL_RX_BYTES),
		.tx = malloc(CHANNEL_TX_BYTES),
	};
	if (channel->rx && channel->tx)
		return 0;
	channel_fini(channel);
	return -ENOMEM;
}

void channel_fini(struct vfu_channel *channel)
{
	channel_close(channel);
	free(channel->rx);
	free(channel->tx);
	channel->rx = channel->tx = NULL;
}

/*
 * The sender may have set SO_LINGER on a socket it sends: whoever closes it last waits for what it
 * has not yet delivered, and that would be us.
 */
void channel_close_fd(int fd)
{
	struct linger none = { 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	close(fd);
}

static void close_all(int *fds, unsigned int *count)
{
	for (unsigned int i = 0; i < *count; i++)
		if (fds[i] >= 0)
			channel_close_fd(fds[i]);
	*count = 0;
}

int channel_open(struct vfu_channel *channel, int fd)
{
	channel->source.fd = fd;
	channel->source.events = EPOLLIN;
	int err = loop_add(channel->loop, &channel->source);
	if (err)
		return err;
	channel->fd = fd;
	channel->rx_head = channel->rx_tail = 0;
	channel->tx_bytes = channel->tx_sent = 0;
	return 0;
}

void channel_close(struct vfu_channel *channel)
{
	if (channel->fd < 0)
		return;
	loop_remove(channel->loop, &channel->source);
	close(channel->fd);
	channel->fd = -1;
	close_all(channel->rx_fds, &channel->rx_fd_count);
	close_all(channel->tx_fds, &channel->tx_fd_count);
}

/* ---- Receiving -------------------------------------------------------------------------- */

static bool takes_fds(const struct vfu_header *header)
{
	return header->command == VFU_DMA_MAP || header->command == VFU_DEVICE_SET_IRQS;
}

static struct vfu_header header_at(const struct vfu_channel *channel, size_t at)
{
	struct vfu_header header;

	memcpy(&header, channel->rx + at, sizeof(header));
	return header;
}

/* The message that descriptors belong to which came with the bytes from @first on. */
static size_t find_owner(const struct vfu_channel *channel, size_t first)
{
	size_t at = channel->rx_head, last = at, taker = SIZE_MAX;
	bool last_takes = true;

	while (at < channel->rx_tail) {
		size_t end = SIZE_MAX;

		last = at;
		last_takes = true;
		if (channel->rx_tail - at >= sizeof(struct vfu_header)) {
			struct vfu_header header = header_at(channel, at);

			last_takes = takes_fds(&header);
			/* An impossible size ends the walk: the stream ends there too. */
			if (header.bytes >= sizeof(header) && header.bytes <= VFU_MAX_MSG_BYTES)
				end = at + header.bytes;
		}
		if (last_takes && end > first)
			taker = at;
		if (end >= channel->rx_tail)
			break;
		at = end;
	}
	return last_takes || taker == SIZE_MAX ? last : taker;
}

static void take_fds(struct vfu_channel *channel, struct msghdr *msg, size_t first)
{
	int fds[VFU_FDS_LIMIT];
	unsigned int count = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t bytes = c->cmsg_len - CMSG_LEN(0);
		assert(count + bytes / sizeof(int) <= VFU_FDS_LIMIT);
		memcpy(&fds[count], CMSG_DATA(c), bytes);
		count += (unsigned int)(bytes / sizeof(int));
	}
	if (!count)
		return;
	size_t owner = find_owner(channel, first);
	/* A second set for one message (header and body each with some): more than any takes. */
	if (channel->rx_fd_count)
		close_all(channel->rx_fds, &channel->rx_fd_count);
	memcpy(channel->rx_fds, fds, count * sizeof(int));
	channel->rx_fd_count = count;
	channel->rx_fd_owner = owner;
}

/* Room for at least the rest of a message that has begun. */
static void make_room(struct vfu_channel *channel)
{
	size_t held = channel->rx_tail - channel->rx_head;

	if (held && CHANNEL_RX_BYTES - channel->rx_head >= VFU_MAX_MSG_BYTES)
		return;
	memmove(channel->rx, channel->rx + channel->rx_head, held);
	channel->rx_fd_owner -= MIN(channel->rx_fd_owner, channel->rx_head);
	channel->rx_head = 0;
	channel->rx_tail = held;
}

int channel_receive(struct vfu_channel *channel)
{
	union control control;

	make_room(channel);
	struct iovec iov = {
		.iov_base = channel->rx + channel->rx_tail,
		.iov_len = CHANNEL_RX_BYTES - channel->rx_tail,
	};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n = recvmsg(channel->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	size_t first = channel->rx_tail;
	channel->rx_tail += (size_t)n;
	take_fds(channel, &msg, first);
	if (msg.msg_flags & MSG_CTRUNC)
		return -EMFILE;
	return n ? 1 : -EPIPE;
}

int channel_next(struct vfu_channel *channel, struct vfu_message *message)
{
	size_t held = channel->rx_tail - channel->rx_head;
	const uint8_t *at = channel->rx + channel->rx_head;

	if (held < sizeof(struct vfu_header))
		return 0;
	struct vfu_header header = header_at(channel, channel->rx_head);
	bool possible = header.bytes >= sizeof(header) && header.bytes <= VFU_MAX_MSG_BYTES;
	if (possible && held < header.bytes)
		return 0;

	*message = (struct vfu_message){
		.header = header,
		.payload = at + sizeof(header),
		.bytes = possible ? header.bytes - sizeof(header) : 0,
		.fds = channel->rx_fds,
	};
	if (channel->rx_fd_count && channel->rx_fd_owner <= channel->rx_head) {
		message->fd_count = channel->rx_fd_count;
		channel->rx_fd_count = 0;
	}
	channel->rx_head += sizeof(header) + message->bytes;
	return possible ? 1 : -EMSGSIZE;
}

/* ---- Sending ---------------------------------------------------------------------------- */

static ssize_t send_some(struct vfu_channel *channel, const int *fds, unsigned int fd_count)
{
	union control control;
	struct iovec iov = {
		.iov_base = channel->tx + channel->tx_sent,
		.iov_len = channel->tx_bytes - channel->tx_sent,
	};
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd_count) {
		size_t bytes = fd_count * sizeof(int);

		memset(&control, 0, sizeof(control));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(bytes);
		memcpy(CMSG_DATA(&control.align), fds, bytes);
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(bytes);
	}
	ssize_t n = sendmsg(channel->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	return n;
}

static int keep_fds(struct vfu_channel *channel, const int *fds, unsigned int fd_count)
{
	for (unsigned int i = 0; i < fd_count; i++) {
		int fd = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);

		if (fd < 0)
			return -errno;
		channel->tx_fds[channel->tx_fd_count++] = fd;
	}
	return 0;
}

static int wait_for(struct vfu_channel *channel, uint32_t events)
{
	if (channel->source.events == events)
		return 0;
	return loop_modify(channel->loop, &channel->source, events);
}

int channel_send(struct vfu_channel *channel, size_t bytes, const int *fds, unsigned int fd_count)
{
	assert(!channel->tx_bytes && bytes && bytes <= CHANNEL_TX_BYTES);
	assert(fd_count <= VFU_FDS_LIMIT);
	channel->tx_bytes = bytes;
	channel->tx_sent = 0;
	ssize_t n = send_some(channel, fds, fd_count);
	if (n < 0) {
		channel->tx_bytes = 0;
		return (int)n;
	}
	channel->tx_sent = (size_t)n;
	if (channel->tx_sent == bytes) {
		channel->tx_bytes = 0;
		return 0;
	}
	int err = n ? 0 : keep_fds(channel, fds, fd_count);
	return err ? err : wait_for(channel, EPOLLOUT);
}

int channel_flush(struct vfu_channel *channel)
{
	if (!channel->tx_bytes)
		return 0;
	ssize_t n = send_some(channel, channel->tx_fds, channel->tx_fd_count);
	if (n < 0)
		return (int)n;
	if (n)
		close_all(channel->tx_fds, &channel->tx_fd_count);
	channel->tx_sent += (size_t)n;
	if (channel->tx_sent < channel->tx_bytes)
		return 0;
	channel->tx_bytes = 0;
	return wait_for(channel, EPOLLIN);
}
