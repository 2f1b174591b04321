/* SPDX-License-Identifier: MIT */
/*
 * The file of a listening socket, noted while paths can be looked up, so that it can be removed
 * when they no longer can.
 */
#ifndef CMD_SOCKET_FILE_H
#define CMD_SOCKET_FILE_H

#include <limits.h>
#include <sys/types.h>

#include "base/types.h"

struct socket_file {
	int folder_fd; /* -1: none noted */
	dev_t dev;
	ino_t ino;
	char name[NAME_MAX + 1]; /* in the folder */
};

/* @path has just been made; -errno. */
int socket_file_note(struct socket_file *file, const char *path);
/* Removes it, unless it has been replaced since, and forgets it.  Fine when none was noted. */
void socket_file_remove(struct socket_file *file);

#endif
