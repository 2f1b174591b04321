/* SPDX-License-Identifier: MIT */
/*
 * `mediant run`: a vGPU and a QEMU attached to it, as two children.  The vGPU is ready before QEMU
 * starts, because QEMU connects once and at once, and ends after it.  Signals are waited for, not
 * handled: the one thread is in sigwaitinfo() while both run.
 */
#include "cmd/run.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "cmd/cmd.h"
#include "cmd/process.h"
#include "cmd/runtime_dir.h"

#define READY_LIMIT_NS (30 * NSEC_PER_SEC)
#define GRACE_NS       (10 * NSEC_PER_SEC)

struct run {
	struct run_options options;
	struct words serve_words, qemu_words;
	sigset_t signals;
	char socket[PATH_MAX]; /* the vGPU's, in the runtime folder */
	pid_t serve, qemu;     /* 0: not running */
	int serve_status, qemu_status;
	bool vgpu_lost; /* it ended before QEMU did */
};

/* ---- The two command lines ----------------------------------------------------------------- */

static int make_serve_words(struct run *run)
{
	const struct run_options *o = &run->options;
	struct runtime_dir dir;
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	int err = runtime_dir_open(&dir, !o->dry_run);

	if (!err)
		err = runtime_dir_socket(&dir, o->name, ".vfio", run->socket, sizeof(run->socket));
	runtime_dir_close(&dir);
	if (err)
		return err;
	self[MAX(len, 0)] = '\0';
	words_add(&run->serve_words, "%s", len > 0 ? self : "mediant");
	words_add(&run->serve_words, "serve");
	words_add(&run->serve_words, "--socket");
	words_add(&run->serve_words, "%s", run->socket);
	words_add(&run->serve_words, "--name");
	words_add(&run->serve_words, "%s", o->name);
	for (size_t i = 0; i < o->serve.count; i++)
		words_add(&run->serve_words, "%s", o->serve.at[i]);
	return 0;
}

static enum run_accel choose_accel(const struct run_options *o, const char *qemu)
{
	char why[256] = "";
	enum run_accel accel = o->accel;

	if (accel == RUN_ACCEL_AUTO) {
		accel = run_accel_choose(o, qemu, !o->dry_run, why, sizeof(why));
		fprintf(stderr, "mediant: using %s: %s\n", accel == RUN_ACCEL_KVM ? "KVM" : "TCG",
			why);
	}
	return accel;
}

/* A dry run shows a command line even where there is no QEMU to run it. */
static int make_words(struct run *run)
{
	char qemu[PATH_MAX];
	int err = make_serve_words(run);

	if (!err)
		err = run_qemu_find(&run->options, qemu);
	if (err && !(err == -ENOENT && run->options.dry_run))
		return err;
	run_qemu_words(&run->options, qemu, choose_accel(&run->options, qemu), run->socket,
		       &run->qemu_words);
	if (!run->serve_words.failed && !run->qemu_words.failed)
		return 0;
	log_error("no memory for the command lines");
	return -ENOMEM;
}

/* ---- The children -------------------------------------------------------------------------- */

static bool has_line(const char *text)
{
	return strchr(text, '\n') != NULL;
}

/* `serve` prints one line when a VMM may connect; it tells its own troubles on stderr. */
static int start_serve(struct run *run)
{
	struct process_options options = { .own_group = true, .take_stdout = true };
	char text[4096];
	int fd, ready;

	run->serve = process_start(run->serve_words.at, &options, &fd);
	if (run->serve < 0) {
		log_error("cannot start the vGPU: %s", strerror(-run->serve));
		run->serve = 0;
		return -EAGAIN;
	}
	ready = process_read(fd, text, sizeof(text), clock_now_ns() + READY_LIMIT_NS, has_line);
	close(fd);
	if (ready == 1) {
		fputs(text, stdout);
		fflush(stdout);
		return 0;
	}
	if (ready < 0)
		log_error("the vGPU was not ready within 30 s");
	return -EIO;
}

static int start_qemu(struct run *run)
{
	struct process_options options = { 0 };

	run->qemu = process_start(run->qemu_words.at, &options, NULL);
	if (run->qemu > 0)
		return 0;
	log_error("cannot start QEMU: %s", strerror(-run->qemu));
	run->qemu = 0;
	return -EAGAIN;
}

static void reap(struct run *run)
{
	if (run->qemu && waitpid(run->qemu, &run->qemu_status, WNOHANG) == run->qemu)
		run->qemu = 0;
	if (run->serve && waitpid(run->serve, &run->serve_status, WNOHANG) == run->serve) {
		run->serve = 0;
		if (run->qemu) { /* it would go on with a device that answers all-ones */
			log_error("the vGPU ended before QEMU did; ending QEMU");
			run->vgpu_lost = true;
			kill(run->qemu, SIGTERM);
		}
	}
}

/* Until QEMU has ended.  The second request to end is not a polite one. */
static void wait_for_qemu(struct run *run)
{
	int requests = 0;

	while (run->qemu) {
		int number = sigwaitinfo(&run->signals, NULL);

		if (number == SIGCHLD)
			reap(run);
		else if (number > 0)
			kill(run->qemu, requests++ ? SIGKILL : SIGTERM);
	}
}

static int exit_status(int wait_status)
{
	if (WIFEXITED(wait_status))
		return WEXITSTATUS(wait_status);
	return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : CMD_FAILED;
}

/* Blocked before the first child starts, so that none of its ends is missed. */
static void block_signals(struct run *run)
{
	sigemptyset(&run->signals);
	sigaddset(&run->signals, SIGCHLD);
	sigaddset(&run->signals, SIGINT);
	sigaddset(&run->signals, SIGTERM);
	sigaddset(&run->signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &run->signals, NULL);
}

/* A vGPU that ends as it should removes its sockets itself. */
static void remove_leftovers(const struct run *run)
{
	struct runtime_dir dir;

	if (runtime_dir_open(&dir, false) || dir.fd < 0)
		return;
	runtime_dir_remove_stale(&dir, run->socket);
	runtime_dir_close(&dir);
}

static int run_both(struct run *run)
{
	int status = CMD_FAILED;

	block_signals(run);
	if (!start_serve(run) && !start_qemu(run)) {
		wait_for_qemu(run);
		status = run->vgpu_lost ? CMD_FAILED : exit_status(run->qemu_status);
	}
	if (run->serve)
		process_end(run->serve, GRACE_NS);
	remove_leftovers(run);
	return status;
}

int cmd_run(int argc, char **argv)
{
	struct run *run = calloc(1, sizeof(*run));
	int status;

	if (!run)
		return CMD_FAILED;
	status = run_options_parse(&run->options, argc, argv);
	if (status == CMD_GO_ON && make_words(run)) {
		status = CMD_FAILED;
	} else if (status == CMD_GO_ON && run->options.dry_run) {
		words_print(stdout, &run->serve_words);
		words_print(stdout, &run->qemu_words);
		status = CMD_OK;
	} else if (status == CMD_GO_ON) {
		status = run_both(run);
	}
	words_fini(&run->options.serve);
	words_fini(&run->serve_words);
	words_fini(&run->qemu_words);
	free(run);
	return status;
}
