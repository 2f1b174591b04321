/* SPDX-License-Identifier: MIT */
/* What the two kinds of page tables share: entry bits, and from a checked GPA to a host page. */
#ifndef SHADOW_PAGE_H
#define SHADOW_PAGE_H

#include "gpu/gpu.h"
#include "guest/guest.h"

/* Bits 47:12 of an entry: the address, as wide as Gen9 takes it. */
#define SHADOW_ADDRESS_MASK 0x0000fffffffff000ull

/*
 * Host mapping of the guest page at @at, which is @writable by its entries.  A page that cannot
 * be mapped but may be reached by messages leaves page->host NULL, and so does a write to one that
 * the entries make read-only: Gen9 discards such writes, it does not fault.  -EFAULT: the guest's
 * memory forbids @access, or there is none.
 */
int shadow_page_map(struct guest *guest, gpa_t at, bool writable, unsigned int access,
		    struct gpu_page *page);

/*
 * The enter method's work: @now are the entries of the blocks' pages as they are, @origin what else
 * their translations were made of (not 0).  Translations of entries that changed are cleared; true:
 * there were none.
 */
bool shadow_blocks_sync(const struct gpu_tlb_blocks *blocks, const uint64_t *now, uint64_t origin,
			bool again);
/* There are no such entries: nothing is kept. */
void shadow_blocks_clear(const struct gpu_tlb_blocks *blocks);

/*
 * True once after another thread set *@dropped; forgets all translations when the guest's memory
 * map changed since *@seen.
 */
bool shadow_translations_stale(struct gpu_as *as, struct guest *guest, uint64_t *seen,
			       _Atomic bool *dropped);
/* The same without an answer, where all is dropped anyway. */
void shadow_translations_forget(struct gpu_as *as, struct guest *guest, uint64_t *seen);

#endif
