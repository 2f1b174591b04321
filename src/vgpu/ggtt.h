/* SPDX-License-Identifier: MIT */
/*
 * The global GTT as the guest sees it (BAR0 + 8 MiB), the aperture through it (BAR2), and copies
 * of graphics memory for whoever shows it.  Any thread; entries are atomic words, so a reader sees
 * an entry old or new, never half of one (but for the two halves of a 4-byte writer).
 */
#ifndef VGPU_GGTT_H
#define VGPU_GGTT_H

#include "vgpu/device.h"

#define VGPU_GGTT_ENTRIES (1u << 20) /* 4 GiB of graphics addresses */
#define VGPU_GGTT_BYTES	  (VGPU_GGTT_ENTRIES * 8u)

int vgpu_ggtt_init(struct vgpu *v);
void vgpu_ggtt_fini(struct vgpu *v);
/* Every entry not present. */
void vgpu_ggtt_reset(struct vgpu *v);

/* Entries as bytes: [@offset, @offset + @len) lies inside the table. */
void vgpu_ggtt_read(struct vgpu *v, uint32_t offset, void *buf, size_t len);
void vgpu_ggtt_write(struct vgpu *v, uint32_t offset, const void *buf, size_t len);

/*
 * Copies graphics memory without fences; what is not there reads as zeros.  Not while in a guest
 * section: it enters one.  Addresses wrap at 4 GiB.  Memory that others hand over: -errno of
 * guest_read() when they did not (-EIO, -EDEADLK, ...), and @buf is not whole.
 */
int vgpu_gma_read(struct vgpu *v, gma_t gma, void *buf, size_t len);

#endif
