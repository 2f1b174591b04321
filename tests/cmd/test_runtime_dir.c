/* SPDX-License-Identifier: MIT */
/* The runtime folder: whom it trusts, which sockets it takes for live, what it replaces. */
#include "cmd/runtime_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/leaks.h"

static char folder[64];
static struct leaks before;

static int setup(void **state)
{
	before = leaks_count();
	strcpy(folder, "/tmp/mediant-test-XXXXXX");
	assert_non_null(mkdtemp(folder));
	return setenv("MEDIANT_RUNTIME_DIR", folder, 1);
}

static int teardown(void **state)
{
	assert_int_equal(rmdir(folder), 0); /* each test leaves it empty */
	return leaks_compare(&before);
}

static void path_of(const char *file, char *path)
{
	sprintf(path, "%s/%s", folder, file);
}

/* A socket file whose owner is gone. */
static void make_stale(const struct runtime_dir *dir, const char *path)
{
	int fd = runtime_dir_listen(dir, path);

	assert_true(fd >= 0);
	close(fd);
}

static void it_is_made_for_its_owner_alone(void **state)
{
	struct runtime_dir dir;
	struct stat st;

	rmdir(folder);
	assert_int_equal(runtime_dir_open(&dir, false), 0);
	assert_int_equal(dir.fd, -1);
	assert_int_equal(runtime_dir_open(&dir, true), 0);
	assert_int_equal(fstat(dir.fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	runtime_dir_close(&dir);
}

static void an_open_folder_is_not_trusted(void **state)
{
	struct runtime_dir dir;

	chmod(folder, 0770);
	assert_int_equal(runtime_dir_open(&dir, true), -EPERM);
	chmod(folder, 0701);
	assert_int_equal(runtime_dir_open(&dir, false), -EPERM);
	assert_int_equal(dir.fd, -1);
}

static void a_link_or_a_file_is_no_folder(void **state)
{
	struct runtime_dir dir;
	char path[128];

	path_of("link", path);
	assert_int_equal(symlink(folder, path), 0);
	setenv("MEDIANT_RUNTIME_DIR", path, 1);
	assert_int_not_equal(runtime_dir_open(&dir, true), 0);
	unlink(path);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	assert_int_not_equal(runtime_dir_open(&dir, true), 0);
	unlink(path);
}

static void a_socket_is_private_and_taken_once(void **state)
{
	struct runtime_dir dir;
	struct stat st;
	char path[128];
	int fd;

	assert_int_equal(runtime_dir_open(&dir, true), 0);
	path_of("a.sock", path);
	fd = runtime_dir_listen(&dir, path);
	assert_true(fd >= 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(runtime_dir_listen(&dir, path), -EADDRINUSE);
	close(fd);
	fd = runtime_dir_listen(&dir, path); /* stale now: replaced */
	assert_true(fd >= 0);
	close(fd);
	unlink(path);
	runtime_dir_close(&dir);
}

static void a_plain_file_is_not_replaced(void **state)
{
	struct runtime_dir dir;
	char path[128];

	assert_int_equal(runtime_dir_open(&dir, true), 0);
	path_of("a.sock", path);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	runtime_dir_remove_stale(&dir, path);
	assert_int_equal(access(path, F_OK), 0);
	unlink(path);
	runtime_dir_close(&dir);
}

static void live_vgpus_are_listed_and_stale_ones_removed(void **state)
{
	static const char *const files[] = { "b.sock", "a.sock", "dead.sock", "x.vfio" };
	char paths[4][128];
	int fds[4];
	struct runtime_dir dir;
	char **names;

	assert_int_equal(runtime_dir_open(&dir, true), 0);
	for (int i = 0; i < 4; i++) {
		path_of(files[i], paths[i]);
		if (i == 2)
			make_stale(&dir, paths[i]);
		else
			fds[i] = runtime_dir_listen(&dir, paths[i]);
	}
	assert_int_equal(runtime_dir_names(&dir, &names), 2);
	assert_string_equal(names[0], "a");
	assert_string_equal(names[1], "b");
	runtime_names_free(names, 2);
	assert_int_equal(access(paths[2], F_OK), -1);
	for (int i = 0; i < 4; i++) {
		if (i != 2) {
			close(fds[i]);
			unlink(paths[i]);
		}
	}
	assert_int_equal(runtime_dir_names(&dir, &names), 0);
	runtime_names_free(names, 0);
	runtime_dir_close(&dir);
}

static void long_paths_are_refused(void **state)
{
	struct runtime_dir dir;
	char path[PATH_MAX], name[100];

	memset(name, 'n', sizeof(name));
	name[99] = '\0';
	assert_int_equal(runtime_dir_open(&dir, true), 0);
	assert_int_equal(runtime_dir_socket(&dir, name, ".sock", path, sizeof(path)),
			 -ENAMETOOLONG);
	runtime_dir_close(&dir);
}

#define in_folder(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_folder(it_is_made_for_its_owner_alone),
		in_folder(an_open_folder_is_not_trusted),
		in_folder(a_link_or_a_file_is_no_folder),
		in_folder(a_socket_is_private_and_taken_once),
		in_folder(a_plain_file_is_not_replaced),
		in_folder(live_vgpus_are_listed_and_stale_ones_removed),
		in_folder(long_paths_are_refused),
	};

	return cmocka_run_group_tests_name("cmd runtime folder", tests, NULL, NULL);
}
