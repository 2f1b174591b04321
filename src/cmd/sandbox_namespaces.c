/* SPDX-License-Identifier: MIT */
/*
 * Namespaces and an empty root for the calling process, which must have one thread.
 *
 * A user namespace of its own lets an ordinary user do the rest; where it is forbidden, root can
 * do without.  Half of the way cannot be gone back, so each way is first gone by a child, and by
 * the process itself only if the child arrived.
 *
 * No namespace of process ids: only a process's children enter it, and the process that others
 * watch and signal would be another one than the one that serves.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "cmd/sandbox.h"

/* A folder that is there wherever a process can learn about itself; it is covered, not changed. */
#define COVERED "/proc"

struct way {
	bool user, root;
};

static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t len = (ssize_t)strlen(text), n;

	if (fd < 0)
		return -errno;
	n = write(fd, text, (size_t)len);
	close(fd);
	return n == len ? 0 : -EIO;
}

/* Who we are outside we are inside as well, so that a peer's user id can be told from ours. */
static int map_ids(uid_t uid, gid_t gid)
{
	char users[32], groups[32];
	int err;

	snprintf(users, sizeof(users), "%u %u 1\n", (unsigned int)uid, (unsigned int)uid);
	snprintf(groups, sizeof(groups), "%u %u 1\n", (unsigned int)gid, (unsigned int)gid);
	err = write_text("/proc/self/setgroups", "deny");
	if (!err)
		err = write_text("/proc/self/uid_map", users);
	return err ? err : write_text("/proc/self/gid_map", groups);
}

/*
 * An empty file system takes the root's place, and the old one is let go.  Where the root is the
 * kernel's first one (an initramfs), it cannot be put away: then we only turn our back on it.
 */
static int empty_root(void)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", COVERED, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
		  "size=4k,nr_inodes=2,mode=0555") ||
	    chdir(COVERED))
		return -errno;
	if (!syscall(SYS_pivot_root, ".", ".")) {
		if (umount2(".", MNT_DETACH))
			return -errno;
	} else if (chroot(".")) {
		return -errno;
	}
	return chdir("/") ? -errno : 0;
}

static int go(struct way way)
{
	int flags = CLONE_NEWNET | CLONE_NEWIPC;
	uid_t uid = geteuid();
	gid_t gid = getegid();
	int err = 0;

	if (way.user)
		flags |= CLONE_NEWUSER;
	if (way.root)
		flags |= CLONE_NEWNS;
	if (unshare(flags))
		return -errno;
	if (way.user)
		err = map_ids(uid, gid);
	if (!err && way.root)
		err = empty_root();
	return err;
}

/* 0 when a child could go @way; else the errno that stopped it. */
static int try(struct way way)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return errno;
	if (!pid)
		_exit(-go(way));
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
}

int sandbox_leave_namespaces(struct sandbox *sandbox)
{
	static const struct way ways[] = { { true, true }, { false, true }, { true, false } };

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		int err = try(ways[i]);

		if (!err) {
			sandbox->on[SANDBOX_USER_NAMESPACE] = ways[i].user;
			sandbox->on[SANDBOX_NAMESPACES] = true;
			sandbox->on[SANDBOX_EMPTY_ROOT] = ways[i].root;
			return go(ways[i]);
		}
		log_debug("namespaces%s%s: %s", ways[i].user ? ", by a user's own" : "",
			  ways[i].root ? ", with an empty root" : "", strerror(err));
	}
	return 0;
}
