/* SPDX-License-Identifier: MIT */
/* A socket's file; see socket_file.h.  The owner's main thread. */
#include "cmd/socket_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The folder of @path, and in *@name what it is called there. */
static int split(const char *path, char *folder, size_t size, const char **name)
{
	const char *slash = strrchr(path, '/');
	int n;

	*name = slash ? slash + 1 : path;
	if (!slash)
		n = snprintf(folder, size, ".");
	else if (slash == path)
		n = snprintf(folder, size, "/");
	else
		n = snprintf(folder, size, "%.*s", (int)(slash - path), path);
	return n < (int)size && strlen(*name) <= NAME_MAX ? 0 : -ENAMETOOLONG;
}

int socket_file_note(struct socket_file *file, const char *path)
{
	char folder[PATH_MAX];
	const char *name;
	struct stat st;
	int err = split(path, folder, sizeof(folder), &name);

	if (err)
		return err;
	file->folder_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (file->folder_fd < 0)
		return -errno;
	if (fstatat(file->folder_fd, name, &st, AT_SYMLINK_NOFOLLOW)) {
		err = -errno;
		close(file->folder_fd);
		file->folder_fd = -1;
		return err;
	}
	strcpy(file->name, name);
	file->dev = st.st_dev;
	file->ino = st.st_ino;
	return 0;
}

void socket_file_remove(struct socket_file *file)
{
	struct stat st;

	if (file->folder_fd < 0)
		return;
	if (!fstatat(file->folder_fd, file->name, &st, AT_SYMLINK_NOFOLLOW) &&
	    st.st_dev == file->dev && st.st_ino == file->ino)
		unlinkat(file->folder_fd, file->name, 0);
	close(file->folder_fd);
	file->folder_fd = -1;
}
