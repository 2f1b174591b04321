/* SPDX-License-Identifier: MIT */
/*
 * Clients of the arbiter that mean harm, or know no better: greetings, pages and bells as a taken
 * vGPU process could use them.  argv[1] is the program.
 */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cmd/arbiter_client.h"
#include "cmd/arbiter_wire.h"
#include "cmd/runtime_dir.h"
#include "tests/cmd/arbiter_rig.h"
#include "tests/cmd/program.h"

static int set_up(void **state)
{
	return arbiter_setup(state, "arbiter --lanes 1 --slice 1000");
}

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
	int fd = runtime_dir_connect(arbiter_path);

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
	fd = seat_join(&lease); /* a good one, and then a word too many */
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
		fd[i] = seat_join(&lease[i]);
	assert_int_equal(arbiter_join(arbiter_path, "more", 1, 0, &more), -EUSERS);
	assert_null(more);
	for (unsigned int i = 0; i < SCHED_SEATS_MAX; i++) {
		sched_lease_destroy(lease[i]);
		close(fd[i]);
	}
}

static void a_mad_client_hurts_nobody_else(void **state)
{
	uint64_t seed = 88172645463325252ull;
	struct raw_seat mad;
	struct worker w;

	raw_join(&mad);
	assert_int_equal(ftruncate(mad.page_fd, 0), -1);
	assert_int_equal(ftruncate(mad.page_fd, 1 << 20), -1);
	worker_start(&w, true, 1);
	sched_kick(&w.entity);
	for (int i = 0; i < 100000; i++) {
		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		atomic_store(&mad.page->state,
			     seed & 0x700 ? (uint32_t)(seed & 3) : (uint32_t)seed);
		atomic_store(&mad.page->slice_end_ns, seed);
		raw_ring(&mad);
	}
	worker_wait(&w, atomic_load(&w.steps) + 20);
	worker_end(&w);
	raw_leave(&mad);
}

/* The arbiter's epoll instance, whose list the kernel shows. */
static void epoll_info(char *info, size_t size)
{
	char folder[32], path[300], target[64];
	struct dirent *entry;
	DIR *fds;

	info[0] = '\0';
	snprintf(folder, sizeof(folder), "/proc/%d/fd", (int)arbiter_pid);
	fds = opendir(folder);
	assert_non_null(fds);
	while ((entry = readdir(fds))) {
		ssize_t n;

		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		n = readlink(path, target, sizeof(target) - 1);
		target[MAX(n, 0)] = '\0';
		if (!strcmp(target, "anon_inode:[eventpoll]"))
			snprintf(info, size, "/proc/%d/fdinfo/%s", (int)arbiter_pid, entry->d_name);
	}
	closedir(fds);
	assert_true(info[0]);
}

/* A bell that is not listened to is the only descriptor that is not watched for input. */
static bool one_is_muted(const char *info)
{
	FILE *file = fopen(info, "re");
	unsigned int events;
	bool muted = false;
	char line[256];

	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "tfd: %*d events: %x", &events) == 1)
			muted |= !(events & EPOLLIN);
	fclose(file);
	return muted;
}

/* False where the arbiter is too slow to be woken so often, as under a sanitizer. */
static bool ring_until_muted(struct raw_seat *seat, const char *info)
{
	uint64_t end_ns = clock_now_ns() + 200 * NSEC_PER_MSEC;

	while (clock_now_ns() < end_ns) {
		for (int i = 0; i < 50; i++)
			raw_ring(seat);
		if (one_is_muted(info))
			return true;
	}
	return false;
}

/*
 * One round: a holder that is not heard gives its lane back while @other waits.  True when that
 * one had it while the holder was still not heard, so that neither the end of the holder's window
 * nor of its grace, which ends later, has been waited for.
 */
static bool is_looked_at(struct raw_seat *holder, struct raw_seat *other, const char *info)
{
	bool good;

	raw_say(other, SCHED_LEASE_WANT);
	while (atomic_load(&holder->page->slice_end_ns) == SCHED_SLICE_FREE)
		sched_yield();
	atomic_store(&holder->page->state, SCHED_LEASE_IDLE);
	while (atomic_load(&other->page->state) != SCHED_LEASE_RUN)
		sched_yield();
	good = one_is_muted(info);
	raw_say(other, SCHED_LEASE_IDLE);
	return good;
}

/* Its lane can be had by others at once, and when its window is over its bell is heard again. */
static void who_rings_too_often_is_looked_at(void **state)
{
	uint64_t start_ns = clock_now_ns();
	struct raw_seat holder, other;
	bool muted = false, looked_at = false;
	char info[300];

	epoll_info(info, sizeof(info));
	raw_join(&holder);
	raw_join(&other);
	/* On a machine with much else to do a round may outlast the window. */
	while (!looked_at && clock_now_ns() < start_ns + (muted ? 20 : 2) * NSEC_PER_SEC) {
		raw_say(&holder, SCHED_LEASE_WANT);
		raw_wait_lane(&holder);
		if (!ring_until_muted(&holder, info))
			continue;
		muted = true;
		looked_at = is_looked_at(&holder, &other, info);
	}
	for (int i = 0; i < 10000 && one_is_muted(info); i++)
		usleep(1000);
	assert_false(one_is_muted(info));
	raw_leave(&other);
	raw_leave(&holder);
	assert_int_equal(looked_at, muted);
}

#define with_arbiter(test) cmocka_unit_test_setup_teardown(test, set_up, arbiter_teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		with_arbiter(bad_greetings_end_the_connection),
		with_arbiter(the_seats_have_an_end),
		with_arbiter(a_mad_client_hurts_nobody_else),
		with_arbiter(who_rings_too_often_is_looked_at),
	};

	if (!program_take(argc, argv))
		return 2;
	return cmocka_run_group_tests_name("cmd arbiter hostile", tests, NULL, NULL);
}
