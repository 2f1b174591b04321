/* SPDX-License-Identifier: MIT */
/*
 * Address spaces: the direct-mapped TLB in front of the owner's translate method, and copies
 * across pages.  A page without a host mapping is reached through the owner's read and write
 * methods.  Called on the lane that runs a workload, or by whoever owns the address space while
 * no lane runs it.
 *
 * Dropping the TLB is frequent (each request of i915 asks for it) and must cost nothing: every tag
 * carries the epoch it was made in, so one increment leaves all entries behind.
 */
#include <errno.h>
#include <string.h>

#include "gpu/mem/mem.h"

#define EPOCHS (1u << 28)

void gpu_as_init(struct gpu_as *as, const struct gpu_as_ops *ops, unsigned int address_bits)
{
	memset(as, 0, sizeof(*as));
	as->ops = ops;
	as->address_bits = address_bits;
	as->epoch = 1;
	as->drops = 1;
}

void gpu_as_invalidate(struct gpu_as *as)
{
	as->drops++;
	if (unlikely(++as->epoch == EPOCHS)) {
		memset(as->tlb, 0, sizeof(as->tlb));
		as->epoch = 1;
	}
}

const struct gpu_page *as_translate(struct gpu_as *as, uint64_t gma_, unsigned int access)
{
	struct gpu_tlb_entry *entry = as_slot(as, gma_);
	struct gpu_page page = { 0 };

	as->misses++;
	if (as->ops->translate(as, gma(gma_ & ~(PAGE_BYTES - 1)), access, &page) < 0)
		return NULL;
	if ((access & GPU_WRITE) && !page.writable)
		return NULL;
	entry->page = page;
	entry->tag = as_tag(as, gma_);
	return &entry->page;
}

/* The page at @gma_ for @access, from the TLB when it is there. */
static const struct gpu_page *lookup(struct gpu_as *as, uint64_t gma_, unsigned int access)
{
	const struct gpu_tlb_entry *entry = as_slot(as, gma_);

	if (entry->tag == as_tag(as, gma_) && (!(access & GPU_WRITE) || entry->page.writable)) {
		as->hits++;
		return &entry->page;
	}
	return as_translate(as, gma_, access);
}

static int read_page(struct gpu_as *as, uint64_t at, void *buf, size_t len)
{
	const struct gpu_page *page = lookup(as, at, GPU_READ);

	if (!page)
		return -EFAULT;
	if (!page->host)
		return as->ops->read(as, gma(at), buf, len);
	memcpy(buf, (const uint8_t *)page->host + PAGE_OFFSET(at), len);
	return 0;
}

static int write_page(struct gpu_as *as, uint64_t at, const void *buf, size_t len)
{
	const struct gpu_page *page = lookup(as, at, GPU_WRITE);

	if (!page)
		return -EFAULT;
	if (!page->host)
		return as->ops->write(as, gma(at), buf, len);
	memcpy((uint8_t *)page->host + PAGE_OFFSET(at), buf, len);
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
