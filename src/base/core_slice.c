/* SPDX-License-Identifier: MIT */
/* A thread's slice of a core; see core_slice.h. */
#include "base/core_slice.h"

#include <errno.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * struct sched_attr of <linux/sched/types.h> in its first version; in some versions of that header
 * it clashes with <sched.h>.
 */
struct attr {
	uint32_t size, sched_policy;
	uint64_t sched_flags;
	int32_t sched_nice;
	uint32_t sched_priority;
	uint64_t sched_runtime, sched_deadline, sched_period;
};

static int get_attr(pid_t tid, struct attr *attr)
{
	return syscall(SYS_sched_getattr, tid, attr, sizeof(*attr), 0) ? -errno : 0;
}

int core_slice_ask(uint64_t ns)
{
	struct attr attr = { 0 };
	int err = get_attr(0, &attr);

	if (err || attr.sched_policy != SCHED_OTHER)
		return err;
	attr.sched_runtime = ns;
	return syscall(SYS_sched_setattr, 0, &attr, 0) ? -errno : 0;
}

int64_t core_slice_of(pid_t tid)
{
	struct attr attr = { 0 };
	int err = get_attr(tid, &attr);

	if (err)
		return err;
	return attr.sched_policy == SCHED_OTHER ? (int64_t)attr.sched_runtime : 0;
}
