/* SPDX-License-Identifier: MIT */
/* The machines of kinds.h. */
#include "tests/guest_mem/kinds.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRUTH_BYTES (TRUTH_PAGES * PAGE_BYTES)
#define LEFT_BYTES  (2 * PAGE_BYTES)

static void make_truth(struct machine *m)
{
	m->fd = memfd_create("truth", MFD_CLOEXEC);
	assert_true(m->fd >= 0 && !ftruncate(m->fd, TRUTH_BYTES));
	m->truth = mmap(NULL, TRUTH_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, 0);
	assert_ptr_not_equal(m->truth, MAP_FAILED);
}

static void drop_truth(struct machine *m)
{
	munmap(m->truth, TRUTH_BYTES);
	close(m->fd);
}

/* ---- A remote VMM's files -------------------------------------------------------------------- */

static void remote_open(struct machine *m)
{
	make_truth(m);
	assert_int_equal(guest_remote_create(&m->guest), 0);
}

static void remote_close(struct machine *m)
{
	guest_remote_destroy(m->guest);
	drop_truth(m);
}

static int remote_add(struct machine *m, const struct piece *piece, unsigned int access,
		      enum guest_backing backing)
{
	struct guest_slot_config config = {
		.gpa = gpa(piece->gpa),
		.bytes = piece->bytes,
		.access = access,
		.backing = backing,
		.fd = m->fd,
		.fd_offset = piece->offset,
	};

	return guest_remote_map(m->guest, &config, NULL, NULL);
}

static int mapped_add(struct machine *m, const struct piece *piece, unsigned int access)
{
	return remote_add(m, piece, access, GUEST_BACKING_MMAP);
}

static int file_add(struct machine *m, const struct piece *piece, unsigned int access)
{
	return remote_add(m, piece, access, GUEST_BACKING_FILE);
}

static int remote_remove(struct machine *m, uint64_t at, uint64_t bytes)
{
	return guest_remote_unmap(m->guest, gpa(at), bytes, NULL, NULL);
}

static void file_lose(struct machine *m)
{
	assert_int_equal(ftruncate(m->fd, LEFT_BYTES), 0);
}

/* ---- Messages -------------------------------------------------------------------------------- */

/* What a VMM does with a message; the pieces change only while no reader is there to ask. */
static int answer(struct machine *m, uint64_t at, void *buf, size_t len, bool write)
{
	for (unsigned int i = 0; i < m->piece_count; i++) {
		const struct piece *piece = &m->pieces[i];

		if (at < piece->gpa || at - piece->gpa >= piece->bytes)
			continue;
		uint8_t *bytes = m->truth + piece->offset + (at - piece->gpa);
		if (m->lost && bytes + len > m->truth + LEFT_BYTES)
			return -EIO;
		if (write)
			memcpy(bytes, buf, len);
		else
			memcpy(buf, bytes, len);
		return 0;
	}
	return -EFAULT;
}

static int message_read(void *opaque, gpa_t at, void *buf, size_t len)
{
	return answer(opaque, at.v, buf, len, false);
}

static int message_write(void *opaque, gpa_t at, const void *buf, size_t len)
{
	return answer(opaque, at.v, (void *)buf, len, true);
}

static void message_cancel(void *opaque)
{
}

static const struct guest_dma_ops message_ops = {
	.read = message_read,
	.write = message_write,
	.cancel = message_cancel,
};

static void message_open(struct machine *m)
{
	remote_open(m);
	guest_remote_set_dma(m->guest, &message_ops, m);
}

struct change {
	struct machine *m;
	struct piece piece;
};

/* Inside the writer section. */
static void piece_in(void *opaque)
{
	struct change *change = opaque;

	assert_true(change->m->piece_count < MAX_PIECES);
	change->m->pieces[change->m->piece_count++] = change->piece;
}

static void piece_out(void *opaque)
{
	struct change *change = opaque;
	struct machine *m = change->m;

	for (unsigned int i = 0; i < m->piece_count; i++)
		if (m->pieces[i].gpa == change->piece.gpa)
			m->pieces[i] = m->pieces[--m->piece_count];
}

static int message_add(struct machine *m, const struct piece *piece, unsigned int access)
{
	struct change change = { m, *piece };
	struct guest_slot_config config = {
		.gpa = gpa(piece->gpa),
		.bytes = piece->bytes,
		.access = access,
		.backing = GUEST_BACKING_MESSAGE,
	};

	return guest_remote_map(m->guest, &config, piece_in, &change);
}

static int message_remove(struct machine *m, uint64_t at, uint64_t bytes)
{
	struct change change = { m, { .gpa = at } };

	return guest_remote_unmap(m->guest, gpa(at), bytes, piece_out, &change);
}

static void message_lose(struct machine *m)
{
	m->lost = true;
}

/* ---- A VMM in this process ------------------------------------------------------------------- */

static void open_with(struct machine *m, int vm)
{
	struct guest_kvm_config config = { .vm_fd = vm, .slot_count = 32 };

	m->vm = vm;
	make_truth(m);
	assert_int_equal(guest_kvm_create(&config, &m->guest), 0);
}

static void bare_open(struct machine *m)
{
	open_with(m, -1);
}

static const char *kvm_missing(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return "there is no /dev/kvm, or it may not be opened";
	close(fd);
	return NULL;
}

static void kvm_open(struct machine *m)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int vm = ioctl(fd, KVM_CREATE_VM, 0);

	assert_true(vm >= 0);
	close(fd);
	open_with(m, vm);
}

static void kvm_close(struct machine *m)
{
	guest_kvm_destroy(m->guest);
	drop_truth(m);
	if (m->vm >= 0)
		close(m->vm);
}

static int kvm_add(struct machine *m, const struct piece *piece, unsigned int access)
{
	struct guest_kvm_memory memory = {
		.gpa = gpa(piece->gpa),
		.bytes = piece->bytes,
		.host = m->truth + piece->offset,
		.access = access,
		.install = m->vm >= 0,
	};

	return guest_kvm_memory_add(m->guest, &memory);
}

static int kvm_remove(struct machine *m, uint64_t at, uint64_t bytes)
{
	return guest_kvm_memory_remove(m->guest, gpa(at), bytes);
}

/* ---- Another process's memory ---------------------------------------------------------------- */

struct order {
	void *start;
	size_t bytes;
};

static void child_main(int orders)
{
	struct order order;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (read(orders, &order, sizeof(order)) == sizeof(order)) {
		munmap(order.start, order.bytes);
		if (write(orders, &order, sizeof(order)) != sizeof(order))
			break;
	}
	_exit(0);
}

pid_t child_start(int *pidfd, int *orders)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (!child) {
		close(ends[0]);
		child_main(ends[1]);
	}
	close(ends[1]);
	*orders = ends[0];
	*pidfd = pidfd_open(child, 0);
	assert_true(*pidfd >= 0);
	return child;
}

void child_end(pid_t child, int orders)
{
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
	close(orders);
}

static void process_open(struct machine *m)
{
	bare_open(m);
	m->child = child_start(&m->pidfd, &m->orders);
}

static void process_close(struct machine *m)
{
	kvm_close(m);
	child_end(m->child, m->orders);
	close(m->pidfd);
}

static int process_add(struct machine *m, const struct piece *piece, unsigned int access)
{
	struct guest_kvm_process process = {
		.gpa = gpa(piece->gpa),
		.bytes = piece->bytes,
		.pidfd = m->pidfd,
		.address = (uintptr_t)m->truth + piece->offset,
		.access = access,
	};

	return guest_kvm_process_add(m->guest, &process);
}

static void process_lose(struct machine *m)
{
	struct order order = { m->truth + LEFT_BYTES, TRUTH_BYTES - LEFT_BYTES };

	assert_int_equal(write(m->orders, &order, sizeof(order)), sizeof(order));
	assert_int_equal(read(m->orders, &order, sizeof(order)), sizeof(order));
}

/* ---- The test guest -------------------------------------------------------------------------- */

static void test_open(struct machine *m)
{
	assert_int_equal(test_guest_init(&m->test_guest, TRUTH_BYTES), 0);
	m->guest = &m->test_guest.guest;
	m->truth = m->test_guest.ram.bytes;
}

static void test_close(struct machine *m)
{
	test_guest_fini(&m->test_guest);
}

/* ---------------------------------------------------------------------------------------------- */

const struct kind kinds[] = {
	{
		.name = "mapped file",
		.maps = true,
		.open = remote_open,
		.close = remote_close,
		.add = mapped_add,
		.remove = remote_remove,
		.lose = file_lose,
	},
	{
		.name = "file",
		.open = remote_open,
		.close = remote_close,
		.add = file_add,
		.remove = remote_remove,
		.lose = file_lose,
	},
	{
		.name = "messages",
		.open = message_open,
		.close = remote_close,
		.add = message_add,
		.remove = message_remove,
		.lose = message_lose,
		.lost = -EIO,
	},
	{
		.name = "another process",
		.open = process_open,
		.close = process_close,
		.add = process_add,
		.remove = kvm_remove,
		.lose = process_lose,
		.lost = -EFAULT,
	},
	{
		.name = "this process",
		.maps = true,
		.open = bare_open,
		.close = kvm_close,
		.add = kvm_add,
		.remove = kvm_remove,
	},
	{
		.name = "this process, on KVM",
		.maps = true,
		.missing = kvm_missing,
		.open = kvm_open,
		.close = kvm_close,
		.add = kvm_add,
		.remove = kvm_remove,
	},
	{
		.name = "test guest",
		.maps = true,
		.fixed = true,
		.open = test_open,
		.close = test_close,
	},
};
const size_t kind_count = ARRAY_SIZE(kinds);

void machine_open(struct machine *m, const struct kind *kind)
{
	*m = (struct machine){ .kind = kind, .fd = -1, .before = leaks_count() };
	kind->open(m);
	for (size_t i = 0; i < TRUTH_BYTES; i++)
		m->truth[i] = (uint8_t)(i ^ i >> 8 ^ i >> 16);
}

void machine_close(struct machine *m)
{
	m->kind->close(m);
	assert_int_equal(leaks_compare(&m->before), 0);
}
