/* SPDX-License-Identifier: MIT */
/*
 * The program itself: `mediant serve` as a process, asked over its socket by a small vfio-user
 * client and over its control socket by the other commands.  argv[1] is the program.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/control_client.h"
#include "cmd/process.h"
#include "cmd/runtime_dir.h"
#include "tests/cmd/program.h"
#include "vfio_user/wire.h"

/* ---- A vfio-user client -------------------------------------------------------------------- */

/* Sends one command and receives its reply's payload; the reply's error. */
static int exchange(int fd, uint16_t command, const void *request, size_t request_len, void *reply,
		    size_t reply_len)
{
	struct vfu_header header = { .id = 7,
				     .command = command,
				     .bytes = (uint32_t)(sizeof(header) + request_len) };
	struct {
		struct vfu_header header;
		uint8_t payload[4096];
	} answer;
	uint8_t message[512];
	ssize_t n;

	memcpy(message, &header, sizeof(header));
	memcpy(message + sizeof(header), request, request_len);
	assert_int_equal(send(fd, message, header.bytes, MSG_NOSIGNAL), header.bytes);
	n = recv(fd, &answer, sizeof(answer), 0);
	assert_true(n >= (ssize_t)sizeof(header));
	assert_int_equal(answer.header.bytes, n);
	assert_int_equal(answer.header.id, 7);
	memcpy(reply, answer.payload, MIN((size_t)n - sizeof(header), reply_len));
	return (int)answer.header.error;
}

static void say_version(int fd)
{
	struct {
		struct vfu_version version;
		char text[128];
	} message = { .text = "{\"capabilities\":{\"max_msg_fds\":8,\"write_multiple\":true}}" };
	struct vfu_version reply = { .major = 9 };

	assert_int_equal(exchange(fd, VFU_VERSION, &message,
				  sizeof(message.version) + strlen(message.text) + 1, &reply,
				  sizeof(reply)),
			 0);
	assert_int_equal(reply.major, 0);
}

static int dial(const char *file)
{
	struct timeval limit = { .tv_sec = 10 };
	char path[128];
	int fd;

	sprintf(path, "%s/%s", program_folder, file);
	fd = runtime_dir_connect(path);
	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return fd;
}

static uint64_t region_read(int fd, uint32_t region, uint64_t offset, uint32_t len)
{
	struct vfu_region_access access = { .offset = offset, .region = region, .count = len };
	struct {
		struct vfu_region_access access;
		uint64_t value;
	} reply = { .value = 0 };

	assert_int_equal(exchange(fd, VFU_REGION_READ, &access, sizeof(access), &reply,
				  sizeof(access) + len),
			 0);
	return reply.value;
}

static void region_write(int fd, uint32_t region, uint64_t offset, uint32_t value)
{
	struct {
		struct vfu_region_access access;
		uint32_t value;
	} message = { .access = { .offset = offset, .region = region, .count = 4 },
		      .value = value };
	struct vfu_region_access reply;

	assert_int_equal(exchange(fd, VFU_REGION_WRITE, &message, sizeof(message.access) + 4,
				  &reply, sizeof(reply)),
			 0);
}

/* Maps @bytes of @file at @addr into the device, its descriptor riding on the message. */
static void dma_map(int fd, int file, uint64_t addr, uint64_t bytes)
{
	struct {
		struct vfu_header header;
		struct vfu_dma_map map;
	} message = {
		.header = { .command = VFU_DMA_MAP, .bytes = sizeof(message) },
		.map = { .argsz = sizeof(message.map), .flags = 3, .addr = addr, .bytes = bytes },
	};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { &message, sizeof(message) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.bytes,
			      .msg_controllen = sizeof(control.bytes) };
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
	struct vfu_header reply;

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &file, sizeof(int));
	assert_int_equal(sendmsg(fd, &msg, MSG_NOSIGNAL), sizeof(message));
	assert_int_equal(recv(fd, &reply, sizeof(reply), 0), sizeof(reply));
	assert_int_equal(reply.error, 0);
}

/* ---- Tests --------------------------------------------------------------------------------- */

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
	int fd = dial("vfio");

	say_version(fd);
	assert_int_equal(region_read(fd, 7, 0, 4), 0x19128086);
	assert_true(region_read(fd, 0, 0x78000, 8) == 0x4776544776544776);
	region_write(fd, 7, 0x10, 0xc1000000);
	assert_int_equal(region_read(fd, 7, 0x10, 4), 0xc1000004);
	assert_int_equal(region_read(fd, 7, 0xfc, 4), 0xc1200000);
	close(fd);
	fd = dial("vfio"); /* the next client finds a device as at power on */
	say_version(fd);
	assert_int_equal(region_read(fd, 7, 0x10, 4), 4);
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
	int fd = dial("vfio");
	char text[8192];
	json_t *tree;

	say_version(fd);
	for (int i = 0; i < 5; i++)
		region_read(fd, 0, 0x78000, 8);
	for (int i = 0; i < 3; i++)
		region_read(fd, 0, 0x200000, 4);
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
		region_write(fd, 0, 0x800000 + 8 * page, page << 12 | 1);
		region_write(fd, 0, 0x800004 + 8 * page, 0);
	}
	put(memory, 0x2004, 0x11001000 | (2 * ARRAY_SIZE(registers) - 1));
	for (uint32_t i = 0; i < ARRAY_SIZE(registers); i++) {
		put(memory, 0x2008 + 8 * i, registers[i]);
		put(memory, 0x200c + 8 * i, values[i]);
	}
	for (uint32_t i = 0; i < dwords; i++)
		put(memory, 0x3000 + 4 * i, ring[i]);
	region_write(fd, 0, 0x2080, 0x4000);
	region_write(fd, 0, 0x229c, 0x80008000); /* execlists, please */
	region_write(fd, 0, 0x209c, 0x01000000);
	region_write(fd, 0, 0x2230, 0);
	region_write(fd, 0, 0x2230, 0);
	region_write(fd, 0, 0x2230, context_id);
	region_write(fd, 0, 0x2230, 0x1000 | 0x19);
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

static void expect_text(json_t *tree, const char *key, const char *text)
{
	assert_string_equal(json_string_value(json_object_get(tree, key)), text);
}

/* Which engine, context, command and address it was. */
static void the_last_fault_is_told_in_full(void **state)
{
	static const uint32_t ring[] = { 0, 0, 0x10400002, 0xf0000000, 0, 1 };
	pid_t pid = program_serve("serve --socket %/vfio --name one --log error");
	int fd = dial("vfio"), memory = memfd_create("guest", MFD_CLOEXEC);
	json_t *tree, *fault;

	say_version(fd);
	assert_int_equal(ftruncate(memory, 0x10000), 0);
	dma_map(fd, memory, 0, 0x10000);
	submit(fd, memory, 0x20, ring, ARRAY_SIZE(ring));
	tree = stat_with_fault("share");
	fault = json_object_get(tree, "last_fault");
	expect_text(fault, "kind", "share");
	expect_text(fault, "engine", "rcs0");
	assert_int_equal(json_integer_value(json_object_get(fault, "context_id")), 0x20);
	expect_text(fault, "command", "MI_STORE_DATA_IMM");
	expect_text(fault, "space", "ggtt");
	assert_true(json_is_true(json_object_get(fault, "write")));
	expect_text(fault, "command_at", "0x3008");
	expect_text(fault, "address", "0xf0000000");
	expect_text(fault, "header", "0x10400002");
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
	int fd = dial("vfio"), memory = memfd_create("guest", MFD_CLOEXEC);
	json_t *tree, *fault;

	say_version(fd);
	assert_int_equal(ftruncate(memory, 0x10000), 0);
	dma_map(fd, memory, 0, 0x10000);
	for (uint32_t level = 0; level < 4; level++) /* pages 5 to 8; of the last, entry 9 */
		put(memory, (5 + level) << 12 | (level == 3 ? 9 * 8 : 0),
		    (level == 3 ? 9 : 6 + level) << 12 | 3);
	for (uint32_t i = 0; i < 3; i++)
		put(memory, 0x9000 + 4 * i, ring[i]);
	submit(fd, memory, 0x20, ring, ARRAY_SIZE(ring));
	tree = stat_with_fault("endless");
	fault = json_object_get(tree, "last_fault");
	expect_text(fault, "kind", "endless");
	expect_text(fault, "command_at", "0x9000");
	expect_text(fault, "space", "ppgtt");
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
	fd = dial("vfio");
	say_version(fd);
	close(fd);
	program_end(pid);
}

static void monitors_are_shown_and_changed(void **state)
{
	pid_t pid =
		program_serve("serve --socket %/vfio --name one --display hdmi:800x600 --display "
			      "dp:1280x1024:off --log warn");
	json_t *tree, *monitor;
	char text[1024];

	assert_int_equal(program_run("display one --mode 1600x900", text, sizeof(text)), 0);
	assert_int_equal(program_run("display one --head 1 --plug", text, sizeof(text)), 0);
	tree = program_json("display one --json");
	monitor = json_array_get(json_object_get(tree, "monitors"), 0);
	assert_int_equal(json_integer_value(json_object_get(monitor, "width")), 1600);
	monitor = json_array_get(json_object_get(tree, "monitors"), 1);
	assert_string_equal(json_string_value(json_object_get(monitor, "kind")), "dp");
	assert_true(json_is_true(json_object_get(monitor, "plugged")));
	json_decref(tree);
	assert_int_equal(program_run("display one --head 2 --plug", text, sizeof(text)), 1);
	assert_int_equal(program_run("display one --mode 3840x2160", text, sizeof(text)), 1);
	assert_int_equal(program_run("display one --mode 4000x4000", text, sizeof(text)), 2);
	assert_int_equal(program_run("display one --mode big", text, sizeof(text)), 2);
	assert_int_equal(program_run("display one --plug --unplug", text, sizeof(text)), 2);
	/* No driver has turned the pipe on. */
	assert_int_equal(program_run("screenshot one %/x.png", text, sizeof(text)), 1);
	program_end(pid);
}

static void render_only_has_no_display(void **state)
{
	pid_t pid = program_serve("serve --socket %/vfio --name one --render-only --log warn");
	char text[1024];

	assert_int_equal(program_run("screenshot one %/x.png", text, sizeof(text)), 1);
	assert_int_equal(program_run("display one", text, sizeof(text)), 1);
	program_end(pid);
}

/* In the sandbox too, memory that its owner takes away reads as zeros. */
static void truncated_memory_is_survived(void **state)
{
	pid_t pid = program_serve("serve --socket %/vfio --name one --log error");
	int fd = dial("vfio"), memory = memfd_create("guest", MFD_CLOEXEC);
	uint32_t word = 0x600d;

	say_version(fd);
	assert_int_equal(ftruncate(memory, 0x10000), 0);
	assert_int_equal(pwrite(memory, &word, sizeof(word), 0x3000), sizeof(word));
	dma_map(fd, memory, 0, 0x10000);
	region_write(fd, 0, 0x800000, 0x3001); /* GGTT entry 0: the guest's page 3 */
	region_write(fd, 0, 0x800004, 0);
	assert_int_equal(region_read(fd, 2, 0, 4), 0x600d);
	assert_int_equal(ftruncate(memory, 0), 0);
	assert_int_equal(region_read(fd, 2, 0, 4), 0);
	region_write(fd, 2, 0, 1);
	assert_int_equal(region_read(fd, 7, 0, 4), 0x19128086);
	close(memory);
	close(fd);
	program_end(pid);
}

/* Where the first one's first head is to be seen. */
static struct sockaddr_in vnc_address(void)
{
	json_t *tree = program_json("list --json");
	json_t *ports = json_object_get(json_array_get(tree, 0), "vnc_ports");
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)json_integer_value(json_array_get(ports, 0))),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};

	json_decref(tree);
	return addr;
}

static int dial_vnc(const struct sockaddr_in *addr)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)addr, sizeof(*addr)), 0);
	return fd;
}

/* The VNC server's threads live in the sandbox as well. */
static void vnc_viewers_are_greeted(void **state)
{
	pid_t pid = program_serve("serve --socket %/vfio --name one --vnc 127.0.0.1:0 --log warn");
	struct sockaddr_in addr = vnc_address();
	char text[12];

	for (int i = 0; i < 3; i++) {
		int fd = dial_vnc(&addr);

		assert_int_equal(recv(fd, text, sizeof(text), MSG_WAITALL), sizeof(text));
		assert_memory_equal(text, "RFB 003.008\n", sizeof(text));
		close(fd);
	}
	program_end(pid);
}

/* @pipe shows 640x480 pixels from @surface on head @head. */
static void show(int fd, uint32_t pipe, uint32_t head, uint32_t surface)
{
	const uint32_t regs[][2] = {
		{ 0x60400, 0x80000000 | (head + 1) << 28 }, /* TRANS_DDI_FUNC_CTL */
		{ 0x60000, 739u << 16 | 639 }, /* HTOTAL, VTOTAL, VBLANK, VSYNC, PIPESRC */
		{ 0x6000c, 499u << 16 | 479 },
		{ 0x60010, 499u << 16 | 479 },
		{ 0x6001c, 639u << 16 | 479 },
		{ 0x70180, 0x84000000 }, /* PLANE_CTL */
		{ 0x70188, 640 * 4 / 64 },
		{ 0x70190, 479u << 16 | 639 },
		{ 0x70008, 1u << 31 }, /* PIPECONF */
	};

	for (size_t i = 0; i < ARRAY_SIZE(regs); i++)
		region_write(fd, 0, regs[i][0] + 0x1000 * pipe, regs[i][1]);
	region_write(fd, 0, 0x7019c + 0x1000 * pipe, surface); /* PLANE_SURF */
}

/* What the control socket of "one" answers to one call, error and all. */
static json_t *ask(const char *method, const char *params)
{
	char line[256], text[8192];
	int fd = dial("one.sock");
	json_t *answer;
	ssize_t n;

	sprintf(line, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":%s}\n", method,
		params);
	assert_int_equal(send(fd, line, strlen(line), MSG_NOSIGNAL), strlen(line));
	n = recv(fd, text, sizeof(text) - 1, 0);
	assert_true(n > 0);
	close(fd);
	text[n] = '\0';
	answer = json_loads(text, 0, NULL);
	assert_non_null(answer);
	return answer;
}

static void expect_error(const char *method, const char *params, const char *words)
{
	json_t *answer = ask(method, params);
	json_t *error = json_object_get(answer, "error");
	const char *message = json_string_value(json_object_get(error, "message"));

	assert_non_null(message);
	if (!strstr(message, words))
		fail_msg("%s %s: %s", method, params, message);
	json_decref(answer);
}

/* A pipe's row of `stat` or `display`: @head -1 for none, else it shows 640x480 there. */
static void expect_pipe(json_t *pipes, unsigned int index, const char *name, int head)
{
	json_t *pipe = json_array_get(pipes, index);

	assert_int_equal(json_array_size(pipes), 3);
	expect_text(pipe, "pipe", name);
	assert_int_equal(json_is_true(json_object_get(pipe, "active")), head >= 0);
	assert_int_equal(json_integer_value(json_object_get(pipe, "width")), head < 0 ? 0 : 640);
	if (head < 0)
		assert_true(json_is_null(json_object_get(pipe, "head")));
	else
		assert_int_equal(json_integer_value(json_object_get(pipe, "head")), head);
}

/* Pipe B drives the one monitor there is, which is on the second port. */
static void pipes_and_heads_have_numbers_of_their_own(void **state)
{
	pid_t pid = program_serve("serve --socket %/vfio --name one --display none --display hdmi "
				  "--vnc 127.0.0.1:0 --log warn");
	int fd = dial("vfio"), image;
	json_t *tree, *pipes;
	char text[1024];

	say_version(fd);
	show(fd, 1, 1, 0);
	tree = program_json("stat one --json");
	pipes = json_object_get(tree, "display");
	expect_pipe(pipes, 0, "A", -1);
	expect_pipe(pipes, 1, "B", 1);
	expect_pipe(pipes, 2, "C", -1);
	json_decref(tree);
	tree = program_json("display one --json");
	pipes = json_object_get(tree, "pipes");
	expect_pipe(pipes, 0, "A", -1);
	expect_pipe(pipes, 1, "B", 1);
	expect_text(json_array_get(json_object_get(tree, "monitors"), 0), "kind", "none");
	expect_text(json_array_get(json_object_get(tree, "monitors"), 1), "kind", "hdmi");
	json_decref(tree);
	assert_int_equal(program_run("display one", text, sizeof(text)), 0);
	assert_non_null(strstr(text, "pipe A: off\npipe B: shows 640x480 at "));
	assert_non_null(strstr(text, " Hz on head 1\npipe C: off\n"));
	assert_int_equal(
		control_call("one", "screenshot", json_pack("{s:i}", "head", 1), &tree, &image), 0);
	assert_int_equal(json_integer_value(json_object_get(tree, "width")), 640);
	json_decref(tree);
	close(image);
	expect_error("screenshot", "{}", "there is no head 0: `serve` was given no --display");
	expect_error("display.plug", "{\"plugged\":true}", "there is no head 0");
	expect_error("screenshot", "{\"head\":2}", "there is no head 2");
	tree = program_json("list --json");
	pipes = json_object_get(json_array_get(tree, 0), "vnc_ports");
	assert_true(json_is_null(json_array_get(pipes, 0)));
	assert_true(json_is_integer(json_array_get(pipes, 1)));
	json_decref(tree);
	close(fd);
	program_end(pid);
}

/* The reason and what would do, in words. */
static void modes_that_cannot_be_are_refused_with_a_remedy(void **state)
{
	pid_t pid = program_serve("serve --socket %/vfio --name one --log warn");
	json_t *tree, *monitor;

	expect_error("display.set_mode", "{\"width\":1920,\"height\":1080,\"refresh_hz\":144}",
		     "head 0: HDMI cannot carry 1920x1080@144: take a lower rate, or a dp port");
	expect_error("display.set_mode", "{\"width\":3840,\"height\":2160,\"refresh_hz\":60}",
		     "take a bigger --type");
	expect_error("display.set_mode", "{\"width\":1023,\"height\":768}", "widths are even");
	tree = program_json("display one --json");
	monitor = json_array_get(json_object_get(tree, "monitors"), 0);
	assert_int_equal(json_integer_value(json_object_get(monitor, "width")), 1024);
	json_decref(tree);
	program_end(pid);
}

static void a_screenshot_is_sealed(void **state)
{
	pid_t pid = program_serve("serve --socket %/vfio --name one --log warn");
	int fd = dial("vfio"), image;
	json_t *result;

	say_version(fd);
	show(fd, 0, 0, 0);
	assert_int_equal(control_call("one", "screenshot", NULL, &result, &image), 0);
	assert_int_equal(json_integer_value(json_object_get(result, "width")), 640);
	assert_int_equal(fcntl(image, F_GET_SEALS),
			 F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
	json_decref(result);
	close(image);
	close(fd);
	program_end(pid);
}

/* Pipe A shows 16 pages over and over, which the client does not hand over but by messages. */
static const struct vfu_dma_map messages_only = {
	.argsz = sizeof(messages_only), .flags = 3, .addr = 0x10000000, .bytes = 0x10000
};

static void show_by_messages(int fd)
{
	struct vfu_header reply;
	uint64_t frame;

	assert_int_equal(
		exchange(fd, VFU_DMA_MAP, &messages_only, sizeof(messages_only), &reply, 0), 0);
	for (uint32_t i = 0; i < 640 * 480 * 4 / 4096; i++) {
		region_write(fd, 0, 0x800000 + 8 * i,
			     (uint32_t)messages_only.addr + ((i % 16) << 12) + 1);
		region_write(fd, 0, 0x800004 + 8 * i, 0);
	}
	show(fd, 0, 0, 0);
	frame = region_read(fd, 0, 0x70040, 4); /* PIPE_FRMCOUNT: from the next on it is shown */
	while (region_read(fd, 0, 0x70040, 4) == frame)
		;
}

struct asking {
	json_t *result;
	int image, err;
	_Atomic bool done;
};

static void *ask_for_picture(void *arg)
{
	struct asking *asking = arg;

	asking->err = control_call("one", "screenshot", NULL, &asking->result, &asking->image);
	atomic_store(&asking->done, true);
	return NULL;
}

/* The next DMA_READ, its 64 bits of address and of count behind the header; false: none came. */
static bool next_read(int fd, struct asking *asking, struct vfu_header *header,
		      struct vfu_dma_access *access)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };

	while (!poll(&ready, 1, 10))
		if (atomic_load(&asking->done))
			return false;
	assert_int_equal(recv(fd, header, sizeof(*header), MSG_WAITALL), sizeof(*header));
	assert_int_equal(header->command, VFU_DMA_READ);
	assert_int_equal(recv(fd, access, sizeof(*access), MSG_WAITALL), sizeof(*access));
	return true;
}

/* Every word is its own address. */
static void answer_read(int fd, const struct vfu_header *header,
			const struct vfu_dma_access *access)
{
	struct {
		struct vfu_header header;
		struct vfu_dma_access access;
		uint32_t words[1024];
	} reply = { .header = *header, .access = *access };

	assert_in_range(access->count, 4, sizeof(reply.words));
	for (uint32_t i = 0; i < access->count / 4; i++)
		reply.words[i] = (uint32_t)access->addr + 4 * i;
	reply.header.flags = VFU_FLAG_REPLY;
	reply.header.bytes = (uint32_t)(sizeof(reply.header) + sizeof(*access) + access->count);
	assert_int_equal(send(fd, &reply, reply.header.bytes, MSG_NOSIGNAL), reply.header.bytes);
}

static void a_screenshot_may_come_by_messages(void **state)
{
	pid_t pid = program_serve("serve --socket %/vfio --name one --log warn");
	struct asking asking = { .image = -1 };
	struct vfu_dma_access access;
	struct vfu_header header;
	int fd = dial("vfio");
	uint32_t word;
	pthread_t thread;

	say_version(fd);
	show_by_messages(fd);
	assert_int_equal(pthread_create(&thread, NULL, ask_for_picture, &asking), 0);
	while (next_read(fd, &asking, &header, &access))
		answer_read(fd, &header, &access);
	pthread_join(thread, NULL);
	assert_int_equal(asking.err, 0);
	for (uint32_t at = 0; at < 640 * 480 * 4; at += 4) {
		assert_int_equal(pread(asking.image, &word, 4, at), 4);
		if (word != ((uint32_t)messages_only.addr + at % 0x10000) % (1u << 24))
			fail_msg("%#x at %#x", word, at);
	}
	json_decref(asking.result);
	close(asking.image);
	close(fd);
	program_end(pid);
}

/* No picture of what was not read: the memory goes while it is waited for. */
static void a_screenshot_is_whole_or_none(void **state)
{
	pid_t pid = program_serve("serve --socket %/vfio --name one --log warn");
	struct vfu_dma_unmap unmap = { .argsz = sizeof(unmap),
				       .addr = messages_only.addr,
				       .bytes = messages_only.bytes };
	struct asking asking = { .image = -1 };
	struct vfu_dma_access access;
	struct vfu_header header;
	int fd = dial("vfio");
	pthread_t thread;

	say_version(fd);
	show_by_messages(fd);
	assert_int_equal(pthread_create(&thread, NULL, ask_for_picture, &asking), 0);
	assert_true(next_read(fd, &asking, &header, &access));
	assert_int_equal(exchange(fd, VFU_DMA_UNMAP, &unmap, sizeof(unmap), &unmap, sizeof(unmap)),
			 0);
	pthread_join(thread, NULL);
	assert_int_not_equal(asking.err, 0);
	assert_int_equal(asking.image, -1);
	close(fd);
	program_end(pid);
}

/* A viewer watches memory that only a client who is silent could read. */
static void the_end_waits_for_no_picture(void **state)
{
	pid_t pid = program_serve("serve --socket %/vfio --name one --vnc 127.0.0.1:0 --log error");
	struct sockaddr_in addr = vnc_address();
	struct vfu_header header;
	int fd = dial("vfio"), viewer;

	say_version(fd);
	show_by_messages(fd);
	viewer = dial_vnc(&addr);
	assert_int_equal(recv(fd, &header, sizeof(header), MSG_WAITALL), sizeof(header));
	assert_int_equal(header.command, VFU_DMA_READ);
	program_end(pid);
	close(viewer);
	close(fd);
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
	say_version(fds[0]);
	assert_int_equal(region_read(fds[0], 7, 0, 4), 0x19128086);
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
		in_folder(monitors_are_shown_and_changed),
		in_folder(render_only_has_no_display),
		in_folder(truncated_memory_is_survived),
		in_folder(vnc_viewers_are_greeted),
		in_folder(a_screenshot_is_sealed),
		in_folder(pipes_and_heads_have_numbers_of_their_own),
		in_folder(modes_that_cannot_be_are_refused_with_a_remedy),
		in_folder(a_screenshot_may_come_by_messages),
		in_folder(a_screenshot_is_whole_or_none),
		in_folder(the_end_waits_for_no_picture),
		in_folder(a_connection_may_be_inherited),
	};

	if (!program_take(argc, argv))
		return 2;
	return cmocka_run_group_tests_name("cmd serve", tests, NULL, NULL);
}
