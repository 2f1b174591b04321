/* SPDX-License-Identifier: MIT */
/*
 * The register file: what the tables (data/, ending in .regs) say, and the values.  A register
 * without a handler is one atomic load or store and takes no lock; a handler runs under vgpu->lock,
 * on the thread that brought the access (a vCPU's or the socket's) or on a lane (LRI and the like).
 */
#ifndef VGPU_MMIO_H
#define VGPU_MMIO_H

#include "gpu/gpu.h"
#include "vgpu/device.h"
#include "vgpu_regs_gen.h"

enum vgpu_reg_flags {
	VGPU_REG_RO = BIT(0),
	VGPU_REG_WO = BIT(1),
	VGPU_REG_MASKED = BIT(2),
	VGPU_REG_UNLOCKED = BIT(3),
	VGPU_REG_QWORD = BIT(4),
	VGPU_REG_CS = BIT(5),
	VGPU_REG_GPU = BIT(6),
	VGPU_REG_CTX = BIT(7),
	VGPU_REG_LOCKFREE = BIT(8),
};

/* A run of dwords [offset, end) with the same behaviour. */
struct vgpu_reg_row {
	uint32_t offset, end;
	uint32_t flags;
	uint32_t reset;
	uint32_t wmask;
	uint32_t w1c; /* bits that a written 1 clears */
	uint32_t (*read)(struct vgpu *v, uint32_t offset);
	void (*write)(struct vgpu *v, uint32_t offset, uint32_t value);
	const char *name;
};
extern const struct vgpu_reg_row vgpu_reg_rows[VGPU_REG_ROWS];

/* The row of the dword at @offset, or NULL: a register no table names. */
const struct vgpu_reg_row *vgpu_reg_find(uint32_t offset);

/* The stored value, without side effects.  @offset is a multiple of 4 below VGPU_MMIO_BYTES. */
static inline uint32_t vgpu_vreg(struct vgpu *v, uint32_t offset)
{
	return atomic_load_explicit(&v->vreg[offset / 4], memory_order_relaxed);
}

static inline void vgpu_vreg_set(struct vgpu *v, uint32_t offset, uint32_t value)
{
	atomic_store_explicit(&v->vreg[offset / 4], value, memory_order_relaxed);
}

/* The bits of @mask only; nothing that others store to the rest meanwhile is lost. */
static inline void vgpu_vreg_replace(struct vgpu *v, uint32_t offset, uint32_t mask, uint32_t value)
{
	_Atomic uint32_t *reg = &v->vreg[offset / 4];
	uint32_t old = atomic_load_explicit(reg, memory_order_relaxed);

	while (!atomic_compare_exchange_weak_explicit(reg, &old, (old & ~mask) | (value & mask),
						      memory_order_relaxed, memory_order_relaxed))
		;
}

/* Stores as the row's attributes say (masked, w1c, wmask, ro), without the handler. */
void vgpu_reg_store(struct vgpu *v, uint32_t offset, uint32_t value);

/* One register, with its behaviour; the caller does not hold vgpu->lock. */
uint32_t vgpu_reg_read(struct vgpu *v, uint32_t offset);
void vgpu_reg_write(struct vgpu *v, uint32_t offset, uint32_t value);

/*
 * The same for the command streamer: registers that the GPU keeps itself are asked of it first,
 * and a register without a row, or whose row lacks `cs`, is not written.
 */
uint32_t vgpu_reg_read_cs(struct vgpu *v, enum gpu_engine engine, uint32_t offset);
void vgpu_reg_write_cs(struct vgpu *v, enum gpu_engine engine, uint32_t offset, uint32_t value);

/* Registers [@offset, @offset + @len) of BAR0 in any width and at any place; never a fault. */
void vgpu_mmio_read(struct vgpu *v, uint32_t offset, void *buf, size_t len);
void vgpu_mmio_write(struct vgpu *v, uint32_t offset, const void *buf, size_t len);

int vgpu_mmio_init(struct vgpu *v);
void vgpu_mmio_fini(struct vgpu *v);
/* Power-on values in the registers of [@first, @end). */
void vgpu_mmio_reset(struct vgpu *v, uint32_t first, uint32_t end);

#endif
