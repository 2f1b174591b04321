/* SPDX-License-Identifier: MIT */
/*
 * The trace ring; see trace_ring.h.  A slot's `seq` says which record it holds: n + 1 for record
 * number n, SEQ_BUSY while somebody writes.  Writers claim a number, then the slot, which only
 * fails when another writer was overtaken by a whole round; its record or ours is then lost.
 *
 * A reader takes seq, the words, and seq again.  The words are stored with release and loaded with
 * acquire order: who saw one word of a newer record sees its seq, or SEQ_BUSY, as well.  On x86
 * these are plain moves.
 */
#include "base/trace_ring.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEQ_BUSY UINT64_MAX
#define WORDS	 7

struct slot {
	_Atomic uint64_t seq;
	_Atomic uint64_t word[WORDS];
};
_Static_assert(sizeof(struct slot) == 64, "a slot is a cache line");
_Static_assert(sizeof(struct trace_record) == WORDS * 8, "and a record fits it");

struct trace_ring_memory {
	_Atomic uint64_t next;
	_Alignas(64) struct slot slots[];
};

static size_t ring_bytes(uint32_t records)
{
	return sizeof(struct trace_ring_memory) + records * sizeof(struct slot);
}

/* ---- Making and mapping ---------------------------------------------------------------------- */

static int map(struct trace_ring *ring, int fd, uint32_t records, int prot)
{
	void *memory = mmap(NULL, ring_bytes(records), prot, MAP_SHARED, fd, 0);

	if (memory == MAP_FAILED)
		return -errno;
	*ring = (struct trace_ring){ .memory = memory, .records = records, .fd = fd };
	return 0;
}

int trace_ring_create(struct trace_ring *ring, uint32_t records)
{
	int fd = memfd_create("trace", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int err;

	assert(records && !(records & (records - 1)) && records <= TRACE_RING_RECORDS_MAX);
	if (fd < 0)
		return -errno;
	err = ftruncate(fd, (off_t)ring_bytes(records)) ? -errno : 0;
	if (!err)
		err = map(ring, fd, records, PROT_READ | PROT_WRITE);
	/* Our mapping stays writable, no other can be. */
	if (!err && fcntl(fd, F_ADD_SEALS,
			  F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL)) {
		err = -errno;
		munmap(ring->memory, ring_bytes(records));
	}
	if (err) {
		close(fd);
		ring->memory = NULL;
	}
	return err;
}

static int check_file(int fd, uint32_t records)
{
	struct stat st;
	int seals;

	if (!records || (records & (records - 1)) || records > TRACE_RING_RECORDS_MAX)
		return -EPROTO;
	if (fd < 0 || fstat(fd, &st) || st.st_size < (off_t)ring_bytes(records))
		return -EPROTO;
	seals = fcntl(fd, F_GET_SEALS);
	return seals < 0 || !(seals & F_SEAL_SHRINK) ? -EPROTO : 0;
}

int trace_ring_attach(struct trace_ring *ring, int fd, uint32_t records)
{
	int err = check_file(fd, records);

	if (!err)
		err = map(ring, fd, records, PROT_READ);
	if (err) {
		ring->memory = NULL;
		if (fd >= 0)
			close(fd);
	}
	return err;
}

void trace_ring_fini(struct trace_ring *ring)
{
	if (!ring->memory)
		return;
	munmap(ring->memory, ring_bytes(ring->records));
	close(ring->fd);
	ring->memory = NULL;
}

/* ---- Writing --------------------------------------------------------------------------------- */

static void store_word(struct slot *slot, unsigned int n, uint64_t value)
{
	atomic_store_explicit(&slot->word[n], value, memory_order_release);
}

void trace_ring_put(const struct trace_ring *ring, const struct trace_record *record)
{
	struct trace_ring_memory *memory = ring->memory;
	uint64_t n = atomic_fetch_add_explicit(&memory->next, 1, memory_order_relaxed);
	struct slot *slot = &memory->slots[n & (ring->records - 1)];
	uint64_t seq = atomic_load_explicit(&slot->seq, memory_order_relaxed);

	/* SEQ_BUSY is above any number. */
	if (seq > n ||
	    !atomic_compare_exchange_strong_explicit(&slot->seq, &seq, SEQ_BUSY,
						     memory_order_relaxed, memory_order_relaxed))
		return;
	store_word(slot, 0, record->time_ns);
	store_word(slot, 1, record->span_ns);
	for (unsigned int i = 0; i < 4; i++)
		store_word(slot, 2 + i, record->value[i]);
	store_word(slot, 6, (uint64_t)record->point << 32 | record->thread);
	atomic_store_explicit(&slot->seq, n + 1, memory_order_release);
}

uint64_t trace_ring_next(const struct trace_ring *ring)
{
	return atomic_load_explicit(&ring->memory->next, memory_order_acquire);
}

/* ---- Reading --------------------------------------------------------------------------------- */

enum slot_state { SLOT_READY, SLOT_NOT_YET, SLOT_GONE };

static enum slot_state state_of(uint64_t seq, uint64_t n)
{
	if (seq == n + 1)
		return SLOT_READY;
	return seq != SEQ_BUSY && seq > n + 1 ? SLOT_GONE : SLOT_NOT_YET;
}

static uint64_t load_word(struct slot *slot, unsigned int n)
{
	return atomic_load_explicit(&slot->word[n], memory_order_acquire);
}

static enum slot_state read_slot(struct slot *slot, uint64_t n, struct trace_record *record)
{
	enum slot_state state = state_of(atomic_load_explicit(&slot->seq, memory_order_acquire), n);
	uint64_t last;

	if (state != SLOT_READY)
		return state;
	record->time_ns = load_word(slot, 0);
	record->span_ns = load_word(slot, 1);
	for (unsigned int i = 0; i < 4; i++)
		record->value[i] = load_word(slot, 2 + i);
	last = load_word(slot, 6);
	record->thread = (uint32_t)last;
	record->point = (uint32_t)(last >> 32);
	/* Whoever has begun to overwrite it has our number for lost. */
	return atomic_load_explicit(&slot->seq, memory_order_relaxed) == n + 1 ? SLOT_READY
									       : SLOT_GONE;
}

/* To the oldest record that may still be there; false when the ring says nonsense. */
static bool catch_up(const struct trace_ring *ring, struct trace_cursor *cursor, uint64_t next)
{
	if (next < cursor->at)
		return false;
	if (next - cursor->at > ring->records) {
		cursor->lost += next - cursor->at - ring->records;
		cursor->at = next - ring->records;
	}
	return true;
}

size_t trace_ring_take(const struct trace_ring *ring, struct trace_cursor *cursor,
		       struct trace_record *records, size_t max, bool give_up)
{
	uint64_t next = trace_ring_next(ring);
	size_t taken = 0;

	if (!catch_up(ring, cursor, next))
		return 0;
	while (taken < max && cursor->at < next) {
		struct slot *slot = &ring->memory->slots[cursor->at & (ring->records - 1)];
		enum slot_state state = read_slot(slot, cursor->at, &records[taken]);

		if (state == SLOT_NOT_YET && !give_up)
			break;
		if (state == SLOT_READY)
			taken++;
		else
			cursor->lost++;
		cursor->at++;
	}
	return taken;
}
