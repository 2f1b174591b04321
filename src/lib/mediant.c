/* SPDX-License-Identifier: MIT */
/*
 * The public API, include/mediant/mediant.h: VMs, their memory and vCPUs.  Thin: each function
 * checks what a caller can get wrong, takes the lock that makes "any thread" true, and calls the
 * layer that does the work.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/mediant_inside.h"

const char *mediant_version(void)
{
	return MEDIANT_VERSION;
}

/* ---- VMs ------------------------------------------------------------------------------------- */

static int route(void *opaque, uint32_t gsi, const struct guest_msi *msi)
{
	struct mediant_vm *vm = opaque;

	return vm->config.route(vm->config.opaque, gsi, msi ? msi->address : 0, msi ? msi->data : 0,
				msi != NULL);
}

static void store(void *opaque, gpa_t gpa, const void *buf, size_t len)
{
	struct mediant_vm *vm = opaque;

	if (vm->config.store)
		vm->config.store(vm->config.opaque, gpa.v, buf, len);
}

static void pause_vcpus(void *opaque)
{
	struct mediant_vm *vm = opaque;

	vm->config.pause(vm->config.opaque);
}

static void resume_vcpus(void *opaque)
{
	struct mediant_vm *vm = opaque;

	vm->config.resume(vm->config.opaque);
}

int mediant_take_config(void *ours, size_t our_bytes, const void *theirs)
{
	size_t their_bytes;

	if (!theirs)
		return -EINVAL;
	memcpy(&their_bytes, theirs, sizeof(their_bytes));
	if (their_bytes < sizeof(their_bytes) || their_bytes > 4096)
		return -EINVAL;
	/* Members we do not know must be zero: the caller would rely on them. */
	for (size_t i = our_bytes; i < their_bytes; i++)
		if (((const uint8_t *)theirs)[i])
			return -EINVAL;
	memset(ours, 0, our_bytes);
	memcpy(ours, theirs, MIN(our_bytes, their_bytes));
	return 0;
}

static int create_guest(struct mediant_vm *vm)
{
	struct guest_kvm_config config = {
		.vm_fd = vm->config.vm_fd,
		.first_slot = vm->config.first_slot,
		.slot_count = vm->config.slot_count,
		.route = vm->config.route ? route : NULL,
		.first_gsi = vm->config.first_gsi,
		.gsi_count = vm->config.gsi_count,
		.coalesce = vm->config.coalesce,
		.pause = vm->config.pause ? pause_vcpus : NULL,
		.resume = vm->config.resume ? resume_vcpus : NULL,
		.opaque = vm,
	};
	struct kvm_door_config door = {
		.vm_fd = vm->config.vm_fd,
		.coalesce = vm->config.coalesce,
		.store = store,
		.opaque = vm,
	};
	int err;

	if (!vm->config.pause != !vm->config.resume)
		return -EINVAL;
	err = guest_kvm_create(&config, &vm->guest);
	if (err)
		return err;
	door.guest = vm->guest;
	err = kvm_door_create(&door, &vm->door);
	return err ? err : mediant_track_start(vm);
}

int mediant_vm_create(const struct mediant_vm_config *config, struct mediant_vm **out)
{
	struct mediant_vm *vm = calloc(1, sizeof(*vm));
	int err;

	if (!vm)
		return -ENOMEM;
	lock_init(&vm->lock, LOCK_DEVICE);
	vm->track_fd = -1;
	err = mediant_take_config(&vm->config, sizeof(vm->config), config);
	if (!err)
		err = create_guest(vm);
	if (err) {
		mediant_vm_destroy(vm);
		return err;
	}
	*out = vm;
	return 0;
}

void mediant_vm_destroy(struct mediant_vm *vm)
{
	if (!vm)
		return;
	mediant_track_stop(vm);
	kvm_door_destroy(vm->door);
	guest_kvm_destroy(vm->guest);
	lock_fini(&vm->lock);
	free(vm);
}

/* ---- Memory ---------------------------------------------------------------------------------- */

static unsigned int access_of(unsigned int flags)
{
	return flags & MEDIANT_MEMORY_WRITE ? GUEST_READ | GUEST_WRITE : GUEST_READ;
}

int mediant_memory_add(struct mediant_vm *vm, uint64_t at, uint64_t bytes, void *host,
		       unsigned int flags)
{
	struct guest_kvm_memory memory = {
		.gpa = gpa(at),
		.bytes = bytes,
		.host = host,
		.access = access_of(flags),
		.install = flags & MEDIANT_MEMORY_INSTALL,
	};

	if (flags & ~(unsigned int)(MEDIANT_MEMORY_WRITE | MEDIANT_MEMORY_INSTALL))
		return -EINVAL;
	lock_acquire(&vm->lock);
	int err = guest_kvm_memory_add(vm->guest, &memory);
	lock_release(&vm->lock);
	return err;
}

int mediant_memory_add_process(struct mediant_vm *vm, uint64_t at, uint64_t bytes, int pidfd,
			       uint64_t address, unsigned int flags)
{
	struct guest_kvm_process process = {
		.gpa = gpa(at),
		.bytes = bytes,
		.pidfd = pidfd,
		.address = address,
		.access = access_of(flags),
	};

	if (flags & ~(unsigned int)MEDIANT_MEMORY_WRITE)
		return -EINVAL;
	lock_acquire(&vm->lock);
	int err = guest_kvm_process_add(vm->guest, &process);
	lock_release(&vm->lock);
	return err;
}

int mediant_memory_move(struct mediant_vm *vm, uint64_t at, uint64_t bytes, uint64_t to)
{
	lock_acquire(&vm->lock);
	int err = guest_kvm_memory_move(vm->guest, gpa(at), bytes, gpa(to));
	lock_release(&vm->lock);
	return err;
}

int mediant_memory_remove(struct mediant_vm *vm, uint64_t at, uint64_t bytes)
{
	lock_acquire(&vm->lock);
	int err = guest_kvm_memory_remove(vm->guest, gpa(at), bytes);
	lock_release(&vm->lock);
	return err;
}

/* ---- vCPUs ----------------------------------------------------------------------------------- */

static struct kvm_vcpu *vcpu_of(struct mediant_vcpu *vcpu)
{
	return (struct kvm_vcpu *)vcpu;
}

int mediant_vcpu_create(struct mediant_vm *vm, void *kvm_run, struct mediant_vcpu **out)
{
	struct kvm_vcpu *vcpu;
	int err = kvm_vcpu_create(vm->door, kvm_run, &vcpu);

	if (!err)
		*out = (struct mediant_vcpu *)vcpu;
	return err;
}

void mediant_vcpu_destroy(struct mediant_vcpu *vcpu)
{
	kvm_vcpu_destroy(vcpu_of(vcpu));
}

int mediant_vcpu_exit(struct mediant_vcpu *vcpu)
{
	return kvm_vcpu_has_run(vcpu_of(vcpu)) ? kvm_vcpu_exit(vcpu_of(vcpu)) : -EINVAL;
}

int mediant_vcpu_access(struct mediant_vcpu *vcpu, uint64_t at, void *buf, size_t len, bool write)
{
	return kvm_vcpu_access(vcpu_of(vcpu), gpa(at), buf, len, write);
}
