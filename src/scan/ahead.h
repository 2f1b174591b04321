/* SPDX-License-Identifier: MIT */
/* The audit's fast way over commands that are in order; private to the layer. */
#ifndef SCAN_AHEAD_H
#define SCAN_AHEAD_H

#include "scan/audit_table.h"

/* The most dwords that are gone over at a time. */
#define AHEAD_DWORDS 2048u
/* Of less than that it is not worth it. */
#define AHEAD_LEAST  256u

/*
 * Goes over the commands of @window from @from on, where one begins: all that it passes are in
 * order, and nothing leads elsewhere.  Returns where it stopped: at a command that wants a closer
 * look, for whatever reason, or where the next begins behind AHEAD_DWORDS or the window; or @from,
 * when an operand on the way is not in order.
 */
uint32_t audit_ahead(const struct scan_audit *audit, const struct gpu_audit_window *window,
		     uint32_t from);

/*
 * The audit's verdict without it, one command after the other (audit.c): what the audit as a whole
 * has to say, too.  Arguments and result are those of struct gpu_audit_ops.
 */
uint32_t audit_carefully(const struct scan_audit *audit, const struct gpu_audit_window *window,
			 struct gpu_audit_finding *finding);

#endif
