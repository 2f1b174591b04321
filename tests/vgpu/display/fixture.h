/* SPDX-License-Identifier: MIT */
/* A whole vGPU with monitors, on a clock that the test turns by hand.  One thread. */
#ifndef TESTS_VGPU_DISPLAY_FIXTURE_H
#define TESTS_VGPU_DISPLAY_FIXTURE_H

#include "base/clock.h"
#include "tests/support/leaks.h"
#include "tests/vgpu/test_guest.h"
#include "vgpu/display/state.h"
#include "vgpu/irq.h"
#include "vgpu/mmio.h"

struct fixture {
	struct test_guest g;
	struct gpu *gpu;
	struct sched_lane *lane;
	struct vgpu *v;
	unsigned int messages;
	uint64_t timer_ns; /* 0: not set */
	unsigned int timer_sets;
};

extern uint64_t fixture_now_ns;

void fixture_open(struct fixture *f, const struct vgpu_port_config *ports, bool render_only);
void fixture_close(struct fixture *f);

uint32_t rd(struct fixture *f, uint32_t offset);
void wr(struct fixture *f, uint32_t offset, uint32_t value);

/* Moves the clock, firing the timer whenever it is due. */
void fixture_run(struct fixture *f, uint64_t ns);
/* What i915 writes: interrupts on, hotplug enabled on every port. */
void fixture_irq_on(struct fixture *f);
/* gen8_irq_handler(): returns the IIR of @block and clears it. */
uint32_t fixture_irq_take(struct fixture *f, uint32_t block);
/* 1024x768 at 60 Hz over TMDS from @pipe to DDI @ddi (B is 1), as i915 sets it. */
void fixture_modeset(struct fixture *f, unsigned int pipe, unsigned int ddi);

#endif
