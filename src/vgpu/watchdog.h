/* SPDX-License-Identifier: MIT */
/*
 * The operator's watchdog: how much of the lane a context may use without getting on in its ring.
 * Hardware has none, and a guest's driver may let a batch run for ever that can be preempted; so
 * there is none unless the operator asks for it.  On the lane.
 */
#ifndef VGPU_WATCHDOG_H
#define VGPU_WATCHDOG_H

#include "base/types.h"

#define VGPU_WATCHED 4u /* contexts of an engine that take turns, as timeslices make them */

struct vgpu_watchdog {
	struct vgpu_watched {
		uint64_t desc;
		uint32_t head; /* of its ring: the batch it is in */
		uint64_t ran_ns;
	} context[VGPU_WATCHED];
	unsigned int next; /* forgotten next */
};

/*
 * The context of @desc, with its ring's head at @head, used up a slice and has been on the engine
 * for @ns more.  True when that was too much: @limit_ns, 0 for never.
 */
bool vgpu_watchdog_ran(struct vgpu_watchdog *watchdog, uint64_t desc, uint32_t head, uint64_t ns,
		       uint64_t limit_ns);
/* The context came to its end. */
void vgpu_watchdog_done(struct vgpu_watchdog *watchdog, uint64_t desc);

#endif
