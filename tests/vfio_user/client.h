/* SPDX-License-Identifier: MIT */
/*
 * A small vfio-user client and the server it speaks to, in one thread: the client sends, the
 * server's loop is stepped until it has nothing left to do, the client looks for a reply.
 */
#ifndef TESTS_VFIO_USER_CLIENT_H
#define TESTS_VFIO_USER_CLIENT_H

#include "base/loop.h"
#include "tests/support/leaks.h"
#include "vfio_user/vfio_user.h"
#include "vfio_user/wire.h"

#define CLIENT_MAX_FDS 64u

struct reply {
	struct vfu_header header;
	uint8_t payload[VFU_MAX_MSG_BYTES];
	size_t bytes; /* of the payload */
	int fds[CLIENT_MAX_FDS];
	unsigned int fd_count;
};

struct rig {
	struct leaks before;
	struct loop loop;
	struct vfio_device *device;
	struct vfu_server *server;
	int fd; /* the client's end; -1: gone */
	char path[64];
	uint16_t next_id;
	struct reply *reply; /* the last one */
};

/* What became of a message. */
enum {
	GOT_NOTHING = -1, /* no reply, and the connection stands */
	GOT_CLOSED = -2,  /* the server has closed the connection */
};

/* @json describes the plain device.  rig_start() has no client yet. */
void rig_start(struct rig *rig, const char *json);
void rig_stop(struct rig *rig);
/* The same in steps, for a device that is made on the rig's loop and destroyed between the last. */
void rig_init(struct rig *rig);
void rig_serve(struct rig *rig, struct vfio_device *device);
void rig_unserve(struct rig *rig);
void rig_fini(struct rig *rig);
void rig_connect(struct rig *rig);
void rig_disconnect(struct rig *rig);
/* The device of most tests, a client, and VERSION done. */
void rig_ready(struct rig *rig);
extern const char rig_device_json[];

/* Runs the server until it has nothing to do. */
void rig_step(struct rig *rig);

/* Bytes as they are, with descriptors on their first. */
void client_send_raw(struct rig *rig, const void *bytes, size_t len, const int *fds,
		     unsigned int fd_count);
/* A well framed message; returns its id. */
uint16_t client_send(struct rig *rig, uint16_t command, uint32_t flags, const void *payload,
		     size_t len, const int *fds, unsigned int fd_count);
/* The next reply into rig->reply: its errno (0: none), or GOT_*. */
int client_receive(struct rig *rig);
/* Sends, steps, receives; checks that the reply's frame fits the command. */
int client_call(struct rig *rig, uint16_t command, const void *payload, size_t len);
int client_call_fds(struct rig *rig, uint16_t command, const void *payload, size_t len,
		    const int *fds, unsigned int fd_count);
void client_close_reply_fds(struct rig *rig);

int client_version(struct rig *rig, const char *json);
int client_read(struct rig *rig, uint32_t region, uint64_t offset, void *buf, uint32_t count);
int client_write(struct rig *rig, uint32_t region, uint64_t offset, const void *buf,
		 uint32_t count);
int client_dma_map(struct rig *rig, uint32_t flags, uint64_t addr, uint64_t bytes, int fd,
		   uint64_t offset);
int client_dma_unmap(struct rig *rig, uint32_t flags, uint64_t addr, uint64_t bytes);
int client_set_irqs(struct rig *rig, uint32_t flags, uint32_t index, uint32_t start, uint32_t count,
		    const int *fds, unsigned int fd_count);

uint32_t config_read32(struct rig *rig, uint16_t offset);
void config_write32(struct rig *rig, uint16_t offset, uint32_t value);
void config_write16(struct rig *rig, uint16_t offset, uint16_t value);

/* Events since the last look; does not block. */
uint64_t eventfd_take(int fd);
int make_memory_fd(size_t bytes);

#endif
