/* SPDX-License-Identifier: MIT */
/*
 * What each message does.  A table gives the size its payload may have; a handler checks the rest,
 * calls the VFIO device and builds its answer in place.  Every command gets exactly one reply,
 * unless it says No_reply; an error reply is a header alone.
 *
 * Runs on the thread of the loop; nothing here waits, and a region access allocates nothing.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/trace.h"
#include "vfio_user/server.h"

#define REPLY_ROOM (CHANNEL_TX_BYTES - sizeof(struct vfu_header))

/* ---- VERSION ---------------------------------------------------------------------------- */

static int open_twin(struct vfu_server *server, struct vfu_reply *reply)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
		return -errno;
	int err = channel_open(&server->twin, ends[0]);
	if (err) {
		close(ends[0]);
		close(ends[1]);
		return err;
	}
	reply->fds[reply->fd_count++] = ends[1];
	reply->close_fd = ends[1];
	return 0;
}

static int handle_version(struct vfu_server *server, const struct vfu_message *message,
			  struct vfu_reply *reply)
{
	struct vfu_peer peer;
	int err = server->negotiated || message->fd_count ? -EINVAL : 0;

	if (!err)
		err = vfu_version_parse(message->payload, message->bytes, &peer);
	if (err)
		return err;
	/* Without a twin everything goes over the one socket, as with a client that offers none. */
	if (peer.twin_socket && (!peer.max_msg_fds || open_twin(server, reply)))
		peer.twin_socket = false;
	server->peer = peer;
	server->negotiated = true;
	reply->bytes = vfu_version_answer(&peer, vfio_device_config(server->device)->max_dma_maps,
					  reply->payload, REPLY_ROOM);
	vfu_dma_attach(server);
	return 0;
}

/* ---- DMA map ---------------------------------------------------------------------------- */

static int handle_dma_map(struct vfu_server *server, const struct vfu_message *message,
			  struct vfu_reply *reply)
{
	struct vfu_dma_map map;

	memcpy(&map, message->payload, sizeof(map));
	if (map.argsz < sizeof(map))
		return -EINVAL;
	return vfio_device_dma_map(server->device, map.flags, iova(map.addr), map.bytes,
				   message->fd_count ? message->fds[0] : -1, map.offset);
}

static int handle_dma_unmap(struct vfu_server *server, const struct vfu_message *message,
			    struct vfu_reply *reply)
{
	struct vfu_dma_unmap unmap;

	memcpy(&unmap, message->payload, sizeof(unmap));
	if (unmap.argsz < sizeof(unmap) || unmap.argsz > VFU_MAX_XFER_BYTES)
		return -EINVAL;
	int err = vfio_device_dma_unmap(server->device, unmap.flags, iova(unmap.addr), unmap.bytes);
	if (err)
		return err;
	memcpy(reply->payload, &unmap, sizeof(unmap));
	reply->bytes = sizeof(unmap);
	return 0;
}

/* ---- Info ------------------------------------------------------------------------------- */

#define DEVICE_INFO_BYTES 16u /* the kernel's structure has grown a capability offset since */

static int handle_get_info(struct vfu_server *server, const struct vfu_message *message,
			   struct vfu_reply *reply)
{
	struct vfio_device_info info = { 0 };

	memcpy(&info.argsz, message->payload, sizeof(info.argsz));
	if (info.argsz < DEVICE_INFO_BYTES)
		return -EINVAL;
	vfio_device_get_info(server->device, &info);
	memcpy(reply->payload, &info, DEVICE_INFO_BYTES);
	reply->bytes = DEVICE_INFO_BYTES;
	return 0;
}

static int handle_region_info(struct vfu_server *server, const struct vfu_message *message,
			      struct vfu_reply *reply)
{
	struct vfio_region_info info;
	int fd;

	memcpy(&info, message->payload, sizeof(info));
	if (info.argsz < sizeof(info))
		return -EINVAL;
	int err = vfio_device_region_info(server->device, info.index, server->peer.max_msg_fds > 0,
					  reply->payload, MIN(info.argsz, REPLY_ROOM),
					  &reply->bytes, &fd);
	if (!err && fd >= 0)
		reply->fds[reply->fd_count++] = fd;
	return err;
}

/* The place of @fd among the reply's descriptors, each of which goes once. */
static uint32_t fd_index(struct vfu_reply *reply, int fd)
{
	unsigned int i = 0;

	if (fd < 0)
		return UINT32_MAX;
	while (i < reply->fd_count && reply->fds[i] != fd)
		i++;
	if (i == reply->fd_count)
		reply->fds[reply->fd_count++] = fd;
	return i;
}

static void put_io_fd(struct vfu_reply *reply, const struct vfio_io_fd *from)
{
	bool shadow = from->type == 2;
	struct vfu_io_fd entry = {
		.offset = from->offset,
		.bytes = from->size,
		.fd_index = fd_index(reply, from->fd),
		.type = from->type,
		.flags = from->flags,
		.shadow_fd_index = shadow ? fd_index(reply, from->shadow_fd) : 0,
		.shadow_offset = shadow ? from->shadow_offset : from->datamatch,
		.datamatch = from->datamatch,
	};

	memcpy(reply->payload + reply->bytes, &entry, sizeof(entry));
	reply->bytes += sizeof(entry);
}

static int handle_region_io_fds(struct vfu_server *server, const struct vfu_message *message,
				struct vfu_reply *reply)
{
	struct vfu_region_io_fds io;
	const struct vfio_io_fd *fds;
	unsigned int count;

	memcpy(&io, message->payload, sizeof(io));
	if (io.argsz < sizeof(io) || io.argsz > VFU_MAX_XFER_BYTES || io.flags || io.count)
		return -EINVAL;
	int err = vfio_device_region_io_fds(server->device, io.index, &fds, &count);
	if (err)
		return err;

	size_t whole = sizeof(io) + count * sizeof(struct vfu_io_fd);
	bool fits = io.argsz >= whole;
	io.argsz = (uint32_t)whole;
	io.count = count;
	memcpy(reply->payload, &io, sizeof(io));
	reply->bytes = sizeof(io);
	for (unsigned int i = 0; fits && i < count; i++)
		put_io_fd(reply, &fds[i]);
	return 0;
}

/* ---- Interrupts ------------------------------------------------------------------------- */

static int handle_irq_info(struct vfu_server *server, const struct vfu_message *message,
			   struct vfu_reply *reply)
{
	struct vfio_irq_info info;

	memcpy(&info, message->payload, sizeof(info));
	if (info.argsz < sizeof(info))
		return -EINVAL;
	int err = vfio_device_irq_info(server->device, info.index, &info);
	if (err)
		return err;
	memcpy(reply->payload, &info, sizeof(info));
	reply->bytes = sizeof(info);
	return 0;
}

static int handle_set_irqs(struct vfu_server *server, const struct vfu_message *message,
			   struct vfu_reply *reply)
{
	struct vfio_irq_set set;

	memcpy(&set, message->payload, sizeof(set));
	if (set.argsz < sizeof(set) || set.argsz > VFU_MAX_XFER_BYTES)
		return -EINVAL;
	return vfio_device_set_irqs(server->device, &set, message->payload + sizeof(set),
				    message->bytes - sizeof(set), message->fds, message->fd_count);
}

/* ---- Regions ---------------------------------------------------------------------------- */

static int handle_region_read(struct vfu_server *server, const struct vfu_message *message,
			      struct vfu_reply *reply)
{
	struct vfu_region_access access;

	memcpy(&access, message->payload, sizeof(access));
	if (access.count > VFU_MAX_XFER_BYTES)
		return -EINVAL;
	int err = vfio_device_read(server->device, access.region, access.offset,
				   reply->payload + sizeof(access), access.count);
	if (err)
		return err;
	memcpy(reply->payload, &access, sizeof(access));
	reply->bytes = sizeof(access) + access.count;
	return 0;
}

static int handle_region_write(struct vfu_server *server, const struct vfu_message *message,
			       struct vfu_reply *reply)
{
	struct vfu_region_access access;

	memcpy(&access, message->payload, sizeof(access));
	if (access.count > VFU_MAX_XFER_BYTES || message->bytes - sizeof(access) != access.count)
		return -EINVAL;
	int err = vfio_device_write(server->device, access.region, access.offset,
				    message->payload + sizeof(access), access.count);
	if (err)
		return err;
	memcpy(reply->payload, &access, sizeof(access));
	reply->bytes = sizeof(access);
	return 0;
}

static struct vfu_write_multi multi_at(const struct vfu_message *message, uint64_t i)
{
	struct vfu_write_multi write;

	memcpy(&write, message->payload + sizeof(uint64_t) + i * sizeof(write), sizeof(write));
	return write;
}

static int check_multi(struct vfu_server *server, const struct vfu_message *message, uint64_t count)
{
	bool lenient = vfio_device_config(server->device)->lenient;
	size_t room = message->bytes - sizeof(count);

	if (count != room / sizeof(struct vfu_write_multi) || room % sizeof(struct vfu_write_multi))
		return -EINVAL;
	for (uint64_t i = 0; i < count; i++) {
		struct vfu_write_multi write = multi_at(message, i);

		if (write.count > sizeof(write.data))
			return -EINVAL;
		int err = vfio_device_check_access(server->device, write.region, write.offset,
						   write.count, VFIO_REGION_INFO_FLAG_WRITE);
		if (err && !lenient)
			return err;
	}
	return 0;
}

/* All of them or, when one is bad, none. */
static int handle_write_multi(struct vfu_server *server, const struct vfu_message *message,
			      struct vfu_reply *reply)
{
	uint64_t count;

	memcpy(&count, message->payload, sizeof(count));
	int err = check_multi(server, message, count);
	if (err)
		return err;
	for (uint64_t i = 0; i < count; i++) {
		struct vfu_write_multi write = multi_at(message, i);

		vfio_device_write(server->device, write.region, write.offset, write.data,
				  write.count);
	}
	memcpy(reply->payload, &count, sizeof(count));
	reply->bytes = sizeof(count);
	return 0;
}

/* ---- The rest --------------------------------------------------------------------------- */

static int handle_reset(struct vfu_server *server, const struct vfu_message *message,
			struct vfu_reply *reply)
{
	vfio_device_reset(server->device);
	return 0;
}

static int handle_feature(struct vfu_server *server, const struct vfu_message *message,
			  struct vfu_reply *reply)
{
	struct vfu_device_feature feature;
	size_t data_bytes = message->bytes - sizeof(feature);
	size_t answer;

	memcpy(&feature, message->payload, sizeof(feature));
	if (feature.argsz < message->bytes || feature.argsz > VFU_MAX_XFER_BYTES)
		return -EINVAL;
	/* GET and SET work in place on a copy of the data, which is also the echo of a SET. */
	memcpy(reply->payload, message->payload, message->bytes);
	int err = vfio_device_feature(server->device, feature.flags,
				      reply->payload + sizeof(feature), data_bytes,
				      feature.argsz - sizeof(feature), &answer);
	if (err)
		return err;
	reply->bytes = MAX(message->bytes, sizeof(feature) + answer);
	feature.argsz = (uint32_t)reply->bytes;
	memcpy(reply->payload, &feature, sizeof(feature));
	return 0;
}

static const struct command {
	int (*handle)(struct vfu_server *server, const struct vfu_message *message,
		      struct vfu_reply *reply);
	size_t least, most; /* bytes of payload */
} commands[VFU_COMMANDS] = {
	[VFU_VERSION] = { handle_version, sizeof(struct vfu_version), SIZE_MAX },
	[VFU_DMA_MAP] = { handle_dma_map, sizeof(struct vfu_dma_map), SIZE_MAX },
	[VFU_DMA_UNMAP] = { handle_dma_unmap, sizeof(struct vfu_dma_unmap), SIZE_MAX },
	[VFU_DEVICE_GET_INFO] = { handle_get_info, DEVICE_INFO_BYTES, SIZE_MAX },
	[VFU_DEVICE_GET_REGION_INFO] = { handle_region_info, sizeof(struct vfio_region_info),
					 SIZE_MAX },
	[VFU_DEVICE_GET_REGION_IO_FDS] = { handle_region_io_fds, sizeof(struct vfu_region_io_fds),
					   SIZE_MAX },
	[VFU_DEVICE_GET_IRQ_INFO] = { handle_irq_info, sizeof(struct vfio_irq_info), SIZE_MAX },
	[VFU_DEVICE_SET_IRQS] = { handle_set_irqs, sizeof(struct vfio_irq_set), SIZE_MAX },
	[VFU_REGION_READ] = { handle_region_read, sizeof(struct vfu_region_access), SIZE_MAX },
	[VFU_REGION_WRITE] = { handle_region_write, sizeof(struct vfu_region_access), SIZE_MAX },
	[VFU_DEVICE_RESET] = { handle_reset, 0, 0 },
	[VFU_REGION_WRITE_MULTI] = { handle_write_multi, sizeof(uint64_t), SIZE_MAX },
	[VFU_DEVICE_FEATURE] = { handle_feature, sizeof(struct vfu_device_feature), SIZE_MAX },
};

const char *vfu_command_name(uint64_t command)
{
	static const char *const names[VFU_COMMANDS] = {
		[VFU_VERSION] = "VERSION",
		[VFU_DMA_MAP] = "DMA_MAP",
		[VFU_DMA_UNMAP] = "DMA_UNMAP",
		[VFU_DEVICE_GET_INFO] = "DEVICE_GET_INFO",
		[VFU_DEVICE_GET_REGION_INFO] = "DEVICE_GET_REGION_INFO",
		[VFU_DEVICE_GET_REGION_IO_FDS] = "DEVICE_GET_REGION_IO_FDS",
		[VFU_DEVICE_GET_IRQ_INFO] = "DEVICE_GET_IRQ_INFO",
		[VFU_DEVICE_SET_IRQS] = "DEVICE_SET_IRQS",
		[VFU_REGION_READ] = "REGION_READ",
		[VFU_REGION_WRITE] = "REGION_WRITE",
		[VFU_DMA_READ] = "DMA_READ",
		[VFU_DMA_WRITE] = "DMA_WRITE",
		[VFU_DEVICE_RESET] = "DEVICE_RESET",
		[VFU_REGION_WRITE_MULTI] = "REGION_WRITE_MULTI",
		[VFU_DEVICE_FEATURE] = "DEVICE_FEATURE",
		[VFU_MIG_DATA_READ] = "MIG_DATA_READ",
		[VFU_MIG_DATA_WRITE] = "MIG_DATA_WRITE",
	};

	return command < VFU_COMMANDS ? names[command] : NULL;
}

/* ---- One message ------------------------------------------------------------------------ */

static int run_command(struct vfu_server *server, const struct vfu_message *message,
		       struct vfu_reply *reply)
{
	uint16_t number = message->header.command;
	const struct command *command = number < VFU_COMMANDS ? &commands[number] : NULL;

	if (!server->negotiated && number != VFU_VERSION)
		return -EINVAL;
	if (!command || !command->handle || message->bytes < command->least ||
	    message->bytes > command->most)
		return -EINVAL;
	int err = command->handle(server, message, reply);
	/* No answer has more descriptors than the client has said it takes. */
	return !err && reply->fd_count > server->peer.max_msg_fds ? -E2BIG : err;
}

static void send_reply(struct vfu_server *server, struct vfu_channel *channel,
		       const struct vfu_message *message, const struct vfu_reply *reply, int err)
{
	size_t bytes = err ? 0 : reply->bytes;
	struct vfu_header header = {
		.id = message->header.id,
		.command = message->header.command,
		.bytes = (uint32_t)(sizeof(header) + bytes),
		.flags = VFU_FLAG_REPLY | (err ? VFU_FLAG_ERROR : 0),
		.error = (uint32_t)-err,
	};

	TRACE(vfu_reply, header.command, header.error, header.bytes, header.id);
	vfu_count(&server->replies);
	memcpy(channel_buffer(channel), &header, sizeof(header));
	if (channel_send(channel, header.bytes, reply->fds, err ? 0 : reply->fd_count))
		server->closing = true;
}

static void close_fds(const struct vfu_message *message)
{
	for (unsigned int i = 0; i < message->fd_count; i++)
		if (message->fds[i] >= 0)
			channel_close_fd(message->fds[i]);
}

static void note_error(struct vfu_server *server, const struct vfu_message *message, int err)
{
	vfu_count(&server->errors);
	log_limited(LOG_INFO, "the client's message (command %u, %u bytes) is refused: %s",
		    message->header.command, message->header.bytes, strerror(-err));
}

/* True when @message is a command; a reply is dealt with here. */
static bool is_command(struct vfu_server *server, const struct vfu_message *message, int *err)
{
	uint32_t type = message->header.flags & VFU_FLAG_TYPE_MASK;

	*err = 0;
	if (type == VFU_FLAG_COMMAND)
		return true;
	*err = type == VFU_FLAG_REPLY && server->negotiated ? vfu_dma_reply(server, message)
							    : -EINVAL;
	return false;
}

static void handle_message(struct vfu_server *server, const struct vfu_message *message,
			   int framing)
{
	struct vfu_reply reply = {
		.payload = channel_buffer(&server->client) + sizeof(struct vfu_header),
		.close_fd = -1,
	};
	bool posted = message->header.flags & VFU_FLAG_NO_REPLY;
	uint64_t start_ns = TRACE_CLOCK(vfu_served);
	int err = framing ? -EINVAL : 0;

	TRACE(vfu_message, message->header.command, message->header.flags, message->header.bytes,
	      message->header.id);
	vfu_count(&server->messages);
	if (!err && !is_command(server, message, &err)) {
		if (!err) {
			close_fds(message);
			return;
		}
	} else if (!err) {
		err = run_command(server, message, &reply);
	}
	close_fds(message);
	if (err)
		note_error(server, message, err);
	if (posted)
		vfu_count(&server->posted);
	else
		send_reply(server, &server->client, message, &reply, err);
	TRACE_SINCE(start_ns, vfu_served, message->header.command, posted, message->header.bytes,
		    message->header.id);
	if (reply.close_fd >= 0)
		close(reply.close_fd);
	/* A stream without negotiation, or whose next message cannot be found, is of no use. */
	if (!server->negotiated || (framing && message->header.bytes > sizeof(struct vfu_header)))
		server->closing = true;
}

void vfu_dispatch(struct vfu_server *server)
{
	struct vfu_message message;
	int got;

	while (!server->closing && !channel_is_blocked(&server->client) &&
	       (got = channel_next(&server->client, &message)))
		handle_message(server, &message, got < 0 ? got : 0);
}

void vfu_dispatch_twin(struct vfu_server *server)
{
	struct vfu_message message;
	int got;

	while (!server->closing && (got = channel_next(&server->twin, &message))) {
		uint32_t type = message.header.flags & VFU_FLAG_TYPE_MASK;

		vfu_count(&server->messages);
		if (got < 0 || type != VFU_FLAG_REPLY || vfu_dma_reply(server, &message)) {
			log_limited(LOG_WARN, "the client sent on the twin socket what is no "
					      "answer to us: disconnecting it");
			server->closing = true;
		}
		close_fds(&message);
	}
}
