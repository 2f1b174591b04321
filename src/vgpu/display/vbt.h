/* SPDX-License-Identifier: MIT */
/* Writes the video BIOS table that names the ports there are.  A pure function. */
#ifndef VGPU_DISPLAY_VBT_H
#define VGPU_DISPLAY_VBT_H

#include "vgpu/vgpu.h"

#define VGPU_VBT_MAX_BYTES 512u

/* A table of @ports (B, C, D in order) into @vbt; returns its size in bytes. */
size_t vgpu_vbt_build(const struct vgpu_port_config ports[VGPU_MAX_PORTS],
		      uint8_t vbt[VGPU_VBT_MAX_BYTES]);

#endif
