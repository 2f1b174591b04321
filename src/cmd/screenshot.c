/* SPDX-License-Identifier: MIT */
/*
 * `mediant screenshot`: the vGPU hands out raw pixels in a memory file; the PNG is made here, so
 * that the serving process needs neither the file system nor the time.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "cmd/cmd.h"
#include "cmd/control_client.h"
#include "cmd/options.h"

#define SIDE_MAX 16384

static const char usage[] = "Usage: mediant screenshot NAME FILE.png [--head N]\n"
			    "Saves what the vGPU NAME shows on its head N (default 0).\n";

/* Reads the pixels of @image from @fd; the peer's words are checked against the file's size. */
static int read_pixels(int fd, struct display_image *image)
{
	size_t bytes = (size_t)image->width * image->height * 4, done = 0;
	struct stat st;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || (uint64_t)st.st_size < bytes)
		return -EPROTO;
	image->pixels = malloc(bytes);
	if (!image->pixels)
		return -ENOMEM;
	image->capacity_pixels = bytes / 4;
	while (done < bytes) {
		ssize_t n = pread(fd, (char *)image->pixels + done, bytes - done, (off_t)done);

		if (n <= 0)
			return n ? -errno : -EPROTO;
		done += (size_t)n;
	}
	return 0;
}

static int take_image(json_t *result, int fd, struct display_image *image)
{
	json_int_t width = json_integer_value(json_object_get(result, "width"));
	json_int_t height = json_integer_value(json_object_get(result, "height"));

	if (fd < 0 || width <= 0 || height <= 0 || width > SIDE_MAX || height > SIDE_MAX)
		return -EPROTO;
	image->width = (uint32_t)width;
	image->height = (uint32_t)height;
	return read_pixels(fd, image);
}

static int screenshot(const char *name, const char *path, uint64_t head)
{
	struct display_image image = { 0 };
	json_t *result;
	int fd, err;

	if (control_call(name, "screenshot", json_pack("{s:I}", "head", (json_int_t)head), &result,
			 &fd))
		return CMD_FAILED;
	err = take_image(result, fd, &image);
	if (err)
		log_error("%s: its picture makes no sense: %s", name, strerror(-err));
	else if ((err = display_png_write(&image, path)))
		log_error("cannot write %s: %s", path, strerror(-err));
	display_image_fini(&image);
	json_decref(result);
	if (fd >= 0)
		close(fd);
	return err ? CMD_FAILED : CMD_OK;
}

int cmd_screenshot(int argc, char **argv)
{
	static const struct option options[] = {
		{ "head", required_argument, NULL, 'H' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	uint64_t head = 0;
	int option;

	optind = 0;
	while ((option = getopt_long(argc, argv, ":h", options, NULL)) >= 0) {
		if (option == 'h') {
			fputs(usage, stdout);
			return CMD_OK;
		}
		if (option != 'H')
			return cmd_option_error("screenshot", argc, argv, option);
		if (option_number(optarg, 0, DISPLAY_MAX_HEADS - 1, &head))
			return cmd_usage_error("screenshot", "--head %s: 0, 1 or 2 is wanted",
					       optarg);
	}
	if (optind + 2 != argc)
		return cmd_usage_error("screenshot", "a vGPU's name and a file's are wanted");
	return screenshot(argv[optind], argv[optind + 1], head);
}
