/* SPDX-License-Identifier: MIT */
/*
 * How long an ordinary thread would have a core at a time while others want it.  Linux keeps such a
 * wish since 6.12 (sched_attr::sched_runtime under SCHED_OTHER); who asks for little is let in
 * earlier, and has no more of the core for that.  Threads and children inherit it.  Any thread.
 */
#ifndef BASE_CORE_SLICE_H
#define BASE_CORE_SLICE_H

#include <sys/types.h>

#include "base/types.h"

/*
 * Asks for @ns for the calling thread: 100 us to 100 ms.  0, also where nothing came of it: the
 * kernel keeps no such wish, or the thread is not of SCHED_OTHER; or -errno.
 */
int core_slice_ask(uint64_t ns);

/* The slice of thread @tid (0: the caller) in ns; 0 in those two cases; or -errno. */
int64_t core_slice_of(pid_t tid);

#endif
