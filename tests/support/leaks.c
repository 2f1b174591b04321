/* SPDX-License-Identifier: MIT */
/* Counts descriptors and threads of this process in /proc/self.  The test's main thread. */
#include "tests/support/leaks.h"

#include <dirent.h>
#include <pthread.h>
#include <time.h>

static struct leaks before;

static int entries_of(const char *path)
{
	DIR *dir = opendir(path);
	int count = 0;

	if (!dir)
		return -1;
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static void *nothing(void *opaque)
{
	return opaque;
}

/* ThreadSanitizer starts a thread of its own beside the first: let that be before we count. */
static void start_runtime_threads(void)
{
	pthread_t thread;

	if (!pthread_create(&thread, NULL, nothing, NULL))
		pthread_join(thread, NULL);
}

struct leaks leaks_count(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, start_runtime_threads);
	return (struct leaks){
		.fds = entries_of("/proc/self/fd"),
		.threads = entries_of("/proc/self/task"),
	};
}

int leaks_compare(const struct leaks *earlier)
{
	struct leaks now = leaks_count();

	/* A joined thread's task may stay listed until the kernel has reaped it. */
	for (int i = 0; i < 100 && now.threads > earlier->threads; i++) {
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
		now = leaks_count();
	}
	/* Fewer threads: one that was ending already when they were counted first. */
	if (now.fds == earlier->fds && now.threads <= earlier->threads)
		return 0;
	print_error("left behind: %d descriptors, %d threads\n", now.fds - earlier->fds,
		    now.threads - earlier->threads);
	return -1;
}

int leaks_setup(void **state)
{
	(void)state;
	before = leaks_count();
	return 0;
}

int leaks_teardown(void **state)
{
	(void)state;
	return leaks_compare(&before);
}
