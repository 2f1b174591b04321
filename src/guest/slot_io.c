/* SPDX-License-Identifier: MIT */
/*
 * The bytes of slots, whatever is behind them: the middle of guest_ops.read, .write and .map for
 * every guest whose memory is a list of slots.  In reader sections, on any thread.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/checked.h"
#include "guest/slots.h"

static int file_copy(const struct guest_slot *slot, uint64_t at, void *buf, size_t len, bool write)
{
	off_t offset = (off_t)(slot->fd_offset + (at - slot->gpa));
	uint8_t *bytes = buf;

	while (len) {
		ssize_t n = write ? pwrite(slot->fd, bytes, len, offset)
				  : pread(slot->fd, bytes, len, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 || (n == 0 && write))
			return -EFAULT;
		if (n == 0) {
			/* Truncated: like a mapping, it reads as zeros. */
			memset(bytes, 0, len);
			return 0;
		}
		bytes += n;
		offset += n;
		len -= (size_t)n;
	}
	return 0;
}

static int message_copy(const struct guest_slots *slots, uint64_t at, void *buf, size_t len,
			bool write)
{
	if (!slots->dma)
		return -EFAULT;
	return write ? slots->dma->write(slots->dma_opaque, gpa(at), buf, len)
		     : slots->dma->read(slots->dma_opaque, gpa(at), buf, len);
}

static int slot_copy(const struct guest_slots *slots, const struct guest_slot *slot, uint64_t at,
		     void *buf, size_t len, bool write)
{
	switch (slot->backing) {
	case GUEST_BACKING_MMAP:
		if (write)
			memcpy(slot->host + (at - slot->gpa), buf, len);
		else
			memcpy(buf, slot->host + (at - slot->gpa), len);
		return 0;
	case GUEST_BACKING_FILE:
		return file_copy(slot, at, buf, len, write);
	case GUEST_BACKING_MESSAGE:
		return message_copy(slots, at, buf, len, write);
	case GUEST_BACKING_PROCESS:
		return guest_process_copy(slot, at, buf, len, write);
	}
	return -EFAULT;
}

int guest_slots_copy(struct guest_slots *slots, uint64_t at, void *buf, size_t len, bool write)
{
	unsigned int access = write ? GUEST_WRITE : GUEST_READ;
	uint8_t *bytes = buf;
	uint64_t end;

	if (!add_fits(at, len, &end))
		return -EFAULT;
	while (len) {
		const struct guest_slot *slot = guest_slots_find(slots, at);

		if (!slot || !(slot->access & access))
			return -EFAULT;
		size_t n = MIN(len, slot->bytes - (at - slot->gpa));
		int err = slot_copy(slots, slot, at, bytes, n, write);
		if (err)
			return err;
		at += n;
		bytes += n;
		len -= n;
	}
	return 0;
}

void *guest_slots_map(struct guest_slots *slots, uint64_t at, unsigned int access, size_t *len)
{
	const struct guest_slot *slot = guest_slots_find(slots, at);

	if (!slot || (slot->access & access) != access || slot->backing != GUEST_BACKING_MMAP)
		return NULL;
	*len = slot->bytes - (at - slot->gpa);
	return slot->host + (at - slot->gpa);
}

void guest_slot_close(struct guest_slot *slot)
{
	if (slot->map_base) {
		guest_sigbus_remove(slot->sigbus);
		munmap(slot->map_base, slot->map_bytes);
	}
	if (slot->fd >= 0)
		close(slot->fd);
}
