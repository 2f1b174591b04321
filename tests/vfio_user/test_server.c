/* SPDX-License-Identifier: MIT */
/* The socket file, descriptors handed over, and one client at a time. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "tests/vfio_user/client.h"

static int changes;
static bool connected;

static void client_changed(void *opaque, bool now)
{
	(void)opaque;
	changes++;
	connected = now;
}

/* A folder of the test's own: a fixed name in /tmp is anyone's. */
static char folder[] = "/tmp/mediant-server-XXXXXX";

static int make_folder(void **state)
{
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	return rmdir(folder);
}

/* @name in that folder; the text stays until the next call. */
static const char *path_of(const char *name)
{
	static char path[64];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

/* Another server on the device of @rig, which is stopped by the caller. */
static int second_server(struct rig *rig, const char *path, int fd, struct vfu_server **server)
{
	struct vfu_server_config config = {
		.loop = &rig->loop,
		.device = rig->device,
		.socket_path = path,
		.fd = fd,
		.client_changed = client_changed,
	};

	log_threshold = (enum log_level)0;
	changes = 0;
	return vfu_server_create(&config, server);
}

static struct sockaddr_un address_of(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	strcpy(address.sun_path, path);
	return address;
}

static void file_is_private(void **state)
{
	struct stat st;
	struct rig rig;
	mode_t mask = umask(0);

	rig_start(&rig, rig_device_json);
	umask(mask);
	assert_int_equal(lstat(rig.path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0600);
	char path[64];
	strcpy(path, rig.path);
	rig_stop(&rig);
	assert_int_equal(lstat(path, &st), -1);
}

static void live_socket_is_not_taken(void **state)
{
	struct vfu_server *other = NULL;
	struct rig rig;

	rig_start(&rig, rig_device_json);
	assert_int_equal(second_server(&rig, rig.path, -1, &other), -EADDRINUSE);
	/* And is none the worse for it. */
	rig_step(&rig);
	rig_connect(&rig);
	assert_int_equal(client_version(&rig, NULL), 0);
	assert_int_equal(second_server(&rig, rig.path, -1, &other), -EADDRINUSE);
	rig_step(&rig);
	assert_int_equal(config_read32(&rig, 0), 0x00101b36);
	rig_stop(&rig);
}

static void dead_socket_is_replaced(void **state)
{
	const char *path = path_of("dead.sock");
	struct sockaddr_un address = address_of(path);
	struct vfu_server *server = NULL;
	struct rig rig;
	int fd;

	rig_start(&rig, rig_device_json);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	assert_int_equal(second_server(&rig, path, -1, &server), 0);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	rig_step(&rig);
	assert_true(connected);
	close(fd);
	rig_step(&rig);
	assert_false(connected);
	assert_int_equal(changes, 2);
	vfu_server_destroy(server);
	assert_int_equal(access(path, F_OK), -1);
	rig_stop(&rig);
}

static void other_files_are_left_alone(void **state)
{
	const char *path = path_of("file");
	struct vfu_server *server = NULL;
	struct rig rig;

	rig_start(&rig, rig_device_json);
	close(open(path, O_CREAT | O_WRONLY, 0600));
	assert_int_equal(second_server(&rig, path, -1, &server), -EEXIST);
	assert_int_equal(access(path, F_OK), 0);
	unlink(path);
	assert_int_equal(second_server(&rig, path_of("no/such/folder"), -1, &server), -ENOENT);
	assert_int_equal(second_server(&rig, "", -1, &server), -ENAMETOOLONG);
	char longest[200];
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = 0;
	assert_int_equal(second_server(&rig, longest, -1, &server), -ENAMETOOLONG);
	rig_stop(&rig);
}

static void replaced_file_is_not_removed(void **state)
{
	const char *path = path_of("replaced.sock");
	struct sockaddr_un address = address_of(path);
	struct vfu_server *server = NULL;
	struct rig rig;

	rig_start(&rig, rig_device_json);
	assert_int_equal(second_server(&rig, path, -1, &server), 0);
	unlink(path);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	vfu_server_destroy(server);
	assert_int_equal(access(path, F_OK), 0);
	close(fd);
	unlink(path);
	rig_stop(&rig);
}

static void takes_over_a_connected_socket(void **state)
{
	struct vfu_server *server = NULL;
	struct rig rig;
	int ends[2];

	rig_start(&rig, rig_device_json);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	assert_int_equal(second_server(&rig, NULL, ends[0], &server), 0);
	assert_true(connected);
	rig.fd = ends[1];
	assert_int_equal(client_version(&rig, NULL), 0);
	assert_int_equal(config_read32(&rig, 0), 0x00101b36);
	rig_disconnect(&rig);
	assert_false(connected);
	vfu_server_destroy(server);
	rig_stop(&rig);
}

static void takes_over_a_listening_socket(void **state)
{
	const char *path = path_of("listening.sock");
	struct sockaddr_un address = address_of(path);
	struct vfu_server *server = NULL;
	struct rig rig;
	char own_path[64];

	rig_start(&rig, rig_device_json);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(second_server(&rig, NULL, fd, &server), 0);
	strcpy(own_path, rig.path);
	strcpy(rig.path, path);
	for (int i = 0; i < 3; i++) {
		rig_connect(&rig);
		assert_int_equal(client_version(&rig, NULL), 0);
		rig_disconnect(&rig);
	}
	strcpy(rig.path, own_path);
	vfu_server_destroy(server);
	assert_int_equal(access(path, F_OK), 0); /* whoever made it removes it */
	unlink(path);
	rig_stop(&rig);
}

static void refuses_other_descriptors(void **state)
{
	struct vfu_server *server = NULL;
	struct rig rig;
	int ends[2];

	rig_start(&rig, rig_device_json);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(second_server(&rig, NULL, ends[0], &server), -ENOTSOCK);
	assert_int_equal(second_server(&rig, NULL, 1000, &server), -ENOTSOCK);
	close(ends[0]);
	close(ends[1]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends), 0);
	assert_int_equal(second_server(&rig, NULL, ends[0], &server), -ENOTSOCK);
	close(ends[0]);
	close(ends[1]);
	rig_stop(&rig);
}

static void second_client_is_turned_away(void **state)
{
	struct rig rig;
	char byte;

	rig_ready(&rig);
	log_threshold = (enum log_level)0;
	int first = rig.fd;
	rig_connect(&rig);
	assert_int_equal(read(rig.fd, &byte, 1), 0);
	close(rig.fd);
	rig.fd = first;
	assert_int_equal(config_read32(&rig, 0), 0x00101b36);
	rig_stop(&rig);
}

/* The end of the old client and the knock of the new one may be seen in either order. */
static void restarted_client_is_welcome(void **state)
{
	struct sockaddr_un address;
	struct rig rig;

	rig_ready(&rig);
	address = address_of(rig.path);
	for (int i = 0; i < 20; i++) {
		int next = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (i & 1)
			assert_int_equal(
				connect(next, (struct sockaddr *)&address, sizeof(address)), 0);
		close(rig.fd);
		if (!(i & 1))
			assert_int_equal(
				connect(next, (struct sockaddr *)&address, sizeof(address)), 0);
		rig.fd = next;
		assert_int_equal(client_version(&rig, NULL), 0);
	}
	rig_stop(&rig);
}

/* Who knocks while no file can be opened is turned away, instead of knocking on for ever. */
static void no_descriptors_left(void **state)
{
	struct rlimit old, few;
	struct rig rig;
	char byte;

	rig_ready(&rig);
	log_threshold = (enum log_level)0;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	int first = rig.fd, next = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = address_of(rig.path);
	/* The lowest that is free is the first that is forbidden. */
	int lowest = dup(next);
	close(lowest);
	few = old;
	few.rlim_cur = (rlim_t)lowest;
	assert_int_equal(connect(next, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	rig_step(&rig);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(recv(next, &byte, 1, MSG_DONTWAIT), 0);
	close(next);
	rig.fd = first;
	assert_int_equal(config_read32(&rig, 0), 0x00101b36);
	rig_stop(&rig);
}

static int tcp_pair(int *ends)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	ends[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (struct sockaddr *)&address, len) || listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&address, &len) ||
	    connect(ends[0], (struct sockaddr *)&address, len))
		return -1;
	ends[1] = accept(listener, NULL, NULL);
	close(listener);
	return ends[1];
}

static void sockets_do_not_linger(void **state)
{
	struct vfu_region_access access = { .count = 4 };
	struct linger linger = { .l_onoff = 1, .l_linger = 60 };
	socklen_t len = sizeof(linger);
	struct rig rig;
	int ends[2] = { -1, -1 };

	rig_ready(&rig);
	log_threshold = (enum log_level)0;
	assert_true(tcp_pair(ends) >= 0);
	assert_int_equal(setsockopt(ends[0], SOL_SOCKET, SO_LINGER, &linger, len), 0);
	client_call_fds(&rig, VFU_REGION_READ, &access, sizeof(access), &ends[0], 1);
	assert_int_equal(getsockopt(ends[0], SOL_SOCKET, SO_LINGER, &linger, &len), 0);
	assert_int_equal(linger.l_onoff, 0);
	close(ends[0]);
	close(ends[1]);
	rig_stop(&rig);
}

static void counts(void **state)
{
	struct vfu_stats stats;
	struct vfio_stats vfio;
	uint32_t value = 0;
	struct rig rig;

	rig_ready(&rig);
	config_read32(&rig, 0);
	assert_int_equal(client_write(&rig, 0, 0, &value, 4), 0);
	assert_int_equal(client_write(&rig, 0, ~0ull, &value, 4), EINVAL);
	vfu_server_stats(rig.server, &stats);
	assert_int_equal(stats.messages, 4);
	assert_int_equal(stats.replies, 4);
	assert_int_equal(stats.errors, 1);
	assert_int_equal(stats.connections, 1);
	assert_true(stats.connected);
	vfio_device_stats(rig.device, &vfio);
	assert_int_equal(vfio.region_reads, 1);
	assert_int_equal(vfio.config_reads, 1);
	assert_int_equal(vfio.region_writes, 1);
	assert_int_equal(vfio.config_writes, 0);
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(file_is_private),
		cmocka_unit_test(live_socket_is_not_taken),
		cmocka_unit_test(dead_socket_is_replaced),
		cmocka_unit_test(other_files_are_left_alone),
		cmocka_unit_test(replaced_file_is_not_removed),
		cmocka_unit_test(takes_over_a_connected_socket),
		cmocka_unit_test(takes_over_a_listening_socket),
		cmocka_unit_test(refuses_other_descriptors),
		cmocka_unit_test(second_client_is_turned_away),
		cmocka_unit_test(restarted_client_is_welcome),
		cmocka_unit_test(no_descriptors_left),
		cmocka_unit_test(sockets_do_not_linger),
		cmocka_unit_test(counts),
	};

	return cmocka_run_group_tests_name("the server", tests, make_folder, remove_folder);
}
