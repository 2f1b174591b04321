/* SPDX-License-Identifier: MIT */
/*
 * Decoding of commands, and their audit.  The one public header of the layer.  Rows come from
 * data/gen9.cmds; the same rows give the command streamer its lengths (gpu_command_find()).
 */
#ifndef SCAN_SCAN_H
#define SCAN_SCAN_H

#include <stdio.h>

#include "gpu/gpu.h"

/* "MI_STORE_DATA_IMM"; "unknown command" when @header starts none on @engine. */
const char *scan_command_name(enum gpu_engine engine, uint32_t header);

/* Prints a buffer command by command: address, dwords, name, fields. */
struct scan_decode_options {
	enum gpu_engine engine;
	uint64_t address; /* of the first dword */
	bool show_dwords;
	bool follow_end; /* go on after MI_BATCH_BUFFER_END */
};
/*
 * Returns the number of commands printed, or -EINVAL with a line on @out when decoding stopped at
 * a command that is unknown, has a length it cannot have, or is longer than the buffer.
 */
int scan_decode(FILE *out, const uint32_t *dwords, size_t count,
		const struct scan_decode_options *options);

#endif
