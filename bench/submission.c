/* SPDX-License-Identifier: MIT */
/* The submission; the layout of the context's registers is the hardware's. */
#include "bench/submission.h"

#include <sched.h>
#include <string.h>

#include "base/clock.h"
#include "bench/bench.h"

#define LIMIT_NS (10 * NSEC_PER_SEC)

#define RCS	   0x2000u
#define MASTER_IRQ 0x44200u
#define GT_IMR	   0x44304u
#define GT_IIR	   0x44308u
#define GT_IER	   0x4430cu
#define SWITCHED   0x100u /* GT_CONTEXT_SWITCH_INTERRUPT */
#define PVINFO	   0x78000u
#define GGTT	   0x800000u
#define FLUSH	   0x101008u

#define CONTEXT_ID 0x20u
#define RESULT	   0x600df00du

/* Pages. */
#define HWSP   0u
#define ANSWER 1u
#define RING   2u
#define IMAGE  3u /* two; the registers are in the second */
#define PML4   5u

static uint32_t *word(struct submission *s, unsigned int page, unsigned int dword)
{
	return (uint32_t *)(void *)(s->pages + page * PAGE_BYTES) + dword;
}

/* The lane may look at it at the same time. */
static void put(struct submission *s, unsigned int page, unsigned int dword, uint32_t value)
{
	__atomic_store_n(word(s, page, dword), value, __ATOMIC_RELEASE);
}

static uint32_t get(struct submission *s, unsigned int page, unsigned int dword)
{
	return __atomic_load_n(word(s, page, dword), __ATOMIC_ACQUIRE);
}

/* A load of @count registers at @dword of the image: their offsets, the values apart. */
static void lay(struct submission *s, unsigned int dword, const uint16_t *regs, unsigned int count)
{
	put(s, IMAGE + 1, dword, 0x11001000 | (2 * count - 1));
	for (unsigned int i = 0; i < count; i++)
		put(s, IMAGE + 1, dword + 1 + 2 * i, RCS + regs[i]);
}

static void make_context(struct submission *s, uint32_t at, uint32_t gma)
{
	static const uint16_t ring[] = { 0x244, 0x034, 0x030, 0x038, 0x03c, 0x168, 0x140,
					 0x110, 0x11c, 0x114, 0x118, 0x1c0, 0x1c4, 0x1c8 };
	static const uint16_t space[] = { 0x3a8, 0x28c, 0x288, 0x284, 0x280,
					  0x27c, 0x278, 0x274, 0x270 };
	static const uint16_t rest[] = { 0x09c, 0x600, 0x604, 0x608, 0x60c };
	const uint32_t commands[] = { 0x10400002, gma + ANSWER * PAGE_BYTES, 0, RESULT };

	lay(s, 0x01, ring, ARRAY_SIZE(ring));
	lay(s, 0x21, space, ARRAY_SIZE(space));
	lay(s, 0x53, rest, ARRAY_SIZE(rest));
	put(s, IMAGE + 1, 0x03, 0x00090009); /* CTX_CONTEXT_CONTROL: nothing to restore yet */
	put(s, IMAGE + 1, 0x09, gma + RING * PAGE_BYTES);
	put(s, IMAGE + 1, 0x0b, 1); /* CTX_RING_CTL: one page, on */
	put(s, IMAGE + 1, 0x33, at + PML4 * PAGE_BYTES);
	put(s, IMAGE + 1, 0x55, 0x01000000);
	memcpy(word(s, RING, 0), commands, sizeof(commands));
}

static void start_engine(const struct submission_door *door, uint32_t at, uint32_t gma)
{
	const uint32_t first = GGTT + gma / PAGE_BYTES * 8;
	const uint32_t stores[][2] = {
		{ FLUSH, 1 },
		{ RCS + 0x98, ~0u },	     /* RING_HWSTAM */
		{ RCS + 0x29c, 0x80008000 }, /* RING_MODE_GEN7: execlists */
		{ RCS + 0x9c, 0x01000000 },  /* RING_MI_MODE */
		{ RCS + 0x80, gma },	     /* RING_HWS_PGA */
		{ RCS + 0x3a0, 0xffff0505 }, /* RING_CONTEXT_STATUS_PTR */
		{ RCS + 0xa8, ~SWITCHED },   /* RING_IMR */
		{ MASTER_IRQ, 0 },
		{ GT_IIR, ~0u },
		{ GT_IER, SWITCHED },
		{ GT_IMR, ~SWITCHED },
		{ MASTER_IRQ, 1u << 31 },
	};

	for (uint32_t i = 0; i < SUBMISSION_PAGES; i++) {
		door->store(door->opaque, first + 8 * i, (at + i * (uint32_t)PAGE_BYTES) | 1);
		door->store(door->opaque, first + 8 * i + 4, 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(stores); i++)
		door->store(door->opaque, stores[i][0], stores[i][1]);
}

void submission_init(struct submission *s, uint8_t *pages, uint32_t at,
		     const struct submission_door *door)
{
	/* Of the share that is not mappable: its start. */
	const uint32_t gma = door->load(door->opaque, PVINFO + 0x48);
	/*
	 * As Linux 6.1's i915 did it at boot for its first request on an engine: the port, then
	 * what the interrupt of its completion makes it do.
	 */
	const struct rig_access steps[SUBMISSION_STEPS] = {
		{ SUBMISSION_ELSP, 1, 0 },
		{ SUBMISSION_ELSP, 1, 0 },
		{ SUBMISSION_ELSP, 1, CONTEXT_ID },
		{ SUBMISSION_ELSP, 1, (gma + IMAGE * (uint32_t)PAGE_BYTES) | 3u << 3 | 1 },
		{ MASTER_IRQ, 1, 0 }, /* off; what is it? */
		{ MASTER_IRQ, 0, 0 },
		{ GT_IIR, 0, 0 },
		{ GT_IIR, 1, SWITCHED },
		{ MASTER_IRQ, 1, 1u << 31 },
		{ RCS + 0x3a0, 0, 0 },
	};

	*s = (struct submission){ .pages = pages, .csb = 5 };
	memcpy(s->steps, steps, sizeof(steps));
	put(s, HWSP, 0x7c / 4, s->csb);
	make_context(s, at, gma);
	start_engine(door, at, gma);
}

/* The ring from its start again, so that each time is like the others. */
void submission_prepare(struct submission *s)
{
	put(s, ANSWER, 0, 0);
	put(s, IMAGE + 1, 0x05, 0);		       /* CTX_RING_HEAD */
	put(s, IMAGE + 1, 0x07, 4 * sizeof(uint32_t)); /* CTX_RING_TAIL */
}

/* Two events: from idle to active, and complete. */
void submission_wait(struct submission *s)
{
	uint64_t end = clock_now_ns() + LIMIT_NS;

	s->csb = (s->csb + 2) % 6;
	while (get(s, HWSP, 0x7c / 4) != s->csb) {
		if (clock_now_ns() > end)
			bench_die("the submission does not end: status buffer at %u, not %u",
				  get(s, HWSP, 0x7c / 4), s->csb);
		sched_yield();
	}
	if (get(s, ANSWER, 0) != RESULT)
		bench_die("the submission was complete and had not stored its word");
}
