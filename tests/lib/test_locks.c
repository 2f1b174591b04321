/* SPDX-License-Identifier: MIT */
/*
 * What a vCPU looks at it looks at without a lock: every load is made as exits make them, by the
 * door, the table of traps and the device, and the locks that its thread takes are counted.  The
 * linker hands us the calls of all layers (see meson.build).
 */
#include "lib/lib.h"

#include <linux/pci_regs.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "kvm/kvm.h"
#include "tests/support/leaks.h"
#include "vgpu/mmio.h"

#define BAR0_AT	  0xc0000000u
#define BAR2_AT	  0xd0000000u
#define RAM_BYTES (16 * PAGE_BYTES)

static _Thread_local unsigned int locks;

int __real_pthread_mutex_lock(pthread_mutex_t *mutex);
int __real_pthread_rwlock_rdlock(pthread_rwlock_t *lock);
int __real_pthread_rwlock_wrlock(pthread_rwlock_t *lock);
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);
int __wrap_pthread_rwlock_rdlock(pthread_rwlock_t *lock);
int __wrap_pthread_rwlock_wrlock(pthread_rwlock_t *lock);

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
	locks++;
	return __real_pthread_mutex_lock(mutex);
}

int __wrap_pthread_rwlock_rdlock(pthread_rwlock_t *lock)
{
	locks++;
	return __real_pthread_rwlock_rdlock(lock);
}

int __wrap_pthread_rwlock_wrlock(pthread_rwlock_t *lock)
{
	locks++;
	return __real_pthread_rwlock_wrlock(lock);
}

struct machine {
	struct guest *guest;
	struct loop loop;
	struct vgpu_device *device;
	struct kvm_door *door;
	struct kvm_vcpu *vcpu;
	uint8_t *ram;
};

static void config_set(struct machine *m, uint16_t offset, uint32_t value, size_t len)
{
	assert_int_equal(vfio_device_write(vgpu_device_vfio(m->device),
					   VFIO_PCI_CONFIG_REGION_INDEX, offset, &value, len),
			 0);
}

static void machine_open(struct machine *m)
{
	struct guest_kvm_config guest = { .vm_fd = -1 };
	struct kvm_door_config door = { .vm_fd = -1 };
	struct vgpu_device_config config = {
		.loop = &m->loop,
		.name = "test",
		.type = vgpu_types(&(size_t){ 0 }),
		.gpu = VGPU_DEVICE_GPU_SOFT,
		.ports = { { VGPU_PORT_HDMI, true, 1024, 768, 60 },
			   { VGPU_PORT_DP, true, 1024, 768, 60 } },
	};
	struct guest_kvm_memory memory = {
		.bytes = RAM_BYTES,
		.host = m->ram = aligned_alloc(PAGE_BYTES, RAM_BYTES),
		.access = GUEST_READ | GUEST_WRITE,
	};

	memset(m->ram, 0, RAM_BYTES);
	assert_int_equal(guest_kvm_create(&guest, &m->guest), 0);
	assert_int_equal(guest_kvm_memory_add(m->guest, &memory), 0);
	door.guest = config.guest = m->guest;
	assert_int_equal(loop_init(&m->loop), 0);
	assert_int_equal(vgpu_device_create(&config, &m->device), 0);
	assert_int_equal(kvm_door_create(&door, &m->door), 0);
	assert_int_equal(kvm_vcpu_create(m->door, NULL, &m->vcpu), 0);
	config_set(m, PCI_BASE_ADDRESS_0, BAR0_AT, 4);
	config_set(m, PCI_BASE_ADDRESS_2, BAR2_AT, 4);
	config_set(m, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
}

static void machine_close(struct machine *m)
{
	kvm_vcpu_destroy(m->vcpu);
	kvm_door_destroy(m->door);
	vgpu_device_destroy(m->device);
	loop_fini(&m->loop);
	guest_kvm_destroy(m->guest);
	free(m->ram);
}

/* How many locks an access takes on its way. */
static unsigned int access_locks(struct machine *m, uint64_t at, void *buf, size_t len, bool write)
{
	locks = 0;
	assert_true(kvm_vcpu_access(m->vcpu, gpa(at), buf, len, write));
	return locks;
}

static void store(struct machine *m, uint64_t at, uint64_t value, size_t len)
{
	assert_true(kvm_vcpu_access(m->vcpu, gpa(at), &value, len, true));
}

/* Every dword that a row names; one of them is a machine that a load moves on. */
static void loads_of_registers(struct machine *m)
{
	uint32_t value;

	for (unsigned int n = 0; n < VGPU_REG_ROWS; n++) {
		const struct vgpu_reg_row *row = &vgpu_reg_rows[n];

		for (uint32_t at = row->offset; at < row->end; at += 4) {
			unsigned int taken = access_locks(m, BAR0_AT + at, &value, 4, false);

			if (taken && at != REG_GMBUS3)
				fail_msg("a load of %s (0x%x) takes %u locks", row->name, at,
					 taken);
		}
	}
	/* Or the count counts nothing. */
	assert_int_not_equal(access_locks(m, BAR0_AT + REG_GMBUS3, &value, 4, false), 0);
	assert_null(vgpu_register_name(VGPU_MMIO_BYTES - 4));
	assert_int_equal(access_locks(m, BAR0_AT + VGPU_MMIO_BYTES - 4, &value, 4, false), 0);
	assert_int_equal(access_locks(m, BAR0_AT + VGPU_OPREGION_OFFSET, &value, 4, false), 0);
}

/* Entry @index and what it shows, untiled or, under a fence, tiled. */
static void loads_of_memory(struct machine *m, uint32_t index)
{
	uint64_t value = 0;

	assert_int_equal(access_locks(m, BAR0_AT + VGPU_GTT_OFFSET + 8 * index, &value, 8, false),
			 0);
	assert_int_equal(value, (uint64_t)index << PAGE_SHIFT | 1);
	assert_int_equal(access_locks(m, BAR2_AT + index * PAGE_BYTES, &value, 8, false), 0);
	assert_int_equal(value, index);
}

static void looking_takes_no_lock(void **state)
{
	struct machine m;
	uint64_t value;

	machine_open(&m);
	loads_of_registers(&m);
	for (uint32_t i = 0; i < RAM_BYTES / PAGE_BYTES; i++) {
		memcpy(m.ram + i * PAGE_BYTES, &(uint64_t){ i }, 8);
		store(&m, BAR0_AT + VGPU_GTT_OFFSET + 8 * i, i << PAGE_SHIFT | 1, 8);
		loads_of_memory(&m, i);
	}
	/* Where nothing is, too. */
	assert_int_equal(access_locks(&m, BAR2_AT + RAM_BYTES, &value, 8, false), 0);
	store(&m, BAR0_AT + REG_FENCE_REG + 4, 2 * PAGE_BYTES | 3, 4);
	store(&m, BAR0_AT + REG_FENCE_REG, 1 * PAGE_BYTES | 1, 4);
	loads_of_memory(&m, 1);
	/* A store to the aperture is a load that goes the other way. */
	assert_int_equal(access_locks(&m, BAR2_AT + PAGE_BYTES, &value, 8, true), 0);
	machine_close(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_checked(looking_takes_no_lock),
	};

	return cmocka_run_group_tests_name("locks", tests, NULL, NULL);
}
