/* SPDX-License-Identifier: MIT */
/*
 * The order of the locks.  A violation aborts, so each is tried in a child whose stderr is read.
 * Built with the checks on, whatever the build's options say.
 */
#include "base/lock.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/leaks.h"

/* Runs @attempt in a child; true when it died of abort() after naming both locks. */
static bool aborts_naming(void (*attempt)(void), const char *taken, const char *held)
{
	char text[256] = "";
	int pipe_fds[2], status;

	assert_int_equal(pipe(pipe_fds), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (!child) {
		dup2(pipe_fds[1], STDERR_FILENO);
		signal(SIGABRT, SIG_DFL); /* cmocka's handler would report a failed test */
		attempt();
		_exit(0);
	}
	close(pipe_fds[1]);
	for (size_t used = 0; used < sizeof(text) - 1;) {
		ssize_t n = read(pipe_fds[0], text + used, sizeof(text) - 1 - used);

		if (n <= 0)
			break;
		used += (size_t)n;
	}
	close(pipe_fds[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && strstr(text, taken) &&
	       strstr(text, held);
}

static void take_downwards(void)
{
	struct lock low, high;

	lock_init(&low, LOCK_DEVICE);
	lock_init(&high, LOCK_VGPU);
	lock_acquire(&high);
	lock_acquire(&low);
}

static void take_same_rank(void)
{
	struct lock a, b;

	lock_init(&a, LOCK_LEAF);
	lock_init(&b, LOCK_LEAF);
	lock_acquire(&a);
	lock_acquire(&b);
}

static void enter_guest_under_vgpu(void)
{
	struct lock vgpu;

	lock_init(&vgpu, LOCK_VGPU);
	lock_acquire(&vgpu);
	lock_rank_push(LOCK_GUEST);
}

static void rising_ranks_are_fine(void **state)
{
	struct lock locks[LOCK_RANKS];

	for (int round = 0; round < 2; round++) {
		for (unsigned int rank = 0; rank < LOCK_RANKS; rank++) {
			lock_init(&locks[rank], (enum lock_rank)rank);
			lock_acquire(&locks[rank]);
		}
		for (unsigned int rank = 0; rank < LOCK_RANKS; rank++) { /* any order */
			lock_release(&locks[rank]);
			lock_fini(&locks[rank]);
		}
	}
}

static void lower_rank_aborts(void **state)
{
	assert_true(aborts_naming(take_downwards, "LOCK_DEVICE taken", "held: LOCK_VGPU"));
}

static void same_rank_aborts(void **state)
{
	assert_true(aborts_naming(take_same_rank, "LOCK_LEAF taken", "held: LOCK_LEAF"));
}

static void bookkeeping_counts_as_a_lock(void **state)
{
	assert_true(aborts_naming(enter_guest_under_vgpu, "LOCK_GUEST taken", "held: LOCK_VGPU"));
}

static void *take_lowest(void *opaque)
{
	lock_acquire(opaque);
	lock_release(opaque);
	return NULL;
}

static void ranks_are_each_threads_own(void **state)
{
	struct lock low, high;
	pthread_t thread;

	lock_init(&low, LOCK_DEVICE);
	lock_init(&high, LOCK_LEAF);
	lock_acquire(&high);
	assert_int_equal(pthread_create(&thread, NULL, take_lowest, &low), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	lock_release(&high);
	lock_fini(&high);
	lock_fini(&low);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_checked(rising_ranks_are_fine),
		leak_checked(lower_rank_aborts),
		leak_checked(same_rank_aborts),
		leak_checked(bookkeeping_counts_as_a_lock),
		leak_checked(ranks_are_each_threads_own),
	};

	return cmocka_run_group_tests_name("lock", tests, NULL, NULL);
}
