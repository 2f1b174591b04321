/* SPDX-License-Identifier: MIT */
/*
 * Survives a VMM that truncates memory it has shared.  Touching a page of a mapping beyond the
 * end of its file raises SIGBUS on the thread that did it; the handler here lays a private zero
 * page over the faulting one and lets the instruction run again: reads see zeros, writes go
 * nowhere.  Only mappings declared with guest_sigbus_add() are treated so; any other SIGBUS gets
 * what it had before us, by default the end of the process.
 *
 * The handler runs on any thread at any instruction, so it only uses a fixed table of atomics
 * and calls mmap(), which is a bare system call.  The table is guarded against concurrent
 * add/remove by a mutex the handler does not take: an entry is published by its start, last, and
 * withdrawn by its start, first.
 *
 * The kernel lets a process have so many pieces of address space (vm.max_map_count), and a page
 * laid into the middle of a mapping makes three of one.  So pieces are counted: a mapping is
 * refused while some are still left for the rest of the process, and a fault that would need the
 * last of them is answered by laying zeros over the whole mapping, which takes none.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/lock.h"
#include "guest/guest.h"

#define SIGBUS_MAX_RANGES (1u << 17)
#define DEFAULT_MAP_COUNT 65530u /* of the kernel */
#define OTHERS_SHARE	  16u	 /* one of so many pieces is left for other than ranges */

static struct sigbus_range {
	_Atomic uintptr_t start; /* 0: free */
	_Atomic uintptr_t end;
	_Atomic size_t page_bytes;
	_Atomic uint32_t cuts; /* pieces that faults have made of it, beyond the first */
} ranges[SIGBUS_MAX_RANGES];

static _Atomic uint32_t ranges_used; /* all entries in use are below */
static _Atomic uint64_t faults;
static _Atomic uint32_t pieces; /* at most, of all ranges: the kernel joins some again */
static uint32_t most_pieces = DEFAULT_MAP_COUNT - DEFAULT_MAP_COUNT / OTHERS_SHARE;
static pthread_once_t limit_once = PTHREAD_ONCE_INIT;
static pthread_mutex_t ranges_mutex = PTHREAD_MUTEX_INITIALIZER;
static uint32_t first_free; /* no entry below is free; guarded by ranges_mutex */
static struct sigaction previous;

static bool cover(uintptr_t start, size_t bytes)
{
	return mmap((void *)start, bytes, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) != MAP_FAILED;
}

static bool take_pieces(_Atomic uint32_t *owner, uint32_t n)
{
	if (atomic_fetch_add_explicit(&pieces, n, memory_order_relaxed) + n > most_pieces) {
		atomic_fetch_sub_explicit(&pieces, n, memory_order_relaxed);
		return false;
	}
	if (owner)
		atomic_fetch_add_explicit(owner, n, memory_order_relaxed);
	return true;
}

/*
 * A page alone first; then from it to the end; then the whole mapping, which splits nothing.
 * Pages count from the start of the range: nothing outside of it may be laid over, whatever the
 * file system says of its pages.
 */
static bool cover_in(struct sigbus_range *range, uintptr_t start, uintptr_t end, uintptr_t at)
{
	size_t page = atomic_load_explicit(&range->page_bytes, memory_order_relaxed);
	uintptr_t first = start + ((at - start) & ~(uintptr_t)(page - 1));

	if (take_pieces(&range->cuts, 2) && cover(first, MIN(page, end - first)))
		return true;
	if (take_pieces(&range->cuts, 1) && cover(first, end - first))
		return true;
	return cover(start, end - start);
}

static bool cover_fault(uintptr_t at)
{
	uint32_t used = atomic_load_explicit(&ranges_used, memory_order_acquire);

	for (uint32_t i = 0; i < used; i++) {
		uintptr_t start = atomic_load_explicit(&ranges[i].start, memory_order_acquire);
		uintptr_t end = atomic_load_explicit(&ranges[i].end, memory_order_relaxed);

		if (start && at >= start && at < end)
			return cover_in(&ranges[i], start, end, at);
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
	if (i == SIGBUS_MAX_RANGES || !take_pieces(NULL, 1))
		return -ENOSPC;
	first_free = i + 1;
	atomic_store_explicit(&ranges[i].end, start + bytes, memory_order_relaxed);
	atomic_store_explicit(&ranges[i].page_bytes, page_bytes, memory_order_relaxed);
	atomic_store_explicit(&ranges[i].cuts, 0, memory_order_relaxed);
	atomic_store_explicit(&ranges[i].start, start, memory_order_release);
	if (i >= atomic_load(&ranges_used))
		atomic_store_explicit(&ranges_used, i + 1, memory_order_release);
	return (int)i;
}

static void read_limit(void)
{
	char text[24] = "";
	int fd = open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	ssize_t n = read(fd, text, sizeof(text) - 1);
	close(fd);
	unsigned long count = n > 0 ? strtoul(text, NULL, 10) : 0;
	if (count)
		most_pieces =
			(uint32_t)(MIN(count, INT32_MAX) - MIN(count, INT32_MAX) / OTHERS_SHARE);
}

void guest_sigbus_prepare(void)
{
	pthread_once(&limit_once, read_limit);
}

int guest_sigbus_add(void *start, size_t bytes, size_t page_bytes)
{
	guest_sigbus_prepare();
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
	atomic_fetch_sub_explicit(&pieces, 1 + atomic_load(&ranges[handle].cuts),
				  memory_order_relaxed);
	if ((uint32_t)handle < first_free)
		first_free = (uint32_t)handle;
	pthread_mutex_unlock(&ranges_mutex);
	lock_rank_pop(LOCK_LEAF);
}

uint64_t guest_sigbus_count(void)
{
	return atomic_load_explicit(&faults, memory_order_relaxed);
}
