/* SPDX-License-Identifier: MIT */
/*
 * The VNC library reads and writes its clients' sockets until all is done, and counts only the
 * time in which nothing moves: a client that takes or gives a byte now and then holds the thread
 * for as long as it likes.  So a second thread looks at the clock, and shuts down the socket of a
 * client whose turn takes too long; the library's call then fails at once.
 * It shuts down duplicates of the sockets: the library closes its own when it wants to, and the
 * number may by then be somebody else's.  Used by the VNC server's thread, and by whoever ends it.
 */
#include "display/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

/* With the lock held. */
static void sleep_until(struct display_guard *guard, uint64_t when_ns)
{
	struct timespec ts = { .tv_sec = (time_t)(when_ns / NSEC_PER_SEC),
			       .tv_nsec = (long)(when_ns % NSEC_PER_SEC) };

	pthread_cond_timedwait(&guard->changed, &guard->lock.mutex, &ts);
}

static bool watching(const struct display_guard *guard)
{
	for (int i = 0; i < DISPLAY_GUARD_SLOTS; i++)
		if (guard->fds[i] >= 0)
			return true;
	return false;
}

/* Turns are too many to be woken for each: it looks twice in the time that one may take. */
static void *thread_run(void *arg)
{
	struct display_guard *guard = arg;

	lock_acquire(&guard->lock);
	while (!guard->stopping) {
		uint64_t now_ns = clock_now_ns();

		if (!watching(guard)) {
			pthread_cond_wait(&guard->changed, &guard->lock.mutex);
			continue;
		}
		if (guard->turn >= 0 && now_ns - guard->turn_ns > guard->limit_ns) {
			shutdown(guard->fds[guard->turn], SHUT_RDWR);
			guard->turn = -1;
			guard->ended++;
			log_limited(LOG_WARN, "vnc: a client that held up the others is dropped");
		}
		sleep_until(guard, now_ns + guard->limit_ns / 2);
	}
	lock_release(&guard->lock);
	return NULL;
}

int display_guard_init(struct display_guard *guard, uint64_t limit_ns)
{
	pthread_condattr_t attr;
	sigset_t all, old;
	int err;

	*guard = (struct display_guard){ .limit_ns = limit_ns, .turn = -1 };
	for (int i = 0; i < DISPLAY_GUARD_SLOTS; i++)
		guard->fds[i] = -1;
	lock_init(&guard->lock, LOCK_LEAF);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&guard->changed, &attr);
	pthread_condattr_destroy(&attr);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = -pthread_create(&guard->thread, NULL, thread_run, guard);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	guard->started = !err;
	if (err)
		display_guard_fini(guard);
	else
		pthread_setname_np(guard->thread, "vnc-guard");
	return err;
}

void display_guard_fini(struct display_guard *guard)
{
	display_guard_stop(guard);
	if (guard->started)
		pthread_join(guard->thread, NULL);
	for (int i = 0; i < DISPLAY_GUARD_SLOTS; i++)
		if (guard->fds[i] >= 0)
			close(guard->fds[i]);
	pthread_cond_destroy(&guard->changed);
	lock_fini(&guard->lock);
}

int display_guard_add(struct display_guard *guard, int fd)
{
	int slot = -EMFILE;

	lock_acquire(&guard->lock);
	if (guard->stopping)
		slot = -ESHUTDOWN;
	for (int i = 0; slot == -EMFILE && i < DISPLAY_GUARD_SLOTS; i++) {
		if (guard->fds[i] >= 0)
			continue;
		guard->fds[i] = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		if (guard->fds[i] < 0)
			break;
		slot = i;
	}
	pthread_cond_signal(&guard->changed);
	lock_release(&guard->lock);
	return slot;
}

void display_guard_remove(struct display_guard *guard, int slot)
{
	lock_acquire(&guard->lock);
	if (guard->turn == slot)
		guard->turn = -1;
	close(guard->fds[slot]);
	guard->fds[slot] = -1;
	lock_release(&guard->lock);
}

void display_guard_turn_begin(struct display_guard *guard, int slot)
{
	lock_acquire(&guard->lock);
	guard->turn = slot;
	guard->turn_ns = clock_now_ns();
	lock_release(&guard->lock);
}

void display_guard_turn_end(struct display_guard *guard)
{
	lock_acquire(&guard->lock);
	guard->turn = -1;
	lock_release(&guard->lock);
}

void display_guard_stop(struct display_guard *guard)
{
	lock_acquire(&guard->lock);
	guard->stopping = true;
	for (int i = 0; i < DISPLAY_GUARD_SLOTS; i++)
		if (guard->fds[i] >= 0)
			shutdown(guard->fds[i], SHUT_RDWR);
	pthread_cond_signal(&guard->changed);
	lock_release(&guard->lock);
}
