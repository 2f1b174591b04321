/* SPDX-License-Identifier: MIT */
/* The signals that end a process which runs a loop.  Its main thread. */
#include "cmd/signals.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/log.h"

static void signal_ready(struct loop_source *source, uint32_t events)
{
	struct signals *signals = container_of(source, struct signals, source);
	struct signalfd_siginfo info;

	if (read(source->fd, &info, sizeof(info)) == sizeof(info))
		loop_stop(signals->loop);
}

int signals_start(struct signals *signals, struct loop *loop)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signals->loop = loop;
	signals->source = (struct loop_source){
		.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK),
		.events = EPOLLIN,
		.ready = signal_ready,
	};
	int err = signals->source.fd < 0 ? -errno : loop_add(loop, &signals->source);
	if (err)
		log_error("cannot wait for signals: %s", strerror(-err));
	return err;
}

void signals_stop(struct signals *signals)
{
	if (signals->source.fd < 0)
		return;
	loop_remove(signals->loop, &signals->source);
	close(signals->source.fd);
	signals->source.fd = -1;
}
