/* SPDX-License-Identifier: MIT */
/* The frame's commands, and their way into a guest's memory; see frame.h. */
#include "bench/frame.h"

#include <string.h>

#include "bench/bench.h"

#define ROUNDS 4u
#define SMALL  40u /* in a round */

#define XY_COLOR_BLT	(2u << 29 | 0x50u << 22 | 3u << 20 | 5)
#define XY_SRC_COPY_BLT (2u << 29 | 0x53u << 22 | 3u << 20 | 8)
#define BR13(rop)	(3u << 24 | (uint32_t)(rop) << 16 | FRAME_PITCH)

struct batch {
	uint32_t dwords[FRAME_BATCH_DWORDS];
	size_t count;
};

static void put(struct batch *batch, const uint32_t *dwords, size_t count)
{
	if (batch->count + count > FRAME_BATCH_DWORDS)
		bench_die("the batch is too long");
	memcpy(&batch->dwords[batch->count], dwords, count * sizeof(*dwords));
	batch->count += count;
}

static void put_fill(struct batch *batch, uint32_t x, uint32_t y, uint32_t w, uint32_t h,
		     uint32_t color)
{
	const uint32_t dw[] = { XY_COLOR_BLT, BR13(0xf0), y << 16 | x, (y + h) << 16 | (x + w),
				FRAME_DST,    0,	  color };

	put(batch, dw, ARRAY_SIZE(dw));
}

static void put_copy(struct batch *batch)
{
	const uint32_t dw[] = { XY_SRC_COPY_BLT, BR13(0xcc), 0, FRAME_HEIGHT << 16 | FRAME_WIDTH,
				FRAME_DST,	 0,	     0, FRAME_PITCH,
				FRAME_SRC,	 0 };

	put(batch, dw, ARRAY_SIZE(dw));
}

static void put_frame(struct batch *batch)
{
	const uint32_t end = MI_BBE;

	for (uint32_t i = 0; i < ROUNDS; i++) {
		put_copy(batch);
		put_fill(batch, 0, 0, FRAME_WIDTH, FRAME_HEIGHT / 2, i);
		for (uint32_t n = 0; n < SMALL; n++)
			put_fill(batch, n * 19 % 900, n * 37 % 900, 64, 48, n);
	}
	put(batch, &end, 1);
}

uint8_t *frame_map(struct driver *driver)
{
	static struct batch batch;
	unsigned int pages = (FRAME_SPACE_END - FRAME_BATCH) / (unsigned int)PAGE_BYTES;
	gpa_t page = ram_alloc(driver->ram, pages);
	uint8_t *host = ram_at(driver->ram, page);

	for (unsigned int i = 0; i < pages; i++)
		driver_ppgtt_map(driver, FRAME_BATCH + i * PAGE_BYTES,
				 gpa(page.v + i * PAGE_BYTES));
	batch.count = 0;
	put_frame(&batch);
	memset(host, 1, pages * PAGE_BYTES);
	memcpy(host, batch.dwords, sizeof(batch.dwords));
	return host;
}

void frame_emit(struct driver *driver, struct driver_context *context, uint32_t seqno)
{
	const uint32_t start[] = FRAME_START;

	driver_emit(driver, context, start, ARRAY_SIZE(start));
	driver_emit_seqno(driver, context, 0, seqno);
}
