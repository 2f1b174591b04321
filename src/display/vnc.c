/* SPDX-License-Identifier: MIT */
/*
 * A live sink: a VNC server (libvncserver) on a thread of its own.  It looks at its head only
 * while somebody watches: at most sixty times a second when the picture moves, ever more seldom
 * when it does not; it compares what it sees with what it sent, block by block, and sends the
 * blocks that changed.  Everything but the flag to stop belongs to that thread.
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
#include "display/image.h"
#include "display/listen.h"

#define BLOCK_WIDTH    64u
#define BLOCK_HEIGHT   16u
#define FRAME_MIN_NS   (NSEC_PER_SEC / 60)
#define FRAME_MAX_NS   (NSEC_PER_SEC / 10)
#define MAX_CLIENTS    8
#define CLIENT_WAIT_MS 2000 /* a client that takes nothing for so long is dropped */
#define BLANK_WIDTH    640u
#define BLANK_HEIGHT   480u

struct display_vnc {
	struct display_source *source;
	unsigned int head;
	char *title;
	int listen_fd, wake_fd;
	uint16_t port;
	pthread_t thread;
	_Atomic bool stopping;

	/* The thread's. */
	rfbScreenInfoPtr screen;
	struct display_image seen, sent; /* the newest look, and the framebuffer clients have */
	int clients;
	uint64_t next_ns, interval_ns;
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

/* A head that is off, or cannot be drawn, is black in its last size. */
static int frame_look(struct display_vnc *vnc)
{
	int err = display_grab(vnc->source, vnc->head, &vnc->seen);

	if (!err)
		return 0;
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

static void client_gone(rfbClientPtr client)
{
	struct display_vnc *vnc = client->screen->screenData;

	vnc->clients--;
	log_debug("vnc: a client left, %d remain", vnc->clients);
}

static enum rfbNewClientAction client_new(rfbClientPtr client)
{
	struct display_vnc *vnc = client->screen->screenData;

	vnc->clients++;
	vnc->next_ns = 0;
	client->clientGoneHook = client_gone;
	return RFB_CLIENT_ACCEPT;
}

static void clients_accept(struct display_vnc *vnc)
{
	int fd;

	while ((fd = accept4(vnc->listen_fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		/* The library waits with select(), which ends at FD_SETSIZE. */
		if (vnc->clients >= MAX_CLIENTS || fd >= FD_SETSIZE) {
			log_limited(LOG_WARN, "vnc: a client was turned away: %d are connected",
				    vnc->clients);
			close(fd);
			continue;
		}
		/* A picture of the right size must be there before the client asks. */
		if (!vnc->clients)
			frame_update(vnc);
		rfbNewClient(vnc->screen, fd);
	}
}

/* ---- The thread ------------------------------------------------------------------------------ */

static void wait_for_client(struct display_vnc *vnc)
{
	struct pollfd fds[2] = { { .fd = vnc->listen_fd, .events = POLLIN },
				 { .fd = vnc->wake_fd, .events = POLLIN } };

	poll(fds, ARRAY_SIZE(fds), -1);
}

static void frame_when_due(struct display_vnc *vnc)
{
	uint64_t now_ns = clock_now_ns();

	if (now_ns < vnc->next_ns)
		return;
	if (frame_update(vnc)) {
		vnc->interval_ns = FRAME_MIN_NS;
		rfbProcessEvents(vnc->screen, 0);
	} else {
		vnc->interval_ns = MIN(vnc->interval_ns + FRAME_MIN_NS / 4, FRAME_MAX_NS);
	}
	vnc->next_ns = now_ns + vnc->interval_ns;
}

static void *thread_run(void *arg)
{
	struct display_vnc *vnc = arg;

	while (!atomic_load(&vnc->stopping)) {
		uint64_t now_ns = clock_now_ns();
		uint64_t left_ns = vnc->next_ns > now_ns ? vnc->next_ns - now_ns : 0;

		if (vnc->clients)
			rfbProcessEvents(vnc->screen, (long)(left_ns / NSEC_PER_USEC));
		else
			wait_for_client(vnc);
		clients_accept(vnc);
		if (vnc->clients)
			frame_when_due(vnc);
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
	screen->newClientHook = client_new;
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

	if (!vnc)
		return -ENOMEM;
	rfbLog = log_line;
	rfbErr = log_line;
	vnc->source = config->source;
	vnc->head = config->head;
	vnc->interval_ns = FRAME_MIN_NS;
	vnc->listen_fd = -1;
	vnc->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	vnc->title = strdup(config->title ? config->title : "Mediant");
	if (vnc->wake_fd < 0 || !vnc->title)
		goto fail;
	vnc->listen_fd = display_listen(config->address, &vnc->port);
	err = vnc->listen_fd < 0 ? vnc->listen_fd : screen_create(vnc);
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
	pthread_join(vnc->thread, NULL);
	vnc_free(vnc);
}

uint16_t display_vnc_port(struct display_vnc *vnc)
{
	return vnc->port;
}
