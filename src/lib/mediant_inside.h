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

struct mediant_vm {
	struct lock lock; /* LOCK_DEVICE: one change of the memory map at a time */
	struct mediant_vm_config config;
	struct guest *guest;
	struct kvm_door *door;
};

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
