/* SPDX-License-Identifier: MIT */
/*
 * Builds the OpRegion that config 0xFC (ASLS) points to, inside the unused part of BAR0.  Only
 * the mailbox of the video BIOS table is declared, so nothing in it is ever written by the guest:
 * no ACPI methods, no SWSCI calls, no backlight requests.  Called once for a vGPU.
 */
#include "vgpu/display/opregion.h"

#include <string.h>

#include "vgpu/display/vbt.h"

#define OPREGION_SIZE_KB 0x10
#define OPREGION_VERSION 0x14
#define OPREGION_MBOXES	 0x58
#define MBOX_VBT	 BIT(3)

_Static_assert(VGPU_OPREGION_VBT + VGPU_VBT_MAX_BYTES <= VGPU_OPREGION_BYTES, "the table fits");

void vgpu_opregion_build(const struct vgpu_port_config ports[VGPU_MAX_PORTS],
			 uint8_t opregion[VGPU_OPREGION_BYTES])
{
	memset(opregion, 0, VGPU_OPREGION_BYTES);
	memcpy(opregion, "IntelGraphicsMem", 16);
	opregion[OPREGION_SIZE_KB] = VGPU_OPREGION_BYTES >> 10;
	opregion[OPREGION_VERSION + 3] = 2; /* 2.0: the table is in this region, not beyond it */
	opregion[OPREGION_MBOXES] = MBOX_VBT;
	vgpu_vbt_build(ports, opregion + VGPU_OPREGION_VBT);
}
