/* SPDX-License-Identifier: MIT */
/* Ends turns that take too long: a socket that a thread is stuck on is shut down.  In the layer. */
#ifndef DISPLAY_GUARD_H
#define DISPLAY_GUARD_H

#include <pthread.h>

#include "base/lock.h"

#define DISPLAY_GUARD_SLOTS 8

struct display_guard {
	struct lock lock; /* guards all below */
	pthread_cond_t changed;
	pthread_t thread;
	bool started, stopping;
	uint64_t limit_ns;
	int fds[DISPLAY_GUARD_SLOTS]; /* our duplicates of the sockets, -1: a free slot */
	int turn;		      /* whose turn it is, -1: nobody's */
	uint64_t turn_ns;	      /* when it began */
	uint64_t ended;		      /* turns cut short */
};

/* No turn may take longer than @limit_ns.  -errno. */
int display_guard_init(struct display_guard *guard, uint64_t limit_ns);
/* Nobody may be in a turn. */
void display_guard_fini(struct display_guard *guard);

/*
 * Watches over the socket @fd, which stays the caller's.  Returns its slot; -EMFILE: no descriptor
 * or slot is left; -ESHUTDOWN: after display_guard_stop().
 */
int display_guard_add(struct display_guard *guard, int fd);
void display_guard_remove(struct display_guard *guard, int slot);

/* A turn is one call that may block on the socket of @slot; one at a time, on one thread. */
void display_guard_turn_begin(struct display_guard *guard, int slot);
void display_guard_turn_end(struct display_guard *guard);

/* Shuts all sockets down, now and for good, so that no turn blocks any more.  Any thread. */
void display_guard_stop(struct display_guard *guard);

#endif
