/* SPDX-License-Identifier: MIT */
/*
 * guest_ops of a VMM in this very process: guest memory is the VMM's own, read and written in
 * place, or lies in yet another process (process_vm.c); traps are a table that vCPUs look up
 * (traps.c); the rest is asked of KVM, where the VMM has lent a VM (kvm_slots.c, kvm_irq.c).
 * Without one everything still works that needs no kernel: the VMM then brings accesses and takes
 * interrupts itself.
 *
 * Reads, writes and look-ups happen in reader sections, on any thread; the map is changed by one
 * thread at a time (the caller sees to that).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "guest/kvm.h"

/* ---- Reading and writing --------------------------------------------------------------------- */

static int kvm_read(struct guest *guest, gpa_t gpa, void *buf, size_t len)
{
	return guest_slots_copy(&guest_kvm_of(guest)->slots, gpa.v, buf, len, false);
}

static int kvm_write(struct guest *guest, gpa_t gpa, const void *buf, size_t len)
{
	struct guest_kvm *kvm = guest_kvm_of(guest);

	if (unlikely(kvm->tracker.count))
		guest_kvm_track_write(kvm, gpa, len);
	return guest_slots_copy(&kvm->slots, gpa.v, (void *)buf, len, true);
}

static void *kvm_map(struct guest *guest, gpa_t gpa, unsigned int access, size_t *len)
{
	struct guest_kvm *kvm = guest_kvm_of(guest);
	void *host = guest_slots_map(&kvm->slots, gpa.v, access, len);

	if (unlikely(kvm->tracker.count) && host && (access & GUEST_WRITE))
		guest_kvm_track_map(kvm, gpa, len);
	return host;
}

/* ---- Traps ----------------------------------------------------------------------------------- */

static int kvm_trap(struct guest *guest, const struct guest_trap *trap)
{
	return guest_traps_add(&guest_kvm_of(guest)->traps, trap);
}

static int kvm_untrap(struct guest *guest, gpa_t gpa, uint64_t bytes)
{
	return guest_traps_remove(&guest_kvm_of(guest)->traps, gpa, bytes);
}

void guest_kvm_vcpu_add(struct guest *guest, struct guest_vcpu *vcpu)
{
	guest_traps_vcpu_add(&guest_kvm_of(guest)->traps, vcpu);
}

void guest_kvm_vcpu_remove(struct guest *guest, struct guest_vcpu *vcpu)
{
	guest_traps_vcpu_remove(&guest_kvm_of(guest)->traps, vcpu);
}

bool guest_kvm_access(struct guest *guest, struct guest_vcpu *vcpu, gpa_t gpa, void *buf,
		      size_t len, bool write)
{
	struct guest_kvm *kvm = guest_kvm_of(guest);

	return guest_traps_access(&kvm->traps, vcpu, gpa, buf, len, write) ||
	       (write && unlikely(atomic_load(&kvm->was_split)) &&
		guest_kvm_track_store(kvm, gpa, buf, len));
}

/* ---- Changing the map ------------------------------------------------------------------------ */

static int check_range(gpa_t gpa, uint64_t bytes, unsigned int access)
{
	uint64_t end;

	if (!bytes || !(access & GUEST_READ) ||
	    (access & ~(unsigned int)(GUEST_READ | GUEST_WRITE)) ||
	    !add_fits(gpa.v, bytes - 1, &end))
		return -EINVAL;
	return 0;
}

/*
 * The guest chooses where a BAR lies, so memory comes first: what the BAR shows there traps from
 * now on, and the slot of ours or the VMM's finds the place free.
 */
static int install(struct guest_kvm *kvm, const struct guest_slot *slot)
{
	lock_acquire(&kvm->lock);
	int err = guest_kvm_make_way(kvm, slot->gpa, slot->bytes);
	if (!err && slot->installed)
		err = guest_kvm_slot_add(kvm, slot->gpa, slot->bytes, slot->host,
					 !(slot->access & GUEST_WRITE));
	lock_release(&kvm->lock);
	return err;
}

/* No vCPU reaches the memory through slots of ours any more; -errno of KVM: as before. */
static int uninstall(struct guest_kvm *kvm, const struct guest_slot *slot)
{
	lock_acquire(&kvm->lock);
	int err = guest_kvm_aliases_remove(kvm, slot->gpa, slot->bytes);
	if (!err && slot->installed)
		err = guest_kvm_slot_remove(kvm, slot->gpa, slot->bytes);
	lock_release(&kvm->lock);
	return err;
}

static int add_slot_alone(struct guest_kvm *kvm, const struct guest_slot *slot)
{
	int err = guest_slots_reserve(&kvm->slots);

	if (!err)
		err = install(kvm, slot);
	if (!err)
		guest_slots_insert(&kvm->slots, slot);
	return err;
}

/* @slot has been made and is given back when it cannot go in. */
static int add_slot(struct guest_kvm *kvm, struct guest_slot *slot)
{
	int err = guest_slots_overlap(&kvm->slots, slot->gpa, slot->bytes) ? -EEXIST : 0;

	if (!err) {
		guest_quiesce(&kvm->guest);
		err = add_slot_alone(kvm, slot);
		guest_resume(&kvm->guest);
	}
	if (err)
		guest_slot_close(slot);
	return err;
}

int guest_kvm_memory_add(struct guest *guest, const struct guest_kvm_memory *memory)
{
	struct guest_slot slot = {
		.gpa = memory->gpa.v,
		.bytes = memory->bytes,
		.access = memory->access,
		.backing = GUEST_BACKING_MMAP,
		.host = memory->host,
		.fd = -1,
		.installed = memory->install,
	};
	int err = check_range(memory->gpa, memory->bytes, memory->access);

	if (err || !memory->host)
		return -EINVAL;
	if (memory->install && PAGE_OFFSET(memory->gpa.v | memory->bytes | (uintptr_t)memory->host))
		return -EINVAL;
	return add_slot(guest_kvm_of(guest), &slot);
}

int guest_kvm_process_add(struct guest *guest, const struct guest_kvm_process *process)
{
	struct guest_slot slot = {
		.gpa = process->gpa.v,
		.bytes = process->bytes,
		.access = process->access,
	};
	int err = check_range(process->gpa, process->bytes, process->access);

	if (!err)
		err = guest_process_open(&slot, process->pidfd, process->address);
	return err ? err : add_slot(guest_kvm_of(guest), &slot);
}

int guest_kvm_memory_remove(struct guest *guest, gpa_t gpa, uint64_t bytes)
{
	struct guest_kvm *kvm = guest_kvm_of(guest);
	struct guest_slot *slot = guest_slots_exact(&kvm->slots, gpa.v, bytes);

	if (!slot)
		return -ENOENT;
	struct guest_slot gone = *slot;
	guest_quiesce(guest);
	int err = uninstall(kvm, &gone);
	if (!err) {
		guest_slots_remove(&kvm->slots, slot);
		guest_kvm_track_forget(kvm, gpa.v, bytes);
	}
	guest_resume(guest);
	if (!err)
		guest_slot_close(&gone);
	return err;
}

int guest_kvm_memory_move(struct guest *guest, gpa_t from, uint64_t bytes, gpa_t to)
{
	struct guest_kvm *kvm = guest_kvm_of(guest);
	struct guest_slot *slot = guest_slots_exact(&kvm->slots, from.v, bytes);
	uint64_t end;

	if (!slot)
		return -ENOENT;
	if (!add_fits(to.v, bytes - 1, &end) || (slot->installed && PAGE_OFFSET(to.v)))
		return -EINVAL;
	struct guest_slot old = *slot, moved = *slot;
	moved.gpa = to.v;
	guest_quiesce(guest);
	guest_slots_remove(&kvm->slots, slot);
	int err = guest_slots_overlap(&kvm->slots, to.v, bytes) ? -EEXIST : uninstall(kvm, &old);
	if (!err) {
		guest_kvm_track_forget(kvm, from.v, bytes);
		err = install(kvm, &moved);
		if (err && install(kvm, &old))
			old.installed = false;
	}
	/* The place of the one just taken out is there to be filled. */
	guest_slots_insert(&kvm->slots, err ? &old : &moved);
	guest_resume(guest);
	return err;
}

size_t guest_kvm_memory_count(struct guest *guest)
{
	return guest_kvm_of(guest)->slots.count;
}

uint64_t guest_kvm_memory_bytes(struct guest *guest)
{
	return guest_kvm_of(guest)->slots.bytes;
}

/* ---- Life ------------------------------------------------------------------------------------ */

/* What can be had of KVM ... */
static const struct guest_ops kvm_ops = {
	.read = kvm_read,
	.write = kvm_write,
	.map = kvm_map,
	.trap = kvm_trap,
	.untrap = kvm_untrap,
	.doorbell = guest_kvm_doorbell,
	.run = guest_kvm_run,
	.window = guest_kvm_window,
	.irq_route = guest_kvm_irq_route,
	.irq_signal = guest_kvm_irq_signal,
	.track = guest_kvm_track,
};

/* ... and what without it. */
static const struct guest_ops bare_ops = {
	.read = kvm_read,
	.write = kvm_write,
	.map = kvm_map,
	.trap = kvm_trap,
	.untrap = kvm_untrap,
};

int guest_kvm_create(const struct guest_kvm_config *config, struct guest **guest)
{
	struct guest_kvm *kvm;

	if (config->slot_count > KVM_GUEST_MAX_SLOTS || config->gsi_count > KVM_GUEST_MAX_GSIS)
		return -EINVAL;
	kvm = calloc(1, sizeof(*kvm));
	if (!kvm)
		return -ENOMEM;
	kvm->config = *config;
	kvm->set_region = guest_kvm_set_region;
	guest_init(&kvm->guest, config->vm_fd >= 0 ? &kvm_ops : &bare_ops);
	guest_traps_init(&kvm->traps);
	lock_init(&kvm->lock, LOCK_LEAF);
	lock_init(&kvm->run_lock, LOCK_RUNS);
	guest_kvm_irq_init(kvm);
	*guest = &kvm->guest;
	return 0;
}

void guest_kvm_destroy(struct guest *guest)
{
	if (!guest)
		return;
	struct guest_kvm *kvm = guest_kvm_of(guest);
	guest_kvm_irq_fini(kvm);
	guest_kvm_slots_fini(kvm);
	guest_slots_fini(&kvm->slots);
	free(kvm->tracker.pages);
	guest_traps_fini(&kvm->traps);
	lock_fini(&kvm->lock);
	lock_fini(&kvm->run_lock);
	guest_fini(guest);
	free(kvm);
}
