/* SPDX-License-Identifier: MIT */
/* Reading dumps; see dump.h.  Dumps are untrusted: they come with bug reports. */
#include "cmd/dump.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/options.h"

#define DUMP_MAX_BYTES ((size_t)256 << 20)

struct bytes {
	char *at; /* with a NUL behind */
	size_t len, capacity;
};

static int read_all(FILE *in, struct bytes *bytes)
{
	size_t n;

	do {
		if (bytes->capacity - bytes->len < 2) {
			size_t capacity = bytes->capacity ? bytes->capacity * 2 : 65536;
			char *more = capacity > 2 * DUMP_MAX_BYTES ? NULL
								   : realloc(bytes->at, capacity);

			if (!more)
				return capacity > DUMP_MAX_BYTES ? -EFBIG : -ENOMEM;
			bytes->at = more;
			bytes->capacity = capacity;
		}
		n = fread(bytes->at + bytes->len, 1, bytes->capacity - bytes->len - 1, in);
		bytes->len += n;
	} while (n);
	bytes->at[bytes->len] = '\0';
	return ferror(in) ? -EIO : 0;
}

static bool is_text(const struct bytes *bytes)
{
	for (size_t i = 0; i < bytes->len; i++)
		if (!isprint((unsigned char)bytes->at[i]) && !isspace((unsigned char)bytes->at[i]))
			return false;
	return true;
}

static int add_dword(struct dump *dump, uint32_t dword)
{
	if (dump->count == dump->capacity) {
		size_t capacity = dump->capacity ? dump->capacity * 2 : 1024;
		uint32_t *more = realloc(dump->dwords, capacity * sizeof(*more));

		if (!more)
			return -ENOMEM;
		dump->dwords = more;
		dump->capacity = capacity;
	}
	dump->dwords[dump->count++] = dword;
	return 0;
}

static int take_binary(struct dump *dump, const struct bytes *bytes)
{
	int err = bytes->len % 4 ? -EINVAL : 0;

	for (size_t i = 0; !err && i + 4 <= bytes->len; i += 4) {
		const unsigned char *b = (const unsigned char *)bytes->at + i;

		err = add_dword(dump, b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 |
					      (uint32_t)b[3] << 24);
	}
	return err;
}

static int hex_word(const char *word, uint64_t max, uint64_t *value)
{
	char text[24];

	if (!strncmp(word, "0x", 2) || !strncmp(word, "0X", 2))
		word += 2;
	if (!isxdigit((unsigned char)*word) || snprintf(text, sizeof(text), "0x%s", word) >= 24)
		return -EINVAL;
	return option_number(text, 0, max, value);
}

/* "1000:" or "[1000]" at the head of a line: an address, kept when it is the first. */
static bool take_label(struct dump *dump, char *word)
{
	size_t len = strlen(word);
	uint64_t address;
	bool bracket = word[0] == '[' && word[len - 1] == ']';

	if (!bracket && word[len - 1] != ':')
		return false;
	word[len - 1] = '\0';
	if (hex_word(word + bracket, UINT64_MAX, &address))
		return false;
	if (!dump->count && !dump->has_address) {
		dump->has_address = true;
		dump->address = address;
	}
	return true;
}

static void cut_remark(char *line)
{
	char *slashes = strstr(line, "//");

	line[strcspn(line, "#;")] = '\0';
	if (slashes)
		*slashes = '\0';
}

static int take_line(struct dump *dump, char *line, unsigned int number)
{
	static const char blanks[] = " \t\r\v\f,";
	char *rest, *word;
	bool first = true;

	cut_remark(line);
	for (word = strtok_r(line, blanks, &rest); word; word = strtok_r(NULL, blanks, &rest)) {
		uint64_t dword;
		int err = 0;

		if (first && take_label(dump, word))
			;
		else if (!hex_word(word, UINT32_MAX, &dword))
			err = add_dword(dump, (uint32_t)dword);
		else
			err = -EINVAL;
		if (err) {
			dump->bad_line = number;
			snprintf(dump->bad_word, sizeof(dump->bad_word), "%s", word);
			return err;
		}
		first = false;
	}
	return 0;
}

static int take_text(struct dump *dump, char *text)
{
	unsigned int number = 0;
	int err = 0;

	while (!err && text) {
		char *line = strsep(&text, "\n");

		err = take_line(dump, line, ++number);
	}
	return err;
}

int dump_read(FILE *in, struct dump *dump)
{
	struct bytes bytes = { 0 };
	int err;

	*dump = (struct dump){ 0 };
	err = read_all(in, &bytes);
	if (!err && bytes.len > DUMP_MAX_BYTES)
		err = -EFBIG;
	if (!err)
		err = is_text(&bytes) ? take_text(dump, bytes.at) : take_binary(dump, &bytes);
	free(bytes.at);
	return err;
}

void dump_fini(struct dump *dump)
{
	free(dump->dwords);
}
