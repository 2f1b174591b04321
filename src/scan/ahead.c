/* SPDX-License-Identifier: MIT */
/*
 * The audit's fast way over commands that are in order.  It names no fault: at the first command
 * that is not plain and harmless it stops, and the careful walk (audit.c) goes on from there.  So
 * whatever happens here, the verdict is the careful walk's.
 *
 * A walk from header to header waits for memory at each step: where the next command begins is
 * known only when this header has been loaded.  So two walks go through the dwords side by side,
 * the second one from the middle, at something that looks like a command.  That it is one is a
 * guess, and proven when the first walk arrives exactly there; otherwise what the second found is
 * forgotten.
 *
 * Operands are looked at afterwards: a walk that branched to look at them would have to guess
 * where, and a wrong guess costs a processor the time of four commands.
 */
#include "scan/ahead.h"

#include "scan/operands.h"

#define ALWAYS_INLINE inline __attribute__((always_inline))

/* What both walks share. */
struct course {
	enum gpu_engine engine;
	const struct audit_entry *index;
	const uint32_t *dwords;
	const uint8_t *bytes; /* the same */
};

/* A walk, and where the commands were that have something to look at. */
struct walk {
	size_t at, count;
	uint16_t *places;
};

/* The length of a harmless command that is not plain; 0: it wants a closer look. */
static __attribute__((noinline)) uint32_t odd_dwords(const struct course *course, uint32_t header)
{
	const struct gpu_command *command;

	if (course->index[header >> 16].set)
		return 0;
	command = gpu_command_find(course->engine, header);
	return command ? gpu_command_dwords(command, header) : 0;
}

/* One command on, or some MI_NOOPs; false when it wants a closer look. */
static ALWAYS_INLINE bool step(const struct course *course, struct walk *walk, size_t end)
{
	uint32_t header = course->dwords[walk->at];
	/* By itself: each instruction on the way from one header to the next counts. */
	uint8_t low = course->bytes[walk->at * 4];
	const struct audit_entry *entry = &course->index[header >> 16];

	if (unlikely(!audit_is_plain(entry, header))) {
		uint32_t dwords = odd_dwords(course, header);

		walk->at += dwords;
		return dwords;
	}
	walk->places[walk->count] = (uint16_t)walk->at;
	walk->count += entry->look;
	if (unlikely(header < MI_WITH_LENGTH)) {
		walk->at++;
		while (!header && walk->at < end && !course->dwords[walk->at])
			walk->at++;
		return true;
	}
	walk->at += 2;
	__asm__("" : "+r"(walk->at));
	walk->at += low;
	return true;
}

/* To @end or beyond; false when it stopped before. */
static ALWAYS_INLINE bool go(const struct course *course, struct walk *walk, size_t end)
{
	while (walk->at < end)
		if (!step(course, walk, end))
			return false;
	return true;
}

/*
 * The first dword from @at on that looks like a command with another behind it.  Cheaply: operands
 * would be headers all over the index, whose lines are not in the cache.
 */
static size_t likely_command(const struct course *course, size_t at, size_t end)
{
	for (; at < end; at++) {
		uint32_t header = course->dwords[at];
		size_t next = at + audit_plain_dwords(header);

		if (header < MI_WITH_LENGTH || header & 0x8000ff00 || next >= end)
			continue;
		if (audit_is_plain(&course->index[header >> 16], header) &&
		    audit_is_plain(&course->index[course->dwords[next] >> 16],
				   course->dwords[next]))
			break;
	}
	return at;
}

/* Both walks; what the second has found is counted only where it was on the right way. */
static void walk_both(const struct course *course, struct walk *first, struct walk *second,
		      size_t end)
{
	size_t middle = likely_command(course, end / 2, end);
	struct walk a = *first, b = *second;

	b.at = middle;
	while (a.at < middle && b.at < end)
		if (!step(course, &a, middle) || !step(course, &b, end))
			break;
	if (go(course, &a, middle)) {
		if (a.at == middle) {
			go(course, &b, end);
			a.at = b.at;
			second->count = b.count;
		} else {
			go(course, &a, end);
		}
	}
	first->at = a.at;
	first->count = a.count;
}

/* Where the first command begins that @walk has met and that is not in order; @good: none. */
static size_t check_places(const struct scan_audit *audit, const struct course *course,
			   const struct walk *walk, size_t good)
{
	size_t passed = operands_check_many(audit, course->index, course->dwords, walk->places,
					    walk->count);

	return passed < walk->count ? MIN(walk->places[passed], good) : good;
}

/* A command with something to look at that is not whole is left out. */
static size_t leave_out_cut(const struct course *course, struct walk *walk, size_t at, size_t count)
{
	size_t last;

	if (at <= count || !walk->count)
		return at;
	last = walk->places[walk->count - 1];
	if (last + audit_plain_dwords(course->dwords[last]) != at)
		return at;
	walk->count--;
	return last;
}

uint32_t audit_ahead(const struct scan_audit *audit, const struct gpu_audit_window *window,
		     uint32_t from)
{
	/* None that has something to look at is shorter than two dwords. */
	uint16_t places[2][AHEAD_DWORDS / 2 + 1];
	struct walk first = { .places = places[0] }, second = { .places = places[1] };
	struct course course = {
		.engine = window->engine,
		.index = audit_index[window->engine],
		.dwords = &window->dwords[from],
		.bytes = (const uint8_t *)&window->dwords[from],
	};
	size_t count = window->count - from, at;

	/* Or the compiler sees that they are the same, and computes one from the other. */
	__asm__("" : "+r"(course.bytes));
	walk_both(&course, &first, &second, MIN(count, AHEAD_DWORDS));
	at = leave_out_cut(&course, second.count ? &second : &first, first.at, count);
	at = check_places(audit, &course, &first, at);
	at = check_places(audit, &course, &second, at);
	return from + (uint32_t)at;
}
