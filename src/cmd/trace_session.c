/* SPDX-License-Identifier: MIT */
/* One vGPU that is traced; see trace_session.h. */
#include "cmd/trace_session.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "cmd/control_client.h"

#define CHUNK_RECORDS  512u
#define STALLED_DRAINS 100u /* a second of them */

/* ---- Beginning ------------------------------------------------------------------------------- */

int trace_session_open(struct trace_session *session, const char *name)
{
	*session = (struct trace_session){ .name = name };
	session->fd = control_connect(name);
	return session->fd < 0 ? session->fd : 0;
}

/* The kernel's word for which process is at the other end; 0 when it is not to be seen from here.
 */
static uint32_t peer_pid(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) ? 0 : (uint32_t)peer.pid;
}

static void name_process(const struct trace_session *session, struct trace_file *file, uint32_t pid,
			 unsigned int index)
{
	json_t *ping = NULL;
	char text[128];
	const char *type = NULL;

	if (!control_call_on(session->fd, session->name, "ping", NULL, &ping, NULL))
		type = json_string_value(json_object_get(ping, "type"));
	snprintf(text, sizeof(text), "%s (%s)", session->name, type ? type : "?");
	trace_file_process(file, pid, text, index);
	json_decref(ping);
}

static uint8_t our_point(const char *name)
{
	for (unsigned int i = 0; name && i < TRACE_POINTS; i++)
		if (!strcmp(trace_name((enum trace_point)i), name))
			return (uint8_t)i;
	return TRACE_POINTS;
}

/* What the vGPU says of its ring; -EPROTO when it makes no sense. */
static int take_answer(struct trace_session *session, json_t *answer, int ring_fd)
{
	json_int_t records = json_integer_value(json_object_get(answer, "records"));
	json_t *names = json_object_get(answer, "points");

	session->cursor.at = (uint64_t)json_integer_value(json_object_get(answer, "at"));
	session->point_count = (unsigned int)MIN(json_array_size(names), TRACE_POINTS_MAX);
	for (unsigned int i = 0; i < session->point_count; i++)
		session->points[i] = our_point(json_string_value(json_array_get(names, i)));
	if (records <= 0 || records > TRACE_RING_RECORDS_MAX ||
	    json_integer_value(json_object_get(answer, "record_bytes")) !=
		    (json_int_t)sizeof(struct trace_record)) {
		if (ring_fd >= 0)
			close(ring_fd);
		return -EPROTO;
	}
	return trace_ring_attach(&session->ring, ring_fd, (uint32_t)records);
}

int trace_session_start(struct trace_session *session, const char *points, struct trace_file *file,
			unsigned int index)
{
	uint32_t pid = peer_pid(session->fd);
	json_t *answer = NULL;
	int ring_fd = -1, err;

	/* A number that is no other's, where processes cannot be told apart. */
	pid = pid ? pid : index + 1;
	name_process(session, file, pid, index);
	trace_view_init(&session->view, file, pid, index, clock_now_ns());
	err = control_call_on(session->fd, session->name, "trace.start",
			      json_pack("{s:s}", "points", points), &answer, &ring_fd);
	if (err)
		return err;
	err = take_answer(session, answer, ring_fd);
	json_decref(answer);
	if (err)
		log_error("%s: what it gives as its trace makes no sense: is it another version of "
			  "mediant?",
			  session->name);
	return err;
}

/* ---- Reading --------------------------------------------------------------------------------- */

static void tell_lost(struct trace_session *session, uint64_t ns)
{
	uint64_t lost = session->cursor.lost - session->lost_told;

	if (lost)
		trace_view_lost(&session->view, ns, lost);
	session->lost_told = session->cursor.lost;
}

static void show(struct trace_session *session, struct trace_record *records, size_t count,
		 uint64_t now_ns)
{
	tell_lost(session, count ? MIN(records[0].time_ns, now_ns) : now_ns);
	for (size_t i = 0; i < count; i++) {
		uint32_t theirs = records[i].point;

		records[i].point = theirs < session->point_count ? session->points[theirs]
								 : TRACE_POINTS;
		trace_view_record(&session->view, &records[i], now_ns);
	}
	session->records += count;
}

/*
 * Whoever writes a record may lose its CPU meanwhile; it is waited for, but not for ever, and not
 * until those behind it are overwritten.
 */
static bool waits_in_vain(const struct trace_session *session)
{
	uint64_t behind = trace_ring_next(&session->ring) - session->cursor.at;

	/* A record that no drain has met yet may only just have been begun, however many wait. */
	return session->stalled >= STALLED_DRAINS ||
	       (session->stalled && behind > session->ring.records / 2);
}

void trace_session_drain(struct trace_session *session, bool last)
{
	struct trace_record records[CHUNK_RECORDS];
	size_t taken, total = 0;
	bool give_up;

	if (!session->ring.memory)
		return;
	give_up = last || waits_in_vain(session);
	do {
		taken = trace_ring_take(&session->ring, &session->cursor, records, CHUNK_RECORDS,
					give_up);
		show(session, records, taken, clock_now_ns());
		total += taken;
	} while (taken && total < session->ring.records);
	if (total || give_up || session->cursor.at == trace_ring_next(&session->ring))
		session->stalled = 0;
	else
		session->stalled++;
	if (last)
		trace_view_end(&session->view, clock_now_ns());
}

/* ---- Ending ---------------------------------------------------------------------------------- */

bool trace_session_over(const struct trace_session *session)
{
	struct pollfd pollfd = { .fd = session->fd, .events = POLLIN | POLLRDHUP };

	return poll(&pollfd, 1, 0) != 0; /* it has nothing to say unasked */
}

void trace_session_stop(struct trace_session *session)
{
	json_t *answer = NULL;

	if (session->ring.memory && !trace_session_over(session))
		control_call_on(session->fd, session->name, "trace.stop", NULL, &answer, NULL);
	json_decref(answer);
}

void trace_session_close(struct trace_session *session)
{
	trace_ring_fini(&session->ring);
	if (session->fd >= 0)
		close(session->fd);
	session->fd = -1;
}
