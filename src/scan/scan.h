/* SPDX-License-Identifier: MIT */
/*
 * Command tables, decoding, audit.  The one public header of the layer.  Rows come from
 * data/gen9.cmds; the same rows give the command streamer its lengths (gpu/cs/cmd_table.h).
 */
#ifndef SCAN_SCAN_H
#define SCAN_SCAN_H

#include <stdio.h>

#include "gpu/gpu.h"

/* Prints a buffer command by command: address, dwords, name, fields. */
struct scan_decode_options {
	enum gpu_engine engine;
	uint64_t address; /* of the first dword */
	bool show_dwords;
	bool follow_end; /* go on after MI_BATCH_BUFFER_END */
};
/* Returns the number of commands printed, or -EINVAL with a line on @out when decoding stopped. */
int scan_decode(FILE *out, const uint32_t *dwords, size_t count,
		const struct scan_decode_options *options);

#endif
