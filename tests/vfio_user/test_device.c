/* SPDX-License-Identifier: MIT */
/* What the messages do to the device: regions, descriptors, interrupts, maps, config space. */
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/vfio_user/client.h"

#define INTX VFIO_PCI_INTX_IRQ_INDEX
#define MSI  VFIO_PCI_MSI_IRQ_INDEX
#define MSIX VFIO_PCI_MSIX_IRQ_INDEX

/* ---- Info ------------------------------------------------------------------------------- */

static struct vfio_region_info region_info(struct rig *rig, uint32_t index, uint32_t argsz)
{
	struct vfio_region_info info = { .argsz = argsz, .index = index };

	assert_int_equal(client_call(rig, VFU_DEVICE_GET_REGION_INFO, &info, sizeof(info)), 0);
	memcpy(&info, rig->reply->payload, sizeof(info));
	return info;
}

static void device_info(void **state)
{
	uint32_t info[4] = { 16 };
	struct rig rig;

	rig_ready(&rig);
	assert_int_equal(client_call(&rig, VFU_DEVICE_GET_INFO, info, sizeof(info)), 0);
	memcpy(info, rig.reply->payload, sizeof(info));
	assert_int_equal(info[0], 16);
	assert_int_equal(info[1], VFIO_DEVICE_FLAGS_RESET | VFIO_DEVICE_FLAGS_PCI);
	assert_int_equal(info[2], 10);
	assert_int_equal(info[3], 5);
	rig_stop(&rig);
}

static void region_infos(void **state)
{
	struct rig rig;

	rig_ready(&rig);
	for (uint32_t i = 0; i < 10; i++) {
		static const uint64_t sizes[] = { 0x4000, 0x1000, 0x10000, 0, 64,
						  4096,	  4096,	  4096,	   0, 0x200000 };
		static const uint32_t flags[] = { 3, 1, 7, 0, 3, 2, 1, 3, 0, 7 };
		struct vfio_region_info info = region_info(&rig, i, 32);

		client_close_reply_fds(&rig);
		assert_int_equal(info.index, i);
		assert_int_equal(info.size, sizes[i]);
		assert_int_equal(info.flags, flags[i]);
		assert_int_equal(info.cap_offset, 0);
		assert_int_equal(info.argsz, i == 2 ? 80 : 32);
	}
	rig_stop(&rig);
}

static void sparse_areas_are_told_and_shared(void **state)
{
	static const uint64_t areas[] = { 0x2000, 0x1000, 0x4000, 0x2000 };
	struct vfio_region_info_cap_sparse_mmap cap;
	struct vfio_region_info info;
	struct rig rig;
	uint32_t value = 0;

	rig_ready(&rig);
	info = region_info(&rig, 2, 32);
	assert_int_equal(rig.reply->fd_count, 0); /* only with the whole answer */
	info = region_info(&rig, 2, info.argsz);
	assert_int_equal(info.flags & VFIO_REGION_INFO_FLAG_CAPS, VFIO_REGION_INFO_FLAG_CAPS);
	assert_int_equal(info.cap_offset, 32);
	memcpy(&cap, rig.reply->payload + 32, sizeof(cap));
	assert_int_equal(cap.header.id, VFIO_REGION_INFO_CAP_SPARSE_MMAP);
	assert_int_equal(cap.header.version, 1);
	assert_int_equal(cap.header.next, 0);
	assert_int_equal(cap.nr_areas, 2);
	assert_memory_equal(rig.reply->payload + 48, areas, sizeof(areas));
	assert_int_equal(rig.reply->fd_count, 1);
	uint8_t *map = mmap(NULL, 0x1000, PROT_READ | PROT_WRITE, MAP_SHARED, rig.reply->fds[0],
			    (off_t)info.offset + 0x2000);
	assert_true(map != MAP_FAILED);
	client_close_reply_fds(&rig);
	/* Both ways. */
	memcpy(map + 16, "\1\2\3\4", 4);
	assert_int_equal(client_read(&rig, 2, 0x2010, &value, 4), 0);
	assert_int_equal(value, 0x04030201);
	assert_int_equal(client_write(&rig, 2, 0x2ffc, "\5\6\7\10", 4), 0);
	assert_memory_equal(map + 0xffc, "\5\6\7\10", 4);
	munmap(map, 0x1000);
	rig_stop(&rig);
}

static void regions_cannot_be_cut_short(void **state)
{
	struct rig rig;

	rig_ready(&rig);
	region_info(&rig, 9, 32);
	assert_int_equal(rig.reply->fd_count, 1);
	assert_int_equal(ftruncate(rig.reply->fds[0], 0), -1);
	assert_int_equal(errno, EPERM);
	client_close_reply_fds(&rig);
	rig_stop(&rig);
}

static void io_fds(void **state)
{
	struct vfu_region_io_fds ask = { .argsz = 4096 };
	struct vfu_io_fd entry[4];
	uint64_t one = 1;
	struct rig rig;

	rig_ready(&rig);
	assert_int_equal(client_call(&rig, VFU_DEVICE_GET_REGION_IO_FDS, &ask, sizeof(ask)), 0);
	memcpy(&ask, rig.reply->payload, sizeof(ask));
	assert_int_equal(ask.argsz, 16 + 4 * 48);
	assert_int_equal(ask.count, 4);
	memcpy(entry, rig.reply->payload + sizeof(ask), sizeof(entry));
	/* An eventfd, a socket, an eventfd with memory beside it, and the first again. */
	assert_int_equal(rig.reply->fd_count, 4);
	for (uint32_t i = 0; i < 4; i++) {
		static const uint32_t types[] = { 0, 1, 2, 0 };

		assert_int_equal(entry[i].type, types[i]);
		assert_int_equal(entry[i].offset, 0x300 + 8 * i);
	}
	assert_int_equal(entry[3].fd_index, entry[0].fd_index);
	assert_int_equal(entry[1].datamatch, 0x1234);
	assert_int_equal(entry[1].shadow_offset, 0x1234); /* where the specification has it */
	assert_int_equal(entry[2].shadow_offset, 8);
	assert_int_not_equal(entry[2].shadow_fd_index, entry[2].fd_index);
	assert_int_equal(write(rig.reply->fds[entry[0].fd_index], &one, 8), 8);
	client_close_reply_fds(&rig);
	rig_stop(&rig);
}

static void io_fds_more_than_the_client_takes(void **state)
{
	struct vfu_region_io_fds ask = { .argsz = 4096 };
	struct rig rig;

	rig_start(&rig, rig_device_json);
	rig_connect(&rig);
	assert_int_equal(client_version(&rig, "{\"capabilities\":{\"max_msg_fds\":2}}"), 0);
	assert_int_equal(client_call(&rig, VFU_DEVICE_GET_REGION_IO_FDS, &ask, sizeof(ask)), E2BIG);
	rig_stop(&rig);
}

/* Not one: regions are accessed by messages only, and there is one socket. */
static void a_client_that_takes_no_descriptors(void **state)
{
	struct vfio_region_info info;
	struct rig rig;

	rig_start(&rig, rig_device_json);
	rig_connect(&rig);
	assert_int_equal(client_version(&rig, "{\"capabilities\":{\"max_msg_fds\":0,"
					      "\"twin_socket\":{\"supported\":true}}}"),
			 0);
	assert_int_equal(rig.reply->fd_count, 0);
	assert_null(strstr((char *)rig.reply->payload + 4, "twin_socket"));
	info = region_info(&rig, 2, 4096);
	assert_int_equal(rig.reply->fd_count, 0);
	assert_int_equal(info.flags, VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE);
	assert_int_equal(info.argsz, sizeof(info));
	rig_stop(&rig);
}

static int feature(struct rig *rig, uint32_t flags)
{
	const uint32_t payload[] = { 8, flags };

	return client_call(rig, VFU_DEVICE_FEATURE, payload, sizeof(payload));
}

/* Entered once, until the client leaves it or goes; a reset is neither. */
static void low_power_is_entered_once(void **state)
{
	const uint32_t enter = VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY;
	const uint32_t leave = VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_LOW_POWER_EXIT;
	struct rig rig;

	rig_ready(&rig);
	assert_int_equal(feature(&rig, leave), 0);
	assert_int_equal(feature(&rig, enter), 0);
	assert_int_equal(feature(&rig, enter), EINVAL);
	assert_int_equal(feature(&rig, enter | VFIO_DEVICE_FEATURE_PROBE), 0);
	assert_int_equal(client_call(&rig, VFU_DEVICE_RESET, NULL, 0), 0);
	assert_int_equal(feature(&rig, enter), EINVAL);
	assert_int_equal(feature(&rig, leave), 0);
	assert_int_equal(feature(&rig, enter), 0);
	rig_disconnect(&rig);
	rig_connect(&rig);
	assert_int_equal(client_version(&rig, NULL), 0);
	assert_int_equal(feature(&rig, enter), 0);
	rig_stop(&rig);
}

/* ---- Regions ---------------------------------------------------------------------------- */

static void regions_hold_what_was_written(void **state)
{
	uint8_t wrote[256], got[256];
	struct rig rig;

	rig_ready(&rig);
	for (uint32_t len = 1; len <= 64; len++) {
		memset(wrote, (int)len, sizeof(wrote));
		assert_int_equal(client_write(&rig, 0, 1000 - len, wrote, len), 0);
		assert_int_equal(client_read(&rig, 0, 1000 - len, got, len), 0);
		assert_memory_equal(wrote, got, len);
	}
	assert_int_equal(client_write(&rig, 4, 63, wrote, 1), 0);
	assert_int_equal(client_read(&rig, 4, 63, got, 1), 0);
	assert_int_equal(got[0], 64);
	rig_stop(&rig);
}

static void lenient_devices_answer_all(void **state)
{
	uint64_t value = 0;
	struct rig rig;

	rig_start(&rig, "{ \"regions\": [ { \"index\": 0, \"size\": 4096 } ], \"lenient\": true }");
	rig_connect(&rig);
	assert_int_equal(client_version(&rig, NULL), 0);
	assert_int_equal(client_read(&rig, 0, 4096, &value, 8), 0);
	assert_true(value == ~0ull);
	assert_int_equal(client_read(&rig, 7, 256, &value, 4), 0);
	assert_int_equal(client_read(&rig, 99, 0, &value, 4), 0);
	assert_int_equal(client_write(&rig, 0, 4095, &value, 8), 0);
	assert_int_equal(client_read(&rig, 0, 4095, &value, 1), 0);
	assert_int_equal(value & 0xff, 0);
	rig_stop(&rig);
}

/* ---- Interrupts ------------------------------------------------------------------------- */

static void give(struct rig *rig, uint32_t action, uint32_t index, uint32_t start, int fd)
{
	assert_int_equal(
		client_set_irqs(rig, action | VFIO_IRQ_SET_DATA_EVENTFD, index, start, 1, &fd, 1),
		0);
}

static void act(struct rig *rig, uint32_t action, uint32_t index, uint32_t start, uint32_t count)
{
	assert_int_equal(
		client_set_irqs(rig, action | VFIO_IRQ_SET_DATA_NONE, index, start, count, NULL, 0),
		0);
}

static void client_fires_vectors(void **state)
{
	struct {
		struct vfio_irq_set set;
		uint8_t bools[4];
	} fire = { { .argsz = 24, .flags = 0x22, .index = MSIX, .start = 2, .count = 4 },
		   { 0, 1, 0, 1 } };
	int fds[4];
	struct rig rig;

	rig_ready(&rig);
	for (int i = 0; i < 4; i++)
		fds[i] = eventfd(0, EFD_CLOEXEC);
	assert_int_equal(client_set_irqs(&rig, 0x24, MSIX, 2, 4, fds, 4), 0);
	act(&rig, VFIO_IRQ_SET_ACTION_TRIGGER, MSIX, 3, 2);
	for (int i = 0; i < 4; i++)
		assert_int_equal(eventfd_take(fds[i]), i == 1 || i == 2);
	assert_int_equal(client_call(&rig, VFU_DEVICE_SET_IRQS, &fire, 24), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(eventfd_take(fds[i]), i & 1);
	/* One taken back, then all. */
	assert_int_equal(client_set_irqs(&rig, 0x24, MSIX, 3, 1, NULL, 0), 0);
	act(&rig, VFIO_IRQ_SET_ACTION_TRIGGER, MSIX, 2, 4);
	for (int i = 0; i < 4; i++)
		assert_int_equal(eventfd_take(fds[i]), i != 1);
	act(&rig, VFIO_IRQ_SET_ACTION_TRIGGER, MSIX, 0, 0);
	act(&rig, VFIO_IRQ_SET_ACTION_TRIGGER, MSIX, 2, 4);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(eventfd_take(fds[i]), 0);
		close(fds[i]);
	}
	rig_stop(&rig);
}

static void device_fires_by_doorbell(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC), other = eventfd(0, EFD_CLOEXEC);
	struct rig rig;

	rig_ready(&rig);
	give(&rig, VFIO_IRQ_SET_ACTION_TRIGGER, MSI, 0, fd);
	assert_int_equal(client_write(&rig, 0, 0x200, "\1", 1), 0);
	assert_int_equal(eventfd_take(fd), 1);
	/* A new eventfd takes the place of the old. */
	give(&rig, VFIO_IRQ_SET_ACTION_TRIGGER, MSI, 0, other);
	assert_int_equal(client_write(&rig, 0, 0x1fe, "\1\1\1\1", 4), 0);
	assert_int_equal(eventfd_take(fd), 0);
	assert_int_equal(eventfd_take(other), 1);
	rig_stop(&rig);
	close(fd);
	close(other);
}

static void ring_intx(struct rig *rig)
{
	assert_int_equal(client_write(rig, 0, 0x204, "\1", 1), 0);
}

static void intx_masks_itself(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	struct rig rig;

	rig_ready(&rig);
	give(&rig, VFIO_IRQ_SET_ACTION_TRIGGER, INTX, 0, fd);
	ring_intx(&rig);
	assert_int_equal(eventfd_take(fd), 1);
	ring_intx(&rig);
	assert_int_equal(eventfd_take(fd), 0);
	assert_int_equal(config_read32(&rig, PCI_COMMAND) >> 16 & PCI_STATUS_INTERRUPT,
			 PCI_STATUS_INTERRUPT);
	act(&rig, VFIO_IRQ_SET_ACTION_UNMASK, INTX, 0, 1);
	assert_int_equal(eventfd_take(fd), 1);
	act(&rig, VFIO_IRQ_SET_ACTION_UNMASK, INTX, 0, 1);
	assert_int_equal(eventfd_take(fd), 0);
	rig_stop(&rig);
	close(fd);
}

static void intx_unmasked_by_eventfd(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC), unmask = eventfd(0, EFD_CLOEXEC);
	uint64_t one = 1;
	struct rig rig;

	rig_ready(&rig);
	give(&rig, VFIO_IRQ_SET_ACTION_TRIGGER, INTX, 0, fd);
	give(&rig, VFIO_IRQ_SET_ACTION_UNMASK, INTX, 0, unmask);
	for (int i = 0; i < 5; i++) {
		ring_intx(&rig);
		assert_int_equal(eventfd_take(fd), 1);
		ring_intx(&rig);
		assert_int_equal(eventfd_take(fd), 0);
		assert_int_equal(write(unmask, &one, sizeof(one)), sizeof(one));
		rig_step(&rig);
		assert_int_equal(eventfd_take(fd), 1);
		assert_int_equal(write(unmask, &one, sizeof(one)), sizeof(one));
		rig_step(&rig);
		assert_int_equal(eventfd_take(fd), 0);
	}
	/* Taken back, it does nothing any more. */
	assert_int_equal(client_set_irqs(&rig, 0x14, INTX, 0, 1, NULL, 0), 0);
	ring_intx(&rig);
	ring_intx(&rig);
	assert_int_equal(eventfd_take(fd), 1);
	assert_int_equal(write(unmask, &one, sizeof(one)), sizeof(one));
	rig_step(&rig);
	assert_int_equal(eventfd_take(fd), 0);
	rig_stop(&rig);
	close(fd);
	close(unmask);
}

static void intx_masked_by_eventfd(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC), mask = eventfd(0, EFD_CLOEXEC);
	uint64_t one = 1;
	struct rig rig;

	rig_ready(&rig);
	give(&rig, VFIO_IRQ_SET_ACTION_TRIGGER, INTX, 0, fd);
	give(&rig, VFIO_IRQ_SET_ACTION_MASK, INTX, 0, mask);
	assert_int_equal(write(mask, &one, sizeof(one)), sizeof(one));
	rig_step(&rig);
	ring_intx(&rig);
	assert_int_equal(eventfd_take(fd), 0);
	act(&rig, VFIO_IRQ_SET_ACTION_UNMASK, INTX, 0, 1);
	assert_int_equal(eventfd_take(fd), 1);
	rig_stop(&rig);
	close(fd);
	close(mask);
}

static void intx_level_fires_again(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	struct rig rig;

	rig_ready(&rig);
	vfio_irq_set_level(rig.device, true);
	give(&rig, VFIO_IRQ_SET_ACTION_TRIGGER, INTX, 0, fd);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(eventfd_take(fd), 1);
		act(&rig, VFIO_IRQ_SET_ACTION_UNMASK, INTX, 0, 1);
	}
	assert_int_equal(eventfd_take(fd), 1);
	vfio_irq_set_level(rig.device, false);
	act(&rig, VFIO_IRQ_SET_ACTION_UNMASK, INTX, 0, 1);
	assert_int_equal(eventfd_take(fd), 0);
	rig_stop(&rig);
	close(fd);
}

static void intx_disabled_by_command(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	struct rig rig;

	rig_ready(&rig);
	give(&rig, VFIO_IRQ_SET_ACTION_TRIGGER, INTX, 0, fd);
	config_write16(&rig, PCI_COMMAND, PCI_COMMAND_INTX_DISABLE);
	ring_intx(&rig);
	assert_int_equal(eventfd_take(fd), 0);
	config_write16(&rig, PCI_COMMAND, 0);
	assert_int_equal(eventfd_take(fd), 1);
	rig_stop(&rig);
	close(fd);
}

static void full_eventfd_does_not_block(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC); /* blocking, and full */
	uint64_t full = ~0ull - 1;
	struct rig rig;

	rig_ready(&rig);
	assert_int_equal(write(fd, &full, sizeof(full)), sizeof(full));
	give(&rig, VFIO_IRQ_SET_ACTION_TRIGGER, MSI, 0, fd);
	assert_int_equal(client_write(&rig, 0, 0x200, "\1", 1), 0);
	act(&rig, VFIO_IRQ_SET_ACTION_TRIGGER, MSI, 0, 1);
	assert_true(eventfd_take(fd) == full);
	rig_stop(&rig);
	close(fd);
}

static void reset_keeps_eventfds(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	struct rig rig;

	rig_ready(&rig);
	give(&rig, VFIO_IRQ_SET_ACTION_TRIGGER, INTX, 0, fd);
	ring_intx(&rig);
	ring_intx(&rig);
	assert_int_equal(eventfd_take(fd), 1);
	assert_int_equal(client_call(&rig, VFU_DEVICE_RESET, NULL, 0), 0);
	assert_int_equal(eventfd_take(fd), 0);
	ring_intx(&rig);
	assert_int_equal(eventfd_take(fd), 1);
	rig_stop(&rig);
	close(fd);
}

/* ---- DMA map ---------------------------------------------------------------------------- */

static int guest_get(struct rig *rig, uint64_t addr, void *buf, size_t len)
{
	struct guest *guest = vfio_device_guest(rig->device);

	guest_enter(guest);
	int err = guest_read(guest, gpa(addr), buf, len);
	guest_leave(guest);
	return err;
}

static int guest_put(struct rig *rig, uint64_t addr, const void *buf, size_t len)
{
	struct guest *guest = vfio_device_guest(rig->device);

	guest_enter(guest);
	int err = guest_write(guest, gpa(addr), buf, len);
	guest_leave(guest);
	return err;
}

static void maps_reach_memory(void **state)
{
	int fd = make_memory_fd(0x4000);
	char got[8] = { 0 };
	struct rig rig;

	rig_ready(&rig);
	assert_int_equal(client_dma_map(&rig, 3, 0x1000, 0x1000, fd, 0), 0);
	assert_int_equal(client_dma_map(&rig, 11, 0x2000, 0x1000, fd, 0x1000), 0);
	assert_int_equal(client_dma_map(&rig, 1, 0x3000, 0x1000, fd, 0x2000), 0);
	/* Across mapped and file I/O memory at once. */
	assert_int_equal(guest_put(&rig, 0x1ffc, "12345678", 8), 0);
	assert_int_equal(pread(fd, got, 8, 0xffc), 8);
	assert_memory_equal(got, "12345678", 8);
	assert_int_equal(guest_get(&rig, 0x2ffc, got, 8), 0);
	assert_int_equal(guest_put(&rig, 0x3000, "x", 1), -EFAULT);
	assert_int_equal(guest_get(&rig, 0x0fff, got, 2), -EFAULT);
	assert_int_equal(guest_get(&rig, 0x3fff, got, 2), -EFAULT);
	assert_int_equal(guest_get(&rig, ~0ull, got, 2), -EFAULT);
	assert_int_equal(client_dma_unmap(&rig, 0, 0x1000, 0x1000), 0);
	assert_int_equal(rig.reply->bytes, 24);
	assert_int_equal(guest_get(&rig, 0x1000, got, 1), -EFAULT);
	assert_int_equal(guest_get(&rig, 0x2000, got, 1), 0);
	assert_int_equal(client_dma_unmap(&rig, 2, 0, 0), 0);
	assert_int_equal(guest_get(&rig, 0x2000, got, 1), -EFAULT);
	rig_stop(&rig);
	close(fd);
}

static void maps_must_not_overlap(void **state)
{
	int fd = make_memory_fd(0x4000), other = make_memory_fd(0x4000);
	struct rig rig;

	rig_ready(&rig);
	assert_int_equal(client_dma_map(&rig, 3, 0x2000, 0x2000, fd, 0), 0);
	assert_int_equal(client_dma_map(&rig, 3, 0x2000, 0x2000, fd, 0), 0); /* the very same */
	assert_int_equal(client_dma_map(&rig, 3, 0x2000, 0x2000, other, 0), EEXIST);
	assert_int_equal(client_dma_map(&rig, 1, 0x2000, 0x2000, fd, 0), EEXIST);
	assert_int_equal(client_dma_map(&rig, 3, 0x2000, 0x2000, fd, 0x1000), EEXIST);
	assert_int_equal(client_dma_map(&rig, 3, 0x2000, 0x2000, -1, 0), EEXIST);
	assert_int_equal(client_dma_map(&rig, 3, 0x1000, 0x2000, -1, 0), EEXIST);
	assert_int_equal(client_dma_map(&rig, 3, 0x3000, 0x2000, -1, 0), EEXIST);
	assert_int_equal(client_dma_map(&rig, 3, 0, 0x10000, -1, 0), EEXIST);
	assert_int_equal(client_dma_map(&rig, 3, 0x3000, 0x1000, -1, 0), EEXIST);
	assert_int_equal(client_dma_map(&rig, 3, 0x1000, 0x1000, -1, 0), 0);
	assert_int_equal(client_dma_map(&rig, 3, 0x4000, 0x1000, -1, 0), 0);
	/* Unmapping takes the whole of one map. */
	assert_int_equal(client_dma_unmap(&rig, 0, 0x2000, 0x1000), ENOENT);
	assert_int_equal(client_dma_unmap(&rig, 0, 0x3000, 0x1000), ENOENT);
	assert_int_equal(client_dma_unmap(&rig, 0, 0x1000, 0x3000), ENOENT);
	assert_int_equal(client_dma_unmap(&rig, 0, 0x2000, 0x2000), 0);
	rig_stop(&rig);
	close(fd);
	close(other);
}

static void maps_are_of_whole_pages(void **state)
{
	int fd = make_memory_fd(0x4000);
	struct rig rig;

	rig_ready(&rig);
	for (uint32_t flags = 3; flags <= 11; flags += 8) {
		assert_int_equal(client_dma_map(&rig, flags, 0x2001, 0x1000, fd, 0), EINVAL);
		assert_int_equal(client_dma_map(&rig, flags, 0x2000, 0x1001, fd, 0), EINVAL);
		assert_int_equal(client_dma_map(&rig, flags, 0x2000, 0x1000, fd, 1), EINVAL);
		assert_int_equal(client_dma_map(&rig, flags, 0x2000, 0x1000, fd, 0x800), EINVAL);
	}
	assert_int_equal(client_dma_map(&rig, 3, 0x2001, 0x1000, -1, 0), EINVAL);
	assert_int_equal(client_dma_map(&rig, 3, 0x2000, 0xfff, -1, 0), EINVAL);
	assert_int_equal(client_dma_map(&rig, 3, 0x2000, 0x1000, fd, 0), 0);
	rig_stop(&rig);
	close(fd);
}

static void maps_have_limits(void **state)
{
	struct vfio_stats stats;
	struct rig rig;

	rig_ready(&rig);
	for (uint64_t i = 0; i < 8; i++)
		assert_int_equal(client_dma_map(&rig, 3, i * 0x10000000, 0x10000000, -1, 0), 0);
	assert_int_equal(client_dma_map(&rig, 3, 0x100000000ull, 0x1000, -1, 0), EINVAL);
	vfio_device_stats(rig.device, &stats);
	assert_int_equal(stats.dma_map_count, 8);
	assert_int_equal(stats.dma_bytes_mapped, 0x80000000u);
	assert_int_equal(client_dma_unmap(&rig, 0, 0, 0x10000000), 0);
	assert_int_equal(client_dma_map(&rig, 3, 0x100000000ull, 0x90001000, -1, 0), ENOSPC);
	assert_int_equal(client_dma_map(&rig, 3, 0x100000000ull, 0x90000000, -1, 0), 0);
	rig_stop(&rig);
}

static void truncated_memory_does_not_kill(void **state)
{
	int fd = make_memory_fd(0x10000);
	uint64_t faults = guest_sigbus_count();
	uint8_t got[0x2000];
	struct rig rig;

	rig_ready(&rig);
	assert_int_equal(client_dma_map(&rig, 3, 0, 0x8000, fd, 0), 0);
	assert_int_equal(client_dma_map(&rig, 11, 0x8000, 0x8000, fd, 0x8000), 0);
	memset(got, 0xaa, sizeof(got));
	assert_int_equal(guest_put(&rig, 0x1000, got, 0x2000), 0);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(guest_get(&rig, 0x1000, got, 0x2000), 0);
	for (size_t i = 0; i < sizeof(got); i++)
		assert_int_equal(got[i], 0);
	assert_int_equal(guest_put(&rig, 0x5000, got, 0x1000), 0);
	assert_int_equal(guest_get(&rig, 0x9000, got, 0x1000), 0);
	assert_true(guest_sigbus_count() >= faults + 3);
	/* And what is left of the device works. */
	assert_int_equal(client_dma_unmap(&rig, 2, 0, 0), 0);
	rig_stop(&rig);
	close(fd);
}

/* ---- Config space, over the wire -------------------------------------------------------- */

static void bars_size_themselves(void **state)
{
	struct rig rig;

	rig_ready(&rig);
	static const struct {
		uint16_t at;
		uint32_t idle, sized;
	} bars[] = {
		{ 0x10, 0, 0xffffc000 }, { 0x14, 0, 0xfffff000 }, { 0x18, 0xc, 0xffff000c },
		{ 0x1c, 0, 0xffffffff }, { 0x20, 1, 0xffffffc1 }, { 0x24, 0, 0xfffff000 },
		{ 0x30, 0, 0xfffff001 },
	};
	for (size_t i = 0; i < ARRAY_SIZE(bars); i++) {
		assert_int_equal(config_read32(&rig, bars[i].at), bars[i].idle);
		config_write32(&rig, bars[i].at, 0xffffffff);
		assert_int_equal(config_read32(&rig, bars[i].at), bars[i].sized);
		config_write32(&rig, bars[i].at, 0);
		assert_int_equal(config_read32(&rig, bars[i].at), bars[i].idle);
	}
	config_write32(&rig, 0x18, 0xe0000000);
	config_write32(&rig, 0x1c, 0x12);
	assert_true(vfio_pci_bar_address(rig.device, 2) == 0x12e0000000ull);
	assert_false(vfio_pci_memory_enabled(rig.device));
	config_write16(&rig, PCI_COMMAND, PCI_COMMAND_MEMORY);
	assert_true(vfio_pci_memory_enabled(rig.device));
	rig_stop(&rig);
}

static void capabilities_are_listed(void **state)
{
	uint8_t config[4096];
	struct rig rig;

	rig_ready(&rig);
	assert_int_equal(client_read(&rig, 7, 0, config, sizeof(config)), 0);
	assert_int_equal(config[PCI_STATUS] & PCI_STATUS_CAP_LIST, PCI_STATUS_CAP_LIST);
	assert_int_equal(config[0x34], 0x40);
	assert_memory_equal(&config[0x40], "\1\x50\3\0", 4);
	assert_memory_equal(&config[0x50], "\5\x80\x84\1", 4);
	assert_memory_equal(&config[0x80], "\11\0\10\0\x11\x22\x33\x44", 8);
	assert_memory_equal(&config[0x100], "\13\0\1\0", 4);
	/* Plain bytes change where their mask allows. */
	config_write32(&rig, 0x80, 0xffffffff);
	config_write32(&rig, 0x84, 0xffffffff);
	assert_int_equal(config_read32(&rig, 0x80), 0x00080009);
	assert_int_equal(config_read32(&rig, 0x84), 0x44332fff);
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(device_info),
		cmocka_unit_test(region_infos),
		cmocka_unit_test(sparse_areas_are_told_and_shared),
		cmocka_unit_test(regions_cannot_be_cut_short),
		cmocka_unit_test(io_fds),
		cmocka_unit_test(io_fds_more_than_the_client_takes),
		cmocka_unit_test(a_client_that_takes_no_descriptors),
		cmocka_unit_test(low_power_is_entered_once),
		cmocka_unit_test(regions_hold_what_was_written),
		cmocka_unit_test(lenient_devices_answer_all),
		cmocka_unit_test(client_fires_vectors),
		cmocka_unit_test(device_fires_by_doorbell),
		cmocka_unit_test(intx_masks_itself),
		cmocka_unit_test(intx_unmasked_by_eventfd),
		cmocka_unit_test(intx_masked_by_eventfd),
		cmocka_unit_test(intx_level_fires_again),
		cmocka_unit_test(intx_disabled_by_command),
		cmocka_unit_test(full_eventfd_does_not_block),
		cmocka_unit_test(reset_keeps_eventfds),
		cmocka_unit_test(maps_reach_memory),
		cmocka_unit_test(maps_must_not_overlap),
		cmocka_unit_test(maps_are_of_whole_pages),
		cmocka_unit_test(maps_have_limits),
		cmocka_unit_test(truncated_memory_does_not_kill),
		cmocka_unit_test(bars_size_themselves),
		cmocka_unit_test(capabilities_are_listed),
	};

	return cmocka_run_group_tests_name("the device behind the wire", tests, NULL, NULL);
}
