/* SPDX-License-Identifier: MIT */
/* `mediant display`: shows and changes a vGPU's monitors while it runs. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/control_client.h"
#include "cmd/options.h"

static const char usage[] =
	"Usage: mediant display NAME [--json]\n"
	"       mediant display NAME [--head N] --mode WIDTHxHEIGHT[@HZ]\n"
	"       mediant display NAME [--head N] --plug | --unplug\n"
	"Shows the monitors of the vGPU NAME, or changes the one on head N (default 0); the guest\n"
	"is told by a hotplug.\n";

struct display_request {
	const char *name;
	uint64_t head;
	const char *method;
	struct option_mode mode;
	bool plugged;
	bool json;
};

static void print_monitor(json_t *m)
{
	const char *kind = json_string_value(json_object_get(m, "kind"));
	bool there = kind && strcmp(kind, "none");
	int refresh_hz = (int)json_integer_value(json_object_get(m, "refresh_hz"));
	char rate[24] = "";

	if (refresh_hz)
		snprintf(rate, sizeof(rate), " at %d Hz", refresh_hz);
	printf("head %d: ", (int)json_integer_value(json_object_get(m, "head")));
	if (!there)
		puts("no port");
	else
		printf("%s, %s, %dx%d%s\n", kind,
		       json_is_true(json_object_get(m, "plugged")) ? "plugged" : "unplugged",
		       (int)json_integer_value(json_object_get(m, "width")),
		       (int)json_integer_value(json_object_get(m, "height")), rate);
}

static void print_pipe(json_t *p)
{
	json_t *head = json_object_get(p, "head");
	char where[24] = "no head";

	if (json_is_integer(head))
		snprintf(where, sizeof(where), "head %d", (int)json_integer_value(head));
	printf("pipe %s: ", json_string_value(json_object_get(p, "pipe")));
	if (json_is_true(json_object_get(p, "active")))
		printf("shows %dx%d at %.2f Hz on %s\n",
		       (int)json_integer_value(json_object_get(p, "width")),
		       (int)json_integer_value(json_object_get(p, "height")),
		       json_number_value(json_object_get(p, "refresh_hz")), where);
	else
		puts("off");
}

static void print_all(json_t *result)
{
	size_t i;
	json_t *one;

	json_array_foreach(json_object_get(result, "monitors"), i, one) print_monitor(one);
	json_array_foreach(json_object_get(result, "pipes"), i, one) print_pipe(one);
}

static json_t *params_of(const struct display_request *r)
{
	if (!strcmp(r->method, "display.set_mode"))
		return json_pack("{s:I, s:i, s:i, s:i}", "head", (json_int_t)r->head, "width",
				 (int)r->mode.width, "height", (int)r->mode.height, "refresh_hz",
				 (int)r->mode.refresh_hz);
	if (!strcmp(r->method, "display.plug"))
		return json_pack("{s:I, s:b}", "head", (json_int_t)r->head, "plugged",
				 (int)r->plugged);
	return NULL;
}

static int perform(const struct display_request *r)
{
	json_t *result;

	if (control_call(r->name, r->method, params_of(r), &result, NULL))
		return CMD_FAILED;
	if (r->json) {
		cmd_print_json(result);
	} else if (!strcmp(r->method, "display.get")) {
		print_all(result);
	} else {
		print_monitor(result);
	}
	json_decref(result);
	return CMD_OK;
}

static int set_method(struct display_request *r, const char *method)
{
	if (strcmp(r->method, "display.get"))
		return cmd_usage_error("display", "one of --mode, --plug and --unplug at a time");
	r->method = method;
	return CMD_GO_ON;
}

static int take_option(struct display_request *r, int option, const char *value)
{
	switch (option) {
	case 'H':
		if (option_number(value, 0, VGPU_MAX_PORTS - 1, &r->head))
			return cmd_usage_error("display", "--head %s: 0, 1 or 2 is wanted", value);
		return CMD_GO_ON;
	case 'm':
		if (option_mode(value, &r->mode))
			return cmd_usage_error(
				"display",
				"--mode %s: WIDTHxHEIGHT[@HZ] is wanted, " OPTION_MODE_LIMITS,
				value);
		return set_method(r, "display.set_mode");
	case 'p':
	case 'u':
		r->plugged = option == 'p';
		return set_method(r, "display.plug");
	case 'j':
		r->json = true;
		return CMD_GO_ON;
	default:
		fputs(usage, stdout);
		return CMD_OK;
	}
}

int cmd_display(int argc, char **argv)
{
	static const struct option options[] = {
		{ "head", required_argument, NULL, 'H' },
		{ "mode", required_argument, NULL, 'm' },
		{ "plug", no_argument, NULL, 'p' },
		{ "unplug", no_argument, NULL, 'u' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct display_request request = { .method = "display.get" };
	int option, status;

	optind = 0;
	while ((option = getopt_long(argc, argv, ":jh", options, NULL)) >= 0) {
		if (option == '?' || option == ':')
			return cmd_option_error("display", argc, argv, option);
		status = take_option(&request, option, optarg);
		if (status != CMD_GO_ON)
			return status;
	}
	if (optind + 1 != argc)
		return cmd_usage_error("display",
				       "one vGPU's name is wanted; `mediant list` has them");
	request.name = argv[optind];
	return perform(&request);
}
