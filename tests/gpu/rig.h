/* SPDX-License-Identifier: MIT */
/*
 * A GPU with nothing around it: two flat address spaces made of an array, a client that records
 * what it is told, and words to write command streams with.  Shared by the tests of this layer.
 */
#ifndef TESTS_GPU_RIG_H
#define TESTS_GPU_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gpu/soft.h"

#define RIG_PAGES      64u
#define RIG_RING       0x1000u /* GGTT */
#define RIG_RING_BYTES 0x1000u
#define RIG_HWSP       0x3000u /* GGTT */
#define RIG_CONTEXT    0x4000u /* GGTT */
#define RIG_DATA       0x8000u /* both spaces: a place for results */
#define RIG_BATCH      0x10000u
#define RIG_BATCH_2    0x20000u

enum { PAGE_ABSENT = 1, PAGE_READ_ONLY = 2, PAGE_NO_HOST = 4 };

struct rig_space {
	struct gpu_as as;
	uint32_t translations;
	bool stale;
	/* Called behind each read of a page without a host mapping; NULL: nothing. */
	void (*after_read)(struct rig_space *space, uint32_t address, uint32_t bytes);
	uint32_t swapped; /* pages from here on lie in memory in pairs, the second first; 0: none */
	uint8_t flags[RIG_PAGES];
	_Alignas(4096) uint8_t memory[RIG_PAGES * 4096];
};

#define RIG_EVENTS 64u

struct rig {
	struct gpu *gpu;
	struct rig_space ggtt, ppgtt;
	struct gpu_client client;
	struct gpu_workload workload;
	uint32_t at; /* where emit() writes next, in `space` */
	struct rig_space *space;

	uint32_t registers[0x23000 / 4]; /* of the client */
	uint32_t register_writes;
	uint32_t last_register, last_value; /* written */
	struct gpu_flip flip;		    /* the last one */
	uint32_t flips;
	uint32_t new_tail; /* what ring_tail answers, when not UINT32_MAX */
	uint32_t interrupts[RIG_EVENTS];
	uint32_t interrupt_count;
	uint64_t data_at_interrupt; /* the qword at RIG_DATA of the GGTT then */
	struct gpu_fault fault;
	uint32_t faults;
	uint32_t yields;
	bool (*want_yield)(struct rig *rig);
};

/* Rigs are big: one for each test, on the heap. */
struct rig *rig_create(enum gpu_engine engine);
struct rig *rig_create_null(enum gpu_engine engine);
void rig_destroy(struct rig *rig);

/* Writing commands: to the ring, or to a batch in one of the spaces. */
void rig_ring(struct rig *rig);
void rig_batch(struct rig *rig, struct rig_space *space, uint32_t address);
void emit(struct rig *rig, uint32_t dword);
#define EMIT(rig, ...)                                                               \
	do {                                                                         \
		const uint32_t dwords_[] = { __VA_ARGS__ };                          \
		for (size_t i_ = 0; i_ < sizeof(dwords_) / sizeof(dwords_[0]); i_++) \
			emit((rig), dwords_[i_]);                                    \
	} while (0)

uint32_t peek32(struct rig_space *space, uint32_t address);
uint64_t peek64(struct rig_space *space, uint32_t address);
void poke32(struct rig_space *space, uint32_t address, uint32_t value);
void poke64(struct rig_space *space, uint32_t address, uint64_t value);

/* The tail to where emit() stands; begin, run to the end, end. */
void rig_set_tail(struct rig *rig);
enum gpu_run rig_run(struct rig *rig);
/* rig_run() that must finish without a fault. */
void rig_run_clean(struct rig *rig);
/* A user batch at RIG_BATCH holding what is emitted next. */
void rig_user_batch(struct rig *rig);
/* Ends the batch, calls it from the ring, runs. */
enum gpu_run rig_run_batch(struct rig *rig);

uint64_t rig_gpr(struct rig *rig, unsigned int n);
void rig_set_gpr(struct rig *rig, unsigned int n, uint64_t value);
uint32_t rig_reg(struct rig *rig, uint32_t offset);
void rig_set_reg(struct rig *rig, uint32_t offset, uint32_t value);

/* Commands by name. */
#define MI_NOOP			0x00000000u
#define MI_SET_PREDICATE(x)	(0x00800000u | (x))
#define MI_USER_INTERRUPT	0x01000000u
#define MI_ARB_CHECK		0x02800000u
#define MI_BATCH_BUFFER_END	0x05000000u
#define MI_PREDICATE(l, c, o)	(0x06000000u | (l) << 6 | (c) << 3 | (o))
#define MI_MATH(n)		(0x0d000000u | ((n)-1))
#define MI_SEMAPHORE_WAIT(op)	(0x0e008002u | (op) << 12)
#define MI_STORE_DATA_IMM	0x10000002u
#define MI_LOAD_REGISTER_IMM(n) (0x11000000u | (2 * (n)-1))
#define MI_STORE_REGISTER_MEM	0x12000002u
#define MI_FLUSH_DW		0x13000003u
#define MI_LOAD_REGISTER_MEM	0x14800002u
#define MI_LOAD_REGISTER_REG	0x15000001u
#define MI_COPY_MEM_MEM		0x17000003u
#define MI_ATOMIC(op)		(0x17800001u | (op) << 8)
#define MI_ATOMIC_INLINE(op)	(0x17840009u | (op) << 8)
#define MI_BATCH_BUFFER_START	0x18800001u
#define MI_BATCH_PPGTT		(1u << 8)
#define MI_BATCH_2ND_LEVEL	(1u << 22)
#define MI_GGTT			(1u << 22)
#define PIPE_CONTROL		0x7a000004u
#define ALU(op, a, b)		((uint32_t)(op) << 20 | (a) << 10 | (b))

#endif
