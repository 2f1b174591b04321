/* SPDX-License-Identifier: MIT */
/*
 * The last step of every walk: a guest-physical page, found inside the guest's memory or refused.
 * Pure but for the guest_ops it calls; inside guest_enter().
 */
#include "shadow/page.h"

#include <errno.h>

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

bool shadow_translations_stale(struct guest *guest, uint64_t *seen, _Atomic bool *dropped)
{
	uint64_t now = guest_generation(guest);
	bool stale = now != *seen;

	*seen = now;
	if (unlikely(atomic_load_explicit(dropped, memory_order_relaxed)))
		stale |= atomic_exchange_explicit(dropped, false, memory_order_acquire);
	return stale;
}
