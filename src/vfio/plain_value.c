/* SPDX-License-Identifier: MIT */
/*
 * Values of a device description, each read with a message that names its place.  Numbers are JSON
 * integers or strings in C's notation, as PCI people write hexadecimal.
 *
 * Called at set-up only.
 */
#include "vfio/plain_value.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

struct plain_place plain_at_key(const struct plain_place *outer, const char *key)
{
	return (struct plain_place){ .file = outer->file, .outer = outer, .key = key };
}

struct plain_place plain_at_index(const struct plain_place *outer, size_t index)
{
	return (struct plain_place){ .file = outer->file, .outer = outer, .index = index };
}

static void print_place(FILE *out, const struct plain_place *place)
{
	if (!place->outer)
		return;
	print_place(out, place->outer);
	if (!place->key)
		fprintf(out, "[%zu]", place->index);
	else
		fprintf(out, "%s%s", place->outer->outer ? "." : "", place->key);
}

int plain_bad(const struct plain_place *place, const char *fmt, ...)
{
	char *where = NULL, *what = NULL;
	size_t bytes;
	va_list args;
	FILE *out = open_memstream(&where, &bytes);

	if (out) {
		print_place(out, place);
		fclose(out);
	}
	va_start(args, fmt);
	if (vasprintf(&what, fmt, args) < 0)
		what = NULL;
	va_end(args);
	log_error("%s: %s%s%s", place->file, where ? where : "", where && *where ? ": " : "",
		  what ? what : fmt);
	free(where);
	free(what);
	return -EINVAL;
}

/* Keys an object may have, NULL-terminated. */
int plain_check_keys(const json_t *object, const char *const *known,
		     const struct plain_place *place)
{
	const char *key;
	json_t *value;

	if (!json_is_object(object))
		return plain_bad(place, "must be an object");
	json_object_foreach((json_t *)object, key, value)
	{
		const char *const *k = known;

		while (*k && strcmp(*k, key))
			k++;
		if (!*k)
			return plain_bad(place, "has no key '%s'", key);
	}
	return 0;
}

static int to_number(const json_t *value, uint64_t most, uint64_t *number,
		     const struct plain_place *place)
{
	if (json_is_integer(value) && json_integer_value(value) >= 0) {
		*number = (uint64_t)json_integer_value(value);
	} else if (json_is_string(value) && *json_string_value(value) &&
		   *json_string_value(value) != '-') {
		char *end;

		errno = 0;
		*number = strtoull(json_string_value(value), &end, 0);
		if (*end || errno)
			return plain_bad(place, "'%s' is no number", json_string_value(value));
	} else {
		return plain_bad(place, "must be a number, or a string such as \"0x1000\"");
	}
	if (*number > most)
		return plain_bad(place, "must be at most 0x%llx", (unsigned long long)most);
	return 0;
}

/* Absent: *@number stays. */
int plain_get_number(const json_t *object, const char *key, uint64_t most, uint64_t *number,
		     const struct plain_place *outer)
{
	const json_t *value = json_object_get(object, key);
	struct plain_place place = plain_at_key(outer, key);

	return value ? to_number(value, most, number, &place) : 0;
}

int plain_get_bool(const json_t *object, const char *key, bool *flag,
		   const struct plain_place *outer)
{
	const json_t *value = json_object_get(object, key);
	struct plain_place place = plain_at_key(outer, key);

	if (value && !json_is_boolean(value))
		return plain_bad(&place, "must be true or false");
	if (value)
		*flag = json_is_true(value);
	return 0;
}

/* One of @names, its place into *@choice. */
int plain_get_choice(const json_t *object, const char *key, const char *const *names,
		     unsigned int *choice, const struct plain_place *outer)
{
	const json_t *value = json_object_get(object, key);
	struct plain_place place = plain_at_key(outer, key);

	if (!value)
		return 0;
	for (unsigned int i = 0; json_is_string(value) && names[i]; i++) {
		if (!strcmp(names[i], json_string_value(value))) {
			*choice = i;
			return 0;
		}
	}
	return plain_bad(&place, "must be one of the names docs/vfio-user.md lists for it");
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "00 ff 12": pairs of digits, blanks anywhere between pairs. */
int plain_get_hex(const json_t *object, const char *key, uint8_t *bytes, size_t room, size_t *count,
		  const struct plain_place *outer)
{
	const char *text = json_string_value(json_object_get(object, key));
	struct plain_place place = plain_at_key(outer, key);

	*count = 0;
	if (!json_object_get(object, key))
		return 0;
	while (text && *text) {
		if (*text == ' ') {
			text++;
			continue;
		}
		if (hex_digit(text[0]) < 0 || hex_digit(text[1]) < 0)
			return plain_bad(&place, "must be pairs of hexadecimal digits");
		if (*count == room)
			return plain_bad(&place, "must have at most %zu bytes", room);
		bytes[(*count)++] = (uint8_t)(hex_digit(text[0]) << 4 | hex_digit(text[1]));
		text += 2;
	}
	return text ? 0 : plain_bad(&place, "must be a string of hexadecimal digits");
}

/* Calls @each for the elements of an array; absent is an empty one. */
int plain_for_each(const json_t *object, const char *key, size_t most, struct plain_device *plain,
		   unsigned int argument,
		   int (*each)(const json_t *item, struct plain_device *plain,
			       unsigned int argument, const struct plain_place *place),
		   const struct plain_place *outer)
{
	const json_t *array = json_object_get(object, key);
	struct plain_place place = plain_at_key(outer, key);
	int err = 0;

	if (!array)
		return 0;
	if (!json_is_array(array) || json_array_size(array) > most)
		return plain_bad(&place, "must be an array of at most %zu", most);
	for (size_t i = 0; !err && i < json_array_size(array); i++) {
		struct plain_place item = plain_at_index(&place, i);

		err = each(json_array_get(array, i), plain, argument, &item);
	}
	return err;
}
