/* SPDX-License-Identifier: MIT */
/*
 * Pages between two that may not be touched, or a memfd for those who have to pass it on.  Mapped,
 * not allocated: it is 0 without a write to each page, and most tests touch few.
 */
#include "ram.h"

#include <assert.h>
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

static int init_shared(struct ram *ram)
{
	ram->fd = memfd_create("ram", MFD_CLOEXEC);
	if (ram->fd < 0)
		return -errno;
	if (!ftruncate(ram->fd, (off_t)ram->size))
		ram->bytes = mmap(NULL, ram->size, PROT_READ | PROT_WRITE, MAP_SHARED, ram->fd, 0);
	if (ram->bytes && ram->bytes != MAP_FAILED)
		return 0;
	int err = -errno;
	close(ram->fd);
	return err;
}

static int init_guarded(struct ram *ram)
{
	uint8_t *all = mmap(NULL, ram->size + 2 * PAGE_BYTES, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (all == MAP_FAILED)
		return -errno;
	ram->bytes = all + PAGE_BYTES;
	return mprotect(ram->bytes, ram->size, PROT_READ | PROT_WRITE) ? -errno : 0;
}

int ram_init(struct ram *ram, size_t size, bool shared)
{
	*ram = (struct ram){ .size = size, .next_page = PAGE_BYTES, .fd = -1 };
	return shared ? init_shared(ram) : init_guarded(ram);
}

void ram_fini(struct ram *ram)
{
	if (ram->fd < 0) {
		munmap(ram->bytes - PAGE_BYTES, ram->size + 2 * PAGE_BYTES);
		return;
	}
	munmap(ram->bytes, ram->size);
	close(ram->fd);
}

gpa_t ram_alloc(struct ram *ram, unsigned int count)
{
	gpa_t page = gpa(ram->next_page);

	ram->next_page += count * PAGE_BYTES;
	assert(ram->next_page <= ram->size);
	return page;
}

void *ram_at(struct ram *ram, gpa_t at)
{
	return ram->bytes + at.v;
}

uint32_t ram_read32(struct ram *ram, gpa_t at)
{
	return __atomic_load_n((uint32_t *)ram_at(ram, at), __ATOMIC_ACQUIRE);
}

void ram_write32(struct ram *ram, gpa_t at, uint32_t value)
{
	__atomic_store_n((uint32_t *)ram_at(ram, at), value, __ATOMIC_RELEASE);
}

void ram_write64(struct ram *ram, gpa_t at, uint64_t value)
{
	__atomic_store_n((uint64_t *)ram_at(ram, at), value, __ATOMIC_RELEASE);
}
