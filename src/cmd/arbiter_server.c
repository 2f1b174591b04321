/* SPDX-License-Identifier: MIT */
/*
 * The arbiter's server; see arbiter_server.h.  A client's bell is an eventfd that is never read:
 * it is watched edge by edge, so each ring costs one wake-up and no call.  One that rings more than
 * RINGS_MAX times in a WINDOW is not listened to for the rest of it.  Its page is looked at every
 * LOOK then: it may be what gives back the lane that others wait for.
 *
 * A client is gone when its connection or its process ends, whichever is first: a socket may have
 * been handed on to somebody who outlives it.
 */
#include "cmd/arbiter_server.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "cmd/arbiter_wire.h"

#define CLIENTS_MAX (SCHED_SEATS_MAX + 8u) /* some may not have said hello yet */
#define WINDOW_NS   (10 * NSEC_PER_MSEC)
#define RINGS_MAX   400u
#define LOOK_NS	    NSEC_PER_MSEC

struct client {
	struct client *next;
	struct arbiter_server *server;
	struct loop_source socket, process, bell; /* fd -1: not there */
	pid_t pid;
	char name[OPTION_NAME_MAX + 1];
	struct sched_lease_page *page; /* NULL: no seat yet */
	struct sched_seat *seat;
	uint64_t window_ns;
	unsigned int rings; /* in this window */
	bool muted;
};

struct arbiter_server {
	struct loop *loop;
	struct loop_source listener;
	struct loop_timer timer;
	bool timer_ready;
	uint64_t timer_ns; /* as it is set */
	struct sched_arbiter *arbiter;
	unsigned int lanes;
	int proc_fd;
	uid_t uid;
	struct client *clients;
	unsigned int client_count;
};

/* ---- Running the core -------------------------------------------------------------------------
 */

/* Listens again to those whose window has passed; when to look after the others, 0: at no time. */
static uint64_t unmute(struct arbiter_server *server, uint64_t now_ns)
{
	uint64_t when_ns = 0;

	for (struct client *c = server->clients; c; c = c->next) {
		if (!c->muted)
			continue;
		if (now_ns >= c->window_ns + WINDOW_NS) {
			c->muted = false;
			loop_modify(server->loop, &c->bell, EPOLLIN | EPOLLET);
		} else {
			when_ns = now_ns + LOOK_NS;
		}
	}
	return when_ns;
}

static void run(struct arbiter_server *server)
{
	uint64_t now_ns = clock_now_ns();
	uint64_t when_ns = sched_arbiter_run(server->arbiter, now_ns);
	uint64_t look_ns = unmute(server, now_ns);

	if (look_ns && (!when_ns || look_ns < when_ns))
		when_ns = look_ns;
	/* One that comes too early is moved when it does, not at each change of hands. */
	if (!when_ns || (server->timer_ns && server->timer_ns <= when_ns))
		return;
	loop_timer_set(&server->timer, when_ns);
	server->timer_ns = when_ns;
}

static void timer_expired(struct loop_timer *timer)
{
	struct arbiter_server *server = container_of(timer, struct arbiter_server, timer);

	server->timer_ns = 0;
	run(server);
}

static void bell_rung(struct loop_source *source, uint32_t events)
{
	struct client *c = container_of(source, struct client, bell);
	uint64_t now_ns = clock_now_ns();

	if (now_ns >= c->window_ns + WINDOW_NS) {
		c->window_ns = now_ns;
		c->rings = 0;
	}
	if (++c->rings > RINGS_MAX) {
		c->muted = true;
		loop_modify(c->server->loop, &c->bell, 0);
	}
	run(c->server);
}

/* The list of a process's threads; NULL when it cannot be had. */
static DIR *open_tasks(const struct arbiter_server *server, pid_t pid)
{
	char path[32];
	DIR *tasks;
	int fd;

	snprintf(path, sizeof(path), "%d/task", (int)pid);
	fd = openat(server->proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	tasks = fd >= 0 ? fdopendir(fd) : NULL;
	if (fd >= 0 && !tasks)
		close(fd);
	return tasks;
}

/*
 * The core's own measures end at not giving it a lane.  Its threads still use a CPU that others
 * were given, so from now on they get what those leave.  The kernel lets nobody without privilege
 * take that back: the operator starts it anew.
 */
static void outlaw(void *opaque, struct sched_seat *seat)
{
	struct arbiter_server *server = opaque;
	struct sched_param param = { 0 };
	struct dirent *entry;
	struct client *c;
	DIR *tasks;

	for (c = server->clients; c && c->seat != seat; c = c->next)
		;
	if (!c || c->pid == getpid())
		return;
	log_warn("%s (process %d) does not give its lane back: from now on it gets what others "
		 "leave; start it anew to end that",
		 c->name, (int)c->pid);
	tasks = open_tasks(server, c->pid);
	while (tasks && (entry = readdir(tasks)))
		if (atoi(entry->d_name) > 0)
			sched_setscheduler(atoi(entry->d_name), SCHED_IDLE, &param);
	if (tasks)
		closedir(tasks);
}

/* ---- Clients ----------------------------------------------------------------------------------
 */

static void drop_source(struct client *c, struct loop_source *source)
{
	if (source->fd < 0)
		return;
	loop_remove(c->server->loop, source);
	close(source->fd);
	source->fd = -1;
}

static void tell_end(const struct client *c)
{
	struct sched_seat_stats stats;

	sched_seat_stats(c->seat, &stats);
	log_info("%s has left: %llu leases, %.1f s of lane time, %llu overruns", c->name,
		 (unsigned long long)stats.grants, (double)stats.lane_ns / (double)NSEC_PER_SEC,
		 (unsigned long long)stats.overruns);
}

static void drop_client(struct client *c)
{
	struct arbiter_server *server = c->server;
	struct client **link = &server->clients;

	while (*link != c)
		link = &(*link)->next;
	*link = c->next;
	server->client_count--;
	if (c->seat) {
		tell_end(c);
		sched_arbiter_remove(server->arbiter, c->seat, clock_now_ns());
	}
	drop_source(c, &c->socket);
	drop_source(c, &c->process);
	drop_source(c, &c->bell);
	if (c->page)
		munmap(c->page, PAGE_BYTES);
	free(c);
}

static void process_ended(struct loop_source *source, uint32_t events)
{
	struct client *c = container_of(source, struct client, process);
	struct arbiter_server *server = c->server;

	drop_client(c);
	run(server);
}

static int watch(struct client *c, struct loop_source *source, int fd, uint32_t events,
		 void (*ready)(struct loop_source *source, uint32_t events))
{
	int err;

	*source = (struct loop_source){ .fd = fd, .events = events, .ready = ready };
	if (fd < 0)
		return -errno;
	err = loop_add(c->server->loop, source);
	if (err) {
		close(fd);
		source->fd = -1;
	}
	return err;
}

/* A page that cannot be cut short under our mapping; the descriptor, or -errno. */
static int make_page(struct client *c)
{
	int fd = memfd_create("lease", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	void *map;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)PAGE_BYTES) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		goto failed;
	map = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		goto failed;
	c->page = map;
	return fd;
failed:
	close(fd);
	return -ENOMEM;
}

static int check_hello(const struct arbiter_hello *hello)
{
	if (hello->magic != ARBITER_MAGIC)
		return -EPROTO;
	if (hello->version != ARBITER_VERSION)
		return -EPROTONOSUPPORT;
	if (!memchr(hello->name, '\0', sizeof(hello->name)) || option_name_check(hello->name))
		return -EINVAL;
	return 0;
}

/* The page's descriptor, or -errno; what was made half way is the client's to drop. */
static int make_seat(struct client *c, const struct arbiter_hello *hello)
{
	int err = check_hello(hello), page_fd;
	char cap[24] = "no cap";

	if (err)
		return err;
	strcpy(c->name, hello->name);
	page_fd = make_page(c);
	if (page_fd < 0)
		return page_fd;
	err = watch(c, &c->bell, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), EPOLLIN | EPOLLET,
		    bell_rung);
	if (!err)
		err = sched_arbiter_add(c->server->arbiter, c->page, hello->weight,
					hello->cap_percent, clock_now_ns(), &c->seat);
	if (err) {
		close(page_fd);
		return err;
	}
	if (hello->cap_percent)
		snprintf(cap, sizeof(cap), "cap %u %%", hello->cap_percent);
	log_info("%s (process %d) has a seat: weight %u, %s", c->name, (int)c->pid, hello->weight,
		 cap);
	return page_fd;
}

static bool send_welcome(struct client *c, int result)
{
	struct arbiter_welcome welcome = {
		.magic = ARBITER_MAGIC,
		.version = ARBITER_VERSION,
		.error = MIN(result, 0),
		.lanes = c->server->lanes,
	};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(2 * sizeof(int))];
	} control = { 0 };
	int fds[2] = { result, c->bell.fd };
	struct iovec iov = { &welcome, sizeof(welcome) };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (result >= 0) {
		message.msg_control = control.bytes;
		message.msg_controllen = sizeof(control.bytes);
		control.align = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
						  .cmsg_type = SCM_RIGHTS,
						  .cmsg_len = CMSG_LEN(sizeof(fds)) };
		memcpy(CMSG_DATA(&control.align), fds, sizeof(fds));
	}
	return sendmsg(c->socket.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == sizeof(welcome) &&
	       result >= 0;
}

/* The hello, whole and once; anything else ends the client. */
static void socket_ready(struct loop_source *source, uint32_t events)
{
	struct client *c = container_of(source, struct client, socket);
	struct arbiter_server *server = c->server;
	struct arbiter_hello hello;
	bool good = false;
	int result;

	if (!c->seat && recv(source->fd, &hello, sizeof(hello), MSG_DONTWAIT) == sizeof(hello)) {
		result = make_seat(c, &hello);
		good = send_welcome(c, result);
		if (result >= 0)
			close(result);
	}
	if (!good)
		drop_client(c);
	run(server);
}

/* The kernel's word for who is at the other end; -EPERM for another user. */
static int identify(const struct arbiter_server *server, int fd, pid_t *pid)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len))
		return -errno;
	if (peer.uid != server->uid)
		return -EPERM;
	*pid = peer.pid;
	return 0;
}

static int add_client(struct arbiter_server *server, int fd)
{
	struct client *c = calloc(1, sizeof(*c));
	int err;

	if (!c || identify(server, fd, &c->pid)) {
		close(fd);
		free(c);
		return -EPERM;
	}
	c->server = server;
	c->socket.fd = c->process.fd = c->bell.fd = -1;
	c->next = server->clients;
	server->clients = c;
	server->client_count++;
	err = watch(c, &c->socket, fd, EPOLLIN | EPOLLRDHUP, socket_ready);
	if (!err)
		err = watch(c, &c->process, (int)syscall(SYS_pidfd_open, c->pid, 0), EPOLLIN,
			    process_ended);
	if (err)
		drop_client(c);
	return err;
}

static void somebody_connects(struct loop_source *source, uint32_t events)
{
	struct arbiter_server *server = container_of(source, struct arbiter_server, listener);
	int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	if (server->client_count == CLIENTS_MAX)
		close(fd);
	else
		add_client(server, fd);
}

/* ---- Life -------------------------------------------------------------------------------------
 */

int arbiter_server_create(struct loop *loop, int listen_fd, int proc_fd,
			  const struct sched_arbiter_config *config, struct arbiter_server **out)
{
	struct arbiter_server *server = calloc(1, sizeof(*server));
	struct sched_arbiter_config own = *config;
	int err;

	if (!server) {
		close(listen_fd);
		return -ENOMEM;
	}
	own.outlaw = outlaw;
	own.opaque = server;
	server->loop = loop;
	server->lanes = config->lanes;
	server->proc_fd = proc_fd;
	server->uid = geteuid();
	server->listener = (struct loop_source){
		.fd = listen_fd,
		.events = EPOLLIN,
		.ready = somebody_connects,
	};
	err = sched_arbiter_create(&own, &server->arbiter);
	if (!err)
		err = loop_timer_init(loop, &server->timer, timer_expired);
	server->timer_ready = !err;
	if (!err)
		err = loop_add(loop, &server->listener);
	if (err) {
		close(listen_fd);
		server->listener.fd = -1;
		arbiter_server_destroy(server);
		return err;
	}
	*out = server;
	return 0;
}

void arbiter_server_destroy(struct arbiter_server *server)
{
	if (!server)
		return;
	while (server->clients) {
		assert(server->clients->server == server);
		drop_client(server->clients);
	}
	if (server->listener.fd >= 0) {
		loop_remove(server->loop, &server->listener);
		close(server->listener.fd);
	}
	if (server->timer_ready)
		loop_timer_fini(server->loop, &server->timer);
	sched_arbiter_destroy(server->arbiter);
	free(server);
}
