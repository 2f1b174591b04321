/* SPDX-License-Identifier: MIT */
/*
 * The sandbox's order, and its plain layers: descriptors, capabilities, limits.
 *
 * Not limited: the size of files (a log may be one, and so may a guest's memory, which is written
 * at any offset) and of the address space (the guest's memory is mapped, and grows).  What memory a
 * process may use is for its control group to say.
 */
#include "cmd/sandbox.h"

#include <cap-ng.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"

#define FILES_MAX   4096u
#define THREADS_MAX 64u /* lane, loop, and two for each of three heads; the rest is leeway */

static const char *const names[SANDBOX_LAYERS] = {
	[SANDBOX_NO_PRIVILEGES] = "no_privileges",   [SANDBOX_LIMITS] = "limits",
	[SANDBOX_USER_NAMESPACE] = "user_namespace", [SANDBOX_NAMESPACES] = "namespaces",
	[SANDBOX_EMPTY_ROOT] = "empty_root",	     [SANDBOX_LANDLOCK] = "landlock",
	[SANDBOX_SYSCALLS] = "system_calls",
};

const char *sandbox_layer_name(enum sandbox_layer layer)
{
	return names[layer];
}

/* ---- Descriptors --------------------------------------------------------------------------- */

/* A terminal is worth something to whoever takes the process over. */
static void forget_stdin(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (fd > STDIN_FILENO) {
		dup2(fd, STDIN_FILENO);
		close(fd);
	}
}

void sandbox_close_fds(int keep_fd)
{
	unsigned int first = STDERR_FILENO + 1;

	if (keep_fd >= (int)first) {
		if (keep_fd > (int)first)
			close_range(first, (unsigned int)keep_fd - 1, 0);
		first = (unsigned int)keep_fd + 1;
	}
	close_range(first, ~0u, 0);
	if (keep_fd != STDIN_FILENO)
		forget_stdin();
}

/* ---- Limits -------------------------------------------------------------------------------- */

/* Lowers both limits; they are never raised. */
static int lower(__rlimit_resource_t resource, rlim_t most)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit))
		return -errno;
	limit.rlim_cur = MIN(limit.rlim_cur, most);
	limit.rlim_max = limit.rlim_cur;
	return setrlimit(resource, &limit) ? -errno : 0;
}

/*
 * The kernel counts a user's processes by user namespace: in one of our own the number is of our
 * threads, elsewhere of everything that the user runs.  (The system's root is not counted.)
 */
static int set_limits(const struct sandbox *sandbox)
{
	static const __rlimit_resource_t none[] = { RLIMIT_CORE, RLIMIT_MEMLOCK, RLIMIT_MSGQUEUE,
						    RLIMIT_RTPRIO, RLIMIT_NICE };
	int err = lower(RLIMIT_NOFILE, FILES_MAX);

	for (size_t i = 0; !err && i < ARRAY_SIZE(none); i++)
		err = lower(none[i], 0);
	if (!err && sandbox->on[SANDBOX_USER_NAMESPACE])
		err = lower(RLIMIT_NPROC, THREADS_MAX);
	return err;
}

/* ---- Privileges ---------------------------------------------------------------------------- */

int sandbox_drop_privileges(struct sandbox *sandbox)
{
	int err = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ? -errno : set_limits(sandbox);

	if (err)
		return err;
	sandbox->on[SANDBOX_LIMITS] = true;
	capng_clear(CAPNG_SELECT_BOTH);
	/* Only who has CAP_SETPCAP may empty the bounding set; without it there is little to drop.
	 */
	if (capng_apply(CAPNG_SELECT_BOTH) && capng_apply(CAPNG_SELECT_CAPS))
		return -EPERM;
	sandbox->on[SANDBOX_NO_PRIVILEGES] = true;
	return 0;
}

/*
 * The C library opens its unwinder at the first pthread_exit() or pthread_cancel(), and aborts
 * when it cannot: once it is in the process, it is found there.
 */
static void load_unwinder(void)
{
	if (!dlopen("libgcc_s.so.1", RTLD_NOW | RTLD_NODELETE))
		log_debug("no unwinder: %s", dlerror());
}

int sandbox_enter(struct sandbox *sandbox)
{
	int err = 0;

	load_unwinder();
	if (SANDBOX_FILTERS)
		err = sandbox_leave_namespaces(sandbox);
	if (!err)
		err = sandbox_drop_privileges(sandbox);
	if (!err && SANDBOX_FILTERS)
		sandbox_leave_files(sandbox);
	return err;
}

void sandbox_tell(const struct sandbox *sandbox)
{
	char on[160] = "", off[160] = "";

	for (unsigned int i = 0; i < SANDBOX_LAYERS; i++) {
		char *list = sandbox->on[i] ? on : off;

		snprintf(list + strlen(list), sizeof(on) - strlen(list), " %s", names[i]);
	}
	log_info("sandbox:%s; not in force:%s", *on ? on : " none", *off ? off : " none");
}
