/* SPDX-License-Identifier: MIT */
/*
 * What a serving process and the arbiter give up.  In two steps, because the kernel confines one
 * thread and those it starts later: sandbox_enter() when every file and socket is open and before
 * the first thread starts, sandbox_limit_syscalls(), which reaches all threads, when the last thing
 * is set up.
 *
 * The layers do not rest on each other.  Some kernels and containers refuse some of them; what is
 * on is kept in the struct, for the log and for `mediant stat`.  docs/security.md says what each
 * is for.
 */
#ifndef CMD_SANDBOX_H
#define CMD_SANDBOX_H

#include "base/types.h"

/* False in builds whose sanitizer's run-time library needs files and system calls of its own. */
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

enum sandbox_layer {
	SANDBOX_NO_PRIVILEGES, /* no capabilities, and none by running another program */
	SANDBOX_LIMITS,
	SANDBOX_USER_NAMESPACE,
	SANDBOX_NAMESPACES, /* a network and System V objects of its own: none */
	SANDBOX_EMPTY_ROOT,
	SANDBOX_LANDLOCK,
	SANDBOX_SYSCALLS,
	SANDBOX_LAYERS
};

enum sandbox_role { SANDBOX_VGPU, SANDBOX_ARBITER };

#define SANDBOX_FOLDERS 2u

struct sandbox {
	enum sandbox_role role;
	int remove_in[SANDBOX_FOLDERS]; /* folders whose files it may remove; -1: none */
	int look_in;			/* a folder whose folders it may list; -1: none */
	/* Set by the functions below. */
	bool on[SANDBOX_LAYERS];
	int landlock_abi;
};

/*
 * Closes every descriptor above 2 but @keep_fd (-1: none): an inherited one is no business of
 * ours.  Standard input becomes /dev/null, unless it is @keep_fd.
 */
void sandbox_close_fds(int keep_fd);

/*
 * No capabilities, no core dumps (they would hold guest memory), namespaces of its own, no files
 * but what the struct names.  Layers that are refused stay off, but for the first: -errno.  The
 * process must have one thread.
 */
int sandbox_enter(struct sandbox *sandbox);
/* SANDBOX_NO_PRIVILEGES and SANDBOX_LIMITS only: for who still has files to open. */
int sandbox_drop_privileges(struct sandbox *sandbox);

/*
 * Allows the system calls that the role needs, in every thread; others fail with EPERM, and those
 * that nothing honest would try here end the process.  -errno; 0 without effect without
 * SANDBOX_FILTERS.
 */
int sandbox_limit_syscalls(struct sandbox *sandbox);

/* As `mediant stat` calls it. */
const char *sandbox_layer_name(enum sandbox_layer layer);
/* One line into the log: what is on, and what is not. */
void sandbox_tell(const struct sandbox *sandbox);

/* ---- Of one layer each, for sandbox.c ---- */

/* 0 also when they are refused; -errno: the process is in a state to end in. */
int sandbox_leave_namespaces(struct sandbox *sandbox);
void sandbox_leave_files(struct sandbox *sandbox);

#endif
