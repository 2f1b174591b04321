/* SPDX-License-Identifier: MIT */
/*
 * The inside of libmediant's objects, shared by lib/mediant*.c.
 */
#ifndef LIB_MEDIANT_INSIDE_H
#define LIB_MEDIANT_INSIDE_H

#include <pthread.h>

#include "base/lock.h"
#include "base/loop.h"
#include "kvm/kvm.h"
#include "lib/lib.h"
#include "mediant/mediant.h"
#include "shadow/shadow.h"

struct mediant_vm {
	struct lock lock; /* LOCK_DEVICE: one change of the memory map at a time */
	struct mediant_vm_config config;
	struct guest *guest;
	struct kvm_door *door;
	/* Page tables that are tracked; NULL: none are. */
	struct shadow_tracker *tracker;
	int track_fd; /* eventfd: the tracker has something to do; -1 */
	pthread_t track_thread;
	bool track_ready;
	_Atomic bool track_stop;
};

/* With its guest made; -errno.  0 also where nothing can be tracked. */
int mediant_track_start(struct mediant_vm *vm);
/* After the last device and vCPU. */
void mediant_track_stop(struct mediant_vm *vm);

struct mediant_device {
	struct lock lock; /* LOCK_DEVICE: who holds it owns the VFIO device */
	struct mediant_vm *vm;
	struct vgpu_device *inside;
	/* The display's clock. */
	struct loop loop;
	pthread_t thread;
	bool loop_ready, thread_ready;
};

/*
 * A caller's structure, which starts with its size, into ours of @our_bytes; -EINVAL for a size
 * that cannot be, or members set that we do not know.
 */
int mediant_take_config(void *ours, size_t our_bytes, const void *theirs);

#endif
