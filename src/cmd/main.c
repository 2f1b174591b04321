/* SPDX-License-Identifier: MIT */
/* The program: finds the subcommand and runs it. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "cmd/cmd.h"

static const struct cmd commands[] = {
	{ "serve", "serve one vGPU to a VMM over vfio-user", cmd_serve },
	{ "run", "start QEMU with a vGPU attached", cmd_run },
	{ "types", "the sizes a vGPU can have", cmd_types },
	{ "list", "the vGPUs that run", cmd_list },
	{ "stat", "what a vGPU has done: traps, commands, faults, frames", cmd_stat },
	{ "top", "what the vGPUs that run are doing, anew every moment", cmd_top },
	{ "trace", "a timeline of vGPUs that run, for Perfetto", cmd_trace },
	{ "arbiter", "share the host GPU among the vGPUs that run", cmd_arbiter },
	{ "screenshot", "what a vGPU shows, as a PNG", cmd_screenshot },
	{ "display", "a vGPU's monitors: show, change, plug, unplug", cmd_display },
	{ "decode", "print a ring or batch dump command by command", cmd_decode },
};

static void print_help(FILE *out)
{
	fputs("Usage: mediant COMMAND [OPTION]…\n"
	      "A mediated Intel Gen9 vGPU for virtual machines.\n\n",
	      out);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(out, "  %-11s %s\n", commands[i].name, commands[i].summary);
	fputs("\n`mediant COMMAND --help` tells the options of one; so does `man mediant-COMMAND`.\n",
	      out);
}

static const struct cmd *find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

static int unknown(const char *name)
{
	log_error("no command %s", name);
	print_help(stderr);
	return CMD_USAGE;
}

static int help(int argc, char **argv)
{
	char *words[] = { argv[argc - 1], (char[]){ "--help" }, NULL };
	const struct cmd *cmd;

	if (argc < 2) {
		print_help(stdout);
		return CMD_OK;
	}
	cmd = find(argv[1]);
	return cmd ? cmd->run(2, words) : unknown(argv[1]);
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";
	const struct cmd *cmd = find(name);

	if (cmd)
		return cmd->run(argc - 1, argv + 1);
	if (!*name) {
		print_help(stderr);
		return CMD_USAGE;
	}
	if (!strcmp(name, "help") || !strcmp(name, "--help") || !strcmp(name, "-h"))
		return help(MIN(argc - 1, 2), argv + 1);
	if (!strcmp(name, "--version") || !strcmp(name, "version")) {
		puts("mediant " MEDIANT_VERSION);
		return CMD_OK;
	}
	return unknown(name);
}
