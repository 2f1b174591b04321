/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: what a hostile client sends.  The input is a list of steps for a client of a plain
 * device; the server runs in the same thread, and every reply it gives is read and checked for
 * its frame.  A step is
 *
 *	byte 0	bits 0-1  0, 1: a well framed message; 2: raw bytes; 3: a new connection
 *		bits 2-3  how many descriptors go with it
 *		bits 4-6  which kind of descriptor
 *		bit 7	  do not let the server run before the next step
 *	byte 1	the command (framed); byte 2 its flags; byte 3 the number of bytes that follow
 *
 * The server and its device live as long as the process: a client must not be able to do anything
 * to the next one either.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "fuzz/fuzz.h"
#include "vfio_user/vfio_user.h"
#include "vfio_user/wire.h"

#define FD_KINDS     8u
#define MEMORY_BYTES 0x10000

static struct loop loop;
static struct vfu_server *server;
static char path[64];
static int kinds[FD_KINDS];
static int client = -1;

static const char device_json[] =
	"{ \"pci\": { \"interrupt_pin\": 1, \"capabilities\": ["
	"    { \"id\": \"pm\", \"offset\": \"0x40\" },"
	"    { \"id\": \"msi\", \"offset\": \"0x50\", \"vectors\": 4, \"maskable\": true } ] },"
	"  \"regions\": [ { \"index\": 0, \"size\": \"0x1000\","
	"      \"doorbells\": [ { \"offset\": 0, \"irq\": \"msi\" },"
	"                       { \"offset\": 4, \"irq\": \"intx\" } ],"
	"      \"io_fds\": [ { \"offset\": 0, \"size\": 4 },"
	"                    { \"offset\": 8, \"size\": 8, \"type\": \"shadow\" } ] },"
	"    { \"index\": 2, \"size\": \"0x4000\", \"type\": \"mem64\","
	"      \"mmap_areas\": [ { \"offset\": \"0x1000\", \"size\": \"0x1000\" } ] } ],"
	"  \"irqs\": { \"intx\": 1, \"msi\": 4, \"msix\": 16, \"err\": 1, \"req\": 1 },"
	"  \"dma\": { \"max_maps\": 8 } }";

static void make_kinds(void)
{
	int ends[2];

	kinds[0] = eventfd(0, EFD_CLOEXEC);
	kinds[1] = memfd_create("fuzz", MFD_CLOEXEC);
	kinds[2] = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	kinds[3] = memfd_create("fuzz-short", MFD_CLOEXEC);
	FUZZ_CHECK(!pipe2(ends, O_CLOEXEC));
	kinds[4] = ends[1];
	kinds[5] = open("/dev/null", O_RDWR | O_CLOEXEC);
	kinds[6] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	kinds[7] = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	FUZZ_CHECK(!ftruncate(kinds[1], MEMORY_BYTES) && !ftruncate(kinds[3], 100));
}

static struct vfio_device *make_device(void)
{
	char file[] = "/tmp/mediant-fuzz-XXXXXX";
	struct vfio_device *device;
	int fd = mkstemp(file);

	FUZZ_CHECK(fd >= 0 && write(fd, device_json, strlen(device_json)) > 0);
	FUZZ_CHECK(!vfio_plain_create(file, &device));
	close(fd);
	unlink(file);
	return device;
}

static void remove_socket(void)
{
	unlink(path);
}

static void start(void)
{
	log_threshold = LOG_ERROR;
	make_kinds();
	snprintf(path, sizeof(path), "/tmp/mediant-fuzz-%d.sock", getpid());
	FUZZ_CHECK(!loop_init(&loop));
	struct vfu_server_config config = {
		.loop = &loop,
		.device = make_device(),
		.socket_path = path,
		.fd = -1,
	};
	FUZZ_CHECK(!vfu_server_create(&config, &server));
	atexit(remove_socket);
}

static void run_server(void)
{
	/* A client that masks and unmasks itself by eventfds must not keep the loop going. */
	for (int i = 0; i < 64; i++)
		if (loop_run_once(&loop, 0) <= 0)
			return;
	FUZZ_CHECK(!"the server goes round in circles");
}

/* Reads what the server answered, and closes what came with it. */
static void drain(void)
{
	static uint8_t replies[1 << 16];
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(VFU_FDS_LIMIT * sizeof(int))];
	} control;
	ssize_t n;

	do {
		struct iovec iov = { .iov_base = replies, .iov_len = sizeof(replies) };
		struct msghdr msg = {
			.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = &control,
			.msg_controllen = sizeof(control),
		};

		n = recvmsg(client, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		if (n <= 0)
			return;
		for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
			int fds[VFU_FDS_LIMIT];

			memcpy(fds, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
			for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++)
				close(fds[i]);
		}
		run_server();
	} while (n > 0);
}

static void connect_client(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (client >= 0) {
		drain();
		close(client);
		run_server();
	}
	strcpy(address.sun_path, path);
	client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	FUZZ_CHECK(client >= 0);
	FUZZ_CHECK(!connect(client, (struct sockaddr *)&address, sizeof(address)));
	run_server();
}

static void send_bytes(const void *bytes, size_t len, unsigned int fd_count, unsigned int kind)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(4 * sizeof(int))];
	} control = { 0 };
	struct iovec iov = { .iov_base = (void *)bytes, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	int fds[4];

	for (unsigned int i = 0; i < fd_count; i++)
		fds[i] = kinds[kind];
	if (fd_count) {
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(&control.align), fds, fd_count * sizeof(int));
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
	}
	if (len)
		(void)!sendmsg(client, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void send_version(void)
{
	static const char json[] = "{\"capabilities\":{\"max_msg_fds\":16}}";
	uint8_t message[sizeof(struct vfu_header) + 4 + sizeof(json)] = { 0 };
	struct vfu_header header = { .command = VFU_VERSION, .bytes = sizeof(message) };

	memcpy(message, &header, sizeof(header));
	memcpy(message + sizeof(header) + 4, json, sizeof(json));
	send_bytes(message, sizeof(message), 0, 0);
	run_server();
	drain();
}

/* How many bytes of @data the step took. */
static size_t step(const uint8_t *data, size_t size)
{
	uint8_t message[sizeof(struct vfu_header) + 255];
	unsigned int how = data[0] & 3, fd_count = data[0] >> 2 & 3, kind = data[0] >> 4 & 7;
	size_t len = MIN((size_t)data[3], size - 4);

	if (how == 3) {
		connect_client();
		if (data[1] & 1)
			send_version();
		return 4;
	}
	if (how == 2) {
		send_bytes(data + 4, len, fd_count, kind);
	} else {
		struct vfu_header header = {
			.id = data[2],
			.command = data[1] % (VFU_COMMANDS + 2),
			.bytes = (uint32_t)(sizeof(header) + len),
			.flags = data[2],
		};

		memcpy(message, &header, sizeof(header));
		memcpy(message + sizeof(header), data + 4, len);
		send_bytes(message, header.bytes, fd_count, kind);
	}
	if (!(data[0] & 0x80)) {
		run_server();
		drain();
	}
	return 4 + len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!server)
		start();
	connect_client();
	if (size && data[0] != 0xff)
		send_version();
	for (size_t at = 0; at + 4 <= size;)
		at += step(data + at, size - at);
	run_server();
	drain();
	return 0;
}
