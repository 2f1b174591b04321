/* SPDX-License-Identifier: MIT */
/*
 * A context image (LRC): its register page is copied once into private memory, read as the list of
 * LRI blocks it is, and performed; a save fills the values back.  Called on the lane, in a guest
 * section.
 */
#ifndef VGPU_CONTEXT_H
#define VGPU_CONTEXT_H

#include "gpu/gpu.h"

struct vgpu_engine;

#define CONTEXT_DWORDS	  1024u
#define CONTEXT_MAX_PAIRS 512u

/* Fields of a descriptor (i915: GEN8_CTX_*). */
#define CTX_DESC_VALID	       BIT_ULL(0)
#define CTX_DESC_FORCE_RESTORE BIT_ULL(2)
#define CTX_DESC_LRCA(desc)    ((uint32_t)(desc)&0xfffff000u)
#define CTX_DESC_MODE(desc)    (((uint32_t)(desc) >> 3) & 3u)
#define CTX_DESC_MODE_32B      1u
#define CTX_DESC_MODE_64B      3u
#define CTX_DESC_ID(desc)      ((uint32_t)((desc) >> 32))

/* True when two descriptors name the same context. */
static inline bool context_desc_same(uint64_t a, uint64_t b)
{
	return CTX_DESC_LRCA(a) == CTX_DESC_LRCA(b) && CTX_DESC_ID(a) == CTX_DESC_ID(b);
}

struct vgpu_context {
	uint64_t desc;
	uint32_t page[CONTEXT_DWORDS]; /* the register page as it was loaded */
	unsigned int pairs;
	unsigned int common_pairs; /* those of the ring and the address space: always restored */
	struct context_pair {
		uint32_t offset; /* of the register */
		uint16_t at;	 /* dword of its value in the page */
	} pair[CONTEXT_MAX_PAIRS];
	uint16_t tail_at; /* dword of RING_TAIL's value */
};

/*
 * Loads the context of @desc: registers, then @e->workload and the address spaces, ready for
 * begin().  GPU_FAULT_NONE, or what is wrong with it (CONTEXT, RING, ADDRESS).
 */
enum gpu_fault_kind vgpu_context_load(struct vgpu_engine *e, uint64_t desc);

/* Saves the registers of the loaded context; @e->workload.cs says where it stood. */
void vgpu_context_save(struct vgpu_engine *e);

/* RING_TAIL in the image of the loaded context, as it is now; the old one if it makes no sense. */
uint32_t vgpu_context_tail(struct vgpu_engine *e);

#endif
