/* SPDX-License-Identifier: MIT */
/* `mediant types`: the sizes a vGPU can have. */
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>

#include "cmd/cmd.h"
#include "vgpu/vgpu.h"

static const char usage[] =
	"Usage: mediant types [--json]\n"
	"Lists the types of vGPU: what `serve --type` takes.\n"
	"Without --type, the first with room for the monitors is taken.\n"
	"\n"
	"MEMORY is what GVT's types call memory: the vGPU's share of the global\n"
	"graphics addresses, MAPPABLE (low) and GRAPHICS (high) together.  The\n"
	"memory behind them is the guest's own.\n";

static uint64_t memory_bytes(const struct vgpu_type *t)
{
	return t->mappable_bytes + t->nonmappable_bytes;
}

static void print_table(const struct vgpu_type *types, size_t count)
{
	printf("%-22s %8s %8s %8s %9s %6s %6s %10s\n", "TYPE", "MEMORY", "APERTURE", "MAPPABLE",
	       "GRAPHICS", "FENCES", "WEIGHT", "LARGEST");
	for (size_t i = 0; i < count; i++) {
		const struct vgpu_type *t = &types[i];
		char largest[24];

		snprintf(largest, sizeof(largest), "%ux%u", t->max_width, t->max_height);
		printf("%-22s %6luMi %6luMi %6luKi %7luMi %6u %6u %10s\n", t->name,
		       (unsigned long)(memory_bytes(t) >> 20),
		       (unsigned long)(t->aperture_bytes >> 20),
		       (unsigned long)(t->mappable_bytes >> 10),
		       (unsigned long)(t->nonmappable_bytes >> 20), t->fences, t->weight, largest);
	}
}

static json_t *type_tree(const struct vgpu_type *t)
{
	return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:i, s:i, s:i, s:i}", "name", t->name,
			 "description", t->description, "memory_bytes", (json_int_t)memory_bytes(t),
			 "aperture_bytes", (json_int_t)t->aperture_bytes, "mappable_bytes",
			 (json_int_t)t->mappable_bytes, "nonmappable_bytes",
			 (json_int_t)t->nonmappable_bytes, "fences", (int)t->fences, "weight",
			 (int)t->weight, "max_width", (int)t->max_width, "max_height",
			 (int)t->max_height);
}

static void print_json(const struct vgpu_type *types, size_t count)
{
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, type_tree(&types[i]));
	cmd_print_json(list);
	json_decref(list);
}

int cmd_types(int argc, char **argv)
{
	const struct vgpu_type *types;
	bool json;
	size_t count;
	int status = cmd_take_json("types", usage, argc, argv, &json);

	if (status != CMD_GO_ON)
		return status;
	if (optind < argc)
		return cmd_usage_error("types", "%s is one word too many", argv[optind]);
	types = vgpu_types(&count);
	if (json)
		print_json(types, count);
	else
		print_table(types, count);
	return CMD_OK;
}
