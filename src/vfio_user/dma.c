/* SPDX-License-Identifier: MIT */
/*
 * DMA_READ and DMA_WRITE: guest memory the client keeps to itself, reached by messages.
 *
 * A lane of the GPU asks and sleeps; the thread that runs the loop sends, between messages, and
 * brings the reply.  That order is a rule, not a convenience: QEMU serves these requests in its
 * main loop under the lock its vCPU holds while it waits for our answer to a register access, so
 * a request sent before that answer stops both sides until QEMU gives the device up.  The thread
 * that serves messages itself therefore may not ask: it gets -EDEADLK.
 *
 * When the memory map changes, the same thread wants every reader out of the guest, and a reader
 * here waits for a reply which QEMU will not send before the change is answered.  So whatever is
 * pending then fails with -EIO, at once; its reply, should it still come, is recognised and
 * dropped.  A client that never answers costs a lane DMA_TIMEOUT_NS for each request.
 */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/trace.h"
#include "vfio_user/server.h"

/* Well inside the 5 s after which QEMU gives up on an access that waits for a lock of a lane's. */
#define DMA_TIMEOUT_NS (2 * NSEC_PER_SEC)

/* ---- On the lane ------------------------------------------------------------------------ */

static void add_request(struct vfu_dma *dma, struct vfu_dma_request *request)
{
	struct vfu_dma_request **at = &dma->requests;

	while (*at)
		at = &(*at)->next;
	*at = request;
}

static void remove_request(struct vfu_dma *dma, struct vfu_dma_request *request)
{
	struct vfu_dma_request **at = &dma->requests;

	while (*at != request)
		at = &(*at)->next;
	*at = request->next;
}

static void abandon(struct vfu_dma *dma, uint16_t id)
{
	if (dma->abandoned_count == DMA_ABANDONED_MAX) {
		memmove(dma->abandoned, dma->abandoned + 1,
			(DMA_ABANDONED_MAX - 1) * sizeof(dma->abandoned[0]));
		dma->abandoned_count--;
	}
	dma->abandoned[dma->abandoned_count++] = id;
}

/* With the lock held, which is given up while waiting. */
static void wait_done(struct vfu_dma *dma, struct vfu_dma_request *request)
{
	uint64_t until_ns = clock_now_ns() + DMA_TIMEOUT_NS;
	struct timespec until = { .tv_sec = (time_t)(until_ns / NSEC_PER_SEC),
				  .tv_nsec = (long)(until_ns % NSEC_PER_SEC) };

	while (!request->done) {
		if (pthread_cond_timedwait(&dma->answered, &dma->lock.mutex, &until) == ETIMEDOUT &&
		    !request->done) {
			request->result = -EIO;
			if (request->sent)
				abandon(dma, request->id);
			vfu_count(&dma->timeouts);
			log_limited(LOG_WARN, "the client did not answer a DMA message");
			return;
		}
	}
}

static int ask(struct vfu_server *server, struct vfu_dma_request *request)
{
	struct vfu_dma *dma = &server->dma;

	lock_acquire(&dma->lock);
	if (!dma->up || guest_wanted(vfio_device_guest(server->device))) {
		lock_release(&dma->lock);
		return -EIO;
	}
	request->bytes = MIN(request->bytes, dma->max_xfer_bytes);
	request->id = dma->next_id++;
	add_request(dma, request);
	lock_release(&dma->lock);

	loop_post(server->loop, &dma->work);

	lock_acquire(&dma->lock);
	wait_done(dma, request);
	remove_request(dma, request);
	lock_release(&dma->lock);
	return request->result;
}

static int transfer(struct vfu_server *server, bool write, uint64_t addr, uint8_t *buf, size_t len)
{
	if (pthread_equal(pthread_self(), atomic_load(&server->thread)))
		return -EDEADLK;
	while (len) {
		struct vfu_dma_request request = {
			.write = write,
			.addr = addr,
			.buf = buf,
			.bytes = len,
		};
		int err = ask(server, &request);

		if (err)
			return err;
		addr += request.bytes_done;
		buf += request.bytes_done;
		len -= request.bytes_done;
	}
	return 0;
}

static int dma_read(void *opaque, gpa_t gpa, void *buf, size_t len)
{
	return transfer(opaque, false, gpa.v, buf, len);
}

static int dma_write(void *opaque, gpa_t gpa, const void *buf, size_t len)
{
	return transfer(opaque, true, gpa.v, (uint8_t *)buf, len);
}

/* ---- On the thread that runs the loop --------------------------------------------------- */

static void finish(struct vfu_dma *dma, struct vfu_dma_request *request, int result)
{
	request->result = result;
	request->done = true;
	pthread_cond_broadcast(&dma->answered);
}

static void dma_cancel(void *opaque)
{
	struct vfu_dma *dma = &((struct vfu_server *)opaque)->dma;

	lock_acquire(&dma->lock);
	for (struct vfu_dma_request *r = dma->requests; r; r = r->next) {
		if (r->done)
			continue;
		if (r->sent)
			abandon(dma, r->id);
		finish(dma, r, -EIO);
	}
	lock_release(&dma->lock);
}

static const struct guest_dma_ops dma_ops = {
	.read = dma_read,
	.write = dma_write,
	.cancel = dma_cancel,
};

static size_t build(const struct vfu_dma_request *request, uint8_t *out)
{
	size_t data = request->write ? request->bytes : 0;
	struct vfu_dma_access access = { .addr = request->addr, .count = request->bytes };
	struct vfu_header header = {
		.id = request->id,
		.command = request->write ? VFU_DMA_WRITE : VFU_DMA_READ,
		.bytes = (uint32_t)(sizeof(header) + sizeof(access) + data),
		.flags = VFU_FLAG_COMMAND,
	};

	memcpy(out, &header, sizeof(header));
	memcpy(out + sizeof(header), &access, sizeof(access));
	if (data)
		memcpy(out + sizeof(header) + sizeof(access), request->buf, data);
	return header.bytes;
}

/* The next request to send, built in @out; 0 when there is none. */
static size_t take_next(struct vfu_dma *dma, uint8_t *out)
{
	size_t bytes = 0;

	lock_acquire(&dma->lock);
	for (struct vfu_dma_request *r = dma->requests; r && !bytes; r = r->next) {
		if (r->sent || r->done)
			continue;
		r->sent = true;
		bytes = build(r, out);
		vfu_count(r->write ? &dma->writes : &dma->reads);
	}
	lock_release(&dma->lock);
	return bytes;
}

void vfu_dma_pump(struct vfu_server *server)
{
	struct vfu_channel *channel = channel_is_open(&server->twin) ? &server->twin
								     : &server->client;
	size_t bytes;

	if (!server->dma.up)
		return;
	while (!channel_is_blocked(channel) &&
	       (bytes = take_next(&server->dma, channel_buffer(channel))))
		if (channel_send(channel, bytes, NULL, 0)) {
			/* Its end is seen by the next receive as well. */
			dma_cancel(server);
			return;
		}
}

static void pump_work(struct loop_work *work)
{
	vfu_dma_pump(container_of(work, struct vfu_server, dma.work));
}

/* How many bytes a reply moved, or -errno. */
static int64_t moved(const struct vfu_dma_request *request, const struct vfu_message *message)
{
	struct vfu_dma_access access;

	if (message->header.flags & VFU_FLAG_ERROR)
		return -EFAULT;
	if (message->bytes < sizeof(access))
		/* A bare header for a write: older QEMU answers so. */
		return request->write && !message->bytes ? (int64_t)request->bytes : -EIO;
	memcpy(&access, message->payload, sizeof(access));
	if (!access.count || access.count > request->bytes)
		return -EIO;
	if (!request->write && message->bytes != sizeof(access) + access.count)
		return -EIO;
	return (int64_t)access.count;
}

static void answer(struct vfu_dma *dma, struct vfu_dma_request *request,
		   const struct vfu_message *message)
{
	int64_t bytes = moved(request, message);

	if (bytes > 0 && !request->write)
		memcpy(request->buf, message->payload + sizeof(struct vfu_dma_access),
		       (size_t)bytes);
	if (bytes > 0)
		request->bytes_done = (size_t)bytes;
	finish(dma, request, bytes > 0 ? 0 : (int)bytes);
}

static bool was_abandoned(struct vfu_dma *dma, uint16_t id)
{
	for (unsigned int i = 0; i < dma->abandoned_count; i++) {
		if (dma->abandoned[i] != id)
			continue;
		dma->abandoned[i] = dma->abandoned[--dma->abandoned_count];
		return true;
	}
	return false;
}

int vfu_dma_reply(struct vfu_server *server, const struct vfu_message *message)
{
	const struct vfu_header *header = &message->header;
	struct vfu_dma *dma = &server->dma;
	struct vfu_dma_request *r;
	int err = 0;

	if (header->command != VFU_DMA_READ && header->command != VFU_DMA_WRITE)
		return -EINVAL;
	lock_acquire(&dma->lock);
	for (r = dma->requests; r; r = r->next)
		if (r->sent && !r->done && r->id == header->id &&
		    r->write == (header->command == VFU_DMA_WRITE))
			break;
	if (r)
		answer(dma, r, message);
	else if (!was_abandoned(dma, header->id))
		err = -EINVAL;
	lock_release(&dma->lock);
	return err;
}

/* ---- Life ------------------------------------------------------------------------------- */

int vfu_dma_init(struct vfu_server *server)
{
	struct vfu_dma *dma = &server->dma;
	pthread_condattr_t attr;

	lock_init(&dma->lock, LOCK_LEAF);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&dma->answered, &attr);
	pthread_condattr_destroy(&attr);
	dma->work.run = pump_work;
	return 0;
}

void vfu_dma_fini(struct vfu_server *server)
{
	pthread_cond_destroy(&server->dma.answered);
	lock_fini(&server->dma.lock);
}

void vfu_dma_attach(struct vfu_server *server)
{
	struct vfu_dma *dma = &server->dma;

	lock_acquire(&dma->lock);
	dma->up = true;
	dma->max_xfer_bytes = server->peer.max_xfer_bytes;
	dma->abandoned_count = 0;
	lock_release(&dma->lock);
	vfio_device_set_dma_ops(server->device, &dma_ops, server);
}

void vfu_dma_detach(struct vfu_server *server)
{
	struct vfu_dma *dma = &server->dma;

	lock_acquire(&dma->lock);
	dma->up = false;
	lock_release(&dma->lock);
	dma_cancel(server);
}
