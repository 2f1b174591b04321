/* SPDX-License-Identifier: MIT */
/*
 * The calls of sched.h that a vGPU makes.  There is one lane in the program; a step must come back
 * soon after its slice has ended, however hostile its guest is.
 */
#include "fuzz/lane.h"

#include <errno.h>

#include "fuzz/clock.h"
#include "fuzz/fuzz.h"

#define SLICE_NS 20000u
#define LATE_NS	 200000u

struct sched_lane {
	struct sched_entity *all;
};

static struct sched_lane the_lane;

int sched_lane_create(const char *name, struct sched_lane **lane)
{
	*lane = &the_lane;
	return 0;
}

void sched_lane_set_lease(struct sched_lane *lane, struct sched_lease *lease)
{
}

void sched_lane_destroy(struct sched_lane *lane)
{
	FUZZ_CHECK(!lane->all);
}

void sched_add(struct sched_lane *lane, struct sched_entity *entity)
{
	entity->lane = lane;
	entity->next_all = lane->all;
	lane->all = entity;
}

void sched_remove(struct sched_entity *entity)
{
	struct sched_entity **link = &entity->lane->all;

	while (*link != entity)
		link = &(*link)->next_all;
	*link = entity->next_all;
}

void sched_kick(struct sched_entity *entity)
{
	entity->kicked = true;
}

void sched_halt(struct sched_entity *entity)
{
	entity->halted++;
}

void sched_release(struct sched_entity *entity)
{
	FUZZ_CHECK(entity->halted);
	entity->halted--;
	entity->kicked = true;
}

uint64_t sched_busy_ns(struct sched_entity *entity)
{
	return entity->busy_ns;
}

static void step(struct sched_entity *entity)
{
	uint64_t start = fuzz_clock_ns(), deadline = start + SLICE_NS;

	entity->kicked = false;
	if (entity->step(entity, deadline) != SCHED_STEP_IDLE)
		entity->kicked = true;
	entity->busy_ns += fuzz_clock_ns() - start;
	FUZZ_CHECK(fuzz_clock_ns() <= deadline + LATE_NS);
}

void fuzz_lane_run(unsigned int rounds)
{
	while (rounds--)
		for (struct sched_entity *e = the_lane.all; e; e = e->next_all)
			if (e->kicked && !e->halted)
				step(e);
}
