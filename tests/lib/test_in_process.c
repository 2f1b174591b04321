/* SPDX-License-Identifier: MIT */
/*
 * The way of an access in a VMM's own process, by its trace: from the exit to the submission it is
 * one thread, the vCPU's; the GPU's lane comes after.
 */
#include "lib/lib.h"

#include <linux/pci_regs.h>
#include <pthread.h>
#include <string.h>

#include "base/trace.h"
#include "kvm/kvm.h"
#include "tests/support/leaks.h"

#define BAR0_AT	  0xc0000000u
#define RING_ELSP 0x2230u

struct machine {
	struct guest *guest;
	struct loop loop;
	struct vgpu_device *device;
	struct kvm_door *door;
};

static void machine_open(struct machine *m)
{
	struct guest_kvm_config guest = { .vm_fd = -1 };
	struct kvm_door_config door = { .vm_fd = -1 };
	struct vgpu_device_config config = {
		.loop = &m->loop,
		.name = "test",
		.type = vgpu_types(&(size_t){ 0 }),
		.gpu = VGPU_DEVICE_GPU_NULL,
		.render_only = true,
	};
	uint32_t bar0 = BAR0_AT;
	uint16_t command = PCI_COMMAND_MEMORY;

	assert_int_equal(guest_kvm_create(&guest, &m->guest), 0);
	door.guest = config.guest = m->guest;
	assert_int_equal(loop_init(&m->loop), 0);
	assert_int_equal(vgpu_device_create(&config, &m->device), 0);
	assert_int_equal(kvm_door_create(&door, &m->door), 0);
	struct vfio_device *vfio = vgpu_device_vfio(m->device);
	vfio_device_write(vfio, VFIO_PCI_CONFIG_REGION_INDEX, PCI_BASE_ADDRESS_0, &bar0, 4);
	vfio_device_write(vfio, VFIO_PCI_CONFIG_REGION_INDEX, PCI_COMMAND, &command, 2);
}

static void machine_close(struct machine *m)
{
	kvm_door_destroy(m->door);
	vgpu_device_destroy(m->device);
	loop_fini(&m->loop);
	guest_kvm_destroy(m->guest);
}

static void *vcpu_thread(void *opaque)
{
	struct machine *m = opaque;
	struct kvm_vcpu *vcpu;

	assert_int_equal(kvm_vcpu_create(m->door, NULL, &vcpu), 0);
	for (uint32_t i = 0; i < 4; i++) {
		uint32_t value = 0x1001 * (i == 3);

		assert_true(kvm_vcpu_access(vcpu, gpa(BAR0_AT + RING_ELSP), &value, 4, true));
	}
	kvm_vcpu_destroy(vcpu);
	return NULL;
}

/* Exit, device, register, submission: in this order, on one thread, for each of the four stores. */
static void no_thread_hands_an_access_to_another(void **state)
{
	static const enum trace_point way[] = { TRACE_kvm_exit_mmio, TRACE_vfio_region_write,
						TRACE_vgpu_mmio_write };
	struct trace_record records[64];
	struct machine m;
	pthread_t thread;
	unsigned int seen = 0;
	uint32_t vcpu = 0;
	bool submitted = false;

	machine_open(&m);
	trace_enable("kvm_exit_mmio,vfio_region_write,vgpu_mmio_write,vgpu_elsp");
	trace_clear();
	pthread_create(&thread, NULL, vcpu_thread, &m);
	pthread_join(thread, NULL);
	size_t count = trace_read(records, ARRAY_SIZE(records));
	for (size_t i = 0; i < count; i++) {
		vcpu = vcpu ? vcpu : records[i].thread;
		assert_int_equal(records[i].thread, vcpu);
		if (records[i].point == TRACE_vgpu_elsp)
			submitted = true;
		else
			assert_int_equal(records[i].point, way[seen++ % ARRAY_SIZE(way)]);
	}
	assert_int_equal(seen, 4 * ARRAY_SIZE(way));
	assert_true(submitted);
	machine_close(&m);
}

static void it_leaves_nothing_behind(void **state)
{
	struct leaks before = leaks_count();
	struct machine m;

	machine_open(&m);
	machine_close(&m);
	assert_int_equal(leaks_compare(&before), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_thread_hands_an_access_to_another),
		cmocka_unit_test(it_leaves_nothing_behind),
	};

	return cmocka_run_group_tests_name("lib in process", tests, NULL, NULL);
}
