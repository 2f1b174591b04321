/* SPDX-License-Identifier: MIT */
/* The arithmetic of `mediant top`; see top_rates.h. */
#include "cmd/top_rates.h"

#include <stdio.h>
#include <string.h>

static double number(const json_t *object, const char *key)
{
	return json_number_value(json_object_get(object, key));
}

/* The sum of a member over a list of objects. */
static double sum(const json_t *list, const char *key)
{
	double total = 0;
	json_t *one;
	size_t i;

	json_array_foreach(list, i, one) total += number(one, key);
	return total;
}

static double sum_members(json_t *object)
{
	double total = 0;
	const char *key;
	json_t *value;

	json_object_foreach(object, key, value) total += json_number_value(value);
	return total;
}

bool top_sample_read(const json_t *tree, struct top_sample *sample)
{
	const char *name = json_string_value(json_object_get(tree, "name"));
	const json_t *gpu = json_object_get(tree, "gpu");

	if (!name)
		return false;
	*sample = (struct top_sample){
		.connected = json_is_true(json_object_get(tree, "connected")),
		.shared = json_is_true(json_object_get(gpu, "shared")),
		.weight = (uint32_t)number(gpu, "weight"),
		.uptime_s = number(tree, "uptime_s"),
		.gpu_ms = number(gpu, "time_ms"),
		.wait_ms = number(gpu, "wait_ms"),
		.submissions = sum(json_object_get(tree, "engines"), "submissions"),
		.traps = number(json_object_get(tree, "traps"), "total"),
		.faults = sum_members(json_object_get(tree, "faults")),
		.flips = sum(json_object_get(tree, "display"), "flips"),
	};
	snprintf(sample->name, sizeof(sample->name), "%s", name);
	return true;
}

void top_rates_between(const struct top_sample *before, const struct top_sample *now,
		       struct top_rates *rates)
{
	static const struct top_sample none;
	double seconds;

	if (!before || before->uptime_s > now->uptime_s)
		before = &none;
	seconds = now->uptime_s - before->uptime_s;
	*rates = (struct top_rates){ .faults = now->faults };
	if (seconds <= 0)
		return;
	rates->gpu_percent = (now->gpu_ms - before->gpu_ms) / seconds / 10;
	rates->wait_percent = (now->wait_ms - before->wait_ms) / seconds / 10;
	rates->submissions = (now->submissions - before->submissions) / seconds;
	rates->traps = (now->traps - before->traps) / seconds;
	rates->frames = (now->flips - before->flips) / seconds;
}
