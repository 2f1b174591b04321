/* SPDX-License-Identifier: MIT */
/*
 * Address spaces: the TLB in front of the owner's translate method, and copies
 * across pages.  A page without a host mapping is reached through the owner's
 * read and write methods.  Called on the lane that runs a workload, or by
 * whoever owns the address space while no lane runs it.
 *
 * Dropping the TLB is frequent (each request of i915 asks for it) and must cost
 * nothing: every tag carries the epoch it was made in, so one increment leaves
 * all blocks behind.  A block that is met again is shown to the owner, who
 * compares what its translations were made of with what is there now: most
 * drops change nothing, and comparing is much cheaper than translating.
 */
#include <errno.h>
#include <string.h>

#include "gpu/mem/mem.h"

#define EPOCHS	    (1u << 28)
#define NUMBER_MASK (BIT_ULL(AS_NUMBER_BITS) - 1)

void gpu_as_init(struct gpu_as *as, const struct gpu_as_ops *ops, unsigned int address_bits)
{
	as->ops = ops;
	as->address_bits = address_bits;
	as->epoch = 1;
	as->spread = 0;
	as->drops = 1;
	as->hits = as->misses = 0;
	memset(as->tag, 0, sizeof(as->tag));
}

void gpu_as_invalidate(struct gpu_as *as)
{
	as->drops++;
	if (unlikely(++as->epoch == EPOCHS)) {
		memset(as->tag, 0, sizeof(as->tag));
		as->epoch = 1;
	}
}

void gpu_as_forget(struct gpu_as *as)
{
	memset(as->tag, 0, sizeof(as->tag));
	gpu_as_invalidate(as);
}

#define BLOCK_BYTES (BIT_ULL(GPU_TLB_BLOCK_SHIFT))
#define GROUP_BYTES (4 * BLOCK_BYTES) /* a page table's */

/* The block at @slot for the pages around @gma_, old or new. */
static void enter_block(struct gpu_as *as, unsigned int slot, uint64_t gma_, bool again)
{
	struct gpu_tlb_block *block = &as->block[slot];

	if (!again)
		memset(block->page, 0, sizeof(block->page));
	if (as->ops->block)
		as->ops->block(as, gma(gma_ & ~(BLOCK_BYTES - 1)), block, again);
	as->tag[slot] = as_tag(as, gma_);
}

/*
 * The first access to a block since a drop.  Its neighbours in the page table
 * that were last met in the same round will be met in this one: they are
 * entered with it.
 */
static void enter(struct gpu_as *as, unsigned int slot, uint64_t gma_)
{
	uint64_t tag = as_tag(as, gma_), old = as->tag[slot], group = gma_ & ~(GROUP_BYTES - 1);

	if (!as->ops->block || !old || (old ^ tag) & NUMBER_MASK) {
		enter_block(as, slot, gma_, false);
		return;
	}
	for (uint64_t at = group; at < group + GROUP_BYTES; at += BLOCK_BYTES) {
		unsigned int other = as_slot(as, at);
		uint64_t met = (old & ~NUMBER_MASK) | at >> GPU_TLB_BLOCK_SHIFT;

		if (as->tag[other] == met)
			enter_block(as, other, at, true);
	}
}

uint64_t as_translate(struct gpu_as *as, uint64_t gma_, unsigned int access)
{
	unsigned int slot = as_slot(as, gma_), number = as_page(gma_);
	struct gpu_tlb_block *block = &as->block[slot];
	struct gpu_page page = { 0 };

	if (as->tag[slot] != as_tag(as, gma_)) {
		enter(as, slot, gma_);
		if ((block->page[number] & access) == access) {
			as->hits++;
			return block->page[number];
		}
	}
	as->misses++;
	if (as->ops->translate(as, gma(gma_ & ~(PAGE_BYTES - 1)), access, &page) < 0)
		return 0;
	if ((access & GPU_WRITE) && !page.writable)
		return 0;
	/* No host page begins in the middle of a dword; if one did, the methods would
	 * serve it. */
	if ((uintptr_t)page.host & AS_PAGE_FLAGS)
		page.host = NULL;
	block->source[number] = page.source;
	block->page[number] = (uintptr_t)page.host | GPU_READ | (page.writable ? GPU_WRITE : 0);
	return block->page[number];
}

static int read_page(struct gpu_as *as, uint64_t at, void *buf, size_t len)
{
	uint64_t page = as_lookup(as, at, GPU_READ);

	if (!page)
		return -EFAULT;
	if (page <= AS_PAGE_FLAGS)
		return as->ops->read(as, gma(at), buf, len);
	memcpy(buf, (const uint8_t *)(page & ~(uint64_t)AS_PAGE_FLAGS) + PAGE_OFFSET(at), len);
	return 0;
}

static int write_page(struct gpu_as *as, uint64_t at, const void *buf, size_t len)
{
	uint64_t page = as_lookup(as, at, GPU_WRITE);

	if (!page)
		return -EFAULT;
	if (page <= AS_PAGE_FLAGS)
		return as->ops->write(as, gma(at), buf, len);
	memcpy((uint8_t *)(page & ~(uint64_t)AS_PAGE_FLAGS) + PAGE_OFFSET(at), buf, len);
	return 0;
}

static size_t to_page_end(uint64_t at, size_t len)
{
	return MIN(len, (size_t)(PAGE_BYTES - PAGE_OFFSET(at)));
}

int gpu_as_read(struct gpu_as *as, gma_t from, void *buf, size_t len, gma_t *fault_at)
{
	uint8_t *to = buf;

	as_refresh(as);
	while (len) {
		uint64_t at = as_cut(as, from);
		size_t part = to_page_end(at, len);

		if (read_page(as, at, to, part) < 0) {
			if (fault_at)
				*fault_at = gma(at);
			return -EFAULT;
		}
		from.v += part;
		to += part;
		len -= part;
	}
	return 0;
}

int gpu_as_write(struct gpu_as *as, gma_t to, const void *buf, size_t len, gma_t *fault_at)
{
	const uint8_t *from = buf;

	as_refresh(as);
	while (len) {
		uint64_t at = as_cut(as, to);
		size_t part = to_page_end(at, len);

		if (write_page(as, at, from, part) < 0) {
			if (fault_at)
				*fault_at = gma(at);
			return -EFAULT;
		}
		to.v += part;
		from += part;
		len -= part;
	}
	return 0;
}

void *gpu_as_map(struct gpu_as *as, gma_t gma_, unsigned int access)
{
	as_refresh(as);
	return as_host(as, as_cut(as, gma_), access);
}
