/* SPDX-License-Identifier: MIT */
/*
 * The global GTT: a million 8-byte words of anonymous memory that costs nothing until written.
 * What the guest stores is kept as it is; whether an entry means anything is asked when it is
 * translated (shadow/).  Any thread, no lock: each entry is one atomic word.
 */
#include "vgpu/ggtt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/tiling.h"
#include "base/trace.h"
#include "vgpu/mmio.h"

#define SEEN_AT_ONCE 8u /* entries that are compared at once; some beyond the last may be */

static uint32_t mappable_pages(const struct vgpu *v)
{
	return (uint32_t)(v->config.type->mappable_bytes >> PAGE_SHIFT);
}

int vgpu_ggtt_init(struct vgpu *v)
{
	void *map = mmap(NULL, VGPU_GGTT_BYTES, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (map == MAP_FAILED)
		return -errno;
	v->ggtt = map;
	v->seen.entries = calloc(mappable_pages(v) + SEEN_AT_ONCE, sizeof(*v->seen.entries));
	return v->seen.entries ? 0 : -ENOMEM;
}

void vgpu_ggtt_fini(struct vgpu *v)
{
	if (v->ggtt)
		munmap(v->ggtt, VGPU_GGTT_BYTES);
	v->ggtt = NULL;
	free(v->seen.entries);
}

void vgpu_ggtt_reset(struct vgpu *v)
{
	madvise(v->ggtt, VGPU_GGTT_BYTES, MADV_DONTNEED);
	vgpu_engines_invalidate(v);
}

static uint64_t entry_load(struct vgpu *v, uint32_t index)
{
	return atomic_load_explicit(&v->ggtt[index], memory_order_relaxed);
}

/* Replaces the bytes of an entry that @bytes covers; two halves written at once both last. */
static void entry_merge(struct vgpu *v, uint32_t offset, const void *bytes, size_t n)
{
	_Atomic uint64_t *entry = &v->ggtt[offset / 8];
	uint64_t old = atomic_load_explicit(entry, memory_order_relaxed), new;

	do {
		new = old;
		memcpy((uint8_t *)&new + (offset & 7), bytes, n);
	} while (!atomic_compare_exchange_weak_explicit(entry, &old, new, memory_order_relaxed,
							memory_order_relaxed));
}

void vgpu_ggtt_read(struct vgpu *v, uint32_t offset, void *buf, size_t len)
{
	uint8_t *out = buf;

	while (len) {
		size_t n = MIN(len, (size_t)(8 - (offset & 7)));
		uint64_t value = entry_load(v, offset / 8) >> (8 * (offset & 7));

		memcpy(out, &value, n);
		vgpu_count(&vgpu_accesses(v)->ggtt_reads);
		offset += (uint32_t)n;
		out += n;
		len -= n;
	}
}

void vgpu_ggtt_write(struct vgpu *v, uint32_t offset, const void *buf, size_t len)
{
	const uint8_t *in = buf;

	while (len) {
		size_t n = MIN(len, (size_t)(8 - (offset & 7)));
		uint64_t value;

		if (n == 8) {
			memcpy(&value, in, 8);
			atomic_store_explicit(&v->ggtt[offset / 8], value, memory_order_relaxed);
		} else {
			entry_merge(v, offset, in, n);
		}
		vgpu_count(&vgpu_accesses(v)->ggtt_writes);
		TRACE(vgpu_ggtt_write, offset / 8, entry_load(v, offset / 8), 0, 0);
		offset += (uint32_t)n;
		in += n;
		len -= n;
	}
}

/* ---- Graphics memory through it -------------------------------------------------------------- */

/*
 * Where the byte at @gma lives; false when its entry is not present or it is outside the guest's
 * share.  Two entries that a guest
 * changes between two calls are two moments, as they are for hardware.
 */
static bool gma_find(struct vgpu *v, uint64_t at, gpa_t *where)
{
	gpa_t page;

	if (!vgpu_in_share(v, at % (VGPU_GGTT_ENTRIES * PAGE_BYTES)) ||
	    !shadow_ggtt_entry(entry_load(v, (uint32_t)(at >> PAGE_SHIFT) % VGPU_GGTT_ENTRIES),
			       &page))
		return false;
	*where = gpa(page.v + PAGE_OFFSET(at));
	return true;
}

/*
 * One piece inside a page, zeros where nothing is; the caller is in a guest section.  -errno when
 * there is memory and those who have it did not hand it over; then too @buf is zeros.
 */
static int piece_read(struct vgpu *v, uint64_t at, void *buf, size_t n)
{
	struct guest *guest = vgpu_guest(v);
	const void *host = NULL;
	int err = -EFAULT;
	size_t len = 0;
	gpa_t where;

	if (gma_find(v, at, &where)) {
		host = guest_map(guest, where, GUEST_READ, &len);
		if (host && len >= n) {
			memcpy(buf, host, n);
			return 0;
		}
		err = guest_read(guest, where, buf, n);
	}
	if (err)
		memset(buf, 0, n);
	return err == -EFAULT ? 0 : err;
}

static void piece_write(struct vgpu *v, uint64_t at, const void *buf, size_t n)
{
	struct guest *guest = vgpu_guest(v);
	size_t len = 0;
	gpa_t where;
	void *host;

	if (!gma_find(v, at, &where))
		return;
	host = guest_map(guest, where, GUEST_WRITE, &len);
	if (host && len >= n)
		memcpy(host, buf, n);
	else
		guest_write(guest, where, buf, n); /* nowhere to report: hardware drops it too */
}

int vgpu_gma_read(struct vgpu *v, gma_t gma, void *buf, size_t len)
{
	struct guest *guest = vgpu_guest(v);
	uint8_t *out = buf;
	uint64_t at = gma.v;
	int err = 0;

	guest_enter(guest);
	while (len && !err) {
		size_t n = MIN(len, (size_t)(PAGE_BYTES - PAGE_OFFSET(at)));

		err = piece_read(v, at, out, n);
		at += n;
		out += n;
		len -= n;
	}
	guest_leave(guest);
	return err;
}

/* ---- The aperture ---------------------------------------------------------------------------- */

#define FENCE_VALID  BIT(0)
#define FENCE_TILE_Y BIT(1)

/* How an aperture address maps to graphics memory: piecewise, a tile's row at a time. */
struct piece {
	uint64_t at;
	size_t len;
};

static struct piece tiled_piece(uint64_t start, uint64_t offset, enum tiling tiling, uint32_t pitch)
{
	uint32_t run;
	uint64_t at = start + tiling_offset(tiling, offset % pitch, offset / pitch, pitch, &run);

	return (struct piece){ at, run };
}

/* Both halves of fence @i; the high one only if it is valid. */
static uint64_t fence_load(struct vgpu *v, uint32_t i)
{
	uint32_t lo = vgpu_vreg(v, REG_FENCE_REG + 8 * i);

	if (likely(!(lo & FENCE_VALID)))
		return 0;
	return (uint64_t)vgpu_vreg(v, REG_FENCE_REG + 8 * i + 4) << 32 | lo;
}

static uint64_t fence_start(uint64_t fence)
{
	return fence & 0xfffff000u;
}

static bool fence_covers(uint64_t fence, uint64_t at)
{
	return (fence & FENCE_VALID) && at >= fence_start(fence) &&
	       at < (fence >> 32 & 0xfffff000u) + PAGE_BYTES;
}

static uint32_t fence_count(const struct vgpu *v)
{
	return MIN(v->config.type->fences, 32u);
}

/*
 * The piece at @at under the fences.  i915 clears the low half before it changes the high one, so
 * a fence whose low half is valid is whole.
 */
static struct piece find_piece(struct vgpu *v, uint64_t at)
{
	for (uint32_t i = 0; i < fence_count(v); i++) {
		uint64_t fence = fence_load(v, i), start = fence_start(fence);

		if (likely(!fence_covers(fence, at)))
			continue;
		uint32_t pitch = ((fence >> 32 & 0xfff) + 1) * 128;
		if (fence & FENCE_TILE_Y)
			return tiled_piece(start, at - start, TILING_Y, pitch);
		if (pitch % TILE_X_WIDTH_BYTES == 0)
			return tiled_piece(start, at - start, TILING_X, pitch);
	}
	return (struct piece){ at, PAGE_BYTES - PAGE_OFFSET(at) };
}

void vgpu_aperture_read(struct vgpu *v, uint64_t offset, void *buf, size_t len)
{
	struct guest *guest = vgpu_guest(v);
	uint8_t *out = buf;

	vgpu_count(&vgpu_accesses(v)->aperture_reads);
	guest_enter(guest);
	while (len) {
		struct piece piece = find_piece(v, offset);
		size_t n = MIN(len, piece.len);

		piece_read(v, piece.at, out, n); /* nowhere to report */
		offset += n;
		out += n;
		len -= n;
	}
	guest_leave(guest);
}

void vgpu_aperture_write(struct vgpu *v, uint64_t offset, const void *buf, size_t len)
{
	struct guest *guest = vgpu_guest(v);
	const uint8_t *in = buf;

	vgpu_count(&vgpu_accesses(v)->aperture_writes);
	guest_enter(guest);
	while (len) {
		struct piece piece = find_piece(v, offset);
		size_t n = MIN(len, piece.len);

		piece_write(v, piece.at, in, n);
		offset += n;
		in += n;
		len -= n;
	}
	guest_leave(guest);
}

/* ---- Where it is plain memory ---------------------------------------------------------------- */

/*
 * Guests flush far more often than they change what BAR2 shows, so it is first asked whether they
 * did, a few entries at a time; what has changed is copied, and the copy is what is used.  False:
 * all is as it was.
 */
static bool see_entries(struct vgpu *v)
{
	uint64_t *seen = v->seen.entries;
	uint32_t pages = mappable_pages(v);
	bool changed = false;

	for (uint32_t i = 0; i < pages; i += SEEN_AT_ONCE) {
		uint64_t differ = 0;

#pragma GCC unroll 8
		for (uint32_t n = 0; n < SEEN_AT_ONCE; n++)
			differ |= entry_load(v, i + n) ^ seen[i + n];
		if (likely(!differ))
			continue;
		for (uint32_t n = 0; n < SEEN_AT_ONCE; n++)
			seen[i + n] = entry_load(v, i + n);
		changed = true;
	}
	return changed;
}

static bool see_fences(struct vgpu *v)
{
	uint64_t changed = 0;

	for (uint32_t i = 0; i < fence_count(v); i++) {
		uint64_t fence = fence_load(v, i);

		if (fence_start(fence) >= v->config.type->mappable_bytes)
			fence = 0;
		changed |= fence ^ v->seen.fences[i];
		v->seen.fences[i] = fence;
	}
	return changed != 0;
}

static bool fenced(const struct vgpu *v, uint64_t at)
{
	for (uint32_t i = 0; i < fence_count(v); i++)
		if (fence_covers(v->seen.fences[i], at))
			return true;
	return false;
}

static bool page_shows(const struct vgpu *v, uint64_t at, gpa_t *page)
{
	return shadow_ggtt_entry(v->seen.entries[at >> PAGE_SHIFT], page) && vgpu_in_share(v, at) &&
	       !fenced(v, at);
}

/* The longest: @run takes the place of a shorter one when there is no room. */
static void keep_run(struct vgpu_aperture_seen *seen, const struct vgpu_aperture_run *run)
{
	unsigned int shortest = 0;

	if (seen->count < VGPU_APERTURE_RUNS) {
		seen->runs[seen->count++] = *run;
		return;
	}
	for (unsigned int i = 1; i < VGPU_APERTURE_RUNS; i++)
		if (seen->runs[i].bytes < seen->runs[shortest].bytes)
			shortest = i;
	if (seen->runs[shortest].bytes < run->bytes)
		seen->runs[shortest] = *run;
}

/* Many entries in a row that name one page are a driver's way of saying that nothing is there. */
static bool is_filler(const struct vgpu_aperture_run *run, const struct vgpu_aperture_run *last)
{
	return run->bytes == PAGE_BYTES && last->bytes == PAGE_BYTES && run->gpa.v == last->gpa.v;
}

static void find_runs(struct vgpu *v)
{
	uint64_t mappable = (uint64_t)mappable_pages(v) << PAGE_SHIFT, end;
	struct vgpu_aperture_run last = { 0 };

	v->seen.count = 0;
	for (uint64_t at = 0; at < mappable; at = end) {
		struct vgpu_aperture_run run = { .offset = at, .bytes = PAGE_BYTES };
		gpa_t next;

		end = at + PAGE_BYTES;
		if (!page_shows(v, at, &run.gpa))
			continue;
		for (;
		     end < mappable && page_shows(v, end, &next) && next.v == run.gpa.v + run.bytes;
		     end += PAGE_BYTES)
			run.bytes += PAGE_BYTES;
		if (!is_filler(&run, &last))
			keep_run(&v->seen, &run);
		last = run;
	}
}

unsigned int vgpu_aperture_runs(struct vgpu *v, struct vgpu_aperture_run *runs)
{
	bool entries = see_entries(v), fences = see_fences(v);

	if (entries || fences)
		find_runs(v);
	memcpy(runs, v->seen.runs, v->seen.count * sizeof(*runs));
	return v->seen.count;
}
