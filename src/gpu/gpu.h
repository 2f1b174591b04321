/* SPDX-License-Identifier: MIT */
/*
 * The host GPU behind gpu_ops: the one public header of the layer.  A GPU has four engines; an
 * engine runs one workload at a time, in the slices its caller gives it, on the caller's thread
 * (a lane of sched/).  The GPU knows no guest and no VFIO: memory reaches it as address spaces
 * whose pages its owner translates, registers and events through the gpu_client it was handed.
 *
 * Implementations: the software Gen9 (gpu_soft_create) and the null GPU (gpu_null_create), which
 * walks the ring, raises its interrupts and stores, but counts everything else and draws nothing.
 */
#ifndef GPU_GPU_H
#define GPU_GPU_H

#include <stdatomic.h>

#include "base/types.h"

enum gpu_engine { GPU_RCS, GPU_BCS, GPU_VCS0, GPU_VECS, GPU_ENGINES };

#define for_each_engine(e) for (enum gpu_engine e = GPU_RCS; e < GPU_ENGINES; e++)

/* "rcs0", "bcs0", "vcs0", "vecs0". */
const char *gpu_engine_name(enum gpu_engine engine);
/* First register of the engine's block: 0x2000, 0x22000, 0x12000, 0x1a000 (i915: RING_BASE). */
uint32_t gpu_engine_base(enum gpu_engine engine);

/* ---- Commands ------------------------------------------------------------------------------ */

/* What becomes of a command; see data/gen9.cmds. */
enum gpu_command_class {
	GPU_COMMAND_EXEC,  /* the command streamer acts on it */
	GPU_COMMAND_NOP,   /* known, and without effect that software could see */
	GPU_COMMAND_STATE, /* sets state of a 3D or media unit: parsed, not executed */
	GPU_COMMAND_WORK,  /* makes one draw, compute or decode: parsed, not executed */
};

/* One command, described in data/gen9.cmds.  The table is constant; any thread. */
struct gpu_command {
	const char *name;
	uint32_t header; /* as drivers write it: opcode, and the length where it is fixed */
	uint32_t min_dwords, max_dwords;
	uint32_t predicate_mask; /* header bit that makes it depend on MI_PREDICATE_RESULT, or 0 */
	uint16_t id;		 /* its place in gpu_commands[] */
	uint8_t engines;	 /* bit for each enum gpu_engine */
	uint8_t length_bits;	 /* of the header's length field; 0: none */
	uint8_t klass;		 /* enum gpu_command_class */
	bool privileged;	 /* a no-op in a batch fetched through a PPGTT */
	bool denied;		 /* for the owner of the whole GPU only: no vGPU may use it */
};

extern const struct gpu_command gpu_commands[];
extern const unsigned int gpu_command_count;

/* The command @header starts on @engine; NULL when there is none. */
const struct gpu_command *gpu_command_find(enum gpu_engine engine, uint32_t header);
/* Its length in dwords, header included; 0 when the header says one the command cannot have. */
uint32_t gpu_command_dwords(const struct gpu_command *command, uint32_t header);

/* ---- Address spaces ------------------------------------------------------------------------ */

enum gpu_access { GPU_READ = 1, GPU_WRITE = 2 };

/* One translated 4 KiB page. */
struct gpu_page {
	void *host; /* its first byte; NULL: no mapping, use the read and write methods */
	bool writable;
	uint64_t source; /* what it was made of, for the block method; else nothing */
	uint64_t origin; /* and what else, as the method says of its block; 0: something else */
};

#define GPU_TLB_TABLES	    64u
#define GPU_TLB_TABLE_PAGES 512u
#define GPU_TLB_BLOCKS	    4u /* of a table */
#define GPU_TLB_BLOCK_PAGES (GPU_TLB_TABLE_PAGES / GPU_TLB_BLOCKS)

/* Translations of the 512 neighbours that a page table stands for; its blocks come and go alone. */
struct gpu_tlb_table {
	uint64_t page[GPU_TLB_TABLE_PAGES]; /* host address | enum gpu_access; 0: not translated */
	uint64_t source[GPU_TLB_TABLE_PAGES]; /* gpu_page.source of each */
	uint64_t origin[GPU_TLB_BLOCKS];      /* the owner's, of each block */
};

/* Some blocks of a table, side by side. */
struct gpu_tlb_blocks {
	struct gpu_tlb_table *table;
	unsigned int first, count;
};

struct gpu_as;

struct gpu_as_ops {
	/* Translates the page at @gma (page-aligned); 0, or -EFAULT: not present or forbidden. */
	int (*translate)(struct gpu_as *as, gma_t gma, unsigned int access, struct gpu_page *page);
	/* For pages without a host mapping; the range never crosses a page. */
	int (*read)(struct gpu_as *as, gma_t gma, void *buf, size_t len);
	int (*write)(struct gpu_as *as, gma_t gma, const void *buf, size_t len);
	/* True when cached translations must be dropped (the memory map changed); cheap; or NULL.
	 */
	bool (*stale)(struct gpu_as *as);
	/*
	 * Blocks of pages, of which the first begins at @first, are met for the first time since
	 * translations were dropped.  @again: they have some from before, and the method clears
	 * those whose source is no longer the same; the rest is as good as new.  Else they are
	 * empty.  NULL: what is dropped is translated again.
	 */
	void (*enter)(struct gpu_as *as, gma_t first, const struct gpu_tlb_blocks *blocks,
		      bool again);
};

/*
 * An address space: the owner embeds it, fills in ops and address_bits and hands it to workloads.
 * The TLB is the GPU's; it is dropped by gpu_as_invalidate() and by the stale method.  Owner: the
 * one lane that runs the workload using it, at a time.
 */
struct gpu_as {
	const struct gpu_as_ops *ops;
	unsigned int address_bits; /* 32 for the GGTT, 48 for a PPGTT: addresses are cut to it */
	uint32_t epoch;		   /* part of every tag, so that dropping all is one increment */
	uint32_t spread;	   /* the owner's: tables of spaces that take turns lie apart */
	/* Of each block: epoch above bit 36, number below; epochs start at 1, and 0 is none. */
	uint64_t tag[GPU_TLB_TABLES * GPU_TLB_BLOCKS];
	struct gpu_tlb_table table[GPU_TLB_TABLES];
	uint64_t drops; /* how often that was; from 1 on, and never the same again */
	uint64_t hits, misses;
};

void gpu_as_init(struct gpu_as *as, const struct gpu_as_ops *ops, unsigned int address_bits);
/* Drops every cached translation; those that turn out to be unchanged are used again. */
void gpu_as_invalidate(struct gpu_as *as);
/* Drops them for good: the host addresses in them are not to be used any more. */
void gpu_as_forget(struct gpu_as *as);
/*
 * Copies across page borders; -EFAULT with *@fault_at (may be NULL) set to the first address that
 * failed.  What lies before it has been copied.
 */
int gpu_as_read(struct gpu_as *as, gma_t gma, void *buf, size_t len, gma_t *fault_at);
int gpu_as_write(struct gpu_as *as, gma_t gma, const void *buf, size_t len, gma_t *fault_at);
/* Host address of one page's byte at @gma, or NULL; valid until the TLB is dropped. */
void *gpu_as_map(struct gpu_as *as, gma_t gma, unsigned int access);

/* ---- Faults -------------------------------------------------------------------------------- */

enum gpu_fault_kind {
	GPU_FAULT_NONE,
	GPU_FAULT_OPCODE,  /* no such command, or not on this engine */
	GPU_FAULT_LENGTH,  /* a length the command cannot have, or past the end of its buffer */
	GPU_FAULT_ADDRESS, /* page not present, or not writable */
	GPU_FAULT_ALIGNMENT,
	GPU_FAULT_NESTING,   /* second level batch from the ring, batch from a workaround batch */
	GPU_FAULT_RING,	     /* head or tail outside the ring, ring not enabled */
	GPU_FAULT_CONTEXT,   /* a context image that makes no sense */
	GPU_FAULT_PRIVILEGE, /* a command for the owner of the whole GPU */
	GPU_FAULT_SHARE,     /* an address outside the share of the GGTT */
	GPU_FAULT_REGISTER,  /* a register that commands may not write */
	GPU_FAULT_ENDLESS,   /* a privileged batch without an end in sight */
	GPU_FAULT_KINDS
};
const char *gpu_fault_name(enum gpu_fault_kind kind);

struct gpu_fault {
	enum gpu_fault_kind kind;
	enum gpu_engine engine;
	uint32_t context_id;
	bool ppgtt;
	bool write;
	uint64_t command_at; /* address of the command */
	uint64_t address;    /* the operand that failed: an address, or a register's offset */
	uint32_t header;     /* its first dword */
};

/* ---- The audit of privileged commands ------------------------------------------------------ */

/* Graphics addresses from first to end - 1; empty when both are the same. */
struct gpu_range {
	uint64_t first, end;
};

/* What the buffers are that run with privilege. */
enum gpu_source {
	GPU_SOURCE_RING,
	GPU_SOURCE_BATCH1, /* first level, from the GGTT */
	GPU_SOURCE_BATCH2, /* second level */
	GPU_SOURCE_INDIRECT_CTX,
	GPU_SOURCE_PER_CTX,
};

/* Commands of one buffer, copied into private memory; it is this copy that will run. */
struct gpu_audit_window {
	enum gpu_engine engine;
	enum gpu_source source;
	const uint32_t *dwords; /* begins with a command */
	uint32_t count;
};

/* Why a command was refused. */
struct gpu_audit_finding {
	enum gpu_fault_kind kind; /* NONE: the command was not whole */
	bool write;
	uint64_t address; /* as in struct gpu_fault */
};

struct gpu_audit;

struct gpu_audit_ops {
	/*
	 * Accepts commands from the first on, and returns how many dwords they have: less than
	 * the window when a command is refused (@finding says why), is cut off by the window's
	 * end, or when what follows may never run; more when the last one, of which nothing else
	 * needs a look, ends behind the window.  On a lane; no allocation.
	 */
	uint32_t (*scan)(const struct gpu_audit *audit, const struct gpu_audit_window *window,
			 struct gpu_audit_finding *finding);
};

struct gpu_audit {
	const struct gpu_audit_ops *ops;
};

/* ---- Workloads ----------------------------------------------------------------------------- */

/* Where the command streamer stands: what RING_HEAD and the BB registers of a context hold. */
struct gpu_cs_state {
	uint32_t head, tail; /* bytes into the ring */
	uint64_t bb_head[2]; /* first and second level batch: next command */
	bool bb_valid[2];
	bool bb_ppgtt[2];      /* BB_STATE: address space indicator */
	uint8_t set_predicate; /* MI_SET_PREDICATE's mode, as MI_MODE keeps it; 0: none */
};

/*
 * What the blitter knows of a context between two runs; all zeros for a new one.  Any values are
 * safe.
 */
struct gpu_blt_state {
	/* The last XY_SETUP_BLT or XY_SETUP_MONO_PATTERN_SL_BLT as it was, its clip rectangle
	 * replaced by a later XY_SETUP_CLIP_BLT. */
	uint32_t setup[10];
	/* How far the blit at command_at is: whole rows, and pieces of the next one. */
	uint32_t row, piece;
	uint64_t command_at;
};

struct gpu_client;

/* One context on one engine.  The caller keeps it alive from begin() to end(). */
struct gpu_workload {
	enum gpu_engine engine;
	uint32_t context_id;
	struct gpu_as *ggtt;
	struct gpu_as *ppgtt;
	gma_t ring_start; /* GGTT */
	uint32_t ring_bytes;
	gma_t context_page; /* GGTT address of the context's page 0: post-sync "store index" */
	gma_t status_page;  /* GGTT address of the engine's HWSP: MI_STORE_DATA_INDEX */
	gma_t indirect_ctx; /* GGTT; indirect_ctx_bytes 0: none.  Runs before the ring */
	uint32_t indirect_ctx_bytes;
	gma_t per_ctx; /* GGTT; v == 0: none */
	/* Whom to ask before privileged commands run; NULL: nobody. */
	const struct gpu_audit *audit;
	struct gpu_cs_state cs;	  /* in: where to start; out, at end(): where it stood */
	struct gpu_blt_state blt; /* in and out, the blitter engine's */
	/* Out, whenever run() returns: MI_ARB_ON_OFF forbids to take it off for another context. */
	bool arbitration_off;
	struct gpu_client *client;
};

/* Bits of the engine's interrupt half-word as the GT IIR registers place them (i915: GT_*). */
enum gpu_interrupt {
	GPU_INTERRUPT_USER = BIT(0),
	GPU_INTERRUPT_CS_ERROR = BIT(3),
	GPU_INTERRUPT_FLUSH_NOTIFY = BIT(4),
	GPU_INTERRUPT_CONTEXT_SWITCH = BIT(8),
	GPU_INTERRUPT_WAIT_SEMAPHORE = BIT(11),
};

/* What MI_DISPLAY_FLIP says, each value as the plane's register has it. */
struct gpu_flip {
	unsigned int pipe;  /* 0 to 2 */
	unsigned int plane; /* of the pipe, 0 to 2 */
	uint32_t stride;    /* PLANE_STRIDE */
	uint32_t tiling;    /* the field of PLANE_CTL */
	uint32_t surface;   /* PLANE_SURF */
};

/* What the GPU asks of its owner; called on the lane's thread, in the middle of run(). */
struct gpu_client_ops {
	/* Registers the command streamer does not own itself.  Offsets are absolute, aligned to 4.
	 * The FORCE_TO_NONPRIV registers are read too, to decide what a user batch may write. */
	uint32_t (*reg_read)(struct gpu_client *client, enum gpu_engine engine, uint32_t offset);
	void (*reg_write)(struct gpu_client *client, enum gpu_engine engine, uint32_t offset,
			  uint32_t value);
	/* The plane shows another surface.  Not by reg_write: no other command may do that.  NULL:
	 * there is no display. */
	void (*flip)(struct gpu_client *client, const struct gpu_flip *flip);
	/* enum gpu_interrupt bits. */
	void (*interrupt)(struct gpu_client *client, enum gpu_engine engine, uint32_t bits);
	/* The workload reached its tail: the newest tail (lite restore), the same when there is
	 * none. */
	uint32_t (*ring_tail)(struct gpu_client *client, enum gpu_engine engine);
	/* A fault was met; run() returns GPU_RUN_FAULT next. */
	void (*fault)(struct gpu_client *client, const struct gpu_fault *fault);
	/* Asked between commands: true makes run() return GPU_RUN_BUDGET soon (memory map changes).
	 */
	bool (*yield)(struct gpu_client *client);
};

struct gpu_client {
	const struct gpu_client_ops *ops;
};

enum gpu_run {
	GPU_RUN_DONE,	 /* head == tail */
	GPU_RUN_BUDGET,	 /* the slice is used up, or a yield was asked for */
	GPU_RUN_WAIT,	 /* a semaphore or event is not there yet: run again later */
	GPU_RUN_FAULT,	 /* halted on a fault: nothing more happens until end() */
	GPU_RUN_STOPPED, /* stop() was called */
};

struct gpu_stats {
	uint64_t commands[GPU_ENGINES];
	uint64_t batches[GPU_ENGINES];
	uint64_t not_executed[GPU_ENGINES]; /* parsed, but 3D or media: state and work */
	uint64_t work_dropped[GPU_ENGINES]; /* of these, GPU_COMMAND_WORK: draws, decodes, … */
	uint64_t faults[GPU_ENGINES];
	uint64_t bytes_fetched[GPU_ENGINES];
	uint64_t tlb_hits, tlb_misses;
};

/* How often one command of one engine was parsed and not executed. */
struct gpu_not_executed {
	const struct gpu_command *command;
	enum gpu_engine engine;
	uint64_t count;
};

struct gpu;

struct gpu_ops {
	void (*destroy)(struct gpu *gpu);
	/* Loads @workload onto its (idle) engine. */
	void (*begin)(struct gpu *gpu, struct gpu_workload *workload);
	/* Runs until @deadline_ns (CLOCK_MONOTONIC) or an earlier reason. */
	enum gpu_run (*run)(struct gpu *gpu, enum gpu_engine engine, uint64_t deadline_ns);
	/* Takes the workload off; its cs field says where it stood. */
	void (*end)(struct gpu *gpu, enum gpu_engine engine);
	/* Any thread: run() on @engine returns GPU_RUN_STOPPED before its next command. */
	void (*stop)(struct gpu *gpu, enum gpu_engine engine);
	/* The engine's own registers back to power-on values (engine reset). */
	void (*reset)(struct gpu *gpu, enum gpu_engine engine);
	/*
	 * Registers that live in the command streamer (GPRs, MI_PREDICATE_*, counters; absolute
	 * offsets).  False when @offset is none of them.  Any thread.
	 */
	bool (*reg_read)(struct gpu *gpu, enum gpu_engine engine, uint32_t offset, uint32_t *value);
	bool (*reg_write)(struct gpu *gpu, enum gpu_engine engine, uint32_t offset, uint32_t value);
	/* Where the engine stands now, for RING_HEAD, ACTHD, BBADDR, IPEHR.  Any thread. */
	void (*where)(struct gpu *gpu, enum gpu_engine engine, struct gpu_cs_state *cs,
		      uint32_t *last_header);
	void (*stats)(struct gpu *gpu, struct gpu_stats *stats);
	/* Fills in at most @max rows with a count above 0; returns how many there are.  Any thread.
	 */
	size_t (*not_executed)(struct gpu *gpu, struct gpu_not_executed *rows, size_t max);
};

struct gpu {
	const struct gpu_ops *ops;
};

/* A GPU to be destroyed with gpu_destroy(); NULL when there is no memory. */
struct gpu *gpu_soft_create(void);
struct gpu *gpu_null_create(void);

static inline void gpu_destroy(struct gpu *gpu)
{
	if (gpu)
		gpu->ops->destroy(gpu);
}

/* The GPU's clock: 12 MHz ticks since the host booted (TIMESTAMP registers, 36 bits wide). */
uint64_t gpu_timestamp(void);

#endif
