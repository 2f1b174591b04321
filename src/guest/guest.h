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

/*
 * Register accesses to a range of the guest's physical address space.  The functions run on the
 * vCPU's own thread, several at a time; @offset is from the start of the range, the access lies
 * inside it.
 */
struct guest_trap {
	gpa_t gpa;
	uint64_t bytes;
	void (*read)(void *opaque, uint64_t offset, void *buf, size_t len);
	void (*write)(void *opaque, uint64_t offset, const void *buf, size_t len);
	void *opaque;
};

/* A store that needs no answer: @eventfd is signalled, the value is lost. */
struct guest_doorbell {
	gpa_t gpa;
	uint32_t bytes; /* width of the store: 1, 2, 4, 8; 0: any */
	bool match;	/* only a store of @value counts, others trap */
	uint64_t value;
	int eventfd; /* borrowed */
};

/*
 * A register that takes stores in runs, of which only the last has an effect: the hypervisor may
 * keep the others back, in order, and bring them with the last.
 */
struct guest_run {
	gpa_t gpa;
	uint32_t bytes; /* of one store */
	/*
	 * How many stores may be kept back now without keeping the last of a run; any thread.  Of
	 * runs that share an opaque it is asked once for all.
	 */
	unsigned int (*slack)(void *opaque);
	void *opaque;
};

/*
 * Memory that the guest reads, and writes if @writable, without a trap: the device's, or (@alias)
 * the guest's own that is also at @of, until that goes or its pages are tracked.
 */
struct guest_window {
	gpa_t gpa;
	uint64_t bytes; /* whole pages, like the addresses */
	void *host;	/* of the device's */
	bool alias;
	gpa_t of;
	bool writable; /* false: stores trap as if the window were not there */
};

/* A message-signalled interrupt: the store the device would make. */
struct guest_msi {
	uint64_t address;
	uint32_t data;
};

/*
 * Who is told of stores to tracked pages.  A page is about to be stored to, may be from now on (the
 * device was given a mapping), or its memory goes: on the thread that does it, in a reader or
 * writer section, so @written must not wait, nor call back.  Until track has taken the page back
 * the store may still be under way.
 */
struct guest_watch {
	void (*written)(void *opaque, gpa_t page);
	void *opaque;
};

struct guest_ops {
	/*
	 * Copies @len bytes; -EFAULT when any of them is no memory or forbids the access.  Memory
	 * that others have to hand over also gives -EIO (no answer, or cancelled), -EDEADLK (on the
	 * thread that would bring it), -ESRCH (the process it lies in has ended), -EPERM.
	 */
	int (*read)(struct guest *guest, gpa_t gpa, void *buf, size_t len);
	int (*write)(struct guest *guest, gpa_t gpa, const void *buf, size_t len);
	/*
	 * Host address of @gpa if it can be mapped with @access (GUEST_*), and into *@len how many
	 * bytes follow contiguously; NULL when it cannot (no memory, or memory reached by messages
	 * only: then read and write still work).
	 */
	void *(*map)(struct guest *guest, gpa_t gpa, unsigned int access, size_t *len);

	/*
	 * What only a hypervisor in this process can do: each is NULL where it cannot.  Called by
	 * the thread that changes the device (a config write, a reset), never from a trap and never
	 * in a reader section.
	 */

	/* @trap is copied.  -EEXIST when the range overlaps another trap, -EINVAL, -ENOSPC. */
	int (*trap)(struct guest *guest, const struct guest_trap *trap);
	/* Of exactly that range; returns when no access to it is being served.  -ENOENT. */
	int (*untrap)(struct guest *guest, gpa_t gpa, uint64_t bytes);
	/* Inside a trapped range.  -EEXIST, -ENOSPC, -errno: then the store traps as before. */
	int (*doorbell)(struct guest *guest, const struct guest_doorbell *doorbell, bool on);
	/* Inside a trapped range.  -ENOSPC, -errno: then each store traps. */
	int (*run)(struct guest *guest, const struct guest_run *run, bool on);
	/*
	 * On: -ENOSPC, -EEXIST, -errno: then accesses trap as before; -EFAULT: @of is not all one
	 * piece of memory, or is tracked.  Off: exactly one that was opened; -ENOENT: it has gone
	 * with its memory; -errno: it is there until the hypervisor gives it up.  Aliases on any
	 * thread outside a reader section, a trap as well.
	 */
	int (*window)(struct guest *guest, const struct guest_window *window, bool on);
	/*
	 * From now on a signal of @eventfd (borrowed) reaches the guest as @msi, with no thread in
	 * between; NULL: no longer.  -ENOSPC, -errno: signal it by hand.
	 */
	int (*irq_route)(struct guest *guest, int eventfd, const struct guest_msi *msi);
	/* Signals by hand.  Any thread; does not block. */
	int (*irq_signal)(struct guest *guest, const struct guest_msi *msi);
	/*
	 * Stores of vCPUs and of the device to the @count pages are told to *@watch (copied),
	 * before they are done, from now on; NULL: no longer.  A page whose memory goes is told as
	 * well, and no longer tracked.  One watch at a time for a guest.  One at a time with
	 * changes of the map, on any thread.  -EFAULT: not memory that was installed by us;
	 * -EBUSY: pages are tracked for another watch; -ENOTSUP.
	 */
	int (*track)(struct guest *guest, const gpa_t *pages, size_t count,
		     const struct guest_watch *watch);
	/* Fails what a reader waits for, and what it will wait for while guest_wanted(). */
	void (*cancel)(struct guest *guest);
};

#define GUEST_READERS 16u

struct guest_readers {
	_Atomic uint32_t inside;
	uint8_t apart[124]; /* never in one cache line with the next, wherever the guest lies */
};

struct guest {
	const struct guest_ops *ops;
	_Atomic uint32_t wanted;     /* writers waiting: readers leave soon */
	_Atomic bool closed;	     /* a writer is inside, or waits for the readers to leave */
	_Atomic uint64_t generation; /* changes of the memory map so far */
	pthread_mutex_t lock;	     /* for whoever has to wait */
	pthread_cond_t moved;
	struct guest_readers readers[GUEST_READERS]; /* a place for (nearly) each thread */
};

void guest_init(struct guest *guest, const struct guest_ops *ops);
void guest_fini(struct guest *guest);

/*
 * Reader section; does not nest, and is left by the thread that entered it.  Any thread; waits for
 * a writer, never for another reader.
 */
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
/* The same where the map is as it was, and caches of translations may live on. */
void guest_resume_unchanged(struct guest *guest);

/*
 * Around work that waits for readers by other means (a device reset that stops the lanes): what
 * readers wait for fails with -EIO, and guest_wanted() is true.
 */
void guest_hold(struct guest *guest);
void guest_unhold(struct guest *guest);

/* ---- SIGBUS ----------------------------------------------------------------------------- */

/*
 * Declares [@start, @start + @bytes) a shared mapping of a file that somebody else may truncate;
 * @page_bytes is the page size of the mapping.  From then on a fault in it is answered with a
 * private zero page.  Returns a handle for guest_sigbus_remove(); -ENOSPC when the kernel's limit
 * of mappings is near, -errno.  Any thread.
 */
int guest_sigbus_add(void *start, size_t bytes, size_t page_bytes);
/* Learns the kernel's limit of mappings, while files can still be opened.  Any thread. */
void guest_sigbus_prepare(void);
/* Before munmap(). */
void guest_sigbus_remove(int handle);
/* Faults answered so far in this process. */
uint64_t guest_sigbus_count(void);

/* ---- The guest of a remote VMM ---------------------------------------------------------- */

/* How a slot's memory is reached. */
enum guest_backing {
	GUEST_BACKING_MMAP,    /* a file, mapped */
	GUEST_BACKING_FILE,    /* a file, by pread() and pwrite() */
	GUEST_BACKING_MESSAGE, /* no file: guest_dma_ops */
	GUEST_BACKING_PROCESS, /* another process's memory; only guest_kvm_process_add() */
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
 * regular file, lacks the access, or is shorter than the slot; -ENOSPC, -EMFILE when this process
 * has few mappings or descriptors left; -errno of mmap().
 */
int guest_remote_map(struct guest *guest, const struct guest_slot_config *config,
		     void (*changed)(void *), void *opaque);
/* Removes the slot that is exactly [@gpa, @gpa + @bytes); -ENOENT. */
int guest_remote_unmap(struct guest *guest, gpa_t gpa, uint64_t bytes, void (*changed)(void *),
		       void *opaque);
void guest_remote_unmap_all(struct guest *guest, void (*changed)(void *), void *opaque);
/* NULL takes the messages away. */
void guest_remote_set_dma(struct guest *guest, const struct guest_dma_ops *ops, void *opaque);

size_t guest_remote_slot_count(struct guest *guest);
uint64_t guest_remote_bytes(struct guest *guest);

/* ---- The guest of a VMM in this process ------------------------------------------------------ */

/* What the VMM lends; every function may be called on any thread that changes the device. */
struct guest_kvm_config {
	int vm_fd; /* of KVM_CREATE_VM, borrowed; -1: no KVM, or none that we may use */
	/* KVM memory slot numbers that are ours: [first_slot, first_slot + slot_count). */
	uint32_t first_slot, slot_count;
	/*
	 * Makes interrupt number @gsi deliver @msi (KVM_SET_GSI_ROUTING replaces the whole table,
	 * so only the VMM, which knows the rest of it, can); NULL takes the route away.  NULL
	 * function: MSIs are signalled by hand.
	 */
	int (*route)(void *opaque, uint32_t gsi, const struct guest_msi *msi);
	uint32_t first_gsi, gsi_count; /* interrupt numbers that are ours */
	bool coalesce; /* somebody empties the ring of coalesced stores: runs may be kept back */
	/*
	 * Keeps every vCPU out of the guest, and lets them in again: around the moment in which a
	 * piece of memory that is being split has no slot.  A vCPU whose thread is serving an exit
	 * is out already, as long as it does not go in again: do not wait for its thread.  NULL:
	 * pages cannot be tracked.
	 */
	void (*pause)(void *opaque);
	void (*resume)(void *opaque);
	void *opaque;
};

/* A guest without memory yet; -EINVAL, -errno. */
int guest_kvm_create(const struct guest_kvm_config *config, struct guest **guest);
/* Every vCPU and trap must have gone. */
void guest_kvm_destroy(struct guest *guest);

struct guest_kvm_memory {
	gpa_t gpa;
	uint64_t bytes;
	void *host;	     /* borrowed until removed */
	unsigned int access; /* GUEST_*; without GUEST_WRITE also the vCPUs cannot store there */
	bool install;	     /* make the KVM slot as well: then its pages can be tracked */
};

/*
 * Changes of the map; as those of guest_remote_*().  -EEXIST: overlaps another; -EINVAL: empty,
 * wraps, or to be installed and not of whole pages; -ENOSPC: no slot number left; -errno of KVM.
 */
int guest_kvm_memory_add(struct guest *guest, const struct guest_kvm_memory *memory);

/*
 * Memory that lies in another process and cannot be mapped here: it can be read and written, which
 * costs system calls, and guest_map() answers NULL.
 */
struct guest_kvm_process {
	gpa_t gpa;
	uint64_t bytes;
	int pidfd;	     /* borrowed: a duplicate is kept */
	uint64_t address;    /* in that process */
	unsigned int access; /* GUEST_* */
};

/*
 * As above; -EINVAL also for what is no pidfd; -ESRCH: it has ended; -EPERM: we may not trace it;
 * -EFAULT: its first or last byte is not there.  When it ends later, reads and writes give -ESRCH.
 */
int guest_kvm_process_add(struct guest *guest, const struct guest_kvm_process *process);

/*
 * The one that is exactly [@gpa, @gpa + @bytes), of either kind; -ENOENT; -errno of KVM, when it
 * keeps a slot: then nothing has changed.
 */
int guest_kvm_memory_remove(struct guest *guest, gpa_t gpa, uint64_t bytes);
/* In one step for readers; for vCPUs there is a moment without.  -ENOENT, -EEXIST, -errno. */
int guest_kvm_memory_move(struct guest *guest, gpa_t from, uint64_t bytes, gpa_t to);
size_t guest_kvm_memory_count(struct guest *guest);
uint64_t guest_kvm_memory_bytes(struct guest *guest);

/*
 * A vCPU's mark: while it serves an access, guest_ops.untrap waits for it.  Registered by any
 * thread, used by one at a time.
 */
struct guest_vcpu {
	_Alignas(64) _Atomic uint64_t serving; /* odd: in the middle of an access */
	uint64_t served;		       /* accesses, by the vCPU's thread */
	struct guest_vcpu *next;
};
void guest_kvm_vcpu_add(struct guest *guest, struct guest_vcpu *vcpu);
void guest_kvm_vcpu_remove(struct guest *guest, struct guest_vcpu *vcpu);
/*
 * Serves a load or store of a vCPU on its thread: by the trap that holds it, or, for a store to a
 * tracked page, by doing it: in a reader section, and only once pages have been tracked.  False:
 * not ours.  Takes no lock and allocates nothing.
 */
bool guest_kvm_access(struct guest *guest, struct guest_vcpu *vcpu, gpa_t gpa, void *buf,
		      size_t len, bool write);

/*
 * The least slack of all runs: how many stores the ring may take before it must be looked at;
 * UINT32_MAX: there are no runs.  Any thread.
 */
unsigned int guest_kvm_slack(struct guest *guest);
/*
 * Does a store of @len bytes at @gpa reach a register that takes stores in runs?  Any thread, no
 * lock.
 */
bool guest_kvm_in_run(struct guest *guest, gpa_t gpa, size_t len);

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
