/* SPDX-License-Identifier: MIT */
/*
 * The global GTT as an address space: one entry of the vGPU's own array for each 4 KiB page.
 * Entries are written by the guest through BAR0 at any time, so each translation loads its entry
 * once and believes only that copy.  Called on the lane that runs the workload, or by whoever
 * holds an address space of its own (scanout, aperture), inside guest_enter().  What lies outside
 * the guest's share is not there, whatever its entry says.
 */
#include "shadow/page.h"
#include "shadow/shadow.h"

#include <errno.h>

#include "base/trace.h"

#define GGTT_PTE_PRESENT BIT_ULL(0)
#define GGTT_ORIGIN	 1u /* of all blocks */

static bool in_range(const struct gpu_range *range, gma_t gma)
{
	return gma.v >= range->first && gma.v < range->end;
}

static int ggtt_lookup(struct shadow_ggtt *ggtt, gma_t gma, gpa_t *page, uint64_t *source)
{
	uint64_t index = gma.v >> PAGE_SHIFT;

	if (index >= ggtt->count)
		return -EFAULT;
	if (!in_range(&ggtt->share[0], gma) && !in_range(&ggtt->share[1], gma))
		return -EFAULT;
	uint64_t pte = atomic_load_explicit(&ggtt->entries[index], memory_order_relaxed);
	if (!(pte & GGTT_PTE_PRESENT))
		return -EFAULT;
	*page = gpa(pte & SHADOW_ADDRESS_MASK);
	*source = pte;
	return 0;
}

static int ggtt_translate(struct gpu_as *as, gma_t gma, unsigned int access, struct gpu_page *page)
{
	struct shadow_ggtt *ggtt = container_of(as, struct shadow_ggtt, as);
	uint64_t source;
	gpa_t at;
	int err = ggtt_lookup(ggtt, gma, &at, &source);

	if (err) {
		TRACE(shadow_walk, 0, gma.v, 0, 1);
		return err;
	}
	err = shadow_page_map(ggtt->guest, at, true, access, page);
	page->source = source;
	page->origin = GGTT_ORIGIN;
	return err;
}

static int ggtt_read(struct gpu_as *as, gma_t gma, void *buf, size_t len)
{
	struct shadow_ggtt *ggtt = container_of(as, struct shadow_ggtt, as);
	uint64_t source;
	gpa_t at;
	int err = ggtt_lookup(ggtt, gma, &at, &source);

	return err ? err : guest_read(ggtt->guest, gpa(at.v + PAGE_OFFSET(gma.v)), buf, len);
}

static int ggtt_write(struct gpu_as *as, gma_t gma, const void *buf, size_t len)
{
	struct shadow_ggtt *ggtt = container_of(as, struct shadow_ggtt, as);
	uint64_t source;
	gpa_t at;
	int err = ggtt_lookup(ggtt, gma, &at, &source);

	return err ? err : guest_write(ggtt->guest, gpa(at.v + PAGE_OFFSET(gma.v)), buf, len);
}

static bool ggtt_stale(struct gpu_as *as)
{
	struct shadow_ggtt *ggtt = container_of(as, struct shadow_ggtt, as);

	return shadow_translations_stale(as, ggtt->guest, &ggtt->generation, &ggtt->dropped);
}

static void ggtt_enter(struct gpu_as *as, gma_t first, const struct gpu_tlb_blocks *blocks,
		       bool again)
{
	struct shadow_ggtt *ggtt = container_of(as, struct shadow_ggtt, as);
	uint64_t index = first.v >> PAGE_SHIFT;

	if (index + blocks->count * GPU_TLB_BLOCK_PAGES <= ggtt->count)
		shadow_blocks_sync(blocks, (const uint64_t *)&ggtt->entries[index], GGTT_ORIGIN,
				   again);
	else
		shadow_blocks_clear(blocks);
}

static const struct gpu_as_ops ggtt_ops = {
	.translate = ggtt_translate,
	.read = ggtt_read,
	.write = ggtt_write,
	.stale = ggtt_stale,
	.enter = ggtt_enter,
};

void shadow_ggtt_init(struct shadow_ggtt *ggtt, struct guest *guest,
		      const _Atomic uint64_t *entries, uint32_t count)
{
	gpu_as_init(&ggtt->as, &ggtt_ops, 32);
	ggtt->share[0] = (struct gpu_range){ 0, count * PAGE_BYTES };
	ggtt->share[1] = (struct gpu_range){ 0, 0 };
	ggtt->guest = guest;
	ggtt->entries = entries;
	ggtt->count = count;
	ggtt->generation = guest_generation(guest);
	atomic_init(&ggtt->dropped, false);
}

void shadow_ggtt_limit(struct shadow_ggtt *ggtt, const struct gpu_range *share)
{
	for (unsigned int i = 0; i < 2; i++)
		ggtt->share[i] = share[i];
	gpu_as_forget(&ggtt->as);
}
