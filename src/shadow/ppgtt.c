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
#include "shadow/tracker.h"

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

/* The page table at @at as it is mapped here, or NULL. */
static const uint64_t *map_table(const struct shadow_ppgtt *ppgtt, gpa_t at)
{
	size_t len;
	const uint64_t *entries = guest_map(ppgtt->guest, at, GUEST_READ, &len);

	return entries && len >= PAGE_BYTES ? entries : NULL;
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

/* By which the guest's driver names the space when it tells that it goes. */
static gpa_t root_of(const struct shadow_ppgtt *ppgtt)
{
	return ppgtt->legacy ? ppgtt->pdp[0] : ppgtt->pml4;
}

static void start_walk(const struct shadow_ppgtt *ppgtt, gma_t gma, struct shadow_walk *walk)
{
	gpa_t root = ppgtt->legacy ? ppgtt->pdp[(gma.v >> 30) & 3] : ppgtt->pml4;

	*walk = (struct shadow_walk){
		.level = ppgtt->legacy ? 2 : LEVELS,
		.table = gpa(root.v & SHADOW_ADDRESS_MASK),
		.table_writable = true,
	};
}

/* The entry of the table that is looked at. */
static int load_index(const struct shadow_ppgtt *ppgtt, uint64_t index, struct shadow_walk *walk)
{
	if (!walk->entries)
		return load_entry(ppgtt->guest, gpa(walk->table.v + index * 8), &walk->entry);
	walk->entry = __atomic_load_n(&walk->entries[index], __ATOMIC_RELAXED);
	return 0;
}

/* Looks at one table: 0 with the page, or with the next table as the one to look at. */
static int walk_level(const struct shadow_ppgtt *ppgtt, gma_t gma, struct shadow_walk *walk)
{
	uint64_t index = table_index(gma, walk->level);

	if (walk->level == 1 && walk->wide)
		index &= ~(uint64_t)15;
	if (load_index(ppgtt, index, walk) || !(walk->entry & ENTRY_PRESENT))
		return -EFAULT;
	walk->writable = walk->table_writable && (walk->entry & ENTRY_RW);
	walk->page_bytes = leaf_bytes(walk->entry, walk->level, walk->wide);
	if (walk->page_bytes) {
		walk->gpa = page_in(walk->entry, gma, walk->page_bytes);
		return 0;
	}
	walk->wide = walk->level == 2 && (walk->entry & PDE_IPS_64K);
	walk->table = gpa(walk->entry & SHADOW_ADDRESS_MASK);
	walk->entries = NULL;
	walk->table_writable = walk->writable;
	walk->level--;
	return 0;
}

int shadow_ppgtt_walk(struct shadow_ppgtt *ppgtt, gma_t gma, struct shadow_walk *walk)
{
	start_walk(ppgtt, gma, walk);
	while (!walk->page_bytes)
		if (walk_level(ppgtt, gma, walk))
			return -EFAULT;
	return 0;
}

/* ---- Page tables -----------------------------------------------------------------------------
 */

#define TABLE_SHIFT	21 /* an entry of a page directory stands for 2 MiB */
#define DIRECTORY_SHIFT 30

/* As start_walk(), but below the upper levels when they were walked since the last drop. */
static void start_below(struct shadow_ppgtt *ppgtt, gma_t gma, struct shadow_walk *walk)
{
	struct shadow_directory *directory = &ppgtt->directory;

	if (directory->drops == ppgtt->as.drops && directory->number == gma.v >> DIRECTORY_SHIFT) {
		*walk = directory->walk;
		return;
	}
	start_walk(ppgtt, gma, walk);
	while (walk->level > 2)
		if (walk_level(ppgtt, gma, walk) || walk->page_bytes)
			return; /* the caller will find out */
	walk->entries = map_table(ppgtt, walk->table);
	directory->drops = ppgtt->as.drops;
	directory->number = gma.v >> DIRECTORY_SHIFT;
	directory->walk = *walk;
}

/*
 * The table of 4 KiB pages for @gma; NULL: there is none, or pages are larger.  The last one is
 * remembered: like hardware's caches of upper levels it is forgotten with the translations.
 */
static const struct shadow_table *find_table(struct shadow_ppgtt *ppgtt, gma_t gma)
{
	struct shadow_table *table = &ppgtt->table;
	struct shadow_walk walk;

	if (likely(table->drops == ppgtt->as.drops && table->number == gma.v >> TABLE_SHIFT))
		return table;
	start_below(ppgtt, gma, &walk);
	while (walk.level > 1)
		if (walk_level(ppgtt, gma, &walk) || walk.page_bytes)
			return NULL;
	if (walk.wide)
		return NULL;
	*table = (struct shadow_table){
		.drops = ppgtt->as.drops,
		.number = gma.v >> TABLE_SHIFT,
		.at = walk.table,
		.entries = map_table(ppgtt, walk.table),
		.writable = walk.table_writable,
	};
	return table;
}

/* What the translations of a table's pages are made of beside their entries. */
static uint64_t origin_of(const struct shadow_table *table)
{
	return 1 + table->writable;
}

/* True when the walk, which began at the root, has come by the table as it was remembered. */
static bool is_of_table(const struct shadow_walk *walk, const struct shadow_table *table)
{
	return walk->level == 1 && !walk->wide && walk->table.v == table->at.v &&
	       walk->table_writable == table->writable;
}

/*
 * The walk from the table on, with the entry loaded anew.  *@origin: the table's, or 0 when the
 * page is of another.
 */
static int find_page(struct shadow_ppgtt *ppgtt, gma_t gma, struct shadow_walk *walk,
		     uint64_t *origin)
{
	const struct shadow_table *table = find_table(ppgtt, gma);

	if (table && table->entries) {
		*origin = origin_of(table);
		walk->entry =
			__atomic_load_n(&table->entries[table_index(gma, 1)], __ATOMIC_RELAXED);
		walk->writable = table->writable && (walk->entry & ENTRY_RW);
		walk->gpa = page_in(walk->entry, gma, PAGE_BYTES);
		if (walk->entry & ENTRY_PRESENT)
			return 0;
	}
	/* What is there now counts when an entry was not present: hardware does not cache that. */
	int err = shadow_ppgtt_walk(ppgtt, gma, walk);
	*origin = table && is_of_table(walk, table) ? origin_of(table) : 0;
	return err;
}

/* The table at @page was looked at: once it was the @same often enough, it is asked for. */
static void count_look(struct shadow_ppgtt *ppgtt, gpa_t page, bool same)
{
	struct shadow_candidate *candidate =
		&ppgtt->candidate[(page.v >> PAGE_SHIFT) % SHADOW_CANDIDATES];

	if (candidate->page.v != page.v)
		*candidate = (struct shadow_candidate){ .page = page };
	candidate->same = same ? candidate->same + 1 : 0;
	if (candidate->same == TRACKER_STABLE) {
		candidate->same = 0;
		tracker_want(ppgtt->tracker, page, root_of(ppgtt));
	}
}

/*
 * With @stamp for what the table holds now, or 0: true when the blocks were made of the same.  Else
 * they bear the stamp from now on; it was taken before the look, so that a store after the look
 * makes it worthless.
 */
static bool blocks_kept(struct shadow_ppgtt *ppgtt, const struct gpu_tlb_blocks *blocks,
			uint64_t origin, uint64_t stamp)
{
	size_t first = (size_t)(blocks->table - ppgtt->as.table) * GPU_TLB_BLOCKS + blocks->first;
	bool kept = stamp != 0;

	for (unsigned int i = 0; i < blocks->count; i++) {
		kept &= ppgtt->stamp[first + i] == stamp &&
			blocks->table->origin[blocks->first + i] == origin;
		ppgtt->stamp[first + i] = stamp;
	}
	return kept;
}

static bool enter_table(struct shadow_ppgtt *ppgtt, const struct shadow_table *table, gma_t first,
			const struct gpu_tlb_blocks *blocks, bool again)
{
	uint64_t index = table_index(first, 1), copy[GPU_TLB_TABLE_PAGES];
	size_t bytes = blocks->count * GPU_TLB_BLOCK_PAGES * sizeof(uint64_t);

	if (table && table->entries)
		return shadow_blocks_sync(blocks, &table->entries[index], origin_of(table), again);
	if (table && !guest_read(ppgtt->guest, gpa(table->at.v + index * 8), copy, bytes))
		shadow_blocks_sync(blocks, copy, origin_of(table), again);
	else
		shadow_blocks_clear(blocks);
	return false;
}

static void enter_tracked(struct shadow_ppgtt *ppgtt, const struct shadow_table *table, gma_t first,
			  const struct gpu_tlb_blocks *blocks, bool again)
{
	bool mapped = table && table->entries;
	uint64_t stamp = mapped ? tracker_stamp(ppgtt->tracker, table->at) : 0;

	if (blocks_kept(ppgtt, blocks, mapped ? origin_of(table) : 0, stamp) && again) {
		ppgtt->kept++;
		return;
	}
	bool same = enter_table(ppgtt, table, first, blocks, again);
	if (mapped && again && !stamp)
		count_look(ppgtt, table->at, same);
}

static void ppgtt_enter(struct gpu_as *as, gma_t first, const struct gpu_tlb_blocks *blocks,
			bool again)
{
	struct shadow_ppgtt *ppgtt = container_of(as, struct shadow_ppgtt, as);
	const struct shadow_table *table = find_table(ppgtt, first);

	if (unlikely(ppgtt->tracker))
		enter_tracked(ppgtt, table, first, blocks, again);
	else
		enter_table(ppgtt, table, first, blocks, again);
}

/* ---- As an address space -----------------------------------------------------------------------
 */

static int ppgtt_translate(struct gpu_as *as, gma_t gma, unsigned int access, struct gpu_page *page)
{
	struct shadow_ppgtt *ppgtt = container_of(as, struct shadow_ppgtt, as);
	struct shadow_walk walk = { 0 };
	uint64_t origin;
	int err = find_page(ppgtt, gma, &walk, &origin);

	if (!err) {
		err = shadow_page_map(ppgtt->guest, walk.gpa, walk.writable, access, page);
		page->source = walk.entry;
		page->origin = origin;
	}
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

	return shadow_translations_stale(as, ppgtt->guest, &ppgtt->generation, &ppgtt->dropped);
}

static const struct gpu_as_ops ppgtt_ops = {
	.translate = ppgtt_translate,
	.read = ppgtt_read,
	.write = ppgtt_write,
	.stale = ppgtt_stale,
	.enter = ppgtt_enter,
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
	ppgtt->directory = (struct shadow_directory){ 0 };
	shadow_ppgtt_track(ppgtt, NULL);
}

void shadow_ppgtt_track(struct shadow_ppgtt *ppgtt, struct shadow_tracker *tracker)
{
	ppgtt->tracker = tracker;
	ppgtt->kept = 0;
	memset(ppgtt->candidate, 0, sizeof(ppgtt->candidate));
	memset(ppgtt->stamp, 0, sizeof(ppgtt->stamp));
}

/* Spaces that take turns share few blocks: the root's page number decides where they begin. */
static void load_root(struct shadow_ppgtt *ppgtt, gpa_t root, unsigned int address_bits)
{
	ppgtt->as.address_bits = address_bits;
	ppgtt->as.spread = (uint32_t)((root.v >> PAGE_SHIFT) * 0x9e3779b1u >> 8);
	shadow_translations_forget(&ppgtt->as, ppgtt->guest, &ppgtt->generation);
	gpu_as_invalidate(&ppgtt->as);
}

void shadow_ppgtt_load(struct shadow_ppgtt *ppgtt, gpa_t pml4)
{
	ppgtt->pml4 = pml4;
	ppgtt->legacy = false;
	load_root(ppgtt, pml4, 48);
}

void shadow_ppgtt_load_legacy(struct shadow_ppgtt *ppgtt, const gpa_t pdp[4])
{
	memcpy(ppgtt->pdp, pdp, sizeof(ppgtt->pdp));
	ppgtt->legacy = true;
	load_root(ppgtt, pdp[0], 32);
}
