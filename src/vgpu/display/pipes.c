/* SPDX-License-Identifier: MIT */
/*
 * Pipes A, B and C: rasters, vertical blanks, planes.  Counters are computed when they are read;
 * a timer runs only while a pipe runs and the guest lets its vblank interrupt through.  Register
 * handlers run with vgpu->lock held; vgpu_display_tick() takes it, on the thread of the timer.
 */
#include "base/clock.h"
#include "base/trace.h"
#include "vgpu/display/state.h"
#include "vgpu/irq.h"
#include "vgpu/mmio.h"

#define PIPECONF_ENABLE	      BIT(31)
#define PIPECONF_STATE_ENABLE BIT(30)
#define GEN8_PIPE_VBLANK      BIT(0)
#define PIPE_STRIDE	      0x1000u

static unsigned int pipe_of(uint32_t offset)
{
	return (offset - REG_PIPEDSL(0)) / PIPE_STRIDE;
}

static uint64_t pipe_frames(const struct vgpu_pipe *pipe, uint64_t now_ns)
{
	return pipe->running ? vgpu_raster_frames(&pipe->raster, now_ns) : 0;
}

/* True once, when what was armed takes effect. */
static bool latch_passed(struct vgpu_latch *latch, const struct vgpu_pipe *pipe, uint64_t frames)
{
	if (!latch->pending || (pipe->running && frames <= latch->armed_frame))
		return false;
	latch->pending = false;
	return true;
}

void vgpu_pipe_advance(struct vgpu *v, unsigned int index, uint64_t now_ns)
{
	struct vgpu_pipe *pipe = &v->display->pipes[index];
	uint64_t frames = pipe_frames(pipe, now_ns);

	if (latch_passed(&pipe->plane_latch, pipe, frames)) {
		pipe->plane = pipe->plane_armed;
		pipe->changes++;
		pipe->flip_count++;
		vgpu_count(&v->counters.flips[index]);
		TRACE(display_flip, index, pipe->plane.surf, pipe->plane.ctl, pipe->plane.stride);
	}
	if (latch_passed(&pipe->cursor_latch, pipe, frames)) {
		pipe->cursor = pipe->cursor_armed;
		pipe->changes++;
	}
	atomic_store_explicit(&v->counters.frames[index], pipe->frames_before + frames,
			      memory_order_relaxed);
}

void vgpu_display_count(struct vgpu *v)
{
	uint64_t now_ns = v->display->now();

	for (unsigned int i = 0; i < VGPU_PIPES; i++)
		vgpu_pipe_advance(v, i, now_ns);
}

/* ---- Vblank interrupts ----------------------------------------------------------------------- */

/* Sets the host's timer to the nearest blank that anybody waits for. */
static void timer_update(struct vgpu *v)
{
	struct vgpu_display *display = v->display;
	uint64_t next_ns = 0;

	for (unsigned int i = 0; i < VGPU_PIPES; i++) {
		struct vgpu_pipe *pipe = &display->pipes[i];
		uint64_t when_ns;

		if (!pipe->running || !pipe->vblank_wanted)
			continue;
		when_ns = vgpu_raster_vblank_ns(&pipe->raster, pipe->vblank_last + 1);
		next_ns = next_ns ? MIN(next_ns, when_ns) : when_ns;
	}
	/*
	 * A timer nobody waits for any longer is left to fire once: drivers mask and unmask the
	 * interrupt around every flip, and stopping it each time costs more.
	 */
	if (!next_ns || (display->timer_ns && display->timer_ns <= next_ns))
		return;
	display->timer_ns = next_ns;
	v->config.host->display_timer(v->config.opaque, next_ns);
}

static void vblank_wanted_update(struct vgpu *v, unsigned int index, uint64_t now_ns)
{
	struct vgpu_pipe *pipe = &v->display->pipes[index];
	bool wanted = pipe->running && vgpu_irq_wanted(v, IRQ_DE_PIPE(index), GEN8_PIPE_VBLANK);

	if (wanted && !pipe->vblank_wanted) {
		pipe->vblank_last = pipe_frames(pipe, now_ns);
		TRACE(display_vblank_on, index, pipe->vblank_last, 0, 0);
	}
	pipe->vblank_wanted = wanted;
	if (wanted)
		timer_update(v);
}

void vgpu_display_irq_changed(struct vgpu *v, unsigned int pipe)
{
	vblank_wanted_update(v, pipe, v->display->now());
}

/*
 * Blanks that passed while nobody called are one interrupt; the frame counter tells their number.
 * The trace also says how late the host's timer was, the one excuse there is for missing some.
 */
static void pipe_tick(struct vgpu *v, unsigned int index, uint64_t now_ns, uint64_t late_ns)
{
	struct vgpu_pipe *pipe = &v->display->pipes[index];
	uint64_t frames = pipe_frames(pipe, now_ns), missed;

	vgpu_pipe_advance(v, index, now_ns);
	if (!pipe->running || !pipe->vblank_wanted || frames <= pipe->vblank_last)
		return;
	missed = frames - pipe->vblank_last - 1;
	pipe->vblank_last = frames;
	vgpu_count(&v->counters.vblanks[index]);
	TRACE(display_vblank, index, frames, missed, late_ns / NSEC_PER_USEC);
	vgpu_irq_assert(v, IRQ_DE_PIPE(index), GEN8_PIPE_VBLANK);
}

void vgpu_display_tick(struct vgpu *v, uint64_t now_ns)
{
	uint64_t asked_ns;

	vgpu_lock(v);
	asked_ns = v->display->timer_ns;
	v->display->timer_ns = 0;
	for (unsigned int i = 0; i < VGPU_PIPES; i++)
		pipe_tick(v, i, now_ns, asked_ns && now_ns > asked_ns ? now_ns - asked_ns : 0);
	timer_update(v);
	vgpu_unlock(v);
}

/* ---- Pipe registers -------------------------------------------------------------------------- */

static void pipe_start(struct vgpu *v, unsigned int index, uint64_t now_ns)
{
	struct vgpu_pipe *pipe = &v->display->pipes[index];

	/* Totals are in the upper half, less one; VBLANK's lower half is its first line, less one.
	 */
	vgpu_raster_init(&pipe->raster, now_ns, vgpu_display_dotclock_khz(v, index),
			 ((vgpu_vreg(v, REG_HTOTAL(index)) >> 16) & 0x1fff) + 1,
			 ((vgpu_vreg(v, REG_VTOTAL(index)) >> 16) & 0x1fff) + 1,
			 (vgpu_vreg(v, REG_VBLANK(index)) & 0x1fff) + 1);
	/* The line counter lags one line behind, on HDMI ports two (i915: scanline_offset). */
	pipe->raster.line_offset = vgpu_display_pipe_tmds(v, index) ? 2 : 1;
	pipe->running = true;
	pipe->plane_latch.armed_frame = 0;
	pipe->cursor_latch.armed_frame = 0;
}

static void pipe_stop(struct vgpu *v, unsigned int index, uint64_t now_ns)
{
	struct vgpu_pipe *pipe = &v->display->pipes[index];

	pipe->frames_before += pipe_frames(pipe, now_ns);
	pipe->running = false;
	vgpu_pipe_advance(v, index, now_ns);
}

uint32_t vgpu_read_pipeconf(struct vgpu *v, uint32_t offset)
{
	uint32_t value = vgpu_vreg(v, offset) & ~PIPECONF_STATE_ENABLE;

	return value & PIPECONF_ENABLE ? value | PIPECONF_STATE_ENABLE : value;
}

void vgpu_write_pipeconf(struct vgpu *v, uint32_t offset, uint32_t value)
{
	unsigned int index = pipe_of(offset);
	bool enable = value & PIPECONF_ENABLE;
	uint64_t now_ns = v->display->now();

	vgpu_vreg_set(v, offset, value);
	if (enable == v->display->pipes[index].running)
		return;
	if (enable)
		pipe_start(v, index, now_ns);
	else
		pipe_stop(v, index, now_ns);
	vblank_wanted_update(v, index, now_ns);
}

uint32_t vgpu_read_pipedsl(struct vgpu *v, uint32_t offset)
{
	struct vgpu_pipe *pipe = &v->display->pipes[pipe_of(offset)];

	return pipe->running ? vgpu_raster_scanline(&pipe->raster, v->display->now()) : 0;
}

uint32_t vgpu_read_pipe_frmcount(struct vgpu *v, uint32_t offset)
{
	return (uint32_t)pipe_frames(&v->display->pipes[pipe_of(offset)], v->display->now());
}

uint32_t vgpu_read_pipe_flipcount(struct vgpu *v, uint32_t offset)
{
	unsigned int index = pipe_of(offset);

	vgpu_pipe_advance(v, index, v->display->now());
	return v->display->pipes[index].flip_count;
}

/* When the current frame's blank began, on the clock of IVB_TIMESTAMP_CTR. */
uint32_t vgpu_read_pipe_frmtmstmp(struct vgpu *v, uint32_t offset)
{
	struct vgpu_pipe *pipe = &v->display->pipes[pipe_of(offset)];
	uint64_t frames = pipe_frames(pipe, v->display->now());

	if (!frames)
		return 0;
	return (uint32_t)(vgpu_raster_vblank_ns(&pipe->raster, frames) / NSEC_PER_USEC);
}

/* ---- Planes ---------------------------------------------------------------------------------- */

static void latch_arm(struct vgpu *v, unsigned int index, struct vgpu_latch *latch, uint64_t now_ns)
{
	latch->pending = true;
	latch->armed_frame = pipe_frames(&v->display->pipes[index], now_ns);
}

/* A write to PLANE_SURF arms all of the plane's registers. */
void vgpu_write_plane_surf(struct vgpu *v, uint32_t offset, uint32_t value)
{
	unsigned int index = pipe_of(offset);
	struct vgpu_pipe *pipe = &v->display->pipes[index];
	uint64_t now_ns = v->display->now();

	vgpu_vreg_set(v, offset, value);
	if (offset != REG_PLANE_SURF(index, 0))
		return; /* overlay planes are kept, not shown */
	vgpu_pipe_advance(v, index, now_ns);
	pipe->plane_armed = (struct vgpu_plane_regs){
		.ctl = vgpu_vreg(v, REG_PLANE_CTL(index, 0)),
		.stride = vgpu_vreg(v, REG_PLANE_STRIDE(index, 0)),
		.pos = vgpu_vreg(v, REG_PLANE_POS(index, 0)),
		.size = vgpu_vreg(v, REG_PLANE_SIZE(index, 0)),
		.offset = vgpu_vreg(v, REG_PLANE_OFFSET(index, 0)),
		.surf = value,
	};
	latch_arm(v, index, &pipe->plane_latch, now_ns);
	vgpu_pipe_advance(v, index, now_ns);
}

uint32_t vgpu_read_plane_surflive(struct vgpu *v, uint32_t offset)
{
	unsigned int index = pipe_of(offset);

	if (offset != REG_PLANE_SURFLIVE(index, 0))
		return vgpu_vreg(v, offset - (REG_PLANE_SURFLIVE(0, 0) - REG_PLANE_SURF(0, 0)));
	vgpu_pipe_advance(v, index, v->display->now());
	return v->display->pipes[index].plane.surf;
}

/* CURBASE arms the cursor. */
void vgpu_write_curbase(struct vgpu *v, uint32_t offset, uint32_t value)
{
	unsigned int index = pipe_of(offset);
	struct vgpu_pipe *pipe = &v->display->pipes[index];
	uint64_t now_ns = v->display->now();

	vgpu_vreg_set(v, offset, value);
	vgpu_pipe_advance(v, index, now_ns);
	pipe->cursor_armed = (struct vgpu_cursor_regs){
		.cntr = vgpu_vreg(v, REG_CURCNTR(index)),
		.pos = vgpu_vreg(v, REG_CURPOS(index)),
		.base = value,
		.fbc_ctl = vgpu_vreg(v, REG_CUR_FBC_CTL(index)),
	};
	latch_arm(v, index, &pipe->cursor_latch, now_ns);
	vgpu_pipe_advance(v, index, now_ns);
}

uint32_t vgpu_read_cursurflive(struct vgpu *v, uint32_t offset)
{
	unsigned int index = pipe_of(offset);

	vgpu_pipe_advance(v, index, v->display->now());
	return v->display->pipes[index].cursor.base;
}

void vgpu_pipes_reset(struct vgpu *v)
{
	struct vgpu_display *display = v->display;

	for (unsigned int i = 0; i < VGPU_PIPES; i++) {
		struct vgpu_pipe *pipe = &display->pipes[i];
		uint64_t changes = pipe->changes + 1;
		uint64_t frames = pipe->frames_before + pipe_frames(pipe, display->now());

		*pipe = (struct vgpu_pipe){ .frames_before = frames, .changes = changes };
	}
	if (display->timer_ns)
		v->config.host->display_timer(v->config.opaque, 0);
	display->timer_ns = 0;
}
