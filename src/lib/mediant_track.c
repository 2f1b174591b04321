/* SPDX-License-Identifier: MIT */
/*
 * A VM's page tables that are tracked, where the VMM lends pause and resume: the shadow's tracker
 * and the thread that does what lanes and vCPUs ask it for.  The thread is the VM's alone because
 * it waits for vCPUs to come out of the guest, and no display's clock should.
 */
#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "lib/mediant_inside.h"

#define GATHER_NS 10000000ull /* after a kick, so that one pause of the guest serves many */

/* On a lane or a vCPU: the counter is never near its end, so this does not wait. */
static void kick(void *opaque)
{
	struct mediant_vm *vm = opaque;

	eventfd_write(vm->track_fd, 1);
}

static void *track_thread(void *opaque)
{
	const struct timespec gather = { .tv_nsec = GATHER_NS };
	struct mediant_vm *vm = opaque;
	eventfd_t kicks;

	while (!eventfd_read(vm->track_fd, &kicks) && !atomic_load(&vm->track_stop)) {
		nanosleep(&gather, NULL);
		lock_acquire(&vm->lock);
		shadow_tracker_update(vm->tracker);
		lock_release(&vm->lock);
	}
	return NULL;
}

/* It inherits the mask: a VMM that kicks vCPUs by a signal must not hit it. */
static int start_thread(struct mediant_vm *vm)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int err = pthread_create(&vm->track_thread, NULL, track_thread, vm);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err)
		return -err;
	pthread_setname_np(vm->track_thread, "mediant-track");
	vm->track_ready = true;
	return 0;
}

int mediant_track_start(struct mediant_vm *vm)
{
	int err;

	if (!vm->config.pause)
		return 0;
	vm->track_fd = eventfd(0, EFD_CLOEXEC);
	if (vm->track_fd < 0)
		return -errno;
	err = shadow_tracker_create(vm->guest, kick, vm, &vm->tracker);
	if (err)
		return err == -ENOTSUP ? 0 : err; /* no KVM: nothing to track with */
	return start_thread(vm);
}

void mediant_track_stop(struct mediant_vm *vm)
{
	if (vm->track_ready) {
		atomic_store(&vm->track_stop, true);
		kick(vm);
		pthread_join(vm->track_thread, NULL);
	}
	shadow_tracker_destroy(vm->tracker);
	vm->tracker = NULL;
	if (vm->track_fd >= 0)
		close(vm->track_fd);
}
