/* SPDX-License-Identifier: MIT */
/*
 * The sandbox of `mediant serve`.  The list of calls is what the loop, the lanes, the VNC threads
 * and the C library under them use once everything is open.  Left out on purpose: opening files,
 * making sockets, running programs, mapping memory executable.
 */
#include "cmd/sandbox.h"

#include <cap-ng.h>
#include <errno.h>
#include <linux/sched.h>
#include <pthread.h>
#include <seccomp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/types.h"

void sandbox_close_fds(int keep_fd)
{
	unsigned int first = STDERR_FILENO + 1;

	if (keep_fd >= (int)first) {
		if (keep_fd > (int)first)
			close_range(first, (unsigned int)keep_fd - 1, 0);
		first = (unsigned int)keep_fd + 1;
	}
	close_range(first, ~0u, 0);
}

int sandbox_drop_privileges(void)
{
	struct rlimit none = { 0, 0 };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || setrlimit(RLIMIT_CORE, &none))
		return -errno;
	capng_clear(CAPNG_SELECT_BOTH);
	/* Only who has CAP_SETPCAP may empty the bounding set; without it there is little to drop.
	 */
	if (capng_apply(CAPNG_SELECT_BOTH) && capng_apply(CAPNG_SELECT_CAPS))
		return -EPERM;
	return 0;
}

/* Any arguments. */
static const int allowed[] = {
	/* sockets that are open, and descriptors that came over them */
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(readv),
	SCMP_SYS(writev),
	SCMP_SYS(pread64),
	SCMP_SYS(pwrite64),
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendmsg),
	SCMP_SYS(recvfrom),
	SCMP_SYS(sendto),
	SCMP_SYS(accept),
	SCMP_SYS(accept4),
	SCMP_SYS(shutdown),
	SCMP_SYS(socketpair),
	SCMP_SYS(getsockopt),
	SCMP_SYS(setsockopt),
	SCMP_SYS(getsockname),
	SCMP_SYS(getpeername),
	SCMP_SYS(close),
	SCMP_SYS(dup),
	SCMP_SYS(fcntl),
	SCMP_SYS(fstat),
	SCMP_SYS(fstatfs),
	SCMP_SYS(newfstatat),
	SCMP_SYS(lseek),
	SCMP_SYS(ftruncate),
	SCMP_SYS(memfd_create),
	SCMP_SYS(eventfd2),
	/* waiting and time */
	SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(select),
	SCMP_SYS(pselect6),
	SCMP_SYS(futex),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(nanosleep),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(timerfd_settime),
	SCMP_SYS(restart_syscall),
	/* memory: the guest's (mmap and mprotect are looked at below), and malloc's */
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	SCMP_SYS(brk),
	SCMP_SYS(mincore),
	/* threads, and how they end */
	SCMP_SYS(set_robust_list),
	SCMP_SYS(rseq),
	SCMP_SYS(gettid),
	SCMP_SYS(getpid),
	SCMP_SYS(sched_yield),
	SCMP_SYS(sched_getaffinity),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(tgkill),
	SCMP_SYS(membarrier),
	SCMP_SYS(getrandom),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	/* our socket files, when we end */
	SCMP_SYS(unlink),
	SCMP_SYS(unlinkat),
	SCMP_SYS(flock),
};

/* Calls that no bug of ours makes, only somebody who has taken the process over. */
static const int deadly[] = {
	SCMP_SYS(execve),
	SCMP_SYS(execveat),
	SCMP_SYS(ptrace),
	SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev),
	SCMP_SYS(fork),
	SCMP_SYS(vfork),
	SCMP_SYS(init_module),
	SCMP_SYS(finit_module),
	SCMP_SYS(mount),
	SCMP_SYS(bpf),
	SCMP_SYS(keyctl),
	SCMP_SYS(perf_event_open),
};

static int add_lists(scmp_filter_ctx filter)
{
	int err = 0;

	for (size_t i = 0; !err && i < ARRAY_SIZE(allowed); i++)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
	for (size_t i = 0; !err && i < ARRAY_SIZE(deadly); i++)
		err = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, deadly[i], 0);
	return err;
}

/* Calls that are harmless with some arguments only. */
static int add_looked_at(scmp_filter_ctx filter)
{
	int err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
				   SCMP_A2_64(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));

	if (!err)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
				       SCMP_A2_64(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (!err) /* threads, not processes */
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
				       SCMP_A0_64(SCMP_CMP_MASKED_EQ, CLONE_THREAD | CLONE_VM,
						  CLONE_THREAD | CLONE_VM));
	if (!err) /* a lane's own thread, which goes to the core it was leased */
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(sched_setaffinity), 1,
				       SCMP_A0_64(SCMP_CMP_EQ, 0));
	if (!err) /* its flags are in memory: the C library falls back to clone() */
		err = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	if (!err)
		err = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
				       SCMP_A0_64(SCMP_CMP_EQ, PR_SET_NAME));
	return err;
}

/*
 * The C library opens its unwinder at the first pthread_exit() or pthread_cancel(), and aborts
 * when it cannot: let it do so while it still can.
 */
static void *exit_once(void *unused)
{
	(void)unused;
	pthread_exit(NULL);
}

static void load_unwinder(void)
{
	pthread_t thread;

	if (!pthread_create(&thread, NULL, exit_once, NULL))
		pthread_join(thread, NULL);
}

int sandbox_limit_syscalls(void)
{
	scmp_filter_ctx filter;
	int err;

	if (!SANDBOX_FILTERS)
		return -ENOTSUP;
	load_unwinder();
	filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	if (!filter)
		return -ENOMEM;
	err = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	if (!err)
		err = add_lists(filter);
	if (!err)
		err = add_looked_at(filter);
	if (!err)
		err = seccomp_load(filter);
	seccomp_release(filter);
	return err;
}
