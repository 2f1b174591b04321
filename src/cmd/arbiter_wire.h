/* SPDX-License-Identifier: MIT */
/*
 * How a vGPU process asks the arbiter for a seat: one message each way over the arbiter's socket,
 * then silence.  The connection stays open as long as the seat is wanted; the end of it, from
 * either side, is the end of the seat.  Both ends are of one machine and one user.
 */
#ifndef CMD_ARBITER_WIRE_H
#define CMD_ARBITER_WIRE_H

#include "base/types.h"
#include "cmd/options.h"

#define ARBITER_MAGIC	0x6274726du /* "mrtb" */
#define ARBITER_VERSION 2u
#define ARBITER_NAME	"arbiter" /* of its socket in the runtime folder, */
#define ARBITER_SUFFIX	".lease"  /* which is no control socket */

struct arbiter_hello {
	uint32_t magic, version;
	uint32_t weight;
	uint32_t cap_percent;		/* 0: none */
	char name[OPTION_NAME_MAX + 4]; /* ends with a NUL */
};

/* With error 0 come two descriptors: the page (struct sched_lease_page) and the bell. */
struct arbiter_welcome {
	uint32_t magic, version;
	int32_t error; /* -errno */
	uint32_t lanes;
};

#endif
