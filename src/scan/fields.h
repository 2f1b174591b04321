/* SPDX-License-Identifier: MIT */
/*
 * What a command's dwords mean: rows made by scripts/gen_cmds.py from data/gen9.cmds, one layout
 * for each of gpu_commands[].  For decoding and for the audit of operands; private to the layer.
 */
#ifndef SCAN_FIELDS_H
#define SCAN_FIELDS_H

#include "base/types.h"

enum scan_kind {
	SCAN_FIELD, /* a number */
	SCAN_REG,   /* a register offset, read or written */
	SCAN_ADDR,  /* an address */
};

/* Bits of scan_field.access. */
enum scan_access { SCAN_READ = 1, SCAN_WRITE = 2, SCAN_EXEC = 4 };

enum scan_space {
	SCAN_SPACE_NONE,
	SCAN_SPACE_GGTT,  /* GGTT; with a select mask: only when the bit is set, else PPGTT */
	SCAN_SPACE_PPGTT, /* PPGTT; with a select mask: only when the bit is set, else GGTT */
	SCAN_SPACE_BASE,  /* a base address of the 3D state, or relative to one */
};

/* scan_field.bytes: as many as the repeated group has. */
#define SCAN_BYTES_DATA 0xffffu

struct scan_field {
	const char *name;
	uint8_t kind;
	bool in_group;	   /* comes again with the repeated group */
	uint8_t dword;	   /* from the command's start, or from its group's */
	uint8_t low, high; /* bits; above 31: in the next dword */
	uint8_t access;
	uint16_t bytes; /* touched at the address; 0: as much as other state says */
	uint8_t space;
	uint8_t select_dword;
	uint32_t select_mask;
	/* It is one only with a bit of if_mask set (when there are any) and none of unless_mask. */
	uint8_t if_dword, unless_dword;
	uint32_t if_mask, unless_mask;
};

struct scan_layout {
	const struct scan_field *fields;
	uint16_t count;
	uint16_t group_start, group_dwords; /* group_dwords 0: none */
};

extern const struct scan_layout scan_layouts[];
extern const unsigned int scan_layout_count;

#endif
