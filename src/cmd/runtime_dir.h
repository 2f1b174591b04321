/* SPDX-License-Identifier: MIT */
/*
 * The folder in which running vGPUs are found: NAME.sock is the control socket of the vGPU NAME.
 * ${MEDIANT_RUNTIME_DIR}, else ${XDG_RUNTIME_DIR}/mediant, else /tmp/mediant-UID; mode 0700 and
 * owned by the caller, or it is not used.
 */
#ifndef CMD_RUNTIME_DIR_H
#define CMD_RUNTIME_DIR_H

#include <limits.h>

#include "base/types.h"

struct runtime_dir {
	char path[PATH_MAX];
	int fd; /* -1: the folder does not exist, so nothing runs */
};

/*
 * Opens the folder, making it when @create.  0 with fd -1 when it is absent and not @create;
 * -errno, told on stderr with its remedy, when it cannot be made or must not be trusted.
 */
int runtime_dir_open(struct runtime_dir *dir, bool create);
void runtime_dir_close(struct runtime_dir *dir);

/* Path of NAME + @suffix in @dir; -ENAMETOOLONG (told) when no UNIX socket can have it. */
int runtime_dir_socket(const struct runtime_dir *dir, const char *name, const char *suffix,
		       char *path, size_t size);

/*
 * Binds and listens on @path (mode 0600), replacing the socket of a process that is gone.  Under
 * the folder's lock, so that two starting processes cannot replace each other's.  A descriptor,
 * or -errno; -EADDRINUSE: somebody answers there.
 */
int runtime_dir_listen(const struct runtime_dir *dir, const char *path);

/* Connects to @path; a blocking descriptor, or -errno (-ECONNREFUSED: stale). */
int runtime_dir_connect(const char *path);

/* Removes @path if nobody listens there, under the folder's lock. */
void runtime_dir_remove_stale(const struct runtime_dir *dir, const char *path);

/*
 * Names of the vGPUs whose control socket answers a connection, sorted; stale sockets met are
 * removed.  Returns how many, or -errno; free with runtime_names_free().
 */
int runtime_dir_names(const struct runtime_dir *dir, char ***names);
void runtime_names_free(char **names, int count);

#endif
