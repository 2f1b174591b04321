/* SPDX-License-Identifier: MIT */
/*
 * libmediant: a mediated Intel Gen9 vGPU for a VMM to embed, with no process and no socket between.
 *
 * The VMM keeps what it has: the VM, its memory, its vCPUs, its PCI bus.  It lends the library the
 * guest's memory, forwards the device's PCI config accesses, and shows it each exit of a vCPU.
 * When the guest turns memory decoding on, the device traps its BARs in the guest's physical
 * address space; accesses are then served on the vCPU's own thread, inside mediant_vcpu_exit().
 * Interrupts leave as eventfds, or end in KVM without leaving it.
 *
 *	struct mediant_vm *vm;               // one for each VM
 *	mediant_vm_create(&vm_config, &vm);
 *	mediant_memory_add(vm, 0, ram_bytes, ram, MEDIANT_MEMORY_WRITE);
 *	mediant_device_create(vm, &device_config, &device);
 *	...
 *	ioctl(vcpu_fd, KVM_RUN, 0);          // on each vCPU's thread
 *	if (mediant_vcpu_exit(vcpu) == 1)
 *		continue;                    // it was the vGPU's
 *
 * Errors: int functions return 0 or a negative errno, and have then changed nothing unless they
 * say so.  Ownership: what create gives, the caller destroys (NULL is fine); descriptors and
 * memory that are passed in stay the caller's.  Order of the end: vCPUs, devices, VM.
 *
 * Threads: any function may be called on any thread, functions that take the same vCPU one at a
 * time; those that change things (memory, config, interrupts, reset) take a lock for it.  Two
 * rules: call none of them from inside a callback, and none while holding a lock that a callback
 * of yours takes.  The library makes threads of its own, which run with all signals blocked: one
 * for each device's GPU, one for its display's clock, one for a VM that lends pause and resume.
 *
 * Everything a guest can write is taken as hostile: nothing it does makes these functions fail for
 * the VMM, or touch memory that was not lent.
 *
 * Binary compatibility: structures that may grow start with their size as the caller knew it, to
 * be set by MEDIANT_INIT(); members that are missing are zero.
 */
#ifndef MEDIANT_MEDIANT_H
#define MEDIANT_MEDIANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MEDIANT_API __attribute__((visibility("default")))

/*
 * Zeroes *@config and sets its size.  What zero would mean must be set by hand: a vm_fd of 0 is
 * standard input, not "none".
 */
#define MEDIANT_INIT(config)                                      \
	do {                                                      \
		__builtin_memset((config), 0, sizeof(*(config))); \
		(config)->struct_bytes = sizeof(*(config));       \
	} while (0)

/* "0.1.0": of the library that runs, not of this header. */
MEDIANT_API const char *mediant_version(void);

/* ---- The VM ---------------------------------------------------------------------------------- */

struct mediant_vm;

struct mediant_vm_config {
	size_t struct_bytes;
	/*
	 * The KVM VM; -1: none.  Without one everything works that needs no kernel: the VMM brings
	 * accesses by mediant_vcpu_access() and takes interrupts as eventfds.
	 */
	int vm_fd;
	/*
	 * KVM memory slot numbers for the library alone (KVM has thousands, see
	 * KVM_CAP_NR_MEMSLOTS): a few tens for parts of BARs that are plain memory, and one for
	 * each piece of guest memory added with MEDIANT_MEMORY_INSTALL.  At most 512; 0: none,
	 * everything traps.
	 */
	uint32_t first_slot, slot_count;
	/*
	 * Interrupt numbers for the library alone: one for each MSI vector.  @route makes number
	 * @gsi deliver the message of @address and @data, or (@on false) nothing again; it exists
	 * because KVM_SET_GSI_ROUTING replaces the whole table, which is the VMM's.  Called inside
	 * mediant_device_config_write(), _irq_kvm(), _irq_eventfd(), _reset() and _destroy(). NULL:
	 * messages are sent by hand, KVM_SIGNAL_MSI, on the thread that raises the interrupt.  At
	 * most 64.
	 */
	uint32_t first_gsi, gsi_count;
	int (*route)(void *opaque, uint32_t gsi, uint64_t address, uint32_t data, bool on);
	/*
	 * True: the VM's ring of coalesced stores is the library's to empty, and stores to
	 * registers that come in runs wait there without an exit.  The VMM must then show every
	 * exit to mediant_vcpu_exit(), touch the ring no more, and take stores of zones of its own
	 * from @store (NULL: there are none), which is called on the thread that empties the ring:
	 * one that shows an exit, makes or destroys a vCPU, writes config space, resets a device or
	 * destroys it.
	 */
	bool coalesce;
	void (*store)(void *opaque, uint64_t gpa, const void *buf, size_t len);
	void *opaque;
	/*
	 * Both or neither.  @pause returns when no vCPU is in the guest, and none enters it until
	 * @resume; a vCPU whose thread is serving an exit is out already, so do not wait for that
	 * thread.  Called on a thread of the library's that holds a lock of the VM's.
	 *
	 * With them, page tables of the GPU that seem not to change are made read-only for the
	 * guest (in memory that is MEDIANT_MEMORY_INSTALL, in batches, between the two calls), and
	 * need no look after each invalidation.  Stores to them, and to pages near them, exit then:
	 * to more of them the fewer slot numbers there are (two for each of up to 256 tables).
	 * What the VMM itself stores there is not seen: its devices must not.  A gain only for
	 * guests that change page tables very rarely (docs/embedding.md); most do better without.
	 */
	void (*pause)(void *opaque);
	void (*resume)(void *opaque);
};

/*
 * -EINVAL; -ENOTSUP: @coalesce without a ring; -ENOMEM; -errno: no descriptor or thread is left for
 * what pause and resume make possible.
 */
MEDIANT_API int mediant_vm_create(const struct mediant_vm_config *config, struct mediant_vm **vm);
MEDIANT_API void mediant_vm_destroy(struct mediant_vm *vm);

enum mediant_memory_flags {
	MEDIANT_MEMORY_WRITE = 1,   /* the device may write it, too */
	MEDIANT_MEMORY_INSTALL = 2, /* make the KVM slot as well; else the VMM has made it */
};

/*
 * Lends guest memory: @bytes at @host are the guest's physical memory from @gpa on.  A KVM slot of
 * the VMM's own is made afterwards: the guest may have put a BAR there, whose windows give way to
 * lent memory, and to nothing else.  The guest may
 * run, and the GPU may be at work: both are kept out for the moment of the change.  @host stays
 * valid until removal or move has returned, or the VM is destroyed.  -EEXIST: overlaps other
 * memory; -EINVAL: empty, wraps, no @host, unknown flags, or to be installed and not whole pages;
 * -ENOTSUP: to be installed and the VM has no KVM; -ENOSPC: no slot number left; -ENOMEM; -errno of
 * KVM.
 */
MEDIANT_API int mediant_memory_add(struct mediant_vm *vm, uint64_t gpa, uint64_t bytes, void *host,
				   unsigned int flags);
/*
 * The same for guest memory that lies in another process and cannot be mapped into this one: @bytes
 * at @address in the process of @pidfd (pidfd_open(), or SO_PEERPIDFD of its socket; a duplicate is
 * kept).  The GPU reads and writes it by process_vm_readv() and process_vm_writev(), at the price
 * of some system calls for each page or word, so map what can be mapped.  The kernel must let this
 * process trace that one: same user and dumpable, or CAP_SYS_PTRACE, and where Yama is on, a
 * descendant or prctl(PR_SET_PTRACER) there.  @flags: MEDIANT_MEMORY_WRITE or 0.
 *
 * -ESRCH: the process has ended; -EPERM: it may not be traced, or is of another PID namespace;
 * -EFAULT: the first or the last byte is not there; -EINVAL: no pidfd, or empty, wraps, unknown
 * flags; -EEXIST: overlaps other memory; -ENOMEM; -errno: no descriptor is left.
 * When the process ends later, the guest's work that needs the memory faults, as it does for pages
 * the process has unmapped; its number, should another process get it, is not used any more.  The
 * piece stays until it is removed.
 */
MEDIANT_API int mediant_memory_add_process(struct mediant_vm *vm, uint64_t gpa, uint64_t bytes,
					   int pidfd, uint64_t address, unsigned int flags);
/*
 * Moves the piece that is exactly [@gpa, @gpa + @bytes); the VMM moves its own KVM slot
 * afterwards, as with mediant_memory_add().  For the GPU it is in one place at any time; vCPUs that
 * run are for a moment without memory that is MEDIANT_MEMORY_INSTALL, and find nobody there.
 * -ENOENT: there is no such piece; -EINVAL: wraps there, or installed and @to is no page; -EEXIST:
 * overlaps other memory; -errno of KVM.
 */
MEDIANT_API int mediant_memory_move(struct mediant_vm *vm, uint64_t gpa, uint64_t bytes,
				    uint64_t to);
/*
 * Takes it back: when this has returned 0, nothing of the library uses it.  -ENOENT; -errno of KVM,
 * which keeps a slot that shows it to the guest: all of it is still lent then.
 */
MEDIANT_API int mediant_memory_remove(struct mediant_vm *vm, uint64_t gpa, uint64_t bytes);

/* ---- Types ----------------------------------------------------------------------------------- */

/* What a vGPU is given, in the manner of i915-GVTg types.  Static; bytes of graphics memory. */
struct mediant_type {
	const char *name, *description;
	uint64_t aperture_bytes; /* size of BAR2 */
	uint64_t mappable_bytes; /* what of it the guest may use */
	uint64_t nonmappable_bytes;
	uint32_t max_width, max_height;
};
/* The @index-th type into *@type, smallest first; -ENOENT: no more. */
MEDIANT_API int mediant_type_get(unsigned int index, struct mediant_type *type);

/* ---- The device ------------------------------------------------------------------------------ */

struct mediant_device;

enum mediant_gpu {
	MEDIANT_GPU_SOFT, /* work is done, by the CPU */
	MEDIANT_GPU_NULL, /* work completes and draws nothing: for tests and measurements */
};

struct mediant_device_config {
	size_t struct_bytes;
	const char *name; /* in messages; copied; NULL: "vgpu" */
	const char *type; /* of mediant_type; NULL: the first */
	enum mediant_gpu gpu;
	bool render_only;	/* no display: the guest finds no monitor */
	uint32_t width, height; /* of the monitor; 0: 1024 by 768 */
	/* Trap every access, where plain registers and the GTT could be mapped into the guest. */
	bool trap_all;
};

/* -EINVAL, -ENOENT (no such type), -ENOMEM, -errno of threads and descriptors. */
MEDIANT_API int mediant_device_create(struct mediant_vm *vm,
				      const struct mediant_device_config *config,
				      struct mediant_device **device);
/* Its BARs are not decoded any more when this returns, and its threads have ended. */
MEDIANT_API void mediant_device_destroy(struct mediant_device *device);

/*
 * The guest's access to the function's PCI config space: @len 1, 2 or 4 bytes at @offset, which
 * need not be aligned; little-endian, as the guest sees them.  A write may move BARs, turn decoding
 * on or off, arm MSI or reset the function: all that has happened when it returns, and no access to
 * a BAR that is no longer decoded is then being served.  Not from a callback.  -EINVAL: outside
 * the 256 bytes.
 */
MEDIANT_API int mediant_device_config_read(struct mediant_device *device, uint16_t offset,
					   void *buf, size_t len);
MEDIANT_API int mediant_device_config_write(struct mediant_device *device, uint16_t offset,
					    const void *buf, size_t len);

/*
 * An access to a BAR (0: registers and GTT, 2: aperture, 4: I/O ports) that the VMM has decoded
 * itself, for instance a port of BAR 4: @len 1, 2, 4 or 8 bytes, or more at once, up to 1 MiB.
 * Served on this thread.  -EINVAL: no such BAR, outside it, or more than that.
 */
MEDIANT_API int mediant_device_bar_read(struct mediant_device *device, unsigned int bar,
					uint64_t offset, void *buf, size_t len);
MEDIANT_API int mediant_device_bar_write(struct mediant_device *device, unsigned int bar,
					 uint64_t offset, const void *buf, size_t len);

enum mediant_irq { MEDIANT_IRQ_INTX, MEDIANT_IRQ_MSI };

/*
 * Each interrupt signals @eventfd from now on (a duplicate is kept); -1: nothing.  Where it ends is
 * the VMM's affair: KVM_IRQFD, or a thread that waits for it by poll() and then reads: the eventfd
 * becomes O_NONBLOCK, the caller's descriptor of it too, so that who signals never waits.  INTx
 * masks itself when it fires, until mediant_device_irq_unmask().  -EINVAL: no such vector, or no
 * eventfd; -errno.
 */
MEDIANT_API int mediant_device_irq_eventfd(struct mediant_device *device, enum mediant_irq irq,
					   unsigned int vector, int eventfd);
/* -EINVAL: no such vector. */
MEDIANT_API int mediant_device_irq_unmask(struct mediant_device *device, enum mediant_irq irq,
					  unsigned int vector);
/*
 * MSIs end in KVM: by KVM_IRQFD on one of the VM's interrupt numbers, by KVM_SIGNAL_MSI when there
 * is none.  Follows what the guest writes to the capability.  -ENOTSUP: the VM has no KVM; -errno:
 * no descriptor is left.
 */
MEDIANT_API int mediant_device_irq_kvm(struct mediant_device *device);

/* Function reset: as after power on, memory decoding off.  Memory stays lent. */
MEDIANT_API void mediant_device_reset(struct mediant_device *device);

/* Since the device was created.  What the guest does in mapped pages is seen by nobody. */
struct mediant_stats {
	size_t struct_bytes; /* set by the caller */
	uint64_t register_reads, register_writes;
	uint64_t gtt_reads, gtt_writes;
	uint64_t aperture_reads, aperture_writes;
	uint64_t submissions; /* pairs of contexts */
	uint64_t contexts_completed;
	uint64_t gpu_busy_ns;
	uint64_t interrupts;
	uint64_t faults; /* of the guest's work, such as a bad command */
	uint64_t engine_resets, full_resets;
	uint64_t frames;   /* shown by the display */
	bool driver_ready; /* the guest's driver has taken the vGPU over */
	/* Of the whole VM. */
	uint64_t exits;		 /* accesses that came by an exit */
	uint64_t coalesced;	 /* stores that came through the ring */
	uint64_t tables_tracked; /* page tables that are read-only for the guest now */
};
/* -EINVAL: struct_bytes is not set. */
MEDIANT_API int mediant_device_stats(struct mediant_device *device, struct mediant_stats *stats);
/* Writes them to @fd as one line of JSON.  -errno of write(). */
MEDIANT_API int mediant_device_stats_save(struct mediant_device *device, int fd);

/* ---- vCPUs ----------------------------------------------------------------------------------- */

struct mediant_vcpu;

/*
 * @kvm_run: the vCPU's struct kvm_run, the whole mapping of KVM_GET_VCPU_MMAP_SIZE bytes, which
 * outlives the vCPU; NULL: a vCPU that is not KVM's, whose accesses come by mediant_vcpu_access().
 * -ENOMEM.
 */
MEDIANT_API int mediant_vcpu_create(struct mediant_vm *vm, void *kvm_run,
				    struct mediant_vcpu **vcpu);
MEDIANT_API void mediant_vcpu_destroy(struct mediant_vcpu *vcpu);

/*
 * After each return of KVM_RUN, on the vCPU's thread.  1: the exit was an access to the vGPU and
 * has been served, enter the guest again, its exit_reason is KVM_EXIT_UNKNOWN now; 0: it is the
 * VMM's, untouched; -EINVAL: the vCPU has no kvm_run.  A KVM_RUN that fails (EINTR) leaves the exit
 * before it in kvm_run: what was served is not served again, but the VMM must not do its own part
 * twice, so go round without a look.  Allocates nothing.  A load takes no lock that vCPUs share,
 * but that of the ring while stores wait in it, and for the data register of GMBUS the device's.
 */
MEDIANT_API int mediant_vcpu_exit(struct mediant_vcpu *vcpu);
/* The same for an access the VMM has taken apart itself: @len bytes at @gpa.  1 or 0. */
MEDIANT_API int mediant_vcpu_access(struct mediant_vcpu *vcpu, uint64_t gpa, void *buf, size_t len,
				    bool write);

#ifdef __cplusplus
}
#endif

#endif
