/* SPDX-License-Identifier: MIT */
/*
 * What is left to do after the translations of a space were dropped when its page tables are still
 * the same: 128 MiB of graphics addresses, one access for each page table, which enters what was in
 * use of it, beside a memcmp() of the very same tables with a copy.  Then what it costs to look at
 * every page: with nothing dropped (no more could be gained by seeing the guest's stores to its
 * tables), after an invalidation, and with all forgotten.
 *
 *   bench-shadow [JSONL]
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "bench/bench.h"
#include "shadow/shadow.h"

#define SPACE_BYTES (128ull << 20) /* all that the TLB holds */
#define PAGES	    (SPACE_BYTES / PAGE_BYTES)
#define TABLES	    (PAGES / 512)
#define TABLE_BYTES (PAGES * 8)
#define RAM_BYTES   (8ull << 20)
#define SAMPLES	    2000u

#define PML4_AT	 0x1000u
#define PDP_AT	 0x2000u
#define PD_AT	 0x3000u
#define TABLE_AT 0x100000u
#define DATA_AT	 0x400000u
#define PRESENT	 3u /* and writable */

static uint8_t *ram;
static struct guest guest;
static struct shadow_ppgtt ppgtt;
static uint64_t copy[PAGES];
static uint64_t sink;

/* ---- A guest of plain memory ----------------------------------------------------------------- */

static int ram_read(struct guest *g, gpa_t at, void *buf, size_t len)
{
	if (at.v > RAM_BYTES || len > RAM_BYTES - at.v)
		return -EFAULT;
	memcpy(buf, ram + at.v, len);
	return 0;
}

static int ram_write(struct guest *g, gpa_t at, const void *buf, size_t len)
{
	return -EFAULT;
}

static void *ram_map(struct guest *g, gpa_t at, unsigned int access, size_t *len)
{
	if (at.v >= RAM_BYTES)
		return NULL;
	*len = RAM_BYTES - at.v;
	return ram + at.v;
}

static const struct guest_ops ram_ops = { .read = ram_read, .write = ram_write, .map = ram_map };

static void set_entry(uint64_t table, uint64_t index, uint64_t entry)
{
	memcpy(ram + table + index * 8, &entry, sizeof(entry));
}

static void init(void)
{
	ram = aligned_alloc(PAGE_BYTES, RAM_BYTES);
	if (!ram)
		bench_die("no memory");
	memset(ram, 0, RAM_BYTES);
	set_entry(PML4_AT, 0, PDP_AT | PRESENT);
	set_entry(PDP_AT, 0, PD_AT | PRESENT);
	for (uint64_t i = 0; i < TABLES; i++)
		set_entry(PD_AT, i, (TABLE_AT + i * PAGE_BYTES) | PRESENT);
	for (uint64_t i = 0; i < PAGES; i++)
		set_entry(TABLE_AT, i, (DATA_AT + i * 7 % 1024 * PAGE_BYTES) | PRESENT);
	memcpy(copy, ram + TABLE_AT, TABLE_BYTES);
	guest_init(&guest, &ram_ops);
	shadow_ppgtt_init(&ppgtt, &guest);
	shadow_ppgtt_load(&ppgtt, gpa(PML4_AT));
}

/* ---- What is measured ------------------------------------------------------------------------ */

enum way { WAY_MEMCMP, WAY_BLOCKS, WAY_LOOKUP, WAY_KEPT, WAY_DROPPED, WAY_FORGOTTEN, WAYS };

static void touch(uint64_t step)
{
	for (uint64_t at = 0; at < SPACE_BYTES; at += step)
		sink += (uintptr_t)gpu_as_map(&ppgtt.as, gma(at), GPU_READ);
}

static void run(enum way way)
{
	switch (way) {
	case WAY_MEMCMP:
		for (uint64_t i = 0; i < TABLES; i++)
			sink += (uint64_t)memcmp(ram + TABLE_AT + i * PAGE_BYTES, &copy[i * 512],
						 PAGE_BYTES);
		break;
	case WAY_BLOCKS:
		gpu_as_invalidate(&ppgtt.as);
		touch(512 * PAGE_BYTES);
		break;
	case WAY_LOOKUP:
		for (uint64_t i = 0; i < PAGES; i++)
			sink += __atomic_load_n(&copy[i], __ATOMIC_RELAXED);
		break;
	case WAY_DROPPED:
		gpu_as_invalidate(&ppgtt.as);
		touch(PAGE_BYTES);
		break;
	case WAY_FORGOTTEN:
		gpu_as_forget(&ppgtt.as);
		touch(PAGE_BYTES);
		break;
	default:
		touch(PAGE_BYTES);
	}
}

/* GB of table entries a second. */
static double speed(struct bench_samples *samples, unsigned int percent)
{
	const uint64_t bytes = TABLE_BYTES;

	return (double)bytes / bench_percentile_us(samples, percent) / 1e3;
}

static double page_ns(struct bench_samples *samples)
{
	const uint64_t pages = PAGES;

	return bench_percentile_us(samples, 50) * 1e3 / (double)pages;
}

int main(int argc, char **argv)
{
	FILE *jsonl = argc > 1 ? fopen(argv[1], "a") : NULL;
	struct bench_samples samples[WAYS];
	uint64_t misses;

	if (argc > 1 && !jsonl)
		bench_die("cannot open %s", argv[1]);
	init();
	touch(PAGE_BYTES);
	misses = ppgtt.as.misses;
	for (unsigned int way = 0; way < WAYS; way++)
		bench_samples_init(&samples[way], SAMPLES);
	/* In turn; to forget comes last, so that the others find the pages translated. */
	for (unsigned int i = 0; i < SAMPLES; i++) {
		for (enum way way = 0; way < WAYS; way++) {
			uint64_t begin = clock_now_ns();

			run(way);
			bench_sample(&samples[way], clock_now_ns() - begin);
		}
	}
	if (ppgtt.as.misses != misses + SAMPLES * PAGES)
		bench_die("unchanged entries were translated again");
	bench_table_head();
	bench_report(jsonl, &(struct bench_result){
				    .name = "shadow.unchanged",
				    .unit = "GB/s",
				    .more_is_better = true,
				    .value = speed(&samples[WAY_BLOCKS], 50),
				    .p99 = speed(&samples[WAY_BLOCKS], 99),
				    .baseline = { "memcmp", speed(&samples[WAY_MEMCMP], 50) },
				    .limit = { "a table lookup for each page",
					       speed(&samples[WAY_LOOKUP], 50) },
			    });
	printf("%-32s each page: nothing dropped %.2f ns, an invalidation %.2f, forgotten %.2f\n",
	       "", page_ns(&samples[WAY_KEPT]), page_ns(&samples[WAY_DROPPED]),
	       page_ns(&samples[WAY_FORGOTTEN]));
	for (unsigned int way = 0; way < WAYS; way++)
		bench_samples_fini(&samples[way]);
	guest_fini(&guest);
	free(ram);
	if (jsonl)
		fclose(jsonl);
	return sink == 1;
}
