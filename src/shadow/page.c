/* SPDX-License-Identifier: MIT */
/*
 * The last step of every walk: a guest-physical page, found inside the guest's memory or refused.
 * Pure but for the guest_ops it calls; inside guest_enter().
 */
#include "shadow/page.h"

#include <errno.h>
#include <string.h>

int shadow_page_map(struct guest *guest, gpa_t at, bool writable, unsigned int access,
		    struct gpu_page *page)
{
	size_t len = 0;

	*page = (struct gpu_page){ 0 };
	if ((access & GPU_WRITE) && !writable) {
		/* Reads and writes go through the methods, which keep the ones and drop the others.
		 */
		page->writable = true;
		return 0;
	}
	if (writable) {
		page->host = guest_map(guest, at, GUEST_READ | GUEST_WRITE, &len);
		page->writable = page->host && len >= PAGE_BYTES;
	}
	if (!page->writable)
		page->host = guest_map(guest, at, GUEST_READ, &len);
	if (page->host && len < PAGE_BYTES)
		page->host = NULL; /* the memory ends inside the page: byte by byte */
	if (page->host)
		return (access & GPU_WRITE) && !page->writable ? -EFAULT : 0;

	/* No mapping: is there memory at all?  One byte tells, and costs a message only here. */
	uint8_t probe;
	page->writable = writable;
	return guest_read(guest, at, &probe, 1);
}

/* ---- Blocks ---------------------------------------------------------------------------------- */

/*
 * Like memcmp(), which may not be given memory that a guest changes meanwhile: some of the C
 * library's read a difference a second time and do not expect it to be gone.  Whatever is read
 * here is right: an entry that changes now may be seen after the next drop.
 */
typedef uint64_t entries_t __attribute__((vector_size(32), aligned(8), may_alias));

static inline __attribute__((always_inline, no_sanitize("thread"))) bool
compare(const uint64_t *now, const uint64_t *then, unsigned int count)
{
	const entries_t *a = (const entries_t *)now, *b = (const entries_t *)then;
	entries_t p = { 0 }, q = { 0 }, r = { 0 }, t = { 0 };

	for (const entries_t *end = a + count / 4; a < end; a += 4, b += 4) {
		p |= a[0] ^ b[0];
		q |= a[1] ^ b[1];
		r |= a[2] ^ b[2];
		t |= a[3] ^ b[3];
	}
	p |= q | r | t;
	return !(p[0] | p[1] | p[2] | p[3]);
}

__attribute__((target("avx2"), no_sanitize("thread"))) static bool
compare_avx2(const uint64_t *now, const uint64_t *then, unsigned int count)
{
	return compare(now, then, count);
}

static bool is_same(const uint64_t *now, const uint64_t *then, unsigned int count)
{
	return __builtin_cpu_supports("avx2") ? compare_avx2(now, then, count)
					      : compare(now, then, count);
}

static void sync_block(struct gpu_tlb_table *table, unsigned int block, const uint64_t *now,
		       bool again)
{
	uint64_t *page = &table->page[block * GPU_TLB_BLOCK_PAGES];
	uint64_t *source = &table->source[block * GPU_TLB_BLOCK_PAGES];

	for (unsigned int i = 0; i < GPU_TLB_BLOCK_PAGES; i++) {
		uint64_t entry = __atomic_load_n(&now[i], __ATOMIC_RELAXED);

		if (!again || entry != source[i])
			page[i] = 0;
		source[i] = entry;
	}
}

bool shadow_blocks_sync(const struct gpu_tlb_blocks *blocks, const uint64_t *now, uint64_t origin,
			bool again)
{
	struct gpu_tlb_table *table = blocks->table;
	unsigned int end = blocks->first + blocks->count;
	bool same = again;

	for (unsigned int i = blocks->first; i < end; i++)
		same &= table->origin[i] == origin;
	if (likely(same && is_same(now, &table->source[blocks->first * GPU_TLB_BLOCK_PAGES],
				   blocks->count * GPU_TLB_BLOCK_PAGES)))
		return true;
	for (unsigned int i = blocks->first; i < end; i++, now += GPU_TLB_BLOCK_PAGES) {
		sync_block(table, i, now, again && table->origin[i] == origin);
		table->origin[i] = origin;
	}
	return false;
}

void shadow_blocks_clear(const struct gpu_tlb_blocks *blocks)
{
	memset(&blocks->table->page[blocks->first * GPU_TLB_BLOCK_PAGES], 0,
	       blocks->count * GPU_TLB_BLOCK_PAGES * sizeof(uint64_t));
	memset(&blocks->table->origin[blocks->first], 0, blocks->count * sizeof(uint64_t));
}

/* ---- Drops ----------------------------------------------------------------------------------- */

bool shadow_translations_stale(struct gpu_as *as, struct guest *guest, uint64_t *seen,
			       _Atomic bool *dropped)
{
	if (unlikely(guest_generation(guest) != *seen)) {
		shadow_translations_forget(as, guest, seen);
		atomic_store_explicit(dropped, false, memory_order_relaxed);
		return true;
	}
	return unlikely(atomic_load_explicit(dropped, memory_order_relaxed)) &&
	       atomic_exchange_explicit(dropped, false, memory_order_acquire);
}

void shadow_translations_forget(struct gpu_as *as, struct guest *guest, uint64_t *seen)
{
	uint64_t now = guest_generation(guest);

	if (now != *seen)
		gpu_as_forget(as);
	*seen = now;
}
