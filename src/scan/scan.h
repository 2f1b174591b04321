/* SPDX-License-Identifier: MIT */
/*
 * Decoding of commands, and their audit.  The one public header of the layer.  Rows come from
 * data/gen9.cmds; the same rows give the command streamer its lengths (gpu_command_find()).
 */
#ifndef SCAN_SCAN_H
#define SCAN_SCAN_H

#include <stdio.h>

#include "gpu/gpu.h"

/* ---- The audit of what runs with privilege --------------------------------------------------- */

#define SCAN_SHARE_RANGES   2u
/* Registers that a command can name: offsets below 8 MiB, a bit for each dword of the first 2. */
#define SCAN_REGISTER_BYTES (2u << 20)
#define SCAN_REGISTER_WORDS (SCAN_REGISTER_BYTES / 4 / 64)

/*
 * What one vGPU's privileged commands may do.  Constant once made, so any number of engines may
 * use it at a time; it owns nothing.
 */
struct scan_audit {
	struct gpu_audit audit;
	/* The share of the GGTT: operands there, and nowhere else. */
	struct gpu_range share[SCAN_SHARE_RANGES];
	/* A bit for each register that a command may write: bit 0 of word 0 is offset 0. */
	const uint64_t *writable;
};

/* @share has SCAN_SHARE_RANGES ranges; @writable has SCAN_REGISTER_WORDS words and is borrowed. */
void scan_audit_init(struct scan_audit *audit, const struct gpu_range *share,
		     const uint64_t *writable);

/* ---- Names, and printing --------------------------------------------------------------------- */

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
