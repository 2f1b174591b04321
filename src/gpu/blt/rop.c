/* SPDX-License-Identifier: MIT */
/*
 * Raster operations: one of 256 functions of three bits (pattern, source, destination), the same
 * for every bit of every byte.  Bit 4p + 2s + d of the code is the result.  Pure; any thread.
 *
 * Loops run over blocks of a fixed number of words, which compilers turn into vectors; the common
 * codes get a loop of their own, in which the constants fold.
 */
#include <string.h>

#include "gpu/blt/op.h"

#define BLOCK_WORDS 8u

struct block {
	uint64_t word[BLOCK_WORDS];
};

/* @one where @select has ones, @zero where it has zeros. */
static inline uint64_t choose(uint64_t select, uint64_t one, uint64_t zero)
{
	return zero ^ (select & (one ^ zero));
}

static inline uint64_t minterm(uint8_t rop, unsigned int n)
{
	return rop >> n & 1 ? ~0ull : 0;
}

static inline __attribute__((always_inline)) uint64_t combine(uint8_t rop, uint64_t p, uint64_t s,
							      uint64_t d)
{
	uint64_t s1 = choose(s, choose(d, minterm(rop, 7), minterm(rop, 6)),
			     choose(d, minterm(rop, 5), minterm(rop, 4)));
	uint64_t s0 = choose(s, choose(d, minterm(rop, 3), minterm(rop, 2)),
			     choose(d, minterm(rop, 1), minterm(rop, 0)));

	return choose(p, s1, s0);
}

static inline __attribute__((always_inline)) void blocks(uint8_t rop, const uint8_t *p,
							 const uint8_t *s, const uint8_t *d,
							 uint8_t *result, uint32_t n)
{
	for (uint32_t at = 0; at < n; at += sizeof(struct block)) {
		struct block pb, sb, db, rb;

		memcpy(&pb, p + at, sizeof(pb));
		memcpy(&sb, s + at, sizeof(sb));
		memcpy(&db, d + at, sizeof(db));
		for (unsigned int i = 0; i < BLOCK_WORDS; i++)
			rb.word[i] = combine(rop, pb.word[i], sb.word[i], db.word[i]);
		memcpy(result + at, &rb, sizeof(rb));
	}
}

void blt_rop(uint8_t rop, const uint8_t *p, const uint8_t *s, const uint8_t *d, uint8_t *result,
	     uint32_t n)
{
	switch (rop) {
	case 0xcc: /* S */
		blocks(0xcc, s, s, s, result, n);
		break;
	case 0xf0: /* P */
		blocks(0xf0, p, p, p, result, n);
		break;
	case 0x66: /* S ^ D */
		blocks(0x66, s, s, d, result, n);
		break;
	case 0x5a: /* P ^ D */
		blocks(0x5a, p, p, d, result, n);
		break;
	case 0x55: /* ~D */
		blocks(0x55, d, d, d, result, n);
		break;
	default:
		blocks(rop, p, s, d, result, n);
		break;
	}
}
