/* SPDX-License-Identifier: MIT */
/*
 * One command streamer: the state machine that fetches commands of an engine's workload, decodes
 * each once and acts on it.  Private to the layer.
 *
 * Owner: the lane that runs the engine's workload.  Other threads may only set `stop`, and read
 * or write what is atomic: the registers, the counters and the published position.
 *
 * Guest bytes are copied in bulk into `window` and read from there only: what was decoded cannot
 * change before it is acted upon.  The window is dropped at every jump, after every wait and at
 * every return to the lane, so a batch that somebody rewrites while it loops is seen anew.  What
 * runs with privilege is shown to the workload's audit in that copy (audit.c).
 */
#ifndef GPU_CS_CS_H
#define GPU_CS_CS_H

#include <stdatomic.h>

#include "base/trace.h"
#include "gpu/cs/cmd_table.h"
#include "gpu/mem/mem.h"

/* Holds the longest command that is executed (MI_STORE_DATA_IMM: 1025 dwords) and what follows. */
#define CS_WINDOW_DWORDS      1280u
/*
 * The first copy after a jump, and the later ones.  Not more: a batch may write into itself as
 * near as 512 bytes ahead, which is how far hardware fetches in advance (Mesa: cs_prefetch_size).
 */
#define CS_FIRST_FETCH_DWORDS 64u
#define CS_FETCH_DWORDS	      128u
/* Of what is audited, a page: its writer is the kernel, which does not write near the front. */
#define CS_AUDIT_FETCH_DWORDS 1024u
/*
 * What a privileged batch may be long, in dwords, from the ring and back to it in one stay on the
 * engine; a jump counts for CS_AUDIT_JUMP_DWORDS.
 */
#define CS_AUDIT_BUDGET	      (4u << 20)
#define CS_AUDIT_JUMP_DWORDS  4096u
/* Commands between two looks at the clock and at the owner's wish. */
#define CS_CHECK_COMMANDS     64

/* Where commands come from. */
enum cs_source {
	CS_SOURCE_NONE,	    /* no workload */
	CS_SOURCE_INDIRECT, /* the indirect context batch: a fixed number of bytes */
	CS_SOURCE_PER_CTX,  /* the per-context batch: up to MI_BATCH_BUFFER_END */
	CS_SOURCE_RING,
	CS_SOURCE_BATCH1,
	CS_SOURCE_BATCH2,
};

/* What a command leaves behind. */
enum cs_next {
	CS_ADVANCE, /* go on behind it */
	CS_JUMP,    /* the position has been set */
	CS_WAIT,    /* not now: the same command again later */
	CS_AGAIN,   /* a part of it is done: again, unless it is time to leave */
	CS_FAULT,   /* reported; the engine halts */
	CS_DONE,    /* the ring is empty */
};

#define CS_REG_GPR	       0u  /* 16 registers of 64 bits */
#define CS_REG_PREDICATE       32u /* 0x2400 … 0x2440 of the render engine */
#define CS_REG_DISPATCH_DIM    49u /* 0x2500 … 0x2508 */
#define CS_REG_STATISTICS      52u /* 0x2290, 0x2300 … 0x2358 */
#define CS_REG_SO	       77u /* 0x5200, 0x5240: written, needed; 0x5280: offsets */
#define CS_REG_NOPID	       97u
#define CS_REG_CTX_TIMESTAMP   98u
#define CS_REG_PREDICATE_RES_2 99u
#define CS_REGS		       100u

/* Dwords inside CS_REG_PREDICATE. */
#define CS_REG_PREDICATE_SRC0	(CS_REG_PREDICATE + 0)
#define CS_REG_PREDICATE_SRC1	(CS_REG_PREDICATE + 2)
#define CS_REG_PREDICATE_DATA	(CS_REG_PREDICATE + 4)
#define CS_REG_PREDICATE_RESULT (CS_REG_PREDICATE + 6)
#define CS_REG_PREDICATE_RES_1	(CS_REG_PREDICATE + 7)
#define CS_REG_PS_DEPTH_COUNT	(CS_REG_STATISTICS + 2 + 20) /* 0x2350 */

struct cs {
	enum gpu_engine engine;
	uint32_t base;	     /* RING_BASE */
	bool follow_batches; /* false in the null GPU */
	int check_commands;  /* CS_CHECK_COMMANDS, or less in tests */

	struct gpu_workload *workload;
	struct gpu_client *client;
	enum cs_source source;
	struct gpu_cs_state at; /* position in the ring and in the batches */
	uint64_t context_at;	/* position in the indirect or per-context batch */
	uint32_t context_left;	/* bytes left of the indirect context batch */
	bool user;		/* the current commands are not privileged (PPGTT batch) */
	bool faulted;
	bool waiting;	 /* the semaphore's interrupt was sent */
	uint32_t header; /* of the current command; 0: not fetched yet */

	int credit; /* commands until the next check */
	uint32_t fetch_dwords;
	uint32_t next, filled; /* window[next..filled) is still to be decoded */
	uint32_t audited;      /* window[next..audited) may run; UINT32_MAX: no audit here */
	uint32_t audit_budget; /* dwords */
	uint32_t window[CS_WINDOW_DWORDS];

	_Atomic bool stop;
	_Atomic uint32_t regs[CS_REGS];

	/* Written by the owner, read by anyone. */
	_Atomic uint32_t seen_head, seen_tail, seen_header, seen_flags;
	_Atomic uint64_t seen_batch[2];
	_Atomic uint64_t commands, batches, state_skipped, work_dropped, faults, bytes_fetched;
	_Atomic uint64_t tlb_hits, tlb_misses;
	_Atomic uint64_t not_executed[CMD_COUNT];
};

/* A counter with one writer: no locked instruction. */
static inline void cs_count(_Atomic uint64_t *counter, uint64_t more)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + more,
			      memory_order_relaxed);
}

/* ---- cs.c ---- */
void cs_init(struct cs *cs, enum gpu_engine engine, bool follow_batches);
void cs_begin(struct cs *cs, struct gpu_workload *workload);
enum gpu_run cs_run(struct cs *cs, uint64_t deadline_ns);
void cs_end(struct cs *cs);
void cs_reset(struct cs *cs);
void cs_where(struct cs *cs, struct gpu_cs_state *at, uint32_t *header);
void cs_stats(struct cs *cs, struct gpu_stats *stats);
/* Reports a fault of the current command; the engine halts. */
enum cs_next cs_fault(struct cs *cs, enum gpu_fault_kind kind);
/* The operand at @address in the GGTT or the PPGTT is not mapped, or not for writing. */
enum cs_next cs_fault_address(struct cs *cs, bool ggtt, gma_t address, bool write);
void cs_interrupt(struct cs *cs, uint32_t bits);

/* What the audit found in the current command. */
enum cs_next cs_fault_found(struct cs *cs, const struct gpu_audit_finding *finding);
/* Fetches all of the current command: CS_ADVANCE, or CS_FAULT. */
enum cs_next cs_fetch_whole(struct cs *cs, uint32_t dwords);

/* ---- audit.c ---- */
/* The command at the window's front, @dwords long: CS_ADVANCE when it may run, or CS_FAULT. */
enum cs_next cs_audit(struct cs *cs, uint32_t dwords);
/* Takes @dwords off the budget of the privileged batch; false when there are not as many. */
bool cs_audit_spend(struct cs *cs, uint32_t dwords);

/* ---- fetch.c ---- */
enum cs_fetch {
	CS_FETCHED,
	CS_FETCH_EMPTY, /* nothing left in the ring or the indirect batch */
	CS_FETCH_SHORT, /* the source ends before that many dwords */
	CS_FETCH_FAULT, /* the address, into *@fault_at */
};
/* Makes window[next] and the @dwords - 1 behind it valid; at most CS_WINDOW_DWORDS. */
enum cs_fetch cs_fetch(struct cs *cs, uint32_t dwords, gma_t *fault_at);
/* True when that is so already; what is in the window fits the source, too. */
static inline bool cs_held(const struct cs *cs, uint32_t dwords)
{
	return cs->filled - cs->next >= dwords;
}
/* True when the source holds @dwords more from the current position on. */
bool cs_fits(const struct cs *cs, uint32_t dwords);
/* Moves on by @dwords, beyond the window if need be. */
void cs_skip(struct cs *cs, uint32_t dwords);
void cs_drop_window(struct cs *cs);
/* Which address space the current commands come from. */
bool cs_source_in_ggtt(const struct cs *cs);
/* Address of the current command, in its address space. */
uint64_t cs_address(const struct cs *cs);
void cs_set_source(struct cs *cs, enum cs_source source);

/* ---- registers.c ---- */
/* Place in regs[] of the absolute @offset; -1 when the streamer does not own it. */
int cs_reg_find(enum gpu_engine engine, uint32_t offset);
bool cs_reg_owned_read(struct cs *cs, uint32_t offset, uint32_t *value);
bool cs_reg_owned_write(struct cs *cs, uint32_t offset, uint32_t value);
/* Any register of the device, as a command sees it. */
uint32_t cs_reg_read(struct cs *cs, uint32_t offset);
void cs_reg_write(struct cs *cs, uint32_t offset, uint32_t value);
/* As above, from the current batch: dropped when a user batch may not write it. */
void cs_reg_write_checked(struct cs *cs, uint32_t offset, uint32_t value);

static inline uint32_t cs_reg(struct cs *cs, unsigned int index)
{
	return atomic_load_explicit(&cs->regs[index], memory_order_relaxed);
}

static inline void cs_set_reg(struct cs *cs, unsigned int index, uint32_t value)
{
	atomic_store_explicit(&cs->regs[index], value, memory_order_relaxed);
}

static inline uint64_t cs_reg64(struct cs *cs, unsigned int index)
{
	return cs_reg(cs, index) | (uint64_t)cs_reg(cs, index + 1) << 32;
}

static inline void cs_set_reg64(struct cs *cs, unsigned int index, uint64_t value)
{
	cs_set_reg(cs, index, (uint32_t)value);
	cs_set_reg(cs, index + 1, (uint32_t)(value >> 32));
}

/* ---- The commands.  @dw: the whole command in the window, @dwords long. ---- */

static inline struct gpu_as *cs_as(struct cs *cs, bool ggtt)
{
	return ggtt ? cs->workload->ggtt : cs->workload->ppgtt;
}

/* The 48-bit address in dw[0] and dw[1]; its low @clear bits are no part of it. */
static inline gma_t cs_operand(const uint32_t *dw, unsigned int clear)
{
	return gma((dw[0] | (uint64_t)(dw[1] & 0xffff) << 32) & ~(uint64_t)(BIT(clear) - 1));
}

/*
 * A user batch may not reach the GGTT: the command that tries is a no-op (User Mode Privileged
 * Commands, MI_BATCH_BUFFER_START).
 */
static inline bool cs_forbidden(const struct cs *cs, bool ggtt)
{
	return cs->user && ggtt;
}

/*
 * True when the Memory Type of an MI_ATOMIC or MI_SEMAPHORE_WAIT is the GGTT.  In a user batch
 * these two take the bit for clear, where others are no-ops.
 */
static inline bool cs_memory_type(const struct cs *cs, uint32_t header)
{
	return !cs->user && (header & BIT(22));
}

/* MI_PREDICATE_RESULT, for commands with a predicate enable bit. */
static inline bool cs_predicate(struct cs *cs)
{
	return cs_reg(cs, CS_REG_PREDICATE_RESULT) & 1;
}

/* mi_flow.c */
enum cs_next mi_noop(struct cs *cs, const uint32_t *dw);
enum cs_next mi_arb_on_off(struct cs *cs, const uint32_t *dw);
enum cs_next mi_batch_buffer_start(struct cs *cs, const uint32_t *dw);
enum cs_next mi_batch_buffer_end(struct cs *cs);
enum cs_next mi_conditional_batch_buffer_end(struct cs *cs, const uint32_t *dw);
enum cs_next mi_semaphore_wait(struct cs *cs, const uint32_t *dw);
enum cs_next mi_set_predicate(struct cs *cs, const uint32_t *dw);
enum cs_next mi_predicate(struct cs *cs, const uint32_t *dw);
enum cs_next mi_display_flip(struct cs *cs, const uint32_t *dw);
bool cs_predicated_off(struct cs *cs);

/* mi_memory.c */
enum cs_next mi_store_data_imm(struct cs *cs, const uint32_t *dw, uint32_t dwords);
enum cs_next mi_store_data_index(struct cs *cs, const uint32_t *dw, uint32_t dwords);
enum cs_next mi_report_head(struct cs *cs);
enum cs_next mi_copy_mem_mem(struct cs *cs, const uint32_t *dw);
enum cs_next mi_atomic(struct cs *cs, const uint32_t *dw, uint32_t dwords);
enum cs_next mi_report_perf_count(struct cs *cs, const uint32_t *dw);

/* mi_register.c */
enum cs_next mi_load_register_imm(struct cs *cs, const uint32_t *dw, uint32_t dwords);
enum cs_next mi_load_register_mem(struct cs *cs, const uint32_t *dw);
enum cs_next mi_load_register_reg(struct cs *cs, const uint32_t *dw);
enum cs_next mi_store_register_mem(struct cs *cs, const uint32_t *dw);

/* mi_math.c */
enum cs_next mi_math(struct cs *cs, const uint32_t *dw, uint32_t dwords);

/* pipe_control.c */
enum cs_next pipe_control(struct cs *cs, const uint32_t *dw);
enum cs_next mi_flush_dw(struct cs *cs, const uint32_t *dw, uint32_t dwords);

#endif
