/* SPDX-License-Identifier: MIT */
/*
 * The slots of a guest's physical memory, sorted by address.  Readers look up inside a reader
 * section of the guest, the map changes inside a writer section, so nothing here locks.
 */
#ifndef GUEST_SLOTS_H
#define GUEST_SLOTS_H

#include <sys/types.h>

#include "guest/guest.h"

struct guest_slot {
	uint64_t gpa, bytes; /* does not wrap, never empty */
	unsigned int access; /* GUEST_* */
	enum guest_backing backing;
	uint8_t *host;	    /* MMAP: the byte of @gpa */
	int fd;		    /* FILE, PROCESS (a pidfd): a duplicate of our own, else -1 */
	uint64_t fd_offset; /* PROCESS: the address of @gpa there */
	pid_t pid;	    /* PROCESS */
	dev_t dev;	    /* which file, for those that have one */
	ino_t ino;
	void *map_base; /* MMAP: what munmap() wants */
	size_t map_bytes;
	int sigbus;	/* MMAP: handle */
	bool installed; /* a VMM in this process had us make the hypervisor's slot too */
};

struct guest_slots {
	struct guest_slot *slots;
	uint32_t count, room;
	uint64_t bytes;	       /* sum over all slots */
	_Atomic uint32_t last; /* index of the last hit: a hint, checked before use */
	/* How MESSAGE is reached; NULL: not at all. */
	const struct guest_dma_ops *dma;
	void *dma_opaque;
};

/* Closes them all. */
void guest_slots_fini(struct guest_slots *slots);

/* The slot that holds @gpa, or NULL.  O(log n), O(1) when it is the one of the last call. */
struct guest_slot *guest_slots_find(struct guest_slots *slots, uint64_t gpa);
/* The slot that is exactly [@gpa, @gpa + @bytes), or NULL. */
struct guest_slot *guest_slots_exact(struct guest_slots *slots, uint64_t gpa, uint64_t bytes);
/* The first slot sharing a byte with [@gpa, @gpa + @bytes), which does not wrap; or NULL. */
struct guest_slot *guest_slots_overlap(struct guest_slots *slots, uint64_t gpa, uint64_t bytes);

/* Makes room for one more slot, so that the next insertion cannot fail; -ENOMEM. */
int guest_slots_reserve(struct guest_slots *slots);
/* @slot is copied and overlaps none; needs room. */
void guest_slots_insert(struct guest_slots *slots, const struct guest_slot *slot);
void guest_slots_remove(struct guest_slots *slots, struct guest_slot *slot);
/* Closes what is in them. */
void guest_slots_clear(struct guest_slots *slots);

/*
 * slot_io.c: the bytes, for guest_ops.read, .write and .map.  @buf is only read by a write.
 */
int guest_slots_copy(struct guest_slots *slots, uint64_t gpa, void *buf, size_t len, bool write);
void *guest_slots_map(struct guest_slots *slots, uint64_t gpa, unsigned int access, size_t *len);
/* Gives back what a slot that was taken out, or never went in, holds. */
void guest_slot_close(struct guest_slot *slot);

/*
 * process_vm.c.  Makes @slot, whose range and access are set, memory of the process that @pidfd
 * (borrowed) names, from @address on.  -EINVAL: not a pidfd, or the addresses wrap; -ESRCH: the
 * process has ended; -EPERM: it may not be read, or is of another PID namespace; -EFAULT: its first
 * or last byte is no memory; -errno.
 */
int guest_process_open(struct guest_slot *slot, int pidfd, uint64_t address);
/* -ESRCH: it has ended, perhaps in the middle; -EFAULT, -EPERM, -errno. */
int guest_process_copy(const struct guest_slot *slot, uint64_t gpa, void *buf, size_t len,
		       bool write);

#endif
