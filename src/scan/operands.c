/* SPDX-License-Identifier: MIT */
/*
 * Operands of privileged commands: addresses in the GGTT against the vGPU's share, for every byte
 * touched, and registers written against the list.  Called by both walks of the audit, on an
 * engine's lane; reads nothing but the commands and the vGPU's own limits.
 */
#include "scan/operands.h"

#include <string.h>

static bool in_share(const struct scan_audit *audit, uint64_t address, uint64_t bytes)
{
	for (unsigned int i = 0; i < SCAN_SHARE_RANGES; i++) {
		const struct gpu_range *range = &audit->share[i];

		if (address >= range->first && address < range->end)
			return bytes <= range->end - address;
	}
	return false;
}

/* @offset is below SCAN_REGISTER_BYTES. */
static inline bool is_writable(const uint64_t *writable, uint32_t offset)
{
	return writable[offset / 256] >> (offset / 4 % 64) & 1;
}

static bool may_write(const struct scan_audit *audit, uint32_t offset)
{
	return offset < SCAN_REGISTER_BYTES && is_writable(audit->writable, offset);
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

/* The registers of one operand, or of each group of a command @dwords long. */
static enum gpu_fault_kind check_registers(const struct scan_audit *audit,
					   const struct audit_check *check, const uint32_t *dw,
					   uint32_t dwords, struct gpu_audit_finding *finding)
{
	for (uint32_t at = check->dword; at < dwords; at += check->group) {
		uint32_t offset = dw[at] & (uint32_t)check->mask;

		if (unlikely(!may_write(audit, offset)))
			return operands_refuse(finding, GPU_FAULT_REGISTER, offset, true);
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
		return operands_refuse(finding, GPU_FAULT_SHARE, address, check->write);
	return GPU_FAULT_NONE;
}

static enum gpu_fault_kind check_one(const struct scan_audit *audit,
				     const struct audit_check *check, const uint32_t *dw,
				     uint32_t dwords, struct gpu_audit_finding *finding)
{
	if (!applies(check, dw))
		return GPU_FAULT_NONE;
	if (check->is_register)
		return check_registers(audit, check, dw, dwords, finding);
	return check_address(audit, check, dw, dwords, finding);
}

enum gpu_fault_kind operands_check(const struct scan_audit *audit, const struct audit_set *set,
				   const uint32_t *dw, uint32_t dwords,
				   struct gpu_audit_finding *finding)
{
	enum gpu_fault_kind kind = GPU_FAULT_NONE;

	for (unsigned int i = 0; i < set->count && kind == GPU_FAULT_NONE; i++)
		kind = check_one(audit, &audit_checks[set->first + i], dw, dwords, finding);
	return kind;
}

/* ---- Many at a time -------------------------------------------------------------------------- */

/* So many commands at a time. */
#define PLACES 128u

/* Where AUDIT_GLANCE_BYTES are inside the vGPU's share: `room` places from `first` on. */
struct reach {
	uint64_t first[SCAN_SHARE_RANGES], room[SCAN_SHARE_RANGES];
};

static struct reach make_reach(const struct scan_audit *audit)
{
	struct reach reach;

	for (unsigned int i = 0; i < SCAN_SHARE_RANGES; i++) {
		uint64_t bytes = audit->share[i].end - audit->share[i].first;

		reach.first[i] = audit->share[i].first;
		reach.room[i] = bytes < AUDIT_GLANCE_BYTES ? 0 : bytes - AUDIT_GLANCE_BYTES + 1;
	}
	return reach;
}

/* Which of the ranges is guessed right: a driver's status pages stay where they are. */
static inline bool is_inside(const struct reach *reach, uint64_t address)
{
	for (unsigned int i = 0; i < SCAN_SHARE_RANGES; i++)
		if (address - reach->first[i] < reach->room[i])
			return true;
	return false;
}

/* Out of the way: those that a glance does not settle are few. */
static __attribute__((noinline)) bool is_in_order(const struct scan_audit *audit, uint8_t set,
						  const uint32_t *dw)
{
	struct gpu_audit_finding finding;

	return operands_check(audit, &audit_sets[set], dw, audit_plain_dwords(dw[0]), &finding) ==
	       GPU_FAULT_NONE;
}

/* A command to be looked at: where, and for what. */
struct place {
	uint16_t at;
	uint16_t set;
};

/*
 * Those that name an address, and those that name a register: a loop over only one kind has nothing
 * to guess, which would cost more than the look itself.
 */
struct sorted {
	size_t addresses, registers;
	struct place address[PLACES], reg[PLACES];
};

/* Without a branch, too: each is put into both, to stay in one. */
static void sort(struct sorted *sorted, const struct audit_entry *index, const uint32_t *dwords,
		 const uint16_t *places, size_t count)
{
	size_t registers = 0;

	for (size_t i = 0; i < count; i++) {
		struct place place = { places[i], index[dwords[places[i]] >> 16].set };

		sorted->address[i - registers] = place;
		sorted->reg[registers] = place;
		registers += audit_glances[place.set].is_register;
	}
	sorted->addresses = count - registers;
	sorted->registers = registers;
}

static bool addresses_in_order(const struct scan_audit *audit, const struct reach *reach,
			       const uint32_t *dwords, const struct sorted *sorted)
{
	for (size_t i = 0; i < sorted->addresses; i++) {
		const uint32_t *dw = &dwords[sorted->address[i].at];
		const struct audit_glance *glance = &audit_glances[sorted->address[i].set];
		uint64_t address;

		memcpy(&address, &dw[glance->dword], sizeof(address));
		if (likely(!(dw[glance->ask] & glance->ask_mask) &&
			   is_inside(reach, address & glance->mask)))
			continue;
		if (!is_in_order(audit, (uint8_t)sorted->address[i].set, dw))
			return false;
	}
	return true;
}

_Static_assert(!(SCAN_REGISTER_BYTES & (SCAN_REGISTER_BYTES - 1)), "two offsets compared at once");

/*
 * Bits of a register's dword that are no part of its offset are not masked: such a command is one
 * for operands_check().
 */
static bool registers_in_order(const struct scan_audit *audit, const uint32_t *dwords,
			       const struct sorted *sorted)
{
	for (size_t i = 0; i < sorted->registers; i++) {
		const uint32_t *dw = &dwords[sorted->reg[i].at];
		const struct audit_glance *glance = &audit_glances[sorted->reg[i].set];
		uint32_t offset = dw[glance->dword];
		uint32_t again = dw[glance->dword + (dw[0] & glance->again)];

		if (likely(!(dw[glance->ask] & glance->ask_mask) &&
			   (offset | again) < SCAN_REGISTER_BYTES &&
			   is_writable(audit->writable, offset) &&
			   is_writable(audit->writable, again)))
			continue;
		if (!is_in_order(audit, (uint8_t)sorted->reg[i].set, dw))
			return false;
	}
	return true;
}

bool operands_in_order(const struct scan_audit *audit, const struct audit_entry *index,
		       const uint32_t *dwords, const uint16_t *places, size_t count)
{
	struct reach reach = make_reach(audit);
	struct sorted sorted;
	size_t some;

	written_in_part(sorted);
	for (; count; places += some, count -= some) {
		some = MIN(count, PLACES);
		sort(&sorted, index, dwords, places, some);
		if (!addresses_in_order(audit, &reach, dwords, &sorted) ||
		    !registers_in_order(audit, dwords, &sorted))
			return false;
	}
	return true;
}
