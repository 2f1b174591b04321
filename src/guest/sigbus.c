/* SPDX-License-Identifier: MIT */
/*
 * Survives a VMM that truncates memory it has shared.  Touching a page of a mapping beyond the
 * end of its file raises SIGBUS on the thread that did it; the handler here lays a private zero
 * page over the faulting one and lets the instruction run again: reads see zeros, writes go
 * nowhere.  Only mappings declared with guest_sigbus_add() are treated so; any other SIGBUS gets
 * what it had before us, by default the end of the process.
 *
 * The handler runs on any thread at any instruction, so it only reads a fixed table of atomics
 * and calls mmap(), which is a bare system call.  The table is guarded against concurrent
 * add/remove by a mutex the handler does not take: an entry is published by its start, last, and
 * withdrawn by its start, first.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "base/lock.h"
#include "guest/guest.h"

#define SIGBUS_MAX_RANGES (1u << 17)

static struct sigbus_range {
	_Atomic uintptr_t start; /* 0: free */
	_Atomic uintptr_t end;
	_Atomic size_t page_bytes;
} ranges[SIGBUS_MAX_RANGES];

static _Atomic uint32_t ranges_used; /* all entries in use are below */
static _Atomic uint64_t faults;
static pthread_mutex_t ranges_mutex = PTHREAD_MUTEX_INITIALIZER;
static uint32_t first_free; /* no entry below is free; guarded by ranges_mutex */
static struct sigaction previous;

static bool cover(uintptr_t start, size_t bytes)
{
	return mmap((void *)start, bytes, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) != MAP_FAILED;
}

/* A page alone first; the rest of the mapping when the kernel has no room for more pieces. */
static bool cover_fault(uintptr_t at)
{
	uint32_t used = atomic_load_explicit(&ranges_used, memory_order_acquire);

	for (uint32_t i = 0; i < used; i++) {
		uintptr_t start = atomic_load_explicit(&ranges[i].start, memory_order_acquire);
		uintptr_t end = atomic_load_explicit(&ranges[i].end, memory_order_relaxed);
		size_t page = atomic_load_explicit(&ranges[i].page_bytes, memory_order_relaxed);

		if (!start || at < start || at >= end)
			continue;
		uintptr_t first = at & ~(uintptr_t)(page - 1);
		return cover(first, page) || cover(first, end - first);
	}
	return false;
}

static void handle_sigbus(int signum, siginfo_t *info, void *context)
{
	int saved = errno;

	if (cover_fault((uintptr_t)info->si_addr)) {
		atomic_fetch_add_explicit(&faults, 1, memory_order_relaxed);
		errno = saved;
		return;
	}
	errno = saved;
	if (previous.sa_flags & SA_SIGINFO) {
		previous.sa_sigaction(signum, info, context);
	} else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
		previous.sa_handler(signum);
	} else {
		/* The instruction faults again, with nobody to catch it. */
		signal(signum, SIG_DFL);
	}
}

/*
 * Looks each time: a library or a test framework may have put a handler of its own in the place of
 * ours since.  That one is then what we pass on to.
 */
static int install(void)
{
	struct sigaction ours = {
		.sa_sigaction = handle_sigbus,
		.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER,
	};
	struct sigaction current;

	if (sigaction(SIGBUS, NULL, &current))
		return -errno;
	if ((current.sa_flags & SA_SIGINFO) && current.sa_sigaction == handle_sigbus)
		return 0;
	previous = current;
	sigemptyset(&ours.sa_mask);
	return sigaction(SIGBUS, &ours, NULL) ? -errno : 0;
}

static int publish(uintptr_t start, size_t bytes, size_t page_bytes)
{
	uint32_t i = first_free;

	while (i < SIGBUS_MAX_RANGES && atomic_load(&ranges[i].start))
		i++;
	if (i == SIGBUS_MAX_RANGES)
		return -ENOSPC;
	first_free = i + 1;
	atomic_store_explicit(&ranges[i].end, start + bytes, memory_order_relaxed);
	atomic_store_explicit(&ranges[i].page_bytes, page_bytes, memory_order_relaxed);
	atomic_store_explicit(&ranges[i].start, start, memory_order_release);
	if (i >= atomic_load(&ranges_used))
		atomic_store_explicit(&ranges_used, i + 1, memory_order_release);
	return (int)i;
}

int guest_sigbus_add(void *start, size_t bytes, size_t page_bytes)
{
	lock_rank_push(LOCK_LEAF);
	pthread_mutex_lock(&ranges_mutex);
	int handle = install();
	if (!handle)
		handle = publish((uintptr_t)start, bytes, page_bytes);
	pthread_mutex_unlock(&ranges_mutex);
	lock_rank_pop(LOCK_LEAF);
	return handle;
}

void guest_sigbus_remove(int handle)
{
	lock_rank_push(LOCK_LEAF);
	pthread_mutex_lock(&ranges_mutex);
	atomic_store_explicit(&ranges[handle].start, 0, memory_order_release);
	if ((uint32_t)handle < first_free)
		first_free = (uint32_t)handle;
	pthread_mutex_unlock(&ranges_mutex);
	lock_rank_pop(LOCK_LEAF);
}

uint64_t guest_sigbus_count(void)
{
	return atomic_load_explicit(&faults, memory_order_relaxed);
}
