/* SPDX-License-Identifier: MIT */
/*
 * guest_ops of a VMM in another process: memory it passed a descriptor for is mapped here (or
 * read and written through the descriptor), the rest is reached by messages through the
 * guest_dma_ops of the transport.
 *
 * Reads, writes and look-ups happen in reader sections, on any thread; the map is changed by the
 * thread that serves the VMM's messages.  A reader that waits for a message's reply is in its
 * reader section, and the thread that would bring the reply is the one that now wants the readers
 * out: so a change of the map first raises guest_wanted(), then cancels what is pending (the
 * reader gets -EIO), then waits.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/checked.h"
#include "guest/guest.h"
#include "guest/slots.h"

#define CONFIGFS_MAGIC 0x62656570 /* the kernel keeps it to itself */
#define FDS_FOR_OTHERS 256u

struct guest_remote {
	struct guest guest;
	struct guest_slots slots; /* changes in writer sections */
	int fd_limit;		  /* duplicates of files stay below */
};

static struct guest_remote *remote_of(struct guest *guest)
{
	return container_of(guest, struct guest_remote, guest);
}

static void remote_cancel(struct guest *guest)
{
	const struct guest_slots *slots = &remote_of(guest)->slots;

	if (slots->dma)
		slots->dma->cancel(slots->dma_opaque);
}

static void quiesce(struct guest_remote *remote)
{
	guest_hold(&remote->guest);
	guest_quiesce(&remote->guest);
	guest_unhold(&remote->guest);
}

/* ---- Reading and writing ---------------------------------------------------------------- */

static int remote_read(struct guest *guest, gpa_t gpa, void *buf, size_t len)
{
	return guest_slots_copy(&remote_of(guest)->slots, gpa.v, buf, len, false);
}

static int remote_write(struct guest *guest, gpa_t gpa, const void *buf, size_t len)
{
	return guest_slots_copy(&remote_of(guest)->slots, gpa.v, (void *)buf, len, true);
}

static void *remote_map(struct guest *guest, gpa_t gpa, unsigned int access, size_t *len)
{
	return guest_slots_map(&remote_of(guest)->slots, gpa.v, access, len);
}

/* ---- Making and dropping a slot --------------------------------------------------------- */

/*
 * Not the files behind which is no storage but the kernel: their mode says regular, yet a read
 * asks a driver and a write commands it.
 */
static bool holds_memory(int fd)
{
	static const uint32_t kernel[] = {
		SYSFS_MAGIC,	  PROC_SUPER_MAGIC,   DEBUGFS_MAGIC,	   TRACEFS_MAGIC,
		SECURITYFS_MAGIC, CGROUP_SUPER_MAGIC, BPF_FS_MAGIC,	   CGROUP2_SUPER_MAGIC,
		SELINUX_MAGIC,	  PSTOREFS_MAGIC,     EFIVARFS_MAGIC,	   NSFS_MAGIC,
		CONFIGFS_MAGIC,	  BINFMTFS_MAGIC,     RDTGROUP_SUPER_MAGIC
	};
	struct statfs fs;

	/* Those of the kernel always answer. */
	if (fstatfs(fd, &fs))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(kernel); i++)
		if ((uint32_t)fs.f_type == kernel[i])
			return false;
	return true;
}

/*
 * Regular files only: memfd, tmpfs, hugetlbfs and plain files.  A device node, pipe or socket in
 * the place of memory could block or act on being touched.
 */
static int check_file(const struct guest_slot_config *config, struct stat *st)
{
	uint64_t end;
	int flags = fcntl(config->fd, F_GETFL);

	if (flags < 0 || fstat(config->fd, st))
		return -EINVAL;
	if (!S_ISREG(st->st_mode) || !holds_memory(config->fd) || (flags & O_PATH) ||
	    (flags & O_ACCMODE) == O_WRONLY)
		return -EINVAL;
	if ((config->access & GUEST_WRITE) && (flags & O_ACCMODE) != O_RDWR)
		return -EINVAL;
	if (!add_fits(config->fd_offset, config->bytes, &end) || end > (uint64_t)st->st_size)
		return -EINVAL;
	return 0;
}

/*
 * Of hugetlbfs the block is the page.  Other file systems may name any block they like, one in
 * user space even another at each look, and have pages of 4 KiB all the same.
 */
static size_t page_bytes_of(int fd)
{
	struct statfs fs;

	return !fstatfs(fd, &fs) && fs.f_type == HUGETLBFS_MAGIC ? (size_t)fs.f_bsize : PAGE_BYTES;
}

static int map_file(struct guest_slot *slot, int fd, size_t page)
{
	uint64_t first = slot->fd_offset & ~(uint64_t)(page - 1);
	uint64_t lead = slot->fd_offset - first;
	uint64_t bytes;
	int prot = PROT_READ | (slot->access & GUEST_WRITE ? PROT_WRITE : 0);

	if (!add_fits(slot->bytes, lead + page - 1, &bytes))
		return -EINVAL;
	bytes &= ~(uint64_t)(page - 1);
	void *base = mmap(NULL, bytes, prot, MAP_SHARED | MAP_NORESERVE, fd, (off_t)first);
	if (base == MAP_FAILED)
		return -errno;
	slot->sigbus = guest_sigbus_add(base, bytes, page);
	if (slot->sigbus < 0) {
		munmap(base, bytes);
		return slot->sigbus;
	}
	/* A core dump of ours must not carry the guest's memory. */
	madvise(base, bytes, MADV_DONTDUMP);
	slot->map_base = base;
	slot->map_bytes = bytes;
	slot->host = (uint8_t *)base + lead;
	return 0;
}

static int slot_open(struct guest_slot *slot, const struct guest_slot_config *config, int fd_limit)
{
	struct stat st;

	*slot = (struct guest_slot){
		.gpa = config->gpa.v,
		.bytes = config->bytes,
		.access = config->access,
		.backing = config->backing,
		.fd = -1,
		.fd_offset = config->fd_offset,
	};
	if (config->backing == GUEST_BACKING_MESSAGE)
		return 0;

	int err = check_file(config, &st);
	if (err)
		return err;
	slot->dev = st.st_dev;
	slot->ino = st.st_ino;
	if (config->backing == GUEST_BACKING_MMAP)
		return map_file(slot, config->fd, page_bytes_of(config->fd));
	slot->fd = fcntl(config->fd, F_DUPFD_CLOEXEC, 3);
	if (slot->fd < 0)
		return -errno;
	/* The lowest that is free: from here on only those left for others are. */
	if (slot->fd >= fd_limit) {
		close(slot->fd);
		return -EMFILE;
	}
	return 0;
}

static bool slot_is(const struct guest_slot *slot, const struct guest_slot_config *config)
{
	struct stat st = { 0 };

	if (slot->gpa != config->gpa.v || slot->bytes != config->bytes ||
	    slot->access != config->access || slot->backing != config->backing)
		return false;
	if (config->backing == GUEST_BACKING_MESSAGE)
		return true;
	return slot->fd_offset == config->fd_offset && !fstat(config->fd, &st) &&
	       st.st_dev == slot->dev && st.st_ino == slot->ino;
}

/* ---- Changing the map ------------------------------------------------------------------- */

int guest_remote_map(struct guest *guest, const struct guest_slot_config *config,
		     void (*changed)(void *), void *opaque)
{
	struct guest_remote *remote = remote_of(guest);
	struct guest_slot slot;
	uint64_t end;

	if (!config->bytes || !config->access || !add_fits(config->gpa.v, config->bytes - 1, &end))
		return -EINVAL;
	/* This thread alone changes the map, so it may look without a section. */
	const struct guest_slot *old =
		guest_slots_overlap(&remote->slots, config->gpa.v, config->bytes);
	if (old)
		return slot_is(old, config) ? 0 : -EEXIST;

	int err = slot_open(&slot, config, remote->fd_limit);
	if (err)
		return err;
	quiesce(remote);
	err = guest_slots_reserve(&remote->slots);
	if (!err) {
		guest_slots_insert(&remote->slots, &slot);
		if (changed)
			changed(opaque);
	}
	guest_resume(guest);
	if (err)
		guest_slot_close(&slot);
	return err;
}

int guest_remote_unmap(struct guest *guest, gpa_t gpa, uint64_t bytes, void (*changed)(void *),
		       void *opaque)
{
	struct guest_remote *remote = remote_of(guest);
	struct guest_slot *slot = guest_slots_exact(&remote->slots, gpa.v, bytes);

	if (!slot)
		return -ENOENT;
	quiesce(remote);
	struct guest_slot gone = *slot;
	guest_slots_remove(&remote->slots, slot);
	if (changed)
		changed(opaque);
	guest_resume(guest);
	guest_slot_close(&gone);
	return 0;
}

void guest_remote_unmap_all(struct guest *guest, void (*changed)(void *), void *opaque)
{
	struct guest_remote *remote = remote_of(guest);

	quiesce(remote);
	guest_slots_clear(&remote->slots);
	if (changed)
		changed(opaque);
	guest_resume(guest);
}

void guest_remote_set_dma(struct guest *guest, const struct guest_dma_ops *ops, void *opaque)
{
	struct guest_remote *remote = remote_of(guest);

	quiesce(remote);
	remote->slots.dma = ops;
	remote->slots.dma_opaque = opaque;
	guest_resume(guest);
}

size_t guest_remote_slot_count(struct guest *guest)
{
	return remote_of(guest)->slots.count;
}

uint64_t guest_remote_bytes(struct guest *guest)
{
	return remote_of(guest)->slots.bytes;
}

static const struct guest_ops remote_ops = {
	.read = remote_read,
	.write = remote_write,
	.map = remote_map,
	.cancel = remote_cancel,
};

/* What is left above is for connections, interrupts and messages with descriptors. */
static int limit_of_fds(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur > INT32_MAX)
		return INT32_MAX;
	return (int)limit.rlim_cur - (int)MIN(FDS_FOR_OTHERS, limit.rlim_cur / 2);
}

int guest_remote_create(struct guest **guest)
{
	struct guest_remote *remote = calloc(1, sizeof(*remote));

	if (!remote)
		return -ENOMEM;
	guest_sigbus_prepare();
	remote->fd_limit = limit_of_fds();
	guest_init(&remote->guest, &remote_ops);
	*guest = &remote->guest;
	return 0;
}

void guest_remote_destroy(struct guest *guest)
{
	if (!guest)
		return;
	struct guest_remote *remote = remote_of(guest);
	guest_remote_unmap_all(guest, NULL, NULL);
	guest_slots_fini(&remote->slots);
	guest_fini(guest);
	free(remote);
}
