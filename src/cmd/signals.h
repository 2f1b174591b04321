/* SPDX-License-Identifier: MIT */
/* SIGTERM, SIGINT and SIGHUP as an event of a loop: the first of them ends it. */
#ifndef CMD_SIGNALS_H
#define CMD_SIGNALS_H

#include "base/loop.h"

struct signals {
	struct loop_source source; /* .fd -1: not started */
	struct loop *loop;
};

/*
 * Before the first thread starts: threads inherit the mask, and none may take these signals.  A
 * write to a socket whose peer has gone becomes an error.  -errno, said in the log.
 */
int signals_start(struct signals *signals, struct loop *loop);
void signals_stop(struct signals *signals);

#endif
