/* SPDX-License-Identifier: MIT */
/*
 * The stream: messages in pieces and glued together, descriptors and the message they belong to,
 * sizes that lie, readers that are slow, and clients that die at each step.
 */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/vfio_user/client.h"

struct framed {
	uint8_t bytes[256];
	size_t len;
};

static struct framed frame(uint16_t command, uint16_t id, uint32_t flags, const void *payload,
			   size_t len)
{
	struct framed framed = { .len = sizeof(struct vfu_header) + len };
	struct vfu_header header = {
		.id = id,
		.command = command,
		.bytes = (uint32_t)framed.len,
		.flags = flags,
	};

	memcpy(framed.bytes, &header, sizeof(header));
	memcpy(framed.bytes + sizeof(header), payload, len);
	return framed;
}

static struct framed frame_info(uint16_t id)
{
	return frame(VFU_DEVICE_GET_INFO, id, 0, (uint32_t[]){ 16, 0, 0, 0 }, 16);
}

static struct framed frame_map(uint16_t id, uint64_t addr, uint64_t offset)
{
	struct vfu_dma_map map = {
		.argsz = 32,
		.flags = 3,
		.offset = offset,
		.addr = addr,
		.bytes = 0x1000,
	};

	return frame(VFU_DMA_MAP, id, 0, &map, sizeof(map));
}

static struct framed frame_eventfds(uint16_t id, uint32_t start, uint32_t count)
{
	struct vfio_irq_set set = {
		.argsz = 20,
		.flags = VFIO_IRQ_SET_ACTION_TRIGGER | VFIO_IRQ_SET_DATA_EVENTFD,
		.index = VFIO_PCI_MSI_IRQ_INDEX,
		.start = start,
		.count = count,
	};

	return frame(VFU_DEVICE_SET_IRQS, id, 0, &set, sizeof(set));
}

static struct framed frame_write(uint16_t id, uint32_t flags, uint64_t offset, uint32_t value)
{
	uint8_t payload[20];
	struct vfu_region_access access = { .offset = offset, .region = 0, .count = 4 };

	memcpy(payload, &access, sizeof(access));
	memcpy(payload + sizeof(access), &value, sizeof(value));
	return frame(VFU_REGION_WRITE, id, flags, payload, sizeof(payload));
}

static void send_frame(struct rig *rig, const struct framed *framed, const int *fds,
		       unsigned int fd_count)
{
	client_send_raw(rig, framed->bytes, framed->len, fds, fd_count);
}

static void expect_reply(struct rig *rig, uint16_t id, int err)
{
	rig_step(rig);
	assert_int_equal(client_receive(rig), err);
	assert_int_equal(rig->reply->header.id, id);
}

static void in_single_bytes(void **state)
{
	struct framed info = frame_info(7);
	struct rig rig;

	rig_ready(&rig);
	for (size_t i = 0; i < info.len; i++) {
		assert_int_equal(client_receive(&rig), GOT_NOTHING);
		client_send_raw(&rig, &info.bytes[i], 1, NULL, 0);
		rig_step(&rig);
	}
	expect_reply(&rig, 7, 0);
	rig_stop(&rig);
}

static void split_at_each_byte(void **state)
{
	struct framed info = frame_info(0);
	struct rig rig;

	rig_ready(&rig);
	for (size_t cut = 1; cut < info.len; cut++) {
		client_send_raw(&rig, info.bytes, cut, NULL, 0);
		rig_step(&rig);
		client_send_raw(&rig, info.bytes + cut, info.len - cut, NULL, 0);
		expect_reply(&rig, 0, 0);
	}
	rig_stop(&rig);
}

static void many_in_one_write(void **state)
{
	uint8_t bytes[64 * 32];
	struct rig rig;

	rig_ready(&rig);
	for (uint16_t i = 0; i < 64; i++)
		memcpy(bytes + i * 32, frame_info(i).bytes, 32);
	client_send_raw(&rig, bytes, sizeof(bytes), NULL, 0);
	for (uint16_t i = 0; i < 64; i++)
		expect_reply(&rig, i, 0);
	rig_stop(&rig);
}

static void one_and_a_half_in_one_write(void **state)
{
	struct framed first = frame_info(1), second = frame_info(2);
	uint8_t bytes[64];
	struct rig rig;

	rig_ready(&rig);
	memcpy(bytes, first.bytes, 32);
	memcpy(bytes + 32, second.bytes, 32);
	client_send_raw(&rig, bytes, 50, NULL, 0);
	expect_reply(&rig, 1, 0);
	assert_int_equal(client_receive(&rig), GOT_NOTHING);
	client_send_raw(&rig, bytes + 50, 14, NULL, 0);
	expect_reply(&rig, 2, 0);
	rig_stop(&rig);
}

static void same_id_twice(void **state)
{
	struct framed info = frame_info(5);
	struct rig rig;

	rig_ready(&rig);
	send_frame(&rig, &info, NULL, 0);
	send_frame(&rig, &info, NULL, 0);
	expect_reply(&rig, 5, 0);
	expect_reply(&rig, 5, 0);
	rig_stop(&rig);
}

/* ---- Sizes that lie --------------------------------------------------------------------- */

static void size_below_a_header(void **state)
{
	struct rig rig;

	for (uint32_t bytes = 0; bytes < 16; bytes++) {
		struct vfu_header header = { .id = 3, .command = 8, .bytes = bytes };

		rig_ready(&rig);
		client_send_raw(&rig, &header, sizeof(header), NULL, 0);
		expect_reply(&rig, 3, EINVAL);
		assert_int_equal(client_version(&rig, NULL), EINVAL); /* and it still answers */
		rig_stop(&rig);
	}
}

static void size_too_large(void **state)
{
	static const uint32_t sizes[] = { VFU_MAX_MSG_BYTES + 1, 1u << 31, ~0u };
	struct rig rig;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct vfu_header header = { .id = 3, .command = 8, .bytes = sizes[i] };

		rig_ready(&rig);
		client_send_raw(&rig, &header, sizeof(header), NULL, 0);
		expect_reply(&rig, 3, EINVAL);
		assert_int_equal(client_receive(&rig), GOT_CLOSED);
		rig_stop(&rig);
	}
}

static void largest_write(void **state)
{
	static uint8_t data[VFU_MAX_XFER_BYTES], back[VFU_MAX_XFER_BYTES];
	struct rig rig;

	rig_ready(&rig);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7 + i / 251);
	assert_int_equal(client_write(&rig, 9, 0x1000, data, sizeof(data)), 0);
	assert_int_equal(client_read(&rig, 9, 0x1000, back, sizeof(back)), 0);
	assert_memory_equal(data, back, sizeof(data));
	rig_stop(&rig);
}

/* ---- Descriptors ------------------------------------------------------------------------ */

static void posted_writes_before_a_descriptor(void **state)
{
	struct framed map = frame_map(9, 0x1000, 0);
	int fd = make_memory_fd(0x1000);
	struct vfio_stats stats;
	struct rig rig;

	rig_ready(&rig);
	for (uint16_t i = 0; i < 10; i++) {
		struct framed write = frame_write(i, VFU_FLAG_NO_REPLY, 0, i);

		send_frame(&rig, &write, NULL, 0);
	}
	send_frame(&rig, &map, &fd, 1);
	expect_reply(&rig, 9, 0);
	vfio_device_stats(rig.device, &stats);
	assert_int_equal(stats.region_writes, 10);
	/* Mapped, not messages: the guest is reached without one. */
	uint64_t value = 0;
	assert_int_equal(pwrite(fd, "mapped", 6, 0), 6);
	guest_enter(vfio_device_guest(rig.device));
	assert_int_equal(guest_read(vfio_device_guest(rig.device), gpa(0x1000), &value, 6), 0);
	guest_leave(vfio_device_guest(rig.device));
	assert_memory_equal(&value, "mapped", 6);
	rig_stop(&rig);
	close(fd);
}

static void each_message_gets_its_own(void **state)
{
	int fds[4], memory[2] = { make_memory_fd(0x1000), make_memory_fd(0x1000) };
	struct framed maps[2] = { frame_map(0, 0, 0), frame_map(1, 0x1000, 0) };
	struct framed irqs[2] = { frame_eventfds(2, 0, 1), frame_eventfds(3, 1, 3) };
	struct vfio_irq_set fire = { .argsz = 20, .flags = 0x21, .index = 1, .count = 4 };
	struct rig rig;

	rig_ready(&rig);
	for (int i = 0; i < 4; i++)
		fds[i] = eventfd(0, EFD_CLOEXEC);
	send_frame(&rig, &maps[0], &memory[0], 1);
	send_frame(&rig, &irqs[0], &fds[0], 1);
	send_frame(&rig, &maps[1], &memory[1], 1);
	send_frame(&rig, &irqs[1], &fds[1], 3);
	for (uint16_t id = 0; id < 4; id++)
		expect_reply(&rig, (uint16_t[]){ 0, 2, 1, 3 }[id], 0);
	assert_int_equal(client_call(&rig, VFU_DEVICE_SET_IRQS, &fire, sizeof(fire)), 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(eventfd_take(fds[i]), 1);
		close(fds[i]);
	}
	rig_stop(&rig);
	close(memory[0]);
	close(memory[1]);
}

static void glued_behind_a_taker(void **state)
{
	struct framed map = frame_map(1, 0, 0), info = frame_info(2);
	uint8_t bytes[48 + 32];
	int fd = make_memory_fd(0x1000);
	size_t len;
	struct rig rig;

	rig_ready(&rig);
	memcpy(bytes, map.bytes, 48);
	memcpy(bytes + 48, info.bytes, 32);
	client_send_raw(&rig, bytes, sizeof(bytes), &fd, 1);
	expect_reply(&rig, 1, 0);
	expect_reply(&rig, 2, 0);
	guest_enter(vfio_device_guest(rig.device));
	assert_non_null(guest_map(vfio_device_guest(rig.device), gpa(0), GUEST_WRITE, &len));
	guest_leave(vfio_device_guest(rig.device));
	rig_stop(&rig);
	close(fd);
}

/* Whether they come with the header or with the body, they are this message's. */
static void header_and_body_apart(void **state)
{
	struct framed map = frame_map(4, 0, 0);
	int fd = make_memory_fd(0x1000);
	size_t len;
	struct rig rig;

	for (int with_body = 0; with_body < 2; with_body++) {
		rig_ready(&rig);
		client_send_raw(&rig, map.bytes, 16, &fd, !with_body);
		rig_step(&rig);
		client_send_raw(&rig, map.bytes + 16, 32, &fd, with_body);
		expect_reply(&rig, 4, 0);
		guest_enter(vfio_device_guest(rig.device));
		assert_non_null(guest_map(vfio_device_guest(rig.device), gpa(0), GUEST_READ, &len));
		guest_leave(vfio_device_guest(rig.device));
		rig_stop(&rig);
	}
	close(fd);
}

static void floods_of_descriptors(void **state)
{
	struct framed info = frame_info(1), map = frame_map(2, 0, 0);
	int memory = make_memory_fd(0x1000);
	int fds[VFU_FDS_LIMIT];
	struct rig rig;

	rig_ready(&rig);
	for (unsigned int i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = memory;
	for (int i = 0; i < 20; i++) {
		send_frame(&rig, &info, fds, ARRAY_SIZE(fds));
		expect_reply(&rig, 1, 0);
	}
	/* A set with the header and another with the body: the first is dropped. */
	client_send_raw(&rig, map.bytes, 16, fds, 100);
	rig_step(&rig);
	client_send_raw(&rig, map.bytes + 16, 32, fds, 50);
	expect_reply(&rig, 2, 0);
	/* Some with a message that never ends. */
	client_send_raw(&rig, map.bytes, 20, fds, 100);
	rig_step(&rig);
	rig_stop(&rig);
	close(memory);
}

/* ---- A client that does not read -------------------------------------------------------- */

static void slow_reader(void **state)
{
	struct vfu_region_access access = { .region = 9, .count = VFU_MAX_XFER_BYTES };
	struct framed read = frame(VFU_REGION_READ, 0, 0, &access, sizeof(access));
	struct vfu_stats stats;
	struct rig rig;

	rig_ready(&rig);
	for (uint16_t i = 0; i < 20; i++)
		send_frame(&rig, &read, NULL, 0);
	rig_step(&rig);
	/* The socket holds no whole megabyte: the server waits and reads no further command. */
	vfu_server_stats(rig.server, &stats);
	assert_true(stats.messages <= 2);
	for (uint16_t i = 0; i < 20; i++) {
		rig_step(&rig);
		assert_int_equal(client_receive(&rig), 0);
		assert_int_equal(rig.reply->bytes, sizeof(access) + VFU_MAX_XFER_BYTES);
	}
	vfu_server_stats(rig.server, &stats);
	assert_int_equal(stats.messages, 21);
	rig_stop(&rig);
}

static void slow_reader_of_a_descriptor(void **state)
{
	struct vfu_region_access access = { .region = 9, .count = 65536 };
	struct framed read = frame(VFU_REGION_READ, 1, 0, &access, sizeof(access));
	uint32_t ask[8] = { 80, 0, 2 };
	struct framed info = frame(VFU_DEVICE_GET_REGION_INFO, 2, 0, ask, sizeof(ask));
	unsigned int count = 0;
	struct rig rig;

	rig_ready(&rig);
	for (int i = 0; i < 16; i++) {
		send_frame(&rig, &read, NULL, 0);
		send_frame(&rig, &info, NULL, 0);
	}
	for (int i = 0; i < 32; i++) {
		rig_step(&rig);
		assert_int_equal(client_receive(&rig), 0);
		count += rig.reply->fd_count;
		client_close_reply_fds(&rig);
	}
	assert_int_equal(count, 16);
	rig_stop(&rig);
}

static void dies_without_reading(void **state)
{
	struct vfu_region_access access = { .region = 9, .count = VFU_MAX_XFER_BYTES };
	struct framed read = frame(VFU_REGION_READ, 0, 0, &access, sizeof(access));
	struct rig rig;

	rig_ready(&rig);
	send_frame(&rig, &read, NULL, 0);
	send_frame(&rig, &read, NULL, 0);
	rig_step(&rig);
	rig_disconnect(&rig);
	rig_connect(&rig);
	assert_int_equal(client_version(&rig, NULL), 0);
	rig_stop(&rig);
}

/* ---- Posted writes ---------------------------------------------------------------------- */

static void posted_writes_are_done_in_order(void **state)
{
	uint32_t value;
	struct vfu_region_access access = { .region = 0, .count = 4 };
	struct framed read = frame(VFU_REGION_READ, 77, 0, &access, sizeof(access));
	struct rig rig;

	rig_ready(&rig);
	for (uint32_t i = 1; i <= 500; i++) {
		struct framed write = frame_write((uint16_t)i, VFU_FLAG_NO_REPLY, 0, i);

		send_frame(&rig, &write, NULL, 0);
	}
	send_frame(&rig, &read, NULL, 0);
	expect_reply(&rig, 77, 0);
	memcpy(&value, rig.reply->payload + sizeof(access), sizeof(value));
	assert_int_equal(value, 500);
	assert_int_equal(client_receive(&rig), GOT_NOTHING);
	rig_stop(&rig);
}

static void multi_is_done_in_order(void **state)
{
	struct {
		uint64_t count;
		struct vfu_write_multi write[3];
	} multi = { .count = 3,
		    .write = { { .offset = 0, .count = 8, .data = "\1\1\1\1\1\1\1\1" },
			       { .offset = 2, .count = 4, .data = "\2\2\2\2" },
			       { .offset = 3, .count = 1, .data = "\3" } } };
	uint8_t got[8];
	struct rig rig;

	rig_ready(&rig);
	assert_int_equal(client_call(&rig, VFU_REGION_WRITE_MULTI, &multi, sizeof(multi)), 0);
	assert_int_equal(client_read(&rig, 0, 0, got, sizeof(got)), 0);
	assert_memory_equal(got, "\1\1\2\3\2\2\1\1", 8);
	/* One bad element: nothing is done. */
	multi.write[0].data[0] = 9;
	multi.write[2].offset = 0x4000;
	assert_int_equal(client_call(&rig, VFU_REGION_WRITE_MULTI, &multi, sizeof(multi)), EINVAL);
	assert_int_equal(client_read(&rig, 0, 0, got, sizeof(got)), 0);
	assert_int_equal(got[0], 1);
	rig_stop(&rig);
}

/* ---- Death at each step ----------------------------------------------------------------- */

static int death_fd;

static void step_connect(struct rig *rig)
{
	rig_connect(rig);
}

static void step_half_a_header(struct rig *rig)
{
	client_send_raw(rig, "\1\0\1", 3, NULL, 0);
}

static void step_version(struct rig *rig)
{
	assert_int_equal(client_version(rig, NULL), 0);
}

static void step_map(struct rig *rig)
{
	assert_int_equal(client_dma_map(rig, 3, 0, 0x1000, death_fd, 0), 0);
	assert_int_equal(client_dma_map(rig, 11, 0x1000, 0x1000, death_fd, 0), 0);
	assert_int_equal(client_dma_map(rig, 3, 0x2000, 0x1000, -1, 0), 0);
}

static void step_eventfds(struct rig *rig)
{
	int fds[4];

	for (int i = 0; i < 4; i++)
		fds[i] = eventfd(0, EFD_CLOEXEC);
	assert_int_equal(client_set_irqs(rig, 0x24, VFIO_PCI_MSI_IRQ_INDEX, 0, 4, fds, 4), 0);
	assert_int_equal(client_set_irqs(rig, 0x14, VFIO_PCI_INTX_IRQ_INDEX, 0, 1, fds, 1), 0);
	assert_int_equal(client_set_irqs(rig, 0x0c, VFIO_PCI_INTX_IRQ_INDEX, 0, 1, fds, 1), 0);
	for (int i = 0; i < 4; i++)
		close(fds[i]);
}

static void step_half_a_message_with_a_descriptor(struct rig *rig)
{
	struct framed map = frame_map(0, 0x8000, 0);

	client_send_raw(rig, map.bytes, 30, &death_fd, 1);
}

static void step_unread_replies(struct rig *rig)
{
	for (int i = 0; i < 100; i++) {
		uint32_t ask[8] = { 80, 0, 2 };

		client_send(rig, VFU_DEVICE_GET_REGION_INFO, 0, ask, sizeof(ask), NULL, 0);
	}
}

static void dies_after(void **state)
{
	static void (*const steps[])(struct rig *) = {
		step_connect,  step_version,	    step_map,
		step_eventfds, step_unread_replies, step_half_a_message_with_a_descriptor,
	};
	size_t last = (size_t)(uintptr_t)*state;
	struct vfio_stats stats;
	struct leaks idle;
	struct rig rig;

	death_fd = make_memory_fd(0x1000);
	rig_start(&rig, rig_device_json);
	idle = leaks_count();
	for (int again = 0; again < 3; again++) {
		for (size_t i = 0; i <= last; i++)
			steps[i](&rig);
		if (again)
			rig_step(&rig);
		rig_disconnect(&rig);
		rig_step(&rig);
		assert_int_equal(leaks_compare(&idle), 0);
		vfio_device_stats(rig.device, &stats);
		assert_int_equal(stats.dma_map_count, 0);
	}
	rig_connect(&rig);
	step_half_a_header(&rig);
	rig_disconnect(&rig);
	assert_int_equal(leaks_compare(&idle), 0);
	rig_stop(&rig);
	close(death_fd);
}

static void config_is_reset_for_the_next(void **state)
{
	struct rig rig;

	rig_ready(&rig);
	config_write32(&rig, 0x10, 0xfebf0000);
	config_write16(&rig, 4, 6);
	assert_int_equal(config_read32(&rig, 0x10), 0xfebf0000);
	rig_disconnect(&rig);
	rig_connect(&rig);
	assert_int_equal(client_version(&rig, NULL), 0);
	assert_int_equal(config_read32(&rig, 0x10), 0);
	assert_int_equal(config_read32(&rig, 4) & 0xffff, 0);
	rig_stop(&rig);
}

#define DEATH(label, n)                                               \
	{                                                             \
		.name = "dies after " label, .test_func = dies_after, \
		.initial_state = (void *)(uintptr_t)(n)               \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_single_bytes),
		cmocka_unit_test(split_at_each_byte),
		cmocka_unit_test(many_in_one_write),
		cmocka_unit_test(one_and_a_half_in_one_write),
		cmocka_unit_test(same_id_twice),
		cmocka_unit_test(size_below_a_header),
		cmocka_unit_test(size_too_large),
		cmocka_unit_test(largest_write),
		cmocka_unit_test(posted_writes_before_a_descriptor),
		cmocka_unit_test(each_message_gets_its_own),
		cmocka_unit_test(glued_behind_a_taker),
		cmocka_unit_test(header_and_body_apart),
		cmocka_unit_test(floods_of_descriptors),
		cmocka_unit_test(slow_reader),
		cmocka_unit_test(slow_reader_of_a_descriptor),
		cmocka_unit_test(dies_without_reading),
		cmocka_unit_test(posted_writes_are_done_in_order),
		cmocka_unit_test(multi_is_done_in_order),
		DEATH("connecting", 0),
		DEATH("VERSION", 1),
		DEATH("DMA_MAP", 2),
		DEATH("SET_IRQS", 3),
		DEATH("commands whose replies it does not read", 4),
		DEATH("half a message", 5),
		cmocka_unit_test(config_is_reset_for_the_next),
	};

	return cmocka_run_group_tests_name("the stream", tests, NULL, NULL);
}
