/* SPDX-License-Identifier: MIT */
/*
 * The null GPU: the streamers of the software Gen9 that step over batches.  Rings are walked, their
 * stores made and interrupts raised, so a driver sees its requests complete; what the requests
 * would have run is counted.  For tests and measurements of everything around a GPU.
 */
#include "gpu/soft.h"

struct gpu *gpu_null_create(void)
{
	return soft_gpu_create(false);
}
