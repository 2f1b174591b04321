/* SPDX-License-Identifier: MIT */
/*
 * The client's side of a lease; see lease.h for the states.  The lane's thread acquires, yields
 * and releases; the process's main thread tells when the arbiter has gone or the lane must end.
 *
 * Two orderings matter, both of the kind "I write mine, then read yours" with sequentially
 * consistent accesses.  Parking: the client writes HELD and then reads slice_end_ns, the arbiter
 * writes slice_end_ns and then reads the state, so one of them sees that the lane is wanted.
 * Leaving: the lane writes WANT and then reads the flags, the other thread writes a flag and then
 * looks for WANT.
 */
#include "sched/lease.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/trace.h"

#define NO_CPU UINT32_MAX

struct sched_lease {
	struct sched_lease_page *page;
	int bell_fd;
	_Atomic bool free;	/* there is no arbiter any more */
	_Atomic bool cancelled; /* nobody shall wait any more */
	_Atomic uint64_t waits, wait_ns, yields;
	/* The lane's thread's. */
	uint32_t cpu;	/* it is bound to; NO_CPU */
	cpu_set_t home; /* where it could run before */
};

static void ring(struct sched_lease *lease)
{
	uint64_t one = 1;
	/* Full, it has been rung often enough. */
	ssize_t n = write(lease->bell_fd, &one, sizeof(one));

	(void)n;
}

static void futex_wait(_Atomic uint32_t *word, uint32_t value)
{
	syscall(SYS_futex, word, FUTEX_WAIT, value, NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static int map_page(int fd, struct sched_lease_page **page)
{
	struct stat st;
	void *map;

	if (fstat(fd, &st))
		return -errno;
	if (st.st_size < (off_t)PAGE_BYTES)
		return -EPROTO;
	map = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	*page = map;
	return 0;
}

int sched_lease_create(int page_fd, int bell_fd, struct sched_lease **out)
{
	struct sched_lease *lease = calloc(1, sizeof(*lease));
	int err = lease ? map_page(page_fd, &lease->page) : -ENOMEM;

	close(page_fd);
	if (err) {
		close(bell_fd);
		free(lease);
		return err;
	}
	lease->bell_fd = bell_fd;
	lease->cpu = NO_CPU;
	*out = lease;
	return 0;
}

void sched_lease_destroy(struct sched_lease *lease)
{
	if (!lease)
		return;
	munmap(lease->page, PAGE_BYTES);
	close(lease->bell_fd);
	free(lease);
}

/* Ends a wait that nobody will answer. */
static void unwait(struct sched_lease *lease)
{
	uint32_t want = SCHED_LEASE_WANT;

	if (atomic_compare_exchange_strong(&lease->page->state, &want, SCHED_LEASE_IDLE))
		futex_wake(&lease->page->state);
}

void sched_lease_set_free(struct sched_lease *lease)
{
	atomic_store(&lease->free, true);
	unwait(lease);
}

void sched_lease_cancel(struct sched_lease *lease)
{
	atomic_store(&lease->cancelled, true);
	unwait(lease);
}

void sched_lease_stats(struct sched_lease *lease, struct sched_lease_stats *stats)
{
	*stats = (struct sched_lease_stats){
		.grants = atomic_load(&lease->page->grants),
		.waits = atomic_load(&lease->waits),
		.wait_ns = atomic_load(&lease->wait_ns),
		.yields = atomic_load(&lease->yields),
		.overruns = atomic_load(&lease->page->overruns),
		.contended_ns = atomic_load(&lease->page->contended_ns),
		.shared = !atomic_load(&lease->free),
	};
}

/*
 * A lane is a core: the thread goes where its lease is.  Where the process may not run there, the
 * lease is still good, only less exact.
 */
static void move_to(struct sched_lease *lease, uint32_t cpu)
{
	cpu_set_t set;

	if (cpu == lease->cpu || cpu >= CPU_SETSIZE)
		return;
	if (lease->cpu == NO_CPU)
		sched_getaffinity(0, sizeof(lease->home), &lease->home);
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (!sched_setaffinity(0, sizeof(set), &set))
		lease->cpu = cpu;
}

static void move_home(struct sched_lease *lease)
{
	if (lease->cpu == NO_CPU)
		return;
	sched_setaffinity(0, sizeof(lease->home), &lease->home);
	lease->cpu = NO_CPU;
}

/* Asks, and waits for the answer; true when it was a lane. */
static bool ask(struct sched_lease *lease)
{
	struct sched_lease_page *page = lease->page;
	uint64_t start = clock_now_ns();
	bool granted;

	atomic_store(&page->state, SCHED_LEASE_WANT);
	if (atomic_load(&lease->free) || atomic_load(&lease->cancelled))
		unwait(lease);
	else
		ring(lease);
	while (atomic_load(&page->state) == SCHED_LEASE_WANT)
		futex_wait(&page->state, SCHED_LEASE_WANT);
	atomic_fetch_add(&lease->waits, 1);
	atomic_fetch_add(&lease->wait_ns, clock_now_ns() - start);
	granted = atomic_load(&page->state) == SCHED_LEASE_RUN;
	TRACE_SINCE(start, sched_lease_wait, granted, 0, 0, 0);
	if (granted)
		move_to(lease, atomic_load(&page->cpu));
	return granted;
}

bool sched_lease_acquire(struct sched_lease *lease)
{
	struct sched_lease_page *page = lease->page;
	uint32_t held = SCHED_LEASE_HELD;

	if (!atomic_load_explicit(&lease->free, memory_order_relaxed) &&
	    (atomic_compare_exchange_strong(&page->state, &held, SCHED_LEASE_RUN) || ask(lease))) {
		TRACE(sched_lease_got, atomic_load(&page->cpu), atomic_load(&page->slice_end_ns), 0,
		      0);
		return true;
	}
	if (!atomic_load(&lease->free))
		return false;
	move_home(lease);
	return true;
}

bool sched_lease_yield(struct sched_lease *lease)
{
	TRACE(sched_lease_end, SCHED_LEASE_END_YIELDED, 0, 0, 0);
	atomic_fetch_add(&lease->yields, 1);
	return sched_lease_acquire(lease);
}

/* True when the lane is still ours. */
static bool let_go(enum sched_lease_end how)
{
	TRACE(sched_lease_end, how, 0, 0, 0);
	return how == SCHED_LEASE_END_PARKED;
}

bool sched_lease_release(struct sched_lease *lease)
{
	struct sched_lease_page *page = lease->page;
	uint32_t held = SCHED_LEASE_HELD;

	if (atomic_load_explicit(&lease->free, memory_order_relaxed))
		return true;
	if (atomic_load(&page->slice_end_ns) == SCHED_SLICE_FREE) {
		atomic_store(&page->state, SCHED_LEASE_HELD);
		if (atomic_load(&page->slice_end_ns) == SCHED_SLICE_FREE)
			return let_go(SCHED_LEASE_END_PARKED);
		if (!atomic_compare_exchange_strong(&page->state, &held, SCHED_LEASE_IDLE))
			return let_go(SCHED_LEASE_END_TAKEN); /* the arbiter has it already */
	} else {
		atomic_store(&page->state, SCHED_LEASE_IDLE);
	}
	ring(lease);
	return let_go(SCHED_LEASE_END_RELEASED);
}

uint64_t sched_lease_slice_end_ns(const struct sched_lease *lease)
{
	if (atomic_load_explicit(&lease->free, memory_order_relaxed))
		return SCHED_SLICE_FREE;
	return atomic_load_explicit(&lease->page->slice_end_ns, memory_order_relaxed);
}
