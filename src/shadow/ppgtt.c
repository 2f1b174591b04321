/* SPDX-License-Identifier: MIT */
/*
 * The per-process GTT: a walk of the guest's four-level tables, PML4[47:39] → PDP[38:30] →
 * PD[29:21] → PT[20:12], 512 eight-byte entries each (i915: gt/gen8_ppgtt.c).
 *
 * The tables are guest memory and change under the walk.  Each entry is loaded once, as one
 * 64-bit access, and what was loaded is what is used; a torn or stale table can only lead to a
 * page of this guest or to a fault.  Large pages: PDE bit 7 (PS) maps 2 MiB, PDE bit 11 (IPS) says
 * that the table holds 64 KiB pages, of which the hardware looks at every 16th entry only.
 * PDP bit 7 would map 1 GiB; Gen9 supports it, and so does the walk.
 */
#include "shadow/page.h"
#include "shadow/shadow.h"

#include <errno.h>
#include <string.h>

#include "base/trace.h"

#define ENTRY_PRESENT BIT_ULL(0)
#define ENTRY_RW      BIT_ULL(1)
#define PDE_PS_2M     BIT_ULL(7)
#define PDE_IPS_64K   BIT_ULL(11)
#define LEVELS	      4u

/* One entry, loaded once; through a mapping where there is one. */
static int load_entry(struct guest *guest, gpa_t at, uint64_t *entry)
{
	size_t len;
	const uint64_t *host = guest_map(guest, at, GUEST_READ, &len);

	if (host && len >= sizeof(*entry)) {
		*entry = __atomic_load_n(host, __ATOMIC_RELAXED);
		return 0;
	}
	return guest_read(guest, at, entry, sizeof(*entry));
}

/* Index of @gma in the table of @level (4: PML4 … 1: PT). */
static uint64_t table_index(gma_t gma, unsigned int level)
{
	return (gma.v >> (PAGE_SHIFT + 9 * (level - 1))) & 511;
}

/* The page inside a large one: @entry maps @bytes, naturally aligned. */
static gpa_t page_in(uint64_t entry, gma_t gma, uint64_t bytes)
{
	uint64_t base = entry & SHADOW_ADDRESS_MASK & ~(bytes - 1);

	return gpa(base | (gma.v & (bytes - 1) & ~(PAGE_BYTES - 1)));
}

/* Bytes that an entry of @level maps by itself, 0 when it points to another table. */
static uint64_t leaf_bytes(uint64_t entry, unsigned int level, bool ips)
{
	if (level == 1)
		return ips ? 16 * PAGE_BYTES : PAGE_BYTES;
	if (level <= 3 && (entry & PDE_PS_2M))
		return PAGE_BYTES << (9 * (level - 1));
	return 0;
}

int shadow_ppgtt_walk(struct shadow_ppgtt *ppgtt, gma_t gma, struct shadow_walk *walk)
{
	unsigned int level = LEVELS;
	uint64_t table = ppgtt->pml4.v & SHADOW_ADDRESS_MASK;
	bool ips = false;

	*walk = (struct shadow_walk){ .writable = true };
	if (ppgtt->legacy) {
		level = 2;
		table = ppgtt->pdp[(gma.v >> 30) & 3].v & SHADOW_ADDRESS_MASK;
	}
	for (; level; level--) {
		uint64_t index = table_index(gma, level);

		if (level == 1 && ips)
			index &= ~(uint64_t)15;
		walk->level = level;
		walk->table = gpa(table);
		walk->table_writable = walk->writable;
		if (load_entry(ppgtt->guest, gpa(table + index * 8), &walk->entry) ||
		    !(walk->entry & ENTRY_PRESENT))
			return -EFAULT;
		walk->writable &= (walk->entry & ENTRY_RW) != 0;
		walk->page_bytes = leaf_bytes(walk->entry, level, ips);
		if (walk->page_bytes) {
			walk->gpa = page_in(walk->entry, gma, walk->page_bytes);
			return 0;
		}
		ips = level == 2 && (walk->entry & PDE_IPS_64K);
		table = walk->entry & SHADOW_ADDRESS_MASK;
	}
	return -EFAULT;
}

/* ---- The last page table ----------------------------------------------------------------------
 */

#define TABLE_SHIFT 21 /* an entry of a page directory stands for 2 MiB */

/*
 * Most misses of the TLB are the next page of a surface: the same page table again.  Like
 * hardware's caches of upper levels it is forgotten with the translations.  The entry itself is
 * loaded anew.
 */
static bool walk_again(const struct shadow_ppgtt *ppgtt, gma_t gma, struct shadow_walk *walk)
{
	const struct shadow_table *last = &ppgtt->table;

	if (last->drops != ppgtt->as.drops || last->number != gma.v >> TABLE_SHIFT)
		return false;
	walk->entry = __atomic_load_n(&last->entries[table_index(gma, 1)], __ATOMIC_RELAXED);
	if (!(walk->entry & ENTRY_PRESENT))
		return false;
	walk->writable = last->writable && (walk->entry & ENTRY_RW);
	walk->gpa = page_in(walk->entry, gma, PAGE_BYTES);
	return true;
}

static void remember_table(struct shadow_ppgtt *ppgtt, gma_t gma, const struct shadow_walk *walk)
{
	const uint64_t *entries;
	size_t len;

	if (walk->page_bytes != PAGE_BYTES)
		return;
	entries = guest_map(ppgtt->guest, walk->table, GUEST_READ, &len);
	if (!entries || len < PAGE_BYTES)
		return;
	ppgtt->table = (struct shadow_table){
		.drops = ppgtt->as.drops,
		.number = gma.v >> TABLE_SHIFT,
		.entries = entries,
		.writable = walk->table_writable,
	};
}

static int find_page(struct shadow_ppgtt *ppgtt, gma_t gma, struct shadow_walk *walk)
{
	int err;

	if (likely(walk_again(ppgtt, gma, walk)))
		return 0;
	err = shadow_ppgtt_walk(ppgtt, gma, walk);
	if (!err)
		remember_table(ppgtt, gma, walk);
	return err;
}

/* ---- As an address space -----------------------------------------------------------------------
 */

static int ppgtt_translate(struct gpu_as *as, gma_t gma, unsigned int access, struct gpu_page *page)
{
	struct shadow_ppgtt *ppgtt = container_of(as, struct shadow_ppgtt, as);
	struct shadow_walk walk;
	int err = find_page(ppgtt, gma, &walk);

	if (!err)
		err = shadow_page_map(ppgtt->guest, walk.gpa, walk.writable, access, page);
	TRACE(shadow_walk, ppgtt->pml4.v, gma.v, walk.gpa.v, err != 0);
	return err;
}

static int ppgtt_read(struct gpu_as *as, gma_t gma, void *buf, size_t len)
{
	struct shadow_ppgtt *ppgtt = container_of(as, struct shadow_ppgtt, as);
	struct shadow_walk walk;
	int err = shadow_ppgtt_walk(ppgtt, gma, &walk);

	return err ? err : guest_read(ppgtt->guest, gpa(walk.gpa.v + PAGE_OFFSET(gma.v)), buf, len);
}

static int ppgtt_write(struct gpu_as *as, gma_t gma, const void *buf, size_t len)
{
	struct shadow_ppgtt *ppgtt = container_of(as, struct shadow_ppgtt, as);
	struct shadow_walk walk;
	int err = shadow_ppgtt_walk(ppgtt, gma, &walk);

	if (err || !walk.writable)
		return err;
	return guest_write(ppgtt->guest, gpa(walk.gpa.v + PAGE_OFFSET(gma.v)), buf, len);
}

static bool ppgtt_stale(struct gpu_as *as)
{
	struct shadow_ppgtt *ppgtt = container_of(as, struct shadow_ppgtt, as);

	return shadow_translations_stale(ppgtt->guest, &ppgtt->generation, &ppgtt->dropped);
}

static const struct gpu_as_ops ppgtt_ops = {
	.translate = ppgtt_translate,
	.read = ppgtt_read,
	.write = ppgtt_write,
	.stale = ppgtt_stale,
};

void shadow_ppgtt_init(struct shadow_ppgtt *ppgtt, struct guest *guest)
{
	gpu_as_init(&ppgtt->as, &ppgtt_ops, 48);
	ppgtt->guest = guest;
	ppgtt->pml4 = gpa(0);
	ppgtt->legacy = false;
	atomic_init(&ppgtt->dropped, false);
	ppgtt->generation = guest_generation(guest);
	ppgtt->table = (struct shadow_table){ 0 };
}

void shadow_ppgtt_load(struct shadow_ppgtt *ppgtt, gpa_t pml4)
{
	ppgtt->pml4 = pml4;
	ppgtt->legacy = false;
	ppgtt->as.address_bits = 48;
	ppgtt->generation = guest_generation(ppgtt->guest);
	gpu_as_invalidate(&ppgtt->as);
}

void shadow_ppgtt_load_legacy(struct shadow_ppgtt *ppgtt, const gpa_t pdp[4])
{
	memcpy(ppgtt->pdp, pdp, sizeof(ppgtt->pdp));
	ppgtt->legacy = true;
	ppgtt->as.address_bits = 32;
	ppgtt->generation = guest_generation(ppgtt->guest);
	gpu_as_invalidate(&ppgtt->as);
}
