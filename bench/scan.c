/* SPDX-License-Identifier: MIT */
/*
 * What the audit of privileged commands costs, beside what anybody would have to do: copy the
 * bytes, and find out where commands begin.  64 KiB that stay in the cache, and 64 MiB that come
 * from memory: there each page is copied into a window, the next being asked for, and audited in
 * it, as the streamer does, a MiB at a time, which is short beside a scheduler's slice.  Pages cut
 * commands, as they do in a driver's buffer: what is not whole is looked at with the next page.
 *
 *   bench-scan [JSONL]
 *
 * The stream is a made-up frame: draws with their state, register writes, stores, synchronisation,
 * five dwords a command; in one of four commands there is something to audit.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/copy.h"
#include "bench/bench.h"
#include "scan/scan.h"

#define CACHE_BYTES   (64u << 10)
#define MEMORY_BYTES  (64u << 20)
#define WINDOW_DWORDS 1024u
#define LEFT_DWORDS   256u /* more than any command of the stream has */
#define CACHE_ROUNDS  400u
#define PIECE_BYTES   (1u << 20)
#define MEMORY_ROUNDS 256u
#define REPEATS	      16u /* of the 64 KiB in one sample */

#define SHARE_BYTES 0x10000000u

static uint64_t writable[SCAN_REGISTER_WORDS];
static struct scan_audit audit;
static volatile uint32_t sink;

/* ---- The stream ------------------------------------------------------------------------------ */

static uint64_t seed = 0x9e3779b97f4a7c15ull;

static uint32_t random32(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 16);
}

/* Headers of one draw, in order; some draws leave some of it out. */
static const uint32_t draw[] = {
	0x7a000004, 0x78230000, 0x78210000, 0x11000001, 0x78300000, 0x78310000, 0x78320000,
	0x78330000, 0x78190009, 0x10400002, 0x78190009, 0x78100007, 0x78150009, 0x78240000,
	0x780e0000, 0x11000003, 0x782a0000, 0x782b0000, 0x782f0000, 0x78080003, 0x78490001,
	0x78090005, 0x78110008, 0x78080007, 0x781d0009, 0x10400002, 0x784c0000, 0x7a000004,
	0x78130002, 0x784d0000, 0x78140000, 0x781f0004, 0x11000001, 0x7820000a, 0x78260000,
	0x78190009, 0x10400002, 0x784f0000, 0x7b000005, 0,	    0,
};

static void put_operands(uint32_t *dw, uint32_t dwords)
{
	for (uint32_t i = 1; i < dwords; i++)
		dw[i] = random32();
	switch (dw[0] >> 23) {
	case 0x20: /* MI_STORE_DATA_IMM */
		dw[1] = random32() % (SHARE_BYTES - 64) & ~7u;
		dw[2] = 0;
		break;
	case 0x22: /* MI_LOAD_REGISTER_IMM */
		for (uint32_t i = 1; i < dwords; i += 2)
			dw[i] = 0x2600 + (random32() & 0x7c);
		break;
	case 0xf4: /* PIPE_CONTROL: a post-sync write */
		dw[1] = 0x01104000;
		dw[2] = random32() % (SHARE_BYTES - 64) & ~7u;
		dw[3] = 0;
		break;
	}
}

/* Fills @dwords with whole commands, MI_NOOPs behind the last; returns how many. */
static uint64_t make_stream(uint32_t *dwords, uint32_t count)
{
	uint64_t commands = 0;
	uint32_t at = 0, i = 0;

	while (at < count) {
		uint32_t header = draw[i++ % ARRAY_SIZE(draw)];
		const struct gpu_command *command = gpu_command_find(GPU_RCS, header);
		uint32_t length = command ? gpu_command_dwords(command, header) : 0;

		if (!length)
			bench_die("0x%08x is no command", header);
		if (random32() % 16 == 0)
			continue;
		if (length > count - at) {
			memset(&dwords[at], 0, (count - at) * 4ul);
			break;
		}
		dwords[at] = header;
		put_operands(&dwords[at], length);
		at += length;
		commands++;
	}
	return commands;
}

/* ---- The walks ------------------------------------------------------------------------------- */

/* Each returns where it stopped: at a command that is not whole, or behind one. */
static uint32_t walk_audit(const uint32_t *dwords, uint32_t count)
{
	const struct gpu_audit_window window = {
		.engine = GPU_RCS,
		.source = GPU_SOURCE_BATCH1,
		.dwords = dwords,
		.count = count,
	};
	struct gpu_audit_finding finding;
	uint32_t at = audit.audit.ops->scan(&audit.audit, &window, &finding);

	if (finding.kind != GPU_FAULT_NONE)
		bench_die("the stream is refused: %s at 0x%llx", gpu_fault_name(finding.kind),
			  (unsigned long long)finding.address);
	return at;
}

/* The least anybody does: a length from a table, on to the next header. */
static uint8_t bias[1u << 16], mask[1u << 16];

static uint32_t walk_headers(const uint32_t *dwords, uint32_t count)
{
	uint32_t at = 0;

	while (at < count) {
		uint32_t header = dwords[at];

		at += (header & mask[header >> 16]) + bias[header >> 16];
	}
	return at;
}

/* As command parsers in kernels do it: opcodes in the chains of a hash table. */
struct hash_node {
	struct hash_node *next;
	const struct gpu_command *command;
	uint32_t opcode, opcode_mask;
};

#define HASH_SIZE 512u
static struct hash_node *hash[HASH_SIZE];
static struct hash_node nodes[512];

static uint32_t opcode_mask(uint32_t header)
{
	switch (header >> 29) {
	case 0:
		return 0xff800000;
	case 2:
		return 0xffc00000;
	default:
		return 0xffff0000;
	}
}

static uint32_t hash_of(uint32_t opcode)
{
	return (opcode * 0x61c88647u) >> 23;
}

static uint32_t walk_hash(const uint32_t *dwords, uint32_t count)
{
	uint32_t at = 0;

	while (at < count) {
		uint32_t header = dwords[at], opcode = header & opcode_mask(header);
		const struct hash_node *node = hash[hash_of(opcode)];

		while (node && node->opcode != opcode)
			node = node->next;
		at += node ? gpu_command_dwords(node->command, header) : 1;
	}
	return at;
}

static void make_tables(void)
{
	unsigned int used = 0;

	for (uint32_t upper = 0; upper < 1u << 16; upper++) {
		const struct gpu_command *command = gpu_command_find(GPU_RCS, upper << 16);
		uint32_t opcode = (upper << 16) & opcode_mask(upper << 16);

		bias[upper] = 1;
		if (!command)
			continue;
		mask[upper] = command->length_bits ? 0xff : 0;
		bias[upper] = command->length_bits ? 2 : (uint8_t)command->min_dwords;
		if (opcode != upper << 16 || used == ARRAY_SIZE(nodes))
			continue;
		nodes[used] = (struct hash_node){ hash[hash_of(opcode)], command, opcode, 0 };
		hash[hash_of(opcode)] = &nodes[used++];
	}
}

/* ---- Samples --------------------------------------------------------------------------------- */

enum way { WAY_COPY, WAY_WINDOW, WAY_AUDIT, WAY_HEADERS, WAY_HASH, WAYS };

/* What is left of one page, and the next. */
static uint32_t window_copy[LEFT_DWORDS + WINDOW_DWORDS];
static uint32_t *elsewhere; /* MEMORY_BYTES for plain copies */

static uint32_t walk(enum way way, const uint32_t *dwords, uint32_t count)
{
	switch (way) {
	case WAY_AUDIT:
		return walk_audit(dwords, count);
	case WAY_HEADERS:
		return walk_headers(dwords, count);
	case WAY_HASH:
		return walk_hash(dwords, count);
	default:
		return count;
	}
}

/* In the cache nothing is copied first but for WAY_COPY itself. */
static uint64_t sample_cache(enum way way, const uint32_t *stream, unsigned int round)
{
	static uint32_t to[CACHE_BYTES / 4];
	uint64_t start = clock_now_ns();

	for (unsigned int i = 0; i < REPEATS; i++) {
		if (way == WAY_COPY) {
			memcpy(to, stream, CACHE_BYTES);
			__asm__ volatile("" : : "r"(to) : "memory");
		} else {
			sink = walk(way, stream, CACHE_BYTES / 4);
		}
	}
	return clock_now_ns() - start;
}

/* Out of every cache. */
static void flush(const uint32_t *stream, size_t bytes)
{
#if defined(__x86_64__)
	for (size_t at = 0; at < bytes; at += 64)
		__builtin_ia32_clflush((const char *)stream + at);
	__builtin_ia32_mfence();
#endif
}

/* Each page into the window, and there, unless it is only to be copied, walked over. */
static void go_over(enum way way, const uint32_t *stream)
{
	uint32_t left = 0, over = 0, stopped;

	for (size_t at = 0; at < PIECE_BYTES / 4; at += WINDOW_DWORDS) {
		uint32_t *page = &window_copy[LEFT_DWORDS];

		if (way == WAY_WINDOW)
			memcpy(page, &stream[at], PAGE_BYTES);
		else
			copy_and_ask(page, &stream[at], PAGE_BYTES, &stream[at + WINDOW_DWORDS]);
		__asm__ volatile("" : : "r"(window_copy) : "memory");
		stopped = over + walk(way, page - left + over, left + WINDOW_DWORDS - over);
		over = stopped > left + WINDOW_DWORDS ? stopped - left - WINDOW_DWORDS : 0;
		left = over ? 0 : left + WINDOW_DWORDS - stopped;
		memcpy(page - left, page + WINDOW_DWORDS - left, left * sizeof(*page));
	}
}

static uint64_t sample_memory(enum way way, const uint32_t *stream, unsigned int round)
{
	size_t piece = (size_t)(round * WAYS + way) * PIECE_BYTES % MEMORY_BYTES / 4;
	uint64_t start;

	stream += piece;
	flush(stream, PIECE_BYTES);
	flush(&elsewhere[piece], PIECE_BYTES);
	start = clock_now_ns();
	if (way == WAY_COPY)
		memcpy(&elsewhere[piece], stream, PIECE_BYTES);
	else
		go_over(way, stream);
	return clock_now_ns() - start;
}

/* GB/s of each way: the ways take turns, the fastest of many counts. */
static void measure(uint64_t (*sample)(enum way, const uint32_t *, unsigned int),
		    const uint32_t *stream, unsigned int rounds, double bytes, double best[WAYS],
		    double *slow)
{
	struct bench_samples samples[WAYS];

	for (unsigned int way = 0; way < WAYS; way++)
		bench_samples_init(&samples[way], rounds);
	for (unsigned int i = 0; i < rounds; i++)
		for (unsigned int way = 0; way < WAYS; way++)
			bench_sample(&samples[way], sample((enum way)way, stream, i));
	for (unsigned int way = 0; way < WAYS; way++)
		best[way] = bytes / 1000 / bench_percentile_us(&samples[way], 0);
	*slow = bytes / 1000 / bench_percentile_us(&samples[WAY_AUDIT], 99);
	for (unsigned int way = 0; way < WAYS; way++)
		bench_samples_fini(&samples[way]);
}

static void measure_cache(FILE *jsonl, const uint32_t *stream, double commands)
{
	double best[WAYS], slow;

	measure(sample_cache, stream, CACHE_ROUNDS, (double)CACHE_BYTES * REPEATS, best, &slow);
	bench_report(jsonl, &(struct bench_result){
				    .name = "scan.audit.cache",
				    .unit = "GB/s",
				    .more_is_better = true,
				    .value = best[WAY_AUDIT],
				    .p99 = slow,
				    .baseline = { "bare header walk", best[WAY_HEADERS] },
				    .limit = { "memcpy", best[WAY_COPY] },
			    });
	printf("%-32s %.1f dwords and %.2f ns a command; hash-chain walk %.2f GB/s\n", "",
	       CACHE_BYTES / 4.0 / commands, CACHE_BYTES / commands / best[WAY_AUDIT],
	       best[WAY_HASH]);
}

static void measure_memory(FILE *jsonl, const uint32_t *stream)
{
	double best[WAYS], slow;

	measure(sample_memory, stream, MEMORY_ROUNDS, PIECE_BYTES, best, &slow);
	bench_report(jsonl,
		     &(struct bench_result){
			     .name = "scan.audit.memory",
			     .unit = "GB/s",
			     .more_is_better = true,
			     .value = best[WAY_AUDIT],
			     .p99 = slow,
			     .baseline = { "memcpy", best[WAY_COPY] },
			     .limit = { "memcpy page by page into a window", best[WAY_WINDOW] },
		     });
	printf("%-32s copy and header walk %.2f, copy and hash-chain walk %.2f GB/s\n", "",
	       best[WAY_HEADERS], best[WAY_HASH]);
}

int main(int argc, char **argv)
{
	static const struct gpu_range share[2] = { { 0, SHARE_BYTES }, { 0, 0 } };
	FILE *jsonl = bench_begin(argc, argv, "[JSONL]");
	uint32_t *stream = aligned_alloc(PAGE_BYTES, MEMORY_BYTES);
	uint64_t commands;

	elsewhere = aligned_alloc(PAGE_BYTES, MEMORY_BYTES);
	if (!stream || !elsewhere)
		bench_die("no memory for the stream");
	for (uint32_t offset = 0x2600; offset < 0x2680; offset += 4)
		writable[offset / 256] |= 1ull << (offset / 4 % 64);
	scan_audit_init(&audit, share, writable);
	make_tables();
	printf("values: the fastest of many runs\n");
	bench_table_head();
	memset(elsewhere, 1, MEMORY_BYTES);
	commands = make_stream(stream, CACHE_BYTES / 4);
	measure_cache(jsonl, stream, (double)commands);
	for (size_t at = 0; at < MEMORY_BYTES; at += PIECE_BYTES)
		make_stream(&stream[at / 4], PIECE_BYTES / 4);
	measure_memory(jsonl, stream);
	free(stream);
	free(elsewhere);
	return bench_end(jsonl);
}
