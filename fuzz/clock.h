/* SPDX-License-Identifier: MIT */
/*
 * Time for fuzz targets, so that an input does the same each time: from fuzz_clock_start() on it
 * begins at one moment, and every look at the clock costs a microsecond.  Link with
 * -Wl,--wrap=clock_gettime.  One thread.
 */
#ifndef FUZZ_CLOCK_H
#define FUZZ_CLOCK_H

#include <stdint.h>

#define FUZZ_LOOK_NS 1000u

void fuzz_clock_start(void);
/* The real time again, for whoever runs the target. */
void fuzz_clock_stop(void);
void fuzz_clock_advance(uint64_t ns);
/* What the next look will see, for free. */
uint64_t fuzz_clock_ns(void);

#endif
