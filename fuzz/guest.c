/* SPDX-License-Identifier: MIT */
/* Slots of one memfd, mapped twice. */
#include "fuzz/guest.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/checked.h"
#include "fuzz/fuzz.h"

const struct fuzz_slot *fuzz_guest_find(const struct fuzz_guest *g, uint64_t gpa)
{
	for (unsigned int i = 0; i < g->slot_count; i++)
		if (!g->gone[i] && gpa - g->slots[i].gpa < g->slots[i].bytes)
			return &g->slots[i];
	return NULL;
}

size_t fuzz_guest_place(const struct fuzz_slot *slot, uint64_t gpa)
{
	return slot->first_page * PAGE_BYTES + (gpa - slot->gpa);
}

static struct fuzz_guest *to_fuzz_guest(struct guest *guest)
{
	struct fuzz_guest *g = container_of(guest, struct fuzz_guest, guest);

	if (g->asked)
		g->asked(g->opaque);
	return g;
}

/* The bytes, from the view that guards them unless they come by messages; NULL: -EFAULT. */
static uint8_t *bytes_at(struct fuzz_guest *g, gpa_t at, size_t len, unsigned int access)
{
	const struct fuzz_slot *slot = fuzz_guest_find(g, at.v);

	if (!slot || (slot->access & access) != access ||
	    !range_fits(at.v - slot->gpa, len, slot->bytes))
		return NULL;
	return (slot->messages ? g->ram : g->view) + fuzz_guest_place(slot, at.v);
}

/* ---- Tracking -------------------------------------------------------------------------------- */

static bool holds_page(const struct fuzz_slot *slot, size_t page)
{
	return page >= slot->first_page &&
	       page < slot->first_page + ((slot->bytes + PAGE_BYTES - 1) >> PAGE_SHIFT);
}

void fuzz_guest_tell(struct fuzz_guest *g, size_t place)
{
	size_t page = place >> PAGE_SHIFT;

	for (unsigned int i = 0; i < g->slot_count && g->tracked[page]; i++)
		if (holds_page(&g->slots[i], page))
			g->watch.written(g->watch.opaque,
					 gpa(g->slots[i].gpa +
					     ((page - g->slots[i].first_page) << PAGE_SHIFT)));
}

/* In the slot, from the page of @at on; a mapping to store to ends before the next. */
static void tell_map(struct fuzz_guest *g, const struct fuzz_slot *slot, gpa_t at, size_t *len)
{
	size_t place = fuzz_guest_place(slot, at.v), page = place >> PAGE_SHIFT;

	fuzz_guest_tell(g, place);
	for (size_t next = page + 1; holds_page(slot, next); next++)
		if (g->tracked[next])
			*len = MIN(*len, (next << PAGE_SHIFT) - place);
}

static void tell_write(struct fuzz_guest *g, gpa_t at, size_t len)
{
	size_t place = fuzz_guest_place(fuzz_guest_find(g, at.v), at.v);

	for (size_t page = place >> PAGE_SHIFT; len && page <= (place + len - 1) >> PAGE_SHIFT;
	     page++)
		fuzz_guest_tell(g, page << PAGE_SHIFT);
}

static int slot_track(struct guest *guest, const gpa_t *pages, size_t count,
		      const struct guest_watch *watch)
{
	struct fuzz_guest *g = container_of(guest, struct fuzz_guest, guest);
	const bool on = watch;

	for (size_t i = 0; on && i < count; i++) {
		const struct fuzz_slot *slot = fuzz_guest_find(g, pages[i].v);

		if (!slot || !(slot->access & GUEST_WRITE))
			return -EFAULT;
	}
	guest_quiesce(guest);
	if (on)
		g->watch = *watch;
	for (size_t i = 0; i < count; i++) {
		const struct fuzz_slot *slot = fuzz_guest_find(g, pages[i].v);

		if (slot)
			g->tracked[fuzz_guest_place(slot, pages[i].v) >> PAGE_SHIFT] = on;
	}
	if (on)
		guest_resume(guest);
	else
		guest_resume_unchanged(guest);
	return 0;
}

static void untrack_slot(struct fuzz_guest *g, const struct fuzz_slot *slot)
{
	for (size_t page = slot->first_page; holds_page(slot, page); page++) {
		fuzz_guest_tell(g, page << PAGE_SHIFT);
		g->tracked[page] = false;
	}
}

/* ---- Operations ------------------------------------------------------------------------------ */

static int slot_read(struct guest *guest, gpa_t at, void *buf, size_t len)
{
	const uint8_t *from = bytes_at(to_fuzz_guest(guest), at, len, GUEST_READ);

	if (!from)
		return -EFAULT;
	memcpy(buf, from, len);
	return 0;
}

static int slot_write(struct guest *guest, gpa_t at, const void *buf, size_t len)
{
	struct fuzz_guest *g = to_fuzz_guest(guest);
	uint8_t *to = bytes_at(g, at, len, GUEST_WRITE);

	if (!to)
		return -EFAULT;
	tell_write(g, at, len);
	memcpy(to, buf, len);
	return 0;
}

static void *slot_map(struct guest *guest, gpa_t at, unsigned int access, size_t *len)
{
	struct fuzz_guest *g = to_fuzz_guest(guest);
	const struct fuzz_slot *slot = fuzz_guest_find(g, at.v);

	if (!slot || slot->messages || (slot->access & access) != access)
		return NULL;
	*len = slot->bytes - (at.v - slot->gpa);
	if (access & GUEST_WRITE)
		tell_map(g, slot, at, len);
	return g->view + fuzz_guest_place(slot, at.v);
}

static const struct guest_ops slot_ops = {
	.read = slot_read,
	.write = slot_write,
	.map = slot_map,
	.track = slot_track,
};

static void protect(struct fuzz_guest *g, unsigned int n)
{
	const struct fuzz_slot *slot = &g->slots[n];
	int prot = slot->access & GUEST_WRITE ? PROT_READ | PROT_WRITE : PROT_READ;

	if (slot->messages || g->gone[n])
		prot = PROT_NONE;
	FUZZ_CHECK(!mprotect(g->view + slot->first_page * PAGE_BYTES, slot->bytes, prot));
}

void fuzz_guest_init(struct fuzz_guest *g, size_t pages, const struct fuzz_slot *slots,
		     unsigned int count)
{
	size_t bytes = pages * PAGE_BYTES;
	int fd = memfd_create("fuzz-guest", MFD_CLOEXEC);
	uint8_t *guarded;

	FUZZ_CHECK(fd >= 0 && !ftruncate(fd, (off_t)bytes) && count <= FUZZ_MAX_SLOTS &&
		   pages <= FUZZ_MAX_PAGES);
	*g = (struct fuzz_guest){ .bytes = bytes, .slots = slots, .slot_count = count };
	g->ram = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	guarded = mmap(NULL, bytes + 2 * PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	FUZZ_CHECK(g->ram != MAP_FAILED && guarded != MAP_FAILED);
	g->view = mmap(guarded + PAGE_BYTES, bytes, PROT_NONE, MAP_SHARED | MAP_FIXED, fd, 0);
	FUZZ_CHECK(g->view != MAP_FAILED);
	close(fd);
	guest_init(&g->guest, &slot_ops);
	for (unsigned int i = 0; i < count; i++)
		protect(g, i);
}

void fuzz_guest_set_slot(struct fuzz_guest *g, unsigned int n, bool present)
{
	if (g->gone[n] == !present)
		return;
	guest_quiesce(&g->guest);
	untrack_slot(g, &g->slots[n]);
	g->gone[n] = !present;
	protect(g, n);
	guest_resume(&g->guest);
}

void fuzz_guest_all_present(struct fuzz_guest *g)
{
	for (unsigned int i = 0; i < g->slot_count; i++)
		fuzz_guest_set_slot(g, i, true);
}
