/* SPDX-License-Identifier: MIT */
/*
 * A small event loop on epoll: sources are descriptors or timers embedded in their owners.
 * Owner: the thread that calls loop_run(); only loop_stop() and loop_post() may be called from
 * another.  A callback may remove any source, its own included.
 */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include "base/lock.h"
#include "base/types.h"

struct loop_source {
	int fd;
	uint32_t events; /* EPOLLIN, EPOLLOUT, … */
	void (*ready)(struct loop_source *source, uint32_t events);
};

struct loop_timer {
	struct loop_source source;
	void (*expired)(struct loop_timer *timer);
};

/*
 * A piece of work handed to the loop by another thread.  Runs in the order of first posts, once
 * for any number of posts before it runs; its memory must live until then.
 */
struct loop_work {
	void (*run)(struct loop_work *work);
	bool queued; /* guarded by the loop's lock */
	struct loop_work *next;
};

struct loop {
	int epoll_fd;
	struct loop_source wake;
	struct lock lock; /* LOCK_LEAF: guards posted */
	struct loop_work *posted, **posted_tail;
	bool stopping;
	struct loop_source *pending[16]; /* the events being delivered; removed sources are NULL */
	int pending_count;
};

int loop_init(struct loop *loop);
void loop_fini(struct loop *loop);

int loop_add(struct loop *loop, struct loop_source *source);
/* Changes the events waited for. */
int loop_modify(struct loop *loop, struct loop_source *source, uint32_t events);
void loop_remove(struct loop *loop, struct loop_source *source);

int loop_timer_init(struct loop *loop, struct loop_timer *timer,
		    void (*expired)(struct loop_timer *));
void loop_timer_fini(struct loop *loop, struct loop_timer *timer);
/* Fires at @when_ns of CLOCK_MONOTONIC, at once if that is past; 0 disarms. */
void loop_timer_set(struct loop_timer *timer, uint64_t when_ns);

/* Any thread. */
void loop_post(struct loop *loop, struct loop_work *work);
void loop_stop(struct loop *loop);

/* Runs until loop_stop(); 0, or -errno when waiting fails. */
int loop_run(struct loop *loop);
/* Waits at most @timeout_ms (-1: for ever) and delivers what is ready: for tests. */
int loop_run_once(struct loop *loop, int timeout_ms);

#endif
