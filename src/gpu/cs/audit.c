/* SPDX-License-Identifier: MIT */
/*
 * The audit's place in the streamer: shows what was copied of a privileged buffer to the
 * workload's audit, once, before any of it runs, and remembers how far it was accepted.  Called by
 * cs.c on the lane.
 *
 * A privileged batch also has a budget, so that one that never ends is found out here and not by a
 * hang: hardware has no such limit, but a driver that means well stays far below it.  Each stay on
 * the engine has it anew: who is preempted before it is used up is left to the watchdogs, as the
 * loops of user batches are.
 */
#include "gpu/cs/cs.h"

static enum gpu_source source_of(const struct cs *cs)
{
	switch (cs->source) {
	case CS_SOURCE_INDIRECT:
		return GPU_SOURCE_INDIRECT_CTX;
	case CS_SOURCE_PER_CTX:
		return GPU_SOURCE_PER_CTX;
	case CS_SOURCE_BATCH1:
		return GPU_SOURCE_BATCH1;
	case CS_SOURCE_BATCH2:
		return GPU_SOURCE_BATCH2;
	default:
		return GPU_SOURCE_RING;
	}
}

bool cs_audit_spend(struct cs *cs, uint32_t dwords)
{
	if (!cs->workload->audit || dwords > cs->audit_budget)
		return !cs->workload->audit;
	cs->audit_budget -= dwords;
	return true;
}

static bool within_budget(struct cs *cs, uint32_t accepted)
{
	if (cs->source == CS_SOURCE_RING || cs->source == CS_SOURCE_INDIRECT)
		return true;
	return cs_audit_spend(cs, accepted);
}

/* Dwords accepted of what the window holds; 0 with the reason in @finding. */
static uint32_t scan(struct cs *cs, struct gpu_audit_finding *finding)
{
	const struct gpu_audit *audit = cs->workload->audit;
	uint64_t start_ns = TRACE_CLOCK(scan_audit);
	uint32_t accepted;
	const struct gpu_audit_window window = {
		.engine = cs->engine,
		.source = source_of(cs),
		.dwords = &cs->window[cs->next],
		.count = cs->filled - cs->next,
	};

	*finding = (struct gpu_audit_finding){ 0 };
	accepted = audit->ops->scan(audit, &window, finding);
	TRACE_SINCE(start_ns, scan_audit, (uint64_t)window.source << 32 | cs->engine,
		    cs_address(cs), window.count * 4ull, accepted * 4ull);
	return accepted;
}

enum cs_next cs_audit(struct cs *cs, uint32_t dwords)
{
	struct gpu_audit_finding finding;
	uint32_t accepted = scan(cs, &finding);

	if (!accepted && finding.kind == GPU_FAULT_NONE) {
		enum cs_next next = cs_fetch_whole(cs, dwords);

		if (next != CS_ADVANCE)
			return next;
		accepted = scan(cs, &finding);
	}
	if (unlikely(!accepted))
		return cs_fault_found(cs, &finding);
	if (unlikely(!within_budget(cs, accepted)))
		return cs_fault(cs, GPU_FAULT_ENDLESS);
	cs->audited = cs->next + accepted;
	return CS_ADVANCE;
}
