/* SPDX-License-Identifier: MIT */
/* The clock of the fuzz targets: the linker sends every clock_gettime() here. */
#include "fuzz/clock.h"

#include <stdbool.h>
#include <time.h>

#define START_NS 1000000000000u
#define SECOND	 1000000000u

int __real_clock_gettime(clockid_t id, struct timespec *ts);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts);

static uint64_t now_ns;
static bool running;

int __wrap_clock_gettime(clockid_t id, struct timespec *ts)
{
	if (!running)
		return __real_clock_gettime(id, ts);
	ts->tv_sec = (time_t)(now_ns / SECOND);
	ts->tv_nsec = (long)(now_ns % SECOND);
	now_ns += FUZZ_LOOK_NS;
	return 0;
}

void fuzz_clock_start(void)
{
	now_ns = START_NS;
	running = true;
}

void fuzz_clock_stop(void)
{
	running = false;
}

void fuzz_clock_advance(uint64_t ns)
{
	now_ns += ns;
}

uint64_t fuzz_clock_ns(void)
{
	return now_ns;
}
