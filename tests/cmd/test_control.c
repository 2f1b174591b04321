/* SPDX-License-Identifier: MIT */
/*
 * The control socket: a well-behaved client, and bytes of every bad kind.  The server's loop is
 * turned by hand between a client's steps, so nothing depends on time.
 */
#include "cmd/control_server.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "cmd/control_client.h"
#include "tests/support/leaks.h"

struct fixture {
	struct leaks before;
	char dir[64], path[128];
	struct loop loop;
	struct runtime_dir runtime;
	struct control_server *server;
	unsigned int calls;
	uint64_t ticket; /* of the last call that waits for its answer */
};

/* ---- Methods of the test's ----------------------------------------------------------------- */

static void echo(void *opaque, json_t *params, struct control_reply *reply)
{
	struct fixture *f = opaque;

	f->calls++;
	reply->result = json_incref(params);
}

static void broken(void *opaque, json_t *params, struct control_reply *reply)
{
	control_reply_error(reply, CONTROL_FAILED, "it is %s", "broken");
}

static void file(void *opaque, json_t *params, struct control_reply *reply)
{
	reply->fd = memfd_create("test", MFD_CLOEXEC);
	assert_int_equal(write(reply->fd, "pixels", 6), 6);
}

static void big(void *opaque, json_t *params, struct control_reply *reply)
{
	static char text[400000];

	memset(text, 'x', sizeof(text) - 1);
	reply->result = json_pack("{s:s}", "text", text);
}

static void stop(void *opaque, json_t *params, struct control_reply *reply)
{
	struct fixture *f = opaque;

	loop_stop(&f->loop);
}

static void later(void *opaque, json_t *params, struct control_reply *reply)
{
	struct fixture *f = opaque;

	f->ticket = reply->ticket;
	reply->later = true;
}

static const struct control_method methods[] = {
	{ "echo", echo }, { "fail", broken }, { "file", file },
	{ "big", big },	  { "stop", stop },   { "later", later },
};

/* ---- Fixture ------------------------------------------------------------------------------- */

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int fd;

	f->before = leaks_count();
	log_threshold = LOG_ERROR;
	strcpy(f->dir, "/tmp/mediant-test-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	setenv("MEDIANT_RUNTIME_DIR", f->dir, 1);
	assert_int_equal(runtime_dir_open(&f->runtime, true), 0);
	assert_int_equal(runtime_dir_socket(&f->runtime, "one", ".sock", f->path, sizeof(f->path)),
			 0);
	assert_int_equal(loop_init(&f->loop), 0);
	fd = runtime_dir_listen(&f->runtime, f->path);
	assert_true(fd >= 0);
	assert_int_equal(
		control_server_create(&f->loop, fd, methods, ARRAY_SIZE(methods), f, &f->server),
		0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	int result;

	control_server_destroy(f->server);
	loop_fini(&f->loop);
	runtime_dir_close(&f->runtime);
	unlink(f->path);
	assert_int_equal(rmdir(f->dir), 0);
	result = leaks_compare(&f->before);
	free(f);
	return result;
}

/* Until nothing is left to do. */
static void turn(struct fixture *f)
{
	while (loop_run_once(&f->loop, 0) > 0)
		;
}

static int dial(struct fixture *f)
{
	int fd = runtime_dir_connect(f->path);

	assert_true(fd >= 0);
	turn(f);
	return fd;
}

/* What the server says to @bytes; NULL when it says nothing.  *@closed: it has hung up. */
static json_t *talk(struct fixture *f, int fd, const char *bytes, size_t len, bool *closed)
{
	static char text[500000];
	size_t got = 0;
	ssize_t n;

	assert_int_equal(send(fd, bytes, len, MSG_NOSIGNAL), len);
	do {
		turn(f);
		n = recv(fd, text + got, sizeof(text) - got, MSG_DONTWAIT);
		if (n > 0)
			got += (size_t)n;
	} while (n > 0);
	if (closed)
		*closed = n == 0;
	if (!got)
		return NULL;
	assert_int_equal(text[got - 1], '\n');
	return json_loadb(text, got - 1, 0, NULL);
}

static int error_code(json_t *answer)
{
	int code =
		(int)json_integer_value(json_object_get(json_object_get(answer, "error"), "code"));

	json_decref(answer);
	return code;
}

static int code_of(struct fixture *f, const char *line)
{
	int fd = dial(f);
	json_t *answer = talk(f, fd, line, strlen(line), NULL);

	assert_non_null(answer);
	close(fd);
	turn(f);
	return error_code(answer);
}

/* ---- Tests --------------------------------------------------------------------------------- */

static void a_call_is_answered(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);
	static const char line[] = "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"echo\","
				   "\"params\":{\"x\":1}}\n";
	json_t *answer = talk(f, fd, line, strlen(line), NULL);

	assert_string_equal(json_string_value(json_object_get(answer, "id")), "a");
	assert_string_equal(json_string_value(json_object_get(answer, "jsonrpc")), "2.0");
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(answer, "result"), "x")), 1);
	json_decref(answer);
	close(fd);
	turn(f);
}

static void a_call_may_come_in_pieces(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);
	static const char line[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\"}\n";
	json_t *answer = NULL;

	for (size_t i = 0; i < strlen(line); i++) {
		assert_null(answer);
		answer = talk(f, fd, &line[i], 1, NULL);
	}
	assert_non_null(json_object_get(answer, "result"));
	json_decref(answer);
	close(fd);
	turn(f);
}

static void many_calls_may_come_at_once(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);
	static const char lines[] = "\n{\"jsonrpc\":\"2.0\",\"method\":\"echo\"}\n"
				    "{\"jsonrpc\":\"2.0\",\"method\":\"echo\"}\n"
				    "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"echo\"}\n";
	json_t *answer = talk(f, fd, lines, strlen(lines), NULL); /* two are notifications */

	assert_int_equal(json_integer_value(json_object_get(answer, "id")), 3);
	assert_int_equal(f->calls, 3);
	json_decref(answer);
	close(fd);
	turn(f);
}

static void bad_calls_are_told(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(code_of(f, "hello\n"), CONTROL_PARSE_ERROR);
	assert_int_equal(code_of(f, "{\"jsonrpc\":\"2.0\"\n"), CONTROL_PARSE_ERROR);
	assert_int_equal(code_of(f, "\xff\xfe\n"), CONTROL_PARSE_ERROR);
	assert_int_equal(code_of(f, "{\"id\":1,\"id\":1}\n"), CONTROL_PARSE_ERROR);
	assert_int_equal(code_of(f, "[]\n"), CONTROL_INVALID_REQUEST);
	assert_int_equal(code_of(f, "{}\n"), CONTROL_INVALID_REQUEST);
	assert_int_equal(code_of(f, "{\"id\":1,\"method\":\"echo\"}\n"), CONTROL_INVALID_REQUEST);
	assert_int_equal(code_of(f, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":7}\n"),
			 CONTROL_INVALID_REQUEST);
	assert_int_equal(code_of(f, "{\"jsonrpc\":\"2.0\",\"id\":[],\"method\":\"echo\"}\n"),
			 CONTROL_INVALID_REQUEST);
	assert_int_equal(code_of(f, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"nope\"}\n"),
			 CONTROL_NO_METHOD);
	assert_int_equal(code_of(f, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\","
				    "\"params\":[1]}\n"),
			 CONTROL_INVALID_PARAMS);
	assert_int_equal(code_of(f, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"fail\"}\n"),
			 CONTROL_FAILED);
	assert_int_equal(f->calls, 0);
}

static void a_nul_byte_is_no_json(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);
	json_t *answer = talk(f, fd, "{\0}\n", 4, NULL);

	assert_int_equal(error_code(answer), CONTROL_PARSE_ERROR);
	close(fd);
	turn(f);
}

static void deep_nesting_is_refused(void **state)
{
	struct fixture *f = *state;
	char line[CONTROL_LINE_BYTES];
	int fd = dial(f);

	memset(line, '[', sizeof(line));
	line[sizeof(line) - 1] = '\n';
	assert_int_equal(error_code(talk(f, fd, line, sizeof(line), NULL)), CONTROL_PARSE_ERROR);
	close(fd);
	turn(f);
}

static void an_endless_line_ends_the_connection(void **state)
{
	struct fixture *f = *state;
	static char line[CONTROL_LINE_BYTES];
	bool closed = false;
	int fd = dial(f);

	memset(line, 'x', sizeof(line));
	assert_int_equal(error_code(talk(f, fd, line, sizeof(line), &closed)), CONTROL_PARSE_ERROR);
	assert_true(closed);
	close(fd);
	assert_int_equal(code_of(f, "{}\n"), CONTROL_INVALID_REQUEST); /* others are served */
}

static void a_client_may_vanish(void **state)
{
	struct fixture *f = *state;
	static const char line[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"file\"}\n";
	int fd = dial(f);

	assert_int_equal(send(fd, line, strlen(line), 0), strlen(line));
	close(fd);
	turn(f);
	fd = dial(f);
	assert_int_equal(send(fd, line, 10, 0), 10);
	close(fd);
	turn(f);
	assert_int_equal(code_of(f, "{}\n"), CONTROL_INVALID_REQUEST);
}

/* It asks and never reads: what it can make the server hold is one answer. */
static void a_deaf_client_harms_nobody(void **state)
{
	struct fixture *f = *state;
	static const char line[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"big\"}\n";
	int deaf = dial(f);
	int sent = 0;

	while (send(deaf, line, strlen(line), MSG_DONTWAIT) > 0 && sent++ < 10000)
		turn(f);
	assert_true(sent < 10000); /* the server has stopped reading */
	assert_int_equal(code_of(f, "{}\n"), CONTROL_INVALID_REQUEST);
	close(deaf);
	turn(f);
}

#define LATER "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"later\"}\n"
#define ECHO  "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"echo\"}\n"

static void finish(struct fixture *f, uint64_t ticket)
{
	struct control_reply reply = { .fd = memfd_create("test", MFD_CLOEXEC) };

	reply.result = json_pack("{s:s}", "text", "at last");
	control_server_answer(f->server, ticket, &reply);
}

/* What comes after it waits for the answer as well; others do not. */
static void an_answer_may_come_later(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);
	json_t *answer;
	char text[256] = "";
	ssize_t n;

	assert_null(talk(f, fd, LATER ECHO, strlen(LATER ECHO), NULL));
	assert_int_equal(f->calls, 0);
	assert_int_equal(code_of(f, "{}\n"), CONTROL_INVALID_REQUEST);
	finish(f, f->ticket);
	turn(f);
	n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);
	assert_true(n > 0);
	assert_non_null(strstr(text, "\"id\":1,\"result\":{\"text\":\"at last\"}"));
	if (!strstr(text, "\"id\":2"))
		assert_true(recv(fd, text + n, sizeof(text) - 1 - (size_t)n, MSG_DONTWAIT) > 0);
	assert_non_null(strstr(text, "\"id\":2,\"result\":{}"));
	answer = talk(f, fd, ECHO, strlen(ECHO), NULL);
	assert_int_equal(json_integer_value(json_object_get(answer, "id")), 2);
	json_decref(answer);
	close(fd);
	turn(f);
}

static void nobody_may_wait_for_an_answer(void **state)
{
	static const char notification[] = "{\"jsonrpc\":\"2.0\",\"method\":\"later\"}\n";
	struct fixture *f = *state;
	int fd = dial(f);
	uint64_t ticket;

	assert_null(talk(f, fd, LATER, strlen(LATER), NULL));
	ticket = f->ticket;
	close(fd);
	turn(f);
	fd = dial(f); /* its memory may be the other one's */
	assert_null(talk(f, fd, notification, strlen(notification), NULL));
	finish(f, ticket);
	finish(f, f->ticket);
	assert_null(talk(f, fd, LATER, strlen(LATER), NULL)); /* and the server ends */
	close(fd);
}

static void clients_are_limited(void **state)
{
	struct fixture *f = *state;
	int fds[CONTROL_CLIENTS + 1];
	char byte;

	for (unsigned int i = 0; i <= CONTROL_CLIENTS; i++)
		fds[i] = dial(f);
	assert_int_equal(recv(fds[CONTROL_CLIENTS], &byte, 1, MSG_DONTWAIT), 0);
	assert_int_equal(recv(fds[0], &byte, 1, MSG_DONTWAIT), -1);
	for (unsigned int i = 0; i <= CONTROL_CLIENTS; i++)
		close(fds[i]);
	turn(f);
	assert_int_equal(code_of(f, "{}\n"), CONTROL_INVALID_REQUEST);
}

/* Who knocks waits until descriptors are free again, and nobody is woken in vain meanwhile. */
static void out_of_descriptors(void **state)
{
	struct fixture *f = *state;
	struct rlimit limit, none;
	struct pollfd answer = { .events = POLLIN };
	static const char line[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\"}\n";
	int fd = runtime_dir_connect(f->path), turns = 0;

	assert_true(fd >= 0);
	assert_int_equal(send(fd, line, strlen(line), MSG_NOSIGNAL), strlen(line));
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = (struct rlimit){ .rlim_cur = 0, .rlim_max = limit.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	while (turns < 20 && loop_run_once(&f->loop, 0) > 0)
		turns++;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_in_range(turns, 1, 19);
	answer.fd = fd;
	while (!poll(&answer, 1, 0))
		assert_true(loop_run_once(&f->loop, 10000) > 0);
	close(fd);
	turn(f);
}

static void names_are_cut_between_characters(void **state)
{
	struct fixture *f = *state;
	char line[256], name[81];

	/* 63 bytes, then characters of 2, 3 and 4 bytes where the 64th ends. */
	for (int i = 0; i < 4; i++) {
		static const char *const tails[] = { "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80",
						     "x" };

		memset(name, 'a', 63);
		strcpy(name + 63, tails[i]);
		sprintf(line, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\"}\n", name);
		assert_int_equal(code_of(f, line), CONTROL_NO_METHOD);
	}
}

static void messages_are_always_text(void **state)
{
	static const struct {
		const char *said, *told;
	} cases[] = {
		{ "caf\xc3\xa9 \xf0\x9f\x98\x80", "caf\xc3\xa9 \xf0\x9f\x98\x80" },
		{ "a\x80z", "a?z" },
		{ "\xe2\x82", "??" },
		{ "\xc0\xaf", "??" },
		{ "\xed\xa0\x80", "???" }, /* half of a pair */
		{ "\xe0\x9f\xbf", "???" },
		{ "\xf4\x90\x80\x80", "????" },
		{ "\xf5\xff", "??" },
	};
	struct control_reply reply;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		control_reply_error(&reply, CONTROL_FAILED, "%s", cases[i].said);
		assert_string_equal(reply.message, cases[i].told);
	}
}

static void *serve(void *arg)
{
	struct fixture *f = arg;

	loop_run(&f->loop);
	return NULL;
}

/* The client's half against the server's, in a thread of its own. */
static void the_client_talks_to_the_server(void **state)
{
	struct fixture *f = *state;
	pthread_t thread;
	json_t *result;
	char bytes[8];
	int fd;

	assert_int_equal(pthread_create(&thread, NULL, serve, f), 0);
	assert_int_equal(control_call("one", "echo", json_pack("{s:i}", "x", 5), &result, &fd), 0);
	assert_int_equal(json_integer_value(json_object_get(result, "x")), 5);
	assert_int_equal(fd, -1);
	json_decref(result);
	assert_int_equal(control_call("one", "file", NULL, &result, &fd), 0);
	json_decref(result);
	assert_int_equal(pread(fd, bytes, sizeof(bytes), 0), 6);
	close(fd);
	assert_int_equal(control_call("one", "big", NULL, &result, NULL), 0);
	json_decref(result);
	assert_int_equal(control_call("one", "file", NULL, &result, NULL), 0); /* not wanted */
	json_decref(result);
	assert_int_not_equal(control_call("one", "fail", NULL, &result, NULL), 0);
	assert_int_equal(control_call("two", "echo", json_object(), &result, NULL), -ENOENT);
	assert_int_equal(control_call("../one", "echo", NULL, &result, NULL), -ENOENT);
	assert_int_equal(control_call("one", "stop", NULL, &result, NULL), 0);
	json_decref(result);
	pthread_join(thread, NULL);
}

static void *lie(void *arg)
{
	int *fd = arg;
	char byte;

	(void)!recv(*fd, &byte, 1, 0);
	(void)!write(*fd, "[\"no answer\"]\n", 14);
	return NULL;
}

static void the_client_copes_with_nonsense(void **state)
{
	int fds[2];
	pthread_t thread;
	json_t *result;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(pthread_create(&thread, NULL, lie, &fds[1]), 0);
	assert_int_equal(control_call_on(fds[0], "liar", "ping", NULL, &result, NULL), -EPROTO);
	pthread_join(thread, NULL);
	close(fds[1]);
	assert_int_not_equal(control_call_on(fds[0], "gone", "ping", NULL, &result, NULL), 0);
	close(fds[0]);
}

#define with_server(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_server(a_call_is_answered),
		with_server(a_call_may_come_in_pieces),
		with_server(many_calls_may_come_at_once),
		with_server(bad_calls_are_told),
		with_server(a_nul_byte_is_no_json),
		with_server(deep_nesting_is_refused),
		with_server(an_endless_line_ends_the_connection),
		with_server(a_client_may_vanish),
		with_server(a_deaf_client_harms_nobody),
		with_server(an_answer_may_come_later),
		with_server(nobody_may_wait_for_an_answer),
		with_server(clients_are_limited),
		with_server(out_of_descriptors),
		with_server(names_are_cut_between_characters),
		with_server(messages_are_always_text),
		with_server(the_client_talks_to_the_server),
		leak_checked(the_client_copes_with_nonsense),
	};

	return cmocka_run_group_tests_name("cmd control", tests, NULL, NULL);
}
