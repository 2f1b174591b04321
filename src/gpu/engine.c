/* SPDX-License-Identifier: MIT */
/* Names and register bases of the engines, and the GPU's clock.  Pure; any thread. */
#include "base/clock.h"
#include "gpu/gpu.h"

static const struct {
	const char *name;
	uint32_t base;
} engines[GPU_ENGINES] = {
	[GPU_RCS] = { "rcs0", 0x2000 },
	[GPU_BCS] = { "bcs0", 0x22000 },
	[GPU_VCS0] = { "vcs0", 0x12000 },
	[GPU_VECS] = { "vecs0", 0x1a000 },
};

const char *gpu_engine_name(enum gpu_engine engine)
{
	return engines[engine].name;
}

uint32_t gpu_engine_base(enum gpu_engine engine)
{
	return engines[engine].base;
}

static const char *const fault_names[GPU_FAULT_KINDS] = {
	[GPU_FAULT_NONE] = "none",
	[GPU_FAULT_OPCODE] = "unknown command",
	[GPU_FAULT_LENGTH] = "wrong length",
	[GPU_FAULT_ADDRESS] = "bad address",
	[GPU_FAULT_ALIGNMENT] = "misaligned address",
	[GPU_FAULT_NESTING] = "batch nesting",
	[GPU_FAULT_RING] = "bad ring",
	[GPU_FAULT_CONTEXT] = "bad context image",
	[GPU_FAULT_PRIVILEGE] = "command no vGPU may use",
	[GPU_FAULT_SHARE] = "address outside the GGTT share",
	[GPU_FAULT_REGISTER] = "register commands may not write",
	[GPU_FAULT_ENDLESS] = "batch without an end",
};

const char *gpu_fault_name(enum gpu_fault_kind kind)
{
	return fault_names[kind];
}

uint64_t gpu_timestamp(void)
{
	/* 12 MHz: 3 ticks each 250 ns. */
	uint64_t now = clock_now_ns();

	return now / 250 * 3 + now % 250 * 3 / 250;
}
