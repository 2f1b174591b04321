/* SPDX-License-Identifier: MIT */
/* What the subcommands share: the options of several, how a bad command line is told, JSON. */
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

int cmd_take_json(const char *command, const char *usage, int argc, char **argv, bool *json)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	*json = false;
	optind = 0;
	while ((option = getopt_long(argc, argv, ":jh", options, NULL)) >= 0) {
		if (option == 'h') {
			fputs(usage, stdout);
			return CMD_OK;
		}
		if (option != 'j')
			return cmd_option_error(command, argc, argv, option);
		*json = true;
	}
	return CMD_GO_ON;
}

void cmd_print_json(const json_t *tree)
{
	json_dumpf(tree, stdout, JSON_INDENT(2));
	putchar('\n');
}

int cmd_take_name(const char *command, const char *text, char name[OPTION_NAME_MAX + 1])
{
	if (option_name_check(text))
		return cmd_usage_error(command,
				       "--name %s: up to 48 letters, digits, '.', '_' and '-' "
				       "make a name",
				       text);
	strcpy(name, text);
	return CMD_GO_ON;
}
