/* SPDX-License-Identifier: MIT */
/*
 * Registers that take stores in runs (ELSP: four dwords, of which the last submits), as coalesced
 * MMIO: KVM keeps each store in a ring and goes on with the guest.  Who empties the ring
 * (kvm/ring.c) leaves as much room in it as guest_kvm_slack() says, so that the last store of a run
 * finds the ring full and exits.  Changes on the thread that changes the device.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "base/checked.h"
#include "guest/kvm.h"

static int set_zone(struct guest_kvm *kvm, const struct guest_run *run, bool on)
{
	struct kvm_coalesced_mmio_zone zone = { .addr = run->gpa.v, .size = run->bytes };

	return ioctl(kvm->config.vm_fd,
		     on ? KVM_REGISTER_COALESCED_MMIO : KVM_UNREGISTER_COALESCED_MMIO, &zone)
		       ? -errno
		       : 0;
}

/* With the lock held: the @index-th can be found by whoever has no lock. */
static void show_run(struct guest_kvm *kvm, unsigned int index)
{
	atomic_store(&kvm->run_bytes[index], kvm->runs[index].bytes);
	atomic_store(&kvm->run_at[index], kvm->runs[index].gpa.v);
}

/* With the lock held.  Known before KVM keeps stores back, and until it no longer does. */
static int add_run(struct guest_kvm *kvm, const struct guest_run *run)
{
	if (kvm->run_count == KVM_GUEST_MAX_RUNS)
		return -ENOSPC;
	unsigned int index = kvm->run_count++;
	kvm->runs[index] = *run;
	show_run(kvm, index);
	int err = set_zone(kvm, run, true);
	if (err)
		atomic_store(&kvm->run_at[--kvm->run_count], 0);
	return err;
}

/* With the lock held. */
static int remove_run(struct guest_kvm *kvm, const struct guest_run *run)
{
	for (unsigned int i = 0; i < kvm->run_count; i++) {
		if (kvm->runs[i].gpa.v != run->gpa.v)
			continue;
		set_zone(kvm, run, false);
		/* The one that moves into the gap is there at every moment. */
		kvm->runs[i] = kvm->runs[--kvm->run_count];
		show_run(kvm, i);
		atomic_store(&kvm->run_at[kvm->run_count], 0);
		return 0;
	}
	return -ENOENT;
}

int guest_kvm_run(struct guest *guest, const struct guest_run *run, bool on)
{
	struct guest_kvm *kvm = guest_kvm_of(guest);

	if (!kvm->config.coalesce)
		return -ENOTSUP;
	lock_acquire(&kvm->run_lock);
	int err = on ? add_run(kvm, run) : remove_run(kvm, run);
	lock_release(&kvm->run_lock);
	return err;
}

bool guest_kvm_in_run(struct guest *guest, gpa_t gpa, size_t len)
{
	struct guest_kvm *kvm = guest_kvm_of(guest);

	for (unsigned int i = 0; i < KVM_GUEST_MAX_RUNS; i++) {
		uint64_t at = atomic_load_explicit(&kvm->run_at[i], memory_order_acquire);
		uint32_t bytes = atomic_load_explicit(&kvm->run_bytes[i], memory_order_relaxed);

		if (!at || ranges_overlap(at, bytes, gpa.v, len))
			return at != 0;
	}
	return false;
}

unsigned int guest_kvm_slack(struct guest *guest)
{
	struct guest_kvm *kvm = guest_kvm_of(guest);
	unsigned int least = UINT32_MAX;

	lock_acquire(&kvm->run_lock);
	for (unsigned int i = 0; i < kvm->run_count; i++) {
		const struct guest_run *run = &kvm->runs[i];

		if (i && run->opaque == kvm->runs[i - 1].opaque)
			continue;
		unsigned int slack = run->slack(run->opaque);
		least = MIN(least, slack);
	}
	lock_release(&kvm->run_lock);
	return least;
}
