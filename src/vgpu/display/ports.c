/* SPDX-License-Identifier: MIT */
/*
 * Ports B, C and D and their monitors: DDI buffers, GMBUS, AUX channels, hotplug.  A monitor is
 * changed from any thread by vgpu_display_set_mode() and vgpu_display_plug(); register handlers
 * run with vgpu->lock held, on the thread that brought the access.
 */
#include <errno.h>
#include <stdio.h>

#include "base/log.h"
#include "base/trace.h"
#include "vgpu/display/state.h"
#include "vgpu/irq.h"
#include "vgpu/mmio.h"

#define DDI_BUF_CTL_ENABLE     BIT(31)
#define DDI_BUF_IS_IDLE	       BIT(7)
#define DP_TP_CTL_ENABLE       BIT(31)
#define DP_TP_STATUS_IDLE_DONE BIT(25)

/* SDE interrupt and level of port B; C and D follow. */
#define SDE_PORTB_HOTPLUG	  BIT(21)
/* PCH_PORT_HOTPLUG: eight bits a port, B in the lowest. */
#define HOTPLUG_STATUS_MASK	  0x03030303u
#define PORTB_HOTPLUG_ENABLE	  BIT(4)
#define PORTB_HOTPLUG_LONG_DETECT 2u

/* GMBUS pin pairs of ports B, C and D. */
static const uint32_t gmbus_pins[VGPU_MAX_PORTS] = { 5, 4, 6 };

uint32_t vgpu_read_ddi_buf_ctl(struct vgpu *v, uint32_t offset)
{
	uint32_t value = vgpu_vreg(v, offset) & ~DDI_BUF_IS_IDLE;

	return value & DDI_BUF_CTL_ENABLE ? value : value | DDI_BUF_IS_IDLE;
}

/* The idle pattern has always been sent already. */
uint32_t vgpu_read_dp_tp_status(struct vgpu *v, uint32_t offset)
{
	uint32_t control = vgpu_vreg(v, offset - (REG_DP_TP_STATUS(0) - REG_DP_TP_CTL(0)));

	return control & DP_TP_CTL_ENABLE ? DP_TP_STATUS_IDLE_DONE : 0;
}

static struct vgpu_dp_sink *aux_sink(struct vgpu *v, unsigned int channel)
{
	struct vgpu_port *port;

	if (channel < 1 || channel > VGPU_MAX_PORTS)
		return NULL;
	port = &v->display->ports[channel - 1];
	return port->kind == VGPU_PORT_DP && port->plugged ? &port->sink : NULL;
}

void vgpu_write_dp_aux_ch_ctl(struct vgpu *v, uint32_t offset, uint32_t value)
{
	unsigned int channel = (offset - REG_DP_AUX_CH_CTL(0)) / 0x100;
	uint32_t first = REG_DP_AUX_CH_DATA(channel), data[5];

	for (unsigned int i = 0; i < ARRAY_SIZE(data); i++)
		data[i] = vgpu_vreg(v, first + 4 * i);
	value = vgpu_dp_aux_control(aux_sink(v, channel), vgpu_vreg(v, offset), value, data);
	for (unsigned int i = 0; i < ARRAY_SIZE(data); i++)
		vgpu_vreg_set(v, first + 4 * i, data[i]);
	vgpu_vreg_set(v, offset, value);
}

/* The monitor on a pin pair: an HDMI port's, whether plugged or not. */
static struct vgpu_ddc *gmbus_monitor(void *opaque, uint32_t pin)
{
	struct vgpu_display *display = opaque;

	for (unsigned int i = 0; i < VGPU_MAX_PORTS; i++) {
		if (gmbus_pins[i] == pin && display->ports[i].kind == VGPU_PORT_HDMI)
			return &display->ports[i].ddc;
	}
	return NULL;
}

/* All but the data are read where other registers are, without the lock. */
static void show_gmbus(struct vgpu *v)
{
	static const uint32_t registers[] = { GMBUS0, GMBUS1, GMBUS2, GMBUS4, GMBUS5 };

	for (unsigned int i = 0; i < ARRAY_SIZE(registers); i++)
		vgpu_vreg_set(v, REG_GMBUS + registers[i],
			      vgpu_gmbus_read(&v->display->gmbus, registers[i]));
}

uint32_t vgpu_read_gmbus3(struct vgpu *v, uint32_t offset)
{
	uint32_t value = vgpu_gmbus_read(&v->display->gmbus, GMBUS3);

	show_gmbus(v);
	return value;
}

void vgpu_write_gmbus(struct vgpu *v, uint32_t offset, uint32_t value)
{
	vgpu_vreg_set(v, offset, value); /* for a smaller write to keep */
	vgpu_gmbus_write(&v->display->gmbus, offset - REG_GMBUS, value);
	show_gmbus(v);
}

uint32_t vgpu_read_gpio_ctl(struct vgpu *v, uint32_t offset)
{
	return vgpu_gpio_read(vgpu_vreg(v, offset));
}

void vgpu_write_gpio_ctl(struct vgpu *v, uint32_t offset, uint32_t value)
{
	vgpu_vreg_set(v, offset, vgpu_gpio_write(vgpu_vreg(v, offset), value));
}

/* The status bits of ports whose event waits in SDEIIR. */
static uint32_t status_waiting(struct vgpu *v)
{
	uint32_t events = vgpu_vreg(v, REG_SDEIIR), mask = 0;

	for (unsigned int i = 0; i < VGPU_MAX_PORTS; i++)
		if (events & SDE_PORTB_HOTPLUG << i)
			mask |= HOTPLUG_STATUS_MASK & 0xffu << (8 * i);
	return mask;
}

/*
 * Enables are stored; a written 1 clears a status bit.  The driver clears SDEIIR first, then writes
 * back the status of all ports.  A pulse between the two is in SDEIIR again: its status stays, or
 * the driver would take it for a short pulse and not look for another monitor.
 */
void vgpu_write_pch_port_hotplug(struct vgpu *v, uint32_t offset, uint32_t value)
{
	vgpu_reg_store(v, offset, value & ~status_waiting(v));
}

/* The level and, where the driver asked for it, a long pulse. */
static void hotplug_signal(struct vgpu *v, unsigned int index)
{
	const struct vgpu_port *port = &v->display->ports[index];
	uint32_t level = vgpu_vreg(v, REG_SDEISR);
	uint32_t bit = SDE_PORTB_HOTPLUG << index;
	uint32_t control = vgpu_vreg(v, REG_PCH_PORT_HOTPLUG);

	TRACE(display_hotplug, index, port->plugged, 0, 0);
	vgpu_vreg_set(v, REG_SDEISR, port->plugged ? level | bit : level & ~bit);
	if (!(control & (PORTB_HOTPLUG_ENABLE << (8 * index))))
		return;
	vgpu_vreg_set(v, REG_PCH_PORT_HOTPLUG, control | PORTB_HOTPLUG_LONG_DETECT << (8 * index));
	vgpu_irq_assert(v, IRQ_PCH, bit);
}

static void port_plug(struct vgpu_port *port, unsigned int index, bool plugged)
{
	size_t bytes = vgpu_edid_build(port->kind, &port->timing, index + 1, port->edid);

	port->plugged = plugged;
	port->ddc.edid = port->edid;
	port->ddc.edid_bytes = plugged ? bytes : 0;
}

struct vgpu_port *vgpu_port_find(struct vgpu *v, unsigned int index)
{
	if (index >= VGPU_MAX_PORTS || v->display->ports[index].kind == VGPU_PORT_NONE)
		return NULL;
	return &v->display->ports[index];
}

static int port_timing(struct vgpu *v, enum vgpu_port_kind kind, uint32_t width, uint32_t height,
		       uint32_t refresh_hz, struct vgpu_timing *timing)
{
	const struct vgpu_type *type = v->config.type;

	if (type && (width > type->max_width || height > type->max_height))
		return -EINVAL;
	return vgpu_timing_choose(kind, width, height, refresh_hz, timing);
}

int vgpu_display_set_mode(struct vgpu *v, unsigned int index, uint32_t width, uint32_t height,
			  uint32_t refresh_hz)
{
	struct vgpu_port *port = vgpu_port_find(v, index);
	struct vgpu_timing timing;
	int err;

	if (!port)
		return -ENODEV;
	err = port_timing(v, port->kind, width, height, refresh_hz, &timing);
	if (err)
		return err;
	vgpu_lock(v);
	/* The driver compares EDIDs: one that did not change is not worth a pulse. */
	if (!vgpu_timing_equal(&timing, &port->timing)) {
		port->timing = timing;
		port_plug(port, index, port->plugged);
		if (port->plugged)
			hotplug_signal(v, index);
	}
	vgpu_unlock(v);
	return 0;
}

int vgpu_display_plug(struct vgpu *v, unsigned int index, bool plugged)
{
	struct vgpu_port *port = vgpu_port_find(v, index);

	if (!port)
		return -ENODEV;
	vgpu_lock(v);
	if (port->plugged != plugged) {
		port_plug(port, index, plugged);
		if (plugged)
			vgpu_dp_sink_reset(&port->sink);
		hotplug_signal(v, index);
	}
	vgpu_unlock(v);
	return 0;
}

/* "1920x1200@144", as `--mode` takes it; without a rate that nobody named. */
static void mode_text(const struct vgpu_port_config *mode, char text[40])
{
	int n = snprintf(text, 40, "%ux%u", mode->width, mode->height);

	if (mode->refresh_hz)
		snprintf(text + n, 40 - (size_t)n, "@%u", mode->refresh_hz);
}

void vgpu_display_refusal(struct vgpu *v, const struct vgpu_port_config *wanted, int err,
			  char *text, size_t size)
{
	const struct vgpu_type *type = v->config.type;
	bool hdmi = wanted->kind == VGPU_PORT_HDMI;
	struct vgpu_timing timing;
	char mode[40];

	mode_text(wanted, mode);
	if (err == -ERANGE)
		snprintf(text, size, "%s cannot carry %s: take a lower rate%s",
			 hdmi ? "HDMI" : "DisplayPort", mode, hdmi ? ", or a dp port" : "");
	else if (type && vgpu_timing_choose(wanted->kind, wanted->width, wanted->height,
					    wanted->refresh_hz, &timing) != -EINVAL)
		snprintf(text, size,
			 "a vGPU of type %s shows %ux%u at most, not %s: take a bigger --type "
			 "(`mediant types`)",
			 type->name, type->max_width, type->max_height, mode);
	else
		snprintf(text, size,
			 "no monitor is %s: widths are even, sizes from %ux%u to %ux%u, rates from "
			 "24 to 144 Hz",
			 mode, VGPU_MONITOR_MIN_WIDTH, VGPU_MONITOR_MIN_HEIGHT,
			 VGPU_MONITOR_MAX_WIDTH, VGPU_MONITOR_MAX_HEIGHT);
}

int vgpu_ports_init(struct vgpu *v, const struct vgpu_config *config)
{
	struct vgpu_display *display = v->display;

	display->gmbus.monitor = gmbus_monitor;
	display->gmbus.opaque = display;
	for (unsigned int i = 0; i < VGPU_MAX_PORTS && display->present; i++) {
		const struct vgpu_port_config *wanted = &config->ports[i];
		struct vgpu_port *port = &display->ports[i];
		char why[160];
		int err;

		if (wanted->kind == VGPU_PORT_NONE)
			continue;
		err = port_timing(v, wanted->kind, wanted->width, wanted->height,
				  wanted->refresh_hz, &port->timing);
		if (err) {
			vgpu_display_refusal(v, wanted, err, why, sizeof(why));
			log_error("head %u: %s", i, why);
			return err;
		}
		port->kind = wanted->kind;
		port->sink.ddc = &port->ddc;
		vgpu_dp_sink_reset(&port->sink);
		port_plug(port, i, wanted->plugged);
	}
	return 0;
}

void vgpu_ports_reset(struct vgpu *v)
{
	struct vgpu_display *display = v->display;
	uint32_t straps = 0, level = 0;

	vgpu_gmbus_reset(&display->gmbus);
	show_gmbus(v);
	for (unsigned int i = 0; i < VGPU_MAX_PORTS; i++) {
		struct vgpu_port *port = &display->ports[i];

		if (port->kind == VGPU_PORT_NONE)
			continue;
		straps |= BIT(2 - i); /* SFUSE_STRAP: DDI B is bit 2 */
		if (port->plugged)
			level |= SDE_PORTB_HOTPLUG << i;
		vgpu_dp_sink_reset(&port->sink);
	}
	vgpu_vreg_set(v, REG_SFUSE_STRAP, straps);
	vgpu_vreg_set(v, REG_SDEISR, level);
}
