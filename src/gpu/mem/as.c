/* SPDX-License-Identifier: MIT */
/*
 * Address spaces: the TLB in front of the owner's translate method, and copies across pages.  A
 * page without a host mapping is reached through the owner's read and write methods.  Called on
 * the lane that runs a workload, or by whoever owns the address space while no lane runs it.
 *
 * Dropping the TLB is frequent (each request of i915 asks for it) and must cost nothing: every tag
 * carries the epoch it was made in, so one increment leaves all blocks behind.  A block that is
 * met again is shown to the owner, who compares what its translations were made of with what is
 * there now: most drops change nothing, and comparing is much cheaper than translating.
 */
#include <errno.h>
#include <string.h>

#include "base/copy.h"
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

/* The block at @slot, which had nothing to do with the pages around @gma_. */
static void enter_new(struct gpu_as *as, unsigned int slot, uint64_t gma_)
{
	const struct gpu_tlb_blocks blocks = {
		.table = &as->table[slot / GPU_TLB_BLOCKS],
		.first = slot % GPU_TLB_BLOCKS,
		.count = 1,
	};

	memset(&blocks.table->page[blocks.first * GPU_TLB_BLOCK_PAGES], 0,
	       GPU_TLB_BLOCK_PAGES * sizeof(uint64_t));
	if (as->ops->enter)
		as->ops->enter(as, gma(gma_ & ~(BIT_ULL(AS_BLOCK_SHIFT) - 1)), &blocks, false);
	as->tag[slot] = as_tag(as, gma_);
}

/*
 * A block that was there before the last drop, and with it its neighbours in the page table that
 * were met in the same round: they will be met in this one.
 */
static void enter_again(struct gpu_as *as, unsigned int slot, uint64_t gma_)
{
	uint64_t *tags = &as->tag[slot & ~(GPU_TLB_BLOCKS - 1)];
	uint64_t first = gma_ & ~(BIT_ULL(AS_TABLE_SHIFT) - 1);
	uint64_t met = tags[slot % GPU_TLB_BLOCKS] - slot % GPU_TLB_BLOCKS;
	uint64_t tag = as_tag(as, first);
	struct gpu_tlb_blocks blocks = { .table = &as->table[slot / GPU_TLB_BLOCKS] };

	for (unsigned int i = 0; i < GPU_TLB_BLOCKS; i += blocks.count ? blocks.count : 1) {
		blocks.first = i;
		blocks.count = 0;
		while (i + blocks.count < GPU_TLB_BLOCKS &&
		       tags[i + blocks.count] == met + i + blocks.count) {
			tags[i + blocks.count] = tag + i + blocks.count;
			blocks.count++;
		}
		if (blocks.count)
			as->ops->enter(as, gma(first + ((uint64_t)i << AS_BLOCK_SHIFT)), &blocks,
				       true);
	}
}

uint64_t as_translate(struct gpu_as *as, uint64_t gma_, unsigned int access)
{
	unsigned int slot = as_slot(as, gma_), number = as_page(gma_);
	struct gpu_tlb_table *table = &as->table[slot / GPU_TLB_BLOCKS];
	uint64_t tag = as_tag(as, gma_), old = as->tag[slot];
	struct gpu_page page = { 0 };

	if (old != tag) {
		if (old && !((old ^ tag) & NUMBER_MASK) && as->ops->enter)
			enter_again(as, slot, gma_);
		else
			enter_new(as, slot, gma_);
		if ((table->page[number] & access) == access) {
			as->hits++;
			return table->page[number];
		}
	}
	as->misses++;
	if (as->ops->translate(as, gma(gma_ & ~(PAGE_BYTES - 1)), access, &page) < 0)
		return 0;
	if ((access & GPU_WRITE) && !page.writable)
		return 0;
	/* No host page begins inside a dword; if one did, the methods would serve it. */
	if ((uintptr_t)page.host & AS_PAGE_FLAGS)
		page.host = NULL;
	/* Made of something that the block's other pages are not: it is not to outlive a drop. */
	if (table->origin[slot % GPU_TLB_BLOCKS] != page.origin)
		table->origin[slot % GPU_TLB_BLOCKS] = 0;
	table->source[number] = page.source;
	table->page[number] = (uintptr_t)page.host | GPU_READ | (page.writable ? GPU_WRITE : 0);
	return table->page[number];
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

/* What the TLB has of the page behind the one at @at, or NULL. */
static const void *next_page(const struct gpu_as *as, uint64_t at)
{
	uint64_t next = as_cut(as, gma((at | (PAGE_BYTES - 1)) + 1));
	unsigned int slot = as_slot(as, next);
	uint64_t page = as->table[slot / GPU_TLB_BLOCKS].page[as_page(next)];

	if (as->tag[slot] != as_tag(as, next))
		return NULL;
	return (const void *)(page & ~(uint64_t)AS_PAGE_FLAGS);
}

int as_read_and_ask(struct gpu_as *as, gma_t from, void *buf, size_t len, gma_t *fault_at)
{
	uint64_t at, page;
	const void *next;

	as_refresh(as);
	at = as_cut(as, from);
	page = as_lookup(as, at, GPU_READ) & ~(uint64_t)AS_PAGE_FLAGS;
	next = next_page(as, at);
	if (!page || !next)
		return gpu_as_read(as, from, buf, len, fault_at);
	copy_and_ask(buf, (const uint8_t *)page + PAGE_OFFSET(at), len, next);
	return 0;
}

void *gpu_as_map(struct gpu_as *as, gma_t gma_, unsigned int access)
{
	as_refresh(as);
	return as_host(as, as_cut(as, gma_), access);
}
