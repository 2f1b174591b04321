/* SPDX-License-Identifier: MIT */
/* `mediant list`: the vGPUs of this user that run, found by their control sockets. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "cmd/cmd.h"
#include "cmd/control_client.h"

static const char usage[] = "Usage: mediant list [--json]\n"
			    "Lists the running vGPUs of this user.\n";

static json_t *ask(char **names, int count)
{
	json_t *list = json_array();

	for (int i = 0; i < count; i++) {
		json_t *one;

		if (!control_call(names[i], "ping", NULL, &one, NULL))
			json_array_append_new(list, one);
	}
	return list;
}

static const char *text_of(json_t *vgpu, const char *key)
{
	const char *text = json_string_value(json_object_get(vgpu, key));

	return text ? text : "-";
}

static void print_table(json_t *list)
{
	size_t i;
	json_t *vgpu;

	if (!json_array_size(list)) {
		puts("No vGPU runs; start one with `mediant serve` or `mediant run`.");
		return;
	}
	printf("%-16s %-20s %7s %10s %-6s %s\n", "NAME", "TYPE", "PID", "UPTIME", "CLIENT",
	       "SOCKET");
	json_array_foreach(list, i, vgpu)
	{
		printf("%-16s %-20s %7d %9.0fs %-6s %s\n", text_of(vgpu, "name"),
		       text_of(vgpu, "type"), (int)json_integer_value(json_object_get(vgpu, "pid")),
		       json_number_value(json_object_get(vgpu, "uptime_s")),
		       json_is_true(json_object_get(vgpu, "connected")) ? "yes" : "no",
		       text_of(vgpu, "socket"));
	}
}

static int find_names(char ***names)
{
	struct runtime_dir dir;
	int count = runtime_dir_open(&dir, false);

	if (count < 0)
		return count;
	count = runtime_dir_names(&dir, names);
	if (count < 0)
		log_error("cannot read %s: %s", dir.path, strerror(-count));
	runtime_dir_close(&dir);
	return count;
}

static int list(bool json)
{
	char **names = NULL;
	int count = find_names(&names);
	json_t *found;

	if (count < 0)
		return CMD_FAILED;
	found = ask(names, count);
	if (json)
		cmd_print_json(found);
	else
		print_table(found);
	json_decref(found);
	runtime_names_free(names, count);
	return CMD_OK;
}

int cmd_list(int argc, char **argv)
{
	bool json;
	int status = cmd_take_json("list", usage, argc, argv, &json);

	if (status != CMD_GO_ON)
		return status;
	if (optind < argc)
		return cmd_usage_error("list", "%s is one word too many", argv[optind]);
	return list(json);
}
