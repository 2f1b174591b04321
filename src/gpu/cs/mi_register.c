/* SPDX-License-Identifier: MIT */
/*
 * The MI commands that move data into and out of registers.  Called by cs.c on the lane.  What a
 * user batch may write is decided in registers.c; what it may not is dropped, register by register,
 * and the command goes on.
 */
#include "gpu/cs/cs.h"

#define MI_USE_GGTT		BIT(22)
#define MI_SRM_PREDICATE	BIT(21)
#define MI_REG_OFFSET_MASK	0x7ffffcu
#define MI_LRI_BYTE_DISABLES(h) ((h) >> 8 & 15)

/* @value into the bytes of the register at @offset that @disables does not name. */
static void write_bytes(struct cs *cs, uint32_t offset, uint32_t value, unsigned int disables)
{
	uint32_t mask = 0;

	for (unsigned int byte = 0; byte < 4; byte++) {
		if (!(disables & BIT(byte)))
			mask |= 0xffu << (8 * byte);
	}
	if (mask != UINT32_MAX)
		value = (value & mask) | (cs_reg_read(cs, offset) & ~mask);
	cs_reg_write_checked(cs, offset, value);
}

enum cs_next mi_load_register_imm(struct cs *cs, const uint32_t *dw, uint32_t dwords)
{
	unsigned int disables = MI_LRI_BYTE_DISABLES(dw[0]);

	if (dwords % 2 == 0)
		return cs_fault(cs, GPU_FAULT_LENGTH);
	for (uint32_t i = 1; i < dwords; i += 2) {
		if (likely(!disables))
			cs_reg_write_checked(cs, dw[i] & MI_REG_OFFSET_MASK, dw[i + 1]);
		else if (disables != 15)
			write_bytes(cs, dw[i] & MI_REG_OFFSET_MASK, dw[i + 1], disables);
	}
	return CS_ADVANCE;
}

enum cs_next mi_load_register_mem(struct cs *cs, const uint32_t *dw)
{
	bool ggtt = dw[0] & MI_USE_GGTT;
	gma_t address = cs_operand(&dw[2], 2);
	uint32_t value;

	if (cs_forbidden(cs, ggtt))
		return CS_ADVANCE;
	if (!as_read32(cs_as(cs, ggtt), address, &value))
		return cs_fault_address(cs, ggtt, address, false);
	cs_reg_write_checked(cs, dw[1] & MI_REG_OFFSET_MASK, value);
	return CS_ADVANCE;
}

enum cs_next mi_load_register_reg(struct cs *cs, const uint32_t *dw)
{
	cs_reg_write_checked(cs, dw[2] & MI_REG_OFFSET_MASK,
			     cs_reg_read(cs, dw[1] & MI_REG_OFFSET_MASK));
	return CS_ADVANCE;
}

enum cs_next mi_store_register_mem(struct cs *cs, const uint32_t *dw)
{
	bool ggtt = dw[0] & MI_USE_GGTT;
	gma_t address = cs_operand(&dw[2], 2);

	if (cs_forbidden(cs, ggtt))
		return CS_ADVANCE;
	if ((dw[0] & MI_SRM_PREDICATE) && !cs_predicate(cs))
		return CS_ADVANCE;
	if (!as_write32(cs_as(cs, ggtt), address, cs_reg_read(cs, dw[1] & MI_REG_OFFSET_MASK)))
		return cs_fault_address(cs, ggtt, address, true);
	return CS_ADVANCE;
}
