/* SPDX-License-Identifier: MIT */
/*
 * A live sink: a VNC server (libvncserver) on a thread of its own.  It looks at its head only
 * while somebody watches: at most sixty times a second when the picture moves, ever more seldom
 * when it does not; it compares what it sees with what it sent, block by block, and sends the
 * blocks that changed.  Everything but the flag to stop belongs to that thread.
 *
 * The library serves all clients on that one thread, and waits for whom it is serving.  So it is
 * let read a message only when all of it has come, and a guard ends what takes too long.
 */
#include <rfb/rfb.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/trace.h"
#include "display/guard.h"
#include "display/image.h"
#include "display/request.h"

#define BLOCK_WIDTH    64u
#define BLOCK_HEIGHT   16u
#define FRAME_MIN_NS   (NSEC_PER_SEC / 60)
#define FRAME_MAX_NS   (NSEC_PER_SEC / 10)
#define MAX_CLIENTS    DISPLAY_GUARD_SLOTS
#define CLIENT_WAIT_MS 2000		  /* a client that takes nothing for so long is dropped */
#define PARTIAL_MAX_NS (2 * NSEC_PER_SEC) /* and one that stays so long inside a message */
#define TURN_MAX_NS    (5 * NSEC_PER_SEC) /* and one that holds the thread for so long */
#define TEXT_MAX_BYTES (1u << 20)
#define ACCEPT_WAIT_NS NSEC_PER_SEC /* after an accept() that failed */
#define BLANK_WIDTH    640u
#define BLANK_HEIGHT   480u

struct viewer {
	rfbClientPtr client; /* NULL: a free slot; the index is the guard's */
	uint64_t skip_bytes; /* of a text that is thrown away */
	uint64_t partial_ns; /* since when the message at hand is not whole, 0: it is */
};

struct display_vnc {
	struct display_source *source;
	unsigned int head;
	char *title;
	int listen_fd, wake_fd;
	uint16_t port;
	pthread_t thread;
	_Atomic bool stopping;
	struct display_guard guard;
	bool guarded; /* the guard was made */

	/* The thread's. */
	rfbScreenInfoPtr screen;
	struct display_image seen, sent; /* the newest look, and the framebuffer clients have */
	struct viewer viewers[MAX_CLIENTS];
	int clients;
	uint64_t next_ns, interval_ns;
	uint64_t accept_ns; /* nobody is let in before */
};

static void log_line(const char *format, ...) PRINTF_LIKE(1, 2);

static void log_line(const char *format, ...)
{
	char line[256];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	line[strcspn(line, "\n")] = '\0';
	log_debug("vnc: %s", line);
}

/* ---- Pictures -------------------------------------------------------------------------------- */

static bool block_equal(const struct display_vnc *vnc, uint32_t x, uint32_t y, uint32_t width,
			uint32_t height)
{
	size_t at = (size_t)y * vnc->seen.width + x;

	for (uint32_t row = 0; row < height; row++, at += vnc->seen.width) {
		if (memcmp(vnc->seen.pixels + at, vnc->sent.pixels + at, width * 4u) != 0)
			return false;
	}
	return true;
}

static void run_send(struct display_vnc *vnc, uint32_t x, uint32_t end, uint32_t y, uint32_t height)
{
	size_t at = (size_t)y * vnc->seen.width + x;

	for (uint32_t row = 0; row < height; row++, at += vnc->seen.width)
		memcpy(vnc->sent.pixels + at, vnc->seen.pixels + at, (end - x) * 4u);
	rfbMarkRectAsModified(vnc->screen, (int)x, (int)y, (int)end, (int)(y + height));
}

/* One row of blocks: neighbours that changed are one rectangle.  True when any did. */
static bool blocks_compare(struct display_vnc *vnc, uint32_t y)
{
	uint32_t height = MIN(BLOCK_HEIGHT, vnc->seen.height - y);
	uint32_t run = UINT32_MAX;
	bool changed = false;

	for (uint32_t x = 0; x < vnc->seen.width; x += BLOCK_WIDTH) {
		uint32_t width = MIN(BLOCK_WIDTH, vnc->seen.width - x);
		bool equal = block_equal(vnc, x, y, width, height);

		if (!equal && run == UINT32_MAX)
			run = x;
		if (equal && run != UINT32_MAX) {
			run_send(vnc, run, x, y, height);
			run = UINT32_MAX;
		}
		changed |= !equal;
	}
	if (run != UINT32_MAX)
		run_send(vnc, run, vnc->seen.width, y, height);
	return changed;
}

/* Another size: a new framebuffer, which the clients are told of, and all of it is new. */
static int frame_resize(struct display_vnc *vnc)
{
	struct display_image old = vnc->sent;

	vnc->sent = (struct display_image){ .width = 0 };
	if (display_image_resize(&vnc->sent, vnc->seen.width, vnc->seen.height)) {
		vnc->sent = old;
		return -ENOMEM;
	}
	memcpy(vnc->sent.pixels, vnc->seen.pixels,
	       (size_t)vnc->seen.width * vnc->seen.height * sizeof(uint32_t));
	/* The library lets go of the old one here, and marks everything as modified. */
	rfbNewFramebuffer(vnc->screen, (char *)vnc->sent.pixels, (int)vnc->sent.width,
			  (int)vnc->sent.height, 8, 3, 4);
	vnc->screen->serverFormat.redShift = 16;
	vnc->screen->serverFormat.greenShift = 8;
	vnc->screen->serverFormat.blueShift = 0;
	display_image_fini(&old);
	return 0;
}

/*
 * A head that is off, or cannot be drawn, is black in its last size; one whose memory cannot be had
 * just now stays as it was sent.
 */
static int frame_look(struct display_vnc *vnc)
{
	int err = display_grab(vnc->source, vnc->head, &vnc->seen);

	if (!err || err == -EIO)
		return err;
	err = display_image_resize(&vnc->seen, vnc->sent.width ? vnc->sent.width : BLANK_WIDTH,
				   vnc->sent.height ? vnc->sent.height : BLANK_HEIGHT);
	if (err)
		return err;
	memset(vnc->seen.pixels, 0, (size_t)vnc->seen.width * vnc->seen.height * 4);
	return 0;
}

/* Looks once; true when something changed. */
static bool frame_update(struct display_vnc *vnc)
{
	uint32_t rows = 0;

	if (frame_look(vnc))
		return false;
	if (vnc->seen.width != vnc->sent.width || vnc->seen.height != vnc->sent.height)
		return frame_resize(vnc) == 0;
	for (uint32_t y = 0; y < vnc->seen.height; y += BLOCK_HEIGHT)
		rows += blocks_compare(vnc, y) ? BLOCK_HEIGHT : 0;
	if (rows)
		TRACE(display_frame, vnc->head, vnc->seen.width, vnc->seen.height, rows);
	return rows != 0;
}

/* ---- Clients --------------------------------------------------------------------------------- */

/*
 * Nobody watches: a picture may be large, its size being the guest's choice, so it is not kept.
 * The library needs some framebuffer at all times.
 */
static void frame_forget(struct display_vnc *vnc)
{
	display_image_fini(&vnc->seen);
	if (!display_image_resize(&vnc->seen, BLANK_WIDTH, BLANK_HEIGHT)) {
		memset(vnc->seen.pixels, 0, (size_t)BLANK_WIDTH * BLANK_HEIGHT * sizeof(uint32_t));
		frame_resize(vnc);
	}
	display_image_fini(&vnc->seen);
}

static void client_gone(rfbClientPtr client)
{
	struct display_vnc *vnc = client->screen->screenData;
	struct viewer *viewer = client->clientData;

	display_guard_remove(&vnc->guard, (int)(viewer - vnc->viewers));
	viewer->client = NULL;
	vnc->clients--;
	log_debug("vnc: a client left, %d remain", vnc->clients);
}

/* Consumes @fd. */
static void client_add(struct display_vnc *vnc, int fd)
{
	int slot = display_guard_add(&vnc->guard, fd);
	rfbClientPtr client;

	/* The library waits with select(), which ends at FD_SETSIZE. */
	if (slot < 0 || fd >= FD_SETSIZE) {
		log_limited(LOG_WARN, "vnc: a client was turned away: %d are connected",
			    vnc->clients);
		close(fd);
		if (slot >= 0)
			display_guard_remove(&vnc->guard, slot);
		return;
	}
	/* A picture of the right size must be there before the client asks. */
	if (!vnc->clients)
		frame_update(vnc);
	display_guard_turn_begin(&vnc->guard, slot);
	client = rfbNewClient(vnc->screen, fd);
	display_guard_turn_end(&vnc->guard);
	if (!client) {
		display_guard_remove(&vnc->guard, slot);
		return;
	}
	vnc->viewers[slot] = (struct viewer){ .client = client };
	client->clientData = &vnc->viewers[slot];
	client->clientGoneHook = client_gone;
	vnc->clients++;
	vnc->next_ns = 0;
	/* What comes in their frames cannot be looked at before the library reads it. */
	if (client->wsctx)
		rfbCloseClient(client);
}

/* One at a time: whoever connects again and again must not keep the others waiting. */
static void client_accept(struct display_vnc *vnc, uint64_t now_ns)
{
	int fd;

	if (now_ns < vnc->accept_ns)
		return;
	fd = accept4(vnc->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0) {
		client_add(vnc, fd);
	} else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
		log_limited(LOG_WARN, "vnc: cannot accept a client: %s", strerror(errno));
		vnc->accept_ns = now_ns + ACCEPT_WAIT_NS;
	}
}

static void text_skip(struct viewer *viewer)
{
	uint8_t scratch[DISPLAY_REQUEST_MAX_BYTES];
	ssize_t got = recv(viewer->client->sock, scratch, MIN(sizeof(scratch), viewer->skip_bytes),
			   MSG_DONTWAIT);

	if (got > 0)
		viewer->skip_bytes -= (uint64_t)got;
	else if (!got || (errno != EAGAIN && errno != EINTR))
		rfbCloseClient(viewer->client);
}

static uint64_t message_bytes(const struct viewer *viewer, const uint8_t *head, size_t have)
{
	if (viewer->client->state == RFB_NORMAL)
		return display_request_bytes(head, have);
	return viewer->client->state == RFB_PROTOCOL_VERSION ? sz_rfbProtocolVersionMsg : 1;
}

/* A message that is not whole is left in the socket, for a while. */
static void message_wait(struct viewer *viewer, uint64_t now_ns)
{
	if (!viewer->partial_ns)
		viewer->partial_ns = now_ns;
	else if (now_ns - viewer->partial_ns > PARTIAL_MAX_NS)
		rfbCloseClient(viewer->client);
}

static void viewer_read(struct viewer *viewer, uint64_t now_ns)
{
	rfbClientPtr client = viewer->client;
	uint8_t head[DISPLAY_REQUEST_MAX_BYTES];
	uint64_t bytes;
	ssize_t have;

	if (viewer->skip_bytes) {
		text_skip(viewer);
		return;
	}
	have = recv(client->sock, head, sizeof(head), MSG_PEEK | MSG_DONTWAIT);
	if (have <= 0) {
		if (!have || (errno != EAGAIN && errno != EINTR))
			rfbCloseClient(client);
		return;
	}
	bytes = message_bytes(viewer, head, (size_t)have);
	if (client->state == RFB_NORMAL && display_request_is_text(head, (size_t)have) &&
	    bytes <= TEXT_MAX_BYTES) {
		viewer->partial_ns = 0;
		viewer->skip_bytes = bytes;
	} else if (bytes > sizeof(head)) {
		rfbCloseClient(client);
	} else if (bytes > (uint64_t)have) {
		message_wait(viewer, now_ns);
	} else {
		viewer->partial_ns = 0;
		rfbProcessClientMessage(client);
	}
}

/* One turn of each client: a message of its, and what changed. */
static void viewers_serve(struct display_vnc *vnc)
{
	for (int slot = 0; slot < MAX_CLIENTS && !atomic_load(&vnc->stopping); slot++) {
		struct viewer *viewer = &vnc->viewers[slot];
		rfbClientPtr client = viewer->client;

		if (!client)
			continue;
		display_guard_turn_begin(&vnc->guard, slot);
		if (client->sock >= 0)
			viewer_read(viewer, clock_now_ns());
		if (client->sock >= 0)
			rfbUpdateClient(client);
		display_guard_turn_end(&vnc->guard);
		if (client->sock >= 0)
			continue;
		rfbClientConnectionGone(client);
		if (!vnc->clients)
			frame_forget(vnc);
	}
}

/* ---- The thread ------------------------------------------------------------------------------ */

/* A message that is not whole stays readable: its client is looked at with the next frame. */
static void wait_for_work(struct display_vnc *vnc, uint64_t now_ns)
{
	struct pollfd fds[2 + MAX_CLIENTS] = {
		{ .fd = now_ns < vnc->accept_ns ? -1 : vnc->listen_fd, .events = POLLIN },
		{ .fd = vnc->wake_fd, .events = POLLIN },
	};
	uint64_t until_ns = vnc->clients ? vnc->next_ns : UINT64_MAX, left_ns;
	struct timespec ts;

	for (int i = 0; i < MAX_CLIENTS; i++) {
		const struct viewer *viewer = &vnc->viewers[i];

		fds[2 + i].fd = viewer->client && !viewer->partial_ns ? viewer->client->sock : -1;
		fds[2 + i].events = POLLIN;
	}
	if (now_ns < vnc->accept_ns)
		until_ns = MIN(until_ns, vnc->accept_ns);
	left_ns = until_ns > now_ns ? until_ns - now_ns : 0;
	ts.tv_sec = (time_t)(left_ns / NSEC_PER_SEC);
	ts.tv_nsec = (long)(left_ns % NSEC_PER_SEC);
	ppoll(fds, ARRAY_SIZE(fds), until_ns == UINT64_MAX ? NULL : &ts, NULL);
}

static void frame_when_due(struct display_vnc *vnc)
{
	uint64_t now_ns = clock_now_ns();

	if (now_ns < vnc->next_ns)
		return;
	if (frame_update(vnc))
		vnc->interval_ns = FRAME_MIN_NS;
	else
		vnc->interval_ns = MIN(vnc->interval_ns + FRAME_MIN_NS / 4, FRAME_MAX_NS);
	vnc->next_ns = now_ns + vnc->interval_ns;
}

static void *thread_run(void *arg)
{
	struct display_vnc *vnc = arg;

	while (!atomic_load(&vnc->stopping)) {
		wait_for_work(vnc, clock_now_ns());
		client_accept(vnc, clock_now_ns());
		if (vnc->clients)
			frame_when_due(vnc);
		viewers_serve(vnc);
	}
	return NULL;
}

static int screen_create(struct display_vnc *vnc)
{
	rfbScreenInfoPtr screen;

	if (frame_look(vnc) || display_image_resize(&vnc->sent, vnc->seen.width, vnc->seen.height))
		return -ENOMEM;
	memcpy(vnc->sent.pixels, vnc->seen.pixels,
	       (size_t)vnc->sent.width * vnc->sent.height * sizeof(uint32_t));
	screen = rfbGetScreen(NULL, NULL, (int)vnc->sent.width, (int)vnc->sent.height, 8, 3, 4);
	if (!screen)
		return -ENOMEM;
	vnc->screen = screen;
	screen->screenData = vnc;
	screen->desktopName = vnc->title;
	screen->frameBuffer = (char *)vnc->sent.pixels;
	screen->serverFormat.redShift = 16;
	screen->serverFormat.greenShift = 8;
	screen->serverFormat.blueShift = 0;
	screen->alwaysShared = TRUE;
	screen->maxClientWait = CLIENT_WAIT_MS;
	screen->deferUpdateTime = 0; /* we pace the frames */
	screen->cursor = NULL;	     /* the guest draws its own */
	screen->autoPort = FALSE;    /* and no port: the listening socket is ours */
	screen->port = 0;
	screen->ipv6port = 0;
	rfbInitServer(screen);
	return 0;
}

static void vnc_free(struct display_vnc *vnc)
{
	if (vnc->screen) {
		rfbShutdownServer(vnc->screen, TRUE);
		rfbScreenCleanup(vnc->screen);
	}
	if (vnc->guarded)
		display_guard_fini(&vnc->guard);
	if (vnc->listen_fd >= 0)
		close(vnc->listen_fd);
	if (vnc->wake_fd >= 0)
		close(vnc->wake_fd);
	display_image_fini(&vnc->seen);
	display_image_fini(&vnc->sent);
	free(vnc->title);
	free(vnc);
}

/* Signals are the main thread's; a client's broken pipe is an error code. */
static int thread_start(struct display_vnc *vnc)
{
	sigset_t all, old;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = -pthread_create(&vnc->thread, NULL, thread_run, vnc);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!err)
		pthread_setname_np(vnc->thread, "vnc");
	return err;
}

int display_vnc_create(const struct display_vnc_config *config, struct display_vnc **out)
{
	struct display_vnc *vnc = calloc(1, sizeof(*vnc));
	int err = -ENOMEM;

	if (!vnc) {
		close(config->listen_fd);
		return -ENOMEM;
	}
	rfbLog = log_line;
	rfbErr = log_line;
	vnc->source = config->source;
	vnc->head = config->head;
	vnc->interval_ns = FRAME_MIN_NS;
	vnc->listen_fd = config->listen_fd;
	vnc->port = config->port;
	vnc->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	vnc->title = strdup(config->title ? config->title : "Mediant");
	if (vnc->wake_fd < 0 || !vnc->title)
		goto fail;
	err = screen_create(vnc);
	if (!err)
		err = display_guard_init(&vnc->guard, TURN_MAX_NS);
	vnc->guarded = !err;
	if (!err)
		err = thread_start(vnc);
	if (err)
		goto fail;
	*out = vnc;
	return 0;
fail:
	vnc_free(vnc);
	return err;
}

void display_vnc_destroy(struct display_vnc *vnc)
{
	uint64_t one = 1;

	if (!vnc)
		return;
	atomic_store(&vnc->stopping, true);
	if (write(vnc->wake_fd, &one, sizeof(one)) < 0)
		log_debug("vnc: waking the thread: %s", strerror(errno));
	/* The thread may be inside the library, waiting for a client. */
	display_guard_stop(&vnc->guard);
	pthread_join(vnc->thread, NULL);
	vnc_free(vnc);
}

uint16_t display_vnc_port(struct display_vnc *vnc)
{
	return vnc->port;
}
