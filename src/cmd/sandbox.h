/* SPDX-License-Identifier: MIT */
/*
 * What a serving process gives up.  In two steps, because threads inherit: privileges go before
 * the first thread starts, system calls after the last descriptor is open.
 */
#ifndef CMD_SANDBOX_H
#define CMD_SANDBOX_H

/* False in builds whose sanitizer's run-time library needs system calls of its own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANDBOX_FILTERS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANDBOX_FILTERS 0
#endif
#endif
#ifndef SANDBOX_FILTERS
#define SANDBOX_FILTERS 1
#endif

/* Closes every descriptor above 2 but @keep_fd (-1: none): an inherited one is no business of ours.
 */
void sandbox_close_fds(int keep_fd);

/* No new privileges, no capabilities, no core dumps (they would hold guest memory).  -errno. */
int sandbox_drop_privileges(void);

/*
 * Allows the system calls that serving needs, in every thread; others fail with EPERM, and those
 * that nothing honest would try here end the process.  -errno; -ENOTSUP without SANDBOX_FILTERS.
 */
int sandbox_limit_syscalls(void);

#endif
