/* SPDX-License-Identifier: MIT */
/* What the subcommands share: how a bad command line is told. */
#include "cmd/cmd.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"

int cmd_usage_error(const char *command, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_error("%s: %s", command, text);
	fprintf(stderr, "Try `mediant %s --help`.\n", command);
	return CMD_USAGE;
}

int cmd_option_error(const char *command, int argc, char **argv, int returned)
{
	/* A short one is in optopt; getopt_long() has stepped past the word of a long one. */
	const char *word = optind > 0 && optind <= argc ? argv[optind - 1] : "?";
	char letter[] = { '-', (char)optopt, '\0' };

	if (returned == ':')
		return cmd_usage_error(command, "option %s needs a value", word);
	if (optopt > 0 && optopt < 128 && strncmp(word, "--", 2))
		word = letter;
	return cmd_usage_error(command, "unknown option %s", word);
}
