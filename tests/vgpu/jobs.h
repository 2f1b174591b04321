/* SPDX-License-Identifier: MIT */
/* What tests of submissions let an engine do, and how it tells of it. */
#ifndef TESTS_VGPU_JOBS_H
#define TESTS_VGPU_JOBS_H

#include "driver.h"
#include "vgpu/engine.h"

/* Entries of the status buffer. */
#define IDLE_TO_ACTIVE CSB_IDLE_ACTIVE
#define SWITCHED       (CSB_COMPLETE | CSB_ELEMENT_SWITCH)
#define LAST	       (CSB_COMPLETE | CSB_ACTIVE_IDLE)
#define LITE	       (CSB_LITE_RESTORE | CSB_PREEMPTED)

/* An engine's part of the GT's IIR. */
#define IRQ_USER   0x001u
#define IRQ_ERROR  0x008u
#define IRQ_SWITCH 0x100u

#define LOOP_GMA 0x7f0000000000ull

/*
 * A batch at LOOP_GMA in the per-process space that jumps to itself until its first word becomes an
 * end; the page it is in.
 */
gpa_t make_endless(struct driver *d);

/* Into the ring, without telling anybody: the batch at LOOP_GMA; a value for a register. */
void emit_batch(struct driver *d, struct driver_context *ctx);
void emit_lri(struct driver *d, struct driver_context *ctx, uint32_t reg, uint32_t value);

#endif
