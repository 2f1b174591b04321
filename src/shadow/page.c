/* SPDX-License-Identifier: MIT */
/*
 * The last step of every walk: a guest-physical page, found inside the guest's memory or refused.
 * Pure but for the guest_ops it calls; inside guest_enter().
 */
#include "shadow/page.h"

#include <emmintrin.h>
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
__attribute__((no_sanitize("thread"))) static bool is_same(const uint64_t *now,
							   const uint64_t *then)
{
	const __m128i *a = (const __m128i *)now, *b = (const __m128i *)then;
	__m128i odd = _mm_setzero_si128(), even = _mm_setzero_si128();

	for (unsigned int i = 0; i < GPU_TLB_BLOCK_PAGES / 2; i += 2) {
		__m128i x = _mm_xor_si128(_mm_loadu_si128(a + i), _mm_loadu_si128(b + i));
		__m128i y = _mm_xor_si128(_mm_loadu_si128(a + i + 1), _mm_loadu_si128(b + i + 1));

		even = _mm_or_si128(even, x);
		odd = _mm_or_si128(odd, y);
	}
	even = _mm_cmpeq_epi8(_mm_or_si128(even, odd), _mm_setzero_si128());
	return _mm_movemask_epi8(even) == 0xffff;
}

void shadow_block_sync(struct gpu_tlb_block *block, const uint64_t *now, uint64_t origin,
		       bool again)
{
	again &= block->origin == origin;
	if (likely(again && is_same(now, block->source)))
		return;
	block->origin = origin;
	for (unsigned int i = 0; i < GPU_TLB_BLOCK_PAGES; i++) {
		uint64_t entry = __atomic_load_n(&now[i], __ATOMIC_RELAXED);

		if (!again || entry != block->source[i])
			block->page[i] = 0;
		block->source[i] = entry;
	}
}

void shadow_block_clear(struct gpu_tlb_block *block, bool again)
{
	block->origin = 0;
	if (again)
		memset(block->page, 0, sizeof(block->page));
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
