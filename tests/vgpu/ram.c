/* SPDX-License-Identifier: MIT */
/* An array, or a memfd for those who have to pass it on. */
#include "ram.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
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

int ram_init(struct ram *ram, size_t size, bool shared)
{
	*ram = (struct ram){ .size = size, .next_page = PAGE_BYTES, .fd = -1 };
	if (shared)
		return init_shared(ram);
	ram->bytes = aligned_alloc(PAGE_BYTES, size);
	if (!ram->bytes)
		return -ENOMEM;
	memset(ram->bytes, 0, size);
	return 0;
}

void ram_fini(struct ram *ram)
{
	if (ram->fd < 0) {
		free(ram->bytes);
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
