/* SPDX-License-Identifier: MIT */
/*
 * The subcommands of `mediant`, one file each; main.c holds their table.  A command parses its
 * own options, prints results on stdout and troubles on stderr, and returns the exit status.
 */
#ifndef CMD_CMD_H
#define CMD_CMD_H

#include <jansson.h>

#include "base/types.h"
#include "cmd/options.h"

enum cmd_status {
	CMD_GO_ON = -1, /* of the functions that parse: no reason to end yet */
	CMD_OK = 0,
	CMD_FAILED = 1, /* it was understood but could not be done */
	CMD_USAGE = 2,	/* the command line makes no sense */
};

struct cmd {
	const char *name;
	const char *summary;
	int (*run)(int argc, char **argv); /* argv[0] is the command's name */
};

int cmd_serve(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_types(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_stat(int argc, char **argv);
int cmd_top(int argc, char **argv);
int cmd_trace(int argc, char **argv);
int cmd_arbiter(int argc, char **argv);
int cmd_screenshot(int argc, char **argv);
int cmd_display(int argc, char **argv);
int cmd_decode(int argc, char **argv);

/* Says what is wrong with the command line and where help is; returns CMD_USAGE. */
int cmd_usage_error(const char *command, const char *fmt, ...) PRINTF_LIKE(2, 3);

/*
 * The command line of a command that knows --json and --help alone: CMD_GO_ON, with optind at
 * the first word that is no option, or the status to end with.
 */
int cmd_take_json(const char *command, const char *usage, int argc, char **argv, bool *json);
/* Prints @tree on stdout, for people and programs. */
void cmd_print_json(const json_t *tree);
/* The value of a --name into @name; CMD_GO_ON or CMD_USAGE. */
int cmd_take_name(const char *command, const char *text, char name[OPTION_NAME_MAX + 1]);

/* What getopt_long() returned for an option it refused ('?' or ':'), said in our words. */
int cmd_option_error(const char *command, int argc, char **argv, int returned);

#endif
