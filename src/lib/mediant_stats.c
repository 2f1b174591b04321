/* SPDX-License-Identifier: MIT */
/*
 * The public API's numbers: gathered from the vGPU and the door, given as a structure or as a line
 * of JSON.  Any thread.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/mediant_inside.h"

static void add_engines(const struct vgpu_stats *from, struct mediant_stats *to)
{
	for (unsigned int i = 0; i < GPU_ENGINES; i++) {
		to->submissions += from->submissions[i];
		to->contexts_completed += from->contexts_completed[i];
		to->gpu_busy_ns += from->engine_busy_ns[i];
		to->engine_resets += from->engine_resets[i];
	}
	for (unsigned int i = 0; i < GPU_FAULT_KINDS; i++)
		to->faults += from->faults[i];
	for (unsigned int i = 0; i < 3; i++)
		to->frames += from->frames[i];
}

static void gather(struct mediant_device *device, struct mediant_stats *stats)
{
	struct vgpu_stats vgpu;
	struct kvm_door_stats door;

	vgpu_stats(vgpu_device_vgpu(device->inside), &vgpu);
	kvm_door_stats(device->vm->door, &door);
	*stats = (struct mediant_stats){
		.register_reads = vgpu.reg_reads,
		.register_writes = vgpu.reg_writes,
		.gtt_reads = vgpu.ggtt_reads,
		.gtt_writes = vgpu.ggtt_writes,
		.aperture_reads = vgpu.aperture_reads,
		.aperture_writes = vgpu.aperture_writes,
		.interrupts = vgpu.interrupts,
		.full_resets = vgpu.full_resets,
		.driver_ready = vgpu.driver_ready,
		.exits = door.exits,
		.coalesced = door.coalesced,
		.tables_tracked = shadow_tracker_count(device->vm->tracker),
	};
	add_engines(&vgpu, stats);
}

int mediant_device_stats(struct mediant_device *device, struct mediant_stats *stats)
{
	size_t bytes = stats->struct_bytes;
	struct mediant_stats ours;

	if (bytes < sizeof(bytes) || bytes > 4096)
		return -EINVAL;
	gather(device, &ours);
	ours.struct_bytes = bytes;
	memset(stats, 0, bytes);
	memcpy(stats, &ours, MIN(bytes, sizeof(ours)));
	return 0;
}

static int write_all(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

int mediant_device_stats_save(struct mediant_device *device, int fd)
{
	struct mediant_stats s;
	const struct {
		const char *name;
		uint64_t value;
	} * row;
	char line[2048];
	int len = 0;

	gather(device, &s);
	const __typeof__(*row) rows[] = {
		{ "register_reads", s.register_reads },
		{ "register_writes", s.register_writes },
		{ "gtt_reads", s.gtt_reads },
		{ "gtt_writes", s.gtt_writes },
		{ "aperture_reads", s.aperture_reads },
		{ "aperture_writes", s.aperture_writes },
		{ "submissions", s.submissions },
		{ "contexts_completed", s.contexts_completed },
		{ "gpu_busy_ns", s.gpu_busy_ns },
		{ "interrupts", s.interrupts },
		{ "faults", s.faults },
		{ "engine_resets", s.engine_resets },
		{ "full_resets", s.full_resets },
		{ "frames", s.frames },
		{ "exits", s.exits },
		{ "coalesced", s.coalesced },
		{ "tables_tracked", s.tables_tracked },
	};
	for (row = rows; row < rows + ARRAY_SIZE(rows); row++)
		len += snprintf(line + len, sizeof(line) - (size_t)len, "%s\"%s\": %llu",
				len ? ", " : "{", row->name, (unsigned long long)row->value);
	len += snprintf(line + len, sizeof(line) - (size_t)len, ", \"driver_ready\": %s}\n",
			s.driver_ready ? "true" : "false");
	return write_all(fd, line, (size_t)len);
}
