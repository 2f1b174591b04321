/* SPDX-License-Identifier: MIT */
/*
 * JSON-RPC 2.0, one message a line, over a UNIX socket: the server's half.  It knows framing and
 * errors; what the methods do is in the table it is handed.
 *
 * Everything runs in the loop's thread and nothing blocks: a client whose replies are not taken
 * is not read from.  A line is at most CONTROL_LINE_BYTES, clients at most CONTROL_CLIENTS.
 */
#ifndef CMD_CONTROL_SERVER_H
#define CMD_CONTROL_SERVER_H

#include <jansson.h>

#include "base/loop.h"

#define CONTROL_LINE_BYTES 16384u
#define CONTROL_CLIENTS	   16u

/* JSON-RPC's own error codes, and ours for a call that could not be done. */
enum control_error {
	CONTROL_PARSE_ERROR = -32700,
	CONTROL_INVALID_REQUEST = -32600,
	CONTROL_NO_METHOD = -32601,
	CONTROL_INVALID_PARAMS = -32602,
	CONTROL_FAILED = -32000,
};

/* What a method answers: a result, or an error with a text that names the remedy. */
struct control_reply {
	json_t *result;		  /* a reference that the server takes over; NULL counts as {} */
	int fd;			  /* goes with the reply and is closed by the server; -1 for none */
	enum control_error error; /* 0: none */
	char message[256];
	const void *client; /* the server's: who asks, for comparing with who asked before */
	uint64_t ticket;    /* the server's: this call, for control_server_answer() */
	bool later; /* set by the method: the answer is to come, this one is not looked at */
	/* Set by the method: called when this client's connection ends. */
	void (*closed)(void *opaque, const void *client);
};

struct control_method {
	const char *name;
	/* @params is an object (empty when the call had none). */
	void (*call)(void *opaque, json_t *params, struct control_reply *reply);
};

void control_reply_error(struct control_reply *reply, enum control_error error, const char *fmt,
			 ...) PRINTF_LIKE(3, 4);

struct control_server;

/*
 * @listen_fd is non-blocking, and the server's from now on, also on failure.  @methods is borrowed.
 */
int control_server_create(struct loop *loop, int listen_fd, const struct control_method *methods,
			  size_t method_count, void *opaque, struct control_server **server);
/*
 * The answer to a call that was to have it later, once for each; what @reply holds is the server's
 * now, also when the client has gone.  The loop's thread, not from a method.  Until it comes the
 * client is not read from.
 */
void control_server_answer(struct control_server *server, uint64_t ticket,
			   struct control_reply *reply);
/* Ends every client's connection.  Removing the socket file is the caller's. */
void control_server_destroy(struct control_server *server);

#endif
