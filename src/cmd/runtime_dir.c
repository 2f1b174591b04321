/* SPDX-License-Identifier: MIT */
/*
 * The runtime folder.  Whether a socket is stale is found out by connecting: a dead owner's
 * socket refuses.  A fresh one refuses too between bind() and listen(), which is why removing and
 * replacing take the folder's lock (flock on the folder itself, so that nothing stays behind).
 */
#include "cmd/runtime_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "cmd/options.h"

#define CONTROL_SUFFIX	".sock"
#define BACKLOG		8
#define CONNECT_LIMIT_S 5

static int choose_path(char *path, size_t size)
{
	const char *own = getenv("MEDIANT_RUNTIME_DIR");
	const char *xdg = getenv("XDG_RUNTIME_DIR");
	int n;

	if (own && *own)
		n = snprintf(path, size, "%s", own);
	else if (xdg && *xdg)
		n = snprintf(path, size, "%s/mediant", xdg);
	else
		n = snprintf(path, size, "/tmp/mediant-%u", (unsigned int)geteuid());
	return n < (int)size ? 0 : -ENAMETOOLONG;
}

/* Another user's folder, or one that others may write to, could hold sockets that lie. */
static int check_trust(const struct runtime_dir *dir)
{
	struct stat st;

	if (fstat(dir->fd, &st))
		return -errno;
	if (st.st_uid != geteuid()) {
		log_error("the runtime folder %s belongs to user %u: remove it, or name another "
			  "one in MEDIANT_RUNTIME_DIR",
			  dir->path, (unsigned int)st.st_uid);
		return -EPERM;
	}
	if (st.st_mode & 077) {
		log_error("the runtime folder %s is open to others (mode %03o): chmod 700 it, or "
			  "name another one in MEDIANT_RUNTIME_DIR",
			  dir->path, (unsigned int)st.st_mode & 0777);
		return -EPERM;
	}
	return 0;
}

int runtime_dir_open(struct runtime_dir *dir, bool create)
{
	int err = choose_path(dir->path, sizeof(dir->path));

	dir->fd = -1;
	if (!err && create && mkdir(dir->path, 0700) && errno != EEXIST)
		err = -errno;
	if (!err) {
		dir->fd = open(dir->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (dir->fd < 0 && (create || errno != ENOENT))
			err = -errno;
	}
	if (err) {
		log_error("cannot use the runtime folder %s: %s; name another one in "
			  "MEDIANT_RUNTIME_DIR",
			  dir->path, strerror(-err));
		return err;
	}
	if (dir->fd >= 0) {
		err = check_trust(dir);
		if (err)
			runtime_dir_close(dir);
	}
	return err;
}

void runtime_dir_close(struct runtime_dir *dir)
{
	if (dir->fd >= 0)
		close(dir->fd);
	dir->fd = -1;
}

int runtime_dir_socket(const struct runtime_dir *dir, const char *name, const char *suffix,
		       char *path, size_t size)
{
	int n = snprintf(path, size, "%s/%s%s", dir->path, name, suffix);

	if (n < (int)size && n < (int)sizeof(((struct sockaddr_un *)0)->sun_path))
		return 0;
	log_error("%s/%s%s is too long for a socket's path (107 bytes at most): set "
		  "MEDIANT_RUNTIME_DIR to a shorter folder",
		  dir->path, name, suffix);
	return -ENAMETOOLONG;
}

static int unix_socket(const char *path, int flags, struct sockaddr_un *addr)
{
	int fd;

	if (strlen(path) >= sizeof(addr->sun_path))
		return -ENAMETOOLONG;
	*addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	strcpy(addr->sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
	return fd < 0 ? -errno : fd;
}

int runtime_dir_connect(const char *path)
{
	struct sockaddr_un addr;
	/* A server that hangs with its backlog full would keep us in connect(). */
	struct timeval limit = { .tv_sec = CONNECT_LIMIT_S };
	int fd = unix_socket(path, 0, &addr);

	if (fd >= 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

/* A plain file refuses connections too, and is not ours to remove. */
static bool is_stale(const char *path)
{
	struct stat st;
	int fd;

	if (lstat(path, &st) || !S_ISSOCK(st.st_mode))
		return false;
	fd = runtime_dir_connect(path);

	if (fd >= 0)
		close(fd);
	return fd == -ECONNREFUSED;
}

/* With the folder locked. */
static int bind_and_listen(const char *path)
{
	struct sockaddr_un addr;
	int fd = unix_socket(path, SOCK_NONBLOCK, &addr);
	mode_t mask;
	int err = 0;

	if (fd < 0)
		return fd;
	if (is_stale(path))
		unlink(path);
	mask = umask(0177);
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, BACKLOG))
		err = -errno;
	umask(mask);
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

int runtime_dir_listen(const struct runtime_dir *dir, const char *path)
{
	int fd;

	flock(dir->fd, LOCK_EX);
	fd = bind_and_listen(path);
	flock(dir->fd, LOCK_UN);
	return fd;
}

void runtime_dir_remove_stale(const struct runtime_dir *dir, const char *path)
{
	flock(dir->fd, LOCK_EX);
	if (is_stale(path))
		unlink(path);
	flock(dir->fd, LOCK_UN);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* "NAME" of "NAME.sock", to be freed; NULL for another file. */
static char *control_name(const char *file)
{
	size_t len = strlen(file), suffix = strlen(CONTROL_SUFFIX);
	char *name;

	if (len <= suffix || strcmp(file + len - suffix, CONTROL_SUFFIX))
		return NULL;
	name = strndup(file, len - suffix);
	if (name && option_name_check(name)) {
		free(name);
		return NULL;
	}
	return name;
}

/* True when a live vGPU answers; a stale socket is removed on the way. */
static bool name_lives(const struct runtime_dir *dir, const char *name)
{
	char path[PATH_MAX];
	int fd;

	if (runtime_dir_socket(dir, name, CONTROL_SUFFIX, path, sizeof(path)))
		return false;
	fd = runtime_dir_connect(path);
	if (fd == -ECONNREFUSED)
		runtime_dir_remove_stale(dir, path);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static int add_name(char ***names, int count, char *name)
{
	char **more = realloc(*names, (size_t)(count + 1) * sizeof(**names));

	if (!more)
		return -ENOMEM;
	more[count] = name;
	*names = more;
	return 0;
}

int runtime_dir_names(const struct runtime_dir *dir, char ***names)
{
	int count = 0, err = 0;
	struct dirent *entry;
	DIR *stream;

	*names = NULL;
	if (dir->fd < 0)
		return 0;
	stream = opendir(dir->path);
	if (!stream)
		return -errno;
	while (!err && (entry = readdir(stream))) {
		char *name = control_name(entry->d_name);

		if (name && name_lives(dir, name) && !(err = add_name(names, count, name)))
			count++;
		else
			free(name);
	}
	closedir(stream);
	if (err) {
		runtime_names_free(*names, count);
		return err;
	}
	if (count)
		qsort(*names, (size_t)count, sizeof(**names), compare_names);
	return count;
}

void runtime_names_free(char **names, int count)
{
	for (int i = 0; i < count; i++)
		free(names[i]);
	free(names);
}
