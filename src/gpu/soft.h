/* SPDX-License-Identifier: MIT */
/* What the two GPUs of this layer share.  Private to the layer. */
#ifndef GPU_SOFT_H
#define GPU_SOFT_H

#include "gpu/cs/cs.h"

struct soft_gpu {
	struct gpu gpu;
	struct cs engines[GPU_ENGINES];
};

/* A GPU of four command streamers; NULL when there is no memory. */
struct gpu *soft_gpu_create(bool follow_batches);

static inline struct soft_gpu *to_soft_gpu(struct gpu *gpu)
{
	return container_of(gpu, struct soft_gpu, gpu);
}

#endif
