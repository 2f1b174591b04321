/* SPDX-License-Identifier: MIT */
/*
 * The audit of privileged commands: every one in a window of private memory is measured, and of
 * those that could reach beyond the vGPU the operands are looked at.  Called by the streamer on an
 * engine's lane, through gpu_audit_ops; reads nothing but the window, the index and the vGPU's own
 * limits, and allocates nothing.
 *
 * What is checked here: command and length; addresses in the GGTT against the vGPU's share, for
 * every byte touched; registers written against the list; where batches may start.  What is not:
 * addresses in a PPGTT, because what counts for them is the translation at the time of the access,
 * which shadow/ checks; and the status pages, whose addresses are no part of a command.
 */
#include "scan/ahead.h"
#include "scan/operands.h"

#define MI_BATCH_2ND_LEVEL BIT(22)

/* A context's workaround batches call nobody, and the ring calls first level batches only. */
static bool may_start(enum gpu_source source, uint32_t header)
{
	switch (source) {
	case GPU_SOURCE_INDIRECT_CTX:
	case GPU_SOURCE_PER_CTX:
		return false;
	case GPU_SOURCE_RING:
		return !(header & MI_BATCH_2ND_LEVEL);
	default:
		return true;
	}
}

/* True when what lies behind the command is not what runs next, or may never run. */
static bool goes_elsewhere(enum audit_flow flow, enum gpu_source source)
{
	if (flow == AUDIT_FLOW_END)
		return source != GPU_SOURCE_RING && source != GPU_SOURCE_INDIRECT_CTX;
	return flow == AUDIT_FLOW_START;
}

static enum gpu_fault_kind check_command(const struct scan_audit *audit,
					 const struct gpu_audit_window *window,
					 const struct audit_set *set, const uint32_t *dw,
					 uint32_t dwords, struct gpu_audit_finding *finding)
{
	if (unlikely(set->flow == AUDIT_FLOW_DENIED))
		return operands_refuse(finding, GPU_FAULT_PRIVILEGE, 0, false);
	if (set->flow == AUDIT_FLOW_START && !may_start(window->source, dw[0]))
		return operands_refuse(finding, GPU_FAULT_NESTING, 0, false);
	return operands_check(audit, set, dw, dwords, finding);
}

/* The length of the command at @header; 0: none fits. */
static uint32_t command_dwords(enum gpu_engine engine, const struct audit_entry *entry,
			       uint32_t header)
{
	const struct gpu_command *command;

	if (likely(audit_is_plain(entry, header)))
		return audit_plain_dwords(header);
	command = gpu_command_find(engine, header);
	return command ? gpu_command_dwords(command, header) : 0;
}

/* No length of the command at @header fits: because there is no such command, or no such length. */
static void refuse_header(enum gpu_engine engine, uint32_t header,
			  struct gpu_audit_finding *finding)
{
	operands_refuse(finding,
			gpu_command_find(engine, header) ? GPU_FAULT_LENGTH : GPU_FAULT_OPCODE, 0,
			false);
}

/*
 * The careful walk: the commands from *@at on, one
 * after the other, as far as @until.  False when it ends before: *@at is refused, cut off, or may
 * never run.
 */
static bool walk(const struct scan_audit *audit, const struct gpu_audit_window *window,
		 uint32_t *at, uint32_t until, struct gpu_audit_finding *finding)
{
	while (*at < until) {
		const uint32_t *dw = &window->dwords[*at];
		const struct audit_entry *entry = &audit_index[window->engine][dw[0] >> 16];
		const struct audit_set *set = &audit_sets[entry->set];
		uint32_t dwords = command_dwords(window->engine, entry, dw[0]);

		if (unlikely(!dwords)) {
			refuse_header(window->engine, dw[0], finding);
			return false;
		}
		if (entry->set && dwords > window->count - *at)
			return false;
		if (entry->set && check_command(audit, window, set, dw, dwords, finding))
			return false;
		*at += dwords;
		if (goes_elsewhere(set->flow, window->source))
			return false;
	}
	return true;
}

uint32_t audit_carefully(const struct scan_audit *audit, const struct gpu_audit_window *window,
			 struct gpu_audit_finding *finding)
{
	uint32_t at = 0;

	finding->kind = GPU_FAULT_NONE;
	walk(audit, window, &at, window->count, finding);
	return at;
}

static uint32_t audit_scan(const struct gpu_audit *base, const struct gpu_audit_window *window,
			   struct gpu_audit_finding *finding)
{
	const struct scan_audit *audit = container_of(base, struct scan_audit, audit);
	uint32_t at = 0, until;
	bool goes_on = true;

	finding->kind = GPU_FAULT_NONE;
	while (at < window->count && goes_on) {
		until = window->count;
		if (window->count - at >= AHEAD_LEAST) {
			until = MIN(until, at + AHEAD_DWORDS);
			at = audit_ahead(audit, window, at);
		}
		goes_on = walk(audit, window, &at, until, finding);
	}
	return at;
}

static const struct gpu_audit_ops audit_ops = {
	.scan = audit_scan,
};

void scan_audit_init(struct scan_audit *audit, const struct gpu_range *share,
		     const uint64_t *writable)
{
	audit_table_make();
	*audit = (struct scan_audit){ .audit = { &audit_ops }, .writable = writable };
	for (unsigned int i = 0; i < SCAN_SHARE_RANGES; i++)
		audit->share[i] = share[i];
}
