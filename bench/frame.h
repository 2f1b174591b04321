/* SPDX-License-Identifier: MIT */
/*
 * A frame of work for the blitter, as a guest's driver submits it: a user batch of big copies and
 * fills and many small ones, 0.8 ms or so.
 */
#ifndef BENCH_FRAME_H
#define BENCH_FRAME_H

#include "tests/vgpu/driver.h"

#define FRAME_WIDTH	   1024u
#define FRAME_HEIGHT	   1024u
#define FRAME_PITCH	   (FRAME_WIDTH * 4)
#define FRAME_BATCH_DWORDS 8192u

/* Addresses of the user's space, whose pages follow each other in memory as well. */
#define FRAME_DST	0x1000000u
#define FRAME_BATCH	(FRAME_DST - FRAME_BATCH_DWORDS * 4)
#define FRAME_SRC	(FRAME_DST + FRAME_PITCH * FRAME_HEIGHT)
#define FRAME_SPACE_END (FRAME_SRC + FRAME_PITCH * FRAME_HEIGHT)

/* What a ring says to run the batch. */
#define FRAME_START                                   \
	{                                             \
		MI_BBS_PPGTT, FRAME_BATCH, 0, MI_NOOP \
	}

/*
 * Maps the user's space of the driver's contexts, the batch and both surfaces in it; the memory
 * from FRAME_BATCH on, the guest's.
 */
uint8_t *frame_map(struct driver *driver);
/* Appends a frame to the ring, and the store of @seqno to the first result when it is done. */
void frame_emit(struct driver *driver, struct driver_context *context, uint32_t seqno);

#endif
