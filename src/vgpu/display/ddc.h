/* SPDX-License-Identifier: MIT */
/*
 * A monitor's end of the DDC wires: an EDID memory at I2C address 0x50.  GMBUS and the AUX
 * channel both talk to it.  Called with vgpu->lock held.
 */
#ifndef VGPU_DISPLAY_DDC_H
#define VGPU_DISPLAY_DDC_H

#include "base/types.h"

#define VGPU_DDC_ADDRESS 0x50u

struct vgpu_ddc {
	const uint8_t *edid;
	size_t edid_bytes; /* 0: no monitor, every address is refused */
	uint8_t pointer;
};

/* True when a device at 7-bit @address answers. */
static inline bool vgpu_ddc_acks(const struct vgpu_ddc *ddc, uint8_t address)
{
	return ddc->edid_bytes && address == VGPU_DDC_ADDRESS;
}

/* The next byte of the EDID; the pointer wraps as the memory's does. */
static inline uint8_t vgpu_ddc_read(struct vgpu_ddc *ddc)
{
	uint8_t at = ddc->pointer++;

	return at < ddc->edid_bytes ? ddc->edid[at] : 0xff;
}

/* The one thing a write does: set the pointer. */
static inline void vgpu_ddc_write(struct vgpu_ddc *ddc, uint8_t value)
{
	ddc->pointer = value;
}

#endif
