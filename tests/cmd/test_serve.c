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
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "cmd/control_client.h"
#include "cmd/process.h"
#include "cmd/runtime_dir.h"
#include "cmd/sandbox.h"
#include "tests/support/leaks.h"
#include "vfio_user/wire.h"

#define LIMIT_NS (20 * NSEC_PER_SEC)
#define MAX_ARGS 24

static const char *program;
static char folder[64];
static struct leaks before;

/* ---- Running the program ------------------------------------------------------------------- */

static bool never(const char *text)
{
	return false;
}

static bool has_line(const char *text)
{
	return strchr(text, '\n') != NULL;
}

static bool has_more_line(const char *text)
{
	return strstr(text, "one more line") != NULL;
}

/* Starts `mediant LINE`, its words apart by blanks, '%' standing for the test's folder. */
static pid_t start(const char *line, int *out_fd)
{
	static char copy[1024];
	char *argv[MAX_ARGS] = { (char *)(uintptr_t)program };
	struct process_options options = { .take_stdout = true };
	int argc = 1;
	pid_t pid;

	copy[0] = '\0';
	for (const char *c = line; *c; c++) {
		if (*c == '%')
			strcat(copy, folder);
		else
			strncat(copy, c, 1);
	}
	for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
		argv[argc++] = word;
	pid = process_start(argv, &options, out_fd);
	assert_true(pid > 0);
	return pid;
}

/* Runs it to its end; the exit status, and what it printed. */
static int run(const char *line, char *text, size_t size)
{
	int fd, status;
	pid_t pid = start(line, &fd);

	assert_int_equal(process_read(fd, text, size, clock_now_ns() + LIMIT_NS, never), 0);
	close(fd);
	status = process_wait(pid, clock_now_ns() + LIMIT_NS);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static pid_t serve(const char *line)
{
	char text[512];
	int fd;
	pid_t pid = start(line, &fd);

	assert_int_equal(process_read(fd, text, sizeof(text), clock_now_ns() + LIMIT_NS, has_line),
			 1);
	assert_non_null(strstr(text, "is ready on"));
	close(fd);
	return pid;
}

static void end(pid_t pid)
{
	int status = process_end(pid, LIMIT_NS);

	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static json_t *run_json(const char *line)
{
	static char text[65536];
	json_t *tree;

	assert_int_equal(run(line, text, sizeof(text)), 0);
	tree = json_loads(text, 0, NULL);
	assert_non_null(tree);
	return tree;
}

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

	sprintf(path, "%s/%s", folder, file);
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

/* ---- Fixture ------------------------------------------------------------------------------- */

static int setup(void **state)
{
	before = leaks_count();
	strcpy(folder, "/tmp/mediant-test-XXXXXX");
	assert_non_null(mkdtemp(folder));
	return setenv("MEDIANT_RUNTIME_DIR", folder, 1);
}

/* Whoever served has removed its sockets: the folder must be empty. */
static int teardown(void **state)
{
	assert_int_equal(rmdir(folder), 0);
	return leaks_compare(&before);
}

/* ---- Tests --------------------------------------------------------------------------------- */

static void it_starts_and_ends(void **state)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP };
	char path[128];
	struct stat st;

	sprintf(path, "%s/gpu0.socket", folder);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		pid_t pid = serve("serve --socket %/gpu0.socket --vnc 127.0.0.1:0 --log warn");
		int status;

		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 0777, 0600);
		kill(pid, signals[i]);
		status = process_wait(pid, clock_now_ns() + LIMIT_NS);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
		assert_int_equal(stat(path, &st), -1);
	}
}

static void a_client_finds_the_vgpu(void **state)
{
	pid_t pid = serve("serve --socket %/vfio --name one --log warn");
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
	end(pid);
}

static int member(json_t *tree, const char *object, const char *key)
{
	return (int)json_integer_value(json_object_get(json_object_get(tree, object), key));
}

static void stat_counts_what_a_client_does(void **state)
{
	pid_t pid = serve("serve --socket %/vfio --name one --log warn");
	int fd = dial("vfio");
	char text[8192];
	json_t *tree;

	say_version(fd);
	for (int i = 0; i < 5; i++)
		region_read(fd, 0, 0x78000, 8);
	for (int i = 0; i < 3; i++)
		region_read(fd, 0, 0x200000, 4);
	tree = run_json("stat one --json");
	assert_string_equal(json_string_value(json_object_get(tree, "name")), "one");
	assert_true(json_is_true(json_object_get(tree, "connected")));
	assert_false(json_is_true(json_object_get(tree, "driver_ready")));
	assert_int_equal(run("stat one", text, sizeof(text)), 0);
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
	end(pid);
}

static void names_are_taken_once(void **state)
{
	pid_t pid = serve("serve --socket %/a --name one --log warn");
	char text[1024];

	assert_int_equal(run("serve --socket %/b --name one", text, sizeof(text)), 1);
	assert_int_equal(run("stat two", text, sizeof(text)), 1);
	end(pid);
	assert_int_equal(run("stat one", text, sizeof(text)), 1);
}

static void running_vgpus_are_listed(void **state)
{
	pid_t a = serve("serve --socket %/a --name alpha --log warn");
	pid_t b = serve("serve --socket %/b --name beta --render-only --log warn");
	json_t *tree = run_json("list --json");
	char text[1024];

	assert_int_equal(json_array_size(tree), 2);
	assert_string_equal(json_string_value(json_object_get(json_array_get(tree, 1), "name")),
			    "beta");
	assert_int_equal(json_integer_value(json_object_get(json_array_get(tree, 0), "pid")), a);
	json_decref(tree);
	assert_int_equal(run("list", text, sizeof(text)), 0);
	assert_non_null(strstr(text, "alpha"));
	end(a);
	kill(b, SIGKILL); /* its control socket stays, and is removed by the next list */
	process_wait(b, clock_now_ns() + LIMIT_NS);
	tree = run_json("list --json");
	assert_int_equal(json_array_size(tree), 0);
	json_decref(tree);
	sprintf(text, "%s/b", folder);
	assert_int_equal(unlink(text), 0);
}

static void a_dead_servers_socket_is_replaced(void **state)
{
	pid_t pid = serve("serve --socket %/vfio --name one --log warn");
	int fd;

	kill(pid, SIGKILL);
	process_wait(pid, clock_now_ns() + LIMIT_NS);
	pid = serve("serve --socket %/vfio --name one --log warn");
	fd = dial("vfio");
	say_version(fd);
	close(fd);
	end(pid);
}

static void monitors_are_shown_and_changed(void **state)
{
	pid_t pid = serve("serve --socket %/vfio --name one --display hdmi:800x600 --display "
			  "dp:1280x1024:off --log warn");
	json_t *tree, *monitor;
	char text[1024];

	assert_int_equal(run("display one --mode 1600x900", text, sizeof(text)), 0);
	assert_int_equal(run("display one --head 1 --plug", text, sizeof(text)), 0);
	tree = run_json("display one --json");
	monitor = json_array_get(json_object_get(tree, "monitors"), 0);
	assert_int_equal(json_integer_value(json_object_get(monitor, "width")), 1600);
	monitor = json_array_get(json_object_get(tree, "monitors"), 1);
	assert_string_equal(json_string_value(json_object_get(monitor, "kind")), "dp");
	assert_true(json_is_true(json_object_get(monitor, "plugged")));
	json_decref(tree);
	assert_int_equal(run("display one --head 2 --plug", text, sizeof(text)), 1);
	assert_int_equal(run("display one --mode 3840x2160", text, sizeof(text)), 1);
	assert_int_equal(run("display one --mode 4000x4000", text, sizeof(text)), 2);
	assert_int_equal(run("display one --mode big", text, sizeof(text)), 2);
	assert_int_equal(run("display one --plug --unplug", text, sizeof(text)), 2);
	/* No driver has turned the pipe on. */
	assert_int_equal(run("screenshot one %/x.png", text, sizeof(text)), 1);
	end(pid);
}

static void render_only_has_no_display(void **state)
{
	pid_t pid = serve("serve --socket %/vfio --name one --render-only --log warn");
	char text[1024];

	assert_int_equal(run("screenshot one %/x.png", text, sizeof(text)), 1);
	assert_int_equal(run("display one", text, sizeof(text)), 1);
	end(pid);
}

/* The sandbox: a filter in force, no capabilities, no core dumps, few descriptors. */
static void the_sandbox_is_closed(void **state)
{
	pid_t pid = serve("serve --socket %/vfio --name one --log warn");
	char path[64], text[4096];
	FILE *file;
	size_t n;

	sprintf(path, "/proc/%d/status", (int)pid);
	file = fopen(path, "r");
	assert_non_null(file);
	n = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[n] = '\0';
	assert_non_null(strstr(text, "NoNewPrivs:\t1"));
	assert_non_null(strstr(text, "CapEff:\t0000000000000000"));
	if (SANDBOX_FILTERS)
		assert_non_null(strstr(text, "Seccomp:\t2"));
	end(pid);
}

/* In the sandbox too, memory that its owner takes away reads as zeros. */
static void truncated_memory_is_survived(void **state)
{
	pid_t pid = serve("serve --socket %/vfio --name one --log error");
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
	end(pid);
}

/* Where the first one's first head is to be seen. */
static struct sockaddr_in vnc_address(void)
{
	json_t *tree = run_json("list --json");
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
	pid_t pid = serve("serve --socket %/vfio --name one --vnc 127.0.0.1:0 --log warn");
	struct sockaddr_in addr = vnc_address();
	char text[12];

	for (int i = 0; i < 3; i++) {
		int fd = dial_vnc(&addr);

		assert_int_equal(recv(fd, text, sizeof(text), MSG_WAITALL), sizeof(text));
		assert_memory_equal(text, "RFB 003.008\n", sizeof(text));
		close(fd);
	}
	end(pid);
}

/* Pipe A shows 640x480 pixels from @surface. */
static void show(int fd, uint32_t surface)
{
	static const uint32_t regs[][2] = {
		{ 0x60400, 0x90000000 },       /* TRANS_DDI_FUNC_CTL */
		{ 0x60000, 739u << 16 | 639 }, /* HTOTAL, VTOTAL, VBLANK, VSYNC, PIPESRC */
		{ 0x6000c, 499u << 16 | 479 }, { 0x60010, 499u << 16 | 479 },
		{ 0x6001c, 639u << 16 | 479 }, { 0x70180, 0x84000000 }, /* PLANE_CTL */
		{ 0x70188, 640 * 4 / 64 },     { 0x70190, 479u << 16 | 639 },
		{ 0x70008, 1u << 31 }, /* PIPECONF */
	};

	for (size_t i = 0; i < ARRAY_SIZE(regs); i++)
		region_write(fd, 0, regs[i][0], regs[i][1]);
	region_write(fd, 0, 0x7019c, surface); /* PLANE_SURF */
}

static void a_screenshot_is_sealed(void **state)
{
	pid_t pid = serve("serve --socket %/vfio --name one --log warn");
	int fd = dial("vfio"), image;
	json_t *result;

	say_version(fd);
	show(fd, 0);
	assert_int_equal(control_call("one", "screenshot", NULL, &result, &image), 0);
	assert_int_equal(json_integer_value(json_object_get(result, "width")), 640);
	assert_int_equal(fcntl(image, F_GET_SEALS),
			 F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
	json_decref(result);
	close(image);
	close(fd);
	end(pid);
}

/* A viewer watches memory that only a client who is silent could read. */
static void the_end_waits_for_no_picture(void **state)
{
	struct vfu_dma_map map = {
		.argsz = sizeof(map), .flags = 3, .addr = 0x10000000, .bytes = 0x10000
	};
	pid_t pid = serve("serve --socket %/vfio --name one --vnc 127.0.0.1:0 --log error");
	struct sockaddr_in addr = vnc_address();
	struct vfu_header header;
	int fd = dial("vfio"), viewer;

	say_version(fd);
	assert_int_equal(exchange(fd, VFU_DMA_MAP, &map, sizeof(map), &header, 0), 0);
	for (uint32_t i = 0; i < 16; i++) {
		region_write(fd, 0, 0x800000 + 8 * i, (uint32_t)map.addr + (i << 12) + 1);
		region_write(fd, 0, 0x800004 + 8 * i, 0);
	}
	show(fd, 0);
	viewer = dial_vnc(&addr);
	assert_int_equal(recv(fd, &header, sizeof(header), MSG_WAITALL), sizeof(header));
	assert_int_equal(header.command, VFU_DMA_READ);
	end(pid);
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
	pid = start(line, &out);
	close(fds[1]);
	assert_int_equal(process_read(out, text, sizeof(text), clock_now_ns() + LIMIT_NS, has_line),
			 1);
	setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	say_version(fds[0]);
	assert_int_equal(region_read(fds[0], 7, 0, 4), 0x19128086);
	close(fds[0]);
	close(out);
	status = process_wait(pid, clock_now_ns() + LIMIT_NS);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void bad_command_lines_are_refused(void **state)
{
	static const char *const lines[] = {
		"serve",
		"serve --socket",
		"serve --socket %/a --fd 0",
		"serve --fd 99",
		"serve --fd x",
		"serve --socket %/a --type huge",
		"serve --socket %/a --name ../a",
		"serve --socket %/a --display vga",
		"serve --socket %/a --display hdmi:9999x9999",
		"serve --socket %/a --display hdmi --display hdmi --display dp --display dp",
		"serve --socket %/a --type i915-GVTg_V5_8 --display hdmi:3840x2160",
		"serve --socket %/a --render-only --display hdmi",
		"serve --socket %/a --render-only --vnc :1",
		"serve --socket %/a --vnc 5900",
		"serve --socket %/a --gpu real",
		"serve --socket %/a --log loud",
		"serve --socket %/a --trace nothing_of_the_kind",
		"serve --socket %/a --device x.json --type i915-GVTg_V5_8",
		"serve --socket %/a word",
		"serve --nonsense",
		"nonsense",
		"types word",
		"list word",
		"stat",
		"stat a b",
		"screenshot a",
		"screenshot a b --head 3",
		"decode",
		"decode a --engine x",
		"display",
	};
	char text[8192];

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		assert_int_equal(run(lines[i], text, sizeof(text)), 2);
}

static void what_cannot_be_done_is_told(void **state)
{
	char text[1024];

	assert_int_equal(run("serve --socket %/no/folder/a --log error", text, sizeof(text)), 1);
	assert_int_equal(run("serve --socket %/a --vnc 203.0.113.1:1", text, sizeof(text)), 1);
	assert_int_equal(run("serve --socket %/a --device %/no.json", text, sizeof(text)), 1);
	assert_int_equal(run("decode %/no/file", text, sizeof(text)), 1);
}

static void help_is_there(void **state)
{
	static const char *const commands[] = { "serve", "run",	       "types",	  "list",
						"stat",	 "screenshot", "display", "decode" };
	char line[64], text[8192], again[8192];

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		sprintf(line, "%s --help", commands[i]);
		assert_int_equal(run(line, text, sizeof(text)), 0);
		assert_non_null(strstr(text, "Usage: mediant"));
		assert_null(strchr(text, '\t'));
		sprintf(line, "help %s", commands[i]);
		assert_int_equal(run(line, again, sizeof(again)), 0);
		assert_string_equal(text, again);
	}
	assert_int_equal(run("help", text, sizeof(text)), 0);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		assert_non_null(strstr(text, commands[i]));
	assert_int_equal(run("--version", text, sizeof(text)), 0);
	assert_int_equal(strncmp(text, "mediant ", 8), 0);
}

static void types_and_capabilities_are_json(void **state)
{
	json_t *tree = run_json("types --json");

	assert_true(json_array_size(tree) >= 1);
	assert_true(json_is_integer(json_object_get(json_array_get(tree, 0), "fences")));
	json_decref(tree);
	tree = run_json("serve --print-capabilities");
	assert_string_equal(json_string_value(json_object_get(tree, "type")), "gpu");
	json_decref(tree);
}

static void a_dump_is_decoded(void **state)
{
	char path[128], text[4096];
	FILE *file;

	sprintf(path, "%s/dump.txt", folder);
	file = fopen(path, "w");
	fputs("0x1000: 11000001 00002358 00000000\n0x100c: 05000000\n", file);
	fclose(file);
	assert_int_equal(run("decode %/dump.txt --raw", text, sizeof(text)), 0);
	assert_non_null(strstr(text, "MI_LOAD_REGISTER_IMM"));
	assert_non_null(strstr(text, "MI_BATCH_BUFFER_END"));
	assert_non_null(strstr(text, "1000"));
	unlink(path);
}

static void a_dry_run_prints_both_command_lines(void **state)
{
	char text[8192];

	setenv("MEDIANT_QEMU", "/no/such/qemu", 1);
	assert_int_equal(
		run("run --dry-run --name vm --accel tcg --kernel /dev/null", text, sizeof(text)),
		0);
	unsetenv("MEDIANT_QEMU");
	assert_non_null(strstr(text, " serve --socket "));
	assert_non_null(strstr(text, "/vm.vfio --name vm --vnc 127.0.0.1:0\n/no/such/qemu "));
	assert_non_null(strstr(text, "\"driver\":\"vfio-user-pci\""));
}

/* ---- `mediant run` with a QEMU that is a shell script -------------------------------------- */

static void make_qemu(const char *body)
{
	char path[128];
	FILE *file;

	sprintf(path, "%s/qemu", folder);
	file = fopen(path, "w");
	fprintf(file,
		"#!/bin/sh\n"
		"[ \"$1\" = -device ] && { echo '\"vfio-user-pci\"'; exit 0; }\n"
		"%s\n",
		body);
	fclose(file);
	chmod(path, 0700);
	sprintf(path, "%s/qemu", folder);
	setenv("MEDIANT_QEMU", path, 1);
}

static void drop_qemu(void)
{
	char path[128];

	sprintf(path, "%s/qemu", folder);
	unlink(path);
	unsetenv("MEDIANT_QEMU");
}

#define RUN_LINE "run --name vm --accel tcg --kernel /dev/null --log warn"

static void run_ends_as_qemu_does(void **state)
{
	char text[1024], *ready, *qemu;

	make_qemu("echo qemu is up; exit 7");
	assert_int_equal(run(RUN_LINE, text, sizeof(text)), 7);
	ready = strstr(text, "is ready on");
	qemu = strstr(text, "qemu is up");
	assert_true(ready && qemu && ready < qemu);
	drop_qemu();
}

/* Starts `run` whose QEMU goes on until SIGTERM; the pid of its vGPU. */
static pid_t run_on(pid_t *runner)
{
	json_t *tree;
	char text[1024];
	pid_t vgpu;
	int fd;

	make_qemu("trap 'exit 0' TERM; echo one more line; while :; do sleep 0.05; done");
	*runner = start(RUN_LINE, &fd);
	assert_int_equal(
		process_read(fd, text, sizeof(text), clock_now_ns() + LIMIT_NS, has_more_line), 1);
	close(fd);
	tree = run_json("list --json");
	vgpu = (pid_t)json_integer_value(json_object_get(json_array_get(tree, 0), "pid"));
	json_decref(tree);
	assert_true(vgpu > 0);
	return vgpu;
}

/* Also when nobody has reaped it yet. */
static bool is_gone(pid_t pid)
{
	char path[64], state = 'Z';
	FILE *file;

	sprintf(path, "/proc/%d/stat", (int)pid);
	file = fopen(path, "r");
	if (!file)
		return true;
	if (fscanf(file, "%*d %*s %c", &state) != 1)
		state = 'Z';
	fclose(file);
	return state == 'Z';
}

static void run_is_asked_to_end(void **state)
{
	pid_t runner, vgpu = run_on(&runner);

	end(runner); /* status 0: the script's */
	assert_true(is_gone(vgpu));
	drop_qemu();
}

static void run_does_not_go_on_without_its_vgpu(void **state)
{
	pid_t runner, vgpu = run_on(&runner);
	json_t *tree;
	int status;

	kill(vgpu, SIGKILL);
	status = process_wait(runner, clock_now_ns() + LIMIT_NS);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1);
	tree = run_json("list --json"); /* and removes what the vGPU could not */
	assert_int_equal(json_array_size(tree), 0);
	json_decref(tree);
	drop_qemu();
}

static void run_killed_leaves_nobody_behind(void **state)
{
	pid_t runner, vgpu = run_on(&runner);
	uint64_t deadline_ns = clock_now_ns() + LIMIT_NS;

	kill(runner, SIGKILL);
	process_wait(runner, clock_now_ns() + LIMIT_NS);
	while (!is_gone(vgpu) && clock_now_ns() < deadline_ns)
		usleep(10000);
	assert_true(is_gone(vgpu));
	drop_qemu();
}

static void run_tells_that_the_vgpu_cannot_start(void **state)
{
	pid_t pid = serve("serve --socket %/a --name vm --log warn");
	char text[1024];

	make_qemu("echo not reached");
	assert_int_equal(run(RUN_LINE, text, sizeof(text)), 1);
	assert_string_equal(text, "");
	end(pid);
	drop_qemu();
}

#define in_folder(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		in_folder(it_starts_and_ends),
		in_folder(a_client_finds_the_vgpu),
		in_folder(stat_counts_what_a_client_does),
		in_folder(names_are_taken_once),
		in_folder(running_vgpus_are_listed),
		in_folder(a_dead_servers_socket_is_replaced),
		in_folder(monitors_are_shown_and_changed),
		in_folder(render_only_has_no_display),
		in_folder(the_sandbox_is_closed),
		in_folder(truncated_memory_is_survived),
		in_folder(vnc_viewers_are_greeted),
		in_folder(a_screenshot_is_sealed),
		in_folder(the_end_waits_for_no_picture),
		in_folder(a_connection_may_be_inherited),
		in_folder(bad_command_lines_are_refused),
		in_folder(what_cannot_be_done_is_told),
		in_folder(help_is_there),
		in_folder(types_and_capabilities_are_json),
		in_folder(a_dump_is_decoded),
		in_folder(a_dry_run_prints_both_command_lines),
		in_folder(run_ends_as_qemu_does),
		in_folder(run_is_asked_to_end),
		in_folder(run_does_not_go_on_without_its_vgpu),
		in_folder(run_killed_leaves_nobody_behind),
		in_folder(run_tells_that_the_vgpu_cannot_start),
	};

	if (argc < 2) {
		fprintf(stderr, "usage: %s PATH-OF-MEDIANT\n", argv[0]);
		return 2;
	}
	program = argv[1];
	return cmocka_run_group_tests_name("cmd serve", tests, NULL, NULL);
}
