/* SPDX-License-Identifier: MIT */
/*
 * The types of vGPU an operator chooses from, in the manner of GVT-g.  Pure.
 *
 * The share of the GGTT that a guest may map through BAR2 lies between two needs.  Small: i915 then
 * draws its console in memory of its own, where a larger share would trap each store to it; a
 * console of 640x480, at a multiple of 256 KiB past the page of the error capture, no longer fits
 * below 1456 KiB.  Large: what programs map is bound in pieces of 1 MiB rounded up to rows of
 * tiles, beside that page, and where no piece fits their first access faults for ever.  This one
 * holds a piece of any X tiled surface, and of Y tiled ones up to 3744 pixels of 32 bits wide.
 */
#include <string.h>

#include "vgpu/vgpu.h"

#define MIB	       (1ull << 20)
#define MAPPABLE_BYTES (1408ull << 10)

static const struct vgpu_type types[] = {
	{
		.name = "i915-GVTg_V5_8",
		.description = "384 MiB of graphics addresses, 4 fences, up to 1920x1200",
		.aperture_bytes = 256 * MIB,
		.mappable_bytes = MAPPABLE_BYTES,
		.nonmappable_bytes = 384 * MIB,
		.fences = 4,
		.weight = 2,
		.max_width = 1920,
		.max_height = 1200,
	},
	{
		.name = "i915-GVTg_V5_4",
		.description = "512 MiB of graphics addresses, 4 fences, up to 3840x2160",
		.aperture_bytes = 256 * MIB,
		.mappable_bytes = MAPPABLE_BYTES,
		.nonmappable_bytes = 512 * MIB,
		.fences = 4,
		.weight = 4,
		.max_width = 3840,
		.max_height = 2160,
	},
	{
		.name = "i915-GVTg_V5_2",
		.description = "1 GiB of graphics addresses, 4 fences, up to 3840x2160",
		.aperture_bytes = 256 * MIB,
		.mappable_bytes = MAPPABLE_BYTES,
		.nonmappable_bytes = 1024 * MIB,
		.fences = 4,
		.weight = 8,
		.max_width = 3840,
		.max_height = 2160,
	},
	{
		.name = "i915-GVTg_V5_1",
		.description = "2 GiB of graphics addresses, 4 fences, up to 3840x2160",
		.aperture_bytes = 256 * MIB,
		.mappable_bytes = MAPPABLE_BYTES,
		.nonmappable_bytes = 2048 * MIB,
		.fences = 4,
		.weight = 16,
		.max_width = 3840,
		.max_height = 2160,
	},
};

const struct vgpu_type *vgpu_types(size_t *count)
{
	*count = ARRAY_SIZE(types);
	return types;
}

const struct vgpu_type *vgpu_type_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (!strcmp(types[i].name, name))
			return &types[i];
	return NULL;
}
