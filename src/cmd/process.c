/* SPDX-License-Identifier: MIT */
/* Child processes; see process.h. */
#include "cmd/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define POLL_NS (10 * NSEC_PER_MSEC)

static void redirect(int fd, const char *path, int flags)
{
	int other = open(path, flags);

	if (other >= 0 && other != fd) {
		dup2(other, fd);
		close(other);
	}
}

/* In the child; never returns.  @parent: a parent that died before prctl() sends no signal. */
static _Noreturn void become(char *const *argv, const struct process_options *options, int out_fd,
			     pid_t parent)
{
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(127);
	if (options->own_group)
		setpgid(0, 0);
	if (options->quiet) {
		redirect(STDIN_FILENO, "/dev/null", O_RDONLY);
		redirect(STDERR_FILENO, "/dev/null", O_WRONLY);
	}
	if (out_fd >= 0)
		dup2(out_fd, STDOUT_FILENO);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execvp(argv[0], argv);
	_exit(127);
}

pid_t process_start(char *const *argv, const struct process_options *options, int *out_fd)
{
	int pipe_fds[2] = { -1, -1 };
	pid_t parent = getpid(), pid;

	if (options->take_stdout && pipe2(pipe_fds, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (!pid)
		become(argv, options, pipe_fds[1], parent);
	if (pid < 0)
		pid = -errno;
	if (pipe_fds[1] >= 0)
		close(pipe_fds[1]);
	if (pid > 0 && options->take_stdout)
		*out_fd = pipe_fds[0];
	else if (pipe_fds[0] >= 0)
		close(pipe_fds[0]);
	return pid;
}

int process_wait(pid_t pid, uint64_t deadline_ns)
{
	struct timespec pause = { .tv_nsec = (long)POLL_NS };
	int status;

	for (;;) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return status;
		if (clock_now_ns() >= deadline_ns)
			return -1;
		nanosleep(&pause, NULL);
	}
}

int process_end(pid_t pid, uint64_t grace_ns)
{
	int status;

	kill(pid, SIGTERM);
	status = process_wait(pid, clock_now_ns() + grace_ns);
	if (status < 0) {
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
	}
	return status;
}

int process_read(int fd, char *text, size_t size, uint64_t deadline_ns,
		 bool (*enough)(const char *text))
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	size_t len = 0;

	text[0] = '\0';
	while (!enough(text)) {
		uint64_t now = clock_now_ns();
		ssize_t n;

		if (now >= deadline_ns)
			return -ETIMEDOUT;
		if (poll(&wait, 1, (int)((deadline_ns - now) / NSEC_PER_MSEC) + 1) <= 0)
			continue;
		if (len + 1 == size) {
			memmove(text, text + len / 2, len - len / 2);
			len -= len / 2;
		}
		n = read(fd, text + len, size - 1 - len);
		if (n <= 0)
			return 0;
		for (ssize_t i = 0; i < n; i++)
			if (!text[len + (size_t)i])
				text[len + (size_t)i] = ' ';
		len += (size_t)n;
		text[len] = '\0';
	}
	return 1;
}
