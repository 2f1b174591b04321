/* SPDX-License-Identifier: MIT */
/*
 * The control socket's server.  Each client has one buffer for a line and at most one reply in
 * flight: while a reply is being made or waits for room in the socket the client's next line stays
 * unread, so what a client can make us hold is bounded.  Runs in the loop's thread.
 */
#include "cmd/control_server.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define PAUSE_NS (500 * NSEC_PER_MSEC)

struct control_client {
	struct loop_source source;
	struct control_server *server;
	struct control_client *next;
	size_t in_len;
	char *out; /* the reply being sent, NULL for none */
	size_t out_len, out_sent;
	int out_fd;
	uint64_t ticket; /* of the call whose answer is to come; 0: of none */
	json_t *id;	 /* that call's; NULL: nobody waits for the answer */
	bool closing;	 /* after the reply: the stream cannot be followed any more */
	void (*closed)(void *opaque,
		       const void *client); /* NULL: nobody wants to know of the end */
	char in[CONTROL_LINE_BYTES];
};

struct control_server {
	struct loop_source source; /* the listening socket */
	struct loop_timer again;   /* when to listen again, after descriptors ran out */
	struct loop *loop;
	const struct control_method *methods;
	size_t method_count;
	void *opaque;
	struct control_client *clients;
	unsigned int client_count;
	uint64_t tickets; /* given out so far */
};

/* How many bytes the UTF-8 character at @text has; 0 when there is none.  A NUL ends it early. */
static size_t character_bytes(const char *text)
{
	const unsigned char *c = (const unsigned char *)text;
	size_t bytes;

	if (c[0] < 0x80)
		return 1;
	if (c[0] < 0xc2 || c[0] > 0xf4)
		return 0;
	bytes = c[0] < 0xe0 ? 2 : c[0] < 0xf0 ? 3 : 4;
	/* Too long a form, half of a surrogate pair, beyond the last character. */
	if ((c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xed && c[1] > 0x9f) ||
	    (c[0] == 0xf0 && c[1] < 0x90) || (c[0] == 0xf4 && c[1] > 0x8f))
		return 0;
	for (size_t i = 1; i < bytes; i++)
		if ((c[i] & 0xc0) != 0x80)
			return 0;
	return bytes;
}

/* What a client said may be cut in the middle of a character, which no JSON can carry. */
static void make_printable(char *text)
{
	while (*text) {
		size_t bytes = character_bytes(text);

		if (!bytes)
			*text = '?';
		text += MAX(bytes, (size_t)1);
	}
}

void control_reply_error(struct control_reply *reply, enum control_error error, const char *fmt,
			 ...)
{
	va_list ap;

	reply->error = error;
	va_start(ap, fmt);
	vsnprintf(reply->message, sizeof(reply->message), fmt, ap);
	va_end(ap);
	make_printable(reply->message);
}

/* ---- One call ------------------------------------------------------------------------------ */

static const struct control_method *find_method(const struct control_server *server,
						const char *name)
{
	for (size_t i = 0; i < server->method_count; i++)
		if (!strcmp(server->methods[i].name, name))
			return &server->methods[i];
	return NULL;
}

static bool id_good(const json_t *id)
{
	return !id || json_is_string(id) || json_is_number(id) || json_is_null(id);
}

/* Checks the shape of @request and calls its method. */
static void dispatch(struct control_server *server, json_t *request, struct control_reply *reply)
{
	const char *version = json_string_value(json_object_get(request, "jsonrpc"));
	const char *name = json_string_value(json_object_get(request, "method"));
	json_t *params = json_object_get(request, "params");
	const struct control_method *method;

	if (!json_is_object(request) || !version || strcmp(version, "2.0") || !name ||
	    !id_good(json_object_get(request, "id"))) {
		control_reply_error(reply, CONTROL_INVALID_REQUEST,
				    "not a JSON-RPC 2.0 request: an object with \"jsonrpc\": "
				    "\"2.0\", \"method\" and \"id\" is expected");
		return;
	}
	method = find_method(server, name);
	if (!method) {
		control_reply_error(reply, CONTROL_NO_METHOD, "no method \"%.64s\"", name);
		return;
	}
	if (params && !json_is_object(params)) {
		control_reply_error(reply, CONTROL_INVALID_PARAMS, "\"params\" must be an object");
		return;
	}
	params = params ? json_incref(params) : json_object();
	if (params)
		method->call(server->opaque, params, reply);
	json_decref(params);
}

static json_t *reply_body(struct control_reply *reply)
{
	if (reply->error)
		return json_pack("{s:i, s:s}", "code", (int)reply->error, "message",
				 reply->message);
	return reply->result ? json_incref(reply->result) : json_object();
}

/* Hands the reply to the client's output; without memory for it the client is given up. */
static void queue_reply(struct control_client *client, json_t *id, struct control_reply *reply)
{
	json_t *message = json_pack("{s:s, s:o?, s:o?}", "jsonrpc", "2.0", "id",
				    id ? json_incref(id) : json_null(),
				    reply->error ? "error" : "result", reply_body(reply));
	char *text = message ? json_dumps(message, JSON_COMPACT) : NULL;

	json_decref(message);
	if (!text) {
		client->closing = true;
		return;
	}
	client->out_len = strlen(text);
	text[client->out_len++] = '\n'; /* in the place of the NUL */
	client->out = text;
	client->out_sent = 0;
	client->out_fd = reply->fd;
	reply->fd = -1;
}

static void finish_reply(struct control_reply *reply)
{
	json_decref(reply->result);
	if (reply->fd >= 0)
		close(reply->fd);
}

/* What becomes of @reply, whose call had @id. */
static void answer(struct control_client *client, json_t *id, struct control_reply *reply)
{
	if (id || reply->error == CONTROL_PARSE_ERROR || reply->error == CONTROL_INVALID_REQUEST)
		queue_reply(client, id, reply);
	finish_reply(reply);
}

/* One line without its end.  A call without an id is a notification: done, not answered. */
static void handle_line(struct control_client *client, const char *line, size_t len)
{
	struct control_reply reply = { .fd = -1,
				       .client = client,
				       .ticket = ++client->server->tickets };
	json_error_t error;
	json_t *request = json_loadb(line, len, JSON_REJECT_DUPLICATES, &error);
	json_t *id = json_object_get(request, "id");

	if (!request)
		control_reply_error(&reply, CONTROL_PARSE_ERROR, "not JSON: %.200s", error.text);
	else
		dispatch(client->server, request, &reply);
	if (reply.closed)
		client->closed = reply.closed;
	if (!id_good(id))
		id = NULL;
	if (reply.later) {
		client->ticket = reply.ticket;
		client->id = json_incref(id);
	} else {
		answer(client, id, &reply);
	}
	json_decref(request);
}

/* ---- One client ---------------------------------------------------------------------------- */

static void drop_out(struct control_client *client)
{
	free(client->out);
	client->out = NULL;
	if (client->out_fd >= 0)
		close(client->out_fd);
	client->out_fd = -1;
}

static void client_close(struct control_client *client)
{
	if (client->closed)
		client->closed(client->server->opaque, client);
	loop_remove(client->server->loop, &client->source);
	close(client->source.fd);
	drop_out(client);
	json_decref(client->id);
	free(client);
}

static void client_destroy(struct control_client *client)
{
	struct control_server *server = client->server;
	struct control_client **link = &server->clients;

	while (*link != client)
		link = &(*link)->next;
	*link = client->next;
	server->client_count--;
	client_close(client);
}

static ssize_t send_some(struct control_client *client)
{
	struct iovec iov = { client->out + client->out_sent, client->out_len - client->out_sent };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (client->out_fd >= 0) {
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &client->out_fd, sizeof(int));
	}
	return sendmsg(client->source.fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Sends what the socket takes; false when the client is lost. */
static bool flush_out(struct control_client *client)
{
	while (client->out) {
		ssize_t n = send_some(client);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		if (client->out_fd >= 0)
			close(client->out_fd);
		client->out_fd = -1;
		client->out_sent += (size_t)n;
		if (client->out_sent == client->out_len)
			drop_out(client);
	}
	return !client->closing;
}

static void refuse_long_line(struct control_client *client)
{
	struct control_reply reply = { .fd = -1 };

	control_reply_error(&reply, CONTROL_PARSE_ERROR, "a line is longer than %u bytes",
			    CONTROL_LINE_BYTES - 1);
	queue_reply(client, NULL, &reply);
	client->closing = true;
}

/* Handles whole lines until there is none or a reply is due; false when the client is lost. */
static bool handle_lines(struct control_client *client)
{
	while (!client->out && !client->ticket && !client->closing) {
		char *end = memchr(client->in, '\n', client->in_len);

		if (!end) {
			if (client->in_len == sizeof(client->in))
				refuse_long_line(client);
			break;
		}
		if (end != client->in)
			handle_line(client, client->in, (size_t)(end - client->in));
		client->in_len -= (size_t)(end + 1 - client->in);
		memmove(client->in, end + 1, client->in_len);
		if (!flush_out(client))
			return false;
	}
	return flush_out(client);
}

/* False when the client has gone. */
static bool receive(struct control_client *client)
{
	ssize_t n = recv(client->source.fd, client->in + client->in_len,
			 sizeof(client->in) - client->in_len, MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	client->in_len += (size_t)n;
	return n > 0;
}

/* After whatever happened to it: waits for what can be next. */
static void client_settle(struct control_client *client, bool alive)
{
	uint32_t wanted = client->out ? EPOLLOUT : client->ticket ? 0 : EPOLLIN;

	if (!alive)
		client_destroy(client);
	else if (wanted != client->source.events)
		loop_modify(client->server->loop, &client->source, wanted);
}

static void client_ready(struct loop_source *source, uint32_t events)
{
	struct control_client *client = container_of(source, struct control_client, source);
	bool alive = true;

	if (client->out)
		alive = flush_out(client);
	else if (!client->ticket && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		alive = receive(client);
	if (alive)
		alive = handle_lines(client);
	if ((client->out || client->ticket) && (events & EPOLLHUP))
		alive = false;
	client_settle(client, alive);
}

void control_server_answer(struct control_server *server, uint64_t ticket,
			   struct control_reply *reply)
{
	struct control_client *client = server->clients;
	json_t *id;

	while (client && client->ticket != ticket)
		client = client->next;
	if (!client) {
		finish_reply(reply);
		return;
	}
	id = client->id;
	client->id = NULL;
	client->ticket = 0;
	answer(client, id, reply);
	json_decref(id);
	client_settle(client, flush_out(client) && handle_lines(client));
}

static int client_create(struct control_server *server, int fd)
{
	struct control_client *client = malloc(sizeof(*client));
	int err;

	if (!client)
		return -ENOMEM;
	client->source = (struct loop_source){ .fd = fd, .events = EPOLLIN, .ready = client_ready };
	client->server = server;
	client->in_len = 0;
	client->out = NULL;
	client->out_fd = -1;
	client->ticket = 0;
	client->id = NULL;
	client->closing = false;
	client->closed = NULL;
	err = loop_add(server->loop, &client->source);
	if (err) {
		free(client);
		return err;
	}
	client->next = server->clients;
	server->clients = client;
	server->client_count++;
	return 0;
}

/* ---- The server ---------------------------------------------------------------------------- */

static void listen_again(struct loop_timer *timer)
{
	struct control_server *server = container_of(timer, struct control_server, again);

	loop_modify(server->loop, &server->source, EPOLLIN);
}

/* Who knocks stays in the socket's queue and would wake us at once, for ever. */
static void pause_listening(struct control_server *server)
{
	log_limited(LOG_WARN, "control socket: cannot accept: %s", strerror(errno));
	loop_modify(server->loop, &server->source, 0);
	loop_timer_set(&server->again, clock_now_ns() + PAUSE_NS);
}

static void accept_ready(struct loop_source *source, uint32_t events)
{
	struct control_server *server = container_of(source, struct control_server, source);
	int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			pause_listening(server);
		return;
	}
	if (server->client_count >= CONTROL_CLIENTS || client_create(server, fd)) {
		log_limited(LOG_WARN, "control socket: more than %u clients at once; one refused",
			    CONTROL_CLIENTS);
		close(fd);
	}
}

int control_server_create(struct loop *loop, int listen_fd, const struct control_method *methods,
			  size_t method_count, void *opaque, struct control_server **out)
{
	struct control_server *server = calloc(1, sizeof(*server));
	int err = server ? 0 : -ENOMEM;

	if (server) {
		server->source = (struct loop_source){ .fd = listen_fd,
						       .events = EPOLLIN,
						       .ready = accept_ready };
		server->loop = loop;
		server->methods = methods;
		server->method_count = method_count;
		server->opaque = opaque;
		err = loop_timer_init(loop, &server->again, listen_again);
		if (!err) {
			err = loop_add(loop, &server->source);
			if (err)
				loop_timer_fini(loop, &server->again);
		}
	}
	if (err) {
		close(listen_fd);
		free(server);
		return err;
	}
	*out = server;
	return 0;
}

void control_server_destroy(struct control_server *server)
{
	struct control_client *next;

	if (!server)
		return;
	for (struct control_client *client = server->clients; client; client = next) {
		next = client->next;
		client_close(client);
	}
	loop_timer_fini(server->loop, &server->again);
	loop_remove(server->loop, &server->source);
	close(server->source.fd);
	free(server);
}
