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
#include "scan/audit_table.h"

#define MI_BATCH_2ND_LEVEL BIT(22)
/* MI commands below this header are one dword long. */
#define MI_WITH_LENGTH	   0x08000000u

/* ---- Operands -------------------------------------------------------------------------------- */

static bool in_share(const struct scan_audit *audit, uint64_t address, uint64_t bytes)
{
	for (unsigned int i = 0; i < SCAN_SHARE_RANGES; i++) {
		const struct gpu_range *range = &audit->share[i];

		if (address >= range->first && address < range->end)
			return bytes <= range->end - address;
	}
	return false;
}

static bool may_write(const struct scan_audit *audit, uint32_t offset)
{
	return offset < SCAN_REGISTER_BYTES &&
	       audit->writable[offset / 256] >> (offset / 4 % 64) & 1;
}

/* True when the command at @dw uses the operand, and it is none of a PPGTT. */
static bool applies(const struct audit_check *check, const uint32_t *dw)
{
	if (check->if_mask && !(dw[check->if_dword] & check->if_mask))
		return false;
	if (dw[check->unless_dword] & check->unless_mask)
		return false;
	return !check->select_mask ||
	       !!(dw[check->select_dword] & check->select_mask) == check->select_ggtt;
}

static enum gpu_fault_kind refuse(struct gpu_audit_finding *finding, enum gpu_fault_kind kind,
				  uint64_t address, bool write)
{
	*finding = (struct gpu_audit_finding){ .kind = kind, .address = address, .write = write };
	return kind;
}

/* The registers of one operand, or of each group of a command @dwords long. */
static enum gpu_fault_kind check_registers(const struct scan_audit *audit,
					   const struct audit_check *check, const uint32_t *dw,
					   uint32_t dwords, struct gpu_audit_finding *finding)
{
	for (uint32_t at = check->dword; at < dwords; at += check->group) {
		uint32_t offset = dw[at] & (uint32_t)check->mask;

		if (unlikely(!may_write(audit, offset)))
			return refuse(finding, GPU_FAULT_REGISTER, offset, true);
		if (!check->group)
			break;
	}
	return GPU_FAULT_NONE;
}

static enum gpu_fault_kind check_address(const struct scan_audit *audit,
					 const struct audit_check *check, const uint32_t *dw,
					 uint32_t dwords, struct gpu_audit_finding *finding)
{
	uint64_t address = dw[check->dword], bytes = check->bytes;

	if (check->wide)
		address |= (uint64_t)dw[check->dword + 1] << 32;
	address &= check->mask;
	/* Behind the two dwords of the address come those that are stored. */
	if (bytes == SCAN_BYTES_DATA)
		bytes = (dwords - check->dword - 2) * 4ull;
	if (unlikely(!in_share(audit, address, bytes)))
		return refuse(finding, GPU_FAULT_SHARE, address, check->write);
	return GPU_FAULT_NONE;
}

static enum gpu_fault_kind check_set(const struct scan_audit *audit, const struct audit_set *set,
				     const uint32_t *dw, uint32_t dwords,
				     struct gpu_audit_finding *finding)
{
	enum gpu_fault_kind kind = GPU_FAULT_NONE;

	for (unsigned int i = 0; i < set->count && kind == GPU_FAULT_NONE; i++) {
		const struct audit_check *check = &audit_checks[set->first + i];

		if (!applies(check, dw))
			continue;
		if (check->is_register)
			kind = check_registers(audit, check, dw, dwords, finding);
		else
			kind = check_address(audit, check, dw, dwords, finding);
	}
	return kind;
}

/* ---- Commands -------------------------------------------------------------------------------- */

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
		return refuse(finding, GPU_FAULT_PRIVILEGE, 0, false);
	if (set->flow == AUDIT_FLOW_START && !may_start(window->source, dw[0]))
		return refuse(finding, GPU_FAULT_NESTING, 0, false);
	return check_set(audit, set, dw, dwords, finding);
}

/* No length of the command at @header fits: because there is no such command, or no such length. */
static void refuse_header(enum gpu_engine engine, uint32_t header,
			  struct gpu_audit_finding *finding)
{
	refuse(finding, gpu_command_find(engine, header) ? GPU_FAULT_LENGTH : GPU_FAULT_OPCODE, 0,
	       false);
}

/* The first dword from @at on that is no MI_NOOP. */
static uint32_t skip_noops(const uint32_t *dwords, uint32_t at, uint32_t count)
{
	while (at < count && !dwords[at])
		at++;
	return at;
}

/*
 * The length, by @entry.  Almost always it can be guessed from the header alone, and then the next
 * header is on its way while the index is still being read.  The compiler must not see that either
 * way the result is the same, or it would wait for the index.
 */
static inline uint32_t command_length(const struct audit_entry *entry, uint32_t header)
{
	uint32_t length = (header & entry->length_mask) + entry->bias;

	if (header < MI_WITH_LENGTH && likely(length == 1))
		return 1;
	if (likely(length == (header & 0xff) + 2))
		return (header & 0xff) + 2;
	__asm__("" : "+r"(length));
	return length;
}

static uint32_t audit_scan(const struct gpu_audit *base, const struct gpu_audit_window *window,
			   struct gpu_audit_finding *finding)
{
	const struct scan_audit *audit = container_of(base, struct scan_audit, audit);
	const struct audit_entry *index = audit_index[window->engine];
	const uint32_t *dwords = window->dwords;
	uint32_t at = 0, count = window->count;

	finding->kind = GPU_FAULT_NONE;
	while (at < count) {
		uint32_t header = dwords[at], length;
		const struct audit_entry *entry = &index[header >> 16];
		const struct audit_set *set;

		if (!header) {
			at = skip_noops(dwords, at + 1, count);
			continue;
		}
		length = command_length(entry, header);
		if (unlikely(length - 1 - entry->below > entry->span)) {
			refuse_header(window->engine, header, finding);
			break;
		}
		if (likely(!entry->set)) {
			at += length;
			continue;
		}
		if (unlikely(length > count - at))
			break;
		set = &audit_sets[entry->set];
		if (unlikely(check_command(audit, window, set, &dwords[at], length, finding)))
			break;
		at += length;
		if (goes_elsewhere(set->flow, window->source))
			break;
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
