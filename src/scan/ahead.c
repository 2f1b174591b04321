/* SPDX-License-Identifier: MIT */
/*
 * The audit's fast way over commands that are in order.  It names no fault: at the first command
 * that is not plain and harmless it stops, and where an operand is not in order it has passed
 * nothing; the careful walk (audit.c) goes on from there.  So whatever happens here, the verdict is
 * the careful walk's.
 *
 * A walk from header to header waits for memory at each step: where the next command begins is
 * known only when this header has been loaded.  So three walks go through the dwords side by side,
 * the second and the third from further on, at something that looks like a command.  That it is one
 * is a guess, and proven when the walk before arrives exactly there; otherwise that one goes on.
 *
 * A wrong guess of the processor costs it the time of four commands, so it gets little to guess: a
 * step has no branch that is taken where commands are plain, and operands are looked at afterwards.
 */
#include "scan/ahead.h"

#include <string.h>

#include "scan/operands.h"

#define ALWAYS_INLINE inline __attribute__((always_inline))

/* So many dwords are looked at together for a likely header. */
#define GROUP_DWORDS 8u

/*
 * None that has something to look at is shorter than two dwords, but the last of two walks may
 * reach out of their parts; and each command is put down first, to stay or not.
 */
#define PLACES_MAX (AHEAD_DWORDS / 2 + 2)

struct course {
	enum gpu_engine engine;
	const struct audit_entry *index;
	const uint32_t *dwords;
	const uint8_t *bytes; /* the same */
	uint16_t *places;     /* of commands that have something to look at */
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

/* One command on from *@at; false when it wants a closer look.  *@count: of the places. */
static ALWAYS_INLINE bool step(const struct course *course, size_t *at, size_t *count)
{
	uint32_t header = course->dwords[*at], dwords;
	/* By itself: each instruction on the way from one header to the next counts. */
	uint8_t low = course->bytes[*at * 4];
	const struct audit_entry *entry = &course->index[header >> 16];

	if (unlikely(!audit_is_plain(entry, header))) {
		dwords = odd_dwords(course, header);
		*at += dwords;
		return dwords;
	}
	course->places[*count] = (uint16_t)*at; /* to stay if it is one */
	*count += entry->look;
	/* audit_plain_dwords(), in two steps */
	*at += low + 2ul;
	__asm__("" : "+r"(*at));
	*at -= header < MI_WITH_LENGTH;
	return true;
}

/* Behind a run of MI_NOOPs, or one before its end. */
static ALWAYS_INLINE size_t skip_noops(const uint32_t *dwords, size_t at, size_t end)
{
	uint64_t two = 0;

	for (; at + 2 <= end; at += 2) {
		memcpy(&two, &dwords[at], sizeof(two));
		if (two)
			break;
	}
	return at;
}

/* To @end or beyond; false when it stopped before. */
static ALWAYS_INLINE bool go(const struct course *course, size_t *at, size_t *count, size_t end)
{
	while (*at < end) {
		if (!step(course, at, count))
			return false;
		*at = skip_noops(course->dwords, *at, end);
	}
	return true;
}

/* Of a command with a length; the few that have something in the second byte are left out. */
static inline bool is_likely_header(uint32_t dword)
{
	return (dword - MI_WITH_LENGTH < 0x80000000 - MI_WITH_LENGTH) & !(dword & 0xff00);
}

/* A bit for each of the dwords of a group that could be a header. */
static uint32_t likely_headers(const uint32_t *dwords)
{
	uint32_t bits = 0;

	for (unsigned int i = 0; i < GROUP_DWORDS; i++)
		bits |= (uint32_t)is_likely_header(dwords[i]) << i;
	return bits;
}

/* Cheaply: operands would be headers all over the index, whose lines are not in the cache. */
static bool is_likely_command(const struct course *course, size_t at, size_t end)
{
	const uint32_t *dwords = course->dwords;
	size_t next = at + audit_plain_dwords(dwords[at]);

	return next < end && audit_is_plain(&course->index[dwords[at] >> 16], dwords[at]) &&
	       audit_is_plain(&course->index[dwords[next] >> 16], dwords[next]);
}

/* The first dword from @at on that looks like a command with another behind it; @end: none. */
static size_t likely_command(const struct course *course, size_t at, size_t end)
{
	for (; at + GROUP_DWORDS <= end; at += GROUP_DWORDS) {
		uint32_t bits = likely_headers(&course->dwords[at]);

		for (; bits; bits &= bits - 1)
			if (is_likely_command(course, at + (size_t)__builtin_ctz(bits), end))
				return at + (size_t)__builtin_ctz(bits);
	}
	return end;
}

/* Keeps the places before @end, those of walks that were on the right way; how many. */
static size_t keep_places(const struct course *course, size_t count, size_t end)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		course->places[kept] = course->places[i];
		kept += course->places[i] < end;
	}
	return kept;
}

/* What the walks have come to. */
struct outcome {
	size_t at;	   /* where the last one stopped */
	size_t count;	   /* of places */
	size_t last_began; /* those from here on are the last one's, in order */
};

/* Three walks; one that does not arrive where the next began goes on alone. */
static struct outcome walk_three(const struct course *course, size_t end)
{
	size_t second = likely_command(course, end / 3, end);
	size_t third = likely_command(course, MAX(second, end / 3 * 2), end);
	size_t a = 0, b = second, c = third, n = 0;
	struct outcome outcome = { .last_began = third };

	while (a < second && b < third && c < end)
		if (!step(course, &a, &n) || !step(course, &b, &n) || !step(course, &c, &n))
			break;
	/* What the others have left, by two where that goes. */
	while (a < second && b < third)
		if (!step(course, &a, &n) || !step(course, &b, &n))
			break;
	while (b < third && c < end)
		if (!step(course, &b, &n) || !step(course, &c, &n))
			break;
	if (!go(course, &a, &n, second) || a != second) {
		n = keep_places(course, n, second);
		outcome.last_began = 0;
		c = a;
	} else if (!go(course, &b, &n, third) || b != third) {
		n = keep_places(course, n, third);
		outcome.last_began = second;
		c = b;
	}
	go(course, &c, &n, end);
	outcome.at = c;
	outcome.count = n;
	return outcome;
}

/*
 * A command with something to look at of which a part is missing, the last one, is no place: the
 * walks have come to where it begins.
 */
static void leave_out_cut(const struct course *course, struct outcome *outcome)
{
	size_t last = outcome->count, place;

	while (last && course->places[last - 1] < outcome->last_began)
		last--;
	if (!last)
		return;
	place = course->places[--last];
	if (place + audit_plain_dwords(course->dwords[place]) != outcome->at)
		return;
	course->places[last] = course->places[--outcome->count];
	outcome->at = place;
}

uint32_t audit_ahead(const struct scan_audit *audit, const struct gpu_audit_window *window,
		     uint32_t from)
{
	uint16_t places[PLACES_MAX];
	struct course course = {
		.engine = window->engine,
		.index = audit_index[window->engine],
		.dwords = &window->dwords[from],
		.bytes = (const uint8_t *)&window->dwords[from],
		.places = places,
	};
	size_t dwords = window->count - from;
	struct outcome outcome;

	written_in_part(places);
	/* Or the compiler sees that they are the same, and computes one from the other. */
	__asm__("" : "+r"(course.bytes));
	outcome = walk_three(&course, MIN(dwords, AHEAD_DWORDS));
	if (outcome.at > dwords)
		leave_out_cut(&course, &outcome);
	if (!operands_in_order(audit, course.index, course.dwords, places, outcome.count))
		return from;
	return from + (uint32_t)outcome.at;
}
