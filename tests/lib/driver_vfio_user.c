/* SPDX-License-Identifier: MIT */
/*
 * The driver's transport over vfio-user: every access is a message to the server, which serves a
 * vGPU as `mediant serve` does.  Client and server take turns on the thread that calls, as the rig
 * of tests/vfio_user/ has it; the GPU's lane runs beside them and signals the MSI's eventfd itself.
 * Memory is a memfd that the server maps; hidden, it is known by its addresses alone, and the
 * client answers messages for it whenever it has its turn.
 */
#include "tests/vgpu/driver.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "lib/lib.h"
#include "tests/vfio_user/client.h"
#include "vfio_user/server.h"

#define BAR0_AT	   0xc0000000u
#define BAR2_AT	   0xd0000000u
#define CAP_MSI	   0xacu
#define SPARE_AT   0x100000000ull /* behind all memory */
#define READ_WRITE (VFIO_DMA_READ | VFIO_DMA_WRITE)
#define TRIGGER	   (VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER)

struct link {
	pthread_mutex_t mutex; /* several threads of a test, one connection */
	struct rig rig;
	struct ram ram;
	struct vgpu_device *device;
	int msi;
	unsigned int messages;
	bool silent;
};

static struct link *lock_link(struct driver *d)
{
	struct link *link = d->link;

	pthread_mutex_lock(&link->mutex);
	return link;
}

static void unlock_link(struct link *link)
{
	pthread_mutex_unlock(&link->mutex);
}

/* ---- Messages -------------------------------------------------------------------------------- */

/* A DMA message has just been received. */
static void answer(struct link *link)
{
	static uint8_t message[VFU_MAX_MSG_BYTES];
	const struct reply *asked = link->rig.reply;
	struct vfu_header *header = (struct vfu_header *)message;
	struct vfu_dma_access access;
	size_t len = sizeof(*header) + sizeof(access);

	if (link->silent)
		return;
	memcpy(&access, asked->payload, sizeof(access));
	assert_true(access.addr <= link->ram.size && access.count <= link->ram.size - access.addr);
	*header = asked->header;
	header->flags = VFU_FLAG_REPLY;
	memcpy(message + sizeof(*header), &access, sizeof(access));
	if (header->command == VFU_DMA_READ) {
		memcpy(message + len, link->ram.bytes + access.addr, access.count);
		len += access.count;
	} else {
		memcpy(link->ram.bytes + access.addr, asked->payload + sizeof(access),
		       access.count);
	}
	header->bytes = (uint32_t)len;
	client_send_raw(&link->rig, message, len, NULL, 0);
}

/* Lets the server work and answers its messages: true when a reply to one of ours has come. */
static bool take_turn(struct link *link)
{
	rig_step(&link->rig);
	while (client_receive(&link->rig) != GOT_NOTHING) {
		if ((link->rig.reply->header.flags & VFU_FLAG_TYPE_MASK) == VFU_FLAG_REPLY)
			return true;
		answer(link);
		rig_step(&link->rig);
	}
	return false;
}

static void call(struct link *link, uint16_t command, const void *payload, size_t len, int fd)
{
	uint16_t id =
		client_send(&link->rig, command, VFU_FLAG_COMMAND, payload, len, &fd, fd >= 0);

	while (!take_turn(link))
		;
	assert_int_equal(link->rig.reply->header.id, id);
	assert_int_equal(link->rig.reply->header.error, 0);
}

static void region_read(struct link *link, uint32_t region, uint64_t offset, void *buf, size_t len)
{
	struct vfu_region_access access = { offset, region, (uint32_t)len };

	call(link, VFU_REGION_READ, &access, sizeof(access), -1);
	memcpy(buf, link->rig.reply->payload + sizeof(access), len);
}

/* Posted, as QEMU's are. */
static void region_write(struct link *link, uint32_t region, uint64_t offset, const void *buf,
			 size_t len)
{
	struct {
		struct vfu_region_access access;
		uint8_t data[4096];
	} write = { .access = { offset, region, (uint32_t)len } };

	assert_true(len <= sizeof(write.data));
	memcpy(write.data, buf, len);
	client_send(&link->rig, VFU_REGION_WRITE, VFU_FLAG_COMMAND | VFU_FLAG_NO_REPLY, &write,
		    sizeof(write.access) + len, NULL, 0);
	assert_false(take_turn(link));
}

static void map(struct link *link, uint64_t addr, uint64_t bytes, int fd)
{
	struct vfu_dma_map map = {
		.argsz = sizeof(map), .flags = READ_WRITE, .addr = addr, .bytes = bytes
	};

	call(link, VFU_DMA_MAP, &map, sizeof(map), fd);
}

static void unmap(struct link *link, uint64_t addr, uint64_t bytes)
{
	struct vfu_dma_unmap unmap = { .argsz = sizeof(unmap), .addr = addr, .bytes = bytes };

	call(link, VFU_DMA_UNMAP, &unmap, sizeof(unmap), -1);
}

/* ---- Life ------------------------------------------------------------------------------------ */

static void config_set(struct link *link, uint16_t offset, uint32_t value, size_t len)
{
	region_write(link, VFIO_PCI_CONFIG_REGION_INDEX, offset, &value, len);
}

/* What firmware and the bus driver do. */
static void bring_up(struct link *link)
{
	struct vfio_irq_set set = {
		.argsz = sizeof(set),
		.flags = TRIGGER,
		.index = VFIO_PCI_MSI_IRQ_INDEX,
		.count = 1,
	};

	config_set(link, PCI_BASE_ADDRESS_0, BAR0_AT, 4);
	config_set(link, PCI_BASE_ADDRESS_2, BAR2_AT, 4);
	config_set(link, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
	config_set(link, CAP_MSI + PCI_MSI_FLAGS, PCI_MSI_FLAGS_64BIT | PCI_MSI_FLAGS_ENABLE, 2);
	call(link, VFU_DEVICE_SET_IRQS, &set, sizeof(set), link->msi);
}

static void over_open(struct driver *d, bool render_only)
{
	struct link *link = calloc(1, sizeof(*link));
	struct vgpu_device_config config = {
		.name = "test",
		.type = vgpu_type_find(DRIVER_TYPE),
		.render_only = render_only,
	};

	assert_non_null(link);
	pthread_mutex_init(&link->mutex, NULL);
	enum log_level threshold = log_threshold;
	rig_init(&link->rig);
	log_threshold = threshold; /* a test counts lines */
	config.loop = &link->rig.loop;
	assert_int_equal(ram_init(&link->ram, DRIVER_GUEST_BYTES, true), 0);
	assert_int_equal(vgpu_device_create(&config, &link->device), 0);
	rig_serve(&link->rig, vgpu_device_vfio(link->device));
	rig_connect(&link->rig);
	assert_int_equal(client_version(&link->rig, NULL), 0);
	link->msi = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_true(link->msi >= 0);
	map(link, 0, link->ram.size, link->ram.fd);
	bring_up(link);
	d->ram = &link->ram;
	d->v = vgpu_device_vgpu(link->device);
	d->link = link;
}

static void over_close(struct driver *d)
{
	struct link *link = d->link;

	rig_unserve(&link->rig);
	vgpu_device_destroy(link->device);
	ram_fini(&link->ram);
	close(link->msi);
	rig_fini(&link->rig);
	pthread_mutex_destroy(&link->mutex);
	free(link);
}

/* ---- The device ------------------------------------------------------------------------------ */

static void over_read(struct driver *d, unsigned int bar, uint64_t offset, void *buf, size_t len)
{
	struct link *link = lock_link(d);

	region_read(link, VFIO_PCI_BAR0_REGION_INDEX + bar, offset, buf, len);
	unlock_link(link);
}

static void over_write(struct driver *d, unsigned int bar, uint64_t offset, const void *buf,
		       size_t len)
{
	struct link *link = lock_link(d);

	region_write(link, VFIO_PCI_BAR0_REGION_INDEX + bar, offset, buf, len);
	unlock_link(link);
}

static uint8_t over_config_read(struct driver *d, uint16_t offset)
{
	struct link *link = lock_link(d);
	uint8_t value;

	region_read(link, VFIO_PCI_CONFIG_REGION_INDEX, offset, &value, 1);
	unlock_link(link);
	return value;
}

static unsigned int over_messages(struct driver *d)
{
	struct link *link = lock_link(d);

	link->messages += (unsigned int)eventfd_take(link->msi);
	unsigned int messages = link->messages;
	unlock_link(link);
	return messages;
}

static void over_reset(struct driver *d)
{
	struct link *link = lock_link(d);

	call(link, VFU_DEVICE_RESET, NULL, 0, -1);
	bring_up(link);
	unlock_link(link);
}

static void over_change_map(struct driver *d)
{
	struct link *link = lock_link(d);

	map(link, SPARE_AT, PAGE_BYTES, link->ram.fd);
	unmap(link, SPARE_AT, PAGE_BYTES);
	unlock_link(link);
}

static void over_idle(struct driver *d)
{
	struct link *link = lock_link(d);

	assert_false(take_turn(link));
	unlock_link(link);
}

/* ---- Memory by messages ---------------------------------------------------------------------- */

static void hide(struct driver *d)
{
	struct link *link = lock_link(d);

	unmap(link, 0, link->ram.size);
	map(link, 0, link->ram.size, -1);
	unlock_link(link);
}

static void silence(struct driver *d, bool on)
{
	struct link *link = lock_link(d);

	link->silent = on;
	unlock_link(link);
}

/* Only the server knows which of them it has given up. */
static unsigned int waiting(struct driver *d)
{
	struct vfu_dma *dma = &((struct link *)d->link)->rig.server->dma;
	unsigned int count = 0;

	lock_acquire(&dma->lock);
	for (struct vfu_dma_request *r = dma->requests; r; r = r->next)
		count += r->sent && !r->done;
	lock_release(&dma->lock);
	return count;
}

static unsigned int timeouts(struct driver *d)
{
	struct link *link = d->link;
	struct vfu_stats stats;

	vfu_server_stats(link->rig.server, &stats);
	return (unsigned int)stats.dma_timeouts;
}

static const struct driver_messages memory_by_messages = {
	.hide = hide,
	.silence = silence,
	.waiting = waiting,
	.timeouts = timeouts,
};

const struct driver_transport driver_transport = {
	.name = "vfio-user",
	.open = over_open,
	.close = over_close,
	.bar_read = over_read,
	.bar_write = over_write,
	.config_read = over_config_read,
	.messages = over_messages,
	.reset = over_reset,
	.change_map = over_change_map,
	.idle = over_idle,
	.memory = &memory_by_messages,
};
