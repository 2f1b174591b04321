/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: page tables of a hostile guest, per-process and global.  The input is a list of
 * steps: entries stored into tables, roots loaded, translations dropped, memory taken away and
 * given back, tables changed in the middle of a walk, and accesses.  They are taken twice: with
 * tables that are looked at after each drop, and with tables whose stores are told.
 *
 * A walk of our own says what each access has to give, as long as no entry was changed since the
 * translations were last dropped; after that either is right.  Whatever happens, what is handed
 * out is a page of the guest that the map allows: fuzz/guest.h sees to that.
 */
#include <errno.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "fuzz/guest.h"
#include "fuzz/input.h"
#include "shadow/shadow.h"

#define PAGES	    64u
#define GGTT_COUNT  2048u
#define MAX_ACCESS  9000u
#define NOT_PRESENT UINT64_MAX

static const struct fuzz_slot slots[] = {
	{ .gpa = 0, .first_page = 0, .bytes = 32 << 12, .access = GUEST_READ | GUEST_WRITE },
	{ 0x100000000, 32, 16 << 12, GUEST_READ | GUEST_WRITE, false },
	{ 0x200000, 48, 4 << 12, GUEST_READ, false },
	{ 0x300000, 52, 4 << 12, GUEST_READ | GUEST_WRITE, true },
	{ 0x400000, 56, 0x1800, GUEST_READ | GUEST_WRITE, false },
	{ 0x40000000, 58, 6 << 12, GUEST_READ | GUEST_WRITE, false },
};
/* Beyond the guest's memory, or just beside it. */
static const uint64_t holes[] = {
	0x20000,    0x1ff000,	 0x204000,    0x401000,	      0x402000,	      0x40006000,
	0xfffff000, 0x100010000, 0x3f8000000, 0x7ffffffff000, 0xfffffffff000, 0x800000000000,
};
static const struct gpu_range share[2] = { { 0, 0x20000 }, { 0x100000, 0x7f0000 } };

static struct fuzz_guest guest;
static struct shadow_ppgtt ppgtt;
static struct shadow_ggtt ggtt;
static _Atomic uint64_t ggtt_entries[GGTT_COUNT];
static struct shadow_tracker *tracker; /* NULL in the first of the two runs */
static bool ppgtt_known, ggtt_known;   /* no entry has changed since the last drop */

/* An entry that waits to be stored at the @countdown-th question to the guest. */
static struct {
	unsigned int countdown;
	size_t at;
	uint64_t entry;
} ambush;

static void store_entry(size_t at, uint64_t entry)
{
	fuzz_guest_tell(&guest, at);
	memcpy(guest.ram + at, &entry, sizeof(entry));
	ppgtt_known = false;
}

static void kicked(void *opaque)
{
}

static void asked(void *opaque)
{
	if (ambush.countdown && !--ambush.countdown)
		store_entry(ambush.at, ambush.entry);
}

/* ---- What an access has to give -------------------------------------------------------------- */

struct expected {
	uint64_t gpa; /* NOT_PRESENT */
	bool writable;
};

static uint64_t expected_entry(uint64_t table, uint64_t index)
{
	uint64_t at = (table & 0xfffffffff000) + 8 * index, entry;
	const struct fuzz_slot *slot = fuzz_guest_find(&guest, at);

	if (!slot || at - slot->gpa + 8 > slot->bytes)
		return 0;
	memcpy(&entry, guest.ram + fuzz_guest_place(slot, at), sizeof(entry));
	return entry;
}

static struct expected expected_walk(uint64_t at)
{
	const unsigned int shifts[] = { 39, 30, 21, 12 };
	unsigned int level = ppgtt.legacy ? 2 : 0;
	uint64_t table = ppgtt.legacy ? ppgtt.pdp[at >> 30 & 3].v : ppgtt.pml4.v;
	bool writable = true, wide = false;

	for (; level < 4; level++) {
		uint64_t index = at >> shifts[level] & 511, size = 1ull << shifts[level];
		uint64_t entry;

		if (level == 3 && wide) {
			index &= ~15ull;
			size = 0x10000;
		}
		entry = expected_entry(table, index);
		if (!(entry & 1))
			return (struct expected){ NOT_PRESENT, false };
		writable = writable && (entry & 2);
		table = entry & 0xfffffffff000;
		if (level == 3 || (level && entry & 0x80)) {
			table &= ~(size - 1);
			return (struct expected){ table | (at & (size - 1)), writable };
		}
		wide = level == 2 && (entry & 0x800);
	}
	return (struct expected){ NOT_PRESENT, false };
}

static struct expected expected_ggtt(uint64_t at)
{
	uint64_t entry;

	if (at >= share[0].end && (at < share[1].first || at >= share[1].end))
		return (struct expected){ NOT_PRESENT, false };
	entry = ggtt_entries[at >> 12];
	if (!(entry & 1))
		return (struct expected){ NOT_PRESENT, false };
	return (struct expected){ (entry & 0xfffffffff000) | (at & 0xfff), true };
}

/* ---- Accesses -------------------------------------------------------------------------------- */

static uint64_t cut(const struct gpu_as *as, uint64_t at)
{
	return at & (~0ull >> (64 - as->address_bits));
}

static bool fits_slot(const struct fuzz_slot *slot, uint64_t gpa, size_t len, unsigned int access)
{
	return slot && (slot->access & access) && gpa - slot->gpa + len <= slot->bytes;
}

/* One access inside a page, against what it has to give. */
static void expect_access(struct gpu_as *as, uint64_t at, uint8_t *buf, size_t len, bool write)
{
	struct expected want = as == &ggtt.as ? expected_ggtt(cut(as, at))
					      : expected_walk(cut(as, at));
	const struct fuzz_slot *slot = fuzz_guest_find(&guest, want.gpa);
	bool discarded = write && want.gpa != NOT_PRESENT && !want.writable;
	bool fits = fits_slot(slot, want.gpa, len, write && !discarded ? GUEST_WRITE : GUEST_READ);
	int err;

	/* A write that the entries forbid goes nowhere, without a fault. */
	if (discarded) {
		FUZZ_CHECK(!gpu_as_write(as, gma(at), buf, len, NULL));
		return;
	}
	err = write ? gpu_as_write(as, gma(at), buf, len, NULL)
		    : gpu_as_read(as, gma(at), buf, len, NULL);
	FUZZ_CHECK(!err == fits);
	if (fits)
		FUZZ_CHECK(!memcmp(buf, guest.ram + fuzz_guest_place(slot, want.gpa), len));
}

static void check_map(struct gpu_as *as, uint64_t at, unsigned int access, bool known)
{
	uint8_t *host = gpu_as_map(as, gma(at), access);
	struct expected want;
	const struct fuzz_slot *slot;

	if (!host)
		return;
	FUZZ_CHECK(host >= guest.view && host < guest.view + guest.bytes);
	FUZZ_CHECK(((uintptr_t)host & 0xfff) == (at & 0xfff));
	/* A touch: the protection of the page says whether the guest's map allows it. */
	if (access & GPU_WRITE)
		*(volatile uint8_t *)host = *(volatile uint8_t *)host;
	else
		(void)*(volatile uint8_t *)host;
	if (!known)
		return;
	want = as == &ggtt.as ? expected_ggtt(cut(as, at)) : expected_walk(cut(as, at));
	slot = fuzz_guest_find(&guest, want.gpa);
	FUZZ_CHECK(slot && host == guest.view + fuzz_guest_place(slot, want.gpa));
	FUZZ_CHECK(!(access & GPU_WRITE) || want.writable);
}

static void access_space(struct fuzz_input *in, struct gpu_as *as, uint64_t at, bool *known)
{
	static uint8_t buf[MAX_ACCESS];
	uint8_t how = fuzz_u8(in);
	size_t len = how & 0x10 ? fuzz_u16(in) % MAX_ACCESS : (how >> 5) + 1u;
	bool write = how & 1, inside = len && (at & 0xfff) + len <= PAGE_BYTES;

	memset(buf, how, len);
	guest_enter(&guest.guest);
	if (how & 2)
		check_map(as, at, write ? GPU_WRITE : GPU_READ, *known && !ambush.countdown);
	else if (*known && inside && !ambush.countdown)
		expect_access(as, at, buf, len, write);
	else if (write)
		gpu_as_write(as, gma(at), buf, len, NULL);
	else
		gpu_as_read(as, gma(at), buf, len, NULL);
	guest_leave(&guest.guest);
	if (write) /* perhaps into a table */
		ppgtt_known = false;
}

/* ---- Steps ----------------------------------------------------------------------------------- */

static uint64_t take_target(struct fuzz_input *in)
{
	uint8_t n = fuzz_u8(in);

	for (unsigned int i = 0; i < ARRAY_SIZE(slots) && n < PAGES; i++)
		if (n - slots[i].first_page < (slots[i].bytes + 0xfff) >> 12)
			return slots[i].gpa + ((uint64_t)(n - slots[i].first_page) << 12);
	return n == 0xff ? fuzz_u64(in) : holes[n % ARRAY_SIZE(holes)];
}

static uint64_t take_entry(struct fuzz_input *in)
{
	uint8_t flags = fuzz_u8(in);
	uint64_t entry = take_target(in) | (flags & 3);

	entry |= flags & 4 ? 0x80 : 0;
	entry |= flags & 8 ? 0x800 : 0;
	entry |= flags & 16 ? 0x1018 : 0;
	entry |= flags & 32 ? 0xffff000000000000 : 0;
	return entry;
}

static size_t take_place(struct fuzz_input *in)
{
	size_t page = fuzz_u8(in) % PAGES;

	return page * PAGE_BYTES + (fuzz_u16(in) & 511) * 8;
}

static uint64_t take_address(struct fuzz_input *in)
{
	static const uint64_t chosen[] = { 0, 1, 2, 511 };
	uint16_t how = fuzz_u16(in);

	return chosen[how >> 14] << 39 | chosen[how >> 12 & 3] << 30 | chosen[how >> 10 & 3] << 21 |
	       (uint64_t)(how & 511) << 12 | (how & 512 ? fuzz_u16(in) : 0xff8);
}

/* One table is used between many drops: it is time to track it. */
static void use_often(uint64_t at)
{
	for (unsigned int i = 0; i < 10; i++) {
		gpu_as_invalidate(&ppgtt.as);
		guest_enter(&guest.guest);
		check_map(&ppgtt.as, at, GPU_READ, !ambush.countdown);
		guest_leave(&guest.guest);
	}
}

static void change_tracking(struct fuzz_input *in, uint8_t how)
{
	if (how & 4)
		use_often(take_address(in));
	if (tracker && (how & 8))
		shadow_tracker_drop(tracker, how & 16 ? &ppgtt.pml4 : NULL);
	if (tracker && (how & 32))
		shadow_tracker_update(tracker);
}

static void drop(struct fuzz_input *in)
{
	uint8_t how = fuzz_u8(in);

	change_tracking(in, how);
	if (how & 1)
		shadow_ppgtt_invalidate(&ppgtt);
	else
		gpu_as_invalidate(&ppgtt.as);
	if (how & 2)
		shadow_ggtt_invalidate(&ggtt);
	else
		gpu_as_invalidate(&ggtt.as);
	ppgtt_known = ggtt_known = true;
}

static void load_root(struct fuzz_input *in, bool legacy)
{
	gpa_t pdp[4];

	for (unsigned int i = 0; i < (legacy ? 4 : 1); i++)
		pdp[i] = gpa(take_target(in));
	if (legacy)
		shadow_ppgtt_load_legacy(&ppgtt, pdp);
	else
		shadow_ppgtt_load(&ppgtt, pdp[0]);
	ppgtt_known = true;
}

static void step(struct fuzz_input *in)
{
	uint8_t what = fuzz_u8(in);
	size_t place;

	switch (what & 7) {
	case 0:
		place = take_place(in);
		store_entry(place, take_entry(in));
		break;
	case 1:
		load_root(in, what & 8);
		break;
	case 2:
		access_space(in, &ppgtt.as, take_address(in), &ppgtt_known);
		break;
	case 3:
		access_space(in, &ggtt.as, fuzz_u32(in) & 0x9fffff, &ggtt_known);
		break;
	case 4:
		place = fuzz_u16(in) % GGTT_COUNT;
		ggtt_entries[place] = take_entry(in);
		ggtt_known = false;
		break;
	case 5:
		drop(in);
		break;
	case 6:
		fuzz_guest_set_slot(&guest, (what >> 3) % ARRAY_SIZE(slots), what >> 7);
		break;
	case 7:
		ambush.countdown = 1 + (what >> 3 & 7);
		ambush.at = take_place(in);
		ambush.entry = take_entry(in);
		break;
	}
}

static void run(struct fuzz_input in)
{
	fuzz_guest_all_present(&guest);
	memset(guest.ram, 0, guest.bytes);
	memset(guest.tracked, 0, sizeof(guest.tracked));
	memset((void *)ggtt_entries, 0, sizeof(ggtt_entries));
	memset(&ambush, 0, sizeof(ambush));
	shadow_ppgtt_init(&ppgtt, &guest.guest);
	shadow_ppgtt_track(&ppgtt, tracker);
	shadow_ggtt_init(&ggtt, &guest.guest, ggtt_entries, GGTT_COUNT);
	shadow_ggtt_limit(&ggtt, share);
	ppgtt_known = ggtt_known = true;
	while (in.size)
		step(&in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct fuzz_input in = { data, size };

	if (!guest.ram) {
		fuzz_guest_init(&guest, PAGES, slots, ARRAY_SIZE(slots));
		guest.asked = asked;
	}
	run(in);
	FUZZ_CHECK(!shadow_tracker_create(&guest.guest, kicked, NULL, &tracker));
	run(in);
	shadow_tracker_destroy(tracker);
	tracker = NULL;
	return 0;
}
