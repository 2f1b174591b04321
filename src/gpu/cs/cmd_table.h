/* SPDX-License-Identifier: MIT */
/* The generated index of commands, and the lookup the streamer does for each of them. */
#ifndef GPU_CS_CMD_TABLE_H
#define GPU_CS_CMD_TABLE_H

#include "cmd_table_gen.h"
#include "gpu/gpu.h"

/* Values are places in gpu_commands[] plus one; 0: no such command. */
extern const uint16_t cmd_mi_index[GPU_ENGINES * 64];
extern const uint16_t cmd_2d_index[GPU_ENGINES * 128];
extern const uint8_t cmd_3d_page[GPU_ENGINES * 32];
extern const uint16_t cmd_3d_index[];

static inline const struct gpu_command *cmd_find(enum gpu_engine engine, uint32_t header)
{
	unsigned int index = 0;

	switch (header >> 29) {
	case 0:
		index = cmd_mi_index[engine * 64u + (header >> 23 & 63)];
		break;
	case 2:
		index = cmd_2d_index[engine * 128u + (header >> 22 & 127)];
		break;
	case 3:
		index = cmd_3d_page[engine * 32u + (header >> 24 & 31)];
		index = cmd_3d_index[index * 256u + (header >> 16 & 255)];
		break;
	}
	return index ? &gpu_commands[index - 1] : NULL;
}

static inline uint32_t cmd_dwords(const struct gpu_command *command, uint32_t header)
{
	uint32_t dwords;

	if (!command->length_bits)
		return command->min_dwords;
	dwords = (header & (BIT(command->length_bits) - 1)) + 2;
	if (dwords < command->min_dwords || dwords > command->max_dwords)
		return 0;
	return dwords;
}

#endif
