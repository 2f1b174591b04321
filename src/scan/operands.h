/* SPDX-License-Identifier: MIT */
/* Operands of privileged commands against what the vGPU may reach; private to the layer. */
#ifndef SCAN_OPERANDS_H
#define SCAN_OPERANDS_H

#include "scan/audit_table.h"

/*
 * The operands that @set names in the command at @dw, all @dwords of which are there.  Returns what
 * is wrong with the first that may not be, and says more in @finding; or GPU_FAULT_NONE.
 */
enum gpu_fault_kind operands_check(const struct scan_audit *audit, const struct audit_set *set,
				   const uint32_t *dw, uint32_t dwords,
				   struct gpu_audit_finding *finding);

/* True when the operands of @count plain commands, at @places in @dwords, are in order. */
bool operands_in_order(const struct scan_audit *audit, const struct audit_entry *index,
		       const uint32_t *dwords, const uint16_t *places, size_t count);

/* Says @kind in @finding, and returns it. */
static inline enum gpu_fault_kind operands_refuse(struct gpu_audit_finding *finding,
						  enum gpu_fault_kind kind, uint64_t address,
						  bool write)
{
	*finding = (struct gpu_audit_finding){ .kind = kind, .address = address, .write = write };
	return kind;
}

#endif
