/* SPDX-License-Identifier: MIT */
/*
 * `mediant trace`: a timeline of vGPUs that run.  It turns their trace points on, follows their
 * rings until its time is over or somebody interrupts it, and writes one file, with all of them
 * on one clock.  However it ends, the points go off with its connections.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "cmd/cmd.h"
#include "cmd/control_client.h"
#include "cmd/options.h"
#include "cmd/trace_session.h"

#define DEFAULT_FILE   "mediant-trace.json"
#define POLL_MS	       10
#define PROGRESS_NS    (200 * NSEC_PER_MSEC)
#define BYTES_PER_MIB  ((uint64_t)1 << 20)
#define PATTERNS_BYTES 1024u

/* What a timeline is made of.  Not the points passed for each command or page. */
#define DEFAULT_POINTS                                                                   \
	"vfu_served,vfio_access,vfio_reset,vfio_dma_*,vfio_decode,vgpu_elsp,vgpu_taken," \
	"vgpu_csb,vgpu_context_*,vgpu_iir,vgpu_msi,vgpu_reset_*,vgpu_notify,vgpu_fault," \
	"scan_audit,sched_*,gpu_batch*,gpu_interrupt,display_*"

static const char usage[] =
	"Usage: mediant trace [OPTION]… [NAME…]\n"
	"Records what the vGPUs NAME, or all of this user, do, as a timeline that\n"
	"https://ui.perfetto.dev opens: traps, submissions, contexts, batches, audits,\n"
	"leases, interrupts, faults, frames.  Ctrl-C ends it; so do:\n"
	"\n"
	"      --seconds N        after so long, 1 to 86400\n"
	"      --max-size MIB     the file is that large (default: 512)\n"
	"\n"
	"  -o, --output FILE      write to FILE (default: " DEFAULT_FILE "; -: stdout)\n"
	"      --points PATTERNS  these trace points too, such as 'scan_command,shadow_*'\n"
	"  -h, --help             this text\n";

struct trace_options {
	uint64_t seconds, max_mib; /* 0 seconds: until interrupted */
	const char *output;
	char points[PATTERNS_BYTES];
};

struct tracer {
	const struct trace_options *options;
	struct trace_file file;
	struct trace_session *sessions;
	unsigned int count;
	uint64_t begin_ns, told_ns;
	bool terminal; /* progress may be shown in place */
};

static volatile sig_atomic_t interrupted;

static void interrupt(int signal_number)
{
	(void)signal_number;
	interrupted = 1;
}

/* ---- Telling --------------------------------------------------------------------------------- */

static uint64_t records_of(const struct tracer *t)
{
	uint64_t records = 0;

	for (unsigned int i = 0; i < t->count; i++)
		records += t->sessions[i].records;
	return records;
}

static void show_progress(struct tracer *t)
{
	uint64_t now_ns = clock_now_ns();

	if (!t->terminal || now_ns < t->told_ns + PROGRESS_NS)
		return;
	t->told_ns = now_ns;
	fprintf(stderr, "\r%.1f s, %llu records, %.1f MiB ",
		(double)(now_ns - t->begin_ns) / (double)NSEC_PER_SEC,
		(unsigned long long)records_of(t), (double)t->file.bytes / (double)BYTES_PER_MIB);
}

static void tell_begin(const struct tracer *t)
{
	fprintf(stderr, "Tracing");
	for (unsigned int i = 0; i < t->count; i++)
		fprintf(stderr, "%s %s", i ? "," : "", t->sessions[i].name);
	if (t->options->seconds)
		fprintf(stderr, " for %llu s", (unsigned long long)t->options->seconds);
	fprintf(stderr, "; Ctrl-C ends it.\n");
}

static void tell_trouble(const struct trace_session *s)
{
	if (s->cursor.lost)
		log_warn("%s: %llu records were lost: it was faster than they could be written; "
			 "fewer --points, or a faster disk, help",
			 s->name, (unsigned long long)s->cursor.lost);
	if (s->view.refused)
		log_warn("%s: %llu records made no sense and were left out", s->name,
			 (unsigned long long)s->view.refused);
}

static void tell_end(const struct tracer *t)
{
	if (t->terminal)
		fputc('\r', stderr);
	for (unsigned int i = 0; i < t->count; i++)
		tell_trouble(&t->sessions[i]);
	fprintf(stderr, "%llu records of %u vGPU%s, %.1f MiB", (unsigned long long)records_of(t),
		t->count, t->count == 1 ? "" : "s", (double)t->file.bytes / (double)BYTES_PER_MIB);
	if (strcmp(t->options->output, "-"))
		fprintf(stderr, " in %s; https://ui.perfetto.dev opens it", t->options->output);
	fprintf(stderr, ".\n");
}

/* ---- Recording ------------------------------------------------------------------------------- */

/* Reads what is new of all; false when none of them runs any more. */
static bool drain(struct tracer *t)
{
	bool running = false;

	for (unsigned int i = 0; i < t->count; i++) {
		trace_session_drain(&t->sessions[i], false);
		running |= !trace_session_over(&t->sessions[i]);
	}
	return running;
}

static bool enough(const struct tracer *t)
{
	const struct trace_options *o = t->options;

	if (interrupted || ferror(t->file.out))
		return true;
	if (t->file.bytes >= o->max_mib * BYTES_PER_MIB) {
		log_warn("the file has its largest size: --max-size allows more");
		return true;
	}
	return o->seconds && clock_now_ns() >= t->begin_ns + o->seconds * NSEC_PER_SEC;
}

static void record(struct tracer *t)
{
	while (drain(t) && !enough(t)) {
		show_progress(t);
		poll(NULL, 0, POLL_MS); /* a signal ends it */
	}
	for (unsigned int i = 0; i < t->count; i++)
		trace_session_stop(&t->sessions[i]);
	for (unsigned int i = 0; i < t->count; i++)
		trace_session_drain(&t->sessions[i], true);
}

/* Turns the points of all on, or fails without having begun. */
static int start(struct tracer *t)
{
	for (unsigned int i = 0; i < t->count; i++) {
		int err = trace_session_start(&t->sessions[i], t->options->points, &t->file, i);

		if (err)
			return err;
	}
	t->begin_ns = clock_now_ns();
	return 0;
}

static int close_file(struct tracer *t)
{
	uint64_t lost = 0, refused = 0;
	int err;

	for (unsigned int i = 0; i < t->count; i++) {
		lost += t->sessions[i].cursor.lost;
		refused += t->sessions[i].view.refused;
	}
	err = trace_file_close(&t->file, lost, refused);
	if (err)
		log_error("cannot write %s: %s", t->options->output, strerror(-err));
	return err;
}

static int trace(struct tracer *t)
{
	struct sigaction action = { .sa_handler = interrupt };
	int err = trace_file_open(&t->file, t->options->output);

	if (err) {
		log_error("cannot write %s: %s", t->options->output, strerror(-err));
		return err;
	}
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	err = start(t);
	if (!err) {
		tell_begin(t);
		record(t);
		tell_end(t);
	}
	return close_file(t) || err ? -EIO : 0;
}

/* ---- Whom ------------------------------------------------------------------------------------ */

/* Connects to all of @names; with @every, those that have just gone are passed over. */
static int connect_all(struct tracer *t, char **names, unsigned int count, bool every)
{
	t->sessions = calloc(MAX(count, 1u), sizeof(*t->sessions));
	if (!t->sessions)
		return -ENOMEM;
	for (unsigned int i = 0; i < count; i++) {
		int err = trace_session_open(&t->sessions[t->count], names[i]);

		if (!err)
			t->count++;
		else if (!every)
			return err;
	}
	if (t->count)
		return 0;
	log_error("no vGPU runs; start one with `mediant serve` or `mediant run`");
	return -ENOENT;
}

static int trace_names(const struct trace_options *o, char **names, unsigned int count, bool every)
{
	struct tracer t = { .options = o, .terminal = isatty(STDERR_FILENO) };
	int err = connect_all(&t, names, count, every);

	if (!err)
		err = trace(&t);
	for (unsigned int i = 0; i < t.count; i++)
		trace_session_close(&t.sessions[i]);
	free(t.sessions);
	return err ? CMD_FAILED : CMD_OK;
}

static int trace_every(const struct trace_options *o)
{
	struct runtime_dir dir;
	char **names = NULL;
	int status, count = runtime_dir_open(&dir, false);

	if (count < 0)
		return CMD_FAILED;
	count = runtime_dir_names(&dir, &names);
	if (count < 0)
		log_error("cannot read %s: %s", dir.path, strerror(-count));
	runtime_dir_close(&dir);
	status = count < 0 ? CMD_FAILED : trace_names(o, names, (unsigned int)count, true);
	runtime_names_free(names, MAX(count, 0));
	return status;
}

/* ---- The command line ------------------------------------------------------------------------ */

enum { OPT_SECONDS = 256, OPT_MAX_SIZE, OPT_POINTS };

static int take_option(struct trace_options *o, int option, const char *value)
{
	switch (option) {
	case OPT_SECONDS:
		if (option_number(value, 1, 86400, &o->seconds))
			return cmd_usage_error("trace", "--seconds %s: 1 to 86400 are wanted",
					       value);
		return CMD_GO_ON;
	case OPT_MAX_SIZE:
		if (option_number(value, 1, 1 << 20, &o->max_mib))
			return cmd_usage_error("trace",
					       "--max-size %s: 1 to 1048576 MiB are wanted", value);
		return CMD_GO_ON;
	case OPT_POINTS:
		if (strlen(o->points) + strlen(value) + 2 > sizeof(o->points))
			return cmd_usage_error("trace", "--points: that many are not taken");
		strcat(strcat(o->points, ","), value);
		return CMD_GO_ON;
	case 'o':
		o->output = value;
		return CMD_GO_ON;
	default: /* 'h' */
		fputs(usage, stdout);
		return CMD_OK;
	}
}

int cmd_trace(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seconds", required_argument, NULL, OPT_SECONDS },
		{ "max-size", required_argument, NULL, OPT_MAX_SIZE },
		{ "points", required_argument, NULL, OPT_POINTS },
		{ "output", required_argument, NULL, 'o' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct trace_options o = { .max_mib = 512,
				   .output = DEFAULT_FILE,
				   .points = DEFAULT_POINTS };
	int option, status;

	optind = 0;
	while ((option = getopt_long(argc, argv, ":o:h", options, NULL)) >= 0) {
		if (option == '?' || option == ':')
			return cmd_option_error("trace", argc, argv, option);
		status = take_option(&o, option, optarg);
		if (status != CMD_GO_ON)
			return status;
	}
	if (optind < argc)
		return trace_names(&o, argv + optind, (unsigned int)(argc - optind), false);
	return trace_every(&o);
}
