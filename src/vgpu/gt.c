/* SPDX-License-Identifier: MIT */
/*
 * Small behaviours of the GT outside the engines: the clock, forcewake acknowledgements, the
 * PCU's mailbox, flushes of translation buffers, and the PVINFO page by which i915 and a mediated
 * device know each other.  Handlers, under vgpu->lock.
 */
#include <string.h>

#include "base/log.h"
#include "base/trace.h"
#include "vgpu/gt.h"
#include "vgpu/mmio.h"

/* ---- The clock: 36 bits at 12 MHz, the same for registers and commands ----------------------- */

#define TIMESTAMP_UDW_MASK 0xfu

uint32_t vgpu_read_ring_timestamp(struct vgpu *v, uint32_t offset)
{
	uint64_t now = gpu_timestamp();
	bool upper = (offset & 4) != 0; /* 0x358, 0x35c */

	return upper ? (uint32_t)(now >> 32) & TIMESTAMP_UDW_MASK : (uint32_t)now;
}

void vgpu_write_ring_timestamp(struct vgpu *v, uint32_t offset, uint32_t value)
{
	/* A shared clock is not set by one of its users. */
}

uint32_t vgpu_read_guc_timestamp(struct vgpu *v, uint32_t offset)
{
	return (uint32_t)gpu_timestamp();
}

/* ---- Forcewake: the power wells are always up, the acknowledgement mirrors the request --------
 */

void vgpu_write_forcewake(struct vgpu *v, uint32_t offset, uint32_t value)
{
	uint32_t mask = value >> 16;
	uint32_t now = (vgpu_vreg(v, offset) & ~mask) | (value & mask);

	vgpu_vreg_set(v, offset, now);
	switch (offset) {
	case REG_FORCEWAKE_RENDER_GEN9:
		vgpu_vreg_set(v, REG_FORCEWAKE_ACK_RENDER_GEN9, now);
		break;
	case REG_FORCEWAKE_MEDIA_GEN9:
		vgpu_vreg_set(v, REG_FORCEWAKE_ACK_MEDIA_GEN9, now);
		break;
	default: /* FORCEWAKE_MT: the ungated domain, under its names of several generations */
		vgpu_vreg_set(v, REG_FORCEWAKE_ACK_HSW, now);
		vgpu_vreg_set(v, REG_FORCEWAKE_ACK, now);
	}
}

/* ---- The PCU's mailbox ----------------------------------------------------------------------- */

#define PCODE_READY	BIT(31)
#define PCODE_ERROR_CMD 0x1u /* GEN6_PCODE_ILLEGAL_CMD */

#define PCODE_READ_MEM_LATENCY 0x06u
#define PCODE_CDCLK_CONTROL    0x07u
#define PCODE_DUTY_CYCLE       0x1au
#define PCODE_SAGV_CONTROL     0x21u

/* Answers the request; GEN6_PCODE_DATA holds its argument and then its result. */
static uint32_t pcode_run(struct vgpu *v, uint32_t command)
{
	uint32_t data = vgpu_vreg(v, REG_GEN6_PCODE_DATA);

	switch (command) {
	case PCODE_READ_MEM_LATENCY:
		/* Microseconds of latency of memory levels 0 to 3 and 4 to 7, a byte each. */
		vgpu_vreg_set(v, REG_GEN6_PCODE_DATA, data ? 0x61514b3d : 0x1e1a1102);
		return 0;
	case PCODE_CDCLK_CONTROL:
	case PCODE_SAGV_CONTROL:
		vgpu_vreg_set(v, REG_GEN6_PCODE_DATA, 1); /* ready, done */
		return 0;
	case PCODE_DUTY_CYCLE:
		vgpu_vreg_set(v, REG_GEN6_PCODE_DATA, 0);
		return 0;
	default:
		return PCODE_ERROR_CMD;
	}
}

void vgpu_write_pcode_mailbox(struct vgpu *v, uint32_t offset, uint32_t value)
{
	if (value & PCODE_READY)
		value = pcode_run(v, value & 0xff);
	vgpu_vreg_set(v, offset, value);
}

/* ---- Flushes --------------------------------------------------------------------------------- */

/* One register for each engine; the bit clears when the flush is done. */
void vgpu_write_tlb_invalidate(struct vgpu *v, uint32_t offset, uint32_t value)
{
	if (value & 1)
		vgpu_engines_invalidate(v);
	vgpu_vreg_set(v, offset, value & ~1u);
}

void vgpu_write_ggtt_flush(struct vgpu *v, uint32_t offset, uint32_t value)
{
	vgpu_vreg_set(v, offset, value);
	for_each_engine(id)
		shadow_ggtt_invalidate(&v->engines[id].ggtt);
	vgpu_aperture_changed(v);
}

void vgpu_write_fence(struct vgpu *v, uint32_t offset, uint32_t value)
{
	vgpu_vreg_set(v, offset, value);
	vgpu_aperture_changed(v);
}

/* ---- PVINFO ---------------------------------------------------------------------------------- */

#define PVINFO_MAGIC	     0x4776544776544776ull /* "vGTvGTvG" */
#define VGT_CAPS_FULL_PPGTT  BIT(2)
#define VGT_CAPS_HWSP	     BIT(3)
#define VGT_G2V_PPGTT_L3_DEL 3u
#define VGT_G2V_PPGTT_L4_DEL 5u

void vgpu_write_pvinfo_ready(struct vgpu *v, uint32_t offset, uint32_t value)
{
	vgpu_vreg_set(v, offset, value);
	if (v->driver_ready == (value != 0))
		return;
	v->driver_ready = value != 0;
	log_limited(LOG_INFO, "%s",
		    value ? "the guest's driver is ready" : "the guest's driver has left");
}

void vgpu_write_pvinfo_notify(struct vgpu *v, uint32_t offset, uint32_t value)
{
	const gpa_t root = gpa((uint64_t)vgpu_vreg(v, REG_PVINFO_PDP + 4) << 32 |
			       vgpu_vreg(v, REG_PVINFO_PDP));

	TRACE(vgpu_notify, value, root.v, 0, 0);
	vgpu_vreg_set(v, offset, value);
	/* Tables that go away must not live on in a translation; new ones were never seen. */
	if (value != VGT_G2V_PPGTT_L3_DEL && value != VGT_G2V_PPGTT_L4_DEL)
		return;
	for_each_engine(id)
		shadow_ppgtt_invalidate(&v->engines[id].ppgtt);
	shadow_tracker_drop(v->config.tracker, &root);
}

void vgpu_pvinfo_reset(struct vgpu *v)
{
	const struct vgpu_type *type = v->config.type;

	vgpu_vreg_set(v, REG_PVINFO_MAGIC_LO, (uint32_t)PVINFO_MAGIC);
	vgpu_vreg_set(v, REG_PVINFO_MAGIC_HI, (uint32_t)(PVINFO_MAGIC >> 32));
	vgpu_vreg_set(v, REG_PVINFO_VERSION, 1); /* major 1, minor 0 */
	vgpu_vreg_set(v, REG_PVINFO_VGT_ID, 1);
	vgpu_vreg_set(v, REG_PVINFO_VGT_CAPS, VGT_CAPS_FULL_PPGTT | VGT_CAPS_HWSP);
	vgpu_vreg_set(v, REG_PVINFO_MAPPABLE_BASE, 0);
	vgpu_vreg_set(v, REG_PVINFO_MAPPABLE_SIZE, (uint32_t)type->mappable_bytes);
	/* i915 takes GGTT addresses below the size of BAR2 for mappable ones. */
	vgpu_vreg_set(v, REG_PVINFO_NONMAPPABLE_BASE, (uint32_t)type->aperture_bytes);
	vgpu_vreg_set(v, REG_PVINFO_NONMAPPABLE_SIZE, (uint32_t)type->nonmappable_bytes);
	vgpu_vreg_set(v, REG_PVINFO_FENCE_NUM, type->fences);
	v->driver_ready = false;
}
