/* SPDX-License-Identifier: MIT */
/*
 * The address spaces of the house, as types that do not mix.  An address is wrapped in a
 * struct so that a graphics address handed to a function that wants a guest-physical one is
 * an error of the compiler, not of the guest.  Host addresses are plain pointers.
 */
#ifndef BASE_TYPES_H
#define BASE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Guest physical address: what the guest's own page tables and DMA engines speak. */
typedef struct {
	uint64_t v;
} gpa_t;

/* I/O virtual address: what a VFIO DMA_MAP names.  Without a vIOMMU it equals the GPA. */
typedef struct {
	uint64_t v;
} iova_t;

/* Graphics memory address: an offset into a GGTT or a per-process GTT. */
typedef struct {
	uint64_t v;
} gma_t;

static inline gpa_t gpa(uint64_t v)
{
	return (gpa_t){ v };
}

static inline gma_t gma(uint64_t v)
{
	return (gma_t){ v };
}

static inline iova_t iova(uint64_t v)
{
	return (iova_t){ v };
}

#define PAGE_SHIFT     12
#define PAGE_BYTES     ((uint64_t)1 << PAGE_SHIFT)
#define PAGE_OFFSET(x) ((x) & (PAGE_BYTES - 1))

#define ARRAY_SIZE(a)		     (sizeof(a) / sizeof((a)[0]))
#define BIT(n)			     (1u << (n))
#define BIT_ULL(n)		     (1ull << (n))
#define container_of(p, type, field) ((type *)((char *)(p)-offsetof(type, field)))
#define MIN(a, b)		     ((a) < (b) ? (a) : (b))
#define MAX(a, b)		     ((a) > (b) ? (a) : (b))
#define likely(x)		     __builtin_expect(!!(x), 1)
#define unlikely(x)		     __builtin_expect(!!(x), 0)
/* @object is written in part, and only that part is read: more than an analyser can see. */
#define written_in_part(object)	     __asm__("" : "=m"(object))
#define PRINTF_LIKE(f, a)	     __attribute__((format(printf, f, a)))

#endif
