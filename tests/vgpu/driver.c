/* SPDX-License-Identifier: MIT */
/* The tests' driver; the order of its register accesses is i915's. */
#include "driver.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "vgpu/context.h"
#include "vgpu/engine.h"
#include "vgpu_regs_gen.h"

#define FIRST_GMA 0x10000000u
#define WAIT_NS	  (10 * NSEC_PER_SEC)

#define PTE_PRESENT 1u
#define PTE_RW	    2u

void driver_idle(struct driver *d)
{
	struct timespec ts = { .tv_nsec = 20000 };

	if (driver_transport.idle)
		driver_transport.idle(d);
	nanosleep(&ts, NULL);
}

/* ---- Life ---- */

void driver_open(struct driver *d, bool render_only)
{
	memset(d, 0, sizeof(*d));
	driver_transport.open(d, render_only);
	d->next_gma = FIRST_GMA;
}

void driver_close(struct driver *d)
{
	driver_transport.close(d);
}

int driver_setup(void **state)
{
	static struct driver d;

	driver_open(&d, true);
	driver_start(&d);
	*state = &d;
	return 0;
}

int driver_teardown(void **state)
{
	driver_close(*state);
	return 0;
}

void driver_reset(struct driver *d)
{
	driver_transport.reset(d);
}

uint32_t driver_read(struct driver *d, uint32_t offset)
{
	uint32_t value;

	driver_transport.bar_read(d, 0, offset, &value, sizeof(value));
	return value;
}

void driver_write(struct driver *d, uint32_t offset, uint32_t value)
{
	driver_transport.bar_write(d, 0, offset, &value, sizeof(value));
}

void driver_bar_read(struct driver *d, unsigned int bar, uint64_t offset, void *buf, size_t len)
{
	driver_transport.bar_read(d, bar, offset, buf, len);
}

void driver_bar_write(struct driver *d, unsigned int bar, uint64_t offset, const void *buf,
		      size_t len)
{
	driver_transport.bar_write(d, bar, offset, buf, len);
}

uint8_t driver_config_read(struct driver *d, uint16_t offset)
{
	return driver_transport.config_read(d, offset);
}

unsigned int driver_messages(struct driver *d)
{
	return driver_transport.messages(d);
}

void driver_change_map(struct driver *d)
{
	driver_transport.change_map(d);
}

void driver_start_engine(struct driver *d, enum gpu_engine engine)
{
	uint32_t base = gpu_engine_base(engine);
	struct driver_engine *e = &d->engines[engine];

	ram_write32(d->ram, gpa(e->hwsp.v + 0x7c), 5);
	e->csb_read = 5;
	driver_write(d, REG_RING_HWSTAM(base), UINT32_MAX);
	driver_write(d, REG_RING_MODE_GEN7(base), 0x80008000);
	driver_write(d, REG_RING_MI_MODE(base), 0x01000000);
	driver_write(d, REG_RING_HWS_PGA(base), (uint32_t)e->hwsp_gma.v);
	driver_write(d, REG_RING_EMR(base), ~1u);
	driver_write(d, REG_RING_CONTEXT_STATUS_PTR(base), 0xffff0505);
	driver_write(d, REG_RING_IMR(base), engine == GPU_BCS ? 0xf6f6ffff : 0xfffff6f6);
}

static void enable_interrupts(struct driver *d)
{
	static const uint32_t enable[4] = { 0x09090909, 0x09090909, 0, 0x00000909 };

	driver_write(d, REG_GEN8_MASTER_IRQ, 0);
	for (unsigned int i = 0; i < 4; i++) {
		driver_write(d, REG_GEN8_GT_IIR(i), UINT32_MAX);
		driver_write(d, REG_GEN8_GT_IER(i), enable[i]);
		driver_write(d, REG_GEN8_GT_IMR(i), ~enable[i]);
	}
	driver_write(d, REG_GEN8_MASTER_IRQ, 0x80000000);
}

void driver_start(struct driver *d)
{
	d->pml4 = ram_alloc(d->ram, 1);
	d->seqno = ram_alloc(d->ram, 1);
	d->seqno_gma = driver_map(d, d->seqno, 1);
	for_each_engine(engine) {
		d->engines[engine].hwsp = ram_alloc(d->ram, 1);
		d->engines[engine].hwsp_gma = driver_map(d, d->engines[engine].hwsp, 1);
		driver_start_engine(d, engine);
	}
	enable_interrupts(d);
}

/* ---- Memory ---- */

void driver_gtt_write(struct driver *d, uint64_t index, uint64_t pte)
{
	driver_bar_write(d, 0, VGPU_GTT_OFFSET + index * 8, &pte, sizeof(pte));
}

gma_t driver_map(struct driver *d, gpa_t at, unsigned int pages)
{
	gma_t start = gma(d->next_gma);

	for (unsigned int i = 0; i < pages; i++) {
		uint64_t pte = (at.v + i * PAGE_BYTES) | PTE_PRESENT;

		driver_gtt_write(d, d->next_gma >> PAGE_SHIFT, pte);
		d->next_gma += PAGE_BYTES;
	}
	driver_write(d, REG_GFX_FLSH_CNTL_GEN6, 1);
	return start;
}

static gpa_t next_table(struct driver *d, gpa_t table, unsigned int index)
{
	uint64_t *entry = (uint64_t *)ram_at(d->ram, table) + index;

	if (!(*entry & PTE_PRESENT))
		*entry = ram_alloc(d->ram, 1).v | PTE_PRESENT | PTE_RW;
	return gpa(*entry & ~0xfffull);
}

void driver_ppgtt_map(struct driver *d, uint64_t at, gpa_t page)
{
	gpa_t table = d->pml4;

	for (unsigned int shift = 39; shift > 12; shift -= 9)
		table = next_table(d, table, (at >> shift) & 511);
	ram_write64(d->ram, gpa(table.v + ((at >> 12) & 511) * 8), page.v | PTE_PRESENT | PTE_RW);
}

/* ---- Contexts ---- */

static gpa_t state_page(struct driver_context *ctx)
{
	return gpa(ctx->image.v + PAGE_BYTES);
}

uint32_t driver_context_get(struct driver *d, struct driver_context *ctx, unsigned int dword)
{
	return ram_read32(d->ram, gpa(state_page(ctx).v + dword * 4));
}

void driver_context_set(struct driver *d, struct driver_context *ctx, unsigned int dword,
			uint32_t value)
{
	ram_write32(d->ram, gpa(state_page(ctx).v + dword * 4), value);
}

/* A block of LRI at @dword: the registers, then their values, which are left alone. */
static unsigned int lay_block(struct driver *d, struct driver_context *ctx, unsigned int dword,
			      const uint16_t *regs, unsigned int count)
{
	uint32_t base = gpu_engine_base(ctx->engine);

	driver_context_set(d, ctx, dword++, 0x11001000 | (2 * count - 1));
	for (unsigned int i = 0; i < count; i++, dword += 2)
		driver_context_set(d, ctx, dword, base + regs[i]);
	return dword;
}

static void lay_registers(struct driver *d, struct driver_context *ctx)
{
	static const uint16_t ring[] = { 0x244, 0x034, 0x030, 0x038, 0x03c, 0x168, 0x140,
					 0x110, 0x11c, 0x114, 0x118, 0x1c0, 0x1c4, 0x1c8 };
	static const uint16_t space[] = { 0x3a8, 0x28c, 0x288, 0x284, 0x280,
					  0x27c, 0x278, 0x274, 0x270 };
	static const uint16_t rest[] = { 0x09c, 0x600, 0x604, 0x608, 0x60c };

	lay_block(d, ctx, 0x01, ring, ARRAY_SIZE(ring));
	lay_block(d, ctx, 0x21, space, ARRAY_SIZE(space));
	lay_block(d, ctx, 0x53, rest, ARRAY_SIZE(rest));
}

void driver_context_init(struct driver *d, struct driver_context *ctx, enum gpu_engine engine,
			 uint32_t id)
{
	memset(ctx, 0, sizeof(*ctx));
	ctx->engine = engine;
	ctx->id = id;
	ctx->image = ram_alloc(d->ram, 2);
	ctx->image_gma = driver_map(d, ctx->image, 2);
	ctx->ring = ram_alloc(d->ram, 1);
	ctx->ring_gma = driver_map(d, ctx->ring, 1);
	ctx->desc = (uint64_t)id << 32 | ctx->image_gma.v | 3u << 3 | CTX_DESC_VALID;
	lay_registers(d, ctx);
	driver_context_set(d, ctx, CTX_CONTEXT_CONTROL, 0x00090009); /* restore inhibit */
	driver_context_set(d, ctx, CTX_RING_START, (uint32_t)ctx->ring_gma.v);
	driver_context_set(d, ctx, CTX_RING_CTL, (DRIVER_RING_BYTES - 4096) | 1);
	driver_context_set(d, ctx, CTX_PDP0_UDW, (uint32_t)(d->pml4.v >> 32));
	driver_context_set(d, ctx, CTX_PDP0_LDW, (uint32_t)d->pml4.v);
	driver_context_set(d, ctx, CTX_MI_MODE, 0x01000000);
}

void driver_emit(struct driver *d, struct driver_context *ctx, const uint32_t *dw, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		ram_write32(d->ram, gpa(ctx->ring.v + ctx->tail), dw[i]);
		ctx->tail = (ctx->tail + 4) % DRIVER_RING_BYTES;
	}
}

void driver_emit_seqno(struct driver *d, struct driver_context *ctx, unsigned int slot,
		       uint32_t value)
{
	const uint32_t dw[] = {
		MI_SDI_GGTT, (uint32_t)d->seqno_gma.v + 4 * slot, 0, value, MI_USER_INTERRUPT,
		MI_NOOP
	};

	driver_emit(d, ctx, dw, ARRAY_SIZE(dw));
}

void driver_elsp(struct driver *d, enum gpu_engine engine, uint64_t desc0, uint64_t desc1)
{
	uint32_t elsp = REG_RING_ELSP(gpu_engine_base(engine));

	driver_write(d, elsp, (uint32_t)(desc1 >> 32));
	driver_write(d, elsp, (uint32_t)desc1);
	driver_write(d, elsp, (uint32_t)(desc0 >> 32));
	driver_write(d, elsp, (uint32_t)desc0);
}

void driver_submit(struct driver *d, struct driver_context *first, struct driver_context *second,
		   uint32_t flags)
{
	driver_context_set(d, first, CTX_RING_TAIL, first->tail);
	if (second)
		driver_context_set(d, second, CTX_RING_TAIL, second->tail);
	driver_elsp(d, first->engine, first->desc | flags, second ? second->desc : 0);
}

/* ---- Waiting ---- */

uint32_t driver_result(struct driver *d, unsigned int slot)
{
	return ram_read32(d->ram, gpa(d->seqno.v + 4 * slot));
}

void driver_wait_result(struct driver *d, unsigned int slot, uint32_t value)
{
	uint64_t end = clock_now_ns() + WAIT_NS;

	while (driver_result(d, slot) != value && clock_now_ns() < end)
		driver_idle(d);
	assert_int_equal(driver_result(d, slot), value);
}

static unsigned int csb_written(struct driver *d, struct driver_engine *e)
{
	return ram_read32(d->ram, gpa(e->hwsp.v + 0x7c));
}

uint64_t driver_wait_event(struct driver *d, enum gpu_engine engine)
{
	struct driver_engine *e = &d->engines[engine];
	uint64_t end = clock_now_ns() + WAIT_NS;
	uint64_t *entry;

	while (csb_written(d, e) == e->csb_read && clock_now_ns() < end)
		driver_idle(d);
	assert_int_not_equal(csb_written(d, e), e->csb_read);
	e->csb_read = (e->csb_read + 1) % 6;
	entry = ram_at(d->ram, gpa(e->hwsp.v + 0x40 + 8 * e->csb_read));
	return __atomic_load_n(entry, __ATOMIC_RELAXED);
}

void driver_expect_event(struct driver *d, enum gpu_engine engine, uint32_t status, uint32_t id)
{
	uint64_t event = driver_wait_event(d, engine);

	assert_int_equal((uint32_t)event, status);
	assert_int_equal((uint32_t)(event >> 32), id);
}

void driver_run_alone(struct driver *d, struct driver_context *ctx)
{
	driver_submit(d, ctx, NULL, 0);
	driver_expect_event(d, ctx->engine, CSB_IDLE_ACTIVE, ctx->id);
	driver_expect_event(d, ctx->engine, CSB_COMPLETE | CSB_ACTIVE_IDLE, ctx->id);
}

bool driver_quiet(struct driver *d, enum gpu_engine engine)
{
	uint64_t end = clock_now_ns() + 10 * NSEC_PER_MSEC;

	while (clock_now_ns() < end)
		driver_idle(d);
	return csb_written(d, &d->engines[engine]) == d->engines[engine].csb_read;
}

void driver_wait_messages(struct driver *d, unsigned int count)
{
	uint64_t end = clock_now_ns() + WAIT_NS;

	while (driver_messages(d) < count && clock_now_ns() < end)
		driver_idle(d);
	assert_true(driver_messages(d) >= count);
}

uint32_t driver_handle_irq(struct driver *d, enum gpu_engine engine)
{
	static const unsigned int block[GPU_ENGINES] = { 0, 0, 1, 3 };
	uint32_t iir;

	driver_write(d, REG_GEN8_MASTER_IRQ, 0);
	iir = driver_read(d, REG_GEN8_GT_IIR(block[engine]));
	driver_write(d, REG_GEN8_GT_IIR(block[engine]), iir);
	driver_write(d, REG_GEN8_MASTER_IRQ, 0x80000000);
	return engine == GPU_BCS ? iir >> 16 : iir & 0xffff;
}

uint32_t driver_wait_irq(struct driver *d, enum gpu_engine engine, uint32_t bits)
{
	uint64_t end = clock_now_ns() + WAIT_NS;
	uint32_t seen = driver_handle_irq(d, engine);

	while ((seen & bits) != bits && clock_now_ns() < end) {
		driver_idle(d);
		seen |= driver_handle_irq(d, engine);
	}
	return seen;
}

void driver_reset_engine(struct driver *d, enum gpu_engine engine)
{
	static const uint32_t domain[GPU_ENGINES] = { 2, 8, 4, 16 };
	uint32_t base = gpu_engine_base(engine);

	driver_write(d, REG_RING_MI_MODE(base), 0x01000100);
	driver_write(d, REG_RING_RESET_CTL(base), 0x00010001);
	assert_int_equal(driver_read(d, REG_RING_RESET_CTL(base)), 3);
	driver_write(d, REG_GEN6_GDRST, domain[engine]);
	assert_int_equal(driver_read(d, REG_GEN6_GDRST), 0);
	driver_write(d, REG_GEN6_GDRST, domain[engine]);
	assert_int_equal(driver_read(d, REG_GEN6_GDRST), 0);
	driver_write(d, REG_RING_RESET_CTL(base), 0x00010000);
	driver_start_engine(d, engine);
}

bool driver_missing(void)
{
	const char *why = driver_transport.missing ? driver_transport.missing() : NULL;

	if (why)
		printf("skipped: %s\n", why);
	return why;
}
