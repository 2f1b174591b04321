/* SPDX-License-Identifier: MIT */
/* The client, and the rig it is tested in. */
#include "tests/vfio_user/client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"

const char rig_device_json[] =
	"{ \"pci\": { \"vendor\": \"0x1b36\", \"device\": 16, \"class\": \"0xff0000\","
	"    \"interrupt_pin\": 1, \"config_size\": 4096, \"capabilities\": ["
	"      { \"id\": \"pm\", \"offset\": \"0x40\" },"
	"      { \"id\": \"msi\", \"offset\": \"0x50\", \"vectors\": 4, \"maskable\": true },"
	"      { \"id\": 9, \"offset\": \"0x80\", \"bytes\": \"08 00 11 22 33 44\","
	"        \"write_mask\": \"00 00 ff 0f\" } ],"
	"    \"bytes\": [ { \"offset\": \"0x100\", \"bytes\": \"0b 00 01 00\" } ] },"
	"  \"regions\": ["
	"    { \"index\": 0, \"size\": \"0x4000\","
	"      \"copy_engine\": { \"offset\": \"0x100\", \"irq\": \"msi\", \"vector\": 1 },"
	"      \"doorbells\": [ { \"offset\": \"0x200\", \"irq\": \"msi\" },"
	"                       { \"offset\": \"0x204\", \"irq\": \"intx\" } ],"
	"      \"io_fds\": [ { \"offset\": \"0x300\", \"size\": 4 },"
	"                    { \"offset\": \"0x308\", \"size\": 8, \"type\": \"ioregionfd\","
	"                      \"datamatch\": \"0x1234\" },"
	"                    { \"offset\": \"0x310\", \"size\": 4, \"type\": \"shadow\","
	"                      \"shadow_offset\": 8 },"
	"                    { \"offset\": \"0x318\", \"size\": 4, \"same_as\": 0 } ] },"
	"    { \"index\": 1, \"size\": \"0x1000\", \"flags\": [ \"read\" ] },"
	"    { \"index\": 2, \"size\": \"0x10000\", \"type\": \"mem64\", \"prefetchable\": true,"
	"      \"mmap_areas\": [ { \"offset\": \"0x2000\", \"size\": \"0x1000\" },"
	"                        { \"offset\": \"0x4000\", \"size\": \"0x2000\" } ] },"
	"    { \"index\": 4, \"size\": 64, \"type\": \"io\" },"
	"    { \"index\": 5, \"size\": 4096, \"flags\": [ \"write\" ] },"
	"    { \"index\": 6, \"size\": 4096, \"flags\": [ \"read\" ] },"
	"    { \"index\": 9, \"size\": \"0x200000\", \"mmap\": true } ],"
	"  \"irqs\": { \"intx\": 1, \"msi\": 4, \"msix\": 8, \"err\": 1, \"req\": 1 },"
	"  \"dma\": { \"max_maps\": 8, \"max_bytes\": \"0x100000000\" } }";

/* ---- The rig ---------------------------------------------------------------------------- */

static struct vfio_device *load_device(const char *json)
{
	char file[] = "/tmp/mediant-wire-XXXXXX";
	struct vfio_device *device;
	int fd = mkstemp(file);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, json, strlen(json)), strlen(json));
	close(fd);
	int err = vfio_plain_create(file, &device);
	unlink(file);
	assert_int_equal(err, 0);
	return device;
}

void rig_init(struct rig *rig)
{
	*rig = (struct rig){ .fd = -1, .before = leaks_count() };
	log_threshold = LOG_ERROR;
	rig->reply = calloc(1, sizeof(*rig->reply));
	assert_non_null(rig->reply);
	assert_int_equal(loop_init(&rig->loop), 0);
}

void rig_serve(struct rig *rig, struct vfio_device *device)
{
	static unsigned int number;

	rig->device = device;
	snprintf(rig->path, sizeof(rig->path), "/tmp/mediant-wire-%d-%u.sock", getpid(), number++);
	struct vfu_server_config config = {
		.loop = &rig->loop,
		.device = rig->device,
		.socket_path = rig->path,
		.fd = -1,
	};
	assert_int_equal(vfu_server_create(&config, &rig->server), 0);
}

void rig_unserve(struct rig *rig)
{
	rig_disconnect(rig);
	vfu_server_destroy(rig->server);
}

void rig_fini(struct rig *rig)
{
	loop_fini(&rig->loop);
	free(rig->reply);
	assert_int_equal(leaks_compare(&rig->before), 0);
}

void rig_start(struct rig *rig, const char *json)
{
	rig_init(rig);
	rig_serve(rig, load_device(json));
}

void rig_stop(struct rig *rig)
{
	rig_unserve(rig);
	vfio_device_destroy(rig->device);
	rig_fini(rig);
}

void rig_connect(struct rig *rig)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	strcpy(address.sun_path, rig->path);
	rig->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(rig->fd >= 0);
	assert_int_equal(connect(rig->fd, (struct sockaddr *)&address, sizeof(address)), 0);
	rig_step(rig);
}

void rig_disconnect(struct rig *rig)
{
	if (rig->fd < 0)
		return;
	close(rig->fd);
	rig->fd = -1;
	rig_step(rig);
}

void rig_ready(struct rig *rig)
{
	rig_start(rig, rig_device_json);
	rig_connect(rig);
	assert_int_equal(client_version(rig, "{\"capabilities\":{\"max_msg_fds\":16,"
					     "\"write_multiple\":true}}"),
			 0);
}

void rig_step(struct rig *rig)
{
	while (loop_run_once(&rig->loop, 0) > 0)
		;
}

/* ---- Messages --------------------------------------------------------------------------- */

void client_send_raw(struct rig *rig, const void *bytes, size_t len, const int *fds,
		     unsigned int fd_count)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(VFU_FDS_LIMIT * sizeof(int))];
	} control = { 0 };
	struct iovec iov = { .iov_base = (void *)bytes, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd_count) {
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(&control.align), fds, fd_count * sizeof(int));
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
	}
	while (iov.iov_len) {
		ssize_t n = sendmsg(rig->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN) {
			rig_step(rig);
			continue;
		}
		if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
			return;
		assert_true(n > 0);
		iov.iov_base = (char *)iov.iov_base + n;
		iov.iov_len -= (size_t)n;
		msg.msg_control = NULL;
		msg.msg_controllen = 0;
	}
}

uint16_t client_send(struct rig *rig, uint16_t command, uint32_t flags, const void *payload,
		     size_t len, const int *fds, unsigned int fd_count)
{
	static uint8_t message[VFU_MAX_MSG_BYTES + 4096];
	struct vfu_header header = {
		.id = rig->next_id++,
		.command = command,
		.bytes = (uint32_t)(sizeof(header) + len),
		.flags = flags,
	};

	assert_true(header.bytes <= sizeof(message));
	memcpy(message, &header, sizeof(header));
	if (len)
		memcpy(message + sizeof(header), payload, len);
	client_send_raw(rig, message, header.bytes, fds, fd_count);
	return header.id;
}

static void take_fds(struct reply *reply, struct msghdr *msg)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t bytes = c->cmsg_len - CMSG_LEN(0);

		assert_int_equal(c->cmsg_type, SCM_RIGHTS);
		assert_true(reply->fd_count + bytes / sizeof(int) <= CLIENT_MAX_FDS);
		memcpy(&reply->fds[reply->fd_count], CMSG_DATA(c), bytes);
		reply->fd_count += (unsigned int)(bytes / sizeof(int));
	}
}

/* Bytes received, 0 at the end of the stream, -1 when there are none. */
static ssize_t receive_some(struct rig *rig, void *buf, size_t len)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(CLIENT_MAX_FDS * sizeof(int))];
	} control;
	struct iovec iov = { .iov_base = buf, .iov_len = len };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n = recvmsg(rig->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0 && errno == ECONNRESET)
		return 0;
	if (n > 0)
		take_fds(rig->reply, &msg);
	return n;
}

static int receive_all(struct rig *rig, void *buf, size_t len)
{
	uint8_t *at = buf;

	while (len) {
		ssize_t n = receive_some(rig, at, len);

		if (n < 0 && at == buf)
			return GOT_NOTHING;
		if (n == 0)
			return GOT_CLOSED;
		if (n < 0) {
			rig_step(rig);
			continue;
		}
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

int client_receive(struct rig *rig)
{
	struct reply *reply = rig->reply;
	int err;

	reply->fd_count = 0;
	err = receive_all(rig, &reply->header, sizeof(reply->header));
	if (err)
		return err;
	assert_true(reply->header.bytes >= sizeof(reply->header));
	reply->bytes = reply->header.bytes - sizeof(reply->header);
	assert_true(reply->bytes <= sizeof(reply->payload));
	err = reply->bytes ? receive_all(rig, reply->payload, reply->bytes) : 0;
	if (err)
		return err;
	if (reply->header.flags & VFU_FLAG_ERROR) {
		assert_int_equal(reply->bytes, 0);
		assert_int_equal(reply->fd_count, 0);
		assert_int_not_equal(reply->header.error, 0);
	}
	return (int)reply->header.error;
}

int client_call_fds(struct rig *rig, uint16_t command, const void *payload, size_t len,
		    const int *fds, unsigned int fd_count)
{
	uint16_t id = client_send(rig, command, VFU_FLAG_COMMAND, payload, len, fds, fd_count);

	rig_step(rig);
	int result = client_receive(rig);
	if (result >= 0) {
		assert_int_equal(rig->reply->header.id, id);
		assert_int_equal(rig->reply->header.command, command);
		assert_int_equal(rig->reply->header.flags & VFU_FLAG_TYPE_MASK, VFU_FLAG_REPLY);
	}
	return result;
}

int client_call(struct rig *rig, uint16_t command, const void *payload, size_t len)
{
	return client_call_fds(rig, command, payload, len, NULL, 0);
}

void client_close_reply_fds(struct rig *rig)
{
	for (unsigned int i = 0; i < rig->reply->fd_count; i++)
		close(rig->reply->fds[i]);
	rig->reply->fd_count = 0;
}

/* ---- Commands --------------------------------------------------------------------------- */

int client_version(struct rig *rig, const char *json)
{
	uint8_t payload[4096] = { 0 };
	size_t len = sizeof(struct vfu_version);

	if (json) {
		assert_true(strlen(json) + 1 + len <= sizeof(payload));
		strcpy((char *)payload + len, json);
		len += strlen(json) + 1;
	}
	return client_call(rig, VFU_VERSION, payload, len);
}

int client_read(struct rig *rig, uint32_t region, uint64_t offset, void *buf, uint32_t count)
{
	struct vfu_region_access access = { .offset = offset, .region = region, .count = count };
	int err = client_call(rig, VFU_REGION_READ, &access, sizeof(access));

	if (err)
		return err;
	assert_int_equal(rig->reply->bytes, sizeof(access) + count);
	assert_memory_equal(rig->reply->payload, &access, sizeof(access));
	memcpy(buf, rig->reply->payload + sizeof(access), count);
	return 0;
}

int client_write(struct rig *rig, uint32_t region, uint64_t offset, const void *buf, uint32_t count)
{
	static uint8_t payload[VFU_MAX_MSG_BYTES];
	struct vfu_region_access access = { .offset = offset, .region = region, .count = count };

	memcpy(payload, &access, sizeof(access));
	memcpy(payload + sizeof(access), buf, count);
	int err = client_call(rig, VFU_REGION_WRITE, payload, sizeof(access) + count);
	if (!err) {
		assert_int_equal(rig->reply->bytes, sizeof(access));
		assert_memory_equal(rig->reply->payload, &access, sizeof(access));
	}
	return err;
}

int client_dma_map(struct rig *rig, uint32_t flags, uint64_t addr, uint64_t bytes, int fd,
		   uint64_t offset)
{
	struct vfu_dma_map map = {
		.argsz = sizeof(map),
		.flags = flags,
		.offset = offset,
		.addr = addr,
		.bytes = bytes,
	};

	return client_call_fds(rig, VFU_DMA_MAP, &map, sizeof(map), &fd, fd >= 0);
}

int client_dma_unmap(struct rig *rig, uint32_t flags, uint64_t addr, uint64_t bytes)
{
	struct vfu_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.flags = flags,
		.addr = addr,
		.bytes = bytes,
	};

	return client_call(rig, VFU_DMA_UNMAP, &unmap, sizeof(unmap));
}

int client_set_irqs(struct rig *rig, uint32_t flags, uint32_t index, uint32_t start, uint32_t count,
		    const int *fds, unsigned int fd_count)
{
	struct vfio_irq_set set = {
		.argsz = sizeof(set),
		.flags = flags,
		.index = index,
		.start = start,
		.count = count,
	};

	return client_call_fds(rig, VFU_DEVICE_SET_IRQS, &set, sizeof(set), fds, fd_count);
}

uint32_t config_read32(struct rig *rig, uint16_t offset)
{
	uint32_t value = 0;

	assert_int_equal(
		client_read(rig, VFIO_PCI_CONFIG_REGION_INDEX, offset, &value, sizeof(value)), 0);
	return value;
}

void config_write32(struct rig *rig, uint16_t offset, uint32_t value)
{
	assert_int_equal(
		client_write(rig, VFIO_PCI_CONFIG_REGION_INDEX, offset, &value, sizeof(value)), 0);
}

void config_write16(struct rig *rig, uint16_t offset, uint16_t value)
{
	assert_int_equal(
		client_write(rig, VFIO_PCI_CONFIG_REGION_INDEX, offset, &value, sizeof(value)), 0);
}

uint64_t eventfd_take(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	uint64_t count = 0;

	if (poll(&poll_fd, 1, 0) == 1)
		assert_int_equal(read(fd, &count, sizeof(count)), sizeof(count));
	return count;
}

int make_memory_fd(size_t bytes)
{
	int fd = memfd_create("guest", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	return fd;
}
