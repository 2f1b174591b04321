/* SPDX-License-Identifier: MIT */
/*
 * The seam to the guest's memory: guest_ops, and the rule by which threads may use it while the
 * memory map changes under them.
 *
 * Readers (GPU lanes, the scanout, an aperture access) bracket their work with guest_enter() and
 * guest_leave(); pointers from guest_map() are good only in between.  The thread that changes the
 * map (DMA_MAP, DMA_UNMAP, a memory slot) brackets the change with guest_quiesce() and
 * guest_resume(): it waits until every reader has left and bumps the generation, which tells
 * caches of translations to start afresh.  A reader with much to do asks guest_wanted() between
 * commands and leaves when it is true, so the wait is as short as one command.
 *
 * The bytes are the guest's and may change at any time: copy once, check the copy, use the copy.
 * A page whose backing the VMM has truncated reads as zeros and swallows writes (guest/sigbus.c).
 */
#ifndef GUEST_GUEST_H
#define GUEST_GUEST_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/types.h"

enum guest_access { GUEST_READ = 1, GUEST_WRITE = 2 };

struct guest;

struct guest_ops {
	/* Copies @len bytes; -EFAULT when any of them is no memory or forbids the access. */
	int (*read)(struct guest *guest, gpa_t gpa, void *buf, size_t len);
	int (*write)(struct guest *guest, gpa_t gpa, const void *buf, size_t len);
	/*
	 * Host address of @gpa if it can be mapped with @access (GUEST_*), and into *@len how many
	 * bytes follow contiguously; NULL when it cannot (no memory, or memory reached by messages
	 * only: then read and write still work).
	 */
	void *(*map)(struct guest *guest, gpa_t gpa, unsigned int access, size_t *len);
};

struct guest {
	const struct guest_ops *ops;
	pthread_rwlock_t readers;
	_Atomic uint32_t wanted;     /* writers waiting: readers leave soon */
	_Atomic uint64_t generation; /* changes of the memory map so far */
};

void guest_init(struct guest *guest, const struct guest_ops *ops);
void guest_fini(struct guest *guest);

/* Reader section; does not nest.  Any thread. */
void guest_enter(struct guest *guest);
void guest_leave(struct guest *guest);

/* True when somebody waits for the readers to leave. */
static inline bool guest_wanted(struct guest *guest)
{
	return unlikely(atomic_load_explicit(&guest->wanted, memory_order_relaxed) != 0);
}

static inline uint64_t guest_generation(struct guest *guest)
{
	return atomic_load_explicit(&guest->generation, memory_order_acquire);
}

/* Writer section, around a change of the map.  Never while in a reader section. */
void guest_quiesce(struct guest *guest);
void guest_resume(struct guest *guest);

/* ---- SIGBUS ------------------------------------------------------------------------------ */

/*
 * Declares [@start, @start + @bytes) a shared mapping of a file that somebody else may truncate;
 * @page_bytes is the page size of the mapping.  From then on a fault in it is answered with a
 * private zero page.  Returns a handle for guest_sigbus_remove(), or -ENOSPC, -errno.  Any thread.
 */
int guest_sigbus_add(void *start, size_t bytes, size_t page_bytes);
/* Before munmap(). */
void guest_sigbus_remove(int handle);
/* Faults answered so far in this process. */
uint64_t guest_sigbus_count(void);

/* ---- The guest of a remote VMM ------------------------------------------------------------- */

/* How a slot's memory is reached. */
enum guest_backing {
	GUEST_BACKING_MMAP,    /* a file, mapped */
	GUEST_BACKING_FILE,    /* a file, by pread() and pwrite() */
	GUEST_BACKING_MESSAGE, /* no file: guest_dma_ops */
};

struct guest_slot_config {
	gpa_t gpa;
	uint64_t bytes;
	unsigned int access; /* GUEST_* */
	enum guest_backing backing;
	int fd; /* borrowed: the slot keeps a mapping or a duplicate */
	uint64_t fd_offset;
};

/*
 * Memory reached by messages to the VMM.  Called on a reader's thread, in its reader section; must
 * return soon after cancel().  0, -EFAULT, -EDEADLK on the thread that serves messages, -EIO.
 */
struct guest_dma_ops {
	int (*read)(void *opaque, gpa_t gpa, void *buf, size_t len);
	int (*write)(void *opaque, gpa_t gpa, const void *buf, size_t len);
	/* Fails what is pending with -EIO; what is asked while guest_wanted() is failed as well. */
	void (*cancel)(void *opaque);
};

/* A guest without memory yet; -errno. */
int guest_remote_create(struct guest **guest);
void guest_remote_destroy(struct guest *guest);

/*
 * The functions below change the map: they wait for the readers, so never call them in a reader
 * section.  @changed, if not NULL, runs inside the writer section after a successful change.
 */

/*
 * Adds a slot.  0 also when the very same slot (range, access, file, offset) is there already;
 * -EEXIST when it overlaps another; -EINVAL for a range that wraps, or a descriptor that is no
 * regular file, lacks the access, or is shorter than the slot; -errno of mmap().
 */
int guest_remote_map(struct guest *guest, const struct guest_slot_config *config,
		     void (*changed)(void *), void *opaque);
/* Removes the slot that is exactly [@gpa, @gpa + @bytes); -ENOENT. */
int guest_remote_unmap(struct guest *guest, gpa_t gpa, uint64_t bytes, void (*changed)(void *),
		       void *opaque);
void guest_remote_unmap_all(struct guest *guest, void (*changed)(void *), void *opaque);
/* NULL takes the messages away. */
void guest_remote_set_dma(struct guest *guest, const struct guest_dma_ops *ops, void *opaque);

/*
 * Around work that waits for readers by other means (a device reset that stops the lanes): messages
 * pending and to come fail with -EIO, and guest_wanted() is true.
 */
void guest_remote_hold(struct guest *guest);
void guest_remote_unhold(struct guest *guest);

size_t guest_remote_slot_count(struct guest *guest);
uint64_t guest_remote_bytes(struct guest *guest);

static inline int guest_read(struct guest *guest, gpa_t gpa, void *buf, size_t len)
{
	return guest->ops->read(guest, gpa, buf, len);
}

static inline int guest_write(struct guest *guest, gpa_t gpa, const void *buf, size_t len)
{
	return guest->ops->write(guest, gpa, buf, len);
}

static inline void *guest_map(struct guest *guest, gpa_t gpa, unsigned int access, size_t *len)
{
	return guest->ops->map(guest, gpa, access, len);
}

#endif
