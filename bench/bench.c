/* SPDX-License-Identifier: MIT */
/* Samples, pinning and reporting for the benchmarks; see bench.h. */
#include "bench/bench.h"

#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

void bench_die(const char *fmt, ...)
{
	va_list ap;

	fputs("bench: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap); /* NOLINT(clang-analyzer-valist.Uninitialized): begun above */
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

static int usage(FILE *to, const char *program, const char *words)
{
	fprintf(to,
		"usage: %s %s\n"
		"Measures and prints a table; appends a line of JSON for each row to the file JSONL.\n",
		program, words);
	return to == stderr;
}

FILE *bench_begin(int argc, char **argv, const char *words)
{
	int least = 1, most = 2; /* the program's own name, the file */

	for (const char *at = words; (at = strchr(at, ' ')); at++)
		least++, most++;
	if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")))
		exit(usage(stdout, argv[0], words));
	if (argc < least || argc > most)
		exit(usage(stderr, argv[0], words));
	if (argc == least)
		return NULL;
	FILE *jsonl = fopen(argv[least], "a");
	if (!jsonl)
		bench_die("%s: %m", argv[least]);
	return jsonl;
}

int bench_end(FILE *jsonl)
{
	if (!jsonl || !fclose(jsonl))
		return 0;
	fprintf(stderr, "bench: the results could not be written: %m\n");
	return 1;
}

void bench_samples_init(struct bench_samples *samples, size_t capacity)
{
	*samples = (struct bench_samples){
		.ns = calloc(capacity, sizeof(*samples->ns)),
		.capacity = capacity,
	};
	if (!samples->ns)
		bench_die("no memory for %zu samples", capacity);
}

void bench_samples_fini(struct bench_samples *samples)
{
	free(samples->ns);
}

void bench_sample(struct bench_samples *samples, uint64_t ns)
{
	if (samples->count < samples->capacity)
		samples->ns[samples->count++] = ns;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

double bench_percentile_us(struct bench_samples *samples, unsigned int percent)
{
	if (!samples->count)
		return 0;
	qsort(samples->ns, samples->count, sizeof(*samples->ns), compare);
	size_t at = (samples->count - 1) * percent / 100;
	return (double)samples->ns[at] / 1000;
}

void bench_table_head(void)
{
	printf("%-32s %9s %9s  %6s  %s\n", "", "value", "p99", "ratio", "beside");
}

void bench_report(FILE *jsonl, const struct bench_result *r)
{
	double less = r->more_is_better ? r->baseline.value : r->value;
	double more = r->more_is_better ? r->value : r->baseline.value;
	double ratio = less > 0 ? more / less : 0;

	printf("%-32s %6.2f %s %6.2f %s  %6.2f  %s: %.2f %s; at best %.2f %s (%s)\n", r->name,
	       r->value, r->unit, r->p99, r->unit, ratio, r->baseline.what, r->baseline.value,
	       r->unit, r->limit.value, r->unit, r->limit.what);
	if (!jsonl)
		return;
	fprintf(jsonl,
		"{\"name\": \"%s\", \"time\": %lld, \"value\": %.3f, \"p99\": %.3f, "
		"\"unit\": \"%s\", \"baseline\": {\"what\": \"%s\", \"value\": %.3f}, "
		"\"limit\": {\"what\": \"%s\", \"value\": %.3f}, \"ratio\": %.3f}\n",
		r->name, (long long)time(NULL), r->value, r->p99, r->unit, r->baseline.what,
		r->baseline.value, r->limit.what, r->limit.value, ratio);
	fflush(jsonl);
}

int bench_cpus(int *cpus, int max)
{
	cpu_set_t set;
	int count = 0;

	if (sched_getaffinity(0, sizeof(set), &set))
		return 0;
	for (int cpu = 0; cpu < CPU_SETSIZE && count < max; cpu++)
		if (CPU_ISSET(cpu, &set))
			cpus[count++] = cpu;
	return count;
}

bool bench_pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return !sched_setaffinity(0, sizeof(set), &set);
}

void bench_pause_ns(uint64_t ns)
{
	const struct timespec ts = { (time_t)(ns / NSEC_PER_SEC), (long)(ns % NSEC_PER_SEC) };

	nanosleep(&ts, NULL);
}
