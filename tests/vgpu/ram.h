/* SPDX-License-Identifier: MIT */
/*
 * The memory of a test's guest as the guest's own driver sees it: bytes from physical address 0 on,
 * pages that are handed out one after the other.  Words are read and written whole, because the
 * GPU's lane does so at the same time.
 */
#ifndef TESTS_VGPU_RAM_H
#define TESTS_VGPU_RAM_H

#include "base/types.h"

struct ram {
	uint8_t *bytes;
	size_t size;
	uint64_t next_page; /* guest physical */
	int fd;		    /* what @bytes is a shared mapping of; -1: memory of this process */
};

/* Zeros, all but the first page to be handed out; @shared: with a descriptor.  -errno. */
int ram_init(struct ram *ram, size_t size, bool shared);
void ram_fini(struct ram *ram);

/* @count pages of zeros in a row. */
gpa_t ram_alloc(struct ram *ram, unsigned int count);
void *ram_at(struct ram *ram, gpa_t at);
uint32_t ram_read32(struct ram *ram, gpa_t at);
void ram_write32(struct ram *ram, gpa_t at, uint32_t value);
void ram_write64(struct ram *ram, gpa_t at, uint64_t value);

#endif
