/* SPDX-License-Identifier: MIT */
/*
 * Pipes A, B and C: rasters, vertical blanks, planes.  Counters are computed when they are read;
 * a timer runs only while a pipe runs and the guest lets its vblank interrupt through.  Register
 * writes run with vgpu->lock held; vgpu_display_tick() takes it, on the thread of the timer.
 * Reads take no lock: each pipe publishes what they are computed from.  They see a flip that is due
 * before it is counted.
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

static uint64_t live_frames(const struct vgpu_pipe_live *live, uint64_t now_ns)
{
	return live->running ? vgpu_raster_frames(&live->raster, now_ns) : 0;
}

/* True once, when what was armed takes effect. */
static bool latch_passed(struct vgpu_latch *latch, bool running, uint64_t frames)
{
	if (!latch->pending || (running && frames <= latch->armed_frame))
		return false;
	latch->pending = false;
	return true;
}

static bool plane_passed(struct vgpu_pipe_live *live, uint64_t frames)
{
	if (!latch_passed(&live->plane_latch, live->running, frames))
		return false;
	live->plane = live->plane_armed;
	live->flip_count++;
	return true;
}

static bool cursor_passed(struct vgpu_pipe_live *live, uint64_t frames)
{
	if (!latch_passed(&live->cursor_latch, live->running, frames))
		return false;
	live->cursor = live->cursor_armed;
	return true;
}

_Static_assert(sizeof(struct vgpu_pipe_live) <= SEQLOCK_WORDS * sizeof(uint64_t),
	       "can be published");

static void publish(struct vgpu_pipe *pipe)
{
	seqlock_write(&pipe->published, &pipe->live, sizeof(pipe->live));
}

void vgpu_pipe_advance(struct vgpu *v, unsigned int index, uint64_t now_ns)
{
	struct vgpu_pipe *pipe = &v->display->pipes[index];
	struct vgpu_pipe_live *live = &pipe->live;
	uint64_t frames = live_frames(live, now_ns);

	if (plane_passed(live, frames)) {
		pipe->changes++;
		vgpu_count(&v->counters.flips[index]);
		TRACE(display_flip, index, live->plane.surf, live->plane.ctl, live->plane.stride);
	}
	if (cursor_passed(live, frames))
		pipe->changes++;
	publish(pipe);
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

		if (!pipe->live.running || !pipe->vblank_wanted)
			continue;
		when_ns = vgpu_raster_vblank_ns(&pipe->live.raster, pipe->vblank_last + 1);
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
	bool wanted = pipe->live.running &&
		      vgpu_irq_wanted(v, IRQ_DE_PIPE(index), GEN8_PIPE_VBLANK);

	if (wanted && !pipe->vblank_wanted) {
		pipe->vblank_last = live_frames(&pipe->live, now_ns);
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
	uint64_t frames = live_frames(&pipe->live, now_ns), missed;

	vgpu_pipe_advance(v, index, now_ns);
	if (!pipe->live.running || !pipe->vblank_wanted || frames <= pipe->vblank_last)
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
	struct vgpu_pipe_live *live = &v->display->pipes[index].live;

	/* Totals are in the upper half, less one; VBLANK's lower half is its first line, less one.
	 */
	vgpu_raster_init(&live->raster, now_ns, vgpu_display_dotclock_khz(v, index),
			 ((vgpu_vreg(v, REG_HTOTAL(index)) >> 16) & 0x1fff) + 1,
			 ((vgpu_vreg(v, REG_VTOTAL(index)) >> 16) & 0x1fff) + 1,
			 (vgpu_vreg(v, REG_VBLANK(index)) & 0x1fff) + 1);
	/* The line counter lags one line behind, on HDMI ports two (i915: scanline_offset). */
	live->raster.line_offset = vgpu_display_pipe_tmds(v, index) ? 2 : 1;
	live->running = true;
	live->plane_latch.armed_frame = 0;
	live->cursor_latch.armed_frame = 0;
}

static void pipe_stop(struct vgpu *v, unsigned int index, uint64_t now_ns)
{
	struct vgpu_pipe *pipe = &v->display->pipes[index];

	pipe->frames_before += live_frames(&pipe->live, now_ns);
	pipe->live.running = false;
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
	if (enable == v->display->pipes[index].live.running)
		return;
	if (enable)
		pipe_start(v, index, now_ns);
	else
		pipe_stop(v, index, now_ns);
	vgpu_pipe_advance(v, index, now_ns);
	vblank_wanted_update(v, index, now_ns);
}

/* ---- Counters and live addresses: no lock ---------------------------------------------------- */

/* The pipe as it is at *@now_ns, as far as registers tell. */
static struct vgpu_pipe_live live_of(struct vgpu *v, uint32_t offset, uint64_t *now_ns)
{
	struct vgpu_pipe_live live;

	seqlock_read(&v->display->pipes[pipe_of(offset)].published, &live, sizeof(live));
	*now_ns = v->display->now();
	plane_passed(&live, live_frames(&live, *now_ns));
	cursor_passed(&live, live_frames(&live, *now_ns));
	return live;
}

uint32_t vgpu_read_pipedsl(struct vgpu *v, uint32_t offset)
{
	uint64_t now_ns;
	struct vgpu_pipe_live live = live_of(v, offset, &now_ns);

	return live.running ? vgpu_raster_scanline(&live.raster, now_ns) : 0;
}

uint32_t vgpu_read_pipe_frmcount(struct vgpu *v, uint32_t offset)
{
	uint64_t now_ns;
	struct vgpu_pipe_live live = live_of(v, offset, &now_ns);

	return (uint32_t)live_frames(&live, now_ns);
}

uint32_t vgpu_read_pipe_flipcount(struct vgpu *v, uint32_t offset)
{
	uint64_t now_ns;

	return live_of(v, offset, &now_ns).flip_count;
}

/* When the current frame's blank began, on the clock of IVB_TIMESTAMP_CTR. */
uint32_t vgpu_read_pipe_frmtmstmp(struct vgpu *v, uint32_t offset)
{
	uint64_t now_ns;
	struct vgpu_pipe_live live = live_of(v, offset, &now_ns);
	uint64_t frames = live_frames(&live, now_ns);

	if (!frames)
		return 0;
	return (uint32_t)(vgpu_raster_vblank_ns(&live.raster, frames) / NSEC_PER_USEC);
}

uint32_t vgpu_read_plane_surflive(struct vgpu *v, uint32_t offset)
{
	uint64_t now_ns;

	if (offset != REG_PLANE_SURFLIVE(pipe_of(offset), 0))
		return vgpu_vreg(v, offset - (REG_PLANE_SURFLIVE(0, 0) - REG_PLANE_SURF(0, 0)));
	return live_of(v, offset, &now_ns).plane.surf;
}

uint32_t vgpu_read_cursurflive(struct vgpu *v, uint32_t offset)
{
	uint64_t now_ns;

	return live_of(v, offset, &now_ns).cursor.base;
}

/* ---- Planes ---------------------------------------------------------------------------------- */

static void latch_arm(const struct vgpu_pipe_live *live, struct vgpu_latch *latch, uint64_t now_ns)
{
	latch->pending = true;
	latch->armed_frame = live_frames(live, now_ns);
}

/* A write to PLANE_SURF arms all of the plane's registers. */
void vgpu_write_plane_surf(struct vgpu *v, uint32_t offset, uint32_t value)
{
	unsigned int index = pipe_of(offset);
	struct vgpu_pipe_live *live = &v->display->pipes[index].live;
	uint64_t now_ns = v->display->now();

	vgpu_vreg_set(v, offset, value);
	if (offset != REG_PLANE_SURF(index, 0))
		return; /* overlay planes are kept, not shown */
	vgpu_pipe_advance(v, index, now_ns);
	live->plane_armed = (struct vgpu_plane_regs){
		.ctl = vgpu_vreg(v, REG_PLANE_CTL(index, 0)),
		.stride = vgpu_vreg(v, REG_PLANE_STRIDE(index, 0)),
		.pos = vgpu_vreg(v, REG_PLANE_POS(index, 0)),
		.size = vgpu_vreg(v, REG_PLANE_SIZE(index, 0)),
		.offset = vgpu_vreg(v, REG_PLANE_OFFSET(index, 0)),
		.surf = value,
	};
	latch_arm(live, &live->plane_latch, now_ns);
	vgpu_pipe_advance(v, index, now_ns);
}

void vgpu_display_flip(struct vgpu *v, const struct gpu_flip *flip)
{
	vgpu_lock(v);
	/* A write to PLANE_CTL takes no lock. */
	vgpu_vreg_replace(v, REG_PLANE_CTL(flip->pipe, flip->plane), PLANE_CTL_TILED_MASK,
			  flip->tiling << PLANE_CTL_TILED_SHIFT);
	vgpu_vreg_set(v, REG_PLANE_STRIDE(flip->pipe, flip->plane), flip->stride);
	vgpu_write_plane_surf(v, REG_PLANE_SURF(flip->pipe, flip->plane), flip->surface);
	vgpu_unlock(v);
}

/* CURBASE arms the cursor. */
void vgpu_write_curbase(struct vgpu *v, uint32_t offset, uint32_t value)
{
	unsigned int index = pipe_of(offset);
	struct vgpu_pipe_live *live = &v->display->pipes[index].live;
	uint64_t now_ns = v->display->now();

	vgpu_vreg_set(v, offset, value);
	vgpu_pipe_advance(v, index, now_ns);
	live->cursor_armed = (struct vgpu_cursor_regs){
		.cntr = vgpu_vreg(v, REG_CURCNTR(index)),
		.pos = vgpu_vreg(v, REG_CURPOS(index)),
		.base = value,
		.fbc_ctl = vgpu_vreg(v, REG_CUR_FBC_CTL(index)),
	};
	latch_arm(live, &live->cursor_latch, now_ns);
	vgpu_pipe_advance(v, index, now_ns);
}

void vgpu_pipes_reset(struct vgpu *v)
{
	struct vgpu_display *display = v->display;

	for (unsigned int i = 0; i < VGPU_PIPES; i++) {
		struct vgpu_pipe *pipe = &display->pipes[i];
		uint64_t changes = pipe->changes + 1;
		uint64_t frames = pipe->frames_before + live_frames(&pipe->live, display->now());

		pipe->live = (struct vgpu_pipe_live){ 0 };
		publish(pipe);
		pipe->vblank_wanted = false;
		pipe->vblank_last = 0;
		pipe->frames_before = frames;
		pipe->changes = changes;
	}
	if (display->timer_ns)
		v->config.host->display_timer(v->config.opaque, 0);
	display->timer_ns = 0;
}
