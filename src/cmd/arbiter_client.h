/* SPDX-License-Identifier: MIT */
/* The arbiter's client: gets a seat.  Blocks for seconds at most, so before a loop runs. */
#ifndef CMD_ARBITER_CLIENT_H
#define CMD_ARBITER_CLIENT_H

#include "cmd/runtime_dir.h"
#include "sched/sched.h"

/* Path of the arbiter that uses @dir; as runtime_dir_socket(). */
int arbiter_default_path(const struct runtime_dir *dir, char *path, size_t size);

/*
 * A seat of the arbiter at @path.  The connection, which must be kept open and watched: its end
 * is the arbiter's; *@lease is the caller's.  Or -errno: -ENOENT and -ECONNREFUSED when nobody
 * listens there, -EUSERS when it is full, -EPROTO when that is no arbiter.
 */
int arbiter_join(const char *path, const char *name, uint32_t weight, uint32_t cap_percent,
		 struct sched_lease **lease);

#endif
