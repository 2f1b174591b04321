/* SPDX-License-Identifier: MIT */
/*
 * Reading values of a device description: every function logs what is wrong, and where, and
 * returns -EINVAL; a key that is absent leaves its variable as it was.
 */
#ifndef VFIO_PLAIN_VALUE_H
#define VFIO_PLAIN_VALUE_H

#include <jansson.h>

#include "vfio/plain.h"

/* Where in the file we are, for messages: "device.json: regions[2].size". */
struct plain_place {
	const char *file;
	const struct plain_place *outer;
	const char *key; /* of an object */
	size_t index;	 /* of an array, when key is NULL */
};

struct plain_place plain_at_key(const struct plain_place *outer, const char *key);
struct plain_place plain_at_index(const struct plain_place *outer, size_t index);

/* Logs "file: place: message" and returns -EINVAL. */
int plain_bad(const struct plain_place *place, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* @known: the keys an object may have, NULL-terminated. */
int plain_check_keys(const json_t *object, const char *const *known,
		     const struct plain_place *place);
int plain_get_number(const json_t *object, const char *key, uint64_t most, uint64_t *number,
		     const struct plain_place *outer);
int plain_get_bool(const json_t *object, const char *key, bool *flag,
		   const struct plain_place *outer);
/* One of @names, NULL-terminated; its index into *@choice. */
int plain_get_choice(const json_t *object, const char *key, const char *const *names,
		     unsigned int *choice, const struct plain_place *outer);
/* "00 ff 12": at most @room bytes; *@count of them, 0 when absent. */
int plain_get_hex(const json_t *object, const char *key, uint8_t *bytes, size_t room, size_t *count,
		  const struct plain_place *outer);
/* Calls @each for the elements of an array, at most @most; absent is an empty one. */
int plain_for_each(const json_t *object, const char *key, size_t most, struct plain_device *plain,
		   unsigned int argument,
		   int (*each)(const json_t *item, struct plain_device *plain,
			       unsigned int argument, const struct plain_place *place),
		   const struct plain_place *outer);

#endif
