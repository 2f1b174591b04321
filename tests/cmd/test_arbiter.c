/* SPDX-License-Identifier: MIT */
/*
 * The arbiter as a process, with real clients: lanes of this process and of children it forks.
 * What is asserted are counts of leases, never times.  Clients that mean harm are
 * test_arbiter_hostile.c's.  argv[1] is the program.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/core_slice.h"
#include "cmd/arbiter_client.h"
#include "cmd/process.h"
#include "cmd/sandbox.h"
#include "tests/cmd/arbiter_rig.h"
#include "tests/cmd/program.h"

static int set_up(void **state)
{
	return arbiter_setup(state, "arbiter --lanes 1 --slice 1000");
}

static int set_up_in_turn(void **state)
{
	return arbiter_setup(state, "arbiter --lanes 1 --slice 1000 --policy rr");
}

static int set_up_long_slices(void **state)
{
	return arbiter_setup(state, "arbiter --lanes 1 --slice 1000000");
}

static void alone_it_asks_once(void **state)
{
	struct sched_lease_stats stats;
	struct worker w;

	worker_start(&w, false, 1);
	for (uint64_t i = 1; i <= 200; i++) {
		sched_kick(&w.entity);
		worker_wait(&w, i);
	}
	sched_lease_stats(w.lease, &stats);
	assert_int_equal(stats.grants, 1);
	assert_int_equal(stats.waits, 1);
	assert_int_equal(stats.yields, 0);
	worker_end(&w);
}

static void equals_take_turns(void **state)
{
	uint64_t least = UINT64_MAX, most = 0;
	struct worker w[4];

	for (int i = 0; i < 4; i++)
		worker_start(&w[i], true, 1);
	for (int i = 0; i < 4; i++)
		sched_kick(&w[i].entity);
	for (int i = 0; i < 4; i++)
		worker_wait_contended(&w[i], 100 * NSEC_PER_MSEC);
	for (int i = 0; i < 4; i++) {
		assert_true(worker_leases(&w[i]) > 20);
		least = MIN(least, worker_contended_ns(&w[i]));
		most = MAX(most, worker_contended_ns(&w[i]));
	}
	assert_true(most < least * 2);
	for (int i = 0; i < 4; i++)
		worker_end(&w[i]);
}

static void weights_count(void **state)
{
	struct worker light, heavy;

	worker_start(&light, true, 1);
	worker_start(&heavy, true, 4);
	sched_kick(&light.entity);
	sched_kick(&heavy.entity);
	/* Far more than a slice that a busy machine draws out. */
	worker_wait_contended(&light, 100 * NSEC_PER_MSEC);
	assert_true(worker_contended_ns(&heavy) > worker_contended_ns(&light) * 2);
	worker_end(&heavy);
	worker_end(&light);
}

/* The reference knows no weights. */
static void in_turn_weights_do_not_count(void **state)
{
	struct worker light, heavy;
	uint64_t had[2];

	worker_start(&light, true, 1);
	worker_start(&heavy, true, 16);
	sched_kick(&light.entity);
	sched_kick(&heavy.entity);
	worker_wait(&light, 60);
	had[0] = worker_leases(&light);
	had[1] = worker_leases(&heavy);
	worker_end(&heavy);
	worker_end(&light);
	assert_in_range(had[1], had[0] / 2, had[0] * 2);
}

/*
 * However long the machine takes: an end is set when another one waits, not before it is due.  The
 * other one comes from no pause, so slices are not short for its sake.
 */
static void slices_are_as_long_as_said(void **state)
{
	struct raw_seat first, second;
	uint64_t start_ns;

	raw_join(&first);
	raw_join(&second);
	raw_say(&second, SCHED_LEASE_WANT);
	raw_wait_lane(&second);
	assert_true(atomic_load(&second.page->slice_end_ns) == SCHED_SLICE_FREE);
	raw_say(&first, SCHED_LEASE_WANT);
	while (atomic_load(&second.page->slice_end_ns) == SCHED_SLICE_FREE)
		usleep(100);
	start_ns = clock_now_ns();
	raw_say(&second, SCHED_LEASE_WANT);
	raw_wait_lane(&first);
	for (int i = 0; i < 100000; i++) {
		if (atomic_load(&first.page->slice_end_ns) != SCHED_SLICE_FREE)
			break;
		usleep(100);
	}
	assert_in_range(atomic_load(&first.page->slice_end_ns), start_ns + NSEC_PER_SEC,
			SCHED_SLICE_FREE - 1);
	raw_say(&first, SCHED_LEASE_IDLE);
	raw_wait_lane(&second);
	raw_leave(&first);
	raw_leave(&second);
}

/* What the arbiter was told, in its own words. */
static void expect_seat(const char *line, const char *words)
{
	pid_t pid = program_serve(line);
	char text[128];

	snprintf(text, sizeof(text), "one (process %d) has a seat: %s\n", (int)pid, words);
	if (!strstr(program_log(arbiter_log), text))
		fail_msg("no \"%s\" in: %s", text, program_log(arbiter_log));
	program_end(pid);
}

static void serve_asks_for_what_it_was_told(void **state)
{
	expect_seat("serve --socket %/vfio --name one --log warn --weight 5 --cap 70",
		    "weight 5, cap 70 %");
	expect_seat("serve --socket %/vfio --name one --log warn --type i915-GVTg_V5_2",
		    "weight 8, no cap");
}

static void killed_in_its_slice(void **state)
{
	struct sched_lease *lease;
	struct worker w;
	int ready[2], fd;
	char byte;
	pid_t pid;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	if (!pid) {
		fd = arbiter_join(arbiter_path, "victim", 1, 0, &lease);
		if (fd >= 0 && sched_lease_acquire(lease) && write(ready[1], "", 1) == 1)
			pause();
		_exit(1);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	worker_start(&w, false, 1);
	sched_kick(&w.entity);
	worker_wait(&w, 1);
	worker_end(&w);
	close(ready[0]);
	close(ready[1]);
}

/* Its socket lives on in another process, which finds it closed. */
static void the_end_of_a_process_ends_its_seat(void **state)
{
	struct sched_lease *lease;
	int told[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe2(told, O_CLOEXEC), 0);
	pid = fork();
	if (!pid) {
		int fd = arbiter_join(arbiter_path, "victim", 1, 0, &lease);

		if (fd < 0 || fork())
			_exit(fd < 0);
		alarm(20);
		_exit(read(fd, &byte, 1) || write(told[1], "", 1) != 1);
	}
	close(told[1]);
	waitpid(pid, NULL, 0);
	assert_int_equal(read(told[0], &byte, 1), 1);
	close(told[0]);
}

static void one_that_never_yields(void **state)
{
	struct sched_lease *lease;
	struct sched_lease_stats stats;
	struct worker w[2];
	int fd = seat_join(&lease);

	assert_true(sched_lease_acquire(lease));
	for (int i = 0; i < 2; i++) {
		worker_start(&w[i], true, 1);
		sched_kick(&w[i].entity);
	}
	for (int i = 0; i < 2; i++)
		worker_wait(&w[i], 100);
	sched_lease_stats(lease, &stats);
	assert_int_equal(stats.grants, 1);
	assert_int_equal(stats.overruns, 1);
	for (int i = 0; i < 2; i++)
		worker_end(&w[i]);
	sched_lease_destroy(lease);
	close(fd);
}

/* Through the arbiter's sandbox, which leaves it the lists of threads in /proc. */
static void one_that_never_stops_is_put_back(void **state)
{
	struct sandbox sandbox = { .look_in = -1 };
	struct sched_lease *lease;
	struct worker w;
	int ready[2], fd;
	char byte;
	pid_t pid;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	if (!pid) {
		/* Nobody may put back who has more capabilities than he. */
		if (sandbox_drop_privileges(&sandbox))
			_exit(1);
		fd = arbiter_join(arbiter_path, "greedy", 1, 0, &lease);
		if (fd >= 0 && sched_lease_acquire(lease) && write(ready[1], "", 1) == 1)
			pause();
		_exit(1);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	worker_start(&w, true, 1);
	sched_kick(&w.entity);
	for (int i = 0; i < 2000 && sched_getscheduler(pid) != SCHED_IDLE; i++)
		usleep(10000);
	assert_int_equal(sched_getscheduler(pid), SCHED_IDLE);
	worker_end(&w);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(ready[0]);
	close(ready[1]);
}

static void the_arbiter_ends_while_one_waits(void **state)
{
	struct sched_lease *lease;
	struct sched_lease_stats stats;
	struct pollfd hangup = { .events = POLLIN };
	struct worker w;
	int fd = seat_join(&lease);

	assert_true(sched_lease_acquire(lease)); /* and does not let go */
	worker_start(&w, false, 1);
	sched_kick(&w.entity);
	usleep(2000);
	assert_int_equal(process_end(arbiter_pid, PROGRAM_LIMIT_NS), 0);
	arbiter_pid = -1;
	hangup.fd = w.fd;
	assert_int_equal(poll(&hangup, 1, 10000), 1);
	sched_lease_set_free(w.lease);
	worker_wait(&w, 1);
	sched_kick(&w.entity);
	worker_wait(&w, 2);
	sched_lease_stats(w.lease, &stats);
	assert_false(stats.shared);
	worker_end(&w);
	sched_lease_destroy(lease);
	close(fd);
}

static void a_lane_ends_while_it_waits(void **state)
{
	struct sched_lease *lease;
	struct worker w;
	int fd = seat_join(&lease);

	assert_true(sched_lease_acquire(lease));
	worker_start(&w, false, 1);
	sched_kick(&w.entity);
	usleep(2000);
	worker_end(&w);
	sched_lease_destroy(lease);
	close(fd);
}

static void the_arbiter_asks_for_short_slices(void **state)
{
	int64_t own = core_slice_of(0);

	assert_true(own >= 0);
	if (!own) {
		print_message("skipped: a kernel before 6.12 keeps no slice of a thread's own\n");
		skip();
	}
	assert_int_equal(core_slice_of(arbiter_pid), 100 * NSEC_PER_USEC);
}

static int run(const char *line)
{
	char text[4096];

	return program_run(line, text, sizeof(text));
}

static void command_lines(void **state)
{
	static const char *const bad[] = {
		"arbiter --lanes 0",
		"arbiter --lanes x",
		"arbiter --policy best",
		"arbiter --slice 1",
		"arbiter --socket",
		"arbiter word",
		"arbiter --log x",
		"serve --socket a --weight 0",
		"serve --socket a --cap 101",
		"serve --socket a --device x.json --weight 1",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(run(bad[i]), 2);
	assert_int_equal(run("arbiter --help"), 0);
	assert_int_equal(run("arbiter"), 1); /* one runs */
	assert_int_equal(run("serve --socket a --arbiter /no/such/socket"), 1);
}

#define set_up_as(how, test) cmocka_unit_test_setup_teardown(test, how, arbiter_teardown)
#define with_arbiter(test)   set_up_as(set_up, test)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		with_arbiter(alone_it_asks_once),
		with_arbiter(equals_take_turns),
		with_arbiter(weights_count),
		set_up_as(set_up_in_turn, in_turn_weights_do_not_count),
		set_up_as(set_up_long_slices, slices_are_as_long_as_said),
		with_arbiter(serve_asks_for_what_it_was_told),
		with_arbiter(killed_in_its_slice),
		with_arbiter(the_end_of_a_process_ends_its_seat),
		with_arbiter(one_that_never_yields),
		with_arbiter(one_that_never_stops_is_put_back),
		with_arbiter(the_arbiter_ends_while_one_waits),
		with_arbiter(a_lane_ends_while_it_waits),
		with_arbiter(the_arbiter_asks_for_short_slices),
		with_arbiter(command_lines),
	};

	if (!program_take(argc, argv))
		return 2;
	return cmocka_run_group_tests_name("cmd arbiter", tests, NULL, NULL);
}
