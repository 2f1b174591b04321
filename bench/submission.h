/* SPDX-License-Identifier: MIT */
/*
 * A submission that runs, which bench/kvm and bench/trap replay: a context whose ring stores one
 * word, handed to the render engine by the register accesses that i915 makes.  What the driver does
 * in memory is here, and what it does to registers is a list, for whoever makes the accesses.  One
 * thread.
 */
#ifndef BENCH_SUBMISSION_H
#define BENCH_SUBMISSION_H

#include "base/types.h"
#include "tests/support/kvm_rig.h"

#define SUBMISSION_PAGES 6u
#define SUBMISSION_ELSP	 0x2230u
#define SUBMISSION_PORT	 4u  /* of the steps: the stores to the port, the last of which submits */
#define SUBMISSION_STEPS 10u /* with the interrupt handler's */

struct submission {
	struct rig_access steps[SUBMISSION_STEPS]; /* from BAR0 */
	uint8_t *pages;				   /* the guest's, as this process sees them */
	unsigned int csb;			   /* slot of the status buffer written last */
};

/* How the set-up reaches registers: 4 bytes at @at of BAR0. */
struct submission_door {
	uint32_t (*load)(void *opaque, uint32_t at);
	void (*store)(void *opaque, uint32_t at, uint32_t value);
	void *opaque;
};

/* @pages: the guest's SUBMISSION_PAGES pages from @at on; all zero. */
void submission_init(struct submission *s, uint8_t *pages, uint32_t at,
		     const struct submission_door *door);
/* What comes before the first step, in memory. */
void submission_prepare(struct submission *s);
/* After the port's last store: until the context is complete, which has to be within seconds. */
void submission_wait(struct submission *s);

#endif
