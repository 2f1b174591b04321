/* SPDX-License-Identifier: MIT */
/*
 * Registers that live in the command streamer, and the rules by which commands reach registers at
 * all.  cs_reg_owned_*() on any thread (a trapped access, a context load); the rest by cs.c's
 * commands on the lane.
 *
 * Registers are relaxed atomics of 32 bits.  A 64-bit one read while the engine runs may show two
 * halves of different moments, as it does on hardware.
 */
#include "gpu/cs/cs.h"

#define TIMESTAMP_OFFSET	0x358u
#define TIMESTAMP_UDW_OFFSET	0x35cu
#define FORCE_TO_NONPRIV_OFFSET 0x4d0u
#define FORCE_TO_NONPRIV_SLOTS	12u
#define FORCE_TO_NONPRIV_DENY	BIT(30)
#define TIMESTAMP_UDW_MASK	0xfu /* the clock is 36 bits wide */

struct reg_range {
	uint32_t first, last; /* offsets, both included */
	uint32_t index;	      /* place of the first in regs[] */
};

/* Relative to the engine's base, on every engine. */
static const struct reg_range common_ranges[] = {
	{ 0x600, 0x67c, CS_REG_GPR }, /* CS_GPR_R0 … R15 */
	{ 0x094, 0x094, CS_REG_NOPID },
	{ 0x3a8, 0x3a8, CS_REG_CTX_TIMESTAMP },
};

/* Absolute, the render engine's. */
static const struct reg_range render_ranges[] = {
	/* MI_PREDICATE_SRC0, SRC1, DATA, RESULT, RESULT_1; 3DPRIM_* */
	{ 0x2400, 0x2440, CS_REG_PREDICATE },
	{ 0x2500, 0x2508, CS_REG_DISPATCH_DIM }, /* GPGPU_DISPATCHDIMX … Z */
	{ 0x2290, 0x2294, CS_REG_STATISTICS },	 /* CS_INVOCATION_COUNT */
	/* HS_, DS_INVOCATION_COUNT, IA_VERTICES_COUNT … PS_INVOCATION_COUNT, PS_DEPTH_COUNT */
	{ 0x2300, 0x2354, CS_REG_STATISTICS + 2 },
	{ 0x5200, 0x521c, CS_REG_SO },	    /* SO_NUM_PRIMS_WRITTEN[4] */
	{ 0x5240, 0x525c, CS_REG_SO + 8 },  /* SO_PRIM_STORAGE_NEEDED[4] */
	{ 0x5280, 0x528c, CS_REG_SO + 16 }, /* SO_WRITE_OFFSET[4] */
	{ 0x23bc, 0x23bc, CS_REG_PREDICATE_RES_2 },
};

static int find(const struct reg_range *ranges, size_t count, uint32_t offset)
{
	for (size_t i = 0; i < count; i++) {
		if (offset >= ranges[i].first && offset <= ranges[i].last)
			return (int)(ranges[i].index + (offset - ranges[i].first) / 4);
	}
	return -1;
}

int cs_reg_find(enum gpu_engine engine, uint32_t offset)
{
	int index =
		find(common_ranges, ARRAY_SIZE(common_ranges), offset - gpu_engine_base(engine));

	if (index < 0 && engine == GPU_RCS)
		index = find(render_ranges, ARRAY_SIZE(render_ranges), offset);
	return index;
}

bool cs_reg_owned_read(struct cs *cs, uint32_t offset, uint32_t *value)
{
	int index;

	if (offset == cs->base + TIMESTAMP_OFFSET) {
		*value = (uint32_t)gpu_timestamp();
		return true;
	}
	if (offset == cs->base + TIMESTAMP_UDW_OFFSET) {
		*value = (uint32_t)(gpu_timestamp() >> 32) & TIMESTAMP_UDW_MASK;
		return true;
	}
	index = cs_reg_find(cs->engine, offset);
	if (index < 0)
		return false;
	*value = cs_reg(cs, (unsigned int)index);
	return true;
}

bool cs_reg_owned_write(struct cs *cs, uint32_t offset, uint32_t value)
{
	int index;

	/* The clock is everybody's: it cannot be set. */
	if (offset == cs->base + TIMESTAMP_OFFSET || offset == cs->base + TIMESTAMP_UDW_OFFSET)
		return true;
	index = cs_reg_find(cs->engine, offset);
	if (index < 0)
		return false;
	cs_set_reg(cs, (unsigned int)index, value);
	return true;
}

uint32_t cs_reg_read(struct cs *cs, uint32_t offset)
{
	uint32_t value;

	if (cs_reg_owned_read(cs, offset, &value))
		return value;
	return cs->client->ops->reg_read(cs->client, cs->engine, offset);
}

void cs_reg_write(struct cs *cs, uint32_t offset, uint32_t value)
{
	if (!cs_reg_owned_write(cs, offset, value))
		cs->client->ops->reg_write(cs->client, cs->engine, offset, value);
}

/* ---- What a user batch may write ------------------------------------------------------------ */

struct offset_range {
	uint32_t first, last;
};

/* User Mode Non-Privileged Registers, beside those that the streamer owns. */
static const struct offset_range user_render[] = {
	{ 0x20c0, 0x20c0 }, /* INSTPM */
	{ 0x20d8, 0x20d8 }, /* CS_DEBUG_MODE2 */
	{ 0x2158, 0x2158 }, /* BB_OFFSET */
	{ 0x24bc, 0x24c4 }, /* RS preemption hints */
	{ 0x7000, 0x7008 }, /* CACHE_MODE_0, CACHE_MODE_1, GT_MODE */
	{ 0x7034, 0x7034 }, /* L3CNTLREG */
};
static const struct offset_range user_blitter[] = {
	{ 0x22200, 0x22200 }, /* BCS_SWCTRL */
};

static bool in_ranges(const struct offset_range *ranges, size_t count, uint32_t offset)
{
	for (size_t i = 0; i < count; i++) {
		if (offset >= ranges[i].first && offset <= ranges[i].last)
			return true;
	}
	return false;
}

/*
 * The driver may open further registers: RING_FORCE_TO_NONPRIV holds an offset in bits 25:2, how
 * many registers (1, 4, 16, 64) in 1:0, and in 29:28 whether reading only (1) is meant.
 */
static bool opened_by_driver(struct cs *cs, uint32_t offset)
{
	for (unsigned int i = 0; i < FORCE_TO_NONPRIV_SLOTS; i++) {
		uint32_t slot = cs_reg_read(cs, cs->base + FORCE_TO_NONPRIV_OFFSET + 4 * i);
		uint32_t bytes = 4u << 2 * (slot & 3);
		uint32_t first = (slot & 0x3fffffc) & ~(bytes - 1);
		unsigned int access = slot >> 28 & 3;

		if ((slot & FORCE_TO_NONPRIV_DENY) || access == 1 || access == 3)
			continue;
		if (offset >= first && offset - first < bytes)
			return true;
	}
	return false;
}

static bool user_may_write(struct cs *cs, uint32_t offset)
{
	/* The context's own time is the scheduler's to read, not the context's to write. */
	if (offset == cs->base + 0x3a8)
		return false;
	if (cs_reg_find(cs->engine, offset) >= 0)
		return true;
	if (cs->engine == GPU_RCS && in_ranges(user_render, ARRAY_SIZE(user_render), offset))
		return true;
	if (cs->engine == GPU_BCS && in_ranges(user_blitter, ARRAY_SIZE(user_blitter), offset))
		return true;
	return opened_by_driver(cs, offset);
}

void cs_reg_write_checked(struct cs *cs, uint32_t offset, uint32_t value)
{
	if (cs->user && !user_may_write(cs, offset))
		return;
	cs_reg_write(cs, offset, value);
}
