/* SPDX-License-Identifier: MIT */
/*
 * A guest that is an array: guest_ops over plain memory, with a stretch that can be reached by
 * messages only and pages that are handed out one after the other.
 */
#ifndef TESTS_VGPU_TEST_GUEST_H
#define TESTS_VGPU_TEST_GUEST_H

#include "guest/guest.h"

struct test_guest {
	struct guest guest;
	uint8_t *ram;
	size_t bytes;
	uint64_t next_page;
	uint64_t message_from, message_to; /* no host mapping here */
	_Atomic bool silent;		   /* messages wait for an answer that does not come */
	_Atomic unsigned int waiting;	   /* such messages now */
	_Atomic unsigned int timeouts;	   /* such messages that nobody cancelled */
};

int test_guest_init(struct test_guest *g, size_t bytes);
void test_guest_fini(struct test_guest *g);

/* @count pages of zeros in a row. */
gpa_t test_guest_alloc(struct test_guest *g, unsigned int count);
void *test_guest_at(struct test_guest *g, gpa_t at);
uint32_t test_guest_read32(struct test_guest *g, gpa_t at);
void test_guest_write32(struct test_guest *g, gpa_t at, uint32_t value);
void test_guest_write64(struct test_guest *g, gpa_t at, uint64_t value);

#endif
