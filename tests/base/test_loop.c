/* SPDX-License-Identifier: MIT */
/* The event loop: sources that remove each other, timers, and work posted by other threads. */
#include "base/loop.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/support/leaks.h"

static struct loop loop;

static int loop_setup(void **state)
{
	leaks_setup(state);
	return loop_init(&loop);
}

static int loop_teardown(void **state)
{
	loop_fini(&loop);
	return leaks_teardown(state);
}

struct counter {
	struct loop_source source;
	struct counter *other; /* removed when this one is ready */
	unsigned int calls;
	uint32_t events;
};

static void counter_ready(struct loop_source *source, uint32_t events)
{
	struct counter *counter = container_of(source, struct counter, source);

	counter->calls++;
	counter->events = events;
	if (counter->other)
		loop_remove(&loop, &counter->other->source);
}

/* A source that is ready at once. */
static struct counter ready_counter(void)
{
	return (struct counter){
		.source = { .fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK),
			    .events = EPOLLIN,
			    .ready = counter_ready },
	};
}

static void ready_source_is_called(void **state)
{
	struct counter a = ready_counter();

	assert_int_equal(loop_add(&loop, &a.source), 0);
	assert_int_equal(loop_run_once(&loop, 0), 1);
	assert_int_equal(a.calls, 1);
	assert_int_equal(a.events, EPOLLIN);
	loop_remove(&loop, &a.source);
	assert_int_equal(loop_run_once(&loop, 0), 0);
	assert_int_equal(a.calls, 1);
	close(a.source.fd);
}

static void modified_source_waits_for_other_events(void **state)
{
	struct counter a = ready_counter();

	assert_int_equal(loop_add(&loop, &a.source), 0);
	assert_int_equal(loop_modify(&loop, &a.source, EPOLLOUT), 0);
	assert_int_equal(loop_run_once(&loop, 0), 1);
	assert_int_equal(a.events, EPOLLOUT);
	assert_int_equal(loop_modify(&loop, &a.source, 0), 0);
	assert_int_equal(loop_run_once(&loop, 0), 0);
	loop_remove(&loop, &a.source);
	close(a.source.fd);
}

static void source_may_remove_itself(void **state)
{
	struct counter a = ready_counter();

	a.other = &a;
	assert_int_equal(loop_add(&loop, &a.source), 0);
	loop_run_once(&loop, 0);
	assert_int_equal(loop_run_once(&loop, 0), 0);
	assert_int_equal(a.calls, 1);
	close(a.source.fd);
}

/* Both are ready in one wait, and whichever comes first takes the other out. */
static void removed_source_is_not_called_with_its_event_pending(void **state)
{
	struct counter a = ready_counter(), b = ready_counter();

	a.other = &b;
	b.other = &a;
	assert_int_equal(loop_add(&loop, &a.source), 0);
	assert_int_equal(loop_add(&loop, &b.source), 0);
	assert_int_equal(loop_run_once(&loop, 0), 2);
	assert_int_equal(a.calls + b.calls, 1);
	loop_remove(&loop, &a.source);
	loop_remove(&loop, &b.source);
	close(a.source.fd);
	close(b.source.fd);
}

static void bad_descriptor_is_refused(void **state)
{
	struct loop_source source = { .fd = -1, .events = EPOLLIN, .ready = counter_ready };

	assert_true(loop_add(&loop, &source) < 0);
}

static unsigned int expirations;

static void count_expiration(struct loop_timer *timer)
{
	expirations++;
}

static void timer_that_fails_leaves_nothing(void **state)
{
	struct loop closed = { .epoll_fd = -1 };
	struct loop_timer timer;

	assert_int_equal(loop_timer_init(&closed, &timer, count_expiration), -EBADF);
}

static void timer_fires_once_and_disarms(void **state)
{
	struct loop_timer timer;

	expirations = 0;
	assert_int_equal(loop_timer_init(&loop, &timer, count_expiration), 0);
	loop_timer_set(&timer, 1); /* long past: at once */
	assert_int_equal(loop_run_once(&loop, 5000), 1);
	assert_int_equal(expirations, 1);
	assert_int_equal(loop_run_once(&loop, 20), 0);

	uint64_t when_ns = clock_now_ns() + 20 * NSEC_PER_MSEC;
	loop_timer_set(&timer, when_ns);
	assert_int_equal(loop_run_once(&loop, 5000), 1);
	assert_true(clock_now_ns() >= when_ns);
	assert_int_equal(expirations, 2);

	loop_timer_set(&timer, clock_now_ns() + 10 * NSEC_PER_MSEC);
	loop_timer_set(&timer, 0);
	assert_int_equal(loop_run_once(&loop, 50), 0);
	assert_int_equal(expirations, 2);
	loop_timer_fini(&loop, &timer);
}

struct job {
	struct loop_work work;
	unsigned int runs, order;
	bool again;
};
static unsigned int jobs_run;

static void job_run(struct loop_work *work)
{
	struct job *job = container_of(work, struct job, work);

	job->runs++;
	job->order = ++jobs_run;
	if (job->again) {
		job->again = false;
		loop_post(&loop, work);
	}
}

static void posted_work_runs_once_and_in_order(void **state)
{
	struct job jobs[3] = { 0 };

	jobs_run = 0;
	for (int i = 0; i < 3; i++)
		jobs[i].work.run = job_run;
	for (int i = 0; i < 3; i++) {
		loop_post(&loop, &jobs[i].work);
		loop_post(&loop, &jobs[0].work);
	}
	loop_run_once(&loop, 0);
	for (unsigned int i = 0; i < 3; i++) {
		assert_int_equal(jobs[i].runs, 1);
		assert_int_equal(jobs[i].order, i + 1);
	}
}

static void work_may_post_itself_again(void **state)
{
	struct job job = { .work = { .run = job_run }, .again = true };

	loop_post(&loop, &job.work);
	loop_run_once(&loop, 0);
	loop_run_once(&loop, 0);
	assert_int_equal(job.runs, 2);
}

#define POSTS 2000

static struct job shared_job;
static _Atomic unsigned int posts_done;

static void shared_run(struct loop_work *work)
{
	shared_job.runs++;
	if (atomic_load(&posts_done) == 2)
		loop_stop(&loop);
}

static void *post_often(void *opaque)
{
	for (int i = 0; i < POSTS; i++)
		loop_post(&loop, &shared_job.work);
	/* The last post of the last thread finds the count complete. */
	atomic_fetch_add(&posts_done, 1);
	loop_post(&loop, &shared_job.work);
	return NULL;
}

static void threads_post_while_the_loop_runs(void **state)
{
	pthread_t threads[2];

	shared_job.work.run = shared_run;
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, post_often, NULL), 0);
	assert_int_equal(loop_run(&loop), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_in_range(shared_job.runs, 1, 2 * POSTS + 2);
}

static void *stop_it(void *opaque)
{
	loop_stop(&loop);
	return NULL;
}

static void another_thread_stops_it(void **state)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, stop_it, NULL), 0);
	assert_int_equal(loop_run(&loop), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

#define with_loop(test) cmocka_unit_test_setup_teardown(test, loop_setup, loop_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_loop(ready_source_is_called),
		with_loop(modified_source_waits_for_other_events),
		with_loop(source_may_remove_itself),
		with_loop(removed_source_is_not_called_with_its_event_pending),
		with_loop(bad_descriptor_is_refused),
		with_loop(timer_that_fails_leaves_nothing),
		with_loop(timer_fires_once_and_disarms),
		with_loop(posted_work_runs_once_and_in_order),
		with_loop(work_may_post_itself_again),
		with_loop(threads_post_while_the_loop_runs),
		with_loop(another_thread_stops_it),
	};

	return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
