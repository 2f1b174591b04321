/* SPDX-License-Identifier: MIT */
/*
 * The interrupt tree: events latch through a block's IMR into its IIR, blocks join in the master
 * register, and a rising edge of "enabled and something pending" is one message to the host.
 * All functions are called with vgpu->lock held.
 */
#ifndef VGPU_IRQ_H
#define VGPU_IRQ_H

#include "gpu/gpu.h"
#include "vgpu/device.h"

/* A block is named by the offset of its ISR. */
#define IRQ_GT(n)      (0x44300u + 0x10u * (n))
#define IRQ_DE_PIPE(p) (0x44400u + 0x10u * (p))
#define IRQ_DE_PORT    0x44440u
#define IRQ_DE_MISC    0x44460u
#define IRQ_PCU	       0x444e0u
#define IRQ_PCH	       0xc4000u

/* An event: @bits pulse in the block's ISR; those its IMR lets through stay in its IIR. */
void vgpu_irq_assert(struct vgpu *v, uint32_t block, uint32_t bits);

/* Events of an engine (enum gpu_interrupt), through its own IMR into its half of a GT block. */
void vgpu_irq_assert_engine(struct vgpu *v, enum gpu_engine engine, uint32_t bits);

/* True when such an event would reach the IIR.  Any thread, without the lock. */
bool vgpu_irq_engine_wanted(struct vgpu *v, enum gpu_engine engine, uint32_t bits);

/*
 * What an interrupt costs the guest: the mean time that its handler keeps the master register
 * disabled, of which most is waiting for reads.  Any thread, without the lock.
 */
#define VGPU_IRQ_COST_MAX_NS 100000u /* a handler that takes longer lost its CPU */
uint64_t vgpu_irq_cost_ns(struct vgpu *v);

/*
 * Errors of an engine's command parser (i915: I915_ERROR_*): a state in ESR until the engine is
 * reset, latched into EIR where EMR allows, which is an interrupt of its own.
 */
#define ENGINE_ERROR_INSTRUCTION BIT(0)
void vgpu_irq_engine_error(struct vgpu *v, enum gpu_engine engine, uint32_t errors);

/* True when an event in @bits of @block would reach the guest. */
bool vgpu_irq_wanted(struct vgpu *v, uint32_t block, uint32_t bits);

void vgpu_irq_reset(struct vgpu *v);

#endif
