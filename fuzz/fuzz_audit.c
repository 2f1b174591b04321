/* SPDX-License-Identifier: MIT */
/*
 * Bytes as privileged commands under the audit: in the ring, in a batch of the GGTT that the ring
 * may call, in a context's workaround batches.  Whatever the audit lets pass must leave alone what
 * lies outside the share, and registers that are not on the list.  The audit's fast way must say
 * what its careful one says.
 */
#include <string.h>

#include "base/clock.h"
#include "fuzz/clock.h"
#include "fuzz/fuzz.h"
#include "scan/ahead.h"

#define PAGES	   32u
#define SHARE	   0x1000u
#define SHARE_END  0x10000u
#define RING	   0x1000u
#define RING_BYTES 0x1000u
#define BATCH	   0x4000u
#define CANARY	   0x5a
#define LISTED	   0x2600u /* from here on, some registers may be written */

static struct gpu_as ggtt, ppgtt;
static _Alignas(4096) uint8_t memory[PAGES * 4096], user_memory[PAGES * 4096];
static uint64_t writable[SCAN_REGISTER_WORDS];
static struct scan_audit audit;
static uint32_t tail;

static int translate(struct gpu_as *as, gma_t gma, unsigned int access, struct gpu_page *page)
{
	if (gma.v >= sizeof(memory))
		return -1;
	page->host = as == &ggtt ? &memory[gma.v] : &user_memory[gma.v];
	page->writable = true;
	return 0;
}

static const struct gpu_as_ops as_ops = {
	.translate = translate,
};

static bool listed(uint32_t offset)
{
	return offset < SCAN_REGISTER_BYTES && writable[offset / 256] >> (offset / 4 % 64) & 1;
}

/* The User Mode Non-Privileged Registers that the streamer leaves to its client. */
static bool is_users(enum gpu_engine engine, uint32_t offset)
{
	switch (offset) {
	case 0x20c0:
	case 0x20d8:
	case 0x2158:
	case 0x24bc ... 0x24c4:
	case 0x7000 ... 0x7008:
	case 0x7034:
		return engine == GPU_RCS;
	default:
		return engine == GPU_BCS && offset == 0x22200;
	}
}

/* RING_FORCE_TO_NONPRIV opens one that is on the list. */
static uint32_t reg_read(struct gpu_client *client, enum gpu_engine engine, uint32_t offset)
{
	return (offset & 0xfff) - 0x4d0 < 12 * 4 ? LISTED : offset;
}

/* By the ring and the batches it calls, or by a batch of the PPGTT, which nobody audits. */
static void reg_write(struct gpu_client *client, enum gpu_engine engine, uint32_t offset,
		      uint32_t value)
{
	FUZZ_CHECK(listed(offset) || is_users(engine, offset));
}

static void interrupt(struct gpu_client *client, enum gpu_engine engine, uint32_t bits)
{
}

static uint32_t ring_tail(struct gpu_client *client, enum gpu_engine engine)
{
	return tail;
}

static void fault(struct gpu_client *client, const struct gpu_fault *report)
{
	FUZZ_CHECK(report->kind > GPU_FAULT_NONE && report->kind < GPU_FAULT_KINDS);
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
	size = MIN(size, (size_t)RING_BYTES);
	memset(memory, CANARY, sizeof(memory));
	memset(&memory[SHARE], 0, SHARE_END - SHARE);
	memset(user_memory, 0, sizeof(user_memory));
	memcpy(&memory[RING], data, size);
	memcpy(&memory[BATCH], data, size);
	memcpy(&user_memory[BATCH], data, size);
}

static void expect_canaries(void)
{
	for (size_t at = 0; at < sizeof(memory); at++)
		FUZZ_CHECK((at >= SHARE && at < SHARE_END) || memory[at] == CANARY);
}

/* Once for the whole process. */
static void make_audit(void)
{
	static const struct gpu_range share[SCAN_SHARE_RANGES] = { { SHARE, SHARE_END }, { 0, 0 } };

	for (uint32_t offset = LISTED; offset < LISTED + 0x80; offset += 4)
		writable[offset / 256] |= 1ull << (offset / 4 % 64);
	scan_audit_init(&audit, share, writable);
}

/* The bytes over and over, until there are enough for the fast way. */
static void compare(const uint8_t *data, size_t size, uint8_t choice)
{
	static uint32_t dwords[AHEAD_LEAST + 2 * RING_BYTES / 4];
	uint32_t part = (uint32_t)MIN(size, (size_t)RING_BYTES) / 4, fast, careful;
	struct gpu_audit_window window = {
		.engine = choice & 3,
		.source = (choice >> 4) % (GPU_SOURCE_PER_CTX + 1),
		.dwords = dwords,
	};
	struct gpu_audit_finding finding[2] = { 0 };

	for (; part && window.count < AHEAD_LEAST + part; window.count += part)
		memcpy(&dwords[window.count], data, part * 4ul);
	fast = audit.audit.ops->scan(&audit.audit, &window, &finding[0]);
	careful = audit_carefully(&audit, &window, &finding[1]);
	FUZZ_CHECK(fast == careful && finding[0].kind == finding[1].kind &&
		   finding[0].address == finding[1].address &&
		   finding[0].write == finding[1].write);
	FUZZ_CHECK(!window.count || audit_ahead(&audit, &window, 0) <= careful);
}

static void run(const uint8_t *data, size_t size, uint8_t choice)
{
	struct gpu_client client = { .ops = &client_ops };
	struct gpu *gpu = gpu_soft_create();
	struct gpu_workload workload = {
		.engine = choice & 3,
		.ggtt = &ggtt,
		.ppgtt = &ppgtt,
		.ring_start = { RING },
		.ring_bytes = RING_BYTES,
		.context_page = { 0x3000 },
		.status_page = { 0x2000 },
		.indirect_ctx = { BATCH },
		.indirect_ctx_bytes = choice & 4 ? 1024 : 0,
		.per_ctx = { choice & 8 ? BATCH : 0 },
		.cs = { .tail = tail },
		.audit = &audit.audit,
		.client = &client,
	};

	if (!gpu)
		return;
	gpu_as_init(&ggtt, &as_ops, 32);
	gpu_as_init(&ppgtt, &as_ops, 48);
	place(data, size);
	gpu->ops->begin(gpu, &workload);
	for (int slice = 0; slice < 3; slice++)
		gpu->ops->run(gpu, workload.engine, clock_now_ns() + 50 * NSEC_PER_USEC);
	gpu->ops->end(gpu, workload.engine);
	gpu_destroy(gpu);
	expect_canaries();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	if (!audit.writable)
		make_audit();
	tail = (uint32_t)MIN(size - 1, (size_t)RING_BYTES - 4) & ~3u;
	compare(data + 1, size - 1, data[0]);
	fuzz_clock_start();
	run(data + 1, size - 1, data[0]);
	fuzz_clock_stop();
	return 0;
}
