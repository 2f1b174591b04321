/* SPDX-License-Identifier: MIT */
/*
 * The arbiter as a process, with real clients: lanes of this process and of children it forks.
 * Waits are bounded, and what is asserted are counts of leases, never times.  argv[1] is the
 * program.
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

#include "cmd/arbiter_client.h"
#include "cmd/arbiter_wire.h"
#include "cmd/process.h"
#include "cmd/sandbox.h"
#include "tests/cmd/program.h"

static char path[128];
static pid_t arbiter;

/* ---- The arbiter's process ----------------------------------------------------------------------
 */

static int run(const char *line)
{
	char text[4096];

	return program_run(line, text, sizeof(text));
}

static int set_up(void **state)
{
	char text[512];
	int fd;

	program_setup(state);
	sprintf(path, "%s/arbiter.lease", program_folder);
	arbiter = program_start("arbiter --lanes 1 --slice 1000", &fd);
	assert_int_equal(process_read(fd, text, sizeof(text), clock_now_ns() + PROGRAM_LIMIT_NS,
				      program_has_line),
			 1);
	close(fd);
	return 0;
}

static int tear_down(void **state)
{
	if (arbiter > 0)
		assert_int_equal(process_end(arbiter, PROGRAM_LIMIT_NS), 0);
	assert_int_equal(access(path, F_OK), -1);
	return program_teardown(state);
}

/* ---- Clients ------------------------------------------------------------------------------------
 */

struct worker {
	struct sched_entity entity;
	struct sched_lane *lane;
	struct sched_lease *lease;
	int fd;
	_Atomic uint64_t steps;
	bool busy;
};

/* Works until its slice's end, or a little when it is not busy. */
static enum sched_step worker_step(struct sched_entity *entity, uint64_t deadline_ns)
{
	struct worker *w = container_of(entity, struct worker, entity);

	while (w->busy && clock_now_ns() < deadline_ns)
		;
	atomic_fetch_add(&w->steps, 1);
	return w->busy ? SCHED_STEP_MORE : SCHED_STEP_IDLE;
}

static void worker_start(struct worker *w, bool busy, uint32_t weight)
{
	*w = (struct worker){ .entity.step = worker_step, .busy = busy };
	w->fd = arbiter_join(path, "worker", weight, 0, &w->lease);
	assert_true(w->fd >= 0);
	assert_int_equal(sched_lane_create("worker", &w->lane), 0);
	sched_lane_set_lease(w->lane, w->lease);
	sched_add(w->lane, &w->entity);
}

static void worker_end(struct worker *w)
{
	sched_remove(&w->entity);
	sched_lane_destroy(w->lane);
	sched_lease_destroy(w->lease);
	close(w->fd);
}

static void wait_steps(struct worker *w, uint64_t steps)
{
	for (int i = 0; i < 100000 && atomic_load(&w->steps) < steps; i++)
		usleep(100);
	assert_true(atomic_load(&w->steps) >= steps);
}

static uint64_t leases(struct worker *w)
{
	struct sched_lease_stats stats;

	sched_lease_stats(w->lease, &stats);
	return stats.grants;
}

/* A seat without a lane's thread: the caller is the thread. */
static int join(struct sched_lease **lease)
{
	int fd = arbiter_join(path, "test", 1, 0, lease);

	assert_true(fd >= 0);
	return fd;
}

/* ---- What is expected
 * ---------------------------------------------------------------------------- */

static void alone_it_asks_once(void **state)
{
	struct sched_lease_stats stats;
	struct worker w;

	worker_start(&w, false, 1);
	for (uint64_t i = 1; i <= 200; i++) {
		sched_kick(&w.entity);
		wait_steps(&w, i);
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
		wait_steps(&w[i], 100);
	for (int i = 0; i < 4; i++) {
		least = MIN(least, leases(&w[i]));
		most = MAX(most, leases(&w[i]));
	}
	assert_true(least > 20);
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
	wait_steps(&light, 60);
	assert_true(leases(&heavy) > leases(&light) * 2);
	worker_end(&heavy);
	worker_end(&light);
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
		fd = arbiter_join(path, "victim", 1, 0, &lease);
		if (fd >= 0 && sched_lease_acquire(lease) && write(ready[1], "", 1) == 1)
			pause();
		_exit(1);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	worker_start(&w, false, 1);
	sched_kick(&w.entity);
	wait_steps(&w, 1);
	worker_end(&w);
	close(ready[0]);
	close(ready[1]);
}

static void one_that_never_yields(void **state)
{
	struct sched_lease *lease;
	struct sched_lease_stats stats;
	struct worker w[2];
	int fd = join(&lease);

	assert_true(sched_lease_acquire(lease));
	for (int i = 0; i < 2; i++) {
		worker_start(&w[i], true, 1);
		sched_kick(&w[i].entity);
	}
	for (int i = 0; i < 2; i++)
		wait_steps(&w[i], 100);
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
		fd = arbiter_join(path, "greedy", 1, 0, &lease);
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
	int fd = join(&lease);

	assert_true(sched_lease_acquire(lease)); /* and does not let go */
	worker_start(&w, false, 1);
	sched_kick(&w.entity);
	usleep(2000);
	assert_int_equal(process_end(arbiter, PROGRAM_LIMIT_NS), 0);
	arbiter = -1;
	hangup.fd = w.fd;
	assert_int_equal(poll(&hangup, 1, 10000), 1);
	sched_lease_set_free(w.lease);
	wait_steps(&w, 1);
	sched_kick(&w.entity);
	wait_steps(&w, 2);
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
	int fd = join(&lease);

	assert_true(sched_lease_acquire(lease));
	worker_start(&w, false, 1);
	sched_kick(&w.entity);
	usleep(2000);
	worker_end(&w);
	sched_lease_destroy(lease);
	close(fd);
}

/* ---- The hostile
 * ---------------------------------------------------------------------------------- */

/* True when the arbiter ended the connection. */
static bool is_dropped(int fd)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	char bytes[256];

	while (poll(&wait, 1, 10000) == 1)
		if (recv(fd, bytes, sizeof(bytes), 0) <= 0)
			return true;
	return false;
}

static void say(const void *bytes, size_t len)
{
	int fd = runtime_dir_connect(path);

	assert_true(fd >= 0);
	assert_int_equal(send(fd, bytes, len, MSG_NOSIGNAL), len);
	assert_true(is_dropped(fd));
	close(fd);
}

static void bad_greetings_end_the_connection(void **state)
{
	const struct arbiter_hello good = {
		.magic = ARBITER_MAGIC, .version = ARBITER_VERSION, .weight = 1, .name = "x"
	};
	struct arbiter_hello hello = good;
	struct sched_lease *lease;
	int fd;

	say(&good, sizeof(good) - 1);
	say("hello", 5);
	hello.magic++;
	say(&hello, sizeof(hello));
	hello = good;
	hello.version++;
	say(&hello, sizeof(hello));
	hello = good;
	hello.weight = 0;
	say(&hello, sizeof(hello));
	hello.weight = UINT32_MAX;
	say(&hello, sizeof(hello));
	hello = good;
	hello.cap_percent = 101;
	say(&hello, sizeof(hello));
	hello = good;
	memset(hello.name, 'x', sizeof(hello.name));
	say(&hello, sizeof(hello));
	strcpy(hello.name, "../x");
	say(&hello, sizeof(hello));
	fd = join(&lease); /* a good one, and then a word too many */
	assert_int_equal(send(fd, &good, sizeof(good), MSG_NOSIGNAL), sizeof(good));
	assert_true(is_dropped(fd));
	close(fd);
	sched_lease_destroy(lease);
}

static void the_seats_have_an_end(void **state)
{
	struct sched_lease *lease[SCHED_SEATS_MAX], *more = NULL;
	int fd[SCHED_SEATS_MAX];

	for (unsigned int i = 0; i < SCHED_SEATS_MAX; i++)
		fd[i] = join(&lease[i]);
	assert_int_equal(arbiter_join(path, "more", 1, 0, &more), -EUSERS);
	assert_null(more);
	for (unsigned int i = 0; i < SCHED_SEATS_MAX; i++) {
		sched_lease_destroy(lease[i]);
		close(fd[i]);
	}
}

/* Says hello by hand; the page's and the bell's descriptors. */
static int join_raw(int fds[2])
{
	const struct arbiter_hello hello = {
		.magic = ARBITER_MAGIC, .version = ARBITER_VERSION, .weight = 1, .name = "raw"
	};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(2 * sizeof(int))];
	} control;
	struct arbiter_welcome welcome;
	struct iovec iov = { &welcome, sizeof(welcome) };
	struct msghdr message = { .msg_iov = &iov,
				  .msg_iovlen = 1,
				  .msg_control = control.bytes,
				  .msg_controllen = sizeof(control.bytes) };
	int fd = runtime_dir_connect(path);

	assert_int_equal(send(fd, &hello, sizeof(hello), MSG_NOSIGNAL), sizeof(hello));
	assert_int_equal(recvmsg(fd, &message, 0), sizeof(welcome));
	assert_int_equal(welcome.error, 0);
	assert_int_equal(welcome.lanes, 1);
	memcpy(fds, CMSG_DATA(&control.align), 2 * sizeof(int));
	return fd;
}

static void a_mad_client_hurts_nobody_else(void **state)
{
	struct sched_lease_page *page;
	uint64_t one = 1, seed = 88172645463325252ull;
	struct worker w;
	int fds[2], fd = join_raw(fds);

	assert_int_equal(ftruncate(fds[0], 0), -1);
	assert_int_equal(ftruncate(fds[0], 1 << 20), -1);
	page = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0);
	assert_true(page != MAP_FAILED);
	worker_start(&w, true, 1);
	sched_kick(&w.entity);
	for (int i = 0; i < 100000; i++) {
		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		atomic_store(&page->state, seed & 0x700 ? (uint32_t)(seed & 3) : (uint32_t)seed);
		atomic_store(&page->slice_end_ns, seed);
		assert_int_equal(write(fds[1], &one, sizeof(one)), sizeof(one));
	}
	wait_steps(&w, atomic_load(&w.steps) + 20);
	worker_end(&w);
	munmap(page, PAGE_BYTES);
	close(fds[0]);
	close(fds[1]);
	close(fd);
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

#define with_arbiter(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		with_arbiter(alone_it_asks_once),
		with_arbiter(equals_take_turns),
		with_arbiter(weights_count),
		with_arbiter(killed_in_its_slice),
		with_arbiter(one_that_never_yields),
		with_arbiter(one_that_never_stops_is_put_back),
		with_arbiter(the_arbiter_ends_while_one_waits),
		with_arbiter(a_lane_ends_while_it_waits),
		with_arbiter(bad_greetings_end_the_connection),
		with_arbiter(the_seats_have_an_end),
		with_arbiter(a_mad_client_hurts_nobody_else),
		with_arbiter(command_lines),
	};

	if (!program_take(argc, argv))
		return 2;
	return cmocka_run_group_tests_name("cmd arbiter", tests, NULL, NULL);
}
