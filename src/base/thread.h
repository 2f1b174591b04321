/* SPDX-License-Identifier: MIT */
/*
 * A small number for each thread, in the order in which they first ask.  For what is kept in
 * several places, a cache line each, so that threads which do the same do not fight over one: with
 * N places any N threads that came one after the other have a place each.
 */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include "base/types.h"

/* Where the library is loaded late, another model of thread storage would allocate. */
#define THREAD_STATIC _Thread_local __attribute__((tls_model("initial-exec")))

extern THREAD_STATIC uint32_t thread_own_number; /* 0: not yet */
uint32_t thread_number_take(void);

/* From 1. */
static inline uint32_t thread_number(void)
{
	return likely(thread_own_number) ? thread_own_number : thread_number_take();
}

#endif
