/* SPDX-License-Identifier: MIT */
/*
 * A vGPU's life, the map of its BAR0, its odd bytes of PCI config space, and its numbers.  Called
 * by the VFIO side on the thread that serves the device; statistics on any.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/thread.h"
#include "base/trace.h"
#include "vgpu/display/vgpu_display.h"
#include "vgpu/ggtt.h"
#include "vgpu/gt.h"
#include "vgpu/irq.h"
#include "vgpu/mmio.h"

/* ---- Life ------------------------------------------------------------------------------------ */

/* Registers, tables and display as at power on; no engine runs. */
static void power_on(struct vgpu *v)
{
	vgpu_mmio_reset(v, 0, VGPU_MMIO_BYTES);
	for_each_engine(id)
		vgpu_execlist_reset(&v->engines[id]);
	vgpu_irq_reset(v);
	vgpu_pvinfo_reset(v);
	vgpu_display_reset(v);
}

static int check_config(const struct vgpu_config *config)
{
	const struct vgpu_type *type = config->type;

	if (!type || !config->guest || !config->gpu || !config->lane || !config->host)
		return -EINVAL;
	if (type->mappable_bytes > type->aperture_bytes || type->aperture_bytes > 1ull << 31 ||
	    type->aperture_bytes + type->nonmappable_bytes > 1ull << 32 || type->fences > 32)
		return -EINVAL;
	return 0;
}

static int init_parts(struct vgpu *v, const struct vgpu_config *config)
{
	int ret = vgpu_mmio_init(v);

	if (!ret)
		ret = vgpu_ggtt_init(v);
	if (ret)
		return ret;
	vgpu_audit_init(v);
	for_each_engine(id)
		vgpu_engine_init(v, id);
	return vgpu_display_init(v, config);
}

int vgpu_create(const struct vgpu_config *config, struct vgpu **out)
{
	int ret = check_config(config);
	struct vgpu *v;

	if (ret)
		return ret;
	v = aligned_alloc(_Alignof(struct vgpu), sizeof(*v));
	if (!v)
		return -ENOMEM;
	memset(v, 0, sizeof(*v));
	v->config = *config;
	v->config.name = strdup(config->name ? config->name : "vgpu");
	lock_init(&v->lock, LOCK_VGPU);
	ret = v->config.name ? init_parts(v, &v->config) : -ENOMEM;
	if (ret) {
		vgpu_destroy(v);
		return ret;
	}
	vgpu_lock(v);
	power_on(v);
	vgpu_unlock(v);
	*out = v;
	return 0;
}

void vgpu_destroy(struct vgpu *v)
{
	if (!v)
		return;
	for_each_engine(id)
		vgpu_engine_fini(v, id);
	shadow_tracker_drop(v->config.tracker, NULL);
	vgpu_display_fini(v);
	vgpu_ggtt_fini(v);
	vgpu_mmio_fini(v);
	lock_fini(&v->lock);
	free((char *)v->config.name);
	free(v);
}

void vgpu_reset(struct vgpu *v)
{
	TRACE(vgpu_reset_full, 0, 0, 0, 0);
	for_each_engine(id)
		sched_halt(&v->engines[id].entity);
	/* It halts once more; released last, an engine finds nothing to do. */
	vgpu_engines_reset(v, BIT(GPU_ENGINES) - 1);
	vgpu_lock(v);
	power_on(v);
	vgpu_unlock(v);
	vgpu_ggtt_reset(v);
	shadow_tracker_drop(v->config.tracker, NULL);
	vgpu_aperture_changed(v);
	for_each_engine(id)
		sched_release(&v->engines[id].entity);
}

/* ---- BAR0 ------------------------------------------------------------------------------------ */

enum bar0_area { AREA_MMIO, AREA_OPREGION, AREA_NONE, AREA_GGTT };

/* The area of @offset, and into *@end where it ends. */
static enum bar0_area find_area(uint64_t offset, uint64_t *end)
{
	static const struct {
		uint64_t end;
		enum bar0_area area;
	} areas[] = {
		{ VGPU_MMIO_BYTES, AREA_MMIO },
		{ VGPU_OPREGION_OFFSET + VGPU_OPREGION_BYTES, AREA_OPREGION },
		{ VGPU_GTT_OFFSET, AREA_NONE },
		{ VGPU_GTT_OFFSET + VGPU_GGTT_BYTES, AREA_GGTT },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(areas); i++) {
		*end = areas[i].end;
		if (offset < *end)
			return areas[i].area;
	}
	*end = UINT64_MAX;
	return AREA_NONE;
}

void vgpu_bar0_read(struct vgpu *v, uint64_t offset, void *buf, size_t len)
{
	uint8_t *out = buf;

	while (len) {
		uint64_t end;
		enum bar0_area area = find_area(offset, &end);
		size_t n = (size_t)MIN((uint64_t)len, end - offset);

		switch (area) {
		case AREA_MMIO:
			vgpu_mmio_read(v, (uint32_t)offset, out, n);
			break;
		case AREA_OPREGION:
			vgpu_count(&vgpu_accesses(v)->opregion_reads);
			vgpu_opregion_read(v, (uint32_t)(offset - VGPU_OPREGION_OFFSET), out, n);
			break;
		case AREA_GGTT:
			vgpu_ggtt_read(v, (uint32_t)(offset - VGPU_GTT_OFFSET), out, n);
			break;
		case AREA_NONE:
			memset(out, 0, n);
		}
		offset += n;
		out += n;
		len -= n;
	}
}

void vgpu_bar0_write(struct vgpu *v, uint64_t offset, const void *buf, size_t len)
{
	const uint8_t *in = buf;

	while (len) {
		uint64_t end;
		enum bar0_area area = find_area(offset, &end);
		size_t n = (size_t)MIN((uint64_t)len, end - offset);

		if (area == AREA_MMIO)
			vgpu_mmio_write(v, (uint32_t)offset, in, n);
		else if (area == AREA_GGTT)
			vgpu_ggtt_write(v, (uint32_t)(offset - VGPU_GTT_OFFSET), in, n);
		offset += n;
		in += n;
		len -= n;
	}
}

/* ---- PCI config space ------------------------------------------------------------------------ */

#define PCI_GMCH_CTL 0x50 /* SNB_GMCH_CTRL */
#define PCI_BDSM     0x5c
#define PCI_ASLS     0xfc

/* 8 MiB of table entries, no stolen memory: a kernel's early quirks would carve it out of RAM. */
#define GMCH_GGMS_8M (3u << 6)
#define GMCH_LOCK    BIT(0)

static bool config_byte(uint32_t value, uint16_t reg, uint16_t offset, uint16_t bytes, uint8_t *out)
{
	if (offset < reg || offset >= reg + bytes)
		return false;
	*out = (uint8_t)(value >> (8 * (offset - reg)));
	return true;
}

bool vgpu_pci_config_read(struct vgpu *v, uint16_t offset, uint64_t bar0, uint8_t *value)
{
	uint64_t asls = bar0 ? bar0 + VGPU_OPREGION_OFFSET : 0;

	/* The register is 32 bits wide: a BAR above 4 GiB has no opregion to point to. */
	if (v->config.render_only || asls > UINT32_MAX)
		asls = 0;
	return config_byte(GMCH_GGMS_8M | GMCH_LOCK, PCI_GMCH_CTL, offset, 2, value) ||
	       config_byte(0, PCI_BDSM, offset, 4, value) ||
	       config_byte((uint32_t)asls, PCI_ASLS, offset, 4, value);
}

/* ---- Numbers --------------------------------------------------------------------------------- */

struct vgpu_access_counters *vgpu_accesses(struct vgpu *v)
{
	return &v->accesses[thread_number() % VGPU_ACCESS_SHARDS];
}

static uint64_t counted(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static void access_stats(struct vgpu *v, struct vgpu_stats *stats)
{
	for (unsigned int i = 0; i < VGPU_ACCESS_SHARDS; i++) {
		const struct vgpu_access_counters *shard = &v->accesses[i];

		stats->reg_reads += counted(&shard->reg_reads);
		stats->reg_writes += counted(&shard->reg_writes);
		stats->opregion_reads += counted(&shard->opregion_reads);
		stats->ggtt_reads += counted(&shard->ggtt_reads);
		stats->ggtt_writes += counted(&shard->ggtt_writes);
		stats->aperture_reads += counted(&shard->aperture_reads);
		stats->aperture_writes += counted(&shard->aperture_writes);
		stats->unknown_registers += counted(&shard->unknown_registers);
	}
}

static void engine_stats(struct vgpu *v, enum gpu_engine id, struct vgpu_stats *stats)
{
	struct vgpu_counters *c = &v->counters;

	stats->submissions[id] = counted(&c->submissions[id]);
	stats->contexts_completed[id] = counted(&c->contexts_completed[id]);
	stats->engine_resets[id] = counted(&c->engine_resets[id]);
	stats->engine_busy_ns[id] = sched_busy_ns(&v->engines[id].entity);
}

void vgpu_stats(struct vgpu *v, struct vgpu_stats *stats)
{
	struct vgpu_counters *c = &v->counters;

	memset(stats, 0, sizeof(*stats));
	vgpu_lock(v);
	vgpu_display_count(v);
	/* Together, as they are counted: the last one is of a kind that there was. */
	for (unsigned int i = 0; i < GPU_FAULT_KINDS; i++)
		stats->faults[i] = counted(&c->faults[i]);
	stats->last_fault = v->last_fault;
	stats->driver_ready = v->driver_ready;
	vgpu_unlock(v);
	access_stats(v, stats);
	stats->full_resets = counted(&c->full_resets);
	stats->interrupts = counted(&c->interrupts);
	for_each_engine(id)
		engine_stats(v, id, stats);
	for (unsigned int i = 0; i < VGPU_PIPES; i++) {
		stats->frames[i] = counted(&c->frames[i]);
		stats->flips[i] = counted(&c->flips[i]);
		stats->vblanks[i] = counted(&c->vblanks[i]);
	}
	v->config.gpu->ops->stats(v->config.gpu, &stats->gpu);
}

size_t vgpu_not_executed(struct vgpu *v, struct gpu_not_executed *rows, size_t max)
{
	return v->config.gpu->ops->not_executed(v->config.gpu, rows, max);
}
