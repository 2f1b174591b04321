/* SPDX-License-Identifier: MIT */
/* Bulk copies of what is read at once.  Any thread. */
#ifndef BASE_COPY_H
#define BASE_COPY_H

#include <string.h>

#include "base/types.h"

#define COPY_LINE 64u

/*
 * memcpy() by plain loads and stores, line by line, so that what reads the copy begins while it is
 * being made: C libraries use `rep movsb` from some 2 KiB on, and behind that instruction
 * processors wait.  On the way, as many bytes at @next are asked for from memory, to be there when
 * they are copied in their turn; they are not read, and need not be readable.
 */
static inline void copy_and_ask(void *to, const void *from, size_t bytes, const void *next)
{
	size_t at = 0;

	for (; at + COPY_LINE <= bytes; at += COPY_LINE) {
		memcpy((uint8_t *)to + at, (const uint8_t *)from + at, COPY_LINE);
		__builtin_prefetch((const uint8_t *)next + at);
	}
	memcpy((uint8_t *)to + at, (const uint8_t *)from + at, bytes - at);
}

#endif
