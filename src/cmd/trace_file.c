/* SPDX-License-Identifier: MIT */
/*
 * The timeline's file; see trace_file.h.  Slices are written when they end, as one "X" event; the
 * order of lines is free.  Times are microseconds with three decimals.
 *
 * An arrow belongs to the slice that is open on its track at its time.  Nothing inside a slice
 * begins in its first two nanoseconds, so one after the slice's begin the choice is clear.
 */
#include "cmd/trace_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#define SLICE_LEAST_NS 2u

/* ---- Text ------------------------------------------------------------------------------------ */

static bool plain(unsigned char c)
{
	return c >= ' ' && c < 0x7f && c != '"' && c != '\\';
}

/* @text as it may stand between quotes: what JSON would have to escape becomes '?'. */
static void sanitize(char *out, size_t size, const char *text)
{
	size_t len = 0;

	for (; *text && len + 1 < size; text++)
		out[len++] = plain((unsigned char)*text) ? *text : '?';
	out[len] = '\0';
}

PRINTF_LIKE(2, 3) static void add(struct trace_args *args, const char *fmt, ...)
{
	size_t room = sizeof(args->text) - args->len;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(args->text + args->len, room, fmt, ap);
	va_end(ap);
	if (n > 0 && (size_t)n < room)
		args->len += (size_t)n;
	args->text[args->len] = '\0';
}

static const char *comma(const struct trace_args *args)
{
	return args->len ? "," : "";
}

void trace_args_number(struct trace_args *args, const char *key, uint64_t value)
{
	add(args, "%s\"%s\":%" PRIu64, comma(args), key, value);
}

void trace_args_hex(struct trace_args *args, const char *key, uint64_t value)
{
	add(args, "%s\"%s\":\"0x%" PRIx64 "\"", comma(args), key, value);
}

void trace_args_text(struct trace_args *args, const char *key, const char *text)
{
	char clean[128];

	sanitize(clean, sizeof(clean), text);
	add(args, "%s\"%s\":\"%s\"", comma(args), key, clean);
}

/* ---- The file -------------------------------------------------------------------------------- */

PRINTF_LIKE(2, 3) static void write_event(struct trace_file *file, const char *fmt, ...)
{
	va_list ap;
	int n;

	fputs(file->events++ ? ",\n" : "\n", file->out);
	va_start(ap, fmt);
	n = vfprintf(file->out, fmt, ap);
	va_end(ap);
	file->bytes += 2 + (n > 0 ? (uint64_t)n : 0);
}

#define TIME	  "%" PRIu64 ".%03u"
#define TIME_(ns) (ns) / 1000, (unsigned int)((ns) % 1000)

int trace_file_open(struct trace_file *file, const char *path)
{
	int fd = strcmp(path, "-") ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)
				   : dup(STDOUT_FILENO);

	*file = (struct trace_file){ .out = fd < 0 ? NULL : fdopen(fd, "w") };
	if (!file->out) {
		int err = -errno;

		if (fd >= 0)
			close(fd);
		return err;
	}
	setvbuf(file->out, NULL, _IOFBF, 1 << 18);
	fputs("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[", file->out);
	return 0;
}

int trace_file_close(struct trace_file *file, uint64_t lost, uint64_t refused)
{
	bool failed;

	fprintf(file->out,
		"\n],\"otherData\":{\"clock\":\"CLOCK_MONOTONIC\",\"lost_records\":%" PRIu64
		",\"refused_records\":%" PRIu64 "}}\n",
		lost, refused);
	failed = ferror(file->out);
	errno = 0;
	if (fclose(file->out) || failed)
		return errno ? -errno : -EIO;
	return 0;
}

void trace_file_process(struct trace_file *file, uint32_t pid, const char *name, uint32_t order)
{
	char clean[128];

	sanitize(clean, sizeof(clean), name);
	write_event(
		file,
		"{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":%u,\"args\":{\"name\":\"%s\"}}",
		pid, clean);
	write_event(file,
		    "{\"ph\":\"M\",\"name\":\"process_sort_index\",\"pid\":%u,"
		    "\"args\":{\"sort_index\":%u}}",
		    pid, order);
}

void trace_file_counter(struct trace_file *file, uint32_t pid, const char *name, uint64_t ns,
			uint64_t value)
{
	write_event(file,
		    "{\"ph\":\"C\",\"name\":\"%s\",\"pid\":%u,\"ts\":" TIME
		    ",\"args\":{\"value\":%" PRIu64 "}}",
		    name, pid, TIME_(ns), value);
}

/* ---- Tracks ---------------------------------------------------------------------------------- */

void trace_track_init(struct trace_track *track, struct trace_file *file, uint32_t pid,
		      uint32_t tid, const char *name)
{
	*track = (struct trace_track){ .file = file, .pid = pid, .tid = tid, .name = name };
}

static void tell_name(struct trace_track *track)
{
	if (track->told)
		return;
	track->told = true;
	write_event(track->file,
		    "{\"ph\":\"M\",\"name\":\"thread_name\",\"pid\":%u,\"tid\":%u,"
		    "\"args\":{\"name\":\"%s\"}}",
		    track->pid, track->tid, track->name);
	write_event(track->file,
		    "{\"ph\":\"M\",\"name\":\"thread_sort_index\",\"pid\":%u,\"tid\":%u,"
		    "\"args\":{\"sort_index\":%u}}",
		    track->pid, track->tid, track->tid);
}

static uint64_t place_start(struct trace_track *track, uint64_t ns)
{
	tell_name(track);
	ns = MAX(ns, track->last_ns + 1);
	track->last_ns = ns + SLICE_LEAST_NS - 1;
	return ns;
}

static uint64_t place_end(struct trace_track *track, uint64_t ns)
{
	ns = MAX(ns, track->last_ns + 1);
	track->last_ns = ns;
	return ns;
}

static void write_slice(struct trace_track *track, uint64_t start_ns, uint64_t end_ns,
			const char *name, const struct trace_args *args)
{
	write_event(
		track->file,
		"{\"ph\":\"X\",\"name\":\"%s\",\"cat\":\"%s\",\"pid\":%u,\"tid\":%u,\"ts\":" TIME
		",\"dur\":" TIME ",\"args\":{%s}}",
		name, track->name, track->pid, track->tid, TIME_(start_ns),
		TIME_(end_ns - start_ns), args ? args->text : "");
}

void trace_track_open(struct trace_track *track, uint64_t ns, const char *name,
		      const struct trace_args *args)
{
	struct trace_slice *slice = &track->open[track->depth];

	if (track->depth == TRACE_TRACK_DEPTH)
		return;
	track->depth++;
	slice->start_ns = place_start(track, ns);
	track->flow_ns = slice->start_ns + 1;
	sanitize(slice->name, sizeof(slice->name), name);
	slice->args = args ? *args : (struct trace_args){ .len = 0 };
}

void trace_track_add(struct trace_track *track, unsigned int depth, const struct trace_args *args)
{
	struct trace_args *to = &track->open[depth].args;

	if (depth < track->depth && args->len)
		add(to, "%s%s", comma(to), args->text);
}

void trace_track_close(struct trace_track *track, uint64_t ns, unsigned int depth)
{
	while (track->depth > depth) {
		const struct trace_slice *slice = &track->open[--track->depth];

		write_slice(track, slice->start_ns, place_end(track, ns), slice->name,
			    &slice->args);
	}
}

void trace_track_leaf(struct trace_track *track, uint64_t start_ns, uint64_t end_ns,
		      const char *name, const struct trace_args *args)
{
	char clean[64];
	uint64_t start = place_start(track, start_ns);

	sanitize(clean, sizeof(clean), name);
	write_slice(track, start, place_end(track, end_ns), clean, args);
	track->flow_ns = start + 1;
}

void trace_track_instant(struct trace_track *track, uint64_t ns, const char *name,
			 const struct trace_args *args)
{
	char clean[64];

	tell_name(track);
	/* Not before the arrow of the slice that begins right now: it would catch it. */
	ns = MAX(ns, track->last_ns);
	sanitize(clean, sizeof(clean), name);
	write_event(
		track->file,
		"{\"ph\":\"i\",\"s\":\"t\",\"name\":\"%s\",\"cat\":\"%s\",\"pid\":%u,\"tid\":%u,"
		"\"ts\":" TIME ",\"args\":{%s}}",
		clean, track->name, track->pid, track->tid, TIME_(ns), args ? args->text : "");
}

void trace_track_flow(struct trace_track *track, enum trace_flow phase, uint64_t id)
{
	write_event(
		track->file,
		"{\"ph\":\"%c\",%s\"name\":\"submission\",\"cat\":\"submission\",\"id\":%" PRIu64
		",\"pid\":%u,\"tid\":%u,\"ts\":" TIME "}",
		(char)phase, phase == TRACE_FLOW_END ? "\"bp\":\"e\"," : "", id, track->pid,
		track->tid, TIME_(track->flow_ns));
}
