/* SPDX-License-Identifier: MIT */
/*
 * One virtual Gen9 GT2 in the i915 driver's vGPU mode: the one public header of the layer.
 * It knows no VMM and no VFIO: accesses to its BARs come in as calls, an interrupt leaves through
 * vgpu_host_ops, guest memory is reached through guest_ops.
 *
 * Threads: BAR accesses from any thread (side effects are under the vGPU's lock); the engines run
 * on the lane; the display timer on the thread that owns the loop.
 */
#ifndef VGPU_VGPU_H
#define VGPU_VGPU_H

#include "base/types.h"
#include "display/display.h"
#include "gpu/gpu.h"
#include "guest/guest.h"
#include "sched/sched.h"

#define VGPU_BAR0_BYTES	     (16u << 20)
#define VGPU_MMIO_BYTES	     (2u << 20)
#define VGPU_OPREGION_OFFSET (2u << 20) /* in BAR0: where config 0xFC (ASLS) points */
#define VGPU_OPREGION_BYTES  (8u << 10)
#define VGPU_GTT_OFFSET	     (8u << 20)
#define VGPU_MAX_PORTS	     3u
#define VGPU_PIPES	     3u

/* What a vGPU is given, in the manner of GVT's types (i915-GVTg_V5_*). */
struct vgpu_type {
	const char *name;
	const char *description;
	uint64_t aperture_bytes;    /* BAR2 */
	uint64_t mappable_bytes;    /* share of it that the guest may map (PVINFO 0x44) */
	uint64_t nonmappable_bytes; /* share of the GGTT beyond BAR2 (PVINFO 0x4c) */
	uint32_t fences;
	uint32_t weight;
	uint32_t max_width, max_height;
};
const struct vgpu_type *vgpu_types(size_t *count);
const struct vgpu_type *vgpu_type_find(const char *name);

enum vgpu_port_kind { VGPU_PORT_NONE, VGPU_PORT_HDMI, VGPU_PORT_DP };

/* A monitor on a port.  Ports are B, C, D in order of the array; head n is the monitor on the n-th.
 */
struct vgpu_port_config {
	enum vgpu_port_kind kind;
	bool plugged;
	uint32_t width, height, refresh_hz;
};

struct vgpu_host_ops {
	/* Fire the interrupt message; any thread. */
	void (*interrupt)(void *opaque);
	/* Call vgpu_display_tick() at @when_ns (CLOCK_MONOTONIC); 0: not again.  Any thread. */
	void (*display_timer)(void *opaque, uint64_t when_ns);
	/* vgpu_aperture_runs() may have changed; any thread, holding no lock.  NULL: nobody asks.
	 */
	void (*aperture_changed)(void *opaque);
};

struct shadow_tracker;

struct vgpu_config {
	const char *name;
	const struct vgpu_type *type;
	bool render_only;
	uint64_t watchdog_ns; /* of the lane for a context in one batch; 0: any */
	/*
	 * How long an engine's interrupt may wait for another one to be told with, while the engine
	 * works; 0: as suits i915.  Like a network card's rx-usecs: longer is fewer interrupts.
	 */
	uint64_t irq_hold_ns;
	struct vgpu_port_config ports[VGPU_MAX_PORTS];
	struct guest *guest;
	struct shadow_tracker *tracker; /* of that guest (borrowed), or NULL */
	struct gpu *gpu;		/* borrowed */
	struct sched_lane *lane;	/* borrowed */
	const struct vgpu_host_ops *host;
	void *opaque;
};

struct vgpu;

int vgpu_create(const struct vgpu_config *config, struct vgpu **vgpu);
void vgpu_destroy(struct vgpu *vgpu);

/* As at power on: the function-level reset of PCI.  Not from a lane. */
void vgpu_reset(struct vgpu *vgpu);

/* BAR0: registers, opregion, GGTT entries.  @len 1, 2, 4, 8, or bulk; inside the BAR. */
void vgpu_bar0_read(struct vgpu *vgpu, uint64_t offset, void *buf, size_t len);
void vgpu_bar0_write(struct vgpu *vgpu, uint64_t offset, const void *buf, size_t len);
/*
 * Where BAR0 is plain memory: loads give what is stored, and where it is writable a store does
 * nothing else.  The @index-th such stretch of whole pages, in order; false: no more.  What is
 * accessed there directly is not counted in vgpu_stats() nor traced.
 */
struct vgpu_window {
	uint64_t offset, size;
	void *host; /* until vgpu_destroy() */
	bool writable;
};
bool vgpu_bar0_window(struct vgpu *vgpu, unsigned int index, struct vgpu_window *window);
/*
 * ELSP of @engine: four stores of a dword submit, the first three may be kept back.
 * vgpu_elsp_slack() says how many stores to any of them leave every submission incomplete.
 */
uint64_t vgpu_elsp_offset(enum gpu_engine engine);
unsigned int vgpu_elsp_slack(struct vgpu *vgpu);

/* BAR2: the aperture, through the GGTT and the fences. */
void vgpu_aperture_read(struct vgpu *vgpu, uint64_t offset, void *buf, size_t len);
void vgpu_aperture_write(struct vgpu *vgpu, uint64_t offset, const void *buf, size_t len);

/*
 * Guest memory that BAR2 shows as it is: pages of the share that have an entry and no fence, in
 * stretches that are contiguous on both sides; the longest, and how many.  Any thread, one at a
 * time.  Costs little when nothing has changed since the last call.
 */
#define VGPU_APERTURE_RUNS 16u
struct vgpu_aperture_run {
	uint64_t offset, bytes;
	gpa_t gpa;
};
unsigned int vgpu_aperture_runs(struct vgpu *vgpu, struct vgpu_aperture_run *runs);

/* Config bytes of an integrated Intel GPU: 0x50 GMCH_CTL, 0x5C BDSM, 0xFC ASLS (needs BAR0). */
bool vgpu_pci_config_read(struct vgpu *vgpu, uint16_t offset, uint64_t bar0, uint8_t *value);

void vgpu_display_tick(struct vgpu *vgpu, uint64_t now_ns);

/*
 * Changes a monitor while running; the guest sees a hotplug.  -ENODEV: no such head; -EINVAL,
 * -ERANGE: see vgpu_display_refusal().
 */
int vgpu_display_set_mode(struct vgpu *vgpu, unsigned int head, uint32_t width, uint32_t height,
			  uint32_t refresh_hz);
int vgpu_display_plug(struct vgpu *vgpu, unsigned int head, bool plugged);
/*
 * Says in @text (@size bytes) why no head can be like @wanted, and what would do: after
 * vgpu_display_set_mode() refused it with @err, -EINVAL or -ERANGE.  Any thread.
 */
void vgpu_display_refusal(struct vgpu *vgpu, const struct vgpu_port_config *wanted, int err,
			  char *text, size_t size);
/* Where sinks take their frames from: the heads of this vGPU, those without a port left out. */
struct display_source *vgpu_display_source(struct vgpu *vgpu);

/* What a pipe does at this moment.  Which head it drives is the guest's choice. */
struct vgpu_pipe_mode {
	bool active;		/* it runs; if not, the rest is 0 and -1 */
	int head;		/* that it drives; -1: none that there is */
	uint32_t width, height; /* PIPESRC */
	uint32_t refresh_mhz;	/* millihertz */
};
/* Describes @pipe, below VGPU_PIPES; any thread, holding no lock. */
void vgpu_display_pipe(struct vgpu *vgpu, unsigned int pipe, struct vgpu_pipe_mode *mode);

/* What the register at @offset into BAR0 is called, NULL when no table names it.  Any thread. */
const char *vgpu_register_name(uint32_t offset);

struct vgpu_stats {
	uint64_t reg_reads, reg_writes; /* registers proper */
	uint64_t opregion_reads;
	uint64_t ggtt_reads, ggtt_writes;	  /* GGTT entries */
	uint64_t aperture_reads, aperture_writes; /* BAR2 */
	uint64_t submissions[GPU_ENGINES];	  /* ELSP writes of four dwords */
	uint64_t contexts_completed[GPU_ENGINES];
	uint64_t engine_busy_ns[GPU_ENGINES];
	uint64_t engine_resets[GPU_ENGINES], full_resets;
	uint64_t interrupts; /* messages sent */
	uint64_t faults[GPU_FAULT_KINDS];
	uint64_t unknown_registers; /* accesses to registers no table names */
	uint64_t frames[VGPU_PIPES], flips[VGPU_PIPES], vblanks[VGPU_PIPES];
	struct gpu_fault last_fault;
	struct gpu_stats gpu;
	bool driver_ready; /* PVINFO display_ready */
};
void vgpu_stats(struct vgpu *vgpu, struct vgpu_stats *stats);
/* Commands understood and stepped over: at most @max rows; returns how many there are. */
size_t vgpu_not_executed(struct vgpu *vgpu, struct gpu_not_executed *rows, size_t max);

#endif
