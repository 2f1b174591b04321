/* SPDX-License-Identifier: MIT */
/* The tree behind `mediant stat`, documented in docs/stat.md.  Runs in the loop's thread. */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "cmd/serve.h"
#include "scan/scan.h"

static json_t *count(uint64_t value)
{
	return json_integer((json_int_t)value);
}

/* Addresses are text: numbers of JSON readers are often doubles, which hold 53 bits. */
static json_t *hex(uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "0x%" PRIx64, value);
	return json_string(text);
}

static json_t *traps_tree(const struct vgpu_stats *v, const struct vfio_stats *d)
{
	uint64_t total = v->reg_reads + v->reg_writes + d->config_reads + d->config_writes +
			 v->opregion_reads + v->ggtt_reads + v->ggtt_writes + v->aperture_reads +
			 v->aperture_writes;

	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "reg_read",
			 count(v->reg_reads), "reg_write", count(v->reg_writes), "config_read",
			 count(d->config_reads), "config_write", count(d->config_writes),
			 "opregion_read", count(v->opregion_reads), "ggtt_read",
			 count(v->ggtt_reads), "ggtt_write", count(v->ggtt_writes), "aperture_read",
			 count(v->aperture_reads), "aperture_write", count(v->aperture_writes),
			 "unknown_registers", count(v->unknown_registers), "total", count(total));
}

static json_t *engine_tree(const struct vgpu_stats *v, enum gpu_engine e)
{
	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:f, s:o, s:o}", "name",
			 gpu_engine_name(e), "submissions", count(v->submissions[e]),
			 "contexts_completed", count(v->contexts_completed[e]), "commands",
			 count(v->gpu.commands[e]), "batches", count(v->gpu.batches[e]),
			 "not_executed", count(v->gpu.not_executed[e]), "busy_ms",
			 (double)v->engine_busy_ns[e] / (double)NSEC_PER_MSEC, "resets",
			 count(v->engine_resets[e]), "faults", count(v->gpu.faults[e]));
}

/* More kinds of commands than any driver uses; what there is no room for is counted all the same.
 */
#define MAX_NOT_EXECUTED 512u

static void add_not_executed(struct vgpu *vgpu, json_t *engines)
{
	struct gpu_not_executed rows[MAX_NOT_EXECUTED];
	size_t n = vgpu_not_executed(vgpu, rows, ARRAY_SIZE(rows));

	for_each_engine(e)
		json_object_set_new(json_array_get(engines, e), "not_executed_by_name",
				    json_object());
	for (size_t i = 0; i < MIN(n, ARRAY_SIZE(rows)); i++) {
		json_t *engine = json_array_get(engines, rows[i].engine);

		json_object_set_new(json_object_get(engine, "not_executed_by_name"),
				    rows[i].command->name, count(rows[i].count));
	}
}

static json_t *engines_tree(struct vgpu *vgpu, const struct vgpu_stats *v)
{
	json_t *engines = json_array();

	for_each_engine(e)
		json_array_append_new(engines, engine_tree(v, e));
	add_not_executed(vgpu, engines);
	return engines;
}

json_t *serve_pipe_tree(struct serve *serve, unsigned int pipe)
{
	struct vgpu_pipe_mode mode;

	vgpu_display_pipe(vgpu_device_vgpu(serve->vgpu), pipe, &mode);
	return json_pack("{s:s#, s:b, s:o, s:i, s:i, s:f}", "pipe", &"ABC"[pipe], 1, "active",
			 (int)mode.active, "head",
			 mode.head < 0 ? json_null() : json_integer(mode.head), "width",
			 (int)mode.width, "height", (int)mode.height, "refresh_hz",
			 mode.refresh_mhz / 1000.0);
}

static json_t *display_tree(struct serve *serve, const struct vgpu_stats *v)
{
	json_t *pipes = json_array();

	for (unsigned int i = 0; i < VGPU_PIPES && !serve->options.render_only; i++) {
		json_t *pipe = serve_pipe_tree(serve, i);

		json_object_set_new(pipe, "frames", count(v->frames[i]));
		json_object_set_new(pipe, "flips", count(v->flips[i]));
		json_object_set_new(pipe, "vblanks", count(v->vblanks[i]));
		json_array_append_new(pipes, pipe);
	}
	return pipes;
}

/* Members' names; gpu_fault_name() is for people. */
static const char *const fault_keys[GPU_FAULT_KINDS] = {
	[GPU_FAULT_OPCODE] = "opcode",	 [GPU_FAULT_LENGTH] = "length",
	[GPU_FAULT_ADDRESS] = "address", [GPU_FAULT_ALIGNMENT] = "alignment",
	[GPU_FAULT_NESTING] = "nesting", [GPU_FAULT_RING] = "ring",
	[GPU_FAULT_CONTEXT] = "context", [GPU_FAULT_PRIVILEGE] = "privilege",
	[GPU_FAULT_SHARE] = "share",	 [GPU_FAULT_REGISTER] = "register",
	[GPU_FAULT_ENDLESS] = "endless",
};

_Static_assert(GPU_FAULT_KINDS == GPU_FAULT_ENDLESS + 1, "each kind of fault has a key");

static json_t *faults_tree(const struct vgpu_stats *v)
{
	json_t *faults = json_object();

	for (unsigned int kind = GPU_FAULT_NONE + 1; kind < GPU_FAULT_KINDS; kind++)
		json_object_set_new(faults, fault_keys[kind], count(v->faults[kind]));
	return faults;
}

static json_t *last_fault_tree(const struct gpu_fault *f)
{
	if (f->kind == GPU_FAULT_NONE)
		return json_null();
	return json_pack("{s:s, s:s, s:s, s:o, s:s, s:s, s:b, s:o, s:o, s:o}", "kind",
			 fault_keys[f->kind], "text", gpu_fault_name(f->kind), "engine",
			 gpu_engine_name(f->engine), "context_id", count(f->context_id), "command",
			 scan_command_name(f->engine, f->header), "space",
			 f->ppgtt ? "ppgtt" : "ggtt", "write", (int)f->write, "command_at",
			 hex(f->command_at), "address", hex(f->address), "header", hex(f->header));
}

static json_t *memory_tree(const struct vfio_stats *d)
{
	return json_pack("{s:o, s:o, s:o, s:o}", "maps", count(d->dma_map_count), "bytes",
			 count(d->dma_bytes_mapped), "maps_made", count(d->dma_maps),
			 "maps_removed", count(d->dma_unmaps));
}

static json_t *messages_tree(const struct vfu_stats *m)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "received", count(m->messages),
			 "posted", count(m->posted), "replies", count(m->replies), "errors",
			 count(m->errors), "connections", count(m->connections), "dma_reads",
			 count(m->dma_reads), "dma_writes", count(m->dma_writes), "dma_timeouts",
			 count(m->dma_timeouts));
}

static void add_vgpu(struct serve *serve, json_t *tree, const struct vfio_stats *d)
{
	struct vgpu_stats v;

	vgpu_stats(vgpu_device_vgpu(serve->vgpu), &v);
	json_object_set_new(tree, "driver_ready", json_boolean(v.driver_ready));
	json_object_set_new(tree, "traps", traps_tree(&v, d));
	json_object_set_new(tree, "gpu", serve_share_tree(serve, &v));
	json_object_set_new(tree, "engines", engines_tree(vgpu_device_vgpu(serve->vgpu), &v));
	json_object_set_new(tree, "full_resets", count(v.full_resets));
	json_object_set_new(tree, "tlb",
			    json_pack("{s:o, s:o}", "hits", count(v.gpu.tlb_hits), "misses",
				      count(v.gpu.tlb_misses)));
	json_object_set_new(tree, "display", display_tree(serve, &v));
	json_object_set_new(tree, "faults", faults_tree(&v));
	json_object_set_new(tree, "last_fault", last_fault_tree(&v.last_fault));
}

/* A plain device has no registers of its own kinds: its accesses are counted by direction. */
static void add_plain(json_t *tree, const struct vfio_stats *d)
{
	json_object_set_new(tree, "traps",
			    json_pack("{s:o, s:o, s:o, s:o}", "region_read", count(d->region_reads),
				      "region_write", count(d->region_writes), "config_read",
				      count(d->config_reads), "config_write",
				      count(d->config_writes)));
}

static json_t *sandbox_tree(const struct sandbox *sandbox)
{
	json_t *tree = json_object();

	for (unsigned int i = 0; i < SANDBOX_LAYERS; i++)
		json_object_set_new(tree, sandbox_layer_name(i), json_boolean(sandbox->on[i]));
	return tree;
}

json_t *serve_stat_tree(struct serve *serve)
{
	const struct serve_options *o = &serve->options;
	struct vfio_stats d;
	struct vfu_stats m;
	json_t *tree;

	vfio_device_stats(serve->device, &d);
	vfu_server_stats(serve->server, &m);
	tree = json_pack("{s:s, s:s, s:f, s:b}", "name", o->name, "type",
			 serve->vgpu ? o->type->name : "plain", "uptime_s",
			 (double)(clock_now_ns() - serve->started_ns) / (double)NSEC_PER_SEC,
			 "connected", (int)m.connected);
	if (!tree)
		return NULL;
	if (serve->vgpu)
		add_vgpu(serve, tree, &d);
	else
		add_plain(tree, &d);
	json_object_set_new(tree, "interrupts", count(d.interrupts));
	json_object_set_new(tree, "memory", memory_tree(&d));
	json_object_set_new(tree, "messages", messages_tree(&m));
	json_object_set_new(tree, "sandbox", sandbox_tree(&serve->sandbox));
	return tree;
}
