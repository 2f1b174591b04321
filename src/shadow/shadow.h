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
	gpa_t table; /* that the entry lies in */
	bool table_writable;
	bool wide; /* a table of 64 KiB pages */
};

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
};

void shadow_ppgtt_init(struct shadow_ppgtt *ppgtt, struct guest *guest);
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

int shadow_ppgtt_walk(struct shadow_ppgtt *ppgtt, gma_t gma, struct shadow_walk *walk);

/* The page a GGTT entry names; false when it is not present.  Pure. */
static inline bool shadow_ggtt_entry(uint64_t entry, gpa_t *page)
{
	*page = gpa(entry & 0x0000fffffffff000ull);
	return (entry & 1) != 0;
}

#endif
