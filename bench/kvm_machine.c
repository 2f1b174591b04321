/* SPDX-License-Identifier: MIT */
/* A VM with a vGPU; see kvm_machine.h. */
#include "bench/kvm_machine.h"

#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"

void machine_must(int result, const char *what)
{
	if (result < 0)
		bench_die("%s: %s", what, strerror(-result));
}

void machine_config_write(struct machine *m, uint16_t offset, uint32_t value, size_t len)
{
	machine_must(mediant_device_config_write(m->device, offset, &value, len), "config space");
}

void machine_open(struct machine *m, bool trap_all)
{
	struct mediant_vm_config vm;
	struct mediant_device_config device;
	const char *missing = rig_open(&m->rig, false, NULL);

	if (missing)
		bench_die("%s", missing);
	machine_must(rig_install_memory(&m->rig), "memory");
	MEDIANT_INIT(&vm);
	vm.vm_fd = m->rig.vm_fd;
	vm.first_slot = 1;
	vm.slot_count = 100;
	vm.coalesce = !trap_all;
	machine_must(mediant_vm_create(&vm, &m->vm), "VM");
	machine_must(mediant_memory_add(m->vm, 0, RIG_RAM_BYTES, m->rig.ram, MEDIANT_MEMORY_WRITE),
		     "memory");
	MEDIANT_INIT(&device);
	device.gpu = MEDIANT_GPU_NULL;
	device.render_only = true;
	device.trap_all = trap_all;
	machine_must(mediant_device_create(m->vm, &device, &m->device), "vGPU");
	m->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	machine_must(mediant_device_irq_eventfd(m->device, MEDIANT_IRQ_MSI, 0, m->event_fd), "MSI");
	machine_must(mediant_vcpu_create(m->vm, m->rig.cpu.run, &m->vcpu), "vCPU");
	machine_config_write(m, 0x10, (uint32_t)BAR0_AT, 4);
	machine_config_write(m, 0x18, (uint32_t)BAR2_AT, 4);
	machine_config_write(m, 0x04, 6, 2);
}

void machine_close(struct machine *m)
{
	mediant_vcpu_destroy(m->vcpu);
	mediant_device_destroy(m->device);
	mediant_vm_destroy(m->vm);
	rig_close(&m->rig);
	close(m->event_fd);
}

bool machine_serve(void *opaque)
{
	struct machine *m = opaque;

	return mediant_vcpu_exit(m->vcpu);
}

bool machine_serve_not(void *opaque)
{
	return true;
}

uint64_t machine_run(struct rig *rig, struct rig_job job, bool (*serve)(void *), void *opaque)
{
	uint64_t before = clock_now_ns();

	machine_must(rig_run(rig, &job, serve, opaque), "the guest");
	return (clock_now_ns() - before) / job.count;
}

double machine_median_ns(struct bench_samples *samples)
{
	return 1000 * bench_percentile_us(samples, 50);
}

void machine_report(FILE *jsonl, const char *name, struct bench_samples *ours, const char *what,
		    struct bench_samples *beside, const char *floor, double floor_ns)
{
	bench_report(jsonl, &(struct bench_result){
				    .name = name,
				    .unit = "ns",
				    .value = machine_median_ns(ours),
				    .p99 = 1000 * bench_percentile_us(ours, 99),
				    .baseline = { what, machine_median_ns(beside) },
				    .limit = { floor, floor_ns },
			    });
}
