/* SPDX-License-Identifier: MIT */
/*
 * A value that is replaced as a whole and read without a lock: its words, and a count that is odd
 * while they change.  A reader that met a change reads again; it never holds a writer up.
 *
 * All of it is atomic, words too, and ordered by the accesses themselves: whoever sees a new word
 * (acquire) also sees the odd count that was stored before it (release).
 */
#ifndef BASE_SEQLOCK_H
#define BASE_SEQLOCK_H

#include <assert.h>
#include <stdatomic.h>
#include <string.h>

#include "base/types.h"

#define SEQLOCK_WORDS 24u

struct seqlock {
	_Atomic uint32_t count;
	_Atomic uint64_t words[SEQLOCK_WORDS];
};

/* Replaces the value by the @bytes at @value, always the same number.  One thread at a time. */
static inline void seqlock_write(struct seqlock *lock, const void *value, size_t bytes)
{
	uint64_t words[SEQLOCK_WORDS] = { 0 };
	uint32_t count = atomic_load_explicit(&lock->count, memory_order_relaxed);

	assert(bytes <= sizeof(words));
	memcpy(words, value, bytes);
	atomic_store_explicit(&lock->count, count + 1, memory_order_relaxed);
	for (size_t i = 0; i * sizeof(words[0]) < bytes; i++)
		atomic_store_explicit(&lock->words[i], words[i], memory_order_release);
	atomic_store_explicit(&lock->count, count + 2, memory_order_release);
}

/* Copies the value, zeros before the first seqlock_write(), to @value.  Any thread. */
static inline void seqlock_read(struct seqlock *lock, void *value, size_t bytes)
{
	uint64_t words[SEQLOCK_WORDS];
	uint32_t count;

	assert(bytes <= sizeof(words));
	do {
		count = atomic_load_explicit(&lock->count, memory_order_acquire);
		for (size_t i = 0; i * sizeof(words[0]) < bytes; i++)
			words[i] = atomic_load_explicit(&lock->words[i], memory_order_acquire);
	} while (count & 1 || atomic_load_explicit(&lock->count, memory_order_relaxed) != count);
	memcpy(value, words, bytes);
}

#endif
