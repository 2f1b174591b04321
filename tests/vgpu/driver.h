/* SPDX-License-Identifier: MIT */
/*
 * A small driver that programs a vGPU as i915 does: GGTT, status pages, context images, rings,
 * ELSP, and reads the status buffer.  It reaches the vGPU by the transport its program is linked
 * with.  One thread, but for the accesses to the device.
 */
#ifndef TESTS_VGPU_DRIVER_H
#define TESTS_VGPU_DRIVER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ram.h"
#include "transport.h"
#include "vgpu/vgpu.h"

#define DRIVER_RING_BYTES 4096u

/* Dwords of the register page of a context (i915: intel_lrc_reg.h). */
#define CTX_CONTEXT_CONTROL 0x03
#define CTX_RING_HEAD	    0x05
#define CTX_RING_TAIL	    0x07
#define CTX_RING_START	    0x09
#define CTX_RING_CTL	    0x0b
#define CTX_BB_STATE	    0x11
#define CTX_SBBADDR	    0x15
#define CTX_SBB_STATE	    0x17
#define CTX_BB_PER_CTX_PTR  0x19
#define CTX_INDIRECT_CTX    0x1b
#define CTX_TIMESTAMP	    0x23
#define CTX_PDP0_UDW	    0x31
#define CTX_PDP0_LDW	    0x33
#define CTX_MI_MODE	    0x55
#define CTX_GPR0	    0x57

#define DESC_FORCE_RESTORE 0x4u

#define MI_NOOP		  0u
#define MI_USER_INTERRUPT 0x01000000u
#define MI_BBE		  0x05000000u
#define MI_SDI_GGTT	  0x10400002u
#define MI_LRI_1	  0x11000001u
#define MI_BBS_PPGTT	  0x18800101u

struct driver_engine {
	gpa_t hwsp;
	gma_t hwsp_gma;
	unsigned int csb_read; /* slot read last */
};

struct driver_context {
	enum gpu_engine engine;
	uint32_t id;
	uint64_t desc;
	gpa_t image; /* page 0; registers are in page 1 */
	gma_t image_gma;
	gpa_t ring;
	gma_t ring_gma;
	uint32_t tail;
	uint32_t mode; /* of addressing: 3 or 1 */
};

struct driver {
	struct ram *ram; /* these three are the transport's */
	struct vgpu *v;
	void *link;
	int irq_fd; /* an eventfd, signalled with each message by the direct transport; 0: none */
	uint64_t next_gma;
	gpa_t pml4;
	gpa_t seqno; /* a page of results */
	gma_t seqno_gma;
	struct driver_engine engines[GPU_ENGINES];
};

/*
 * What main() returns: the group's failures, or the exit status that means skipped, with the reason
 * on stdout.
 */
#define driver_run(name, tests) \
	(driver_missing() ? 77 : cmocka_run_group_tests_name(name, tests, NULL, NULL))
bool driver_missing(void);

/* The vGPU without its setting up. */
void driver_open(struct driver *d, bool render_only);
void driver_close(struct driver *d);
/* Of the function, with the driver's settings lost. */
void driver_reset(struct driver *d);
/* For cmocka: *@state is a driver that has started, on a render-only vGPU. */
int driver_setup(void **state);
int driver_teardown(void **state);
#define with_driver(test) cmocka_unit_test_setup_teardown(test, driver_setup, driver_teardown)
/* Interrupts on, status pages, execlists. */
void driver_start(struct driver *d);
void driver_start_engine(struct driver *d, enum gpu_engine engine);

uint32_t driver_read(struct driver *d, uint32_t offset);
void driver_write(struct driver *d, uint32_t offset, uint32_t value);

void driver_bar_read(struct driver *d, unsigned int bar, uint64_t offset, void *buf, size_t len);
void driver_bar_write(struct driver *d, unsigned int bar, uint64_t offset, const void *buf,
		      size_t len);
uint8_t driver_config_read(struct driver *d, uint16_t offset);
/* Interrupt messages so far. */
unsigned int driver_messages(struct driver *d);
/* The VMM changes the memory map, all that is in use stays. */
void driver_change_map(struct driver *d);

void driver_gtt_write(struct driver *d, uint64_t index, uint64_t pte);
/* Pages of memory, mapped at the next graphics address. */
gma_t driver_map(struct driver *d, gpa_t at, unsigned int pages);
/* One page of the per-process space of every context. */
void driver_ppgtt_map(struct driver *d, uint64_t gma, gpa_t at);

void driver_context_init(struct driver *d, struct driver_context *ctx, enum gpu_engine engine,
			 uint32_t id);
uint32_t driver_context_get(struct driver *d, struct driver_context *ctx, unsigned int dword);
void driver_context_set(struct driver *d, struct driver_context *ctx, unsigned int dword,
			uint32_t value);
/* Appends to the ring, without telling anybody. */
void driver_emit(struct driver *d, struct driver_context *ctx, const uint32_t *dw, size_t count);
/* Appends a store of @value to word @slot of the results, and an interrupt. */
void driver_emit_seqno(struct driver *d, struct driver_context *ctx, unsigned int slot,
		       uint32_t value);
/* Moves the tails in the images and writes ELSP; @second may be NULL. */
void driver_submit(struct driver *d, struct driver_context *first, struct driver_context *second,
		   uint32_t flags);
/* Submits it, and sees it begin and end. */
void driver_run_alone(struct driver *d, struct driver_context *ctx);
void driver_elsp(struct driver *d, enum gpu_engine engine, uint64_t desc0, uint64_t desc1);

/* A moment of waiting. */
void driver_idle(struct driver *d);
uint32_t driver_result(struct driver *d, unsigned int slot);
void driver_wait_result(struct driver *d, unsigned int slot, uint32_t value);
/* The next entry of the status buffer; fails the test when none comes within seconds. */
uint64_t driver_wait_event(struct driver *d, enum gpu_engine engine);
void driver_expect_event(struct driver *d, enum gpu_engine engine, uint32_t status, uint32_t id);
/* True when nothing more has come for a moment. */
bool driver_quiet(struct driver *d, enum gpu_engine engine);
void driver_wait_messages(struct driver *d, unsigned int count);
/* What an interrupt handler does; returns the engine's bits of the GT's IIR. */
uint32_t driver_handle_irq(struct driver *d, enum gpu_engine engine);
/* The same until all of @bits have been there, or none came within seconds; what was there. */
uint32_t driver_wait_irq(struct driver *d, enum gpu_engine engine, uint32_t bits);
/* As i915 does it: stop, ready, reset, pointer back. */
void driver_reset_engine(struct driver *d, enum gpu_engine engine);

#endif
