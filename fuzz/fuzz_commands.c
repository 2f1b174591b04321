/* SPDX-License-Identifier: MIT */
/*
 * Bytes as command streams.  The first byte chooses the engine and where the streamer starts, the
 * rest lies in the ring and in the batches of both address spaces, at the addresses the commands
 * in it are likely to name.  The same bytes go through the decoder.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "fuzz/clock.h"
#include "fuzz/fuzz.h"
#include "gpu/gpu.h"
#include "scan/scan.h"

#define PAGES	   32u
#define RING	   0x1000u
#define RING_BYTES 0x1000u
#define BATCH	   0x4000u

struct space {
	struct gpu_as as;
	_Alignas(4096) uint8_t memory[PAGES * 4096];
};

static struct space ggtt, ppgtt;
static uint32_t registers[16];

/* Pages 28 and up: read-only, without a host mapping, both; the last is absent. */
static int translate(struct gpu_as *as, gma_t gma, unsigned int access, struct gpu_page *page)
{
	struct space *space = container_of(as, struct space, as);
	uint64_t number = gma.v >> PAGE_SHIFT;

	if (number >= PAGES - 1)
		return -1;
	page->writable = number != 28 && number != 30;
	page->host = number >= 29 ? NULL : &space->memory[gma.v];
	return (access & GPU_WRITE) && !page->writable ? -1 : 0;
}

static int space_read(struct gpu_as *as, gma_t gma, void *buf, size_t len)
{
	memcpy(buf, &container_of(as, struct space, as)->memory[gma.v], len);
	return 0;
}

static int space_write(struct gpu_as *as, gma_t gma, const void *buf, size_t len)
{
	memcpy(&container_of(as, struct space, as)->memory[gma.v], buf, len);
	return 0;
}

static const struct gpu_as_ops space_ops = {
	.translate = translate,
	.read = space_read,
	.write = space_write,
};

static uint32_t reg_read(struct gpu_client *client, enum gpu_engine engine, uint32_t offset)
{
	return registers[offset / 4 % ARRAY_SIZE(registers)];
}

static void reg_write(struct gpu_client *client, enum gpu_engine engine, uint32_t offset,
		      uint32_t value)
{
	registers[offset / 4 % ARRAY_SIZE(registers)] = value;
}

static void interrupt(struct gpu_client *client, enum gpu_engine engine, uint32_t bits)
{
}

static uint32_t ring_tail(struct gpu_client *client, enum gpu_engine engine)
{
	return registers[0];
}

static void fault(struct gpu_client *client, const struct gpu_fault *report)
{
	(void)gpu_fault_name(report->kind);
}

static bool yield(struct gpu_client *client)
{
	return false;
}

static const struct gpu_client_ops client_ops = {
	.reg_read = reg_read,
	.reg_write = reg_write,
	.interrupt = interrupt,
	.ring_tail = ring_tail,
	.fault = fault,
	.yield = yield,
};

static void place(const uint8_t *data, size_t size)
{
	memset(ggtt.memory, 0, sizeof(ggtt.memory));
	memset(ppgtt.memory, 0, sizeof(ppgtt.memory));
	memcpy(&ggtt.memory[RING], data, MIN(size, RING_BYTES));
	memcpy(&ggtt.memory[BATCH], data, MIN(size, RING_BYTES));
	memcpy(&ppgtt.memory[BATCH], data, MIN(size, RING_BYTES));
}

static void run(const uint8_t *data, size_t size, uint8_t choice)
{
	struct gpu_client client = { .ops = &client_ops };
	struct gpu *gpu = gpu_soft_create();
	struct gpu_workload workload = {
		.engine = choice & 3,
		.ggtt = &ggtt.as,
		.ppgtt = &ppgtt.as,
		.ring_start = { RING },
		.ring_bytes = RING_BYTES,
		.context_page = { 0x3000 },
		.status_page = { 0x2000 },
		.indirect_ctx = { BATCH },
		.indirect_ctx_bytes = choice & 16 ? 64 : 0,
		.per_ctx = { choice & 32 ? BATCH : 0 },
		.cs = { .tail = (uint32_t)MIN(size, RING_BYTES - 4) & ~3u },
		.client = &client,
	};

	if (!gpu)
		return;
	gpu_as_init(&ggtt.as, &space_ops, 32);
	gpu_as_init(&ppgtt.as, &space_ops, 48);
	memset(registers, 0, sizeof(registers));
	registers[0] = workload.cs.tail;
	if (choice & 4) {
		workload.cs.bb_valid[0] = true;
		workload.cs.bb_ppgtt[0] = choice & 8;
		workload.cs.bb_head[0] = BATCH;
	}
	place(data, size);
	gpu->ops->begin(gpu, &workload);
	for (int slice = 0; slice < 3; slice++)
		gpu->ops->run(gpu, workload.engine, clock_now_ns() + 50 * NSEC_PER_USEC);
	gpu->ops->end(gpu, workload.engine);
	FUZZ_CHECK(workload.cs.head < RING_BYTES && !(workload.cs.head & 3));
	FUZZ_CHECK(workload.cs.bb_valid[0] || !workload.cs.bb_valid[1]);
	gpu_destroy(gpu);
}

static void decode(const uint8_t *data, size_t size, uint8_t choice)
{
	static uint32_t dwords[4096];
	struct scan_decode_options options = {
		.engine = choice & 3,
		.show_dwords = choice & 64,
		.follow_end = choice & 128,
	};
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	if (!out)
		return;
	size = MIN(size, sizeof(dwords));
	memcpy(dwords, data, size);
	FUZZ_CHECK(scan_decode(out, dwords, size / 4, &options) <= (int)(size / 4));
	fclose(out);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	fuzz_clock_start();
	run(data + 1, size - 1, data[0]);
	fuzz_clock_stop();
	decode(data + 1, size - 1, data[0]);
	return 0;
}
