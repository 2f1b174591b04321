/* SPDX-License-Identifier: MIT */
/* The command table as the layers above see it.  Constant data; any thread. */
#include "gpu/cs/cmd_table.h"

const unsigned int gpu_command_count = CMD_COUNT;

const struct gpu_command *gpu_command_find(enum gpu_engine engine, uint32_t header)
{
	return cmd_find(engine, header);
}

uint32_t gpu_command_dwords(const struct gpu_command *command, uint32_t header)
{
	return cmd_dwords(command, header);
}
