/* SPDX-License-Identifier: MIT */
/*
 * MI_MATH: a small program for the streamer's 64-bit ALU over the sixteen general purpose
 * registers.  Called by cs.c on the lane.
 *
 * One instruction a dword: opcode 31:20, operand 1 19:10, operand 2 9:0.  Loads go to SRCA or
 * SRCB, an operation leaves its result in ACCU and the flags ZF and CF, stores take one of these
 * three; a flag is stored as 64 bits all alike.  SRCA, SRCB and ACCU do not outlive the command.
 */
#include "gpu/cs/cs.h"

enum alu_opcode {
	ALU_NOOP = 0x000,
	ALU_LOAD = 0x080,
	ALU_LOAD0 = 0x081,
	ALU_ADD = 0x100,
	ALU_SUB = 0x101,
	ALU_AND = 0x102,
	ALU_OR = 0x103,
	ALU_XOR = 0x104,
	ALU_STORE = 0x180,
	ALU_LOADINV = 0x480,
	ALU_LOAD1 = 0x481,
	ALU_STOREINV = 0x580,
};

enum alu_operand {
	ALU_REG15 = 0x0f,
	ALU_SRCA = 0x20,
	ALU_SRCB = 0x21,
	ALU_ACCU = 0x31,
	ALU_ZF = 0x32,
	ALU_CF = 0x33,
};

struct alu {
	uint64_t srca, srcb, accu;
	bool zero, carry;
};

static bool operand_get(struct cs *cs, const struct alu *alu, uint32_t operand, uint64_t *value)
{
	if (operand <= ALU_REG15)
		*value = cs_reg64(cs, CS_REG_GPR + 2 * operand);
	else if (operand == ALU_ACCU)
		*value = alu->accu;
	else if (operand == ALU_ZF)
		*value = alu->zero ? UINT64_MAX : 0;
	else if (operand == ALU_CF)
		*value = alu->carry ? UINT64_MAX : 0;
	else
		return false;
	return true;
}

static bool source_set(struct alu *alu, uint32_t operand, uint64_t value)
{
	if (operand == ALU_SRCA)
		alu->srca = value;
	else if (operand == ALU_SRCB)
		alu->srcb = value;
	else
		return false;
	return true;
}

static void alu_result(struct alu *alu, uint64_t value, bool carry)
{
	alu->accu = value;
	alu->zero = value == 0;
	alu->carry = carry;
}

static bool load(struct cs *cs, struct alu *alu, uint32_t to, uint32_t from, uint64_t invert)
{
	uint64_t value;

	return operand_get(cs, alu, from, &value) && source_set(alu, to, value ^ invert);
}

static bool store(struct cs *cs, const struct alu *alu, uint32_t to, uint32_t from, uint64_t invert)
{
	uint64_t value;

	if (to > ALU_REG15 || !operand_get(cs, alu, from, &value))
		return false;
	cs_set_reg64(cs, CS_REG_GPR + 2 * to, value ^ invert);
	return true;
}

/* One instruction; false when there is none such. */
static bool alu_step(struct cs *cs, struct alu *alu, uint32_t instruction)
{
	uint32_t first = instruction >> 10 & 0x3ff, second = instruction & 0x3ff;

	switch (instruction >> 20) {
	case ALU_NOOP:
		return true;
	case ALU_LOAD:
		return load(cs, alu, first, second, 0);
	case ALU_LOADINV:
		return load(cs, alu, first, second, UINT64_MAX);
	case ALU_LOAD0:
		return source_set(alu, first, 0);
	case ALU_LOAD1:
		return source_set(alu, first, UINT64_MAX);
	case ALU_ADD:
		alu_result(alu, alu->srca + alu->srcb, alu->srca + alu->srcb < alu->srca);
		return true;
	case ALU_SUB:
		alu_result(alu, alu->srca - alu->srcb, alu->srca < alu->srcb);
		return true;
	case ALU_AND:
		alu_result(alu, alu->srca & alu->srcb, false);
		return true;
	case ALU_OR:
		alu_result(alu, alu->srca | alu->srcb, false);
		return true;
	case ALU_XOR:
		alu_result(alu, alu->srca ^ alu->srcb, false);
		return true;
	case ALU_STORE:
		return store(cs, alu, first, second, 0);
	case ALU_STOREINV:
		return store(cs, alu, first, second, UINT64_MAX);
	default:
		return false;
	}
}

enum cs_next mi_math(struct cs *cs, const uint32_t *dw, uint32_t dwords)
{
	struct alu alu = { 0 };

	for (uint32_t i = 1; i < dwords; i++) {
		if (!alu_step(cs, &alu, dw[i]))
			return cs_fault(cs, GPU_FAULT_OPCODE);
	}
	return CS_ADVANCE;
}
