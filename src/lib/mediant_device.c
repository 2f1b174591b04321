/* SPDX-License-Identifier: MIT */
/*
 * The public API's devices: a vGPU whose transport is a function call.  The lock of a device makes
 * its caller the owner of the VFIO device; accesses to BARs take none.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/mediant_inside.h"

/* ---- Types ----------------------------------------------------------------------------------- */

int mediant_type_get(unsigned int index, struct mediant_type *type)
{
	size_t count;
	const struct vgpu_type *types = vgpu_types(&count);

	if (index >= count)
		return -ENOENT;
	*type = (struct mediant_type){
		.name = types[index].name,
		.description = types[index].description,
		.aperture_bytes = types[index].aperture_bytes,
		.mappable_bytes = types[index].mappable_bytes,
		.nonmappable_bytes = types[index].nonmappable_bytes,
		.max_width = types[index].max_width,
		.max_height = types[index].max_height,
	};
	return 0;
}

/* ---- Life ------------------------------------------------------------------------------------ */

static void *clock_thread(void *opaque)
{
	struct mediant_device *device = opaque;

	loop_run(&device->loop);
	return NULL;
}

static int start_clock(struct mediant_device *device)
{
	int err = pthread_create(&device->thread, NULL, clock_thread, device);

	if (err)
		return -err;
	pthread_setname_np(device->thread, "mediant-clock");
	device->thread_ready = true;
	return 0;
}

static int create_inside(struct mediant_device *device, const struct mediant_device_config *config)
{
	size_t count;
	struct vgpu_device_config inside = {
		.loop = &device->loop,
		.name = config->name ? config->name : "vgpu",
		.type = config->type ? vgpu_type_find(config->type) : vgpu_types(&count),
		.gpu = config->gpu == MEDIANT_GPU_NULL ? VGPU_DEVICE_GPU_NULL
						       : VGPU_DEVICE_GPU_SOFT,
		.render_only = config->render_only,
		.guest = device->vm->guest,
		.tracker = device->vm->tracker,
		.trap_all = config->trap_all,
	};

	if (!inside.type)
		return -ENOENT;
	if (!config->render_only)
		inside.ports[0] = (struct vgpu_port_config){
			.kind = VGPU_PORT_HDMI,
			.plugged = true,
			.width = config->width ? config->width : 1024,
			.height = config->height ? config->height : 768,
			.refresh_hz = 60,
		};
	int err = loop_init(&device->loop);
	if (err)
		return err;
	device->loop_ready = true;
	return vgpu_device_create(&inside, &device->inside);
}

/* Threads of ours inherit the mask: a VMM that kicks vCPUs by a signal must not hit them. */
static int create_with_signals_blocked(struct mediant_device *device,
				       const struct mediant_device_config *config)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int err = create_inside(device, config);
	if (!err)
		err = start_clock(device);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return err;
}

int mediant_device_create(struct mediant_vm *vm, const struct mediant_device_config *config,
			  struct mediant_device **out)
{
	struct mediant_device_config ours;
	int err = mediant_take_config(&ours, sizeof(ours), config);
	struct mediant_device *device;

	if (err || ours.gpu > MEDIANT_GPU_NULL)
		return -EINVAL;
	device = calloc(1, sizeof(*device));
	if (!device)
		return -ENOMEM;
	device->vm = vm;
	lock_init(&device->lock, LOCK_DEVICE);
	err = create_with_signals_blocked(device, &ours);
	if (err) {
		mediant_device_destroy(device);
		return err;
	}
	*out = device;
	return 0;
}

void mediant_device_destroy(struct mediant_device *device)
{
	if (!device)
		return;
	if (device->thread_ready) {
		loop_stop(&device->loop);
		pthread_join(device->thread, NULL);
	}
	vgpu_device_destroy(device->inside);
	/* Its runs have gone: all of the ring's room is for the stores of others. */
	kvm_door_drain(device->vm->door);
	if (device->loop_ready)
		loop_fini(&device->loop);
	lock_fini(&device->lock);
	free(device);
}

static struct vfio_device *vfio_of(struct mediant_device *device)
{
	return vgpu_device_vfio(device->inside);
}

/* ---- Config space and BARs ------------------------------------------------------------------- */

static bool config_access_good(uint16_t offset, size_t len)
{
	return (len == 1 || len == 2 || len == 4) && offset + len <= PCI_CFG_SPACE_SIZE;
}

int mediant_device_config_read(struct mediant_device *device, uint16_t offset, void *buf,
			       size_t len)
{
	if (!config_access_good(offset, len))
		return -EINVAL;
	lock_acquire(&device->lock);
	int err = vfio_device_read(vfio_of(device), VFIO_PCI_CONFIG_REGION_INDEX, offset, buf, len);
	lock_release(&device->lock);
	return err;
}

int mediant_device_config_write(struct mediant_device *device, uint16_t offset, const void *buf,
				size_t len)
{
	if (!config_access_good(offset, len))
		return -EINVAL;
	lock_acquire(&device->lock);
	int err =
		vfio_device_write(vfio_of(device), VFIO_PCI_CONFIG_REGION_INDEX, offset, buf, len);
	lock_release(&device->lock);
	/* Runs may have come or gone: the ring's room follows them. */
	kvm_door_drain(device->vm->door);
	return err;
}

int mediant_device_bar_read(struct mediant_device *device, unsigned int bar, uint64_t offset,
			    void *buf, size_t len)
{
	return vfio_device_bar_access(vfio_of(device), bar, offset, buf, len, false);
}

int mediant_device_bar_write(struct mediant_device *device, unsigned int bar, uint64_t offset,
			     const void *buf, size_t len)
{
	return vfio_device_bar_access(vfio_of(device), bar, offset, (void *)buf, len, true);
}

void mediant_device_reset(struct mediant_device *device)
{
	lock_acquire(&device->lock);
	vfio_device_reset(vfio_of(device));
	lock_release(&device->lock);
	kvm_door_drain(device->vm->door);
}

/* ---- Interrupts ------------------------------------------------------------------------------ */

static uint32_t vfio_index(enum mediant_irq irq)
{
	return irq == MEDIANT_IRQ_MSI ? VFIO_PCI_MSI_IRQ_INDEX : VFIO_PCI_INTX_IRQ_INDEX;
}

static int set_irq(struct mediant_device *device, enum mediant_irq irq, unsigned int vector,
		   uint32_t flags, int *fd)
{
	struct vfio_irq_set set = {
		.argsz = sizeof(set) + (fd ? sizeof(*fd) : 0),
		.flags = flags,
		.index = vfio_index(irq),
		.start = vector,
		.count = 1,
	};

	if (irq != MEDIANT_IRQ_INTX && irq != MEDIANT_IRQ_MSI)
		return -EINVAL;
	lock_acquire(&device->lock);
	int err = vfio_device_set_irqs(vfio_of(device), &set, NULL, 0, fd, fd ? 1 : 0);
	lock_release(&device->lock);
	return err;
}

int mediant_device_irq_eventfd(struct mediant_device *device, enum mediant_irq irq,
			       unsigned int vector, int eventfd)
{
	const uint32_t flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;

	if (eventfd < 0)
		return set_irq(device, irq, vector, flags, NULL);
	int fd = fcntl(eventfd, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return -errno;
	int err = set_irq(device, irq, vector, flags, &fd);
	if (fd >= 0)
		close(fd);
	return err;
}

int mediant_device_irq_unmask(struct mediant_device *device, enum mediant_irq irq,
			      unsigned int vector)
{
	return set_irq(device, irq, vector, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK,
		       NULL);
}

int mediant_device_irq_kvm(struct mediant_device *device)
{
	lock_acquire(&device->lock);
	int err = vfio_device_interrupt_hypervisor(vfio_of(device));
	lock_release(&device->lock);
	return err;
}
