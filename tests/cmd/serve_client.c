/* SPDX-License-Identifier: MIT */
/* A client of one server; see serve_client.h. */
#include "tests/cmd/serve_client.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "cmd/runtime_dir.h"

int serve_exchange(int fd, uint16_t command, const void *request, size_t request_len, void *reply,
		   size_t reply_len)
{
	struct vfu_header header = { .id = 7,
				     .command = command,
				     .bytes = (uint32_t)(sizeof(header) + request_len) };
	struct {
		struct vfu_header header;
		uint8_t payload[4096];
	} answer;
	uint8_t message[512];
	ssize_t n;

	memcpy(message, &header, sizeof(header));
	memcpy(message + sizeof(header), request, request_len);
	assert_int_equal(send(fd, message, header.bytes, MSG_NOSIGNAL), header.bytes);
	n = recv(fd, &answer, sizeof(answer), 0);
	assert_true(n >= (ssize_t)sizeof(header));
	assert_int_equal(answer.header.bytes, n);
	assert_int_equal(answer.header.id, 7);
	memcpy(reply, answer.payload, MIN((size_t)n - sizeof(header), reply_len));
	return (int)answer.header.error;
}

void serve_say_version(int fd)
{
	struct {
		struct vfu_version version;
		char text[128];
	} message = { .text = "{\"capabilities\":{\"max_msg_fds\":8,\"write_multiple\":true}}" };
	struct vfu_version reply = { .major = 9 };

	assert_int_equal(serve_exchange(fd, VFU_VERSION, &message,
					sizeof(message.version) + strlen(message.text) + 1, &reply,
					sizeof(reply)),
			 0);
	assert_int_equal(reply.major, 0);
}

int serve_dial(const char *file)
{
	struct timeval limit = { .tv_sec = 10 };
	char path[128];
	int fd;

	sprintf(path, "%s/%s", program_folder, file);
	fd = runtime_dir_connect(path);
	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return fd;
}

uint64_t serve_read(int fd, uint32_t region, uint64_t offset, uint32_t len)
{
	struct vfu_region_access access = { .offset = offset, .region = region, .count = len };
	struct {
		struct vfu_region_access access;
		uint64_t value;
	} reply = { .value = 0 };

	assert_int_equal(serve_exchange(fd, VFU_REGION_READ, &access, sizeof(access), &reply,
					sizeof(access) + len),
			 0);
	return reply.value;
}

void serve_write(int fd, uint32_t region, uint64_t offset, uint32_t value)
{
	struct {
		struct vfu_region_access access;
		uint32_t value;
	} message = { .access = { .offset = offset, .region = region, .count = 4 },
		      .value = value };
	struct vfu_region_access reply;

	assert_int_equal(serve_exchange(fd, VFU_REGION_WRITE, &message, sizeof(message.access) + 4,
					&reply, sizeof(reply)),
			 0);
}

void serve_dma_map(int fd, int file, uint64_t addr, uint64_t bytes)
{
	struct {
		struct vfu_header header;
		struct vfu_dma_map map;
	} message = {
		.header = { .command = VFU_DMA_MAP, .bytes = sizeof(message) },
		.map = { .argsz = sizeof(message.map), .flags = 3, .addr = addr, .bytes = bytes },
	};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { &message, sizeof(message) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.bytes,
			      .msg_controllen = sizeof(control.bytes) };
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
	struct vfu_header reply;

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &file, sizeof(int));
	assert_int_equal(sendmsg(fd, &msg, MSG_NOSIGNAL), sizeof(message));
	assert_int_equal(recv(fd, &reply, sizeof(reply), 0), sizeof(reply));
	assert_int_equal(reply.error, 0);
}
