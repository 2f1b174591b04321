/* SPDX-License-Identifier: MIT */
/*
 * The audit's index: what the upper half of a header says about the length of its command and about
 * the operands that want a look.  Made once from the generated rows; private to the layer.
 *
 * One load finds it all, because the upper half is a direct index; the bits of it that choose an
 * address space have been looked at when the index was made.
 */
#ifndef SCAN_AUDIT_TABLE_H
#define SCAN_AUDIT_TABLE_H

#include "scan/fields.h"
#include "scan/scan.h"

/* Of a command whose header's upper half is the index. */
struct audit_entry {
	uint16_t length_mask; /* of the header's length field */
	uint16_t below;	      /* the least length, less one; so no length fits an entry of zeros */
	uint16_t span;	      /* how many more it may have */
	uint8_t bias;	      /* length = (header & length_mask) + bias */
	uint8_t set;	      /* place in audit_sets[]; 0: nothing to look at */
};

/* One operand to look at. */
struct audit_check {
	uint64_t mask;				    /* of the two dwords at `dword` */
	uint32_t select_mask, if_mask, unless_mask; /* as in struct scan_field */
	uint16_t bytes;
	uint8_t dword;
	uint8_t select_dword, if_dword, unless_dword;
	bool select_ggtt; /* the GGTT is meant when a bit of select_mask is set */
	bool is_register;
	bool write;
	bool wide;     /* it takes two dwords */
	uint8_t group; /* it comes again each so many dwords; 0: once */
};

enum audit_flow {
	AUDIT_FLOW_ON,	  /* the next command follows */
	AUDIT_FLOW_START, /* MI_BATCH_BUFFER_START */
	AUDIT_FLOW_END,	  /* MI_BATCH_BUFFER_END */
	AUDIT_FLOW_DENIED,
};

/* What to look at in a command. */
struct audit_set {
	uint8_t first, count; /* in audit_checks[] */
	uint8_t flow;
};

#define AUDIT_SETS   128u
#define AUDIT_CHECKS 128u

extern struct audit_entry audit_index[GPU_ENGINES][1u << 16];
extern struct audit_set audit_sets[AUDIT_SETS];
extern struct audit_check audit_checks[AUDIT_CHECKS];

/* Fills them in, the first time; any thread. */
void audit_table_make(void);

#endif
