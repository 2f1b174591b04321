/* SPDX-License-Identifier: MIT */
/* Numbers of threads; any thread. */
#include "base/thread.h"

#include <stdatomic.h>

THREAD_STATIC uint32_t thread_own_number;

uint32_t thread_number_take(void)
{
	static _Atomic uint32_t threads;

	thread_own_number = 1 + atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed);
	return thread_own_number;
}
