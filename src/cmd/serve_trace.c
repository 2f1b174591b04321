/* SPDX-License-Identifier: MIT */
/*
 * Tracing a vGPU that runs: one control client at a time turns points on, gets the ring's memory
 * file, and reads it without a word to us.  The points go off when it says so or when its
 * connection ends, however that came about.  In the loop's thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/trace.h"
#include "cmd/serve.h"

static void stop(struct serve *serve)
{
	trace_disable();
	serve->tracer = NULL;
}

/* Of the client that started: it may have stopped already, and another one have begun. */
static void tracer_gone(void *opaque, const void *client)
{
	struct serve *serve = opaque;

	if (serve->tracer == client)
		stop(serve);
}

/* Names in the order of their numbers, which may differ in the reader's version. */
static json_t *point_names(void)
{
	json_t *names = json_array();

	for (int i = 0; i < TRACE_POINTS; i++)
		json_array_append_new(names, json_string(trace_name((enum trace_point)i)));
	return names;
}

static void answer(const struct trace_ring *ring, uint64_t at, struct control_reply *reply)
{
	reply->fd = fcntl(ring->fd, F_DUPFD_CLOEXEC, 0);
	if (reply->fd < 0) {
		control_reply_error(reply, CONTROL_FAILED, "no descriptor is left: %s",
				    strerror(errno));
		return;
	}
	reply->result = json_pack("{s:i, s:i, s:I, s:o}", "records", (int)ring->records,
				  "record_bytes", (int)sizeof(struct trace_record), "at",
				  (json_int_t)at, "points", point_names());
}

void serve_trace_start(void *opaque, json_t *params, struct control_reply *reply)
{
	struct serve *serve = opaque;
	const char *points = json_string_value(json_object_get(params, "points"));
	uint64_t at = trace_ring()->memory ? trace_ring_next(trace_ring()) : 0;
	int err;

	if (!points) {
		control_reply_error(reply, CONTROL_INVALID_PARAMS,
				    "\"points\" must be patterns, such as \"vgpu_*,gpu_fault\"");
		return;
	}
	if (serve->tracer) {
		control_reply_error(reply, CONTROL_FAILED,
				    "somebody traces it already: let that one end first");
		return;
	}
	err = trace_enable(points);
	if (err) {
		control_reply_error(reply, CONTROL_FAILED, "\"points\": %s",
				    err == -ENOENT ? "no trace point has such a name"
						   : strerror(-err));
		return;
	}
	serve->tracer = reply->client;
	reply->closed = tracer_gone;
	answer(trace_ring(), at, reply);
	if (reply->error)
		stop(serve);
}

void serve_trace_stop(void *opaque, json_t *params, struct control_reply *reply)
{
	struct serve *serve = opaque;

	if (serve->tracer != reply->client) {
		control_reply_error(reply, CONTROL_FAILED, "this connection does not trace it");
		return;
	}
	stop(serve);
}
