/* SPDX-License-Identifier: MIT */
/* Dumps of rings and batches as people have them: binary, or dwords as hexadecimal text. */
#ifndef CMD_DUMP_H
#define CMD_DUMP_H

#include <stdio.h>

#include "base/types.h"

struct dump {
	uint32_t *dwords;
	size_t count, capacity;
	bool has_address; /* the text's first line was labelled */
	uint64_t address;
	/* Where parsing stopped, for the message. */
	unsigned int bad_line;
	char bad_word[32];
};

/*
 * Reads all of @in.  Text is one or more dwords a line, with or without 0x; an address with a
 * colon or in brackets may stand before them, '#', ';' and '//' begin a remark.  Anything else is
 * binary, little-endian.  0; -EINVAL: a word that is no dword (bad_line, bad_word) or a binary
 * dump whose size is no multiple of 4 (bad_line 0); -EFBIG, -ENOMEM, -EIO.
 */
int dump_read(FILE *in, struct dump *dump);
void dump_fini(struct dump *dump);

#endif
