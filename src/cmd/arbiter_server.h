/* SPDX-License-Identifier: MIT */
/*
 * The arbiter's server: seats for the vGPU processes that connect, and the arbiter's core run
 * whenever one of them rings.  Everything in the loop's thread.
 *
 * It trusts nobody: of a client it knows the user and the process from the kernel, takes one
 * message of a fixed size from it, and shares a page and a bell with it that no other client has.
 * It never sees guest memory.
 */
#ifndef CMD_ARBITER_SERVER_H
#define CMD_ARBITER_SERVER_H

#include "base/loop.h"
#include "sched/sched.h"

struct arbiter_server;

/*
 * @listen_fd is the server's from now on, also on failure; @proc_fd, the folder /proc or -1, is
 * borrowed; outlaw and opaque are set by it.
 */
int arbiter_server_create(struct loop *loop, int listen_fd, int proc_fd,
			  const struct sched_arbiter_config *config,
			  struct arbiter_server **server);
void arbiter_server_destroy(struct arbiter_server *server);

#endif
