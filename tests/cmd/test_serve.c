/* SPDX-License-Identifier: MIT */
/*
 * The program itself: `mediant serve` as a process, asked over its socket by a small vfio-user
 * client and over its control socket by the other commands.  argv[1] is the program.
 */
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/process.h"
#include "tests/cmd/serve_client.h"

static void it_starts_and_ends(void **state)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP };
	char path[128];
	struct stat st;

	sprintf(path, "%s/gpu0.socket", program_folder);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		pid_t pid =
			program_serve("serve --socket %/gpu0.socket --vnc 127.0.0.1:0 --log warn");
		int status;

		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 0777, 0600);
		kill(pid, signals[i]);
		status = process_wait(pid, clock_now_ns() + PROGRAM_LIMIT_NS);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
		assert_int_equal(stat(path, &st), -1);
	}
}

static void a_client_finds_the_vgpu(void **state)
{
	pid_t pid = program_serve("serve --socket %/vfio --name one --log warn");
	int fd = serve_dial("vfio");

	serve_say_version(fd);
	assert_int_equal(serve_read(fd, 7, 0, 4), 0x19128086);
	assert_true(serve_read(fd, 0, 0x78000, 8) == 0x4776544776544776);
	serve_write(fd, 7, 0x10, 0xc1000000);
	assert_int_equal(serve_read(fd, 7, 0x10, 4), 0xc1000004);
	assert_int_equal(serve_read(fd, 7, 0xfc, 4), 0xc1200000);
	close(fd);
	fd = serve_dial("vfio"); /* the next client finds a device as at power on */
	serve_say_version(fd);
	assert_int_equal(serve_read(fd, 7, 0x10, 4), 4);
	close(fd);
	program_end(pid);
}

static int member(json_t *tree, const char *object, const char *key)
{
	return (int)json_integer_value(json_object_get(json_object_get(tree, object), key));
}

static void stat_counts_what_a_client_does(void **state)
{
	pid_t pid = program_serve("serve --socket %/vfio --name one --log warn");
	int fd = serve_dial("vfio");
	char text[8192];
	json_t *tree;

	serve_say_version(fd);
	for (int i = 0; i < 5; i++)
		serve_read(fd, 0, 0x78000, 8);
	for (int i = 0; i < 3; i++)
		serve_read(fd, 0, 0x200000, 4);
	tree = program_json("stat one --json");
	assert_string_equal(json_string_value(json_object_get(tree, "name")), "one");
	assert_true(json_is_true(json_object_get(tree, "connected")));
	assert_false(json_is_true(json_object_get(tree, "driver_ready")));
	assert_int_equal(program_run("stat one", text, sizeof(text)), 0);
	assert_non_null(strstr(text, "reg_read 5"));
	assert_non_null(strstr(text, "vecs0"));
	assert_int_equal(member(tree, "traps", "reg_read"), 5);
	assert_int_equal(member(tree, "traps", "opregion_read"), 3);
	assert_int_equal(member(tree, "messages", "connections"), 1);
	assert_int_equal(json_array_size(json_object_get(tree, "engines")), 4);
	assert_true(json_is_object(json_object_get(
		json_array_get(json_object_get(tree, "engines"), 0), "not_executed_by_name")));
	assert_null(strstr(text, "by_name"));
	assert_int_equal(member(tree, "faults", "share"), 0);
	assert_true(json_is_null(json_object_get(tree, "last_fault")));
	json_decref(tree);
	close(fd);
	program_end(pid);
}

static void put(int memory, uint32_t at, uint32_t value)
{
	assert_int_equal(pwrite(memory, &value, sizeof(value), at), sizeof(value));
}

/*
 * Page n of the GGTT is page n of @memory: 1 and 2 a context's image, 3 its ring, 4 a status page.
 * Its own addresses are described by page 5.
 */
static void submit(int fd, int memory, uint32_t context_id, const uint32_t *ring, uint32_t dwords)
{
	static const uint16_t registers[] = {
		0x2244, 0x2034, 0x2030, 0x2038, 0x203c, 0x2274, 0x2270
	};
	const uint32_t values[] = { 0x00090009, 0, dwords * 4, 0x3000, 1, 0, 0x5000 };

	for (uint32_t page = 1; page < 5; page++) {
		serve_write(fd, 0, 0x800000 + 8 * page, page << 12 | 1);
		serve_write(fd, 0, 0x800004 + 8 * page, 0);
	}
	put(memory, 0x2004, 0x11001000 | (2 * ARRAY_SIZE(registers) - 1));
	for (uint32_t i = 0; i < ARRAY_SIZE(registers); i++) {
		put(memory, 0x2008 + 8 * i, registers[i]);
		put(memory, 0x200c + 8 * i, values[i]);
	}
	for (uint32_t i = 0; i < dwords; i++)
		put(memory, 0x3000 + 4 * i, ring[i]);
	serve_write(fd, 0, 0x2080, 0x4000);
	serve_write(fd, 0, 0x229c, 0x80008000); /* execlists, please */
	serve_write(fd, 0, 0x209c, 0x01000000);
	serve_write(fd, 0, 0x2230, 0);
	serve_write(fd, 0, 0x2230, 0);
	serve_write(fd, 0, 0x2230, context_id);
	serve_write(fd, 0, 0x2230, 0x1000 | 0x19);
}

/* `stat`, once it has counted a fault of @kind. */
static json_t *stat_with_fault(const char *kind)
{
	json_t *tree = program_json("stat one --json");

	for (int i = 0; i < 500 && !member(tree, "faults", kind); i++) {
		json_decref(tree);
		usleep(10000);
		tree = program_json("stat one --json");
	}
	assert_int_equal(member(tree, "faults", kind), 1);
	return tree;
}

/* Which engine, context, command and address it was. */
static void the_last_fault_is_told_in_full(void **state)
{
	static const uint32_t ring[] = { 0, 0, 0x10400002, 0xf0000000, 0, 1 };
	pid_t pid = program_serve("serve --socket %/vfio --name one --log error");
	int fd = serve_dial("vfio"), memory = memfd_create("guest", MFD_CLOEXEC);
	json_t *tree, *fault;

	serve_say_version(fd);
	assert_int_equal(ftruncate(memory, 0x10000), 0);
	serve_dma_map(fd, memory, 0, 0x10000);
	submit(fd, memory, 0x20, ring, ARRAY_SIZE(ring));
	tree = stat_with_fault("share");
	fault = json_object_get(tree, "last_fault");
	program_expect(fault, "kind", "share");
	program_expect(fault, "engine", "rcs0");
	assert_int_equal(json_integer_value(json_object_get(fault, "context_id")), 0x20);
	program_expect(fault, "command", "MI_STORE_DATA_IMM");
	program_expect(fault, "space", "ggtt");
	assert_true(json_is_true(json_object_get(fault, "write")));
	program_expect(fault, "command_at", "0x3008");
	program_expect(fault, "address", "0xf0000000");
	program_expect(fault, "header", "0x10400002");
	json_decref(tree);
	close(memory);
	close(fd);
	program_end(pid);
}

/* A batch that starts itself, which any other server lets run. */
static void the_watchdog_is_the_operators(void **state)
{
	static const uint32_t ring[] = { 0x18800101, 0x9000, 0, 0 };
	pid_t pid = program_serve("serve --socket %/vfio --name one --watchdog 1 --log error");
	int fd = serve_dial("vfio"), memory = memfd_create("guest", MFD_CLOEXEC);
	json_t *tree, *fault;

	serve_say_version(fd);
	assert_int_equal(ftruncate(memory, 0x10000), 0);
	serve_dma_map(fd, memory, 0, 0x10000);
	for (uint32_t level = 0; level < 4; level++) /* pages 5 to 8; of the last, entry 9 */
		put(memory, (5 + level) << 12 | (level == 3 ? 9 * 8 : 0),
		    (level == 3 ? 9 : 6 + level) << 12 | 3);
	for (uint32_t i = 0; i < 3; i++)
		put(memory, 0x9000 + 4 * i, ring[i]);
	submit(fd, memory, 0x20, ring, ARRAY_SIZE(ring));
	tree = stat_with_fault("endless");
	fault = json_object_get(tree, "last_fault");
	program_expect(fault, "kind", "endless");
	program_expect(fault, "command_at", "0x9000");
	program_expect(fault, "space", "ppgtt");
	json_decref(tree);
	close(memory);
	close(fd);
	program_end(pid);
}

static void names_are_taken_once(void **state)
{
	pid_t pid = program_serve("serve --socket %/a --name one --log warn");
	char text[1024];

	assert_int_equal(program_run("serve --socket %/b --name one", text, sizeof(text)), 1);
	assert_int_equal(program_run("stat two", text, sizeof(text)), 1);
	program_end(pid);
	assert_int_equal(program_run("stat one", text, sizeof(text)), 1);
}

static void running_vgpus_are_listed(void **state)
{
	pid_t a = program_serve("serve --socket %/a --name alpha --log warn");
	pid_t b = program_serve("serve --socket %/b --name beta --render-only --log warn");
	json_t *tree = program_json("list --json");
	char text[1024];

	assert_int_equal(json_array_size(tree), 2);
	assert_string_equal(json_string_value(json_object_get(json_array_get(tree, 1), "name")),
			    "beta");
	assert_int_equal(json_integer_value(json_object_get(json_array_get(tree, 0), "pid")), a);
	json_decref(tree);
	assert_int_equal(program_run("list", text, sizeof(text)), 0);
	assert_non_null(strstr(text, "alpha"));
	program_end(a);
	kill(b, SIGKILL); /* its control socket stays, and is removed by the next list */
	process_wait(b, clock_now_ns() + PROGRAM_LIMIT_NS);
	tree = program_json("list --json");
	assert_int_equal(json_array_size(tree), 0);
	json_decref(tree);
	sprintf(text, "%s/b", program_folder);
	assert_int_equal(unlink(text), 0);
}

static void a_dead_servers_socket_is_replaced(void **state)
{
	pid_t pid = program_serve("serve --socket %/vfio --name one --log warn");
	int fd;

	kill(pid, SIGKILL);
	process_wait(pid, clock_now_ns() + PROGRAM_LIMIT_NS);
	pid = program_serve("serve --socket %/vfio --name one --log warn");
	fd = serve_dial("vfio");
	serve_say_version(fd);
	close(fd);
	program_end(pid);
}

/* In the sandbox too, memory that its owner takes away reads as zeros. */
static void truncated_memory_is_survived(void **state)
{
	pid_t pid = program_serve("serve --socket %/vfio --name one --log error");
	int fd = serve_dial("vfio"), memory = memfd_create("guest", MFD_CLOEXEC);
	uint32_t word = 0x600d;

	serve_say_version(fd);
	assert_int_equal(ftruncate(memory, 0x10000), 0);
	assert_int_equal(pwrite(memory, &word, sizeof(word), 0x3000), sizeof(word));
	serve_dma_map(fd, memory, 0, 0x10000);
	serve_write(fd, 0, 0x800000, 0x3001); /* GGTT entry 0: the guest's page 3 */
	serve_write(fd, 0, 0x800004, 0);
	assert_int_equal(serve_read(fd, 2, 0, 4), 0x600d);
	assert_int_equal(ftruncate(memory, 0), 0);
	assert_int_equal(serve_read(fd, 2, 0, 4), 0);
	serve_write(fd, 2, 0, 1);
	assert_int_equal(serve_read(fd, 7, 0, 4), 0x19128086);
	close(memory);
	close(fd);
	program_end(pid);
}

/* One connected socket, inherited: when its client goes, so does the server. */
static void a_connection_may_be_inherited(void **state)
{
	struct timeval limit = { .tv_sec = 10 };
	char line[128], text[512];
	int fds[2], out, status;
	pid_t pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	fcntl(fds[0], F_SETFD, FD_CLOEXEC);
	sprintf(line, "serve --fd %d --log warn", fds[1]);
	pid = program_start(line, &out);
	close(fds[1]);
	assert_int_equal(process_read(out, text, sizeof(text), clock_now_ns() + PROGRAM_LIMIT_NS,
				      program_has_line),
			 1);
	setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	serve_say_version(fds[0]);
	assert_int_equal(serve_read(fds[0], 7, 0, 4), 0x19128086);
	close(fds[0]);
	close(out);
	status = process_wait(pid, clock_now_ns() + PROGRAM_LIMIT_NS);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		in_folder(it_starts_and_ends),
		in_folder(a_client_finds_the_vgpu),
		in_folder(stat_counts_what_a_client_does),
		in_folder(the_last_fault_is_told_in_full),
		in_folder(the_watchdog_is_the_operators),
		in_folder(names_are_taken_once),
		in_folder(running_vgpus_are_listed),
		in_folder(a_dead_servers_socket_is_replaced),
		in_folder(truncated_memory_is_survived),
		in_folder(a_connection_may_be_inherited),
	};

	if (!program_take(argc, argv))
		return 2;
	return cmocka_run_group_tests_name("cmd serve", tests, NULL, NULL);
}
