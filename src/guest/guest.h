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
