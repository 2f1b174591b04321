/* SPDX-License-Identifier: MIT */
/* See jobs.h. */
#include "jobs.h"

#include <string.h>

gpa_t make_endless(struct driver *d)
{
	gpa_t page = ram_alloc(d->ram, 1);
	const uint32_t dw[] = { MI_NOOP, MI_BBS_PPGTT, (uint32_t)LOOP_GMA,
				(uint32_t)(LOOP_GMA >> 32) };

	memcpy(ram_at(d->ram, page), dw, sizeof(dw));
	driver_ppgtt_map(d, LOOP_GMA, page);
	return page;
}

void emit_batch(struct driver *d, struct driver_context *ctx)
{
	const uint32_t dw[] = { MI_BBS_PPGTT, (uint32_t)LOOP_GMA, (uint32_t)(LOOP_GMA >> 32),
				MI_NOOP };

	driver_emit(d, ctx, dw, ARRAY_SIZE(dw));
}

void emit_lri(struct driver *d, struct driver_context *ctx, uint32_t reg, uint32_t value)
{
	const uint32_t dw[] = { MI_LRI_1, reg, value, MI_NOOP };

	driver_emit(d, ctx, dw, ARRAY_SIZE(dw));
}
