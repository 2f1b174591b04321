/* SPDX-License-Identifier: MIT */
/*
 * KVM memory slots of ours: guest memory that the VMM asked us to install, and windows of a device
 * (its GGTT, its plain registers) that the guest then reads and writes without an exit.
 *
 * A slot's read-only flag cannot be changed in place, and its memory is gone between deleting and
 * making it again; a window may live with that (an access in the gap traps and is served the slow
 * way), memory that holds code may not.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>

#include "base/checked.h"
#include "base/trace.h"
#include "guest/kvm.h"

static int set_region(struct guest_kvm *kvm, uint32_t index, const struct kvm_slot *slot)
{
	struct kvm_userspace_memory_region region = {
		.slot = kvm->config.first_slot + index,
		.flags = slot->read_only ? KVM_MEM_READONLY : 0,
		.guest_phys_addr = slot->gpa,
		.memory_size = slot->bytes,
		.userspace_addr = (uintptr_t)slot->host,
	};

	TRACE(kvm_slot, region.slot, slot->gpa, slot->bytes, slot->read_only);
	return ioctl(kvm->config.vm_fd, KVM_SET_USER_MEMORY_REGION, &region) ? -errno : 0;
}

static int add(struct guest_kvm *kvm, struct kvm_slot slot)
{
	uint32_t index = 0;

	if (kvm->config.vm_fd < 0)
		return -ENOTSUP;
	while (index < kvm->config.slot_count && kvm->kvm_slots[index].bytes)
		index++;
	if (index == kvm->config.slot_count)
		return -ENOSPC;
	int err = set_region(kvm, index, &slot);
	if (!err)
		kvm->kvm_slots[index] = slot;
	return err;
}

int guest_kvm_slot_add(struct guest_kvm *kvm, uint64_t gpa, uint64_t bytes, void *host,
		       bool read_only)
{
	return add(kvm, (struct kvm_slot){ gpa, bytes, host, read_only, false, 0 });
}

int guest_kvm_slot_remove(struct guest_kvm *kvm, uint64_t gpa, uint64_t bytes)
{
	int err = -ENOENT;

	for (uint32_t i = 0; i < kvm->config.slot_count; i++) {
		struct kvm_slot *slot = &kvm->kvm_slots[i];

		if (!slot->bytes || slot->gpa < gpa || slot->gpa - gpa >= bytes)
			continue;
		slot->bytes = 0;
		err = set_region(kvm, i, slot);
	}
	return err;
}

void guest_kvm_aliases_remove(struct guest_kvm *kvm, uint64_t gpa, uint64_t bytes)
{
	for (uint32_t i = 0; i < kvm->config.slot_count; i++) {
		struct kvm_slot *slot = &kvm->kvm_slots[i];

		if (!slot->bytes || !slot->alias ||
		    !ranges_overlap(slot->of, slot->bytes, gpa, bytes))
			continue;
		slot->bytes = 0;
		set_region(kvm, i, slot);
	}
}

/*
 * In a reader section: what is found stays until the slot is made, and goes only with it.  Memory
 * that is not mapped here has no address that KVM could be told.
 */
static int add_alias(struct guest_kvm *kvm, const struct guest_window *window)
{
	size_t len;
	void *host = guest_slots_map(&kvm->slots, window->of.v, GUEST_READ, &len);

	if (!host || len < window->bytes || guest_kvm_any_tracked(kvm, window->of.v, window->bytes))
		return -EFAULT;
	bool writable = guest_slots_map(&kvm->slots, window->of.v, GUEST_WRITE, &len);
	if (PAGE_OFFSET((uintptr_t)host))
		return -EINVAL;
	return add(kvm, (struct kvm_slot){
				.gpa = window->gpa.v,
				.bytes = window->bytes,
				.host = host,
				.read_only = !window->writable || !writable,
				.alias = true,
				.of = window->of.v,
			});
}

static int alias(struct guest_kvm *kvm, const struct guest_window *window)
{
	guest_enter(&kvm->guest);
	lock_acquire(&kvm->lock);
	int err = add_alias(kvm, window);
	lock_release(&kvm->lock);
	guest_leave(&kvm->guest);
	return err;
}

int guest_kvm_window(struct guest *guest, const struct guest_window *window, bool on)
{
	struct guest_kvm *kvm = guest_kvm_of(guest);
	int err;

	if (PAGE_OFFSET(window->gpa.v | window->bytes | window->of.v | (uintptr_t)window->host))
		return -EINVAL;
	if (on && window->alias)
		return alias(kvm, window);
	lock_acquire(&kvm->lock);
	if (on)
		err = guest_kvm_slot_add(kvm, window->gpa.v, window->bytes, window->host,
					 !window->writable);
	else
		err = guest_kvm_slot_remove(kvm, window->gpa.v, window->bytes);
	lock_release(&kvm->lock);
	return err;
}
