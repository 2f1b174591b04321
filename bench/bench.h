/* SPDX-License-Identifier: MIT */
/*
 * What the benchmarks share: samples and their median, where a process runs, and how a result is
 * told: a row of the table on stdout and a line of JSON for out/bench.jsonl.  One thread.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdio.h>

#include "base/types.h"

/*
 * What every program begins with.  @words: what its command line takes, "[JSONL]" last.  The file
 * named there, opened to be appended to and closed by bench_end(); NULL: none was named.  Ends the
 * program after --help, and where the words are too few, too many or name what does not open.
 */
FILE *bench_begin(int argc, char **argv, const char *words);
/* The program's status: 1 when the results could not be written. */
int bench_end(FILE *jsonl);

/* Nanoseconds, one for each repetition. */
struct bench_samples {
	uint64_t *ns;
	size_t count, capacity;
};

/* Room for @capacity samples; ends the program when there is none. */
void bench_samples_init(struct bench_samples *samples, size_t capacity);
void bench_samples_fini(struct bench_samples *samples);
/* Drops the sample when the room is used up. */
void bench_sample(struct bench_samples *samples, uint64_t ns);
/* The value that @percent of the samples do not exceed, in microseconds; sorts the samples. */
double bench_percentile_us(struct bench_samples *samples, unsigned int percent);

/* A yardstick: what it is and what it measured in the same run. */
struct bench_mark {
	const char *what;
	double value;
};

struct bench_result {
	const char *name;
	const char *unit;
	bool more_is_better;	    /* a speed, not a time */
	double value, p99;	    /* 99 of 100 samples were no worse than p99 */
	struct bench_mark baseline; /* ratio: above 1, ours is the better of the two */
	struct bench_mark limit;    /* what no code could do better */
};

void bench_table_head(void);
/* Prints the table's row and, if @jsonl is not NULL, appends a line there. */
void bench_report(FILE *jsonl, const struct bench_result *result);

/* Keeps the calling process on one CPU; false when it may not run there. */
bool bench_pin(int cpu);
/* How many CPUs this process may use, their numbers in @cpus (at most @max). */
int bench_cpus(int *cpus, int max);

void bench_die(const char *fmt, ...) __attribute__((noreturn)) PRINTF_LIKE(1, 2);

/* Sleeps for @ns. */
void bench_pause_ns(uint64_t ns);

#endif
