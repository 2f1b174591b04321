/* SPDX-License-Identifier: MIT */
/*
 * What the control socket of a vGPU can ask (docs/control.md).  Each method runs in the loop's
 * thread between two messages of the VMM, so it must be short: a screenshot is taken elsewhere.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cmd/serve.h"

/* An unsigned integer member of @params in [0, @max]; @otherwise when absent. */
static int take_uint(json_t *params, const char *key, uint64_t max, uint64_t otherwise,
		     uint32_t *value, struct control_reply *reply)
{
	json_t *member = json_object_get(params, key);
	json_int_t number = member ? json_integer_value(member) : (json_int_t)otherwise;

	if ((member && !json_is_integer(member)) || number < 0 || (uint64_t)number > max) {
		control_reply_error(reply, CONTROL_INVALID_PARAMS,
				    "\"%s\" must be an integer from 0 to %u", key,
				    (unsigned int)max);
		return -EINVAL;
	}
	*value = (uint32_t)number;
	return 0;
}

static bool has_display(struct serve *serve, struct control_reply *reply)
{
	if (serve->vgpu && !serve->options.render_only)
		return true;
	control_reply_error(reply, CONTROL_FAILED,
			    "it has no display: start it without --render-only and --device");
	return false;
}

/* The port that @params names by "head"; NULL with the error told. */
static struct vgpu_port_config *take_port(struct serve *serve, json_t *params, uint32_t *index,
					  struct control_reply *reply)
{
	if (!has_display(serve, reply) ||
	    take_uint(params, "head", VGPU_MAX_PORTS - 1, 0, index, reply))
		return NULL;
	if (serve->ports[*index].kind != VGPU_PORT_NONE)
		return &serve->ports[*index];
	control_reply_error(reply, CONTROL_FAILED,
			    "there is no head %u: `serve` was given no --display for it; "
			    "`mediant display` lists those there are",
			    *index);
	return NULL;
}

static void ping(void *opaque, json_t *params, struct control_reply *reply)
{
	struct serve *serve = opaque;
	const struct serve_options *o = &serve->options;
	struct vfu_stats stats;
	json_t *vnc = json_array();

	(void)params;
	vfu_server_stats(serve->server, &stats);
	for (unsigned int i = 0; i < DISPLAY_MAX_HEADS; i++)
		json_array_append_new(vnc, serve->vnc[i]
						   ? json_integer(display_vnc_port(serve->vnc[i]))
						   : json_null());
	reply->result = json_pack(
		"{s:s, s:s, s:i, s:f, s:b, s:s?, s:o}", "name", o->name, "type",
		serve->vgpu ? o->type->name : "plain", "pid", (int)getpid(), "uptime_s",
		(double)(clock_now_ns() - serve->started_ns) / (double)NSEC_PER_SEC, "connected",
		(int)stats.connected, "socket", o->socket_path, "vnc_ports", vnc);
}

static void stat_method(void *opaque, json_t *params, struct control_reply *reply)
{
	(void)params;
	reply->result = serve_stat_tree(opaque);
}

static void screenshot(void *opaque, json_t *params, struct control_reply *reply)
{
	struct serve *serve = opaque;
	uint32_t head;

	if (take_port(serve, params, &head, reply))
		serve_grab(serve, head, reply);
}

/* ---- Monitors ------------------------------------------------------------------------------ */

static const char *const kind_words[] = {
	[VGPU_PORT_NONE] = "none",
	[VGPU_PORT_HDMI] = "hdmi",
	[VGPU_PORT_DP] = "dp",
};

static json_t *port_tree(const struct vgpu_port_config *port, unsigned int index)
{
	if (port->kind == VGPU_PORT_NONE)
		return json_pack("{s:i, s:s}", "head", (int)index, "kind", "none");
	return json_pack("{s:i, s:s, s:b, s:i, s:i, s:i}", "head", (int)index, "kind",
			 kind_words[port->kind], "plugged", (int)port->plugged, "width",
			 (int)port->width, "height", (int)port->height, "refresh_hz",
			 (int)port->refresh_hz);
}

static void display_get(void *opaque, json_t *params, struct control_reply *reply)
{
	struct serve *serve = opaque;
	json_t *ports = json_array(), *pipes = json_array();

	(void)params;
	if (has_display(serve, reply)) {
		for (unsigned int i = 0; i < VGPU_MAX_PORTS; i++)
			json_array_append_new(ports, port_tree(&serve->ports[i], i));
		for (unsigned int i = 0; i < VGPU_PIPES; i++)
			json_array_append_new(pipes, serve_pipe_tree(serve, i));
		reply->result = json_pack("{s:O, s:O}", "monitors", ports, "pipes", pipes);
	}
	json_decref(ports);
	json_decref(pipes);
}

static void set_mode(void *opaque, json_t *params, struct control_reply *reply)
{
	struct serve *serve = opaque;
	struct vgpu *vgpu = serve->vgpu ? vgpu_device_vgpu(serve->vgpu) : NULL;
	uint32_t index;
	struct vgpu_port_config *port = take_port(serve, params, &index, reply);
	struct vgpu_port_config wanted;
	char why[160];
	int err;

	if (!port)
		return;
	wanted = *port;
	if (take_uint(params, "width", UINT32_MAX, 0, &wanted.width, reply) ||
	    take_uint(params, "height", UINT32_MAX, 0, &wanted.height, reply) ||
	    take_uint(params, "refresh_hz", UINT32_MAX, 0, &wanted.refresh_hz, reply))
		return;
	err = vgpu_display_set_mode(vgpu, index, wanted.width, wanted.height, wanted.refresh_hz);
	if (err) {
		vgpu_display_refusal(vgpu, &wanted, err, why, sizeof(why));
		control_reply_error(reply, CONTROL_FAILED, "head %u: %s", index, why);
		return;
	}
	*port = wanted;
	reply->result = port_tree(port, index);
}

static void plug(void *opaque, json_t *params, struct control_reply *reply)
{
	struct serve *serve = opaque;
	json_t *plugged = json_object_get(params, "plugged");
	uint32_t index;
	struct vgpu_port_config *port = take_port(serve, params, &index, reply);
	int err;

	if (!port)
		return;
	if (!json_is_boolean(plugged)) {
		control_reply_error(reply, CONTROL_INVALID_PARAMS,
				    "\"plugged\" must be true or false");
		return;
	}
	err = vgpu_display_plug(vgpu_device_vgpu(serve->vgpu), index, json_is_true(plugged));
	if (err) {
		control_reply_error(reply, CONTROL_FAILED, "head %u: %s", index, strerror(-err));
		return;
	}
	port->plugged = json_is_true(plugged);
	reply->result = port_tree(port, index);
}

static void shutdown_method(void *opaque, json_t *params, struct control_reply *reply)
{
	struct serve *serve = opaque;

	(void)params;
	(void)reply;
	loop_stop(&serve->loop); /* the answer is sent before the loop looks at it */
}

const struct control_method serve_methods[] = {
	{ "ping", ping },
	{ "stat", stat_method },
	{ "screenshot", screenshot },
	{ "display.get", display_get },
	{ "display.set_mode", set_mode },
	{ "display.plug", plug },
	{ "trace.start", serve_trace_start },
	{ "trace.stop", serve_trace_stop },
	{ "shutdown", shutdown_method },
};
const size_t serve_method_count = ARRAY_SIZE(serve_methods);
