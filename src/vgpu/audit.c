/* SPDX-License-Identifier: MIT */
/*
 * What the privileged commands of a vGPU may do, told to scan/: the share of the GGTT that PVINFO
 * announces, and the registers whose rows let commands write them.  Made once, when the vGPU is
 * created and before an engine runs; constant afterwards.
 */
#include <string.h>

#include "vgpu/device.h"
#include "vgpu/mmio.h"

static void allow(struct vgpu *v, uint32_t offset)
{
	v->cs_writable[offset / 256] |= BIT_ULL(offset / 4 % 64);
}

/* Registers that a streamer keeps itself; the last one of any lies below 0x24000. */
static void allow_streamers(struct vgpu *v)
{
	struct gpu *gpu = v->config.gpu;
	uint32_t value;

	for (uint32_t offset = 0x2000; offset < 0x24000; offset += 4)
		for_each_engine(engine)
			if (gpu->ops->reg_read(gpu, engine, offset, &value))
				allow(v, offset);
}

void vgpu_audit_init(struct vgpu *v)
{
	const struct vgpu_type *type = v->config.type;

	v->share[0] = (struct gpu_range){ 0, type->mappable_bytes };
	v->share[1] = (struct gpu_range){ type->aperture_bytes,
					  type->aperture_bytes + type->nonmappable_bytes };
	for (unsigned int n = 0; n < VGPU_REG_ROWS; n++) {
		const struct vgpu_reg_row *row = &vgpu_reg_rows[n];

		if (!(row->flags & VGPU_REG_CS))
			continue;
		for (uint32_t at = row->offset; at < row->end; at += 4)
			allow(v, at);
	}
	allow_streamers(v);
	scan_audit_init(&v->audit, v->share, v->cs_writable);
}
