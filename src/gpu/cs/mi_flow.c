/* SPDX-License-Identifier: MIT */
/*
 * The MI commands that decide what comes next: batches, predication, waiting; and those whose
 * whole effect is one register or interrupt.  Called by cs.c on the lane.
 *
 * The streamer keeps three addresses: ring, first level batch, second level batch, and no stack.
 * MI_BATCH_BUFFER_START replaces the address of the level it names (chaining), so a batch that
 * calls itself for ever needs no memory; MI_BATCH_BUFFER_END goes back one level.
 */
#include "gpu/cs/cs.h"

#define MI_NOOP_WRITE_NOPID   BIT(22)
#define MI_ARB_ENABLE	      BIT(0)
#define MI_BATCH_PPGTT	      BIT(8)
#define MI_BATCH_PREDICATE    BIT(15)
#define MI_BATCH_ADD_OFFSET   BIT(16)
#define MI_BATCH_2ND_LEVEL    BIT(22)
#define MI_COMPARE_MASK_MODE  BIT(19)
#define MI_COMPARE_SEMAPHORE  BIT(21)
#define MI_USE_GGTT	      BIT(22)
#define MI_SEMAPHORE_POLL_REG BIT(16)
#define BB_OFFSET	      0x158u /* from the engine's base */

enum cs_next mi_noop(struct cs *cs, const uint32_t *dw)
{
	if (unlikely(dw[0] & MI_NOOP_WRITE_NOPID))
		cs_set_reg(cs, CS_REG_NOPID, dw[0] & (MI_NOOP_WRITE_NOPID - 1));
	return CS_ADVANCE;
}

/* It does not outlive the context's stay on the engine. */
enum cs_next mi_arb_on_off(struct cs *cs, const uint32_t *dw)
{
	cs->workload->arbitration_off = !(dw[0] & MI_ARB_ENABLE);
	return CS_ADVANCE;
}

/* ---- Batches -------------------------------------------------------------------------------- */

static void enter_batch(struct cs *cs, unsigned int level, uint64_t address, bool ppgtt)
{
	cs->at.bb_head[level] = address;
	cs->at.bb_valid[level] = true;
	cs->at.bb_ppgtt[level] = ppgtt;
	if (level == 0)
		cs->at.bb_valid[1] = false;
	cs_set_source(cs, level ? CS_SOURCE_BATCH2 : CS_SOURCE_BATCH1);
	cs_count(&cs->batches, 1);
	TRACE(gpu_batch, cs->engine, address, level, ppgtt);
}

/* BB_OFFSET counts bytes; its low two bits are none of it. */
static uint64_t batch_address(struct cs *cs, const uint32_t *dw)
{
	uint64_t address = cs_operand(&dw[1], 2).v;

	if (dw[0] & MI_BATCH_ADD_OFFSET)
		address += cs_reg_read(cs, cs->base + BB_OFFSET) & ~3u;
	return address & (BIT_ULL(48) - 1);
}

enum cs_next mi_batch_buffer_start(struct cs *cs, const uint32_t *dw)
{
	unsigned int level = dw[0] & MI_BATCH_2ND_LEVEL ? 1 : 0;
	/* What a user batch starts is a user batch again. */
	bool ppgtt = cs->user || (dw[0] & MI_BATCH_PPGTT);

	if ((dw[0] & MI_BATCH_PREDICATE) && !(cs_reg(cs, CS_REG_PREDICATE_RES_1) & 1))
		return CS_ADVANCE;
	if (cs->source == CS_SOURCE_INDIRECT || cs->source == CS_SOURCE_PER_CTX ||
	    (cs->source == CS_SOURCE_RING && level))
		return cs_fault(cs, GPU_FAULT_NESTING);
	if (!cs->follow_batches) {
		cs_count(&cs->batches, 1);
		return CS_ADVANCE;
	}
	if (!ppgtt && cs->source != CS_SOURCE_RING && !cs_audit_spend(cs, CS_AUDIT_JUMP_DWORDS))
		return cs_fault(cs, GPU_FAULT_ENDLESS);
	/* The caller goes on behind the command; a chained batch leaves nothing behind. */
	cs_skip(cs, 3);
	enter_batch(cs, level, batch_address(cs, dw), ppgtt);
	return CS_JUMP;
}

/* Predication by MI_SET_PREDICATE ends with the batch that asked for it. */
static enum cs_next leave_to_ring(struct cs *cs)
{
	TRACE(gpu_batch_end, cs->engine, 0, 0, 0);
	cs->at.bb_valid[0] = cs->at.bb_valid[1] = false;
	cs->at.set_predicate = 0;
	cs_set_source(cs, CS_SOURCE_RING);
	return CS_JUMP;
}

enum cs_next mi_batch_buffer_end(struct cs *cs)
{
	switch (cs->source) {
	case CS_SOURCE_BATCH1:
		return leave_to_ring(cs);
	case CS_SOURCE_BATCH2:
		TRACE(gpu_batch_end, cs->engine, 1, 0, 0);
		cs->at.bb_valid[1] = false;
		cs_set_source(cs, CS_SOURCE_BATCH1);
		return CS_JUMP;
	default:
		/* In the ring or an indirect context batch there is nothing to end. */
		return CS_ADVANCE;
	}
}

/*
 * The batch goes on while memory holds more than the command's dword; otherwise it ends, together
 * with the first level batch when it is of the second.  In mask mode memory holds a mask behind the
 * value.
 */
enum cs_next mi_conditional_batch_buffer_end(struct cs *cs, const uint32_t *dw)
{
	bool ggtt = dw[0] & MI_USE_GGTT;
	gma_t address = cs_operand(&dw[2], 3);
	uint64_t value;

	if (cs_forbidden(cs, ggtt) || !(dw[0] & MI_COMPARE_SEMAPHORE))
		return CS_ADVANCE;
	if (!as_read64(cs_as(cs, ggtt), address, &value))
		return cs_fault_address(cs, ggtt, address, false);
	if (dw[0] & MI_COMPARE_MASK_MODE)
		value &= value >> 32;
	if ((uint32_t)value > dw[1])
		return CS_ADVANCE;
	if (cs->source != CS_SOURCE_BATCH1 && cs->source != CS_SOURCE_BATCH2)
		return CS_ADVANCE;
	return leave_to_ring(cs);
}

/* ---- Predicates ----------------------------------------------------------------------------- */

enum {
	SET_PREDICATE_NEVER,
	SET_PREDICATE_RESULT_2_CLEAR,
	SET_PREDICATE_RESULT_2_SET,
	SET_PREDICATE_RESULT_CLEAR,
	SET_PREDICATE_RESULT_SET,
	SET_PREDICATE_UNLESS_ONE_SLICE,
	SET_PREDICATE_UNLESS_TWO_SLICES,
	SET_PREDICATE_UNLESS_THREE_SLICES,
	SET_PREDICATE_ALWAYS = 15,
};

enum cs_next mi_set_predicate(struct cs *cs, const uint32_t *dw)
{
	cs->at.set_predicate = dw[0] & 15;
	return CS_ADVANCE;
}

/* True when the commands after MI_SET_PREDICATE are no-ops now. */
bool cs_predicated_off(struct cs *cs)
{
	switch (cs->at.set_predicate) {
	case SET_PREDICATE_RESULT_2_CLEAR:
		return !(cs_reg(cs, CS_REG_PREDICATE_RES_2) & 1);
	case SET_PREDICATE_RESULT_2_SET:
		return cs_reg(cs, CS_REG_PREDICATE_RES_2) & 1;
	case SET_PREDICATE_RESULT_CLEAR:
		return !cs_predicate(cs);
	case SET_PREDICATE_RESULT_SET:
		return cs_predicate(cs);
	case SET_PREDICATE_UNLESS_TWO_SLICES: /* a GT2 has one */
	case SET_PREDICATE_UNLESS_THREE_SLICES:
	case SET_PREDICATE_ALWAYS:
		return true;
	default:
		return false;
	}
}

enum { COMPARE_TRUE, COMPARE_FALSE, COMPARE_SRCS_EQUAL, COMPARE_DELTAS_EQUAL };
enum { COMBINE_SET, COMBINE_AND, COMBINE_OR, COMBINE_XOR };
enum { LOAD_KEEP, LOAD_LOAD = 2, LOAD_LOADINV = 3 };

static bool predicate_compare(struct cs *cs, unsigned int operation)
{
	uint64_t src0 = cs_reg64(cs, CS_REG_PREDICATE_SRC0);
	uint64_t src1 = cs_reg64(cs, CS_REG_PREDICATE_SRC1);

	switch (operation) {
	case COMPARE_TRUE:
		return true;
	case COMPARE_SRCS_EQUAL:
		return src0 == src1;
	case COMPARE_DELTAS_EQUAL:
		return src0 - src1 == cs_reg64(cs, CS_REG_PREDICATE_DATA);
	default:
		return false;
	}
}

enum cs_next mi_predicate(struct cs *cs, const uint32_t *dw)
{
	bool result = predicate_compare(cs, dw[0] & 3), before = cs_predicate(cs);
	unsigned int load = dw[0] >> 6 & 3;

	switch (dw[0] >> 3 & 3) {
	case COMBINE_AND:
		result = result && before;
		break;
	case COMBINE_OR:
		result = result || before;
		break;
	case COMBINE_XOR:
		result = result != before;
		break;
	}
	if (load == LOAD_LOAD || load == LOAD_LOADINV)
		cs_set_reg(cs, CS_REG_PREDICATE_RESULT, result != (load == LOAD_LOADINV));
	return CS_ADVANCE;
}

/* ---- Waiting -------------------------------------------------------------------------------- */

/* SAD: the dword in memory; SDD: the one in the command. */
static bool semaphore_passes(unsigned int operation, uint32_t sad, uint32_t sdd)
{
	switch (operation) {
	case 0:
		return sad > sdd;
	case 1:
		return sad >= sdd;
	case 2:
		return sad < sdd;
	case 3:
		return sad <= sdd;
	case 4:
		return sad == sdd;
	default:
		return sad != sdd;
	}
}

/*
 * Signal mode waits like poll mode: the lane comes back after a while and looks again.
 * MI_SEMAPHORE_SIGNAL has then nothing to do.
 */
enum cs_next mi_semaphore_wait(struct cs *cs, const uint32_t *dw)
{
	bool ggtt = cs_memory_type(cs, dw[0]), poll_register = dw[0] & MI_SEMAPHORE_POLL_REG;
	gma_t address = cs_operand(&dw[2], 2);
	uint32_t value;

	if (poll_register && cs->user)
		return CS_ADVANCE;
	if (poll_register)
		value = cs_reg_read(cs, dw[2] & 0x7ffffc);
	else if (!as_read32(cs_as(cs, ggtt), address, &value))
		return cs_fault_address(cs, ggtt, address, false);
	if (semaphore_passes(dw[0] >> 12 & 7, value, dw[1])) {
		/* What comes next may have been written before the semaphore was. */
		if (cs->waiting) {
			cs_skip(cs, 4);
			cs_drop_window(cs);
			cs->waiting = false;
			return CS_JUMP;
		}
		return CS_ADVANCE;
	}
	if (!cs->waiting && !poll_register)
		cs_interrupt(cs, GPU_INTERRUPT_WAIT_SEMAPHORE);
	cs->waiting = true;
	return CS_WAIT;
}

/* ---- Display -------------------------------------------------------------------------------- */

/* A flip queued in the command stream: of the first, second or third plane of a pipe. */
enum cs_next mi_display_flip(struct cs *cs, const uint32_t *dw)
{
	/* Display Plane Select: 0 to 2 the first planes of pipes A to C, from 4 on the others. */
	unsigned int select = dw[0] >> 8 & 31;
	unsigned int index = select < 3 ? select : select - 1;
	const struct gpu_flip flip = {
		.pipe = index % 3,
		.plane = index / 3,
		.stride = dw[1] >> 6 & 0x3ff,
		.tiling = dw[1] & 7,
		.surface = dw[2] & ~0xfffu,
	};

	if (select != 3 && select <= 9 && cs->client->ops->flip)
		cs->client->ops->flip(cs->client, &flip);
	return CS_ADVANCE;
}
