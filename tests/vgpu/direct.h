/* SPDX-License-Identifier: MIT */
/* What the transport that is none lets its program choose. */
#ifndef TESTS_VGPU_DIRECT_H
#define TESTS_VGPU_DIRECT_H

#include "sched/sched.h"

/* The lease of the lane that the next driver_open() makes; NULL, as at first: it has none. */
extern struct sched_lease *direct_lease;

#endif
