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
#include <string.h>
#include <sys/ioctl.h>

#include "base/checked.h"
#include "base/log.h"
#include "base/trace.h"
#include "guest/kvm.h"

/* @bytes: 0 takes it away. */
static int tell(struct guest_kvm *kvm, const struct kvm_slot *slot, uint64_t bytes)
{
	struct kvm_userspace_memory_region region = {
		.slot = kvm->config.first_slot + (uint32_t)(slot - kvm->kvm_slots),
		.flags = slot->read_only ? KVM_MEM_READONLY : 0,
		.guest_phys_addr = slot->gpa,
		.memory_size = bytes,
		.userspace_addr = (uintptr_t)slot->host,
	};

	TRACE(kvm_slot, region.slot, slot->gpa, bytes, slot->read_only);
	return kvm->set_region(kvm, &region);
}

int guest_kvm_set_region(struct guest_kvm *kvm, const struct kvm_userspace_memory_region *region)
{
	return ioctl(kvm->config.vm_fd, KVM_SET_USER_MEMORY_REGION, region) ? -errno : 0;
}

/* ---- Adding ---------------------------------------------------------------------------------- */

/* Those that nobody wants and KVM did not give up. */
static void remove_unwanted(struct guest_kvm *kvm)
{
	for (uint32_t i = 0; i < kvm->config.slot_count; i++) {
		struct kvm_slot *slot = &kvm->kvm_slots[i];

		if (slot->bytes && slot->unwanted && !tell(kvm, slot, 0))
			slot->bytes = 0;
	}
}

static int add(struct guest_kvm *kvm, struct kvm_slot slot)
{
	uint32_t index = 0;

	if (kvm->config.vm_fd < 0)
		return -ENOTSUP;
	remove_unwanted(kvm);
	while (index < kvm->config.slot_count && kvm->kvm_slots[index].bytes)
		index++;
	if (index == kvm->config.slot_count)
		return -ENOSPC;
	kvm->kvm_slots[index] = slot;
	int err = tell(kvm, &kvm->kvm_slots[index], slot.bytes);
	if (err)
		kvm->kvm_slots[index].bytes = 0;
	return err;
}

int guest_kvm_slot_add(struct guest_kvm *kvm, uint64_t gpa, uint64_t bytes, void *host,
		       bool read_only)
{
	return add(kvm, (struct kvm_slot){ .kind = KVM_SLOT_MEMORY,
					   .gpa = gpa,
					   .bytes = bytes,
					   .host = host,
					   .read_only = read_only });
}

/* ---- Removing -------------------------------------------------------------------------------- */

bool guest_kvm_slot_is_memory(const struct kvm_slot *slot, uint64_t gpa, uint64_t bytes)
{
	return slot->bytes && slot->kind == KVM_SLOT_MEMORY && slot->gpa >= gpa &&
	       slot->gpa - gpa < bytes;
}

static bool is_window(const struct kvm_slot *slot, uint64_t gpa, uint64_t bytes)
{
	return slot->kind != KVM_SLOT_MEMORY && slot->gpa == gpa && slot->bytes == bytes;
}

static bool shows(const struct kvm_slot *slot, uint64_t gpa, uint64_t bytes)
{
	return slot->kind == KVM_SLOT_ALIAS && ranges_overlap(slot->of, slot->bytes, gpa, bytes);
}

static void put_back(struct guest_kvm *kvm, struct kvm_slot *slot)
{
	int err = tell(kvm, slot, slot->bytes);

	if (!err)
		return;
	log_error("KVM does not take the memory at 0x%llx back: %s", (unsigned long long)slot->gpa,
		  strerror(-err));
	slot->bytes = 0;
}

/* All that @match, or none: KVM may refuse (it allocates), and half of a memory is of no use. */
static int remove_all(struct guest_kvm *kvm,
		      bool (*match)(const struct kvm_slot *slot, uint64_t gpa, uint64_t bytes),
		      uint64_t gpa, uint64_t bytes)
{
	int err = 0;
	bool any = false;

	for (uint32_t i = 0; !err && i < kvm->config.slot_count; i++) {
		struct kvm_slot *slot = &kvm->kvm_slots[i];

		if (!slot->bytes || !match(slot, gpa, bytes))
			continue;
		err = tell(kvm, slot, 0);
		slot->gone = !err;
		any = true;
	}
	for (uint32_t i = 0; any && i < kvm->config.slot_count; i++) {
		struct kvm_slot *slot = &kvm->kvm_slots[i];

		if (!slot->gone)
			continue;
		slot->gone = false;
		if (err)
			put_back(kvm, slot);
		else
			slot->bytes = 0;
	}
	return err || any ? err : -ENOENT;
}

int guest_kvm_slot_remove(struct guest_kvm *kvm, uint64_t gpa, uint64_t bytes)
{
	return remove_all(kvm, guest_kvm_slot_is_memory, gpa, bytes);
}

int guest_kvm_aliases_remove(struct guest_kvm *kvm, uint64_t gpa, uint64_t bytes)
{
	int err = remove_all(kvm, shows, gpa, bytes);

	return err == -ENOENT ? 0 : err;
}

static bool is_in_the_way(const struct kvm_slot *slot, uint64_t gpa, uint64_t bytes)
{
	return slot->kind != KVM_SLOT_MEMORY && ranges_overlap(slot->gpa, slot->bytes, gpa, bytes);
}

int guest_kvm_make_way(struct guest_kvm *kvm, uint64_t gpa, uint64_t bytes)
{
	int err = remove_all(kvm, is_in_the_way, gpa, bytes);

	return err == -ENOENT ? 0 : err;
}

/* ---- Windows --------------------------------------------------------------------------------- */

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
				.kind = KVM_SLOT_ALIAS,
				.gpa = window->gpa.v,
				.bytes = window->bytes,
				.host = host,
				.read_only = !window->writable || !writable,
				.of = window->of.v,
			});
}

static int add_window(struct guest_kvm *kvm, const struct guest_window *window)
{
	return add(kvm, (struct kvm_slot){ .kind = KVM_SLOT_WINDOW,
					   .gpa = window->gpa.v,
					   .bytes = window->bytes,
					   .host = window->host,
					   .read_only = !window->writable });
}

/*
 * Not where memory was lent, though KVM may have no slot there yet: the VMM's would find the place
 * taken.  In a reader section that stays so until memory that comes sees the window.
 */
static int open_window(struct guest_kvm *kvm, const struct guest_window *window)
{
	int err = -EEXIST;

	guest_enter(&kvm->guest);
	lock_acquire(&kvm->lock);
	if (!guest_slots_overlap(&kvm->slots, window->gpa.v, window->bytes))
		err = window->alias ? add_alias(kvm, window) : add_window(kvm, window);
	lock_release(&kvm->lock);
	guest_leave(&kvm->guest);
	return err;
}

/* With the lock held.  What KVM keeps is asked for again before the next slot is made. */
static int close_window(struct guest_kvm *kvm, const struct guest_window *window)
{
	int err = remove_all(kvm, is_window, window->gpa.v, window->bytes);

	if (!err || err == -ENOENT)
		return err;
	for (uint32_t i = 0; i < kvm->config.slot_count; i++)
		if (is_window(&kvm->kvm_slots[i], window->gpa.v, window->bytes))
			kvm->kvm_slots[i].unwanted = true;
	return err;
}

int guest_kvm_window(struct guest *guest, const struct guest_window *window, bool on)
{
	struct guest_kvm *kvm = guest_kvm_of(guest);
	int err;

	if (PAGE_OFFSET(window->gpa.v | window->bytes | window->of.v | (uintptr_t)window->host))
		return -EINVAL;
	if (on)
		return open_window(kvm, window);
	lock_acquire(&kvm->lock);
	err = close_window(kvm, window);
	lock_release(&kvm->lock);
	return err;
}

void guest_kvm_slots_fini(struct guest_kvm *kvm)
{
	for (uint32_t i = 0; i < kvm->config.slot_count; i++) {
		struct kvm_slot *slot = &kvm->kvm_slots[i];
		int err = slot->bytes ? tell(kvm, slot, 0) : 0;

		if (err)
			log_error("KVM keeps memory slot %u at 0x%llx: %s",
				  kvm->config.first_slot + i, (unsigned long long)slot->gpa,
				  strerror(-err));
	}
}
