/* SPDX-License-Identifier: MIT */
/* Writes the EDID of a monitor that wants one mode.  A pure function. */
#ifndef VGPU_DISPLAY_EDID_H
#define VGPU_DISPLAY_EDID_H

#include "vgpu/display/monitor.h"

#define VGPU_EDID_BLOCK_BYTES 128u
#define VGPU_EDID_MAX_BYTES   (2 * VGPU_EDID_BLOCK_BYTES)

/*
 * EDID 1.3 with @timing preferred, and the standard modes below it.  An HDMI monitor faster than
 * a single DVI link adds a CTA-861 block that says so.  @serial tells monitors apart.
 * Returns the bytes written: 128 or 256.
 */
size_t vgpu_edid_build(enum vgpu_port_kind kind, const struct vgpu_timing *timing, uint32_t serial,
		       uint8_t edid[VGPU_EDID_MAX_BYTES]);

#endif
