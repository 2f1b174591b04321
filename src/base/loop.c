/* SPDX-License-Identifier: MIT */
/*
 * The event loop.  Events of one epoll_wait() are copied to loop->pending before the first is
 * delivered, so that loop_remove() can strike out a source whose event has not been delivered.
 */
#include "base/loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"

static void wake_up(struct loop *loop)
{
	uint64_t one = 1;

	(void)!write(loop->wake.fd, &one, sizeof(one));
}

static struct loop_work *take_posted(struct loop *loop)
{
	lock_acquire(&loop->lock);
	struct loop_work *work = loop->posted;
	if (work) {
		loop->posted = work->next;
		if (!loop->posted)
			loop->posted_tail = &loop->posted;
		work->queued = false;
	}
	lock_release(&loop->lock);
	return work;
}

static void wake_ready(struct loop_source *source, uint32_t events)
{
	struct loop *loop = container_of(source, struct loop, wake);
	struct loop_work *work;
	uint64_t count;

	(void)events;
	(void)!read(source->fd, &count, sizeof(count));
	while ((work = take_posted(loop)))
		work->run(work);
}

int loop_init(struct loop *loop)
{
	*loop = (struct loop){ .epoll_fd = epoll_create1(EPOLL_CLOEXEC) };
	if (loop->epoll_fd < 0)
		return -errno;
	lock_init(&loop->lock, LOCK_LEAF);
	loop->posted_tail = &loop->posted;
	loop->wake = (struct loop_source){
		.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.events = EPOLLIN,
		.ready = wake_ready,
	};
	int err = loop->wake.fd < 0 ? -errno : loop_add(loop, &loop->wake);
	if (err)
		loop_fini(loop);
	return err;
}

void loop_fini(struct loop *loop)
{
	if (loop->wake.fd >= 0)
		close(loop->wake.fd);
	close(loop->epoll_fd);
	lock_fini(&loop->lock);
}

int loop_add(struct loop *loop, struct loop_source *source)
{
	struct epoll_event ev = { .events = source->events, .data.ptr = source };

	return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, source->fd, &ev) ? -errno : 0;
}

int loop_modify(struct loop *loop, struct loop_source *source, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = source };

	source->events = events;
	return epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, source->fd, &ev) ? -errno : 0;
}

void loop_remove(struct loop *loop, struct loop_source *source)
{
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
	for (int i = 0; i < loop->pending_count; i++)
		if (loop->pending[i] == source)
			loop->pending[i] = NULL;
}

static void timer_ready(struct loop_source *source, uint32_t events)
{
	struct loop_timer *timer = container_of(source, struct loop_timer, source);
	uint64_t count;

	(void)events;
	if (read(source->fd, &count, sizeof(count)) == sizeof(count))
		timer->expired(timer);
}

int loop_timer_init(struct loop *loop, struct loop_timer *timer,
		    void (*expired)(struct loop_timer *))
{
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	if (fd < 0)
		return -errno;
	timer->source = (struct loop_source){ .fd = fd, .events = EPOLLIN, .ready = timer_ready };
	timer->expired = expired;
	int err = loop_add(loop, &timer->source);
	if (err)
		close(fd);
	return err;
}

void loop_timer_fini(struct loop *loop, struct loop_timer *timer)
{
	loop_remove(loop, &timer->source);
	close(timer->source.fd);
}

void loop_timer_set(struct loop_timer *timer, uint64_t when_ns)
{
	struct itimerspec its = {
		.it_value = { .tv_sec = (time_t)(when_ns / NSEC_PER_SEC),
			      .tv_nsec = (long)(when_ns % NSEC_PER_SEC) },
	};

	timerfd_settime(timer->source.fd, TFD_TIMER_ABSTIME, &its, NULL);
}

void loop_post(struct loop *loop, struct loop_work *work)
{
	lock_acquire(&loop->lock);
	bool fresh = !work->queued;
	if (fresh) {
		work->queued = true;
		work->next = NULL;
		*loop->posted_tail = work;
		loop->posted_tail = &work->next;
	}
	lock_release(&loop->lock);
	if (fresh)
		wake_up(loop);
}

void loop_stop(struct loop *loop)
{
	__atomic_store_n(&loop->stopping, true, __ATOMIC_RELEASE);
	wake_up(loop);
}

int loop_run_once(struct loop *loop, int timeout_ms)
{
	struct epoll_event events[ARRAY_SIZE(loop->pending)];
	int n = epoll_wait(loop->epoll_fd, events, ARRAY_SIZE(events), timeout_ms);

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	for (int i = 0; i < n; i++)
		loop->pending[i] = events[i].data.ptr;
	loop->pending_count = n;
	for (int i = 0; i < n; i++)
		if (loop->pending[i])
			loop->pending[i]->ready(loop->pending[i], events[i].events);
	loop->pending_count = 0;
	return n;
}

int loop_run(struct loop *loop)
{
	while (!__atomic_load_n(&loop->stopping, __ATOMIC_ACQUIRE)) {
		int n = loop_run_once(loop, -1);

		if (n < 0)
			return n;
	}
	return 0;
}
