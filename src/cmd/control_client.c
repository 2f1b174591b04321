/* SPDX-License-Identifier: MIT */
/*
 * The control socket's client.  Blocking, with a limit on each wait: a vGPU that hangs is told,
 * not waited for.
 */
#include "cmd/control_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/log.h"
#include "cmd/options.h"

#define ANSWER_LIMIT_S	10
#define REPLY_MAX_BYTES ((size_t)1 << 20)

struct reply_buffer {
	char *bytes;
	size_t len, capacity;
	int fd;
};

static void say_unknown(const struct runtime_dir *dir, const char *name)
{
	char **names;
	int count = runtime_dir_names(dir, &names);
	char list[1024] = "";
	size_t used = 0;

	for (int i = 0; i < count && used < sizeof(list) - OPTION_NAME_MAX - 3; i++)
		used += (size_t)sprintf(list + used, "%s%s", i ? ", " : "", names[i]);
	if (count > 0)
		log_error("no vGPU named %s runs here; these do: %s", name, list);
	else
		log_error("no vGPU named %s runs here, nor any other (looked in %s); start one "
			  "with `mediant serve --name %s …`",
			  name, dir->path, name);
	if (count >= 0)
		runtime_names_free(names, count);
}

static int send_all(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

static int send_request(int fd, const char *method, json_t *params)
{
	json_t *request = json_pack("{s:s, s:i, s:s, s:o*}", "jsonrpc", "2.0", "id", 1, "method",
				    method, "params", params);
	char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
	int err = -ENOMEM;

	json_decref(request);
	if (text) {
		size_t len = strlen(text);

		text[len] = '\n'; /* in the place of the NUL */
		err = send_all(fd, text, len + 1);
	}
	free(text);
	return err;
}

static void take_fd(struct msghdr *msg, struct reply_buffer *reply)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		int fd;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
		    c->cmsg_len < CMSG_LEN(sizeof(fd)))
			continue;
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
		if (reply->fd >= 0)
			close(reply->fd);
		reply->fd = fd;
	}
}

static int grow(struct reply_buffer *reply)
{
	size_t capacity = reply->capacity ? reply->capacity * 2 : 8192;
	char *bytes;

	if (capacity > REPLY_MAX_BYTES)
		return -EMSGSIZE;
	bytes = realloc(reply->bytes, capacity);
	if (!bytes)
		return -ENOMEM;
	reply->bytes = bytes;
	reply->capacity = capacity;
	return 0;
}

/* Receives more; 0 when a whole line is there, 1 when not yet. */
static int receive_some(int fd, struct reply_buffer *reply)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	int err = reply->len == reply->capacity ? grow(reply) : 0;
	struct iovec iov = { reply->bytes + reply->len, reply->capacity - reply->len };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.bytes,
			      .msg_controllen = sizeof(control.bytes) };
	ssize_t n;

	if (err)
		return err;
	n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
	if (n < 0)
		return errno == EINTR ? 1 : errno == EAGAIN ? -ETIMEDOUT : -errno;
	if (n == 0)
		return -ECONNRESET;
	take_fd(&msg, reply);
	reply->len += (size_t)n;
	return memchr(iov.iov_base, '\n', (size_t)n) ? 0 : 1;
}

/* The result of the answer in @reply, or the error it tells. */
static int take_result(const struct reply_buffer *reply, const char *name, json_t **result)
{
	size_t len = (size_t)((char *)memchr(reply->bytes, '\n', reply->len) - reply->bytes);
	json_t *answer = json_loadb(reply->bytes, len, 0, NULL);
	json_t *error = json_object_get(answer, "error");
	const char *text = json_string_value(json_object_get(error, "message"));
	int err = -EPROTO;

	*result = json_incref(json_object_get(answer, "result"));
	if (*result)
		err = 0;
	else if (text)
		log_error("%s: %s", name, text);
	else
		log_error("%s: its control socket gave an answer that makes no sense", name);
	json_decref(answer);
	return err;
}

static void set_limit(int fd)
{
	struct timeval limit = { .tv_sec = ANSWER_LIMIT_S };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

int control_call_on(int socket_fd, const char *name, const char *method, json_t *params,
		    json_t **result, int *fd)
{
	struct reply_buffer reply = { .fd = -1 };
	int err;

	set_limit(socket_fd);
	err = send_request(socket_fd, method, params);
	if (!err)
		do
			err = receive_some(socket_fd, &reply);
		while (err == 1);
	if (err)
		log_error("%s: no answer on its control socket: %s", name, strerror(-err));
	else
		err = take_result(&reply, name, result);
	if (fd && !err)
		*fd = reply.fd;
	else if (reply.fd >= 0)
		close(reply.fd);
	free(reply.bytes);
	return err;
}

int control_connect(const char *name)
{
	struct runtime_dir dir;
	char path[PATH_MAX];
	int err = runtime_dir_open(&dir, false);
	int fd;

	if (err)
		return err;
	if (dir.fd < 0 || option_name_check(name)) {
		say_unknown(&dir, name);
		runtime_dir_close(&dir);
		return -ENOENT;
	}
	fd = runtime_dir_socket(&dir, name, ".sock", path, sizeof(path));
	if (!fd)
		fd = runtime_dir_connect(path);
	if (fd == -ENOENT || fd == -ECONNREFUSED)
		say_unknown(&dir, name);
	else if (fd < 0)
		log_error("%s: cannot reach its control socket %s: %s", name, path, strerror(-fd));
	runtime_dir_close(&dir);
	return fd;
}

int control_call(const char *name, const char *method, json_t *params, json_t **result, int *fd)
{
	int socket_fd = control_connect(name);
	int err;

	if (socket_fd < 0) {
		json_decref(params);
		return socket_fd;
	}
	err = control_call_on(socket_fd, name, method, params, result, fd);
	close(socket_fd);
	return err;
}
