/* SPDX-License-Identifier: MIT */
/* What the two halves of bench-submit share: the guest's side of a submission.  One thread. */
#ifndef BENCH_SUBMIT_H
#define BENCH_SUBMIT_H

#include "bench/bench.h"
#include "tests/vgpu/driver.h"

#define SUBMIT_LIMIT_NS (5 * NSEC_PER_SEC)

/* GEN8_CTX_STATUS_* */
#define CSB_IDLE_ACTIVE BIT(0)
#define CSB_PREEMPTED	BIT(1)
#define CSB_COMPLETE	BIT(4)

/*
 * The next entry of the render engine's status buffer, when there is a new one.  Here and below a
 * register read takes @read_ns longer than the call does.
 */
bool submit_next_csb(struct driver *d, uint64_t read_ns, uint32_t *status);

/* gen8_irq_handler(): two reads. */
void submit_handle_interrupt(struct driver *d, uint64_t read_ns);

/* The rows of bursts, of a driver that has started. */
void submit_streams(FILE *jsonl, struct driver *d);

#endif
