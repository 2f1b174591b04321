/* SPDX-License-Identifier: MIT */
/* Lanes: kicks run entities, halts keep them off, waits poll with a back-off, turns are fair. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "sched/sched.h"

struct job {
	struct sched_entity entity;
	enum sched_step result;
	_Atomic uint32_t steps;
	_Atomic uint32_t stop_after; /* then IDLE */
	_Atomic bool inside;
	uint32_t hold_us;
};

static enum sched_step job_step(struct sched_entity *entity, uint64_t deadline_ns)
{
	struct job *job = container_of(entity, struct job, entity);

	assert_true(deadline_ns > clock_now_ns() - NSEC_PER_SEC);
	atomic_store(&job->inside, true);
	if (job->hold_us)
		usleep(job->hold_us);
	uint32_t n = atomic_fetch_add(&job->steps, 1) + 1;
	atomic_store(&job->inside, false);
	return n >= atomic_load(&job->stop_after) ? SCHED_STEP_IDLE : job->result;
}

static struct sched_lane *lane;

static int set_up(void **state)
{
	return sched_lane_create("test-lane", &lane);
}

static int tear_down(void **state)
{
	sched_lane_destroy(lane);
	return 0;
}

static void wait_steps(struct job *job, uint32_t steps)
{
	for (int i = 0; i < 20000 && atomic_load(&job->steps) < steps; i++)
		usleep(100);
	assert_true(atomic_load(&job->steps) >= steps);
}

static void kick_runs_once(void **state)
{
	struct job job = { .entity.step = job_step, .result = SCHED_STEP_IDLE, .stop_after = 1 };

	sched_add(lane, &job.entity);
	usleep(2000);
	assert_int_equal(atomic_load(&job.steps), 0);
	for (uint32_t i = 1; i <= 100; i++) {
		sched_kick(&job.entity);
		wait_steps(&job, i);
	}
	usleep(2000);
	assert_int_equal(atomic_load(&job.steps), 100);
	sched_remove(&job.entity);
}

static void kick_while_running_is_kept(void **state)
{
	struct job job = { .entity.step = job_step, .stop_after = 1, .hold_us = 5000 };

	sched_add(lane, &job.entity);
	sched_kick(&job.entity);
	for (int i = 0; i < 10000 && !atomic_load(&job.inside); i++)
		usleep(50);
	sched_kick(&job.entity);
	wait_steps(&job, 2);
	sched_remove(&job.entity);
}

static void halt_keeps_off_and_release_resumes(void **state)
{
	struct job job = { .entity.step = job_step,
			   .result = SCHED_STEP_MORE,
			   .stop_after = UINT32_MAX };

	sched_add(lane, &job.entity);
	sched_kick(&job.entity);
	wait_steps(&job, 10);
	for (int i = 0; i < 50; i++) {
		sched_halt(&job.entity);
		uint32_t at = atomic_load(&job.steps);

		assert_false(atomic_load(&job.inside));
		usleep(200);
		assert_int_equal(atomic_load(&job.steps), at);
		sched_kick(&job.entity);
		assert_int_equal(atomic_load(&job.steps), at);
		sched_release(&job.entity);
		wait_steps(&job, at + 1);
	}
	sched_remove(&job.entity);
}

#define TURNS 60u

/* Whose turn it was, in order, once all want theirs; the lane's thread writes it. */
static uint32_t turns[3 * TURNS];
static _Atomic uint32_t turn_count;
static _Atomic bool all_kicked;

static enum sched_step turn_step(struct sched_entity *entity, uint64_t deadline_ns)
{
	uint32_t turn = atomic_load(&turn_count);

	if (turn == ARRAY_SIZE(turns))
		return SCHED_STEP_IDLE;
	if (atomic_load(&all_kicked)) {
		turns[turn] = entity->id;
		usleep(100);
		atomic_store(&turn_count, turn + 1);
	}
	return SCHED_STEP_MORE;
}

static void turns_are_fair(void **state)
{
	struct sched_entity entities[3];

	for (uint32_t i = 0; i < 3; i++) {
		entities[i] = (struct sched_entity){ .step = turn_step, .id = i };
		sched_add(lane, &entities[i]);
		sched_kick(&entities[i]);
	}
	atomic_store(&all_kicked, true);
	for (int i = 0; i < 20000 && atomic_load(&turn_count) < ARRAY_SIZE(turns); i++)
		usleep(100);
	assert_int_equal(atomic_load(&turn_count), ARRAY_SIZE(turns));
	/* In the order that the kicks happened to give, and in no other. */
	assert_int_equal(BIT(turns[0]) | BIT(turns[1]) | BIT(turns[2]), 7);
	for (uint32_t i = 3; i < ARRAY_SIZE(turns); i++)
		assert_int_equal(turns[i], turns[i - 3]);
	for (uint32_t i = 0; i < 3; i++) {
		assert_true(sched_busy_ns(&entities[i]) >= TURNS * 100 * NSEC_PER_USEC);
		sched_remove(&entities[i]);
	}
}

static void wait_polls_with_back_off(void **state)
{
	struct job job = { .entity.step = job_step,
			   .result = SCHED_STEP_WAIT,
			   .stop_after = UINT32_MAX };

	sched_add(lane, &job.entity);
	sched_kick(&job.entity);
	wait_steps(&job, 5);
	usleep(20000);
	uint64_t start = clock_now_ns();
	uint32_t before = atomic_load(&job.steps);
	usleep(50000);
	/* Once the delay has grown, at most one poll each millisecond, and one for luck. */
	uint32_t polls = atomic_load(&job.steps) - before;
	assert_true(polls <= (clock_now_ns() - start) / NSEC_PER_MSEC + 2);
	wait_steps(&job, before + 1);
	atomic_store(&job.stop_after, 1);
	sched_kick(&job.entity);
	sched_remove(&job.entity);
}

static void wait_does_not_starve_others(void **state)
{
	struct job waiting = { .entity.step = job_step,
			       .result = SCHED_STEP_WAIT,
			       .stop_after = UINT32_MAX };
	struct job busy = { .entity.step = job_step,
			    .result = SCHED_STEP_MORE,
			    .stop_after = UINT32_MAX,
			    .hold_us = 50 };

	sched_add(lane, &waiting.entity);
	sched_add(lane, &busy.entity);
	sched_kick(&waiting.entity);
	sched_kick(&busy.entity);
	wait_steps(&busy, 200);
	wait_steps(&waiting, 5);
	sched_remove(&waiting.entity);
	sched_remove(&busy.entity);
}

/* Rounds take a few microseconds each, polls come every millisecond in the end. */
static void waiting_ones_look_after_each_step_of_others(void **state)
{
	struct job waiting = { .entity.step = job_step,
			       .result = SCHED_STEP_WAIT,
			       .stop_after = UINT32_MAX };
	struct job other = { .entity.step = job_step, .stop_after = 1 };

	sched_add(lane, &waiting.entity);
	sched_add(lane, &other.entity);
	sched_kick(&waiting.entity);
	wait_steps(&waiting, 1);
	for (uint32_t i = 1; i <= 2000; i++) {
		uint32_t before = atomic_load(&waiting.steps);

		sched_kick(&other.entity);
		while (atomic_load(&other.steps) < i)
			;
		while (atomic_load(&waiting.steps) == before)
			;
	}
	sched_remove(&waiting.entity);
	sched_remove(&other.entity);
	/* Each look began the waiting anew: with a delay that went on growing, most were polls. */
	assert_true(waiting.entity.poll_delay_ns < NSEC_PER_MSEC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(kick_runs_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(kick_while_running_is_kept, set_up, tear_down),
		cmocka_unit_test_setup_teardown(halt_keeps_off_and_release_resumes, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(turns_are_fair, set_up, tear_down),
		cmocka_unit_test_setup_teardown(wait_polls_with_back_off, set_up, tear_down),
		cmocka_unit_test_setup_teardown(wait_does_not_starve_others, set_up, tear_down),
		cmocka_unit_test_setup_teardown(waiting_ones_look_after_each_step_of_others, set_up,
						tear_down),
	};

	return cmocka_run_group_tests_name("sched/lane", tests, NULL, NULL);
}
