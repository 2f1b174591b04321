/* SPDX-License-Identifier: MIT */
/*
 * vCPUs and their exits.  An access is served where it arrives, on the vCPU's thread, with no
 * hand-off and no allocation; while nothing waits in the ring neither a load nor a store takes a
 * lock that vCPUs share, but for the registers that take stores in runs.  Stores that wait come
 * first, whatever the exit was: the VMM may be about to look at what they did.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/trace.h"
#include "kvm/door.h"

/* ---- Exits ----------------------------------------------------------------------------------- */

bool kvm_vcpu_access(struct kvm_vcpu *vcpu, gpa_t gpa, void *buf, size_t len, bool write)
{
	struct kvm_door *door = vcpu->door;
	bool served;

	TRACE(kvm_exit_mmio, vcpu->number, gpa.v, len, write);
	if (write && kvm_ring_concerns(vcpu, gpa, len)) {
		served = kvm_ring_store(door, vcpu, gpa, buf, len);
	} else {
		if (kvm_ring_waiting(vcpu))
			kvm_ring_drain(door);
		served = guest_kvm_access(door->config.guest, &vcpu->mark, gpa, buf, len, write);
	}
	if (served)
		atomic_store_explicit(&vcpu->exits,
				      atomic_load_explicit(&vcpu->exits, memory_order_relaxed) + 1,
				      memory_order_relaxed);
	return served;
}

bool kvm_vcpu_has_run(const struct kvm_vcpu *vcpu)
{
	return vcpu->run;
}

bool kvm_vcpu_exit(struct kvm_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	if (run->exit_reason == KVM_EXIT_MMIO) {
		bool served = kvm_vcpu_access(vcpu, gpa(run->mmio.phys_addr), run->mmio.data,
					      run->mmio.len, run->mmio.is_write);

		/* A KVM_RUN that fails leaves it for the next one to find. */
		if (served)
			run->exit_reason = KVM_EXIT_UNKNOWN;
		return served;
	}
	if (kvm_ring_waiting(vcpu))
		kvm_ring_drain(vcpu->door);
	return false;
}

/* ---- Life ------------------------------------------------------------------------------------ */

int kvm_vcpu_create(struct kvm_door *door, struct kvm_run *run, struct kvm_vcpu **out)
{
	struct kvm_vcpu *vcpu = aligned_alloc(_Alignof(struct kvm_vcpu), sizeof(*vcpu));

	if (!vcpu)
		return -ENOMEM;
	*vcpu = (struct kvm_vcpu){ .door = door, .run = run, .ring = kvm_ring_of(door, run) };
	guest_kvm_vcpu_add(door->config.guest, &vcpu->mark);
	lock_acquire(&door->ring_lock);
	lock_acquire(&door->lock);
	vcpu->number = door->vcpu_count++;
	vcpu->next = door->vcpus;
	door->vcpus = vcpu;
	lock_release(&door->lock);
	if (vcpu->ring)
		kvm_ring_attach(door, vcpu->ring);
	lock_release(&door->ring_lock);
	*out = vcpu;
	return 0;
}

/* With both locks held. */
static void unlink_vcpu(struct kvm_door *door, struct kvm_vcpu *vcpu)
{
	struct kvm_vcpu **link = &door->vcpus;

	while (*link != vcpu)
		link = &(*link)->next;
	*link = vcpu->next;
	door->gone_exits += vcpu->exits;
}

/*
 * The ring is in each vCPU's mapping: whoever goes may have lent it, so it moves to another's.  In
 * one step: the one that is chosen must not go before the ring has come to it.
 */
void kvm_vcpu_destroy(struct kvm_vcpu *vcpu)
{
	struct kvm_coalesced_mmio_ring *other = NULL;
	struct kvm_door *door;

	if (!vcpu)
		return;
	door = vcpu->door;
	lock_acquire(&door->ring_lock);
	lock_acquire(&door->lock);
	unlink_vcpu(door, vcpu);
	for (struct kvm_vcpu *v = door->vcpus; v && !other; v = v->next)
		other = v->ring;
	lock_release(&door->lock);
	if (vcpu->ring)
		kvm_ring_move(door, vcpu->ring, other);
	lock_release(&door->ring_lock);
	guest_kvm_vcpu_remove(door->config.guest, &vcpu->mark);
	free(vcpu);
}

int kvm_door_create(const struct kvm_door_config *config, struct kvm_door **out)
{
	struct kvm_door *door = aligned_alloc(_Alignof(struct kvm_door), sizeof(*door));
	int err;

	if (!door)
		return -ENOMEM;
	*door = (struct kvm_door){ .config = *config };
	err = kvm_ring_init(door);
	if (err) {
		lock_fini(&door->ring_lock);
		free(door);
		return err;
	}
	lock_init(&door->lock, LOCK_LEAF);
	guest_kvm_vcpu_add(config->guest, &door->mark);
	*out = door;
	return 0;
}

void kvm_door_destroy(struct kvm_door *door)
{
	if (!door)
		return;
	guest_kvm_vcpu_remove(door->config.guest, &door->mark);
	lock_fini(&door->ring_lock);
	lock_fini(&door->lock);
	free(door);
}

void kvm_door_drain(struct kvm_door *door)
{
	kvm_ring_drain(door);
}

void kvm_door_stats(struct kvm_door *door, struct kvm_door_stats *stats)
{
	lock_acquire(&door->lock);
	stats->exits = door->gone_exits;
	for (struct kvm_vcpu *vcpu = door->vcpus; vcpu; vcpu = vcpu->next)
		stats->exits += atomic_load_explicit(&vcpu->exits, memory_order_relaxed);
	lock_release(&door->lock);
	stats->coalesced = atomic_load_explicit(&door->coalesced, memory_order_relaxed);
}
