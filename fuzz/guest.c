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
	uint8_t *to = bytes_at(to_fuzz_guest(guest), at, len, GUEST_WRITE);

	if (!to)
		return -EFAULT;
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
	return g->view + fuzz_guest_place(slot, at.v);
}

static const struct guest_ops slot_ops = {
	.read = slot_read,
	.write = slot_write,
	.map = slot_map,
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

	FUZZ_CHECK(fd >= 0 && !ftruncate(fd, (off_t)bytes) && count <= FUZZ_MAX_SLOTS);
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
	g->gone[n] = !present;
	protect(g, n);
	guest_resume(&g->guest);
}

void fuzz_guest_all_present(struct fuzz_guest *g)
{
	for (unsigned int i = 0; i < g->slot_count; i++)
		fuzz_guest_set_slot(g, i, true);
}
