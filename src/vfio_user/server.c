/* SPDX-License-Identifier: MIT */
/*
 * The life of the server and of its clients: the socket file, accepting one client at a time,
 * what happens when it goes.  The device outlives its clients; each finds it as after power on.
 *
 * Runs on the thread of the loop.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "vfio_user/server.h"

#define BACKLOG 8

/* ---- A client --------------------------------------------------------------------------- */

static void tell(struct vfu_server *server, bool connected)
{
	atomic_store(&server->connected, connected);
	if (server->config.client_changed)
		server->config.client_changed(server->config.opaque, connected);
}

static void drop_client(struct vfu_server *server)
{
	bool negotiated = server->negotiated;

	vfu_dma_detach(server);
	channel_close(&server->client);
	channel_close(&server->twin);
	server->negotiated = server->closing = false;
	/* One that never got past VERSION has not touched the device. */
	if (negotiated)
		vfio_device_detach(server->device);
	log_limited(LOG_INFO, "the client has gone");
	tell(server, false);
}

static int take_client(struct vfu_server *server, int fd)
{
	int err = channel_open(&server->client, fd);

	if (err)
		return err;
	atomic_store(&server->thread, pthread_self());
	vfu_count(&server->connections);
	server->negotiated = server->closing = false;
	log_limited(LOG_INFO, "a client has connected");
	tell(server, true);
	return 0;
}

/* What a client asked of us, then what our lanes ask of it. */
static void serve(struct vfu_server *server)
{
	vfu_dispatch(server);
	if (!server->closing)
		vfu_dma_pump(server);
	if (server->closing)
		drop_client(server);
}

static void receive_failed(struct vfu_server *server, int err)
{
	if (err == -EMFILE)
		log_limited(LOG_WARN, "descriptors the client sent were lost: this process may "
				      "open no more; disconnecting it");
	server->closing = true;
}

static void client_ready(struct loop_source *source, uint32_t events)
{
	struct vfu_server *server = container_of(source, struct vfu_server, client.source);

	atomic_store_explicit(&server->thread, pthread_self(), memory_order_relaxed);
	if (channel_is_blocked(&server->client) && channel_flush(&server->client))
		server->closing = true;
	/* Messages that waited for the socket to take an earlier reply go first. */
	vfu_dispatch(server);
	if (!server->closing && !channel_is_blocked(&server->client) &&
	    (events & (EPOLLIN | EPOLLHUP | EPOLLERR))) {
		int got = channel_receive(&server->client);

		if (got < 0)
			receive_failed(server, got);
	}
	serve(server);
}

static void twin_ready(struct loop_source *source, uint32_t events)
{
	struct vfu_server *server = container_of(source, struct vfu_server, twin.source);

	if (channel_is_blocked(&server->twin) && channel_flush(&server->twin))
		server->closing = true;
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		int got = channel_receive(&server->twin);

		if (got < 0)
			receive_failed(server, got);
	}
	vfu_dispatch_twin(server);
	serve(server);
}

/* ---- Accepting -------------------------------------------------------------------------- */

/* A client killed a moment ago may still count as connected when the next one knocks. */
static bool client_has_gone(struct vfu_server *server)
{
	char byte;
	ssize_t n = recv(server->client.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

/*
 * Somebody knocks whom no descriptor is left for: the one held back lets them in, and out again.
 * Left in the queue they would have the loop spin.
 */
static void turn_away(struct vfu_server *server)
{
	if (server->spare_fd >= 0)
		close(server->spare_fd);
	int fd = accept4(server->listener.fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0)
		close(fd);
	server->spare_fd = eventfd(0, EFD_CLOEXEC);
	log_limited(LOG_WARN, "a client was turned away: this process may open no more files");
}

static void listener_ready(struct loop_source *source, uint32_t events)
{
	struct vfu_server *server = container_of(source, struct vfu_server, listener);

	(void)events;
	/* Before the new one is let in: what the old one held may be what is missing. */
	if (channel_is_open(&server->client) && client_has_gone(server))
		drop_client(server);
	int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE)
			turn_away(server);
		return;
	}
	if (channel_is_open(&server->client)) {
		log_limited(LOG_WARN, "a second client was turned away: one VM has this device; "
				      "start another server for another VM");
		close(fd);
	} else if (take_client(server, fd)) {
		close(fd);
	}
}

static int fill_address(const char *path, struct sockaddr_un *address)
{
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (!*path || strlen(path) >= sizeof(address->sun_path)) {
		log_error("socket path '%s': must have 1 to %zu bytes; choose a shorter one", path,
			  sizeof(address->sun_path) - 1);
		return -ENAMETOOLONG;
	}
	strcpy(address->sun_path, path);
	return 0;
}

static bool somebody_listens(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool alive;

	if (fd < 0)
		return true;
	/* A full backlog (EAGAIN) is somebody's too. */
	alive = !connect(fd, (const struct sockaddr *)address, sizeof(*address)) ||
		errno != ECONNREFUSED;
	close(fd);
	return alive;
}

/* Removes the socket file a dead server has left; refuses anything else. */
static int clear_path(const struct sockaddr_un *address)
{
	const char *path = address->sun_path;
	struct stat st;

	if (lstat(path, &st))
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode)) {
		log_error("'%s' exists and is no socket; remove it or choose another path", path);
		return -EEXIST;
	}
	if (somebody_listens(address)) {
		log_error("another server listens on '%s'; stop it or choose another path", path);
		return -EADDRINUSE;
	}
	return unlink(path) && errno != ENOENT ? -errno : 0;
}

static int note_path(struct vfu_server *server, const char *path)
{
	struct stat st;

	if (lstat(path, &st))
		return -errno;
	server->path_dev = st.st_dev;
	server->path_ino = st.st_ino;
	server->path = strdup(path);
	return server->path ? 0 : -ENOMEM;
}

/* Only the owner may connect.  Set before bind(), so that the file never has another mode. */
static int bind_private(int fd, const struct sockaddr_un *address)
{
	if (fchmod(fd, 0600) || bind(fd, (const struct sockaddr *)address, sizeof(*address)) ||
	    listen(fd, BACKLOG))
		return -errno;
	return 0;
}

static int listen_on(struct vfu_server *server, int fd)
{
	server->listener = (struct loop_source){
		.fd = fd,
		.events = EPOLLIN,
		.ready = listener_ready,
	};
	int err = loop_add(server->loop, &server->listener);
	if (err)
		server->listener.fd = -1;
	else
		server->spare_fd = eventfd(0, EFD_CLOEXEC);
	return err;
}

int vfu_listen(const char *path)
{
	struct sockaddr_un address;
	int err = fill_address(path, &address);

	if (!err)
		err = clear_path(&address);
	if (err)
		return err;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	err = bind_private(fd, &address);
	if (!err)
		return fd;
	log_error("cannot listen on '%s': %s; is its folder there and writable?", path,
		  strerror(-err));
	close(fd);
	return err;
}

static int open_path(struct vfu_server *server, const char *path)
{
	int fd = vfu_listen(path), err;

	if (fd < 0)
		return fd;
	err = note_path(server, path);
	if (!err)
		err = listen_on(server, fd);
	if (err)
		close(fd);
	return err;
}

static int socket_option(int fd, int option)
{
	int value = -1;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, option, &value, &len) ? -1 : value;
}

static int adopt_fd(struct vfu_server *server, int fd)
{
	if (socket_option(fd, SO_DOMAIN) != AF_UNIX || socket_option(fd, SO_TYPE) != SOCK_STREAM) {
		log_error("descriptor %d is no UNIX stream socket", fd);
		return -ENOTSOCK;
	}
	return socket_option(fd, SO_ACCEPTCONN) == 1 ? listen_on(server, fd)
						     : take_client(server, fd);
}

/* ---- Life ------------------------------------------------------------------------------- */

int vfu_server_create(const struct vfu_server_config *config, struct vfu_server **out)
{
	struct vfu_server *server;

	if (config->fd < 0 && !config->socket_path)
		return -EINVAL;
	server = calloc(1, sizeof(*server));
	if (!server)
		return -ENOMEM;
	server->config = *config;
	server->loop = config->loop;
	server->device = config->device;
	server->listener.fd = server->spare_fd = -1;
	atomic_store(&server->thread, pthread_self());
	server->twin.fd = server->client.fd = -1;
	vfu_dma_init(server);
	int err = channel_init(&server->client, server->loop, client_ready);
	if (!err)
		err = channel_init(&server->twin, server->loop, twin_ready);
	vfio_device_set_loop(server->device, server->loop);
	if (!err)
		err = config->fd >= 0 ? adopt_fd(server, config->fd)
				      : open_path(server, config->socket_path);
	if (err) {
		server->client.fd = -1;
		vfu_server_destroy(server);
		return err;
	}
	*out = server;
	return 0;
}

/* The file may have been replaced by another server's since. */
static void remove_path(const struct vfu_server *server)
{
	struct stat st;

	if (!lstat(server->path, &st) && st.st_dev == server->path_dev &&
	    st.st_ino == server->path_ino)
		unlink(server->path);
}

void vfu_server_destroy(struct vfu_server *server)
{
	if (!server)
		return;
	if (channel_is_open(&server->client))
		drop_client(server);
	if (server->listener.fd >= 0) {
		loop_remove(server->loop, &server->listener);
		close(server->listener.fd);
	}
	if (server->spare_fd >= 0)
		close(server->spare_fd);
	if (server->path)
		remove_path(server);
	vfio_device_set_loop(server->device, NULL);
	channel_fini(&server->client);
	channel_fini(&server->twin);
	vfu_dma_fini(server);
	free(server->path);
	free(server);
}

void vfu_server_stats(struct vfu_server *server, struct vfu_stats *stats)
{
	*stats = (struct vfu_stats){
		.messages = server->messages,
		.posted = server->posted,
		.replies = server->replies,
		.errors = server->errors,
		.connections = server->connections,
		.dma_reads = server->dma.reads,
		.dma_writes = server->dma.writes,
		.dma_timeouts = server->dma.timeouts,
		.connected = server->connected,
	};
}
