/* SPDX-License-Identifier: MIT */
/*
 * The hostile guest's acts.  What is random comes from a fixed seed, so that what failed once fails
 * again.  Afterwards the vGPU must still answer, must have seen the faults and resets that hardware
 * would, and must have touched no canary.
 */
#include "acts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd/sandbox.h"
#include "vgpu/engine.h"
#include "vgpu/vgpu.h"

#define BATCH_GMA    0x7f0000000000ull
#define BBS_PPGTT_L2 (MI_BBS_PPGTT | 1u << 22)
#define GGTT_ENTRIES (1u << 20)
#define TINY	     (SANDBOX_FILTERS ? 1000000u : 100000u) /* sanitizers make it slow */
#define ITERATIONS   (SANDBOX_FILTERS ? 300u : 60u)

/* Outside a cmocka test its asserts end the process without a word. */
#define expect(what) expect_or_end(what, #what)

static void expect_or_end(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "hostile guest: not so: %s\n", what);
	exit(1);
}

static uint64_t seed = 0x9e3779b97f4a7c15ull;

static uint32_t r32(void)
{
	return (uint32_t)(next_random(&seed) >> 16);
}

static void nap_ms(unsigned int ms)
{
	nanosleep(&(struct timespec){ .tv_nsec = (long)ms * 1000000 }, NULL);
}

/* ---- Company: a second engine that wants the GPU all the while an act does harm ---- */

#define COMPANY_PAGES 16u
#define COMPANY_GMA   0x7e0000000000ull
#define ENOUGH_MS     300.0

/* Of each engine's own, so that an act finds the same pages and addresses again. */
static struct {
	uint64_t page, gma;
} company[GPU_ENGINES];

static void company_open(struct driver *d)
{
	for_each_engine(e) {
		company[e].page = ram_alloc(d->ram, COMPANY_PAGES).v;
		company[e].gma = d->next_gma;
		d->next_gma += COMPANY_PAGES * PAGE_BYTES;
	}
}

/* A batch without an end on engine @e, with all that it needs made anew: an act may have hit it. */
static void keep_busy(struct driver *d, enum gpu_engine e)
{
	uint64_t next_page = d->ram->next_page, next_gma = d->next_gma;
	gpa_t pml4 = d->pml4;
	const uint32_t dw[] = { MI_BBS_PPGTT, (uint32_t)COMPANY_GMA,
				(uint32_t)(COMPANY_GMA >> 32) };
	struct driver_context ctx;
	gpa_t batch;

	driver_reset_engine(d, e);
	memset(ram_at(d->ram, gpa(company[e].page)), 0, COMPANY_PAGES * PAGE_BYTES);
	d->ram->next_page = company[e].page;
	d->next_gma = company[e].gma;
	d->pml4 = ram_alloc(d->ram, 1);
	batch = ram_alloc(d->ram, 1);
	memcpy(ram_at(d->ram, batch), dw, sizeof(dw));
	driver_ppgtt_map(d, COMPANY_GMA, batch);
	driver_context_init(d, &ctx, e, 0x10 + e);
	driver_emit(d, &ctx, dw, ARRAY_SIZE(dw));
	driver_emit(d, &ctx, &(const uint32_t){ MI_NOOP }, 1);
	driver_submit(d, &ctx, NULL, 0);
	d->ram->next_page = next_page;
	d->next_gma = next_gma;
	d->pml4 = pml4;
}

/* True when shares can be compared. */
static bool was_contended(struct driver *d)
{
	json_t *tree = process_stat(d);
	double ms = process_number(tree, "gpu", "contended_ms");

	json_decref(tree);
	return ms >= ENOUGH_MS;
}

/* ---- An endless batch on each engine, ended by the driver as i915 ends it ---- */

static void emit_batch(struct driver *d, struct driver_context *ctx, uint64_t at)
{
	const uint32_t dw[] = { MI_BBS_PPGTT, (uint32_t)at, (uint32_t)(at >> 32), MI_NOOP };

	driver_emit(d, ctx, dw, ARRAY_SIZE(dw));
}

static void do_endless(struct driver *d)
{
	gpa_t page = ram_alloc(d->ram, 1);
	uint32_t *batch = ram_at(d->ram, page);
	uint32_t id = 0x20;

	driver_ppgtt_map(d, BATCH_GMA, page);
	batch[0] = MI_BBS_PPGTT;
	batch[1] = (uint32_t)BATCH_GMA;
	batch[2] = (uint32_t)(BATCH_GMA >> 32);
	for_each_engine(e) {
		struct driver_context bad, good;

		driver_context_init(d, &bad, e, id++);
		emit_batch(d, &bad, BATCH_GMA);
		driver_submit(d, &bad, NULL, 0);
		driver_expect_event(d, e, CSB_IDLE_ACTIVE, bad.id);
		for (int i = 0; i < 30; i++) /* the heartbeat's patience */
			nap_ms(10);
		driver_reset_engine(d, e);
		driver_context_init(d, &good, e, id++);
		driver_emit_seqno(d, &good, e, id);
		driver_submit(d, &good, NULL, 0);
		driver_wait_result(d, e, id);
	}
}

static void check_endless(json_t *tree)
{
	json_t *engine;
	size_t i;

	json_array_foreach(json_object_get(tree, "engines"), i, engine)
		expect(json_integer_value(json_object_get(engine, "resets")) >= 1);
}

/* ---- A million batches of one command ---- */

static void do_tiny(struct driver *d)
{
	gpa_t page = ram_alloc(d->ram, 2);
	uint32_t *many = ram_at(d->ram, page), *end = many + PAGE_BYTES / 4;
	const unsigned int in_one = 300, in_ring = 200;
	struct driver_context ctx;
	uint32_t round = 0;

	driver_ppgtt_map(d, BATCH_GMA, page);
	driver_ppgtt_map(d, BATCH_GMA + PAGE_BYTES, gpa(page.v + PAGE_BYTES));
	for (unsigned int i = 0; i < in_one; i++) {
		many[3 * i] = BBS_PPGTT_L2;
		many[3 * i + 1] = (uint32_t)(BATCH_GMA + PAGE_BYTES);
		many[3 * i + 2] = (uint32_t)(BATCH_GMA >> 32);
	}
	many[3 * in_one] = MI_BBE;
	end[0] = MI_BBE;
	driver_context_init(d, &ctx, GPU_RCS, 0x20);
	keep_busy(d, GPU_VECS);
	for (unsigned int done = 0; done < TINY || !was_contended(d); done += in_one * in_ring) {
		for (unsigned int i = 0; i < in_ring; i++)
			emit_batch(d, &ctx, BATCH_GMA);
		driver_emit_seqno(d, &ctx, 0, ++round);
		driver_submit(d, &ctx, NULL, 0);
		driver_wait_result(d, 0, round);
	}
}

static void check_tiny(json_t *tree)
{
	json_t *rcs = json_array_get(json_object_get(tree, "engines"), GPU_RCS);

	expect(json_integer_value(json_object_get(rcs, "batches")) >= TINY);
}

/* ---- Random rings, batches and context images ---- */

/* A header that means something, half of the time; addresses that may. */
static uint32_t random_dword(void)
{
	static const uint32_t headers[] = {
		MI_BBS_PPGTT,
		BBS_PPGTT_L2,
		0x18800001,
		MI_SDI_GGTT,
		0x10000002,
		MI_LRI_1,
		0x12400002 /* SRM */,
		0x14800002 /* LRM */,
		0x13000001 /* FLUSH_DW */,
		0x0e000002 /* SEMAPHORE_WAIT */,
		0x17000003 /* COPY_MEM_MEM */,
		0x7a000004,
		0x54f00008 /* SRC_COPY */,
		0x50f00005 /* COLOR */,
		0x53800005,
		MI_BBE,
		MI_USER_INTERRUPT,
	};
	static const uint32_t addresses[] = { 0,      0x10000000,   0x10001000, 0x00fff000,
					      GAP_AT, READ_ONLY_AT, 0xfffff000, 0x01000000,
					      0x2000, 0x12000,	    0x22000,	0x78000 };

	switch (r32() % 4) {
	case 0:
		return headers[r32() % ARRAY_SIZE(headers)];
	case 1:
		return addresses[r32() % ARRAY_SIZE(addresses)] + (r32() & 0xffc);
	case 2:
		return r32() & 0x0fff0fff;
	default:
		return r32();
	}
}

static void wait_a_little(struct driver *d, enum gpu_engine engine)
{
	for (int i = 0; i < 10 && driver_quiet(d, engine); i++)
		if (i > 2)
			break;
}

/* Contexts, rings and status pages from the same pages over and over, as they were left. */
static void do_rings(struct driver *d)
{
	uint64_t page_mark = d->ram->next_page, gma_mark = d->next_gma;

	for (unsigned int i = 0; i < ITERATIONS; i++) {
		enum gpu_engine e = (enum gpu_engine)(r32() % GPU_ENGINES);
		struct driver_context ctx;
		gpa_t batch;

		keep_busy(d, (e + 1) % GPU_ENGINES);
		d->ram->next_page = page_mark;
		d->next_gma = gma_mark;
		driver_context_init(d, &ctx, e, 0x20 + i);
		batch = ram_alloc(d->ram, 1);
		driver_ppgtt_map(d, BATCH_GMA, batch);
		for (unsigned int n = 0; n < PAGE_BYTES / 4; n++)
			((uint32_t *)ram_at(d->ram, batch))[n] = random_dword();
		if (r32() % 2)
			emit_batch(d, &ctx, BATCH_GMA + (r32() & 0xffc));
		for (unsigned int n = r32() % 900; n; n--) {
			uint32_t dw = random_dword();

			driver_emit(d, &ctx, &dw, 1);
		}
		if (r32() % 4 == 0)
			driver_context_set(d, &ctx, r32() % 0x60, random_dword());
		driver_submit(d, &ctx, NULL, r32() % 2 ? DESC_FORCE_RESTORE : 0);
		wait_a_little(d, e);
		driver_reset_engine(d, e);
	}
}

static double sum_of_faults(json_t *tree)
{
	json_t *kind;
	const char *key;
	double sum = 0;

	json_object_foreach(json_object_get(tree, "faults"), key, kind)
		sum += json_number_value(kind);
	return sum;
}

static void check_rings(json_t *tree)
{
	expect(sum_of_faults(tree) * 4 >= ITERATIONS);
}

/* ---- Random page tables ---- */

/* Pages that are there, that are another's, that may be read only, and that are nowhere. */
static uint64_t random_entry(const struct driver *d)
{
	static const uint64_t bases[] = { GAP_AT,
					  GAP_AT - PAGE_BYTES,
					  GAP_AT + GAP_BYTES - PAGE_BYTES,
					  DRIVER_GUEST_BYTES,
					  DRIVER_GUEST_BYTES - PAGE_BYTES,
					  READ_ONLY_AT,
					  READ_ONLY_AT + (1 << 20),
					  0xfffffff000,
					  0xfffffffff000,
					  0x7ffff7fff000 };
	uint64_t at = r32() % 2 ? (r32() % (GAP_AT >> PAGE_SHIFT)) << PAGE_SHIFT
				: bases[r32() % ARRAY_SIZE(bases)];

	return at | (r32() % 16 ? 3 : r32() & 0xfff) | (r32() % 16 ? 0 : next_random(&seed) << 52);
}

/* From or to where the tables may lead, a few rows of a page each; small enough to end well. */
static void emit_random_blit(struct driver *d, struct driver_context *ctx)
{
	const uint64_t to = next_random(&seed), from = next_random(&seed);
	const uint32_t rows = 1 + r32() % 3;
	const uint32_t dw[] = {
		2u << 29 | 0x53u << 22 | 3u << 20 | 8,
		3u << 24 | 0xccu << 16 | (uint32_t)PAGE_BYTES,
		0,
		rows << 16 | 1024,
		(uint32_t)to & ~0xfffu,
		(uint32_t)(to >> 32) & 0xffff,
		0,
		(uint32_t)PAGE_BYTES,
		(uint32_t)from & ~0xfffu,
		(uint32_t)(from >> 32) & 0xffff,
	};

	driver_emit(d, ctx, dw, ARRAY_SIZE(dw));
}

/* One page for each level: most walks arrive, and anywhere. */
static void scribble_tables(struct driver *d, gpa_t tables)
{
	uint64_t *entry = ram_at(d->ram, tables);

	for (unsigned int level = 0; level < 4; level++)
		for (unsigned int i = 0; i < PAGE_BYTES / 8; i++)
			*entry++ = level < 3 && r32() % 32
					   ? (tables.v + (level + 1) * PAGE_BYTES) | 3
					   : random_entry(d);
}

/* Entries of the GGTT that lead anywhere, and stores through them. */
static void scribble_ggtt(struct driver *d, struct driver_context *ctx)
{
	const uint64_t index = 0x20000 + r32() % 0x100;
	const uint32_t dw[] = { MI_SDI_GGTT, (uint32_t)(index << PAGE_SHIFT) + (r32() & 0xffc), 0,
				r32() };

	driver_gtt_write(d, index, random_entry(d));
	driver_gtt_write(d, r32() % GGTT_ENTRIES, random_entry(d));
	driver_emit(d, ctx, dw, ARRAY_SIZE(dw));
}

static void do_tables(struct driver *d)
{
	gpa_t tables = ram_alloc(d->ram, 4);
	uint64_t page_mark = d->ram->next_page, gma_mark = d->next_gma;

	d->pml4 = tables;
	for (unsigned int i = 0; i < ITERATIONS; i++) {
		enum gpu_engine e = r32() % 8 ? GPU_BCS : GPU_RCS;
		struct driver_context ctx;

		keep_busy(d, GPU_VECS);
		d->ram->next_page = page_mark;
		d->next_gma = gma_mark;
		driver_context_init(d, &ctx, e, 0x20 + i);
		scribble_tables(d, tables);
		for (unsigned int n = e == GPU_BCS ? 8 : 0; n; n--)
			emit_random_blit(d, &ctx);
		scribble_ggtt(d, &ctx);
		emit_batch(d, &ctx, next_random(&seed) & 0xfffffffffffc);
		driver_submit(d, &ctx, NULL, 0);
		wait_a_little(d, e);
		driver_reset_engine(d, e);
	}
}

static void check_tables(json_t *tree)
{
	expect(process_number(tree, "faults", "address") * 8 >= ITERATIONS);
}

/* ---- Random registers ---- */

static uint64_t random_register(void)
{
	switch (r32() % 4) {
	case 0:
		return 0x2000 + r32() % 0x30000;
	case 1:
		return r32() % 0x200000;
	case 2:
		return 0x800000 + r32() % 0x800000;
	default:
		return r32() % 0x1000000;
	}
}

static void do_registers(struct driver *d)
{
	for (unsigned int i = 0; i < ITERATIONS * 100 || i % 1000 || !was_contended(d); i++) {
		static const size_t lens[] = { 4, 4, 4, 4, 8, 1, 2, 64 };
		uint8_t bytes[64];
		size_t len = lens[r32() % ARRAY_SIZE(lens)];
		uint64_t at = random_register() & ~(uint64_t)(r32() % 8 ? 3 : 0);

		if (i % 100 == 0) {
			process_turn_on(d);
			keep_busy(d, GPU_VECS);
		}
		for (size_t n = 0; n < sizeof(bytes); n++)
			bytes[n] = (uint8_t)r32();
		if (i % 16 == 0)
			driver_bar_read(d, 0, at, bytes, len);
		else if (i % 64 == 1)
			process_write(d, 7, r32() % 0x100, bytes, len & 7);
		else if (i % 32 == 2)
			driver_bar_write(d, 2, r32() % (1u << 20), bytes, len);
		else
			driver_bar_write(d, 0, at, bytes, len);
	}
	driver_config_read(d, 0); /* all of it has arrived */
}

static void check_registers(json_t *tree)
{
	expect(process_number(tree, "traps", "unknown_registers") > 0);
}

/* ---- Which one ---- */

static const struct {
	const char *name;
	void (*run)(struct driver *d);
	void (*check)(json_t *stat);
} acts[] = {
	{ "endless", do_endless, check_endless },
	{ "tiny", do_tiny, check_tiny },
	{ "rings", do_rings, check_rings },
	{ "tables", do_tables, check_tables },
	{ "registers", do_registers, check_registers },
};

static void play(size_t index)
{
	static struct driver d;
	json_t *tree;

	process_name = "hostile";
	driver_open(&d, true);
	driver_start(&d);
	company_open(&d);
	acts[index].run(&d);
	tree = process_stat(&d);
	printf("contended_ms %.3f faults %.0f\n", process_number(tree, "gpu", "contended_ms"),
	       sum_of_faults(tree));
	fflush(stdout);
	acts[index].check(tree);
	json_decref(tree);
	expect(process_canaries_live(&d));
	expect(!process_canaries_seen(&d));
	driver_close(&d);
}

int act(const char *name)
{
	snprintf(program_folder, sizeof(program_folder), "%s", getenv("MEDIANT_RUNTIME_DIR"));
	for (size_t i = 0; i < ARRAY_SIZE(acts); i++) {
		if (strcmp(acts[i].name, name) != 0)
			continue;
		play(i);
		return 0;
	}
	return 2;
}
