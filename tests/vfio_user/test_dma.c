/* SPDX-License-Identifier: MIT */
/*
 * DMA by messages: the plain device's copy engine, a thread of its own, reads and writes memory
 * the client keeps, while the client goes on speaking, changes the map, answers late or dies.
 */
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/vfio_user/client.h"

#define ENGINE	     0x100
#define ENGINE_READ  1u
#define ENGINE_WRITE 2u
#define DONE	     2
#define RUNNING	     1

static uint8_t memory[0x20000];

static void start_engine(struct rig *rig, uint64_t addr, uint64_t offset, uint32_t bytes,
			 uint32_t command)
{
	struct {
		uint64_t addr, offset;
		uint32_t bytes, command;
	} regs = { addr, offset, bytes, command };

	assert_int_equal(client_write(rig, 0, ENGINE, &regs, sizeof(regs)), 0);
}

static int engine_status(struct rig *rig)
{
	int32_t status;

	assert_int_equal(client_read(rig, 0, ENGINE + 0x18, &status, sizeof(status)), 0);
	return status;
}

static int wait_engine(struct rig *rig)
{
	int status = RUNNING;

	for (int i = 0; i < 5000 && status == RUNNING; i++) {
		usleep(1000);
		status = engine_status(rig);
	}
	return status;
}

/* Runs the server until a command has come from it. */
static struct vfu_dma_access next_command(struct rig *rig, uint16_t command)
{
	struct vfu_dma_access access = { 0 };
	int got = GOT_NOTHING;

	for (int i = 0; i < 5000 && got == GOT_NOTHING; i++) {
		loop_run_once(&rig->loop, 1);
		got = client_receive(rig);
	}
	assert_int_equal(got, 0);
	assert_int_equal(rig->reply->header.flags, VFU_FLAG_COMMAND);
	assert_int_equal(rig->reply->header.command, command);
	assert_true(rig->reply->bytes >= sizeof(access));
	memcpy(&access, rig->reply->payload, sizeof(access));
	assert_int_equal(rig->reply->bytes,
			 sizeof(access) + (command == VFU_DMA_WRITE ? access.count : 0));
	return access;
}

static void send_answer(struct rig *rig, uint16_t command, uint16_t id, uint32_t error,
			const void *payload, size_t len)
{
	static uint8_t message[VFU_MAX_MSG_BYTES];
	struct vfu_header header = {
		.id = id,
		.command = command,
		.bytes = (uint32_t)(sizeof(header) + len),
		.flags = VFU_FLAG_REPLY | (error ? VFU_FLAG_ERROR : 0),
		.error = error,
	};

	memcpy(message, &header, sizeof(header));
	memcpy(message + sizeof(header), payload, len);
	client_send_raw(rig, message, header.bytes, NULL, 0);
	rig_step(rig);
}

static void answer_read(struct rig *rig, struct vfu_dma_access access, uint64_t count)
{
	static uint8_t payload[VFU_MAX_MSG_BYTES];

	access.count = count;
	memcpy(payload, &access, sizeof(access));
	memcpy(payload + sizeof(access), &memory[access.addr], count);
	send_answer(rig, VFU_DMA_READ, rig->reply->header.id, 0, payload, sizeof(access) + count);
}

static void dma_rig(struct rig *rig, const char *caps)
{
	rig_start(rig, rig_device_json);
	rig_connect(rig);
	assert_int_equal(client_version(rig, caps), 0);
	assert_int_equal(client_dma_map(rig, 3, 0, sizeof(memory), -1, 0), 0);
	for (size_t i = 0; i < sizeof(memory); i++)
		memory[i] = (uint8_t)(i ^ i >> 8);
}

static void reads(void **state)
{
	struct vfu_dma_access access;
	struct vfu_stats stats;
	uint8_t got[0x1000];
	struct rig rig;

	dma_rig(&rig, NULL);
	start_engine(&rig, 0x3000, 0x1000, sizeof(got), ENGINE_READ);
	access = next_command(&rig, VFU_DMA_READ);
	assert_int_equal(access.addr, 0x3000);
	assert_int_equal(access.count, sizeof(got));
	answer_read(&rig, access, access.count);
	assert_int_equal(wait_engine(&rig), DONE);
	assert_int_equal(client_read(&rig, 0, 0x1000, got, sizeof(got)), 0);
	assert_memory_equal(got, memory + 0x3000, sizeof(got));
	vfu_server_stats(rig.server, &stats);
	assert_int_equal(stats.dma_reads, 1);
	rig_stop(&rig);
}

static void writes(void **state)
{
	struct vfu_dma_access access;
	struct rig rig;

	dma_rig(&rig, NULL);
	assert_int_equal(client_write(&rig, 0, 0x1000, "a message's data", 16), 0);
	start_engine(&rig, 0x4001, 0x1000, 16, ENGINE_WRITE);
	access = next_command(&rig, VFU_DMA_WRITE);
	assert_int_equal(access.addr, 0x4001);
	assert_memory_equal(rig.reply->payload + sizeof(access), "a message's data", 16);
	send_answer(&rig, VFU_DMA_WRITE, rig.reply->header.id, 0, &access, sizeof(access));
	assert_int_equal(wait_engine(&rig), DONE);
	rig_stop(&rig);
}

static void fires_when_done(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	struct rig rig;

	dma_rig(&rig, NULL);
	assert_int_equal(client_set_irqs(&rig, 0x24, VFIO_PCI_MSI_IRQ_INDEX, 1, 1, &fd, 1), 0);
	start_engine(&rig, 0, 0x1000, 64, ENGINE_READ);
	answer_read(&rig, next_command(&rig, VFU_DMA_READ), 64);
	assert_int_equal(wait_engine(&rig), DONE);
	for (int i = 0; i < 1000 && poll(&(struct pollfd){ fd, POLLIN, 0 }, 1, 1) != 1; i++)
		;
	assert_int_equal(eventfd_take(fd), 1);
	rig_stop(&rig);
	close(fd);
}

static void split_to_what_the_client_takes(void **state)
{
	uint8_t got[1000];
	struct rig rig;

	dma_rig(&rig, "{\"capabilities\":{\"max_data_xfer_size\":300}}");
	start_engine(&rig, 0x100, 0x1000, sizeof(got), ENGINE_READ);
	for (uint64_t at = 0; at < sizeof(got); at += 300) {
		struct vfu_dma_access access = next_command(&rig, VFU_DMA_READ);

		assert_int_equal(access.addr, 0x100 + at);
		assert_int_equal(access.count, MIN(300, sizeof(got) - at));
		answer_read(&rig, access, access.count);
	}
	assert_int_equal(wait_engine(&rig), DONE);
	assert_int_equal(client_read(&rig, 0, 0x1000, got, sizeof(got)), 0);
	assert_memory_equal(got, memory + 0x100, sizeof(got));
	rig_stop(&rig);
}

static void short_answers_are_continued(void **state)
{
	uint8_t got[64];
	struct rig rig;

	dma_rig(&rig, NULL);
	start_engine(&rig, 0x100, 0x1000, sizeof(got), ENGINE_READ);
	answer_read(&rig, next_command(&rig, VFU_DMA_READ), 10);
	struct vfu_dma_access rest = next_command(&rig, VFU_DMA_READ);
	assert_int_equal(rest.addr, 0x10a);
	assert_int_equal(rest.count, 54);
	answer_read(&rig, rest, 54);
	assert_int_equal(wait_engine(&rig), DONE);
	assert_int_equal(client_read(&rig, 0, 0x1000, got, sizeof(got)), 0);
	assert_memory_equal(got, memory + 0x100, sizeof(got));
	rig_stop(&rig);
}

/* The client refuses, or answers what cannot be. */
static void bad_answers(void **state)
{
	uint8_t payload[128] = { 0 };
	struct vfu_dma_access access;
	struct rig rig;

	for (int kind = 0; kind < 7; kind++) {
		size_t len = sizeof(access) + 64;
		uint32_t error = 0;

		dma_rig(&rig, NULL);
		start_engine(&rig, 0, 0x1000, 64, ENGINE_READ);
		access = next_command(&rig, VFU_DMA_READ);
		uint16_t id = rig.reply->header.id;
		if (kind == 0)
			error = EIO, len = 0;
		else if (kind == 1)
			access.count = 65;
		else if (kind == 2)
			access.count = ~0ull;
		else if (kind == 3)
			access.count = 0, len = sizeof(access);
		else if (kind == 4)
			len--;
		else if (kind == 5)
			len = 8;
		else
			len = 0;
		memcpy(payload, &access, sizeof(access));
		send_answer(&rig, VFU_DMA_READ, id, error, payload, len);
		assert_int_equal(wait_engine(&rig), kind ? -EIO : -EFAULT);
		/* The same once more answers nothing that was asked. */
		send_answer(&rig, VFU_DMA_READ, id, error, payload, len);
		assert_int_equal(client_receive(&rig), EINVAL);
		rig_stop(&rig);
	}
}

static void answer_with_another_id_or_command(void **state)
{
	struct vfu_dma_access access;
	struct rig rig;

	dma_rig(&rig, NULL);
	start_engine(&rig, 0, 0x1000, 64, ENGINE_READ);
	access = next_command(&rig, VFU_DMA_READ);
	uint16_t id = rig.reply->header.id;
	send_answer(&rig, VFU_DMA_READ, (uint16_t)(id + 1), 0, &access, sizeof(access));
	assert_int_equal(client_receive(&rig), EINVAL);
	send_answer(&rig, VFU_DMA_WRITE, id, 0, &access, sizeof(access));
	assert_int_equal(client_receive(&rig), EINVAL);
	assert_int_equal(engine_status(&rig), RUNNING);
	rig.reply->header.id = id;
	answer_read(&rig, access, access.count);
	assert_int_equal(wait_engine(&rig), DONE);
	rig_stop(&rig);
}

/* QEMU holds its big lock while it waits for our answer to an access: we must give it first. */
static void accesses_are_answered_meanwhile(void **state)
{
	struct vfu_dma_access access;
	uint32_t value;
	struct rig rig;

	dma_rig(&rig, NULL);
	start_engine(&rig, 0, 0x1000, 64, ENGINE_READ);
	access = next_command(&rig, VFU_DMA_READ);
	uint16_t id = rig.reply->header.id;
	for (int i = 0; i < 100; i++)
		assert_int_equal(client_read(&rig, 7, 0, &value, sizeof(value)), 0);
	assert_int_equal(engine_status(&rig), RUNNING);
	rig.reply->header.id = id;
	answer_read(&rig, access, access.count);
	assert_int_equal(wait_engine(&rig), DONE);
	rig_stop(&rig);
}

/* A change of the map cannot wait for an answer that comes after its own. */
static void unmap_cancels(void **state)
{
	struct vfu_dma_access access;
	struct vfu_stats stats;
	struct rig rig;

	for (int kind = 0; kind < 4; kind++) {
		dma_rig(&rig, NULL);
		start_engine(&rig, 0, 0x1000, 64, ENGINE_READ);
		access = next_command(&rig, VFU_DMA_READ);
		uint16_t id = rig.reply->header.id;
		if (kind == 0)
			assert_int_equal(client_dma_unmap(&rig, 0, 0, sizeof(memory)), 0);
		else if (kind == 1)
			assert_int_equal(client_dma_unmap(&rig, 2, 0, 0), 0);
		else if (kind == 2)
			assert_int_equal(client_dma_map(&rig, 3, 1 << 20, 0x1000, -1, 0), 0);
		else
			assert_int_equal(client_call(&rig, VFU_DEVICE_RESET, NULL, 0), 0);
		assert_int_equal(wait_engine(&rig), kind == 3 ? 0 : -EIO);
		vfu_server_stats(rig.server, &stats);
		assert_int_equal(stats.dma_timeouts, 0);
		/* The answer comes late: known, and dropped without a word. */
		rig.reply->header.id = id;
		answer_read(&rig, access, access.count);
		assert_int_equal(client_receive(&rig), GOT_NOTHING);
		assert_int_equal(client_version(&rig, NULL), EINVAL);
		rig_stop(&rig);
	}
}

static void client_dies(void **state)
{
	struct rig rig;

	dma_rig(&rig, NULL);
	start_engine(&rig, 0, 0x1000, 64, ENGINE_READ);
	next_command(&rig, VFU_DMA_READ);
	rig_disconnect(&rig);
	rig_connect(&rig);
	assert_int_equal(client_version(&rig, NULL), 0);
	assert_int_equal(wait_engine(&rig), 0);
	rig_stop(&rig);
}

static void client_never_answers(void **state)
{
	struct rig rig;

	dma_rig(&rig, NULL);
	start_engine(&rig, 0, 0x1000, 64, ENGINE_READ);
	next_command(&rig, VFU_DMA_READ);
	assert_int_equal(wait_engine(&rig), -EIO);
	rig_stop(&rig);
}

static void read_only_memory(void **state)
{
	struct rig rig;

	dma_rig(&rig, NULL);
	assert_int_equal(client_dma_map(&rig, 1, 1 << 20, 0x1000, -1, 0), 0);
	start_engine(&rig, 1 << 20, 0x1000, 64, ENGINE_WRITE);
	assert_int_equal(wait_engine(&rig), -EFAULT);
	rig_stop(&rig);
}

static void no_memory(void **state)
{
	struct rig rig;

	dma_rig(&rig, NULL);
	start_engine(&rig, sizeof(memory) - 32, 0x1000, 64, ENGINE_READ);
	answer_read(&rig, next_command(&rig, VFU_DMA_READ), 32);
	assert_int_equal(wait_engine(&rig), -EFAULT);
	start_engine(&rig, 0, 0x3fff, 2, ENGINE_READ);
	assert_int_equal(wait_engine(&rig), -EINVAL);
	start_engine(&rig, 0, 0x1000, 2, 3);
	assert_int_equal(wait_engine(&rig), -EINVAL);
	rig_stop(&rig);
}

/* The thread that serves messages would wait for itself. */
static void serving_thread_may_not_ask(void **state)
{
	struct guest *guest;
	uint32_t value;
	struct rig rig;

	dma_rig(&rig, NULL);
	guest = vfio_device_guest(rig.device);
	guest_enter(guest);
	assert_int_equal(guest_read(guest, gpa(0), &value, sizeof(value)), -EDEADLK);
	assert_int_equal(guest_write(guest, gpa(0), &value, sizeof(value)), -EDEADLK);
	guest_leave(guest);
	rig_stop(&rig);
}

static void over_the_twin_socket(void **state)
{
	struct vfu_dma_access access;
	struct rig rig;

	rig_start(&rig, rig_device_json);
	rig_connect(&rig);
	assert_int_equal(client_version(&rig, "{\"capabilities\":{\"twin_socket\":"
					      "{\"supported\":true}}}"),
			 0);
	int twin = rig.reply->fds[0], main_fd = rig.fd;
	assert_int_equal(client_dma_map(&rig, 3, 0, sizeof(memory), -1, 0), 0);
	start_engine(&rig, 0x200, 0x1000, 64, ENGINE_READ);
	rig.fd = twin;
	access = next_command(&rig, VFU_DMA_READ);
	assert_int_equal(access.addr, 0x200);
	answer_read(&rig, access, access.count);
	rig.fd = main_fd;
	assert_int_equal(wait_engine(&rig), DONE);
	rig_disconnect(&rig);
	close(twin);
	rig_stop(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads),
		cmocka_unit_test(writes),
		cmocka_unit_test(fires_when_done),
		cmocka_unit_test(split_to_what_the_client_takes),
		cmocka_unit_test(short_answers_are_continued),
		cmocka_unit_test(bad_answers),
		cmocka_unit_test(answer_with_another_id_or_command),
		cmocka_unit_test(accesses_are_answered_meanwhile),
		cmocka_unit_test(unmap_cancels),
		cmocka_unit_test(client_dies),
		cmocka_unit_test(client_never_answers),
		cmocka_unit_test(read_only_memory),
		cmocka_unit_test(no_memory),
		cmocka_unit_test(serving_thread_may_not_ask),
		cmocka_unit_test(over_the_twin_socket),
	};

	return cmocka_run_group_tests_name("DMA by messages", tests, NULL, NULL);
}
