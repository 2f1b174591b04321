/* SPDX-License-Identifier: MIT */
/*
 * The display as a whole: its life, the OpRegion, the source that sinks take frames from, and what
 * pipes do.  A head is a monitor: head n is that of port n, whichever pipe the guest drives it
 * with. The source is called by sinks on their own threads; it takes vgpu->lock for the description
 * of a head and none for pixels.
 */
#include "vgpu/display/vgpu_display.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "vgpu/display/monitor.h"
#include "vgpu/display/opregion.h"
#include "vgpu/display/state.h"
#include "vgpu/ggtt.h"
#include "vgpu/mmio.h"

/* SKL_DFSM with pipes A, B and C fused off: i915 then has no display at all. */
#define DFSM_NO_PIPES (BIT(30) | BIT(28) | BIT(21))

static struct vgpu_display *display_of(struct display_source *source)
{
	return container_of(source, struct vgpu_display, source);
}

static void pipe_describe(struct vgpu *v, unsigned int index, struct vgpu_pipe_mode *mode)
{
	const struct vgpu_pipe_live *live = &v->display->pipes[index].live;
	int port = vgpu_display_pipe_port(v, index);
	uint32_t size = vgpu_vreg(v, REG_PIPESRC(index));

	*mode = (struct vgpu_pipe_mode){ .head = -1 };
	if (!live->running)
		return;
	mode->active = true;
	if (port >= 0 && vgpu_port_find(v, (unsigned int)port))
		mode->head = port;
	mode->width = ((size >> 16) & 0x1fff) + 1;
	mode->height = (size & 0x1fff) + 1;
	mode->refresh_mhz = vgpu_raster_refresh_mhz(&live->raster);
}

void vgpu_display_pipe(struct vgpu *v, unsigned int index, struct vgpu_pipe_mode *mode)
{
	vgpu_lock(v);
	pipe_describe(v, index, mode);
	vgpu_unlock(v);
}

/*
 * PIPESRC is the guest's: sizes beyond the type's largest screen would have every sink take memory
 * and time for pictures that no monitor of this vGPU can show, so such a head counts as off.
 */
static bool size_shown(const struct vgpu *v, uint32_t width, uint32_t height)
{
	const struct vgpu_type *type = v->config.type;
	uint32_t max_width = type ? type->max_width : VGPU_MONITOR_MAX_WIDTH;
	uint32_t max_height = type ? type->max_height : VGPU_MONITOR_MAX_HEIGHT;

	return width <= max_width && height <= max_height;
}

/* @head as pipe @index, whose mode is @mode, shows it. */
static void head_describe(struct vgpu *v, unsigned int index, const struct vgpu_pipe_mode *mode,
			  struct display_head *head)
{
	struct vgpu_pipe *pipe = &v->display->pipes[index];

	vgpu_pipe_advance(v, index, v->display->now());
	head->width = mode->width;
	head->height = mode->height;
	head->active = size_shown(v, mode->width, mode->height);
	head->refresh_mhz = mode->refresh_mhz;
	head->flips = pipe->changes;
	vgpu_plane_decode(&pipe->live.plane, &head->primary);
	vgpu_cursor_decode(&pipe->live.cursor, &head->cursor);
}

static int source_head(struct display_source *source, unsigned int index, struct display_head *head)
{
	struct vgpu_display *display = display_of(source);
	struct vgpu *v = display->vgpu;
	struct vgpu_pipe_mode mode;

	memset(head, 0, sizeof(*head));
	if (!vgpu_port_find(v, index))
		return -ENODEV;
	vgpu_lock(v);
	for (unsigned int i = 0; i < VGPU_PIPES; i++) {
		pipe_describe(v, i, &mode);
		if (mode.head == (int)index) {
			head_describe(v, i, &mode, head);
			break;
		}
	}
	vgpu_unlock(v);
	return 0;
}

static int source_read(struct display_source *source, gma_t gma, void *buf, size_t len)
{
	return vgpu_gma_read(display_of(source)->vgpu, gma, buf, len) ? -EIO : 0;
}

static const struct display_source_ops source_ops = {
	.head = source_head,
	.read = source_read,
};

struct display_source *vgpu_display_source(struct vgpu *v)
{
	return &v->display->source;
}

int vgpu_display_init(struct vgpu *v, const struct vgpu_config *config)
{
	static const struct vgpu_port_config no_ports[VGPU_MAX_PORTS];
	struct vgpu_display *display = calloc(1, sizeof(*display));
	int err;

	if (!display)
		return -ENOMEM;
	display->vgpu = v;
	display->source.ops = &source_ops;
	display->present = !config->render_only;
	display->now = clock_now_ns;
	v->display = display;
	err = vgpu_ports_init(v, config);
	if (err) {
		vgpu_display_fini(v);
		return err;
	}
	vgpu_opregion_build(display->present ? config->ports : no_ports, display->opregion);
	return 0;
}

void vgpu_display_fini(struct vgpu *v)
{
	if (v->display && v->display->timer_ns)
		v->config.host->display_timer(v->config.opaque, 0);
	free(v->display);
	v->display = NULL;
}

void vgpu_display_reset(struct vgpu *v)
{
	vgpu_vreg_set(v, REG_SKL_DFSM, v->display->present ? 0 : DFSM_NO_PIPES);
	vgpu_ports_reset(v);
	vgpu_pipes_reset(v);
}

void vgpu_opregion_read(struct vgpu *v, uint32_t offset, void *buf, size_t len)
{
	memcpy(buf, v->display->opregion + offset, len);
}
