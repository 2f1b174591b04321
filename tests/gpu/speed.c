/* SPDX-License-Identifier: MIT */
/*
 * Commands a second of the streamer, for people: prints one line for each kind of stream, the best
 * of many short slices, as the others measure the neighbours.  No test; times say nothing about
 * right and wrong.
 */
#include <stdio.h>

#include "base/clock.h"
#include "rig.h"

#define SLICE_NS (2 * NSEC_PER_MSEC)
#define SLICES	 100u

static void fill_noop(struct rig *rig)
{
	emit(rig, MI_NOOP);
}

static void fill_store(struct rig *rig)
{
	EMIT(rig, MI_STORE_DATA_IMM, RIG_DATA, 0, 1);
}

static void fill_mixed(struct rig *rig)
{
	EMIT(rig, MI_STORE_DATA_IMM, RIG_DATA, 0, 1, PIPE_CONTROL, 1u << 14, RIG_DATA + 8, 0, 1, 0,
	     MI_LOAD_REGISTER_IMM(1), 0x2600, 1, MI_LOAD_REGISTER_MEM, 0x2608, RIG_DATA, 0,
	     MI_MATH(4), ALU(0x080, 0x20, 0), ALU(0x080, 0x21, 1), ALU(0x100, 0, 0),
	     ALU(0x180, 2, 0x31), MI_STORE_REGISTER_MEM, 0x2610, RIG_DATA + 16, 0, 0x78130002, 0, 0,
	     0, MI_ARB_CHECK);
}

static void fill_3d(struct rig *rig)
{
	EMIT(rig, 0x78130002, 0, 0, 0, 0x7820000a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x7b000005, 0,
	     0, 0, 0, 0, 0);
}

static void fill_jump(struct rig *rig)
{
	EMIT(rig, MI_ARB_CHECK, MI_BATCH_BUFFER_START | MI_BATCH_PPGTT, RIG_BATCH, 0);
}

/* Commands a nanosecond. */
static double slice(struct rig *rig)
{
	const struct gpu_ops *ops = rig->gpu->ops;
	struct gpu_stats before, after;
	uint64_t start, ns;

	ops->stats(rig->gpu, &before);
	start = clock_now_ns();
	ops->run(rig->gpu, GPU_RCS, start + SLICE_NS);
	ns = clock_now_ns() - start;
	ops->stats(rig->gpu, &after);
	return (double)(after.commands[GPU_RCS] - before.commands[GPU_RCS]) / (double)ns;
}

/* A batch of @fill over and over, up to @bytes, that starts itself again. */
static void measure(const char *name, void (*fill)(struct rig *rig), uint32_t bytes)
{
	struct rig *rig = rig_create(GPU_RCS);
	const struct gpu_ops *ops = rig->gpu->ops;
	double best = 0;

	rig_user_batch(rig);
	do {
		fill(rig);
	} while (rig->at < RIG_BATCH + bytes);
	EMIT(rig, MI_BATCH_BUFFER_START | MI_BATCH_PPGTT, RIG_BATCH, 0);
	rig_ring(rig);
	EMIT(rig, MI_BATCH_BUFFER_START | MI_BATCH_PPGTT, RIG_BATCH, 0);
	rig_set_tail(rig);
	ops->begin(rig->gpu, &rig->workload);
	for (unsigned int i = 0; i < SLICES; i++)
		best = MAX(best, slice(rig));
	ops->end(rig->gpu, GPU_RCS);
	printf("%-24s %7.1f million commands/s, %5.1f ns each, %u faults\n", name, best * 1e3,
	       1 / best, rig->faults);
	rig_destroy(rig);
}

int main(void)
{
	measure("MI_NOOP", fill_noop, 0xf000);
	measure("MI_STORE_DATA_IMM", fill_store, 0xf000);
	measure("mixed MI, PIPE_CONTROL", fill_mixed, 0xf000);
	measure("3D state and draws", fill_3d, 0xf000);
	measure("a batch that loops", fill_jump, 0);
	return 0;
}
