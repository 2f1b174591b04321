/* SPDX-License-Identifier: MIT */
/* Asks the arbiter for a seat; see arbiter_client.h. */
#include "cmd/arbiter_client.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "cmd/arbiter_wire.h"

#define ANSWER_LIMIT_S 5

int arbiter_default_path(const struct runtime_dir *dir, char *path, size_t size)
{
	return runtime_dir_socket(dir, ARBITER_NAME, ARBITER_SUFFIX, path, size);
}

/* The descriptors of a message into @fds, both or none. */
static int take_fds(struct msghdr *message, int fds[2])
{
	struct cmsghdr *c = CMSG_FIRSTHDR(message);

	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
		return 0;
	if (c->cmsg_len != CMSG_LEN(2 * sizeof(int))) {
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			close(fd);
		}
		return -EPROTO;
	}
	memcpy(fds, CMSG_DATA(c), 2 * sizeof(int));
	return 0;
}

static int receive(int fd, struct arbiter_welcome *welcome, int fds[2])
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(2 * sizeof(int))];
	} control;
	struct iovec iov = { welcome, sizeof(*welcome) };
	struct msghdr message = { .msg_iov = &iov,
				  .msg_iovlen = 1,
				  .msg_control = control.bytes,
				  .msg_controllen = sizeof(control.bytes) };
	ssize_t n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_WAITALL);

	if (n < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	if (take_fds(&message, fds) || n != sizeof(*welcome) || welcome->magic != ARBITER_MAGIC)
		return -EPROTO;
	if (welcome->error)
		return welcome->error < 0 ? welcome->error : -EPROTO;
	return fds[0] < 0 ? -EPROTO : 0;
}

static int ask(int fd, const struct arbiter_hello *hello, struct sched_lease **lease)
{
	struct timeval limit = { .tv_sec = ANSWER_LIMIT_S };
	struct arbiter_welcome welcome;
	int fds[2] = { -1, -1 };
	int err;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (send(fd, hello, sizeof(*hello), MSG_NOSIGNAL) != sizeof(*hello))
		return -EPROTO;
	err = receive(fd, &welcome, fds);
	if (!err)
		return sched_lease_create(fds[0], fds[1], lease);
	for (int i = 0; i < 2; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	return err;
}

int arbiter_join(const char *path, const char *name, uint32_t weight, uint32_t cap_percent,
		 struct sched_lease **lease)
{
	struct arbiter_hello hello = {
		.magic = ARBITER_MAGIC,
		.version = ARBITER_VERSION,
		.weight = weight,
		.cap_percent = cap_percent,
	};
	int fd = runtime_dir_connect(path);
	int err;

	if (fd < 0)
		return fd;
	snprintf(hello.name, sizeof(hello.name), "%s", name);
	err = ask(fd, &hello, lease);
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}
