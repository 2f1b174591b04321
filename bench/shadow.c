/* SPDX-License-Identifier: MIT */
/*
 * What is left to do after the translations of a space were dropped when its page tables are still
 * the same: 128 MiB of graphics addresses, one access for each page table, which enters what was in
 * use of it, beside a memcmp() of the very same tables with a copy.  The same where the guest's
 * stores to the tables are told, so that they need no look; both also with nothing in the caches.
 * Then what it costs to look at every page: with nothing dropped, after an invalidation without and
 * with tracking, and with all forgotten.
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
static struct shadow_ppgtt ppgtt, tracked; /* the same tables */
static struct shadow_tracker *tracker;
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

/* Nobody stores to the tables: to tell it is easy. */
static int ram_track(struct guest *g, const gpa_t *pages, size_t count,
		     const struct guest_watch *watch)
{
	return 0;
}

static const struct guest_ops ram_ops = {
	.read = ram_read,
	.write = ram_write,
	.map = ram_map,
	.track = ram_track,
};

static void kicked(void *opaque)
{
}

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
	if (shadow_tracker_create(&guest, kicked, NULL, &tracker))
		bench_die("no tracker");
}

/* ---- What is measured ------------------------------------------------------------------------ */

enum way {
	WAY_MEMCMP,
	WAY_BLOCKS,
	WAY_LOOKUP,
	WAY_KEPT,
	WAY_DROPPED,
	WAY_FORGOTTEN,
	/* Apart, because they have a TLB of their own. */
	WAY_BLOCKS_TRACKED,
	WAY_TRACKED,
	/* Apart, because they leave nothing in the caches. */
	WAY_BLOCKS_COLD,
	WAY_BLOCKS_TRACKED_COLD,
	WAYS
};

__attribute__((noinline)) static void touch(struct shadow_ppgtt *space, uint64_t step)
{
	for (uint64_t at = 0; at < SPACE_BYTES; at += step)
		sink += (uintptr_t)gpu_as_map(&space->as, gma(at), GPU_READ);
}

static void drop_and_touch(struct shadow_ppgtt *space, uint64_t step)
{
	gpu_as_invalidate(&space->as);
	touch(space, step);
}

/* Out of what is timed: what is in memory is in no cache. */
static void flush(const void *start, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += 64)
		__builtin_ia32_clflush((const uint8_t *)start + at);
	__builtin_ia32_mfence();
}

static void prepare(enum way way)
{
	if (way != WAY_BLOCKS_COLD && way != WAY_BLOCKS_TRACKED_COLD)
		return;
	flush(ram, DATA_AT);
	flush(&ppgtt, sizeof(ppgtt));
	flush(&tracked, sizeof(tracked));
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
	case WAY_BLOCKS_COLD:
		drop_and_touch(&ppgtt, 512 * PAGE_BYTES);
		break;
	case WAY_BLOCKS_TRACKED:
	case WAY_BLOCKS_TRACKED_COLD:
		drop_and_touch(&tracked, 512 * PAGE_BYTES);
		break;
	case WAY_LOOKUP:
		for (uint64_t i = 0; i < PAGES; i++)
			sink += __atomic_load_n(&copy[i], __ATOMIC_RELAXED);
		break;
	case WAY_DROPPED:
		drop_and_touch(&ppgtt, PAGE_BYTES);
		break;
	case WAY_TRACKED:
		drop_and_touch(&tracked, PAGE_BYTES);
		break;
	case WAY_FORGOTTEN:
		gpu_as_forget(&ppgtt.as);
		touch(&ppgtt, PAGE_BYTES);
		break;
	default:
		touch(&ppgtt, PAGE_BYTES);
	}
}

/* In turn. */
static void measure(struct bench_samples *samples, enum way first, enum way last)
{
	for (unsigned int i = 0; i < SAMPLES; i++) {
		for (enum way way = first; way <= last; way++) {
			prepare(way);
			uint64_t begin = clock_now_ns();

			run(way);
			bench_sample(&samples[way], clock_now_ns() - begin);
		}
	}
}

/* Every table is asked for and tracked: from now on none needs a look. */
static void track_all(void)
{
	shadow_ppgtt_init(&tracked, &guest);
	shadow_ppgtt_track(&tracked, tracker);
	shadow_ppgtt_load(&tracked, gpa(PML4_AT));
	touch(&tracked, PAGE_BYTES);
	for (unsigned int i = 0; i < 20; i++)
		drop_and_touch(&tracked, 512 * PAGE_BYTES);
	shadow_tracker_update(tracker);
	if (shadow_tracker_count(tracker) != TABLES)
		bench_die("not every table is tracked");
	drop_and_touch(&tracked, 512 * PAGE_BYTES);
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

static double table_ns(struct bench_samples *samples, unsigned int percent)
{
	const uint64_t tables = TABLES;

	return bench_percentile_us(samples, percent) * 1e3 / (double)tables;
}

static void report(FILE *jsonl, struct bench_samples *samples)
{
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
	bench_report(jsonl, &(struct bench_result){
				    .name = "shadow.tracked",
				    .unit = "ns",
				    .value = table_ns(&samples[WAY_BLOCKS_TRACKED], 50),
				    .p99 = table_ns(&samples[WAY_BLOCKS_TRACKED], 99),
				    .baseline = { "the look at a table",
						  table_ns(&samples[WAY_BLOCKS], 50) },
				    .limit = { "memcmp", table_ns(&samples[WAY_MEMCMP], 50) },
			    });
	bench_report(jsonl, &(struct bench_result){
				    .name = "shadow.tracked.cold",
				    .unit = "ns",
				    .value = table_ns(&samples[WAY_BLOCKS_TRACKED_COLD], 50),
				    .p99 = table_ns(&samples[WAY_BLOCKS_TRACKED_COLD], 99),
				    .baseline = { "the look at a table",
						  table_ns(&samples[WAY_BLOCKS_COLD], 50) },
				    .limit = { "memcmp, in the cache",
					       table_ns(&samples[WAY_MEMCMP], 50) },
			    });
	printf("%-32s each page: nothing dropped %.2f ns, an invalidation %.2f, tracked %.2f, "
	       "forgotten %.2f\n",
	       "", page_ns(&samples[WAY_KEPT]), page_ns(&samples[WAY_DROPPED]),
	       page_ns(&samples[WAY_TRACKED]), page_ns(&samples[WAY_FORGOTTEN]));
}

int main(int argc, char **argv)
{
	FILE *jsonl = bench_begin(argc, argv, "[JSONL]");
	struct bench_samples samples[WAYS];
	uint64_t misses;

	init();
	touch(&ppgtt, PAGE_BYTES);
	track_all();
	misses = ppgtt.as.misses;
	for (unsigned int way = 0; way < WAYS; way++)
		bench_samples_init(&samples[way], SAMPLES);
	/* To forget comes last, so that the others find the pages translated. */
	measure(samples, WAY_MEMCMP, WAY_FORGOTTEN);
	measure(samples, WAY_BLOCKS_TRACKED, WAY_TRACKED);
	measure(samples, WAY_BLOCKS_COLD, WAY_BLOCKS_TRACKED_COLD);
	if (ppgtt.as.misses != misses + SAMPLES * PAGES || tracked.as.misses != PAGES)
		bench_die("unchanged entries were translated again");
	if (tracked.kept != 3 * SAMPLES * TABLES)
		bench_die("tracked tables were looked at");
	report(jsonl, samples);
	for (unsigned int way = 0; way < WAYS; way++)
		bench_samples_fini(&samples[way]);
	shadow_tracker_destroy(tracker);
	guest_fini(&guest);
	free(ram);
	return bench_end(jsonl) || sink == 1;
}
