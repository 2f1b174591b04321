/* SPDX-License-Identifier: MIT */
/*
 * A guest that is an array: guest_ops over plain memory, with a stretch that can be reached by
 * messages only.
 */
#ifndef TESTS_VGPU_TEST_GUEST_H
#define TESTS_VGPU_TEST_GUEST_H

#include "guest/guest.h"
#include "ram.h"

struct test_guest {
	struct guest guest;
	struct ram ram;
	uint64_t message_from, message_to; /* no host mapping here */
	_Atomic bool silent;		   /* messages wait for an answer that does not come */
	_Atomic unsigned int waiting;	   /* such messages now */
	_Atomic unsigned int timeouts;	   /* such messages that nobody cancelled */
};

int test_guest_init(struct test_guest *g, size_t bytes);
void test_guest_fini(struct test_guest *g);

#endif
