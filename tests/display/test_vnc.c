/* SPDX-License-Identifier: MIT */
/*
 * The VNC server as a client sees it: a small RFB 3.8 client with raw encoding over loopback gets
 * the right pixels, then only the rectangles that changed, then another size.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "display/guard.h"
#include "display/request.h"
#include "screen.h"
#include "tests/support/leaks.h"

#define WAIT_MS		  10000
#define ENCODING_RAW	  0
#define ENCODING_NEW_SIZE (-223)

struct client {
	int fd;
	uint32_t width, height;
	uint32_t *pixels;
	uint32_t area; /* pixels received in the last update */
};

static void get(struct client *client, void *buf, size_t len)
{
	uint8_t *at = buf;

	while (len) {
		struct pollfd poll_fd = { .fd = client->fd, .events = POLLIN };
		ssize_t got;

		assert_int_equal(poll(&poll_fd, 1, WAIT_MS), 1);
		got = recv(client->fd, at, len, 0);
		assert_true(got > 0);
		at += got;
		len -= (size_t)got;
	}
}

static void put(struct client *client, const void *buf, size_t len)
{
	assert_int_equal(send(client->fd, buf, len, MSG_NOSIGNAL), len);
}

static uint16_t be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static _Atomic bool accept_fails;
static _Atomic unsigned int accepts;

/* In front of the C library's, for the server: with no descriptor left. */
int accept4(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
	atomic_fetch_add(&accepts, 1);
	if (!atomic_load(&accept_fails))
		return (int)syscall(SYS_accept4, fd, address, len, flags);
	errno = EMFILE;
	return -1;
}

static int client_connect(uint16_t port)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_port = htons(port),
				       .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void client_open(struct client *client, uint16_t port)
{
	/* Raw, and "tell me when the size changes"; 32 bits a pixel, red highest. */
	static const uint8_t encodings[] = { 2, 0, 0, 2, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0x21 };
	static const uint8_t format[] = { 0, 0,	  0, 0,	  32, 24, 0, 1, 0, 255,
					  0, 255, 0, 255, 16, 8,  0, 0, 0, 0 };
	uint8_t buf[64];

	memset(client, 0, sizeof(*client));
	client->fd = client_connect(port);
	get(client, buf, 12);
	assert_memory_equal(buf, "RFB 003.008\n", 12);
	put(client, "RFB 003.008\n", 12);
	get(client, buf, 1);
	get(client, buf + 1, buf[0]); /* security types: 1 is none */
	put(client, "\x01", 1);
	get(client, buf, 4);
	assert_memory_equal(buf, "\0\0\0\0", 4);
	put(client, "\x01", 1);
	get(client, buf, 24);
	client->width = be16(buf);
	client->height = be16(buf + 2);
	assert_true(be16(buf + 22) < sizeof(buf));
	get(client, buf + 24, be16(buf + 22));
	assert_memory_equal(buf + 24, "title", 5);
	put(client, format, sizeof(format));
	put(client, encodings, sizeof(encodings));
	client->pixels = calloc((size_t)client->width * client->height, 4);
}

static void client_close(struct client *client)
{
	close(client->fd);
	free(client->pixels);
}

static void update_ask(struct client *client, bool incremental)
{
	uint8_t ask[10] = { 3, incremental, 0, 0, 0, 0 };

	ask[6] = (uint8_t)(client->width >> 8);
	ask[7] = (uint8_t)client->width;
	ask[8] = (uint8_t)(client->height >> 8);
	ask[9] = (uint8_t)client->height;
	put(client, ask, sizeof(ask));
}

static void rectangle_get(struct client *client, const uint8_t *head)
{
	uint32_t x = be16(head), y = be16(head + 2), w = be16(head + 4), h = be16(head + 6);

	assert_true(x + w <= client->width && y + h <= client->height);
	for (uint32_t row = y; row < y + h; row++)
		get(client, client->pixels + (size_t)row * client->width + x, w * 4u);
	client->area += w * h;
}

/* One FramebufferUpdate. */
static void update_get(struct client *client)
{
	uint8_t head[12];
	unsigned int count;

	get(client, head, 4);
	assert_int_equal(head[0], 0);
	count = be16(head + 2);
	client->area = 0;
	while (count--) {
		int32_t encoding;

		get(client, head, 12);
		encoding = (int32_t)((uint32_t)be16(head + 8) << 16 | be16(head + 10));
		if (encoding == ENCODING_NEW_SIZE) {
			free(client->pixels);
			client->width = be16(head + 4);
			client->height = be16(head + 6);
			client->pixels = calloc((size_t)client->width * client->height, 4);
			return;
		}
		assert_int_equal(encoding, ENCODING_RAW);
		rectangle_get(client, head);
	}
}

static void assert_same(struct client *client, struct screen *screen)
{
	for (uint32_t y = 0; y < client->height; y++) {
		for (uint32_t x = 0; x < client->width; x++)
			assert_int_equal(client->pixels[(size_t)y * client->width + x],
					 screen_get(screen, x, y));
	}
}

static struct display_vnc *server_start(struct screen *screen, uint32_t width, uint32_t height)
{
	struct display_vnc_config config = { .source = &screen->source, .title = "title" };
	struct display_vnc *vnc = NULL;

	screen_init(screen, width, height);
	screen_linear(screen);
	for (uint32_t y = 0; y < height; y++) {
		for (uint32_t x = 0; x < width; x++)
			screen_set(screen, x, y, x << 16 | y << 8 | ((x * y) & 255));
	}
	config.listen_fd = display_listen("127.0.0.1:0", &config.port);
	assert_true(config.listen_fd >= 0);
	assert_int_equal(display_vnc_create(&config, &vnc), 0);
	assert_int_not_equal(display_vnc_port(vnc), 0);
	return vnc;
}

static void a_client_gets_the_pixels_then_what_changed(void **state)
{
	struct screen screen;
	struct client client;
	struct display_vnc *vnc = server_start(&screen, 200, 100);

	client_open(&client, display_vnc_port(vnc));
	assert_int_equal(client.width, 200);
	assert_int_equal(client.height, 100);
	update_ask(&client, false);
	update_get(&client);
	assert_int_equal(client.area, 200 * 100);
	assert_same(&client, &screen);

	/* One pixel: one block of 64 by 16. */
	update_ask(&client, true);
	screen_set(&screen, 70, 20, 0xabcdef);
	update_get(&client);
	assert_int_equal(client.area, 64 * 16);
	assert_same(&client, &screen);

	/* The last block of a row and of a column is smaller. */
	update_ask(&client, true);
	screen_set(&screen, 199, 99, 0x123456);
	update_get(&client);
	assert_int_equal(client.area, 8 * 4);
	assert_same(&client, &screen);
	client_close(&client);
	display_vnc_destroy(vnc);
	screen_fini(&screen);
}

static void a_mode_change_resizes(void **state)
{
	struct screen screen;
	struct client client;
	struct display_vnc *vnc = server_start(&screen, 160, 96);

	client_open(&client, display_vnc_port(vnc));
	update_ask(&client, false);
	update_get(&client);
	update_ask(&client, true);
	pthread_mutex_lock(&screen.mutex);
	screen.head.width = screen.head.primary.width = 128;
	screen.head.height = screen.head.primary.height = 64;
	pthread_mutex_unlock(&screen.mutex);
	update_get(&client);
	assert_int_equal(client.width, 128);
	assert_int_equal(client.height, 64);
	update_ask(&client, false);
	update_get(&client);
	assert_same(&client, &screen);
	client_close(&client);
	display_vnc_destroy(vnc);
	screen_fini(&screen);
}

static void a_head_that_goes_off_is_black(void **state)
{
	struct screen screen;
	struct client client;
	struct display_vnc *vnc = server_start(&screen, 64, 32);

	client_open(&client, display_vnc_port(vnc));
	update_ask(&client, false);
	update_get(&client);
	update_ask(&client, true);
	pthread_mutex_lock(&screen.mutex);
	screen.head.active = false;
	pthread_mutex_unlock(&screen.mutex);
	update_get(&client);
	for (uint32_t i = 0; i < 64 * 32; i++)
		assert_int_equal(client.pixels[i], 0);
	client_close(&client);
	display_vnc_destroy(vnc);
	screen_fini(&screen);
}

static uint64_t reads_of(struct screen *screen)
{
	uint64_t reads;

	pthread_mutex_lock(&screen->mutex);
	reads = screen->reads;
	pthread_mutex_unlock(&screen->mutex);
	return reads;
}

static void a_head_whose_memory_cannot_be_had_stays(void **state)
{
	struct screen screen;
	struct client client;
	struct display_vnc *vnc = server_start(&screen, 64, 32);
	uint64_t reads;

	client_open(&client, display_vnc_port(vnc));
	update_ask(&client, false);
	update_get(&client);
	screen.unreadable = true;
	update_ask(&client, true);
	reads = reads_of(&screen);
	for (int i = 0; i < 10000 && reads_of(&screen) < reads + 3; i++)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	assert_true(reads_of(&screen) >= reads + 3);
	screen_set(&screen, 1, 1, 0x123456);
	screen.unreadable = false;
	update_get(&client); /* no black in between */
	assert_same(&client, &screen);
	client_close(&client);
	display_vnc_destroy(vnc);
	screen_fini(&screen);
}

/* The last viewer's picture is not kept: whoever comes to a dark head sees a small one. */
static void the_picture_goes_with_the_last_viewer(void **state)
{
	struct screen screen;
	struct client client;
	struct display_vnc *vnc = server_start(&screen, 1024, 1024);

	client_open(&client, display_vnc_port(vnc));
	client_close(&client);
	pthread_mutex_lock(&screen.mutex);
	screen.head.active = false;
	pthread_mutex_unlock(&screen.mutex);
	/* The server may see the one come before it sees the other leave. */
	for (unsigned int tries = 0; tries < 100; tries++) {
		client_open(&client, display_vnc_port(vnc));
		client_close(&client);
		if (client.width != 1024)
			break;
	}
	assert_int_equal(client.width, 640);
	assert_int_equal(client.height, 480);
	display_vnc_destroy(vnc);
	screen_fini(&screen);
}

/* Nobody watches: nobody looks. */
static void without_clients_nothing_is_read(void **state)
{
	struct screen screen;
	struct display_vnc *vnc = server_start(&screen, 64, 32);
	uint64_t reads;

	pthread_mutex_lock(&screen.mutex);
	reads = screen.reads;
	pthread_mutex_unlock(&screen.mutex);
	usleep(150000);
	pthread_mutex_lock(&screen.mutex);
	assert_int_equal(screen.reads, reads);
	pthread_mutex_unlock(&screen.mutex);
	display_vnc_destroy(vnc);
	screen_fini(&screen);
}

/* Clients that send rubbish, hang up half-way, or are too many do not hurt the others. */
static void bad_clients_do_no_harm(void **state)
{
	struct screen screen;
	struct client good, bad;
	struct display_vnc *vnc = server_start(&screen, 64, 32);
	uint8_t rubbish[512];

	memset(rubbish, 0xa5, sizeof(rubbish));
	for (unsigned int i = 0; i < 12; i++) {
		client_open(&bad, display_vnc_port(vnc));
		if (i % 2)
			put(&bad, rubbish, sizeof(rubbish));
		client_close(&bad);
	}
	client_open(&good, display_vnc_port(vnc));
	update_ask(&good, false);
	update_get(&good);
	assert_same(&good, &screen);
	client_close(&good);
	display_vnc_destroy(vnc);
	screen_fini(&screen);
}

static bool readable(struct client *client, int timeout_ms)
{
	struct pollfd poll_fd = { .fd = client->fd, .events = POLLIN };

	return poll(&poll_fd, 1, timeout_ms) == 1;
}

/* A client that stays inside a message, a byte now and then, holds up neither others nor the end.
 */
static void a_message_in_drops_holds_up_nobody(const void *head, size_t len)
{
	struct screen screen;
	struct client good, bad;
	struct display_vnc *vnc = server_start(&screen, 64, 32);
	bool served = false;

	client_open(&bad, display_vnc_port(vnc));
	client_open(&good, display_vnc_port(vnc));
	put(&bad, head, len);
	for (unsigned int i = 0; i < 10; i++) {
		update_ask(&good, false);
		for (unsigned int tries = 0; tries < 100; tries++) {
			served = readable(&good, 50);
			if (served)
				break;
			send(bad.fd, "x", 1, MSG_NOSIGNAL);
		}
		assert_true(served);
		update_get(&good);
		send(bad.fd, "x", 1, MSG_NOSIGNAL);
	}
	assert_same(&good, &screen);
	client_close(&good);
	display_vnc_destroy(vnc);
	client_close(&bad);
	screen_fini(&screen);
}

static void a_text_in_drops_holds_up_nobody(void **state)
{
	a_message_in_drops_holds_up_nobody("\x06\0\0\0\0\0\x03\xe8", 8);
}

static void encodings_in_drops_hold_up_nobody(void **state)
{
	a_message_in_drops_holds_up_nobody("\x02\0\0\xff", 4);
}

/* What follows a text is found: the text was skipped to its last byte. */
static void a_text_is_skipped(void **state)
{
	static const uint8_t head[8] = { 6, 0, 0, 0, 0, 0, 0x30, 0 };
	struct screen screen;
	struct client client;
	struct display_vnc *vnc = server_start(&screen, 64, 32);
	uint8_t text[0x3000];

	memset(text, 3, sizeof(text));
	client_open(&client, display_vnc_port(vnc));
	put(&client, head, sizeof(head));
	put(&client, text, sizeof(text));
	update_ask(&client, false);
	update_get(&client);
	assert_same(&client, &screen);
	client_close(&client);
	display_vnc_destroy(vnc);
	screen_fini(&screen);
}

/* Eight that asked for more than their sockets hold, and read nothing. */
static void deaf_clients_do_not_delay_the_end(void **state)
{
	struct screen screen;
	struct client clients[8];
	struct display_vnc *vnc = server_start(&screen, 1024, 1024);
	char byte;

	for (unsigned int i = 0; i < ARRAY_SIZE(clients); i++)
		client_open(&clients[i], display_vnc_port(vnc));
	for (unsigned int i = 0; i < ARRAY_SIZE(clients); i++)
		update_ask(&clients[i], false);
	assert_true(readable(&clients[0], WAIT_MS));
	display_vnc_destroy(vnc);
	for (unsigned int i = 0; i < ARRAY_SIZE(clients); i++) {
		while (recv(clients[i].fd, &byte, 1, MSG_DONTWAIT) > 0)
			;
		client_close(&clients[i]);
	}
	screen_fini(&screen);
}

/* What is stuck in a turn is ended by the guard, and only that. */
static void the_guard_ends_a_turn_that_takes_too_long(void **state)
{
	struct display_guard guard;
	int stuck[2], idle[2];
	int slot, other;
	char byte;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stuck), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, idle), 0);
	assert_int_equal(display_guard_init(&guard, 20 * NSEC_PER_MSEC), 0);
	slot = display_guard_add(&guard, stuck[0]);
	other = display_guard_add(&guard, idle[0]);
	assert_true(slot >= 0 && other >= 0);
	display_guard_turn_begin(&guard, other);
	display_guard_turn_end(&guard);
	display_guard_turn_begin(&guard, slot);
	assert_int_equal(recv(stuck[0], &byte, 1, 0), 0);
	display_guard_turn_end(&guard);
	assert_int_equal(guard.ended, 1);
	assert_int_equal(recv(idle[0], &byte, 1, MSG_DONTWAIT), -1);
	display_guard_remove(&guard, slot);
	display_guard_stop(&guard);
	assert_int_equal(recv(idle[0], &byte, 1, 0), 0);
	assert_int_equal(display_guard_add(&guard, stuck[0]), -ESHUTDOWN);
	display_guard_fini(&guard);
	for (unsigned int i = 0; i < 2; i++) {
		close(stuck[i]);
		close(idle[i]);
	}
}

static void messages_have_lengths(void **state)
{
	static const struct {
		uint8_t head[8];
		size_t have;
		uint64_t bytes;
	} cases[] = {
		{ { 0 }, 1, 20 },
		{ { 2 }, 1, 4 },
		{ { 2, 0, 1, 2 }, 4, 4 + 4 * 258 },
		{ { 3 }, 8, 10 },
		{ { 4 }, 1, 8 },
		{ { 5 }, 1, 6 },
		{ { 6, 0, 0, 0, 0xff, 0xff, 0xff }, 7, 8 },
		{ { 6, 0, 0, 0, 0, 0, 1, 4 }, 8, 8 + 260 },
		{ { 6, 0, 0, 0, 0xff, 0xff, 0xff, 0xf0 }, 8, 8 + 16 },
		{ { 6, 0, 0, 0, 0x80, 0, 0, 0 }, 8, 8 + (1ull << 31) },
		{ { 251, 0, 0, 0, 0, 0, 3 }, 8, 8 + 48 },
		{ { 7 }, 8, UINT64_MAX },
		{ { 0xa5 }, 1, UINT64_MAX },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(display_request_bytes(cases[i].head, cases[i].have),
				 cases[i].bytes);
}

/* Out of descriptors: the server rests before it tries again, and then goes on. */
static void without_descriptors_it_does_not_spin(void **state)
{
	struct screen screen;
	struct client client;
	struct display_vnc *vnc = server_start(&screen, 64, 32);

	atomic_store(&accepts, 0);
	atomic_store(&accept_fails, true);
	client.fd = client_connect(display_vnc_port(vnc));
	while (!atomic_load(&accepts))
		usleep(1000);
	usleep(200000);
	assert_true(atomic_load(&accepts) <= 2);
	atomic_store(&accept_fails, false);
	assert_true(readable(&client, WAIT_MS));
	close(client.fd);
	display_vnc_destroy(vnc);
	screen_fini(&screen);
}

static void addresses_are_understood_or_refused(void **state)
{
	static const char *const bad[] = { "",	     "5901",	     ":",
					   ":x",     "127.0.0.1:",   "127.0.0.1:65536",
					   ":70000", "127.0.0.1:-1", "127.0.0.1:1x" };
	uint16_t port = 0;
	int fd;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(display_listen(bad[i], &port), -EINVAL);
	fd = display_listen("127.0.0.1:0", &port);
	assert_true(fd >= 0);
	assert_int_not_equal(port, 0);
	close(fd);
	/* A display number is a port on loopback. */
	for (unsigned int n = 90; n < 190; n++) {
		char text[8];

		snprintf(text, sizeof(text), ":%u", n);
		fd = display_listen(text, &port);
		if (fd == -EADDRINUSE)
			continue;
		assert_true(fd >= 0);
		assert_int_equal(port, 5900 + n);
		close(fd);
		return;
	}
	skip();
}

static void a_port_in_use_is_an_error(void **state)
{
	struct screen screen;
	struct display_vnc *vnc = server_start(&screen, 64, 32);
	char address[32];
	uint16_t port;

	snprintf(address, sizeof(address), "127.0.0.1:%u", display_vnc_port(vnc));
	assert_int_equal(display_listen(address, &port), -EADDRINUSE);
	display_vnc_destroy(vnc);
	display_vnc_destroy(NULL);
	screen_fini(&screen);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_checked(a_client_gets_the_pixels_then_what_changed),
		leak_checked(a_mode_change_resizes),
		leak_checked(a_head_that_goes_off_is_black),
		leak_checked(a_head_whose_memory_cannot_be_had_stays),
		leak_checked(the_picture_goes_with_the_last_viewer),
		leak_checked(without_clients_nothing_is_read),
		leak_checked(bad_clients_do_no_harm),
		leak_checked(a_text_in_drops_holds_up_nobody),
		leak_checked(encodings_in_drops_hold_up_nobody),
		leak_checked(a_text_is_skipped),
		leak_checked(deaf_clients_do_not_delay_the_end),
		leak_checked(the_guard_ends_a_turn_that_takes_too_long),
		leak_checked(messages_have_lengths),
		leak_checked(without_descriptors_it_does_not_spin),
		leak_checked(addresses_are_understood_or_refused),
		leak_checked(a_port_in_use_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
