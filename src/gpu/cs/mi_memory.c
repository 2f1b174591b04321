/* SPDX-License-Identifier: MIT */
/*
 * The MI commands that move data in memory.  Called by cs.c on the lane.  A store is done when the
 * command is: what comes later in the stream, and whoever sees what comes later, sees it.
 */
#include "gpu/cs/cs.h"

#define MI_USE_GGTT	     BIT(22)
#define MI_STORE_QWORD	     BIT(21)
#define MI_COPY_FROM_GGTT    BIT(22)
#define MI_COPY_TO_GGTT	     BIT(21)
#define MI_USE_PER_PROCESS   BIT(21)
#define MI_ATOMIC_RETURN     BIT(16)
#define MI_ATOMIC_INLINE     BIT(18)
#define MI_PERF_COUNT_GGTT   BIT(0)
#define PERF_REPORT_BYTES    256u
#define HWSP_RING_HEAD_BYTES 4u

enum cs_next mi_store_data_imm(struct cs *cs, const uint32_t *dw, uint32_t dwords)
{
	bool ggtt = dw[0] & MI_USE_GGTT, ok;
	gma_t address = cs_operand(&dw[1], 2), fault_at = address;

	if (cs_forbidden(cs, ggtt))
		return CS_ADVANCE;
	if ((dw[0] & MI_STORE_QWORD) && (dwords - 3) % 2)
		return cs_fault(cs, GPU_FAULT_LENGTH);
	if ((dw[0] & MI_STORE_QWORD) && dwords == 5)
		ok = as_write64(cs_as(cs, ggtt), address, dw[3] | (uint64_t)dw[4] << 32);
	else if (dwords == 4)
		ok = as_write32(cs_as(cs, ggtt), address, dw[3]);
	else
		ok = gpu_as_write(cs_as(cs, ggtt), address, &dw[3], (dwords - 3) * 4ul,
				  &fault_at) == 0;
	return ok ? CS_ADVANCE : cs_fault_address(cs, ggtt, fault_at, true);
}

/* Into the engine's status page, or into the context's. */
enum cs_next mi_store_data_index(struct cs *cs, const uint32_t *dw, uint32_t dwords)
{
	gma_t page = dw[0] & MI_USE_PER_PROCESS ? cs->workload->context_page
						: cs->workload->status_page;
	gma_t address = gma(page.v + (dw[1] & 0xffc));
	bool ok;

	if (dwords == 4)
		ok = as_write64(cs->workload->ggtt, address, dw[2] | (uint64_t)dw[3] << 32);
	else
		ok = as_write32(cs->workload->ggtt, address, dw[2]);
	return ok ? CS_ADVANCE : cs_fault_address(cs, true, address, true);
}

enum cs_next mi_report_head(struct cs *cs)
{
	gma_t address = gma(cs->workload->status_page.v + HWSP_RING_HEAD_BYTES);

	if (!as_write32(cs->workload->ggtt, address, cs->at.head))
		return cs_fault_address(cs, true, address, true);
	return CS_ADVANCE;
}

enum cs_next mi_copy_mem_mem(struct cs *cs, const uint32_t *dw)
{
	bool to_ggtt = dw[0] & MI_COPY_TO_GGTT, from_ggtt = dw[0] & MI_COPY_FROM_GGTT;
	gma_t to = cs_operand(&dw[1], 2), from = cs_operand(&dw[3], 2);
	uint32_t value;

	if (cs_forbidden(cs, to_ggtt || from_ggtt))
		return CS_ADVANCE;
	if (!as_read32(cs_as(cs, from_ggtt), from, &value))
		return cs_fault_address(cs, from_ggtt, from, false);
	if (!as_write32(cs_as(cs, to_ggtt), to, value))
		return cs_fault_address(cs, to_ggtt, to, true);
	return CS_ADVANCE;
}

/* ---- MI_ATOMIC ------------------------------------------------------------------------------ */

enum atomic_size { ATOMIC_DWORD, ATOMIC_QWORD, ATOMIC_OCTWORD };

/*
 * In the command, the dwords of the two operands alternate from dword 3 on; what the command is
 * too short for is zero.  Otherwise they lie in GPR 0 and 2 (upper halves of octwords: 1 and 3).
 */
static void atomic_operands(struct cs *cs, const uint32_t *dw, uint32_t dwords,
			    uint64_t operand[2][2])
{
	for (unsigned int i = 0; i < 2; i++) {
		for (unsigned int half = 0; half < 2; half++) {
			unsigned int low = 3 + 4 * half + i, high = low + 2;

			if (!(dw[0] & MI_ATOMIC_INLINE)) {
				operand[i][half] = cs_reg64(cs, CS_REG_GPR + 2 * (2 * i + half));
				continue;
			}
			operand[i][half] = low < dwords ? dw[low] : 0;
			if (high < dwords)
				operand[i][half] |= (uint64_t)dw[high] << 32;
		}
	}
}

static enum cs_next atomic_plain(struct cs *cs, const uint32_t *dw, enum atomic_size size,
				 uint64_t operand[2][2])
{
	bool ggtt = cs_memory_type(cs, dw[0]), ok;
	gma_t address = cs_operand(&dw[1], 2);
	enum as_atomic op = dw[0] >> 8 & 15;
	const uint64_t low[2] = { operand[0][0], operand[1][0] };
	uint64_t returned = 0;

	if (size == ATOMIC_DWORD)
		ok = as_atomic32(cs_as(cs, ggtt), address, op, low, &returned);
	else
		ok = as_atomic64(cs_as(cs, ggtt), address, op, low, &returned);
	if (!ok)
		return cs_fault_address(cs, ggtt, address, true);
	if (!(dw[0] & MI_ATOMIC_RETURN))
		return CS_ADVANCE;
	if (size == ATOMIC_DWORD)
		cs_set_reg(cs, CS_REG_GPR + 8, (uint32_t)returned);
	else
		cs_set_reg64(cs, CS_REG_GPR + 8, returned);
	return CS_ADVANCE;
}

/* Sixteen bytes know compare-and-write only. */
static enum cs_next atomic_octword(struct cs *cs, const uint32_t *dw, uint64_t operand[2][2])
{
	bool ggtt = cs_memory_type(cs, dw[0]);
	gma_t address = cs_operand(&dw[1], 2);
	unsigned __int128 compare = operand[0][0] | (unsigned __int128)operand[0][1] << 64;
	unsigned __int128 value = operand[1][0] | (unsigned __int128)operand[1][1] << 64, old;

	if (!as_compare_write128(cs_as(cs, ggtt), address, compare, value, &old))
		return cs_fault_address(cs, ggtt, address, true);
	if (dw[0] & MI_ATOMIC_RETURN) {
		cs_set_reg64(cs, CS_REG_GPR + 8, (uint64_t)old);
		cs_set_reg64(cs, CS_REG_GPR + 10, (uint64_t)(old >> 64));
	}
	return CS_ADVANCE;
}

enum cs_next mi_atomic(struct cs *cs, const uint32_t *dw, uint32_t dwords)
{
	enum atomic_size size = dw[0] >> 19 & 3;
	uint64_t operand[2][2];
	unsigned int op = dw[0] >> 8 & 15;

	if (size > ATOMIC_OCTWORD || !op || (size == ATOMIC_OCTWORD && op != AS_ATOMIC_CMPWR))
		return cs_fault(cs, GPU_FAULT_OPCODE);
	if (cs_operand(&dw[1], 2).v & ((4u << size) - 1))
		return cs_fault(cs, GPU_FAULT_ALIGNMENT);
	atomic_operands(cs, dw, dwords, operand);
	if (size == ATOMIC_OCTWORD)
		return atomic_octword(cs, dw, operand);
	return atomic_plain(cs, dw, size, operand);
}

/* ---- Performance counters ------------------------------------------------------------------- */

/* There are no counters behind it: the report has its ID and the time, and zeros. */
enum cs_next mi_report_perf_count(struct cs *cs, const uint32_t *dw)
{
	uint32_t report[PERF_REPORT_BYTES / 4] = { dw[3], (uint32_t)gpu_timestamp() };
	bool ggtt = dw[1] & MI_PERF_COUNT_GGTT;
	gma_t address = cs_operand(&dw[1], 6), fault_at = address;

	if (cs_forbidden(cs, ggtt))
		return CS_ADVANCE;
	if (gpu_as_write(cs_as(cs, ggtt), address, report, sizeof(report), &fault_at) < 0)
		return cs_fault_address(cs, ggtt, fault_at, true);
	return CS_ADVANCE;
}
