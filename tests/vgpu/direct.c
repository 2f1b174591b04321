/* SPDX-License-Identifier: MIT */
/* The transport that is none: the vGPU's own functions, on the test's thread, and a guest in C. */
#include "direct.h"

#include <stdlib.h>
#include <sys/eventfd.h>

#include "driver.h"
#include "test_guest.h"

struct sched_lease *direct_lease;

struct direct {
	struct test_guest guest;
	struct gpu *gpu;
	struct sched_lane *lane;
	_Atomic unsigned int messages;
};

static struct direct *direct_of(struct driver *d)
{
	return d->link;
}

static void host_interrupt(void *opaque)
{
	struct driver *d = opaque;

	atomic_fetch_add(&direct_of(d)->messages, 1);
	if (d->irq_fd)
		assert_int_equal(eventfd_write(d->irq_fd, 1), 0);
}

static void host_display_timer(void *opaque, uint64_t when_ns)
{
}

static const struct vgpu_host_ops host_ops = {
	.interrupt = host_interrupt,
	.display_timer = host_display_timer,
};

static void direct_open(struct driver *d, bool render_only)
{
	struct direct *direct = calloc(1, sizeof(*direct));
	struct vgpu_config config = {
		.name = "test",
		.type = vgpu_type_find(DRIVER_TYPE),
		.render_only = render_only,
		.host = &host_ops,
		.opaque = d,
	};

	assert_non_null(direct);
	d->link = direct;
	assert_int_equal(test_guest_init(&direct->guest, DRIVER_GUEST_BYTES), 0);
	assert_int_equal(sched_lane_create("lane", &direct->lane), 0);
	sched_lane_set_lease(direct->lane, direct_lease);
	direct->gpu = gpu_soft_create();
	assert_non_null(direct->gpu);
	config.guest = &direct->guest.guest;
	config.gpu = direct->gpu;
	config.lane = direct->lane;
	assert_int_equal(vgpu_create(&config, &d->v), 0);
	d->ram = &direct->guest.ram;
}

static void direct_close(struct driver *d)
{
	struct direct *direct = direct_of(d);

	vgpu_destroy(d->v);
	sched_lane_destroy(direct->lane);
	gpu_destroy(direct->gpu);
	test_guest_fini(&direct->guest);
	free(direct);
}

static void direct_read(struct driver *d, unsigned int bar, uint64_t offset, void *buf, size_t len)
{
	if (bar == 0)
		vgpu_bar0_read(d->v, offset, buf, len);
	else
		vgpu_aperture_read(d->v, offset, buf, len);
}

static void direct_write(struct driver *d, unsigned int bar, uint64_t offset, const void *buf,
			 size_t len)
{
	if (bar == 0)
		vgpu_bar0_write(d->v, offset, buf, len);
	else
		vgpu_aperture_write(d->v, offset, buf, len);
}

/* Of the config space only what is the vGPU's own; the rest is vfio/'s. */
static uint8_t direct_config_read(struct driver *d, uint16_t offset)
{
	uint8_t value = 0;

	assert_true(vgpu_pci_config_read(d->v, offset, 0, &value));
	return value;
}

static unsigned int direct_messages(struct driver *d)
{
	return atomic_load(&direct_of(d)->messages);
}

static void direct_reset(struct driver *d)
{
	vgpu_reset(d->v);
}

static void direct_change_map(struct driver *d)
{
	struct guest *guest = &direct_of(d)->guest.guest;

	guest_quiesce(guest);
	guest_resume(guest);
}

static void hide(struct driver *d)
{
	struct test_guest *g = &direct_of(d)->guest;

	guest_quiesce(&g->guest);
	g->message_to = g->ram.size;
	guest_resume(&g->guest);
}

static void silence(struct driver *d, bool on)
{
	atomic_store(&direct_of(d)->guest.silent, on);
}

static unsigned int waiting(struct driver *d)
{
	return atomic_load(&direct_of(d)->guest.waiting);
}

static unsigned int timeouts(struct driver *d)
{
	return atomic_load(&direct_of(d)->guest.timeouts);
}

static const struct driver_messages messages = {
	.hide = hide,
	.silence = silence,
	.waiting = waiting,
	.timeouts = timeouts,
	.in_traps = true,
};

const struct driver_transport driver_transport = {
	.name = "direct",
	.open = direct_open,
	.close = direct_close,
	.bar_read = direct_read,
	.bar_write = direct_write,
	.config_read = direct_config_read,
	.messages = direct_messages,
	.reset = direct_reset,
	.change_map = direct_change_map,
	.memory = &messages,
};
