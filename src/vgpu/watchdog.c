/* SPDX-License-Identifier: MIT */
/* See watchdog.h.  Pure. */
#include "vgpu/watchdog.h"

#include "vgpu/context.h"

static struct vgpu_watched *find(struct vgpu_watchdog *watchdog, uint64_t desc)
{
	for (unsigned int i = 0; i < VGPU_WATCHED; i++)
		if (context_desc_same(watchdog->context[i].desc, desc))
			return &watchdog->context[i];
	return NULL;
}

bool vgpu_watchdog_ran(struct vgpu_watchdog *watchdog, uint64_t desc, uint32_t head, uint64_t ns,
		       uint64_t limit_ns)
{
	struct vgpu_watched *watched;

	if (!limit_ns)
		return false;
	watched = find(watchdog, desc);
	if (!watched)
		watched = &watchdog->context[watchdog->next++ % VGPU_WATCHED];
	if (!context_desc_same(watched->desc, desc) || watched->head != head)
		*watched = (struct vgpu_watched){ .desc = desc, .head = head };
	watched->ran_ns += ns;
	return watched->ran_ns > limit_ns;
}

void vgpu_watchdog_done(struct vgpu_watchdog *watchdog, uint64_t desc)
{
	struct vgpu_watched *watched = find(watchdog, desc);

	if (watched)
		*watched = (struct vgpu_watched){ 0 };
}
