/* SPDX-License-Identifier: MIT */
/*
 * Resets: GDRST by domain, the RESET_CTL handshake before it, STOP_RING, and the registers that
 * say where a ring stands.  GDRST is done when the write returns: the engine's lane is stopped
 * before its next command and let go of.  That waits for the lane and so must not hold
 * vgpu->lock, which the lane may want: the row is `unlocked`.
 */
#include "base/trace.h"
#include "vgpu/mmio.h"

#define GDRST_FULL   BIT(0)
#define GDRST_RENDER BIT(1)
#define GDRST_MEDIA  BIT(2)
#define GDRST_BLT    BIT(3)
#define GDRST_VECS   BIT(4)

#define RESET_CTL_REQUEST BIT(0)
#define RESET_CTL_READY	  BIT(1)

#define MI_MODE_STOP_RING BIT(8)
#define MI_MODE_IDLE	  BIT(9)

#define BB_ADDR_VALID  BIT(0)
#define BB_STATE_PPGTT BIT(5)

static struct vgpu_engine *engine_of(struct vgpu *v, uint32_t offset)
{
	uint32_t base = offset & ~(uint32_t)(PAGE_BYTES - 1);

	for_each_engine(id)
		if (v->engines[id].base == base)
			return &v->engines[id];
	return NULL; /* no row of another block names these handlers */
}

/* ---- GDRST ----------------------------------------------------------------------------------- */

uint32_t vgpu_read_gdrst(struct vgpu *v, uint32_t offset)
{
	return 0; /* every domain is out of reset again */
}

void vgpu_write_gdrst(struct vgpu *v, uint32_t offset, uint32_t value)
{
	static const uint32_t domain[GPU_ENGINES] = {
		[GPU_RCS] = GDRST_RENDER,
		[GPU_BCS] = GDRST_BLT,
		[GPU_VCS0] = GDRST_MEDIA,
		[GPU_VECS] = GDRST_VECS,
	};

	uint32_t chosen = 0;

	for_each_engine(id) {
		if (!(value & (domain[id] | GDRST_FULL)))
			continue;
		chosen |= BIT(id);
		if (!(value & GDRST_FULL))
			vgpu_count(&v->counters.engine_resets[id]);
	}
	if (chosen)
		vgpu_engines_reset(v, chosen);
	if (value & GDRST_FULL) {
		vgpu_count(&v->counters.full_resets);
		TRACE(vgpu_reset_full, 0, 0, 0, 0);
	}
}

void vgpu_write_ring_reset_ctl(struct vgpu *v, uint32_t offset, uint32_t value)
{
	uint32_t mask = value >> 16, now = vgpu_vreg(v, offset);

	now = (now & ~mask) | (value & mask);
	now &= RESET_CTL_REQUEST;
	vgpu_vreg_set(v, offset, now ? RESET_CTL_REQUEST | RESET_CTL_READY : 0);
}

/* ---- MI_MODE --------------------------------------------------------------------------------- */

uint32_t vgpu_read_ring_mi_mode(struct vgpu *v, uint32_t offset)
{
	struct vgpu_engine *e = engine_of(v, offset);
	uint32_t value = vgpu_vreg(v, offset) & 0xffff & ~MI_MODE_IDLE;

	if (!atomic_load(&e->active) || atomic_load(&e->stopped))
		value |= MI_MODE_IDLE;
	return value;
}

void vgpu_write_ring_mi_mode(struct vgpu *v, uint32_t offset, uint32_t value)
{
	struct vgpu_engine *e = engine_of(v, offset);
	struct gpu *gpu = v->config.gpu;
	bool stop;

	vgpu_reg_store(v, offset, value);
	stop = (vgpu_vreg(v, offset) & MI_MODE_STOP_RING) != 0;
	if (stop == atomic_exchange(&e->stopped, stop))
		return;
	if (stop)
		gpu->ops->stop(gpu, e->id);
	else
		sched_kick(&e->entity);
}

/* ---- Where the ring stands ------------------------------------------------------------------- */

static bool where(struct vgpu_engine *e, struct gpu_cs_state *cs, uint32_t *header)
{
	struct gpu *gpu = e->vgpu->config.gpu;

	if (!atomic_load_explicit(&e->active, memory_order_acquire))
		return false;
	gpu->ops->where(gpu, e->id, cs, header);
	return true;
}

uint32_t vgpu_read_ring_head(struct vgpu *v, uint32_t offset)
{
	struct gpu_cs_state cs;
	uint32_t header;

	return where(engine_of(v, offset), &cs, &header) ? cs.head : vgpu_vreg(v, offset);
}

uint32_t vgpu_read_ring_ipehr(struct vgpu *v, uint32_t offset)
{
	struct gpu_cs_state cs;
	uint32_t header;

	if (where(engine_of(v, offset), &cs, &header))
		vgpu_vreg_set(v, offset, header);
	return vgpu_vreg(v, offset);
}

static uint64_t acthd(struct vgpu *v, uint32_t offset)
{
	struct vgpu_engine *e = engine_of(v, offset);
	struct gpu_cs_state cs;
	uint32_t header;

	if (!where(e, &cs, &header))
		return vgpu_vreg(v, REG_RING_START(e->base)) + vgpu_vreg(v, REG_RING_HEAD(e->base));
	if (cs.bb_valid[1])
		return cs.bb_head[1];
	if (cs.bb_valid[0])
		return cs.bb_head[0];
	return vgpu_vreg(v, REG_RING_START(e->base)) + cs.head;
}

uint32_t vgpu_read_ring_acthd(struct vgpu *v, uint32_t offset)
{
	return (uint32_t)acthd(v, offset);
}

uint32_t vgpu_read_ring_acthd_udw(struct vgpu *v, uint32_t offset)
{
	return (uint32_t)(acthd(v, offset) >> 32);
}

uint32_t vgpu_read_ring_bb(struct vgpu *v, uint32_t offset)
{
	struct vgpu_engine *e = engine_of(v, offset);
	uint32_t reg = offset - e->base;
	bool second = reg >= REG_RING_SBBADDR(0) && reg <= REG_RING_SBBADDR_UDW(0);
	struct gpu_cs_state cs;
	uint32_t header;
	uint64_t address;

	if (!where(e, &cs, &header))
		return vgpu_vreg(v, offset);
	address = cs.bb_valid[second] ? cs.bb_head[second] | BB_ADDR_VALID : 0;
	if (reg == REG_RING_BBSTATE(0) || reg == REG_RING_SBBSTATE(0))
		return cs.bb_ppgtt[second] ? BB_STATE_PPGTT : 0;
	if (reg == REG_RING_BBADDR_UDW(0) || reg == REG_RING_SBBADDR_UDW(0))
		return (uint32_t)(address >> 32);
	return (uint32_t)address;
}
