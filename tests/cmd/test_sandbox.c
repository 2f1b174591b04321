/* SPDX-License-Identifier: MIT */
/*
 * What is left to somebody who has taken a sandboxed process over: each attempt is made by a child
 * that went through the sandbox as `mediant serve` does, once by the layers below the filter of
 * system calls alone, once with it.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/sandbox.h"
#include "tests/support/leaks.h"

#define KILLED	(-SIGSYS)
#define NOBODY	65534u
#define SETTING 8

/* What a child is made of. */
struct child {
	enum sandbox_role role;
	bool filtered;	/* by system call as well */
	bool ordinary;	/* an ordinary user */
	bool contained; /* where unshare() is forbidden, as in most containers */
	int (*attempt)(struct sandbox *sandbox); /* 0: refused, or done, as it should be */
};

static char folder[32], other[32];
static pid_t parent;
static int folder_fd = -1, other_fd = -1, tcp_port;
static uint64_t secret = 0x5ec2e75ec2e7ull;
static struct {
	int landlock_abi;
	bool namespaces;
} there_is;

/* ---- Children ---- */

static void forbid_unshare(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

	if (!filter || seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(unshare), 0) ||
	    seccomp_load(filter))
		_exit(SETTING);
	seccomp_release(filter);
}

static _Noreturn void be(const struct child *child)
{
	struct sandbox sandbox = { .role = child->role,
				   .remove_in = { folder_fd, -1 },
				   .look_in = -1 };

	if (child->role == SANDBOX_ARBITER)
		sandbox.look_in = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	/* Dumpable, as one who was always an ordinary user is: else its own /proc is not its own.
	 */
	if (child->ordinary && !geteuid() &&
	    (setgid(NOBODY) || setuid(NOBODY) || prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)))
		_exit(SETTING);
	if (child->contained)
		forbid_unshare();
	if (sandbox_enter(&sandbox) || (child->filtered && sandbox_limit_syscalls(&sandbox)))
		_exit(SETTING);
	_exit(child->attempt(&sandbox));
}

/* Its exit status, or minus the signal that killed it. */
static int run(const struct child *child)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid)
		be(child);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* By root and by an ordinary user, by each role. */
static void everybody(int (*attempt)(struct sandbox *sandbox), bool filtered, int expected)
{
	if (!SANDBOX_FILTERS)
		skip();
	for (int i = 0; i < 8; i++) {
		struct child child = {
			.role = i & 1 ? SANDBOX_ARBITER : SANDBOX_VGPU,
			.filtered = filtered,
			.ordinary = (i & 2) != 0,
			.contained = (i & 4) != 0,
			.attempt = attempt,
		};

		assert_int_equal(run(&child), expected);
	}
}

#define REFUSED(expression, error) ((expression) == -1 && errno == (error))

/* ---- What there is, found out without our own code ---- */

static int landlock_abi(void)
{
	long abi = syscall(444 /* landlock_create_ruleset */, NULL, 0, 1);

	return abi < 0 ? 0 : (int)abi;
}

/* A namespace that is worth something: some systems give it no capabilities. */
static bool namespaces_work(void)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC) ||
		      mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	waitpid(pid, &status, 0);
	return WIFEXITED(status) && !WEXITSTATUS(status);
}

static int uses_what_there_is(struct sandbox *sandbox)
{
	if (sandbox->landlock_abi != there_is.landlock_abi ||
	    sandbox->on[SANDBOX_LANDLOCK] != (there_is.landlock_abi > 0))
		return 1;
	return sandbox->on[SANDBOX_USER_NAMESPACE] != there_is.namespaces ||
	       sandbox->on[SANDBOX_EMPTY_ROOT] != there_is.namespaces;
}

static void what_the_kernel_has_is_used(void **state)
{
	struct child child = { .attempt = uses_what_there_is };

	if (!SANDBOX_FILTERS)
		skip();
	there_is.landlock_abi = landlock_abi();
	there_is.namespaces = namespaces_work();
	assert_int_equal(run(&child), 0);
	child.ordinary = true;
	assert_int_equal(run(&child), 0);
}

/* ---- Below the filter ---- */

static int is_confined(struct sandbox *sandbox)
{
	struct rlimit core, memlock;

	if (!sandbox->on[SANDBOX_NO_PRIVILEGES] || !sandbox->on[SANDBOX_LIMITS])
		return 1;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return 2;
	getrlimit(RLIMIT_CORE, &core);
	getrlimit(RLIMIT_MEMLOCK, &memlock);
	return core.rlim_max || memlock.rlim_max ||
	       syscall(SYS_mount, "none", "/", "tmpfs", 0, "") != -1;
}

/* Of the layers that a kernel may refuse; at least one keeps us from files. */
static int sees_no_files(struct sandbox *sandbox)
{
	static const char *const paths[] = { "/etc/passwd", "/proc/self/maps", "/dev/null", "/" };
	bool closed = sandbox->on[SANDBOX_EMPTY_ROOT] || sandbox->on[SANDBOX_LANDLOCK];

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		if (closed && open(paths[i], O_RDONLY) != -1 && i + 1 < ARRAY_SIZE(paths))
			return 1;
	if (sandbox->on[SANDBOX_LANDLOCK] && !REFUSED(open("/", O_RDONLY), EACCES))
		return 2;
	/* Not by way of the folder it still has, either. */
	if (sandbox->on[SANDBOX_LANDLOCK] &&
	    (!REFUSED(openat(folder_fd, "kept", O_RDONLY), EACCES) ||
	     !REFUSED(openat(folder_fd, "../../etc/passwd", O_RDONLY), EACCES) ||
	     !REFUSED(openat(folder_fd, "new", O_CREAT | O_WRONLY, 0600), EACCES)))
		return 3;
	return 0;
}

static int removes_its_own_files_only(struct sandbox *sandbox)
{
	if (!sandbox->on[SANDBOX_LANDLOCK])
		return 0;
	if (!REFUSED(unlinkat(other_fd, "kept", 0), EACCES))
		return 1;
	return geteuid() == NOBODY ? 0 : unlinkat(folder_fd, "removed", 0) != 0;
}

static int reaches_no_network(struct sandbox *sandbox)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_port = htons((uint16_t)tcp_port),
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (!sandbox->on[SANDBOX_NAMESPACES] && sandbox->landlock_abi < 4)
		return 0;
	return connect(fd, (struct sockaddr *)&addr, sizeof(addr)) != -1;
}

static int signals_nobody(struct sandbox *sandbox)
{
	return sandbox->landlock_abi >= 6 && !REFUSED(kill(parent, 0), EPERM);
}

static int reads_no_other_memory(struct sandbox *sandbox)
{
	uint64_t copy = 0;
	struct iovec local = { &copy, sizeof(copy) }, remote = { &secret, sizeof(secret) };
	/* Of who is no child of the sandbox: without Landlock it is the capability that lacks. */
	ssize_t n = process_vm_readv(parent, &local, 1, &remote, 1, 0);

	return sandbox->on[SANDBOX_LANDLOCK] &&
	       (n != -1 || ptrace(PTRACE_ATTACH, parent, 0, 0) != -1);
}

static void every_layer_holds_by_itself(void **state)
{
	everybody(is_confined, false, 0);
	everybody(sees_no_files, false, 0);
	everybody(reaches_no_network, false, 0);
	everybody(signals_nobody, false, 0);
	everybody(reads_no_other_memory, false, 0);
}

static void it_removes_what_is_its_own(void **state)
{
	struct child child = { .attempt = removes_its_own_files_only };
	char path[64];

	if (!SANDBOX_FILTERS)
		skip();
	for (int filtered = 0; filtered < 2; filtered++) {
		snprintf(path, sizeof(path), "%s/removed", folder);
		close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
		child.filtered = filtered;
		assert_int_equal(run(&child), 0);
		unlink(path);
	}
}

/* ---- With the filter ---- */

static int calls_are_refused(struct sandbox *sandbox)
{
	void *page =
		mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = eventfd(0, EFD_CLOEXEC);

	if (page == MAP_FAILED || fd < 0)
		return 1;
	/* The arbiter may open, where Landlock lets it: nowhere but in /proc. */
	if (sandbox->role == SANDBOX_VGPU && !REFUSED(open("/", O_RDONLY), EPERM))
		return 2;
	if (!REFUSED(socket(AF_UNIX, SOCK_STREAM, 0), EPERM) ||
	    !REFUSED(socket(AF_INET, SOCK_STREAM, 0), EPERM))
		return 3;
	if (!REFUSED(kill(parent, 0), EPERM) ||
	    !REFUSED(syscall(SYS_tgkill, parent, parent, SIGTERM), EPERM) ||
	    !REFUSED(fcntl(fd, F_SETOWN, parent), EPERM))
		return 4;
	if (mmap(NULL, PAGE_BYTES, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
		    MAP_FAILED ||
	    !REFUSED(mprotect(page, PAGE_BYTES, PROT_READ | PROT_EXEC), EPERM))
		return 5;
	if (!REFUSED(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0), EPERM) ||
	    !REFUSED(ioctl(fd, FIONREAD, &fd), EPERM))
		return 6;
	if (!REFUSED(syscall(SYS_sched_setscheduler, 0, SCHED_RR, "\1\0\0\0"), EPERM) ||
	    !REFUSED(syscall(SYS_pidfd_getfd, 0, 0, 0), EPERM))
		return 7;
	return 0;
}

static void what_is_not_needed_is_refused(void **state)
{
	everybody(calls_are_refused, true, 0);
}

static int try_execve(struct sandbox *sandbox)
{
	char *argv[] = { NULL };

	return execve("/bin/true", argv, argv) != -1;
}

static int try_ptrace(struct sandbox *sandbox)
{
	return ptrace(PTRACE_ATTACH, parent, 0, 0) != -1;
}

static int try_readv(struct sandbox *sandbox)
{
	uint64_t copy;
	struct iovec local = { &copy, sizeof(copy) }, remote = { &secret, sizeof(secret) };

	return process_vm_readv(parent, &local, 1, &remote, 1, 0) != -1;
}

static int try_fork(struct sandbox *sandbox)
{
	return syscall(SYS_fork) != -1;
}

static int try_unshare(struct sandbox *sandbox)
{
	return unshare(CLONE_NEWUSER) != -1;
}

static void what_nobody_honest_tries_is_fatal(void **state)
{
	everybody(try_execve, true, KILLED);
	everybody(try_ptrace, true, KILLED);
	everybody(try_readv, true, KILLED);
	everybody(try_fork, true, KILLED);
	everybody(try_unshare, true, KILLED);
}

static void *nothing(void *opaque)
{
	pthread_exit(opaque); /* wants the unwinder, which lies in a file */
}

/* What serving needs goes on. */
static int work_is_done(struct sandbox *sandbox)
{
	int fd = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING), pair[2];
	pthread_t thread;
	void *map, *big = malloc(64u << 20);

	if (fd < 0 || ftruncate(fd, (off_t)PAGE_BYTES) || !big)
		return 1;
	map = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED || munmap(map, PAGE_BYTES) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK))
		return 2;
	free(big);
	if (sandbox->role == SANDBOX_ARBITER)
		return 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return 3;
	return pthread_create(&thread, NULL, nothing, NULL) || pthread_join(thread, NULL);
}

static void what_is_needed_is_left(void **state)
{
	everybody(work_is_done, true, 0);
}

static int has_no_namespaces(struct sandbox *sandbox)
{
	return sandbox->on[SANDBOX_USER_NAMESPACE] || sandbox->on[SANDBOX_NAMESPACES] ||
	       sandbox->on[SANDBOX_EMPTY_ROOT] || !sandbox->on[SANDBOX_SYSCALLS];
}

/* What is refused is told, and the rest is in force. */
static void a_container_is_put_up_with(void **state)
{
	struct child child = { .filtered = true, .contained = true, .attempt = has_no_namespaces };

	if (!SANDBOX_FILTERS)
		skip();
	assert_int_equal(run(&child), 0);
}

/* ---- Fixture ---- */

static int make_folder(char *path, int *fd)
{
	char file[64];

	strcpy(path, "/tmp/test-sandbox-XXXXXX");
	if (!mkdtemp(path))
		return -1;
	snprintf(file, sizeof(file), "%s/kept", path);
	close(open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
	*fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return *fd < 0;
}

static void drop_folder(char *path, int fd)
{
	unlinkat(fd, "kept", 0);
	close(fd);
	assert_int_equal(rmdir(path), 0);
}

/* Somebody on this machine whom a process with a network could talk to. */
static int listen_tcp(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 1) ||
	    getsockname(fd, (struct sockaddr *)&addr, &len))
		return -1;
	tcp_port = ntohs(addr.sin_port);
	return fd;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_kernel_has_is_used),
		cmocka_unit_test(every_layer_holds_by_itself),
		cmocka_unit_test(it_removes_what_is_its_own),
		cmocka_unit_test(what_is_not_needed_is_refused),
		cmocka_unit_test(what_nobody_honest_tries_is_fatal),
		cmocka_unit_test(what_is_needed_is_left),
		cmocka_unit_test(a_container_is_put_up_with),
	};
	int failed, tcp = listen_tcp();

	parent = getpid();
	if (tcp < 0 || make_folder(folder, &folder_fd) || make_folder(other, &other_fd)) {
		perror("test-cmd-sandbox");
		return 1;
	}
	failed = cmocka_run_group_tests_name("cmd sandbox", tests, NULL, NULL);
	drop_folder(folder, folder_fd);
	drop_folder(other, other_fd);
	close(tcp);
	return failed;
}
