/* SPDX-License-Identifier: MIT */
/* A newcomer, and the one beside it; see newcomer.h. */
#include "bench/newcomer.h"

#include "base/clock.h"
#include "bench/bench.h"
#include "sched/sched.h"

/* Pauses are of different lengths, lest they fall in step with the kernel's ticks. */
#define PAUSE_NS      (7 * NSEC_PER_MSEC)
#define PAUSE_MORE_NS (4 * NSEC_PER_MSEC)
#define LOOK_NS	      (50 * NSEC_PER_USEC)

static struct sched_entity entity;
static _Atomic uint64_t stepped_ns;

static enum sched_step step(struct sched_entity *self, uint64_t deadline_ns)
{
	atomic_store(&stepped_ns, clock_now_ns());
	return SCHED_STEP_IDLE;
}

static uint32_t take_sample(void)
{
	uint64_t kicked_ns = clock_now_ns();

	atomic_store(&stepped_ns, 0);
	sched_kick(&entity);
	while (!atomic_load(&stepped_ns))
		bench_pause_ns(LOOK_NS);
	return (uint32_t)(atomic_load(&stepped_ns) - kicked_ns);
}

_Noreturn void newcomer_run(const struct newcomer_config *config)
{
	struct sched_lane *lane;

	bench_pin(config->lane_cpu);
	if (sched_lane_create("lane", &lane))
		bench_die("no lane");
	bench_pin(config->driver_cpu);
	sched_lane_set_lease(lane, config->lease);
	entity.step = step;
	sched_add(lane, &entity);
	for (uint32_t i = 0; i < config->count; i++) {
		bench_pause_ns(PAUSE_NS + i * 7919ull * NSEC_PER_USEC % PAUSE_MORE_NS);
		config->samples_ns[i] = take_sample();
		atomic_store(config->taken, i + 1);
	}
	for (;;)
		bench_pause_ns(PAUSE_NS);
}

_Noreturn void newcomer_beside(struct sched_lease *lease, _Atomic uint32_t *ready)
{
	if (lease && !sched_lease_acquire(lease))
		bench_die("no lease");
	atomic_store(ready, 1);
	for (;;) {
		while (!lease || clock_now_ns() < sched_lease_slice_end_ns(lease))
			;
		sched_lease_yield(lease);
	}
}
