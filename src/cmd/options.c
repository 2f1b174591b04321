/* SPDX-License-Identifier: MIT */
/* Values of command line options; see options.h. */
#include "cmd/options.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

#define DEFAULT_WIDTH  1024
#define DEFAULT_HEIGHT 768
/* Those of OPTION_MODE_LIMITS: what a vGPU's monitor can be; its type may allow less. */
#define MIN_WIDTH      320
#define MIN_HEIGHT     200
#define MAX_WIDTH      3840
#define MAX_HEIGHT     2160
#define REFRESH_MIN_HZ 24
#define REFRESH_MAX_HZ 144

/* strtoull() that takes no sign, no blanks and nothing behind but what *@end shows. */
static int parse_digits(const char *text, int base, uint64_t *value, const char **end)
{
	char *stop;

	/* strtoull() would take a second 0x of a hexadecimal number. */
	if (!isxdigit((unsigned char)text[0]) || (base == 16 && (text[1] | 0x20) == 'x'))
		return -EINVAL;
	errno = 0;
	*value = strtoull(text, &stop, base);
	if (stop == text)
		return -EINVAL;
	*end = stop;
	return errno ? -ERANGE : 0;
}

int option_number(const char *text, uint64_t min, uint64_t max, uint64_t *value)
{
	const char *end;
	uint64_t number;
	bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	int err = parse_digits(hex ? text + 2 : text, hex ? 16 : 10, &number, &end);

	if (err)
		return err;
	if (*end)
		return -EINVAL;
	if (number < min || number > max)
		return -ERANGE;
	*value = number;
	return 0;
}

int option_size(const char *text, uint64_t *bytes)
{
	static const char units[] = "KMGT";
	const char *end, *unit;
	uint64_t number, scale = 1;
	int err = parse_digits(text, 10, &number, &end);

	if (err)
		return err;
	if (*end) {
		unit = strchr(units, toupper((unsigned char)*end));
		if (!unit || end[1])
			return -EINVAL;
		scale = (uint64_t)1 << (10 * (unit - units + 1));
	}
	return mul_fits(number, scale, bytes) ? 0 : -ERANGE;
}

/* A number in [@min, @max] at *@text, which is moved behind it. */
static int take_number(const char **text, uint32_t min, uint32_t max, uint32_t *value)
{
	uint64_t number;
	int err = parse_digits(*text, 10, &number, text);

	if (err)
		return err;
	if (number < min || number > max)
		return -ERANGE;
	*value = (uint32_t)number;
	return 0;
}

int option_mode(const char *text, struct option_mode *mode)
{
	struct option_mode m = { 0 };
	int err = take_number(&text, MIN_WIDTH, MAX_WIDTH, &m.width);

	if (!err && *text++ != 'x')
		err = -EINVAL;
	if (!err)
		err = take_number(&text, MIN_HEIGHT, MAX_HEIGHT, &m.height);
	if (!err && *text == '@') {
		text++;
		err = take_number(&text, REFRESH_MIN_HZ, REFRESH_MAX_HZ, &m.refresh_hz);
	}
	if (!err && *text)
		err = -EINVAL;
	if (!err)
		*mode = m;
	return err;
}

static bool take_word(const char **text, const char *word)
{
	size_t len = strlen(word);

	if (strncmp(*text, word, len) || ((*text)[len] && (*text)[len] != ':'))
		return false;
	*text += len;
	return true;
}

static int parse_port_mode(const char *text, size_t len, struct vgpu_port_config *port)
{
	struct option_mode mode;
	char word[32];
	int err;

	if (len >= sizeof(word))
		return -EINVAL;
	memcpy(word, text, len);
	word[len] = '\0';
	err = option_mode(word, &mode);
	if (err)
		return err;
	port->width = mode.width;
	port->height = mode.height;
	port->refresh_hz = mode.refresh_hz;
	return 0;
}

int option_port(const char *text, struct vgpu_port_config *port)
{
	struct vgpu_port_config p = { .plugged = true,
				      .width = DEFAULT_WIDTH,
				      .height = DEFAULT_HEIGHT };
	bool has_mode = false;

	if (!strcmp(text, "none")) {
		*port = (struct vgpu_port_config){ .kind = VGPU_PORT_NONE };
		return 0;
	}
	if (take_word(&text, "hdmi"))
		p.kind = VGPU_PORT_HDMI;
	else if (take_word(&text, "dp"))
		p.kind = VGPU_PORT_DP;
	else
		return -EINVAL;
	while (*text == ':') {
		size_t len = strcspn(++text, ":");
		int err = 0;

		/* The mode, then "off": each once at most. */
		if (len == 3 && !strncmp(text, "off", 3) && p.plugged)
			p.plugged = false;
		else if (p.plugged && !has_mode)
			err = parse_port_mode(text, len, &p);
		else
			err = -EINVAL;
		has_mode = true;
		if (err)
			return err;
		text += len;
	}
	*port = p;
	return 0;
}

int option_engine(const char *text, enum gpu_engine *engine)
{
	for_each_engine(e) {
		if (!strcmp(text, gpu_engine_name(e))) {
			*engine = e;
			return 0;
		}
	}
	return -EINVAL;
}

static bool name_char_good(char c)
{
	return isalnum((unsigned char)c) || c == '.' || c == '_' || c == '-';
}

int option_name_check(const char *name)
{
	size_t len = strlen(name);

	if (!len || len > OPTION_NAME_MAX || name[0] == '.' || name[0] == '-')
		return -EINVAL;
	for (size_t i = 0; i < len; i++)
		if (!name_char_good(name[i]))
			return -EINVAL;
	return 0;
}

void option_name_from_path(const char *path, char name[OPTION_NAME_MAX + 1])
{
	const char *base = strrchr(path, '/');
	size_t len;

	base = base ? base + 1 : path;
	len = strlen(base);
	if (len > 5 && !strcmp(base + len - 5, ".sock"))
		len -= 5;
	else if (len > 7 && !strcmp(base + len - 7, ".socket"))
		len -= 7;
	len = MIN(len, OPTION_NAME_MAX);
	for (size_t i = 0; i < len; i++)
		name[i] = name_char_good(base[i]) ? base[i] : '_';
	name[len] = '\0';
	if (option_name_check(name)) {
		strcpy(name, "vgpu");
	}
}
