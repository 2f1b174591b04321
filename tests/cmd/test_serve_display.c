/* SPDX-License-Identifier: MIT */
/*
 * What `mediant serve` shows: monitors, screenshots, VNC viewers, asked from outside.  argv[1] is
 * the program.
 */
#include <fcntl.h>
#include <jansson.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cmd/control_client.h"
#include "tests/cmd/serve_client.h"

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
		serve_write(fd, 0, regs[i][0] + 0x1000 * pipe, regs[i][1]);
	serve_write(fd, 0, 0x7019c + 0x1000 * pipe, surface); /* PLANE_SURF */
}

/* What the control socket of "one" answers to one call, error and all. */
static json_t *ask(const char *method, const char *params)
{
	char line[256], text[8192];
	int fd = serve_dial("one.sock");
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
	program_expect(pipe, "pipe", name);
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
	int fd = serve_dial("vfio"), image;
	json_t *tree, *pipes;
	char text[1024];

	serve_say_version(fd);
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
	program_expect(json_array_get(json_object_get(tree, "monitors"), 0), "kind", "none");
	program_expect(json_array_get(json_object_get(tree, "monitors"), 1), "kind", "hdmi");
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
	int fd = serve_dial("vfio"), image;
	json_t *result;

	serve_say_version(fd);
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
		serve_exchange(fd, VFU_DMA_MAP, &messages_only, sizeof(messages_only), &reply, 0),
		0);
	for (uint32_t i = 0; i < 640 * 480 * 4 / 4096; i++) {
		serve_write(fd, 0, 0x800000 + 8 * i,
			    (uint32_t)messages_only.addr + ((i % 16) << 12) + 1);
		serve_write(fd, 0, 0x800004 + 8 * i, 0);
	}
	show(fd, 0, 0, 0);
	frame = serve_read(fd, 0, 0x70040, 4); /* PIPE_FRMCOUNT: from the next on it is shown */
	while (serve_read(fd, 0, 0x70040, 4) == frame)
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

/* The next DMA_READ, its 64 bits of address and of count behind the header; false: none
 * came. */
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
	int fd = serve_dial("vfio");
	uint32_t word;
	pthread_t thread;

	serve_say_version(fd);
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
	int fd = serve_dial("vfio");
	pthread_t thread;

	serve_say_version(fd);
	show_by_messages(fd);
	assert_int_equal(pthread_create(&thread, NULL, ask_for_picture, &asking), 0);
	assert_true(next_read(fd, &asking, &header, &access));
	assert_int_equal(
		serve_exchange(fd, VFU_DMA_UNMAP, &unmap, sizeof(unmap), &unmap, sizeof(unmap)), 0);
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
	int fd = serve_dial("vfio"), viewer;

	serve_say_version(fd);
	show_by_messages(fd);
	viewer = dial_vnc(&addr);
	assert_int_equal(recv(fd, &header, sizeof(header), MSG_WAITALL), sizeof(header));
	assert_int_equal(header.command, VFU_DMA_READ);
	program_end(pid);
	close(viewer);
	close(fd);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		in_folder(monitors_are_shown_and_changed),
		in_folder(render_only_has_no_display),
		in_folder(vnc_viewers_are_greeted),
		in_folder(a_screenshot_is_sealed),
		in_folder(pipes_and_heads_have_numbers_of_their_own),
		in_folder(modes_that_cannot_be_are_refused_with_a_remedy),
		in_folder(a_screenshot_may_come_by_messages),
		in_folder(a_screenshot_is_whole_or_none),
		in_folder(the_end_waits_for_no_picture),
	};

	if (!program_take(argc, argv))
		return 2;
	return cmocka_run_group_tests_name("cmd serve display", tests, NULL, NULL);
}
