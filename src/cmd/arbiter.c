/* SPDX-License-Identifier: MIT */
/*
 * `mediant arbiter`: the process that shares the host GPU among the vGPUs of one user.  One
 * thread, which sleeps unless somebody waits for a lane.  It has no guest's memory and no client's
 * descriptors, only pages of its own making.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/core_slice.h"
#include "base/log.h"
#include "cmd/arbiter_client.h"
#include "cmd/arbiter_server.h"
#include "cmd/cmd.h"
#include "cmd/options.h"
#include "cmd/sandbox.h"
#include "cmd/signals.h"
#include "cmd/socket_file.h"

static const char usage[] =
	"Usage: mediant arbiter [OPTION]…\n"
	"Shares the host GPU's lanes among the vGPUs of this user until SIGTERM or SIGINT.\n"
	"A `mediant serve` that starts later finds it by itself.\n"
	"\n"
	"      --lanes N          this many cores (default: all this process may use)\n"
	"      --policy fair|rr   weighted fair (default), or round robin\n"
	"      --slice US         microseconds a lane is had while others wait (default: 16000)\n"
	"      --socket PATH      listen there (default: arbiter.lease in the runtime folder)\n"
	"      --log LEVEL        error, warn, info (default) or debug\n"
	"  -h, --help             this text\n";

/* The shortest that Linux has. */
#define CORE_SLICE_NS (100 * NSEC_PER_USEC)

enum { OPT_LANES = 256, OPT_POLICY, OPT_SLICE, OPT_SOCKET, OPT_LOG };

static const struct option long_options[] = {
	{ "lanes", required_argument, NULL, OPT_LANES },
	{ "policy", required_argument, NULL, OPT_POLICY },
	{ "slice", required_argument, NULL, OPT_SLICE },
	{ "socket", required_argument, NULL, OPT_SOCKET },
	{ "log", required_argument, NULL, OPT_LOG },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

struct arbiter_process {
	struct sched_arbiter_config config;
	const char *socket_path; /* NULL: the default */
	struct loop loop;
	struct signals signals;
	struct runtime_dir runtime;
	char path[PATH_MAX];
	struct socket_file socket_file;
	struct sandbox sandbox;
	struct arbiter_server *server;
};

/* ---- The command line -------------------------------------------------------------------------
 */

static int bad(const char *option, const char *value, const char *remedy)
{
	return cmd_usage_error("arbiter", "%s %s: %s", option, value, remedy);
}

static int take_option(struct arbiter_process *p, int option, const char *value)
{
	uint64_t number;

	switch (option) {
	case OPT_LANES:
		if (option_number(value, 1, SCHED_LANES_MAX, &number))
			return bad("--lanes", value, "a number from 1 to 64 is wanted");
		p->config.lanes = (unsigned int)number;
		return CMD_GO_ON;
	case OPT_POLICY:
		if (sched_policy_parse(value, &p->config.policy))
			return bad("--policy", value, "fair or rr is wanted");
		return CMD_GO_ON;
	case OPT_SLICE:
		if (option_number(value, 100, 1000000, &number))
			return bad("--slice", value, "100 to 1000000 microseconds are wanted");
		p->config.slice_ns = number * NSEC_PER_USEC;
		return CMD_GO_ON;
	case OPT_SOCKET:
		p->socket_path = value;
		return CMD_GO_ON;
	case OPT_LOG:
		if (log_level_parse(value, &log_threshold))
			return bad("--log", value, "error, warn, info or debug is wanted");
		return CMD_GO_ON;
	default: /* 'h' */
		fputs(usage, stdout);
		return CMD_OK;
	}
}

static int parse(struct arbiter_process *p, int argc, char **argv)
{
	int option, status;

	optind = 0;
	while ((option = getopt_long(argc, argv, "+:h", long_options, NULL)) >= 0) {
		if (option == '?' || option == ':')
			return cmd_option_error("arbiter", argc, argv, option);
		status = take_option(p, option, optarg);
		if (status != CMD_GO_ON)
			return status;
	}
	if (optind < argc)
		return cmd_usage_error("arbiter", "%s is no option", argv[optind]);
	return CMD_GO_ON;
}

/* ---- Lanes ------------------------------------------------------------------------------------
 */

/*
 * The first CPUs this process may use are the lanes, and the arbiter stays on them: a change of
 * hands then wakes nobody on another CPU, at least when there is one lane.
 */
static int choose_lanes(struct arbiter_process *p)
{
	unsigned int count = 0;
	cpu_set_t may, lanes;

	if (sched_getaffinity(0, sizeof(may), &may)) {
		log_error("cannot tell which CPUs there are: %m");
		return -errno;
	}
	CPU_ZERO(&lanes);
	for (uint32_t cpu = 0; cpu < CPU_SETSIZE && count < SCHED_LANES_MAX; cpu++) {
		if (!CPU_ISSET(cpu, &may) || (p->config.lanes && count == p->config.lanes))
			continue;
		CPU_SET(cpu, &lanes);
		p->config.cpus[count++] = cpu;
	}
	if (count < p->config.lanes) {
		log_error("--lanes %u: this process may use %u CPUs only", p->config.lanes, count);
		return -EINVAL;
	}
	p->config.lanes = count;
	sched_setaffinity(0, sizeof(lanes), &lanes);
	return 0;
}

/* ---- Its life ---------------------------------------------------------------------------------
 */

static int start_server(struct arbiter_process *p)
{
	char path[PATH_MAX];
	int err = runtime_dir_open(&p->runtime, true);
	int fd;

	if (!err && !p->socket_path)
		err = arbiter_default_path(&p->runtime, path, sizeof(path));
	else if (!err && snprintf(path, sizeof(path), "%s", p->socket_path) >= (int)sizeof(path))
		err = -ENAMETOOLONG;
	if (err)
		return err;
	fd = runtime_dir_listen(&p->runtime, path);
	if (fd == -EADDRINUSE)
		log_error("an arbiter already runs at %s", path);
	else if (fd < 0)
		log_error("cannot listen at %s: %s; choose another --socket", path, strerror(-fd));
	if (fd < 0)
		return fd;
	strcpy(p->path, path);
	err = socket_file_note(&p->socket_file, path);
	if (err) {
		close(fd);
		return err;
	}
	return arbiter_server_create(&p->loop, fd, p->sandbox.look_in, &p->config, &p->server);
}

/*
 * The arbiter runs for microseconds, and whoever rang waits for it; a lane's thread on its core
 * runs for milliseconds.  It asks for short slices of that core, and Linux 6.12 or later lets it in
 * earlier, where its turn may come with a tick otherwise.  It has no more of the core for that.
 * Older kernels do as before.
 */
static void ask_for_short_slices(void)
{
	int err = core_slice_ask(CORE_SLICE_NS);

	if (err)
		log_debug("no short slices for the arbiter: %s", strerror(-err));
}

static int enter_sandbox(struct arbiter_process *p)
{
	int err;

	runtime_dir_close(&p->runtime);
	p->sandbox.role = SANDBOX_ARBITER;
	p->sandbox.remove_in[0] = p->socket_file.folder_fd;
	p->sandbox.remove_in[1] = -1;
	err = sandbox_enter(&p->sandbox);
	if (!err)
		err = sandbox_limit_syscalls(&p->sandbox);
	if (err)
		log_error("cannot drop privileges: %s", strerror(-err));
	else
		sandbox_tell(&p->sandbox);
	return err;
}

static int start(struct arbiter_process *p)
{
	int err = choose_lanes(p);

	if (!err)
		err = loop_init(&p->loop);
	if (err)
		return err;
	ask_for_short_slices();
	err = signals_start(&p->signals, &p->loop);
	if (!err)
		err = start_server(p);
	return err ? err : enter_sandbox(p);
}

static void end(struct arbiter_process *p)
{
	socket_file_remove(&p->socket_file);
	arbiter_server_destroy(p->server);
	signals_stop(&p->signals);
	runtime_dir_close(&p->runtime);
	if (p->sandbox.look_in >= 0)
		close(p->sandbox.look_in);
	if (p->loop.epoll_fd >= 0)
		loop_fini(&p->loop);
}

int cmd_arbiter(int argc, char **argv)
{
	struct arbiter_process p = {
		.loop.epoll_fd = -1,
		.signals.source.fd = -1,
		.runtime.fd = -1,
		.socket_file.folder_fd = -1,
	};
	int status = parse(&p, argc, argv), err;

	if (status != CMD_GO_ON)
		return status;
	log_set_name("arbiter");
	sandbox_close_fds(-1);
	/* Where it finds the threads of who does not yield; without it, it cannot put them back. */
	p.sandbox.look_in = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	err = start(&p);
	if (!err) {
		printf("mediant: the arbiter is ready on %s: %u lane%s, policy %s\n", p.path,
		       p.config.lanes, p.config.lanes == 1 ? "" : "s",
		       sched_policy_name(p.config.policy));
		fflush(stdout);
		err = loop_run(&p.loop);
	}
	end(&p);
	return err ? CMD_FAILED : CMD_OK;
}
