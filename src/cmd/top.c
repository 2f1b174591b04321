/* SPDX-License-Identifier: MIT */
/*
 * `mediant top`: what the vGPUs that run are doing, anew every few seconds.  On a terminal the
 * table stays in place and `q` ends it; elsewhere one table follows the other.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "cmd/cmd.h"
#include "cmd/control_client.h"
#include "cmd/top_rates.h"

#define CLEAR_SCREEN "\033[H\033[J"

static const char usage[] =
	"Usage: mediant top [--once] [--json] [--interval SECONDS]\n"
	"Shows what the running vGPUs of this user do: GPU time, submissions, traps, faults, frames.\n"
	"\n"
	"      --once             one table, over one interval\n"
	"      --json             one JSON array for each table, one to a line\n"
	"      --interval SECONDS 1 to 3600 (default: 2)\n"
	"  -h, --help             this text\n"
	"\n"
	"On a terminal, q ends it.\n";

struct top_options {
	bool once, json, terminal;
	uint64_t interval_s;
};

/* The vGPUs at one moment, sorted by name. */
struct snapshot {
	struct top_sample *samples;
	int count;
};

static volatile sig_atomic_t interrupted;

/* ---- Asking -------------------------------------------------------------------------------------
 */

static int snapshot_take(struct snapshot *shot)
{
	struct runtime_dir dir;
	char **names = NULL;
	int count = runtime_dir_open(&dir, false);

	*shot = (struct snapshot){ 0 };
	if (count < 0)
		return count;
	count = runtime_dir_names(&dir, &names);
	if (count < 0)
		log_error("cannot read %s: %s", dir.path, strerror(-count));
	runtime_dir_close(&dir);
	if (count <= 0)
		return count;
	shot->samples = calloc((size_t)count, sizeof(*shot->samples));
	for (int i = 0; shot->samples && i < count; i++) {
		json_t *tree;

		if (control_call(names[i], "stat", NULL, &tree, NULL))
			continue;
		if (top_sample_read(tree, &shot->samples[shot->count]))
			shot->count++;
		json_decref(tree);
	}
	runtime_names_free(names, count);
	return shot->samples ? 0 : -ENOMEM;
}

static void snapshot_free(struct snapshot *shot)
{
	free(shot->samples);
	*shot = (struct snapshot){ 0 };
}

static const struct top_sample *find(const struct snapshot *shot, const char *name)
{
	for (int i = 0; i < shot->count; i++)
		if (!strcmp(shot->samples[i].name, name))
			return &shot->samples[i];
	return NULL;
}

/* ---- Telling ------------------------------------------------------------------------------------
 */

static void print_row(const struct top_sample *s, const struct top_rates *r)
{
	char weight[16] = "-", wait[16] = "-";

	if (s->shared) {
		snprintf(weight, sizeof(weight), "%u", s->weight);
		snprintf(wait, sizeof(wait), "%.1f", r->wait_percent);
	}
	printf("%-20s %-6s %6s %6.1f %6s %9.1f %9.1f %8.0f %6.1f\n", s->name,
	       s->connected ? "yes" : "no", weight, r->gpu_percent, wait, r->submissions, r->traps,
	       r->faults, r->frames);
}

static void print_table(const struct snapshot *before, const struct snapshot *now)
{
	double gpu = 0;

	printf("%-20s %-6s %6s %6s %6s %9s %9s %8s %6s\n", "NAME", "CLIENT", "WEIGHT", "GPU%",
	       "WAIT%", "SUBMITS/S", "TRAPS/S", "FAULTS", "FPS");
	for (int i = 0; i < now->count; i++) {
		const struct top_sample *s = &now->samples[i];
		struct top_rates rates;

		top_rates_between(find(before, s->name), s, &rates);
		print_row(s, &rates);
		gpu += rates.gpu_percent;
	}
	if (!now->count)
		puts("No vGPU runs; start one with `mediant serve` or `mediant run`.");
	else if (now->count > 1)
		printf("%-20s %-6s %6s %6.1f\n", "all", "", "", gpu);
}

static json_t *rates_tree(const struct top_sample *s, const struct top_rates *r)
{
	return json_pack("{s:s, s:b, s:b, s:i, s:f, s:f, s:f, s:f, s:I, s:f}", "name", s->name,
			 "connected", (int)s->connected, "shared", (int)s->shared, "weight",
			 (int)s->weight, "gpu_percent", r->gpu_percent, "wait_percent",
			 r->wait_percent, "submissions_per_s", r->submissions, "traps_per_s",
			 r->traps, "faults", (json_int_t)r->faults, "frames_per_s", r->frames);
}

static void print_json(const struct snapshot *before, const struct snapshot *now)
{
	json_t *list = json_array();

	for (int i = 0; i < now->count; i++) {
		const struct top_sample *s = &now->samples[i];
		struct top_rates rates;

		top_rates_between(find(before, s->name), s, &rates);
		json_array_append_new(list, rates_tree(s, &rates));
	}
	json_dumpf(list, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
	putchar('\n');
	json_decref(list);
}

/* ---- The terminal -------------------------------------------------------------------------------
 */

static void interrupt(int signal_number)
{
	(void)signal_number;
	interrupted = 1;
}

/* Keys without Enter; false when it is no terminal we can set. */
static bool keys_start(struct termios *saved)
{
	struct termios keys;

	if (tcgetattr(STDIN_FILENO, saved))
		return false;
	keys = *saved;
	keys.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	return !tcsetattr(STDIN_FILENO, TCSANOW, &keys);
}

/* Waits one interval; false when the user or a signal wants the end. */
static bool wait_interval(const struct top_options *o, bool keys)
{
	uint64_t end_ns = clock_now_ns() + o->interval_s * NSEC_PER_SEC, now_ns;

	while (!interrupted && (now_ns = clock_now_ns()) < end_ns) {
		struct pollfd input = { .fd = keys ? STDIN_FILENO : -1, .events = POLLIN };
		char key;

		if (poll(&input, 1, (int)((end_ns - now_ns) / NSEC_PER_MSEC) + 1) != 1)
			continue;
		if (read(STDIN_FILENO, &key, 1) != 1)
			keys = false;
		else if (key == 'q' || key == 'Q')
			return false;
	}
	return !interrupted;
}

static int watch(const struct top_options *o, bool keys)
{
	struct snapshot before, now = { 0 };
	int err = snapshot_take(&before);

	while (!err && wait_interval(o, keys)) {
		err = snapshot_take(&now);
		if (err)
			break;
		if (o->terminal && !o->once)
			fputs(CLEAR_SCREEN, stdout);
		if (o->json)
			print_json(&before, &now);
		else
			print_table(&before, &now);
		if (fflush(stdout))
			break;
		snapshot_free(&before);
		before = now;
		now = (struct snapshot){ 0 };
		if (o->once)
			break;
	}
	snapshot_free(&before);
	snapshot_free(&now);
	return err ? CMD_FAILED : CMD_OK;
}

static int top(const struct top_options *o)
{
	struct sigaction action = { .sa_handler = interrupt };
	struct termios saved;
	bool keys;
	int status;

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	keys = o->terminal && !o->once && keys_start(&saved);
	status = watch(o, keys);
	if (keys)
		tcsetattr(STDIN_FILENO, TCSANOW, &saved);
	return status;
}

int cmd_top(int argc, char **argv)
{
	static const struct option options[] = {
		{ "once", no_argument, NULL, 'o' },
		{ "json", no_argument, NULL, 'j' },
		{ "interval", required_argument, NULL, 'i' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct top_options o = { .interval_s = 2 };
	int option;

	optind = 0;
	while ((option = getopt_long(argc, argv, "+:h", options, NULL)) >= 0) {
		if (option == 'h') {
			fputs(usage, stdout);
			return CMD_OK;
		}
		if (option == '?' || option == ':')
			return cmd_option_error("top", argc, argv, option);
		if (option == 'i' && option_number(optarg, 1, 3600, &o.interval_s))
			return cmd_usage_error("top", "--interval %s: 1 to 3600 seconds are wanted",
					       optarg);
		o.once |= option == 'o';
		o.json |= option == 'j';
	}
	if (optind < argc)
		return cmd_usage_error("top", "%s is one word too many", argv[optind]);
	o.terminal = !o.json && isatty(STDOUT_FILENO);
	return top(&o);
}
