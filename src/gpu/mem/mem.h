/* SPDX-License-Identifier: MIT */
/*
 * The GPU's own view of an address space: the TLB's fast path, and accesses of one dword or qword
 * as the command streamer makes them.  On the lane that runs the workload.
 */
#ifndef GPU_MEM_MEM_H
#define GPU_MEM_MEM_H

#include "gpu/gpu.h"

#define AS_NUMBER_BITS 36u /* of a block's number in its tag */
#define AS_BLOCK_SHIFT (PAGE_SHIFT + 7)
#define AS_TABLE_SHIFT (PAGE_SHIFT + 9)
#define AS_PAGE_FLAGS  3u /* of a page in its block */

/*
 * The page at @gma (already cut to the address bits), translated when it must be: its host address
 * (0: none, use the methods) with enum gpu_access in the low bits; 0: not present or forbidden.
 */
uint64_t as_translate(struct gpu_as *as, uint64_t gma, unsigned int access);

static inline uint64_t as_cut(const struct gpu_as *as, gma_t gma)
{
	return gma.v & ((uint64_t)-1 >> (64 - as->address_bits));
}

static inline uint64_t as_tag(const struct gpu_as *as, uint64_t gma)
{
	return (uint64_t)as->epoch << AS_NUMBER_BITS | gma >> AS_BLOCK_SHIFT;
}

/* The block for @gma, of all there are. */
static inline unsigned int as_slot(const struct gpu_as *as, uint64_t gma)
{
	uint64_t table = gma >> AS_TABLE_SHIFT;

	return (unsigned int)(((table + (table >> 6) + as->spread) % GPU_TLB_TABLES) *
				      GPU_TLB_BLOCKS +
			      (gma >> AS_BLOCK_SHIFT) % GPU_TLB_BLOCKS);
}

static inline unsigned int as_page(uint64_t gma)
{
	return (gma >> PAGE_SHIFT) % GPU_TLB_TABLE_PAGES;
}

/* The page from the TLB when it is there and allows @access. */
static inline uint64_t as_lookup(struct gpu_as *as, uint64_t gma, unsigned int access)
{
	unsigned int slot = as_slot(as, gma);
	uint64_t page = as->table[slot / GPU_TLB_BLOCKS].page[as_page(gma)];

	if (unlikely(as->tag[slot] != as_tag(as, gma) || (page & access) != access))
		return as_translate(as, gma, access);
	as->hits++;
	return page;
}

/* Host address of the byte at @gma (cut), or NULL: fault, or no host mapping. */
static inline uint8_t *as_host(struct gpu_as *as, uint64_t gma, unsigned int access)
{
	uint64_t host = as_lookup(as, gma, access) & ~(uint64_t)AS_PAGE_FLAGS;

	return host ? (uint8_t *)host + PAGE_OFFSET(gma) : NULL;
}

/*
 * Of the page at @gma (cut), just looked up, and those behind it in its block, @most at most: how
 * many lie one after the other in the host's memory and allow the same.
 */
static inline uint32_t as_run(struct gpu_as *as, uint64_t gma, uint32_t most)
{
	unsigned int first = as_page(gma);
	const uint64_t *page = &as->table[as_slot(as, gma) / GPU_TLB_BLOCKS].page[first];
	uint32_t left = GPU_TLB_BLOCK_PAGES - first % GPU_TLB_BLOCK_PAGES, count = 1;

	most = MIN(most, left);
	while (count < most && page[count] == page[count - 1] + PAGE_BYTES)
		count++;
	as->hits += count - 1;
	return count;
}

/* Drops the TLB when the owner says that its translations are stale. */
static inline void as_refresh(struct gpu_as *as)
{
	if (as->ops->stale && unlikely(as->ops->stale(as)))
		gpu_as_invalidate(as);
}

/*
 * gpu_as_read() inside one page, by who will read the page behind it next: that one is asked for
 * from memory meanwhile, if the TLB knows it.
 */
int as_read_and_ask(struct gpu_as *as, gma_t from, void *buf, size_t len, gma_t *fault_at);

/* One naturally aligned access; false: the address faults. */
bool as_read32(struct gpu_as *as, gma_t gma, uint32_t *value);
bool as_read64(struct gpu_as *as, gma_t gma, uint64_t *value);
bool as_write32(struct gpu_as *as, gma_t gma, uint32_t value);
/*
 * One store of eight bytes that a CPU sees whole and after everything stored before it (release);
 * at an address aligned to 4 only, two stores, the upper half last.
 */
bool as_write64(struct gpu_as *as, gma_t gma, uint64_t value);

/* The operations of MI_ATOMIC: low bits of its opcode. */
enum as_atomic {
	AS_ATOMIC_AND = 0x1,
	AS_ATOMIC_OR = 0x2,
	AS_ATOMIC_XOR = 0x3,
	AS_ATOMIC_MOVE = 0x4,
	AS_ATOMIC_INC = 0x5,
	AS_ATOMIC_DEC = 0x6,
	AS_ATOMIC_ADD = 0x7,
	AS_ATOMIC_SUB = 0x8,
	AS_ATOMIC_RSUB = 0x9,
	AS_ATOMIC_IMAX = 0xa,
	AS_ATOMIC_IMIN = 0xb,
	AS_ATOMIC_UMAX = 0xc,
	AS_ATOMIC_UMIN = 0xd,
	AS_ATOMIC_CMPWR = 0xe,
	AS_ATOMIC_PREDEC = 0xf,
};

/*
 * Read-modify-write of four or eight bytes at an address aligned to them, in one piece towards
 * every CPU and engine where the page has a host mapping.  *@returned: what memory held, or for
 * PREDEC what it holds now.  False: the address faults.
 */
bool as_atomic32(struct gpu_as *as, gma_t gma, enum as_atomic op, const uint64_t operand[2],
		 uint64_t *returned);
bool as_atomic64(struct gpu_as *as, gma_t gma, enum as_atomic op, const uint64_t operand[2],
		 uint64_t *returned);

/*
 * Sixteen bytes at an address aligned to them: writes @value where memory holds @compare; in one
 * piece as above on x86-64, elsewhere a store in between is lost.  *@old: what memory held.  False:
 * the address faults.
 */
bool as_compare_write128(struct gpu_as *as, gma_t gma, unsigned __int128 compare,
			 unsigned __int128 value, unsigned __int128 *old);

#endif
