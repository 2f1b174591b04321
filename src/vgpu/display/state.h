/* SPDX-License-Identifier: MIT */
/*
 * The display's own state, between its files.  Everything is guarded by vgpu->lock, but what a pipe
 * has published.
 */
#ifndef VGPU_DISPLAY_STATE_H
#define VGPU_DISPLAY_STATE_H

#include "base/seqlock.h"
#include "vgpu/device.h"
#include "vgpu/display/dp_aux.h"
#include "vgpu/display/edid.h"
#include "vgpu/display/gmbus.h"
#include "vgpu/display/plane.h"
#include "vgpu/display/vblank.h"
#include "vgpu/display/vgpu_display.h"

/* A port and the monitor that belongs to it.  Index 0 is DDI B. */
struct vgpu_port {
	enum vgpu_port_kind kind; /* NONE: no such port */
	bool plugged;
	struct vgpu_timing timing;
	uint8_t edid[VGPU_EDID_MAX_BYTES];
	struct vgpu_ddc ddc;
	struct vgpu_dp_sink sink;
};

/* Registers written by the guest take effect at the blank after the one that arms them. */
struct vgpu_latch {
	bool pending;
	uint64_t armed_frame; /* frame count when armed */
};

/* What counters and live addresses are computed from. */
struct vgpu_pipe_live {
	bool running;
	struct vgpu_raster raster;
	struct vgpu_latch plane_latch, cursor_latch;
	struct vgpu_plane_regs plane_armed, plane;
	struct vgpu_cursor_regs cursor_armed, cursor;
	uint32_t flip_count; /* PIPE_FLIPCOUNT */
};

struct vgpu_pipe {
	struct vgpu_pipe_live live;
	struct seqlock published; /* `live`, for register reads, which take no lock */
	uint64_t frames_before;	  /* of earlier runs, for the statistics */
	bool vblank_wanted;	  /* the guest let vblank interrupts through */
	uint64_t vblank_last;	  /* frame count at the last one delivered, or when wanted began */
	uint64_t changes;	  /* anything latched: display_head.flips */
};

struct vgpu_display {
	struct vgpu *vgpu;
	struct display_source source;
	bool present; /* false: render only, pipes fused off */
	struct vgpu_port ports[VGPU_MAX_PORTS];
	struct vgpu_pipe pipes[VGPU_PIPES];
	struct vgpu_gmbus gmbus;
	uint64_t timer_ns;     /* what the host's timer is set to, 0: not */
	uint64_t (*now)(void); /* CLOCK_MONOTONIC; tests bring their own */
	uint8_t opregion[VGPU_OPREGION_BYTES];
};

/* clocks.c: what the PLL and the transcoder of @pipe make of each other; 0: nothing runs. */
uint32_t vgpu_display_dotclock_khz(struct vgpu *v, unsigned int pipe);
/* The port that @pipe's transcoder drives, or -1. */
int vgpu_display_pipe_port(struct vgpu *v, unsigned int pipe);
/* True when that port is fed TMDS (HDMI, DVI), not DisplayPort packets. */
bool vgpu_display_pipe_tmds(struct vgpu *v, unsigned int pipe);

/* ports.c */
/* The port of head @index, or NULL.  Which ports there are never changes: any thread. */
struct vgpu_port *vgpu_port_find(struct vgpu *v, unsigned int index);
int vgpu_ports_init(struct vgpu *v, const struct vgpu_config *config);
void vgpu_ports_reset(struct vgpu *v);

/* pipes.c: planes and counters as of @now_ns. */
void vgpu_pipe_advance(struct vgpu *v, unsigned int pipe, uint64_t now_ns);
void vgpu_pipes_reset(struct vgpu *v);

#endif
