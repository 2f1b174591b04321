/* SPDX-License-Identifier: MIT */
/*
 * The guest's GPU page tables turned into checked host pages: address spaces for the GPU.
 * A table entry is believed only after its address was found inside the guest's mapped memory.
 * Translations are cached in the gpu_as; owners drop them with gpu_as_invalidate() where hardware
 * drops its TLB, and the `stale` method drops them when the guest's memory map changed.
 */
#ifndef SHADOW_SHADOW_H
#define SHADOW_SHADOW_H

#include "gpu/gpu.h"
#include "guest/guest.h"

/* A global GTT: an array of 8-byte entries that the vGPU owns. */
struct shadow_ggtt {
	struct gpu_as as;
	struct guest *guest;
	const _Atomic uint64_t *entries;
	uint32_t count; /* entries; an address at or past count pages faults */
	uint64_t generation;
};

void shadow_ggtt_init(struct shadow_ggtt *ggtt, struct guest *guest,
		      const _Atomic uint64_t *entries, uint32_t count);

/* A 4-level per-process GTT in guest memory. */
struct shadow_ppgtt {
	struct gpu_as as;
	struct guest *guest;
	gpa_t pml4;
	uint64_t generation;
};

void shadow_ppgtt_init(struct shadow_ppgtt *ppgtt, struct guest *guest);
/* Another root, or the same again (a context switch): drops the translations. */
void shadow_ppgtt_load(struct shadow_ppgtt *ppgtt, gpa_t pml4);

/* What one walk of the tables found, for tests and error reports. */
struct shadow_walk {
	gpa_t gpa;
	unsigned int level;  /* 4 PML4, 3 PDP, 2 PD, 1 PT: where it ended */
	uint64_t page_bytes; /* 4 KiB, 64 KiB, 2 MiB */
	uint64_t entry;
	bool writable;
};
int shadow_ppgtt_walk(struct shadow_ppgtt *ppgtt, gma_t gma, struct shadow_walk *walk);

#endif
