/* SPDX-License-Identifier: MIT */
/*
 * Values of command line options, from text.  Pure functions: 0, or -EINVAL for text that is no
 * such thing and -ERANGE for a value outside the limits; the caller names the option.
 */
#ifndef CMD_OPTIONS_H
#define CMD_OPTIONS_H

#include "gpu/gpu.h"
#include "vgpu/vgpu.h"

#define OPTION_NAME_MAX 48u

/* What option_mode() takes, in the words of an error. */
#define OPTION_MODE_LIMITS "from 320x200 to 3840x2160, 24 to 144 Hz"

/* A decimal or 0x number in [@min, @max]. */
int option_number(const char *text, uint64_t min, uint64_t max, uint64_t *value);

/* A size with an optional K, M, G or T behind it (powers of 1024). */
int option_size(const char *text, uint64_t *bytes);

struct option_mode {
	uint32_t width, height;
	uint32_t refresh_hz; /* 0 when the text names none: the fastest the port takes, up to 60 */
};
/* "WxH" or "WxH@HZ"; -ERANGE outside OPTION_MODE_LIMITS. */
int option_mode(const char *text, struct option_mode *mode);

/* "hdmi", "dp", "hdmi:1024x768", "dp:1920x1080@60", each with ":off" for unplugged; "none". */
int option_port(const char *text, struct vgpu_port_config *port);

/* "rcs0", "bcs0", "vcs0", "vecs0". */
int option_engine(const char *text, enum gpu_engine *engine);

/* A vGPU's name: letters, digits, '.', '_', '-', not first a '.' or '-', at most 48. */
int option_name_check(const char *name);

/* A name made of a socket's file name, "vgpu0" of "/run/vgpu0.sock"; always a good name. */
void option_name_from_path(const char *path, char name[OPTION_NAME_MAX + 1]);

#endif
