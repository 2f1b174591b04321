/* SPDX-License-Identifier: MIT */
/*
 * `mediant stat`: what a vGPU has done.  The text is the JSON tree set out for people: an object
 * of plain values is one line, a list of objects a table.  So it never lags behind the tree.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/control_client.h"

static const char usage[] =
	"Usage: mediant stat NAME [--json]\n"
	"Shows what the vGPU NAME has done; docs/stat.md explains the values.\n";

static void format_value(const json_t *value, char *text, size_t size)
{
	switch (json_typeof(value)) {
	case JSON_STRING:
		snprintf(text, size, "%s", json_string_value(value));
		break;
	case JSON_INTEGER:
		snprintf(text, size, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
		break;
	case JSON_REAL:
		snprintf(text, size, "%.2f", json_real_value(value));
		break;
	case JSON_TRUE:
		snprintf(text, size, "yes");
		break;
	case JSON_FALSE:
		snprintf(text, size, "no");
		break;
	default:
		snprintf(text, size, "-");
	}
}

static void print_pairs(json_t *object)
{
	const char *key;
	json_t *value;
	int column = 0;

	json_object_foreach(object, key, value)
	{
		char text[80];
		int wide = column ? (int)strlen(key) + 24 : 0;

		if (column + wide > 96) {
			printf("\n%-14s", "");
			column = 0;
		}
		format_value(value, text, sizeof(text));
		column += printf(" %s %s ", key, text);
	}
	putchar('\n');
}

static void print_row(json_t *row, bool heads)
{
	const char *key;
	json_t *value;

	printf("  ");
	json_object_foreach(row, key, value)
	{
		char text[80];
		int width = (int)MAX(strlen(key), (size_t)7);

		if (json_is_object(value))
			continue; /* too much for a column: see --json */
		format_value(value, text, sizeof(text));
		printf("%*s ", width, heads ? key : text);
	}
	putchar('\n');
}

static void print_table(json_t *list)
{
	size_t i;
	json_t *row;

	putchar('\n');
	if (json_array_size(list))
		print_row(json_array_get(list, 0), true);
	json_array_foreach(list, i, row) print_row(row, false);
}

static void print_tree(json_t *tree)
{
	const char *key;
	json_t *value;

	json_object_foreach(tree, key, value)
	{
		char text[80];

		printf("%-13s ", key);
		if (json_is_object(value)) {
			print_pairs(value);
		} else if (json_is_array(value)) {
			print_table(value);
		} else {
			format_value(value, text, sizeof(text));
			printf(" %s\n", text);
		}
	}
}

static int stat_one(const char *name, bool json)
{
	json_t *tree;

	if (control_call(name, "stat", NULL, &tree, NULL))
		return CMD_FAILED;
	if (json)
		cmd_print_json(tree);
	else
		print_tree(tree);
	json_decref(tree);
	return CMD_OK;
}

int cmd_stat(int argc, char **argv)
{
	bool json;
	int status = cmd_take_json("stat", usage, argc, argv, &json);

	if (status != CMD_GO_ON)
		return status;
	if (optind + 1 != argc)
		return cmd_usage_error("stat",
				       "one vGPU's name is wanted; `mediant list` has them");
	return stat_one(argv[optind], json);
}
