/* SPDX-License-Identifier: MIT */
/*
 * How fast the blitter fills and copies 16 MiB of 32-bit pixels, beside memset and memcpy of as
 * much in the same memory, turn by turn.  A blit is measured as a guest would meet it: a context
 * is loaded, its ring calls a batch in a PPGTT of 4 KiB pages, the batch holds one command.  What
 * was translated before is dropped, and the page tables are as they were.
 * blt.copy.* are between surfaces of the same tiling, blt.copy.*.shifted so that their tiles do not
 * coincide, blt.tile.* from a linear to a tiled one.
 * One thread.
 *
 *   bench-blt [JSONL]
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "bench/bench.h"
#include "gpu/gpu.h"
#include "shadow/shadow.h"
#include "tests/vgpu/test_guest.h"

#define WIDTH	      4096u
#define HEIGHT	      1024u
#define PITCH	      (WIDTH * 4)
#define SURFACE_BYTES ((size_t)PITCH * HEIGHT)
#define RING_AT	      0u
#define BATCH_AT      0x1000u
#define DST_AT	      0x1000000u
#define SRC_AT	      (DST_AT + (uint32_t)SURFACE_BYTES)
#define MEMORY_BYTES  (SRC_AT + SURFACE_BYTES)
#define TABLES	      (MEMORY_BYTES / PAGE_BYTES / 512)
#define PRESENT	      3u /* and writable */
#define SAMPLES	      60u
/* Of 4-byte pixels: neither tiles nor columns of 16 bytes coincide. */
#define SHIFT	      13u

#define MI_BATCH_BUFFER_START 0x18800001u
#define MI_BATCH_PPGTT	      BIT(8)
#define MI_BATCH_BUFFER_END   0x05000000u
#define XY_COLOR_BLT	      (2u << 29 | 0x50u << 22 | 3u << 20 | 5)
#define XY_SRC_COPY_BLT	      (2u << 29 | 0x53u << 22 | 3u << 20 | 8)
#define SRC_TILED	      BIT(15)
#define DST_TILED	      BIT(11)
#define BR13(rop)	      (3u << 24 | (uint32_t)(rop) << 16)
#define BCS_SWCTRL_BOTH_Y     3u

struct machine {
	struct gpu *gpu;
	struct test_guest guest;
	struct shadow_ppgtt ppgtt; /* a graphics address is the guest's physical one */
	struct gpu_client client;
	struct gpu_workload workload;
	uint8_t *memory; /* the guest's */
	uint32_t swctrl;
	bool faulted;
};

/* ---- A GPU with memory around it ------------------------------------------------------------ */

static uint32_t reg_read(struct gpu_client *client, enum gpu_engine engine, uint32_t offset)
{
	return container_of(client, struct machine, client)->swctrl;
}

static void reg_write(struct gpu_client *client, enum gpu_engine engine, uint32_t offset,
		      uint32_t value)
{
}

static void interrupt(struct gpu_client *client, enum gpu_engine engine, uint32_t bits)
{
}

static uint32_t ring_tail(struct gpu_client *client, enum gpu_engine engine)
{
	return container_of(client, struct machine, client)->workload.cs.tail;
}

static void fault(struct gpu_client *client, const struct gpu_fault *fault)
{
	container_of(client, struct machine, client)->faulted = true;
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

static void put(struct machine *m, uint32_t at, const uint32_t *dwords, size_t count)
{
	memcpy(m->memory + at, dwords, count * sizeof(*dwords));
}

static gpa_t map_tables(struct ram *ram)
{
	gpa_t pml4 = ram_alloc(ram, 1), pdp = ram_alloc(ram, 1), pd = ram_alloc(ram, 1);
	gpa_t table = ram_alloc(ram, TABLES);

	ram_write64(ram, pml4, pdp.v | PRESENT);
	ram_write64(ram, pdp, pd.v | PRESENT);
	for (uint64_t i = 0; i < TABLES; i++)
		ram_write64(ram, gpa(pd.v + i * 8), (table.v + i * PAGE_BYTES) | PRESENT);
	for (uint64_t i = 0; i < TABLES * 512; i++)
		ram_write64(ram, gpa(table.v + i * 8), i * PAGE_BYTES | PRESENT);
	return pml4;
}

static void machine_init(struct machine *m)
{
	const uint32_t ring[] = { MI_BATCH_BUFFER_START | MI_BATCH_PPGTT, BATCH_AT, 0, 0 };

	memset(m, 0, sizeof(*m));
	m->gpu = gpu_soft_create();
	if (!m->gpu || test_guest_init(&m->guest, MEMORY_BYTES))
		bench_die("no memory");
	m->memory = ram_at(&m->guest.ram, gpa(0));
	/* Small pages, as memory that a VMM shares mostly has; EINVAL: there are no others. */
	if (madvise(m->memory, MEMORY_BYTES, MADV_NOHUGEPAGE) && errno != EINVAL)
		bench_die("no small pages: %m");
	memset(m->memory, 1, MEMORY_BYTES);
	m->guest.ram.next_page = BATCH_AT + PAGE_BYTES;
	shadow_ppgtt_init(&m->ppgtt, &m->guest.guest);
	shadow_ppgtt_load(&m->ppgtt, map_tables(&m->guest.ram));
	put(m, RING_AT, ring, ARRAY_SIZE(ring));
	m->client.ops = &client_ops;
}

static void machine_fini(struct machine *m)
{
	gpu_destroy(m->gpu);
	test_guest_fini(&m->guest);
}

static void run_batch(struct machine *m)
{
	enum gpu_run result;

	m->workload = (struct gpu_workload){
		.engine = GPU_BCS,
		.ggtt = &m->ppgtt.as,
		.ppgtt = &m->ppgtt.as,
		.ring_start = { RING_AT },
		.ring_bytes = (uint32_t)PAGE_BYTES,
		.cs = { .tail = 16 },
		.client = &m->client,
	};
	guest_enter(&m->guest.guest);
	m->gpu->ops->begin(m->gpu, &m->workload);
	do {
		result = m->gpu->ops->run(m->gpu, GPU_BCS, clock_now_ns() + NSEC_PER_MSEC);
	} while (result == GPU_RUN_BUDGET);
	m->gpu->ops->end(m->gpu, GPU_BCS);
	guest_leave(&m->guest.guest);
	if (result != GPU_RUN_DONE || m->faulted)
		bench_die("the batch did not run to its end");
}

/* ---- What is measured ----------------------------------------------------------------------- */

static void put_fill(struct machine *m)
{
	const uint32_t batch[] = {
		XY_COLOR_BLT, BR13(0xf0) | PITCH, 0, HEIGHT << 16 | WIDTH, DST_AT, 0,
		0x00336699,   MI_BATCH_BUFFER_END
	};

	put(m, BATCH_AT, batch, ARRAY_SIZE(batch));
}

/* Pitches of tiled surfaces count dwords. */
static uint32_t pitch_field(uint32_t tiled)
{
	return tiled ? PITCH / 4 : PITCH;
}

/*
 * @tiled: SRC_TILED, DST_TILED, both or none.  @shift: by how many pixels and rows the source lies
 * further to the right and down than the destination; the rectangle is so much smaller.
 */
static void put_copy(struct machine *m, uint32_t tiled, uint32_t shift)
{
	const uint32_t batch[] = {
		XY_SRC_COPY_BLT | tiled,
		BR13(0xcc) | pitch_field(tiled & DST_TILED),
		0,
		(HEIGHT - shift) << 16 | (WIDTH - shift),
		DST_AT,
		0,
		shift << 16 | shift,
		pitch_field(tiled & SRC_TILED),
		SRC_AT,
		0,
		MI_BATCH_BUFFER_END,
	};

	put(m, BATCH_AT, batch, ARRAY_SIZE(batch));
}

struct measure {
	const char *name;
	bool copy;
	uint32_t tiled;
	uint32_t swctrl;
	uint32_t shift;
};

/* Ours and the library's function take turns, so that both meet the same neighbours. */
static void measure(struct machine *m, const struct measure *what, FILE *jsonl)
{
	struct bench_samples ours, library;
	double value, baseline;

	bench_samples_init(&ours, SAMPLES);
	bench_samples_init(&library, SAMPLES);
	m->swctrl = what->swctrl;
	if (what->copy)
		put_copy(m, what->tiled, what->shift);
	else
		put_fill(m);
	for (unsigned int i = 0; i < SAMPLES; i++) {
		uint64_t start = clock_now_ns();

		run_batch(m);
		bench_sample(&ours, clock_now_ns() - start);
		start = clock_now_ns();
		if (what->copy)
			memcpy(m->memory + DST_AT, m->memory + SRC_AT, SURFACE_BYTES);
		else
			memset(m->memory + DST_AT, (int)i, SURFACE_BYTES);
		bench_sample(&library, clock_now_ns() - start);
	}
	/* The fastest of many: on a shared machine the rest measures the neighbours. */
	value = bench_percentile_us(&ours, 0);
	baseline = bench_percentile_us(&library, 0);
	bench_report(jsonl, &(struct bench_result){
				    .name = what->name,
				    .unit = "us",
				    .value = value,
				    .p99 = bench_percentile_us(&ours, 99),
				    .baseline = { what->copy ? "memcpy" : "memset", baseline },
				    .limit = { "the same: memory's speed", baseline },
			    });
	bench_samples_fini(&ours);
	bench_samples_fini(&library);
}

int main(int argc, char **argv)
{
	static const struct measure measures[] = {
		{ "blt.fill.linear" },
		{ "blt.copy.linear", true },
		{ "blt.copy.xtile", true, SRC_TILED | DST_TILED },
		{ "blt.copy.ytile", true, SRC_TILED | DST_TILED, BCS_SWCTRL_BOTH_Y },
		{ "blt.copy.xtile.shifted", true, SRC_TILED | DST_TILED, 0, SHIFT },
		{ "blt.copy.ytile.shifted", true, SRC_TILED | DST_TILED, BCS_SWCTRL_BOTH_Y, SHIFT },
		{ "blt.tile.x", true, DST_TILED },
		{ "blt.tile.y", true, DST_TILED, BCS_SWCTRL_BOTH_Y },
	};
	FILE *jsonl = bench_begin(argc, argv, "[JSONL]");
	static struct machine m;

	machine_init(&m);
	printf("16 MiB; values: the fastest of %u runs\n", SAMPLES);
	bench_table_head();
	for (size_t i = 0; i < ARRAY_SIZE(measures); i++)
		measure(&m, &measures[i], jsonl);
	machine_fini(&m);
	return bench_end(jsonl);
}
