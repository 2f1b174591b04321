/* SPDX-License-Identifier: MIT */
/*
 * Decodes the scanout registers of Gen9 universal planes and cursors (i915: PLANE_CTL_*,
 * MCURSOR_*).  The values are the guest's: nothing here trusts a size, the grabber bounds them.
 * Pure functions; called with a snapshot of the latched registers.
 */
#include "vgpu/display/plane.h"

#define PLANE_CTL_ENABLE	      BIT(31)
#define PLANE_CTL_FORMAT(ctl)	      (((ctl) >> 24) & 0xf)
#define PLANE_CTL_FORMAT_XRGB_2101010 2u
#define PLANE_CTL_FORMAT_XRGB_8888    4u
#define PLANE_CTL_FORMAT_RGB_565      14u
#define PLANE_CTL_ORDER_RGBX	      BIT(20)
#define PLANE_CTL_TILED(ctl)	      (((ctl)&PLANE_CTL_TILED_MASK) >> PLANE_CTL_TILED_SHIFT)
#define PLANE_CTL_TILED_LINEAR	      0u
#define PLANE_CTL_TILED_X	      1u
#define PLANE_CTL_TILED_Y	      4u
#define PLANE_CTL_ROTATE_MASK	      3u

#define PLANE_STRIDE_MASK 0xfffu
#define SURF_MASK	  0xfffff000u

#define MCURSOR_MODE_MASK	0x27u
#define MCURSOR_MODE_128_32B_AX 0x02u
#define MCURSOR_MODE_256_32B_AX 0x03u
#define MCURSOR_MODE_64_32B_AX	0x07u
#define MCURSOR_MODE_ARGB	0x20u
#define CURSOR_POS_MASK		0x1fffu
#define CURSOR_POS_SIGN		BIT(15)
#define CUR_FBC_EN		BIT(31)
#define CUR_FBC_HEIGHT_MASK	0xffu

static bool format_decode(uint32_t ctl, enum display_format *format)
{
	bool swapped = ctl & PLANE_CTL_ORDER_RGBX;

	switch (PLANE_CTL_FORMAT(ctl)) {
	case PLANE_CTL_FORMAT_XRGB_8888:
		*format = swapped ? DISPLAY_XBGR8888 : DISPLAY_XRGB8888;
		return true;
	case PLANE_CTL_FORMAT_XRGB_2101010:
		*format = swapped ? DISPLAY_XBGR2101010 : DISPLAY_XRGB2101010;
		return true;
	case PLANE_CTL_FORMAT_RGB_565:
		*format = DISPLAY_RGB565;
		return true;
	default:
		return false;
	}
}

/* The stride register counts 64 bytes, or tile rows' widths: 512 bytes for X, 128 for Y. */
static bool tiling_decode(uint32_t ctl, enum display_tiling *tiling, uint32_t *unit_bytes)
{
	switch (PLANE_CTL_TILED(ctl)) {
	case PLANE_CTL_TILED_LINEAR:
		*tiling = DISPLAY_LINEAR;
		*unit_bytes = 64;
		return true;
	case PLANE_CTL_TILED_X:
		*tiling = DISPLAY_X_TILED;
		*unit_bytes = 512;
		return true;
	case PLANE_CTL_TILED_Y:
		*tiling = DISPLAY_Y_TILED;
		*unit_bytes = 128;
		return true;
	default:
		return false;
	}
}

void vgpu_plane_decode(const struct vgpu_plane_regs *regs, struct display_plane *plane)
{
	uint32_t unit_bytes = 0;

	/*
	 * The main surface of a compressed buffer is always whole here, so decompression needs
	 * nothing; the auxiliary surface is not looked at.
	 */
	*plane = (struct display_plane){ .enabled = false };
	if (!(regs->ctl & PLANE_CTL_ENABLE) || regs->ctl & PLANE_CTL_ROTATE_MASK)
		return;
	if (!format_decode(regs->ctl, &plane->format) ||
	    !tiling_decode(regs->ctl, &plane->tiling, &unit_bytes))
		return;
	plane->enabled = true;
	plane->surface = gma(regs->surf & SURF_MASK);
	plane->stride_bytes = (regs->stride & PLANE_STRIDE_MASK) * unit_bytes;
	plane->offset_x = regs->offset & 0x1fff;
	plane->offset_y = (regs->offset >> 16) & 0x1fff;
	plane->x = (int32_t)(regs->pos & 0x1fff);
	plane->y = (int32_t)((regs->pos >> 16) & 0x1fff);
	plane->width = (regs->size & 0x1fff) + 1;
	plane->height = ((regs->size >> 16) & 0x1fff) + 1;
}

static uint32_t cursor_width(uint32_t cntr)
{
	switch (cntr & MCURSOR_MODE_MASK) {
	case MCURSOR_MODE_ARGB | MCURSOR_MODE_64_32B_AX:
		return 64;
	case MCURSOR_MODE_ARGB | MCURSOR_MODE_128_32B_AX:
		return 128;
	case MCURSOR_MODE_ARGB | MCURSOR_MODE_256_32B_AX:
		return 256;
	default:
		return 0; /* off, or one of the AND/XOR modes that nobody has used for long */
	}
}

/* Positions are a sign and a magnitude. */
static int32_t cursor_coordinate(uint32_t half)
{
	int32_t magnitude = (int32_t)(half & CURSOR_POS_MASK);

	return half & CURSOR_POS_SIGN ? -magnitude : magnitude;
}

void vgpu_cursor_decode(const struct vgpu_cursor_regs *regs, struct display_plane *plane)
{
	uint32_t width = cursor_width(regs->cntr);

	*plane = (struct display_plane){ .enabled = false };
	if (!width)
		return;
	plane->enabled = true;
	plane->format = DISPLAY_ARGB8888;
	plane->tiling = DISPLAY_LINEAR;
	plane->surface = gma(regs->base & SURF_MASK);
	plane->stride_bytes = width * 4;
	plane->x = cursor_coordinate(regs->pos & 0xffff);
	plane->y = cursor_coordinate(regs->pos >> 16);
	plane->width = width;
	plane->height = width;
	/* A cursor lower than it is wide (i915: "non-square"): its last line. */
	if (regs->fbc_ctl & CUR_FBC_EN)
		plane->height = MIN(width, (regs->fbc_ctl & CUR_FBC_HEIGHT_MASK) + 1);
}
