/* SPDX-License-Identifier: MIT */
/*
 * The blitter: executes the 2D commands of the blitter engine.  Called by the command streamer on
 * the engine's lane, one command at a time; the command has been fetched and its length checked.
 *
 * A blit can be huge (65535 rows of 65535 pixels), so one call does some tens of microseconds'
 * work at most and says CS_AGAIN; the streamer looks at the clock and at stop() and comes back
 * with the same command.  How far it got, and what XY_SETUP_* left, is in the workload's
 * struct gpu_blt_state, so a context that was preempted goes on where it was.  That may have been
 * in the guest's hands meanwhile: any value of it is harmless.
 */
#ifndef GPU_BLT_BLT_H
#define GPU_BLT_BLT_H

#include "gpu/cs/cs.h"

/*
 * The 2D command @dw, @dwords long.  Its operands are in the context's PPGTT wherever the command
 * itself lies: i915 writes blits with PPGTT addresses into the ring.
 */
enum cs_next blt_command(struct cs *cs, const uint32_t *dw, uint32_t dwords);

#endif
