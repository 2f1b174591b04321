/* SPDX-License-Identifier: MIT */
/*
 * The guest's GPU page tables turned into checked host pages: address spaces for the GPU.
 * A table entry is believed only after its address was found inside the guest's mapped memory.
 * Translations are cached in the gpu_as; owners drop them with gpu_as_invalidate() where hardware
 * drops its TLB, and the `stale` method drops them when the guest's memory map changed or another
 * thread asked for it.
 */
#ifndef SHADOW_SHADOW_H
#define SHADOW_SHADOW_H

#include "gpu/gpu.h"
#include "guest/guest.h"

struct shadow_tracker;

/* A global GTT: an array of 8-byte entries that the vGPU owns. */
struct shadow_ggtt {
	struct gpu_as as;
	struct guest *guest;
	const _Atomic uint64_t *entries;
	uint32_t count;		   /* entries; an address at or past count pages faults */
	struct gpu_range share[2]; /* so does one in neither of these */
	uint64_t generation;
	_Atomic bool dropped; /* another thread invalidated it */
};

void shadow_ggtt_init(struct shadow_ggtt *ggtt, struct guest *guest,
		      const _Atomic uint64_t *entries, uint32_t count);

/*
 * Only the addresses of these two ranges translate, whatever the table says about others; before
 * the first use.
 */
void shadow_ggtt_limit(struct shadow_ggtt *ggtt, const struct gpu_range *share);

/* What one walk of the tables found, for tests and error reports. */
struct shadow_walk {
	gpa_t gpa;
	unsigned int level;  /* 4 PML4, 3 PDP, 2 PD, 1 PT: where it ended */
	uint64_t page_bytes; /* 4 KiB, 64 KiB, 2 MiB */
	uint64_t entry;
	bool writable;
	gpa_t table;		 /* that the entry lies in */
	const uint64_t *entries; /* the table as it is mapped here; NULL: to be asked for */
	bool table_writable;
	bool wide; /* a table of 64 KiB pages */
};

#define SHADOW_CANDIDATES 64u

/* A per-process GTT in guest memory: four levels below a PML4, or 32 bits below 4 directories. */
struct shadow_ppgtt {
	struct gpu_as as;
	struct guest *guest;
	gpa_t pml4;
	bool legacy; /* the root is pdp[] */
	gpa_t pdp[4];
	uint64_t generation;
	_Atomic bool dropped; /* another thread invalidated it */
	/* The page table last walked to, of 4 KiB pages, until translations are dropped. */
	struct shadow_table {
		uint64_t drops;	 /* as.drops then; 0: none */
		uint64_t number; /* of its 2 MiB of addresses */
		gpa_t at;
		const uint64_t *entries; /* NULL: no host mapping */
		bool writable;		 /* so say the levels above */
	} table;
	/* The walk to the page directory last used, likewise. */
	struct shadow_directory {
		uint64_t drops;
		uint64_t number; /* of its 1 GiB */
		struct shadow_walk walk;
	} directory;
	/* NULL: every table is looked at again after a drop. */
	struct shadow_tracker *tracker;
	/* Page tables that did not change lately, by their page number's end. */
	struct shadow_candidate {
		gpa_t page;
		uint32_t same; /* looks since the last change */
	} candidate[SHADOW_CANDIDATES];
	/* Of what each block of the TLB was made, as the tracker has it; 0: of something else. */
	uint64_t stamp[GPU_TLB_TABLES * GPU_TLB_BLOCKS];
	uint64_t kept; /* page tables that were not looked at again, thanks to the tracker */
};

void shadow_ppgtt_init(struct shadow_ppgtt *ppgtt, struct guest *guest);
/* Before the first use; @tracker (borrowed) is of the same guest, or NULL. */
void shadow_ppgtt_track(struct shadow_ppgtt *ppgtt, struct shadow_tracker *tracker);
/* Another root, or the same again (a context switch): drops the translations. */
void shadow_ppgtt_load(struct shadow_ppgtt *ppgtt, gpa_t pml4);
/* The same for a 32-bit space of four page directories. */
void shadow_ppgtt_load_legacy(struct shadow_ppgtt *ppgtt, const gpa_t pdp[4]);

/* Makes the translations stale, from any thread: an invalidation by register. */
static inline void shadow_ggtt_invalidate(struct shadow_ggtt *ggtt)
{
	atomic_store_explicit(&ggtt->dropped, true, memory_order_release);
}

static inline void shadow_ppgtt_invalidate(struct shadow_ppgtt *ppgtt)
{
	atomic_store_explicit(&ppgtt->dropped, true, memory_order_release);
}

/* One walk from the root, past all that is remembered; -EFAULT. */
int shadow_ppgtt_walk(struct shadow_ppgtt *ppgtt, gma_t gma, struct shadow_walk *walk);

/* ---- Page tables that need no look ------------------------------------------------------------
 */

/*
 * Where guest_ops can tell stores to pages: has page tables tracked that were found unchanged after
 * several drops, and until the guest stores to one takes what was made of it for good without a
 * look.  One for all address spaces in a guest.  Bounded, and a table that is stored to is tracked
 * ever more reluctantly.
 *
 * @kick is called when shadow_tracker_update() has something to do: on a lane's, a vCPU's or
 * another thread, perhaps in a reader section, so it must not wait.  -ENOTSUP: nobody tells
 * stores here; -ENOMEM.
 */
int shadow_tracker_create(struct guest *guest, void (*kick)(void *opaque), void *opaque,
			  struct shadow_tracker **tracker);
/* After the last address space and the last store; what is tracked stays so. */
void shadow_tracker_destroy(struct shadow_tracker *tracker);
/* Has pages tracked and no longer tracked, under the rules of guest_ops.track. */
void shadow_tracker_update(struct shadow_tracker *tracker);
/*
 * The space of *@root has gone, NULL: all have, and with them their tables.  Any thread; @tracker
 * may be NULL.
 */
void shadow_tracker_drop(struct shadow_tracker *tracker, const gpa_t *root);
/* Tables tracked now; likewise. */
uint64_t shadow_tracker_count(struct shadow_tracker *tracker);

/* The page a GGTT entry names; false when it is not present.  Pure. */
static inline bool shadow_ggtt_entry(uint64_t entry, gpa_t *page)
{
	*page = gpa(entry & 0x0000fffffffff000ull);
	return (entry & 1) != 0;
}

#endif
