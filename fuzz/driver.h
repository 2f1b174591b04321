/* SPDX-License-Identifier: MIT */
/*
 * What a driver has laid out before a fuzz target spoils it: for each engine two contexts with
 * image, ring and a user batch, page tables, status pages, and the registers that i915 sets up.
 * Guest page n is at FUZZ_GMA + 4096 * n of the GGTT and at its own address of the user's space.
 * One thread.
 */
#ifndef FUZZ_DRIVER_H
#define FUZZ_DRIVER_H

#include "vgpu/vgpu.h"

#define FUZZ_PAGES	  80u
#define FUZZ_GMA	  0x10000000u
#define FUZZ_HWSP_PAGE	  1u /* one for each engine */
#define FUZZ_PML4_PAGE	  5u /* then PDP, PD, PT */
#define FUZZ_DATA_PAGE	  9u
#define FUZZ_BATCH_PAGE	  10u
#define FUZZ_CONTEXT_PAGE 16u /* status page, registers, ring; the next context */
#define FUZZ_CONTEXTS	  8u

#define FUZZ_CTX_TAIL 0x07u /* dword of the registers */

struct fuzz_driver {
	struct vgpu *vgpu;
	uint64_t (*gpa_of)(unsigned int page);
};

/* Into @memory, FUZZ_PAGES of zeros. */
void fuzz_driver_lay_out(const struct fuzz_driver *d, uint8_t *memory);
/* GGTT entries and registers. */
void fuzz_driver_start(const struct fuzz_driver *d);
/* Context @c, 0 and 1 the render engine's, as its descriptor names it. */
uint64_t fuzz_driver_descriptor(unsigned int c);
void fuzz_driver_elsp(const struct fuzz_driver *d, enum gpu_engine id, uint64_t first,
		      uint64_t second);

uint32_t fuzz_driver_read(const struct fuzz_driver *d, uint32_t offset);
void fuzz_driver_write(const struct fuzz_driver *d, uint32_t offset, uint32_t value);

#endif
