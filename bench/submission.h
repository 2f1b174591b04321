/* SPDX-License-Identifier: MIT */
/* The register accesses of one submission, which bench/kvm and bench/trap replay. */
#ifndef BENCH_SUBMISSION_H
#define BENCH_SUBMISSION_H

#include "tests/support/kvm_rig.h"

/*
 * As Linux 6.1's i915 did it at boot for its first request on an engine: the port, then what the
 * interrupt of its completion makes it do.
 */
static const struct rig_access submission[] = {
	{ 0x2230, 1, 0 },	  { 0x2230, 1, 0 },
	{ 0x2230, 1, 0 },	  { 0x2230, 1, 0 },	 /* RING_ELSP */
	{ 0x44200, 1, 0 },	  { 0x44200, 0, 0 },	 /* GEN8_MASTER_IRQ: off; what is it? */
	{ 0x44308, 0, 0 },	  { 0x44308, 1, 0x100 }, /* GEN8_GT_IIR(0) */
	{ 0x44200, 1, 1u << 31 }, { 0x23a0, 0, 0 },	 /* on again; RING_CONTEXT_STATUS_PTR */
};
#define SUBMISSION_STEPS (sizeof(submission) / sizeof(submission[0]))
#define SUBMISSION_PORT	 4u /* of them: the stores to the port */

#endif
