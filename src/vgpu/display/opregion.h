/* SPDX-License-Identifier: MIT */
/* The OpRegion: how firmware hands the video BIOS table to the driver.  Read-only bytes. */
#ifndef VGPU_DISPLAY_OPREGION_H
#define VGPU_DISPLAY_OPREGION_H

#include "vgpu/vgpu.h"

#define VGPU_OPREGION_VBT 0x400u

/* An OpRegion 2.0 of one mailbox: the table of @ports. */
void vgpu_opregion_build(const struct vgpu_port_config ports[VGPU_MAX_PORTS],
			 uint8_t opregion[VGPU_OPREGION_BYTES]);

#endif
