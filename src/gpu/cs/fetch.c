/* SPDX-License-Identifier: MIT */
/*
 * Bytes into the window: where the current source (ring, batch, context batch) lies, how much of
 * it is left, and the bulk copy.  Called by cs.c on the lane.
 *
 * A copy never crosses a page, so a command at the end of a mapped page does not fault because
 * the page behind it, which it does not use, is not mapped.
 */
#include <string.h>

#include "gpu/cs/cs.h"

bool cs_source_in_ggtt(const struct cs *cs)
{
	switch (cs->source) {
	case CS_SOURCE_BATCH1:
		return !cs->at.bb_ppgtt[0];
	case CS_SOURCE_BATCH2:
		return !cs->at.bb_ppgtt[1];
	default:
		return true;
	}
}

uint64_t cs_address(const struct cs *cs)
{
	switch (cs->source) {
	case CS_SOURCE_RING:
		return cs->workload->ring_start.v + cs->at.head;
	case CS_SOURCE_BATCH1:
		return cs->at.bb_head[0];
	case CS_SOURCE_BATCH2:
		return cs->at.bb_head[1];
	default:
		return cs->context_at;
	}
}

void cs_drop_window(struct cs *cs)
{
	cs->next = cs->filled = 0;
	cs->audited = cs->user || !cs->workload->audit ? UINT32_MAX : 0;
	cs->fetch_dwords = cs->audited ? CS_FIRST_FETCH_DWORDS : CS_AUDIT_FETCH_DWORDS;
}

void cs_set_source(struct cs *cs, enum cs_source source)
{
	cs->source = source;
	cs->user = !cs_source_in_ggtt(cs);
	if (source == CS_SOURCE_RING || source == CS_SOURCE_PER_CTX)
		cs->audit_budget = CS_AUDIT_BUDGET;
	cs_drop_window(cs);
}

/* Bytes from the head to the tail of the ring, around its end. */
static uint32_t ring_left(const struct cs *cs)
{
	if (cs->at.tail >= cs->at.head)
		return cs->at.tail - cs->at.head;
	return cs->workload->ring_bytes - cs->at.head + cs->at.tail;
}

/* Dwords left in the source; a batch ends where its pages end. */
static uint32_t source_left(const struct cs *cs)
{
	switch (cs->source) {
	case CS_SOURCE_RING:
		return ring_left(cs) / 4;
	case CS_SOURCE_INDIRECT:
		return cs->context_left / 4;
	default:
		return UINT32_MAX;
	}
}

bool cs_fits(const struct cs *cs, uint32_t dwords)
{
	return dwords <= source_left(cs);
}

/* @offset, at most one round of the ring too far. */
static uint32_t ring_wrap(const struct cs *cs, uint32_t offset)
{
	return offset >= cs->workload->ring_bytes ? offset - cs->workload->ring_bytes : offset;
}

/* Where the dword behind the window lies, and how many may be copied from there at once. */
static uint64_t append_from(const struct cs *cs, uint32_t held, uint32_t *dwords)
{
	uint64_t address = cs_address(cs) + held * 4ull;

	*dwords = MIN(cs->fetch_dwords, CS_WINDOW_DWORDS - cs->filled);
	*dwords = MIN(*dwords, source_left(cs) - held);
	if (cs->source == CS_SOURCE_RING) {
		uint32_t offset = ring_wrap(cs, cs->at.head + held * 4);

		address = cs->workload->ring_start.v + offset;
		*dwords = MIN(*dwords, (cs->workload->ring_bytes - offset) / 4);
	}
	*dwords = MIN(*dwords, (uint32_t)(PAGE_BYTES - PAGE_OFFSET(address)) / 4);
	return address;
}

static bool append(struct cs *cs, uint32_t held, gma_t *fault_at)
{
	struct gpu_as *as = cs_as(cs, cs_source_in_ggtt(cs));
	uint32_t dwords, *to = &cs->window[cs->filled];
	uint64_t address = append_from(cs, held, &dwords);
	int err;

	*fault_at = gma(address);
	/* What is audited goes by pages, and while one is looked at the next can come. */
	if (cs->audited == UINT32_MAX)
		err = gpu_as_read(as, gma(address), to, dwords * 4ul, fault_at);
	else
		err = as_read_and_ask(as, gma(address), to, dwords * 4ul, fault_at);
	if (err)
		return false;
	cs->filled += dwords;
	if (cs->audited == UINT32_MAX)
		cs->fetch_dwords = CS_FETCH_DWORDS;
	cs_count(&cs->bytes_fetched, dwords * 4ull);
	return true;
}

/* The dwords not yet decoded to the front of the window. */
static void compact(struct cs *cs)
{
	uint32_t held = cs->filled - cs->next;

	memmove(cs->window, &cs->window[cs->next], held * sizeof(cs->window[0]));
	if (cs->audited != UINT32_MAX)
		cs->audited = cs->audited > cs->next ? cs->audited - cs->next : 0;
	cs->next = 0;
	cs->filled = held;
}

enum cs_fetch cs_fetch(struct cs *cs, uint32_t dwords, gma_t *fault_at)
{
	if (cs_held(cs, dwords))
		return CS_FETCHED;
	if (!cs_fits(cs, dwords))
		return cs_fits(cs, 1) ? CS_FETCH_SHORT : CS_FETCH_EMPTY;
	compact(cs);
	while (cs->filled < dwords) {
		if (!append(cs, cs->filled, fault_at))
			return CS_FETCH_FAULT;
	}
	return CS_FETCHED;
}

void cs_skip(struct cs *cs, uint32_t dwords)
{
	uint32_t bytes = dwords * 4;

	if (dwords <= cs->filled - cs->next)
		cs->next += dwords;
	else
		cs_drop_window(cs);
	switch (cs->source) {
	case CS_SOURCE_RING:
		cs->at.head = ring_wrap(cs, cs->at.head + bytes);
		break;
	case CS_SOURCE_BATCH1:
		cs->at.bb_head[0] += bytes;
		break;
	case CS_SOURCE_BATCH2:
		cs->at.bb_head[1] += bytes;
		break;
	default:
		cs->context_at += bytes;
		cs->context_left -= bytes; /* means something in an indirect batch only */
		break;
	}
}
