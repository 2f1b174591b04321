/* SPDX-License-Identifier: MIT */
/*
 * Memory that lies in another process and cannot be mapped here: copied by process_vm_readv() and
 * process_vm_writev().  Opened by the thread that changes the map, copied in reader sections.
 *
 * Those calls name the process by its number, which another may get once it has ended and been
 * waited for.  A pidfd does not change its mind: while it says that the process lives, the number
 * is that process's.  So what was read counts only if the process is still there afterwards, and
 * nothing is written but to a process that is there just before.  What is left is the moment
 * between that look and the call; within it the process would have to end and be reaped, and the
 * kernel, which gives numbers out in turn, to go through all of them.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/checked.h"
#include "guest/slots.h"

/* Readable once the process has ended, waited for or not. */
static bool has_ended(int pidfd)
{
	struct pollfd poll_fd = { .fd = pidfd, .events = POLLIN };

	return poll(&poll_fd, 1, 0) != 0;
}

/* The number in our PID namespace; -EINVAL: no pidfd, -ESRCH, -EPERM: not of our namespace. */
static int number_of(int pidfd, pid_t *pid)
{
	char path[64], line[128];
	int number = 0;
	bool found = false;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	FILE *file = fopen(path, "re");
	if (!file)
		return -errno;
	while (!found && fgets(line, sizeof(line), file))
		found = sscanf(line, "Pid: %d", &number) == 1;
	fclose(file);
	if (!found)
		return -EINVAL;
	*pid = number;
	return number > 0 ? 0 : number < 0 ? -ESRCH : -EPERM;
}

/* Until it is done, or nothing more can be had: the kernel stops at the first page it cannot. */
static int transfer(pid_t pid, uint64_t address, void *buf, size_t len, bool write)
{
	struct iovec here = { buf, len }, there = { (void *)(uintptr_t)address, len };

	while (here.iov_len) {
		ssize_t n = write ? process_vm_writev(pid, &here, 1, &there, 1, 0)
				  : process_vm_readv(pid, &here, 1, &there, 1, 0);

		if (n <= 0)
			return n < 0 ? -errno : -EFAULT;
		here.iov_base = (uint8_t *)here.iov_base + n;
		there.iov_base = (uint8_t *)there.iov_base + n;
		here.iov_len -= (size_t)n;
		there.iov_len -= (size_t)n;
	}
	return 0;
}

int guest_process_copy(const struct guest_slot *slot, uint64_t at, void *buf, size_t len,
		       bool write)
{
	if (write && has_ended(slot->fd))
		return -ESRCH;
	int err = transfer(slot->pid, slot->fd_offset + (at - slot->gpa), buf, len, write);

	/* Whatever was found under that number is not ours, the error neither. */
	return has_ended(slot->fd) ? -ESRCH : err;
}

/* What will be refused is better refused now: by the kernel's rules for tracing, or no memory. */
static int probe(const struct guest_slot *slot)
{
	uint8_t byte;
	int err = guest_process_copy(slot, slot->gpa, &byte, 1, false);

	return err ? err : guest_process_copy(slot, slot->gpa + slot->bytes - 1, &byte, 1, false);
}

int guest_process_open(struct guest_slot *slot, int pidfd, uint64_t address)
{
	uint64_t end;

	if (!add_fits(address, slot->bytes, &end))
		return -EINVAL;
	slot->backing = GUEST_BACKING_PROCESS;
	slot->fd_offset = address;
	slot->fd = fcntl(pidfd, F_DUPFD_CLOEXEC, 3);
	if (slot->fd < 0)
		return errno == EBADF ? -EINVAL : -errno;
	int err = number_of(slot->fd, &slot->pid);
	if (!err)
		err = probe(slot);
	if (err)
		guest_slot_close(slot);
	return err;
}
