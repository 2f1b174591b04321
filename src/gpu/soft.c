/* SPDX-License-Identifier: MIT */
/*
 * The software Gen9 behind gpu_ops: four command streamers.  begin(), run(), end() and reset() of
 * an engine on the lane that has it; the rest on any thread.  Of the units behind the streamers
 * the blitter is here (blt/); 3D and media are not: their commands are parsed and counted.
 */
#include <stdlib.h>

#include "gpu/soft.h"

static void soft_destroy(struct gpu *gpu)
{
	free(to_soft_gpu(gpu));
}

static void soft_begin(struct gpu *gpu, struct gpu_workload *workload)
{
	cs_begin(&to_soft_gpu(gpu)->engines[workload->engine], workload);
}

static enum gpu_run soft_run(struct gpu *gpu, enum gpu_engine engine, uint64_t deadline_ns)
{
	return cs_run(&to_soft_gpu(gpu)->engines[engine], deadline_ns);
}

static void soft_end(struct gpu *gpu, enum gpu_engine engine)
{
	cs_end(&to_soft_gpu(gpu)->engines[engine]);
}

static void soft_stop(struct gpu *gpu, enum gpu_engine engine)
{
	atomic_store(&to_soft_gpu(gpu)->engines[engine].stop, true);
}

static void soft_reset(struct gpu *gpu, enum gpu_engine engine)
{
	cs_reset(&to_soft_gpu(gpu)->engines[engine]);
}

static bool soft_reg_read(struct gpu *gpu, enum gpu_engine engine, uint32_t offset, uint32_t *value)
{
	return cs_reg_owned_read(&to_soft_gpu(gpu)->engines[engine], offset, value);
}

static bool soft_reg_write(struct gpu *gpu, enum gpu_engine engine, uint32_t offset, uint32_t value)
{
	return cs_reg_owned_write(&to_soft_gpu(gpu)->engines[engine], offset, value);
}

static void soft_where(struct gpu *gpu, enum gpu_engine engine, struct gpu_cs_state *at,
		       uint32_t *last_header)
{
	cs_where(&to_soft_gpu(gpu)->engines[engine], at, last_header);
}

static void soft_stats(struct gpu *gpu, struct gpu_stats *stats)
{
	*stats = (struct gpu_stats){ 0 };
	for_each_engine(engine)
		cs_stats(&to_soft_gpu(gpu)->engines[engine], stats);
}

static size_t soft_not_executed(struct gpu *gpu, struct gpu_not_executed *rows, size_t max)
{
	size_t found = 0;

	for_each_engine(engine) {
		struct cs *cs = &to_soft_gpu(gpu)->engines[engine];

		for (unsigned int id = 0; id < CMD_COUNT; id++) {
			uint64_t count =
				atomic_load_explicit(&cs->not_executed[id], memory_order_relaxed);

			if (!count)
				continue;
			if (found < max)
				rows[found] = (struct gpu_not_executed){ &gpu_commands[id], engine,
									 count };
			found++;
		}
	}
	return found;
}

static const struct gpu_ops soft_ops = {
	.destroy = soft_destroy,
	.begin = soft_begin,
	.run = soft_run,
	.end = soft_end,
	.stop = soft_stop,
	.reset = soft_reset,
	.reg_read = soft_reg_read,
	.reg_write = soft_reg_write,
	.where = soft_where,
	.stats = soft_stats,
	.not_executed = soft_not_executed,
};

struct gpu *soft_gpu_create(bool follow_batches)
{
	struct soft_gpu *soft = calloc(1, sizeof(*soft));

	if (!soft)
		return NULL;
	soft->gpu.ops = &soft_ops;
	for_each_engine(engine)
		cs_init(&soft->engines[engine], engine, follow_batches);
	return &soft->gpu;
}

struct gpu *gpu_soft_create(void)
{
	return soft_gpu_create(true);
}
