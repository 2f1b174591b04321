/* SPDX-License-Identifier: MIT */
/*
 * The system calls that are left.  The lists are what the loop, the lanes, the VNC threads and the
 * C library under them use once everything is open.  Left out on purpose: opening files, making
 * sockets, running programs, signals to others, mapping memory executable.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/types.h"
#include "cmd/sandbox.h"

/* Of both roles, with any arguments. */
static const int common[] = {
	/* sockets and files that are open */
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(recvfrom),
	SCMP_SYS(sendmsg),
	SCMP_SYS(accept4),
	SCMP_SYS(getsockopt),
	SCMP_SYS(close),
	SCMP_SYS(fstat),
	SCMP_SYS(newfstatat),
	SCMP_SYS(ftruncate),
	SCMP_SYS(memfd_create),
	SCMP_SYS(eventfd2),
	/* waiting and time */
	SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(timerfd_settime),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(futex),
	SCMP_SYS(restart_syscall),
	/* memory (mmap and mprotect are looked at below) */
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	SCMP_SYS(brk),
	SCMP_SYS(getrandom),
	/* signals of our own, and the end */
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	/* our socket files */
	SCMP_SYS(unlinkat),
};

static const int of_vgpu[] = {
	/* the VMM's descriptors, and memory of its that cannot be mapped */
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendto),
	SCMP_SYS(pread64),
	SCMP_SYS(pwrite64),
	SCMP_SYS(fstatfs),
	/* viewers, by the VNC library */
	SCMP_SYS(shutdown),
	SCMP_SYS(setsockopt),
	SCMP_SYS(getsockname),
	SCMP_SYS(getpeername),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(select),
	SCMP_SYS(pselect6),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(nanosleep),
	/* threads, and the handler of SIGBUS (guest/sigbus.c) */
	SCMP_SYS(set_robust_list),
	SCMP_SYS(rseq),
	SCMP_SYS(sched_yield),
	SCMP_SYS(sched_getaffinity),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(sigaltstack),
};

static const int of_arbiter[] = {
	/* the process at a connection's other end, and its threads (Landlock says where else) */
	SCMP_SYS(pidfd_open),
	SCMP_SYS(openat),
	SCMP_SYS(getdents64),
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
	SCMP_SYS(unshare),
	SCMP_SYS(setns),
	SCMP_SYS(bpf),
	SCMP_SYS(keyctl),
	SCMP_SYS(perf_event_open),
	SCMP_SYS(userfaultfd),
	SCMP_SYS(io_uring_setup),
};

static int add_list(scmp_filter_ctx filter, uint32_t action, const int *calls, size_t count)
{
	int err = 0;

	for (size_t i = 0; !err && i < count; i++)
		err = seccomp_rule_add(filter, action, calls[i], 0);
	return err;
}

static int add_lists(scmp_filter_ctx filter, enum sandbox_role role)
{
	int err = add_list(filter, SCMP_ACT_ALLOW, common, ARRAY_SIZE(common));

	if (!err && role == SANDBOX_VGPU)
		err = add_list(filter, SCMP_ACT_ALLOW, of_vgpu, ARRAY_SIZE(of_vgpu));
	if (!err && role == SANDBOX_ARBITER)
		err = add_list(filter, SCMP_ACT_ALLOW, of_arbiter, ARRAY_SIZE(of_arbiter));
	if (!err)
		err = add_list(filter, SCMP_ACT_KILL_PROCESS, deadly, ARRAY_SIZE(deadly));
	return err;
}

/* ---- Calls that are harmless with some arguments only --------------------------------------- */

static int add_one(scmp_filter_ctx filter, int call, struct scmp_arg_cmp compare)
{
	return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, 1, &compare);
}

static int look_at_common(scmp_filter_ctx filter)
{
	struct scmp_arg_cmp not_executable = SCMP_A2_64(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
	/* Not those that have signals sent. */
	static const int fcntls[] = { F_GETFD, F_SETFD,		F_GETFL,     F_SETFL,
				      F_DUPFD, F_DUPFD_CLOEXEC, F_ADD_SEALS, F_GET_SEALS };
	int err = add_one(filter, SCMP_SYS(mmap), not_executable);

	for (size_t i = 0; !err && i < ARRAY_SIZE(fcntls); i++)
		err = add_one(filter, SCMP_SYS(fcntl),
			      SCMP_A1_64(SCMP_CMP_EQ, (scmp_datum_t)fcntls[i]));
	if (!err)
		err = add_one(filter, SCMP_SYS(mprotect), not_executable);
	if (!err) /* abort() */
		err = add_one(filter, SCMP_SYS(tgkill),
			      SCMP_A0_64(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
	return err;
}

static int look_at_vgpu(scmp_filter_ctx filter)
{
	const scmp_datum_t thread = CLONE_THREAD | CLONE_VM;
	int err = add_one(filter, SCMP_SYS(clone), SCMP_A0_64(SCMP_CMP_MASKED_EQ, thread, thread));

	if (!err) /* its flags are in memory: the C library falls back to clone() */
		err = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	if (!err)
		err = add_one(filter, SCMP_SYS(prctl), SCMP_A0_64(SCMP_CMP_EQ, PR_SET_NAME));
	if (!err) /* the second connection that a VMM may ask for */
		err = add_one(filter, SCMP_SYS(socketpair), SCMP_A0_64(SCMP_CMP_EQ, AF_UNIX));
	if (!err) /* a lane's own thread, which goes to the core it was leased */
		err = add_one(filter, SCMP_SYS(sched_setaffinity), SCMP_A0_64(SCMP_CMP_EQ, 0));
	return err;
}

/* Nobody's turn is made better by it, only worse. */
static int look_at_arbiter(scmp_filter_ctx filter)
{
	return add_one(filter, SCMP_SYS(sched_setscheduler), SCMP_A1_64(SCMP_CMP_EQ, SCHED_IDLE));
}

int sandbox_limit_syscalls(struct sandbox *sandbox)
{
	scmp_filter_ctx filter;
	int err;

	if (!SANDBOX_FILTERS)
		return 0;
	filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	if (!filter)
		return -ENOMEM;
	err = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	if (!err)
		err = add_lists(filter, sandbox->role);
	if (!err)
		err = look_at_common(filter);
	if (!err)
		err = sandbox->role == SANDBOX_VGPU ? look_at_vgpu(filter)
						    : look_at_arbiter(filter);
	if (!err)
		err = seccomp_load(filter);
	seccomp_release(filter);
	sandbox->on[SANDBOX_SYSCALLS] = !err;
	return err;
}
