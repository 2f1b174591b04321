/* SPDX-License-Identifier: MIT */
/* A growing command line: what exec() takes and a shell could read. */
#ifndef CMD_WORDS_H
#define CMD_WORDS_H

#include <stdio.h>

#include "base/types.h"

struct words {
	char **at; /* ends in NULL once there is a word */
	size_t count, capacity;
	bool failed; /* no memory: words are missing */
};

void words_add(struct words *words, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Takes over @text, from malloc(); NULL counts as no memory. */
void words_take(struct words *words, char *text);
void words_fini(struct words *words);

/* One line that a shell reads as the same words. */
void words_print(FILE *out, const struct words *words);

#endif
