/* SPDX-License-Identifier: MIT */
/*
 * The interrupt tree of Gen9.  An event goes through its block's IMR into the IIR; IIR and IER
 * give a block's line; the lines are computed into the master register, never stored; the message
 * is due on the rising edge of "master enabled and a line up", and sent when the lock is let go of.
 * A guest that enables the master while something is pending therefore gets its message, and one
 * whose handler runs with the master disabled gets none.  Under vgpu->lock throughout.
 */
#include "vgpu/irq.h"

#include "base/clock.h"
#include "base/trace.h"
#include "vgpu/display/vgpu_display.h"
#include "vgpu/mmio.h"

#define MASTER_ENABLE BIT(31)

#define COST_FIRST_NS 20000u /* until it is known */

#define BLOCK_IMR 0x4u
#define BLOCK_IIR 0x8u
#define BLOCK_IER 0xcu

/* The engines' halves of the GT blocks, and the bits of the master register. */
static const struct {
	uint32_t block;
	unsigned int shift;
	uint32_t master_bit;
} engine_irq[GPU_ENGINES] = {
	[GPU_RCS] = { IRQ_GT(0), 0, BIT(0) },
	[GPU_BCS] = { IRQ_GT(0), 16, BIT(1) },
	[GPU_VCS0] = { IRQ_GT(1), 0, BIT(2) },
	[GPU_VECS] = { IRQ_GT(3), 0, BIT(6) },
};

static const struct {
	uint32_t block;
	uint32_t mask;
	uint32_t master_bit;
} lines[] = {
	{ IRQ_GT(0), 0x0000ffff, BIT(0) },	 { IRQ_GT(0), 0xffff0000, BIT(1) },
	{ IRQ_GT(1), 0x0000ffff, BIT(2) },	 { IRQ_GT(1), 0xffff0000, BIT(3) },
	{ IRQ_GT(2), 0x0000ffff, BIT(4) },	 { IRQ_GT(2), 0xffff0000, BIT(5) },
	{ IRQ_GT(3), UINT32_MAX, BIT(6) },	 { IRQ_DE_PIPE(0), UINT32_MAX, BIT(16) },
	{ IRQ_DE_PIPE(1), UINT32_MAX, BIT(17) }, { IRQ_DE_PIPE(2), UINT32_MAX, BIT(18) },
	{ IRQ_DE_PORT, UINT32_MAX, BIT(20) },	 { IRQ_DE_MISC, UINT32_MAX, BIT(22) },
	{ IRQ_PCH, UINT32_MAX, BIT(23) },	 { IRQ_PCU, UINT32_MAX, BIT(30) },
};

static uint32_t master_status(struct vgpu *v)
{
	uint32_t status = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(lines); i++) {
		uint32_t up = vgpu_vreg(v, lines[i].block + BLOCK_IIR) &
			      vgpu_vreg(v, lines[i].block + BLOCK_IER);

		if (up & lines[i].mask)
			status |= lines[i].master_bit;
	}
	return status;
}

static void evaluate(struct vgpu *v)
{
	bool enabled = (vgpu_vreg(v, REG_GEN8_MASTER_IRQ) & MASTER_ENABLE) != 0;
	uint32_t status = enabled ? master_status(v) : 0;
	bool level = status != 0;

	if (level && !v->irq_level) {
		vgpu_count(&v->counters.interrupts);
		v->irq_due = status;
	}
	v->irq_level = level;
}

/*
 * Whom the message wakes up may want the lock at once.  A guest that handles it before it is sent,
 * because an earlier one was still on the way, finds nothing and leaves.
 */
void vgpu_unlock(struct vgpu *v)
{
	uint32_t due = v->irq_due;
	uint64_t start_ns;

	v->irq_due = 0;
	lock_release(&v->lock);
	if (!due)
		return;
	start_ns = TRACE_CLOCK(vgpu_msi);
	v->config.host->interrupt(v->config.opaque);
	TRACE_SINCE(start_ns, vgpu_msi, due, 0, 0, 0);
}

void vgpu_irq_assert(struct vgpu *v, uint32_t block, uint32_t bits)
{
	uint32_t latched = bits & ~vgpu_vreg(v, block + BLOCK_IMR);

	if (!latched)
		return;
	vgpu_vreg_set(v, block + BLOCK_IIR, vgpu_vreg(v, block + BLOCK_IIR) | latched);
	TRACE(vgpu_iir, block + BLOCK_IIR, latched, 0, 0);
	evaluate(v);
}

/* The engine's own mask has the layout of its GT block: BCS uses the upper half. */
static uint32_t through_engine(struct vgpu *v, enum gpu_engine engine, uint32_t bits)
{
	return (bits << engine_irq[engine].shift) &
	       ~vgpu_vreg(v, REG_RING_IMR(gpu_engine_base(engine)));
}

void vgpu_irq_assert_engine(struct vgpu *v, enum gpu_engine engine, uint32_t bits)
{
	vgpu_irq_assert(v, engine_irq[engine].block, through_engine(v, engine, bits));
}

/*
 * The engine has stored what it tells of and reads the masks; a driver clears its mask and then
 * looks at what was stored.  One of them has to see the other's store, or the driver sleeps for
 * ever: the CPU must not read the masks while the store is still on its way.  Adding nothing to a
 * mask is a full barrier, and one that the thread sanitizer knows.
 */
bool vgpu_irq_engine_wanted(struct vgpu *v, enum gpu_engine engine, uint32_t bits)
{
	atomic_fetch_or(&v->vreg[REG_RING_IMR(gpu_engine_base(engine)) / 4], 0);
	return (through_engine(v, engine, bits) &
		~vgpu_vreg(v, engine_irq[engine].block + BLOCK_IMR)) != 0;
}

bool vgpu_irq_wanted(struct vgpu *v, uint32_t block, uint32_t bits)
{
	return (bits & ~vgpu_vreg(v, block + BLOCK_IMR) & vgpu_vreg(v, block + BLOCK_IER)) != 0;
}

void vgpu_irq_reset(struct vgpu *v)
{
	v->irq_level = false;
	v->handled_since_ns = 0;
	atomic_store_explicit(&v->irq_cost_ns, COST_FIRST_NS, memory_order_relaxed);
}

/* ---- What an interrupt costs ----------------------------------------------------------------- */

uint64_t vgpu_irq_cost_ns(struct vgpu *v)
{
	return atomic_load_explicit(&v->irq_cost_ns, memory_order_relaxed);
}

/* The handlers are those that had a message; a mean over the last eight or so. */
static void note_handler(struct vgpu *v, bool enabled)
{
	uint32_t cost_ns = (uint32_t)vgpu_irq_cost_ns(v), took_ns;

	if (!enabled) {
		if (v->irq_level)
			v->handled_since_ns = clock_now_ns();
		return;
	}
	if (!v->handled_since_ns)
		return;
	took_ns = (uint32_t)MIN(clock_now_ns() - v->handled_since_ns, VGPU_IRQ_COST_MAX_NS);
	v->handled_since_ns = 0;
	cost_ns = cost_ns - cost_ns / 8 + took_ns / 8;
	atomic_store_explicit(&v->irq_cost_ns, cost_ns, memory_order_relaxed);
}

/* ---- Registers ------------------------------------------------------------------------------- */

static bool is_pipe(uint32_t offset)
{
	return offset >= IRQ_DE_PIPE(0) && offset < IRQ_DE_PIPE(VGPU_PIPES);
}

/* Vblanks need a timer only while somebody listens. */
static void tell_display(struct vgpu *v, uint32_t offset)
{
	if (is_pipe(offset) && v->display)
		vgpu_display_irq_changed(v, (offset - IRQ_DE_PIPE(0)) / 0x10);
}

void vgpu_write_irq_imr(struct vgpu *v, uint32_t offset, uint32_t value)
{
	vgpu_vreg_set(v, offset, value);
	tell_display(v, offset);
}

void vgpu_write_irq_ier(struct vgpu *v, uint32_t offset, uint32_t value)
{
	vgpu_vreg_set(v, offset, value);
	evaluate(v);
	tell_display(v, offset);
}

void vgpu_write_irq_iir(struct vgpu *v, uint32_t offset, uint32_t value)
{
	vgpu_reg_store(v, offset, value);
	evaluate(v);
}

uint32_t vgpu_read_master_irq(struct vgpu *v, uint32_t offset)
{
	return (vgpu_vreg(v, offset) & MASTER_ENABLE) | master_status(v);
}

void vgpu_write_master_irq(struct vgpu *v, uint32_t offset, uint32_t value)
{
	note_handler(v, (value & MASTER_ENABLE) != 0);
	vgpu_vreg_set(v, offset, value & MASTER_ENABLE);
	evaluate(v);
}

static void latch_error(struct vgpu *v, uint32_t base)
{
	uint32_t errors = vgpu_vreg(v, REG_RING_ESR(base)) & ~vgpu_vreg(v, REG_RING_EMR(base));
	uint32_t eir = vgpu_vreg(v, REG_RING_EIR(base));

	if (!(errors & ~eir))
		return;
	vgpu_vreg_set(v, REG_RING_EIR(base), eir | errors);
	for_each_engine(e)
		if (gpu_engine_base(e) == base)
			vgpu_irq_assert_engine(v, e, GPU_INTERRUPT_CS_ERROR);
}

void vgpu_irq_engine_error(struct vgpu *v, enum gpu_engine engine, uint32_t errors)
{
	uint32_t base = gpu_engine_base(engine);

	vgpu_vreg_set(v, REG_RING_ESR(base), vgpu_vreg(v, REG_RING_ESR(base)) | errors);
	latch_error(v, base);
}

void vgpu_write_ring_eir(struct vgpu *v, uint32_t offset, uint32_t value)
{
	vgpu_reg_store(v, offset, value);
	latch_error(v, offset - REG_RING_EIR(0));
}

void vgpu_write_ring_emr(struct vgpu *v, uint32_t offset, uint32_t value)
{
	vgpu_vreg_set(v, offset, value);
	latch_error(v, offset - REG_RING_EMR(0));
}
