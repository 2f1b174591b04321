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

/* MI commands below this header are one dword long. */
#define MI_WITH_LENGTH 0x08000000u

/*
 * Of a command whose header's upper half is the index.  Nearly all commands are *plain*: as long as
 * the low byte of the header says, plus two, or one dword where the header is below MI_WITH_LENGTH.
 * Here is the rule by which a header is known to be plain; of others, and of an entry of zeros,
 * gpu_command_dwords() knows the length.
 */
struct audit_entry {
	uint16_t mask, least, span; /* plain if (header & mask) - least < span, in 16 bits */
	uint8_t look;		    /* 1: there is something to look at, else 0 */
	uint8_t set;		    /* place in audit_sets[]; 0: nothing to look at */
};

static inline bool audit_is_plain(const struct audit_entry *entry, uint32_t header)
{
	return (uint16_t)((header & entry->mask) - entry->least) < entry->span;
}

/* Dwords of the plain command at @header. */
static inline uint32_t audit_plain_dwords(uint32_t header)
{
	return (header & 0xff) + 2 - (header < MI_WITH_LENGTH);
}

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

/*
 * A glance at a plain command, enough for nearly all that are in order: at its operand as if that
 * were always meant, and as if AUDIT_GLANCE_BYTES were touched there.  What does not pass may be in
 * order all the same.
 */
struct audit_glance {
	uint64_t mask;	   /* of the two dwords at `dword` */
	uint32_t ask_mask; /* passes only with none of these bits in dword `ask` */
	uint8_t ask, dword;
	uint8_t again; /* and another one at dword + (header & again); 0: no other */
	bool is_register;
};

/* No plain command touches more at an address. */
#define AUDIT_GLANCE_BYTES 1024u

enum audit_flow {
	AUDIT_FLOW_ON,	  /* the next command follows */
	AUDIT_FLOW_START, /* MI_BATCH_BUFFER_START */
	AUDIT_FLOW_END,	  /* MI_BATCH_BUFFER_END */
	AUDIT_FLOW_DENIED,
};

/* What to look at in a command.  Only commands of AUDIT_FLOW_ON are ever plain. */
struct audit_set {
	uint8_t first, count; /* in audit_checks[] */
	uint8_t flow;
};

#define AUDIT_SETS   32u
#define AUDIT_CHECKS 64u

extern struct audit_entry audit_index[GPU_ENGINES][1u << 16];
extern struct audit_set audit_sets[AUDIT_SETS];
extern struct audit_glance audit_glances[AUDIT_SETS]; /* of each set */
extern struct audit_check audit_checks[AUDIT_CHECKS];

/* Fills them in, the first time; any thread. */
void audit_table_make(void);

#endif
