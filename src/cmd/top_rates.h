/* SPDX-License-Identifier: MIT */
/* From two `stat` trees of a vGPU to what it does in a second.  Pure. */
#ifndef CMD_TOP_RATES_H
#define CMD_TOP_RATES_H

#include <jansson.h>

#include "cmd/options.h"

/* Counters of one vGPU at one moment, as far as `mediant top` shows them. */
struct top_sample {
	char name[OPTION_NAME_MAX + 1];
	bool connected, shared;
	uint32_t weight;
	double uptime_s;
	double gpu_ms, wait_ms;
	double submissions, traps, faults, flips; /* since its start */
};

/* What happened between two samples. */
struct top_rates {
	double gpu_percent;		   /* of one lane's time */
	double wait_percent;		   /* of the time, waiting for a lane */
	double submissions, traps, frames; /* a second */
	double faults;			   /* since its start: one is worth seeing for longer */
};

/* Members that a tree lacks count as 0; false when it has no name. */
bool top_sample_read(const json_t *tree, struct top_sample *sample);

/* @before: NULL, or an earlier sample; one of a process that has been started anew is ignored. */
void top_rates_between(const struct top_sample *before, const struct top_sample *now,
		       struct top_rates *rates);

#endif
