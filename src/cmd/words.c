/* SPDX-License-Identifier: MIT */
/* Command lines under construction; see words.h. */
#include "cmd/words.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static bool room(struct words *words)
{
	size_t capacity = words->capacity ? words->capacity * 2 : 64;
	char **more;

	if (words->count + 1 < words->capacity)
		return true;
	more = realloc(words->at, capacity * sizeof(*more));
	if (!more)
		return false;
	words->at = more;
	words->capacity = capacity;
	return true;
}

void words_take(struct words *words, char *text)
{
	if (!text || !room(words)) {
		words->failed = true;
		free(text);
		return;
	}
	words->at[words->count++] = text;
	words->at[words->count] = NULL;
}

void words_add(struct words *words, const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	words_take(words, text);
}

void words_fini(struct words *words)
{
	for (size_t i = 0; i < words->count; i++)
		free(words->at[i]);
	free(words->at);
	*words = (struct words){ 0 };
}

static void print_quoted(FILE *out, const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789-_=+,./:@%";

	if (*word && !word[strspn(word, plain)]) {
		fputs(word, out);
		return;
	}
	putc('\'', out);
	for (; *word; word++) {
		if (*word == '\'')
			fputs("'\\''", out);
		else
			putc(*word, out);
	}
	putc('\'', out);
}

void words_print(FILE *out, const struct words *words)
{
	for (size_t i = 0; i < words->count; i++) {
		if (i)
			putc(' ', out);
		print_quoted(out, words->at[i]);
	}
	putc('\n', out);
}
