/* SPDX-License-Identifier: MIT */
/* Slots of a remote VMM's memory: look-up, limits of files, changes under readers, SIGBUS. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest/guest.h"
#include "tests/support/leaks.h"

static struct guest *guest;

static int setup(void **state)
{
	leaks_setup(state);
	return guest_remote_create(&guest);
}

static int teardown(void **state)
{
	guest_remote_destroy(guest);
	guest = NULL;
	return leaks_teardown(state);
}

static int memory_fd(size_t bytes)
{
	int fd = memfd_create("guest", MFD_CLOEXEC);

	assert_true(fd >= 0 && !ftruncate(fd, (off_t)bytes));
	return fd;
}

static int map_fd(uint64_t addr, uint64_t bytes, int fd, uint64_t offset)
{
	struct guest_slot_config config = {
		.gpa = gpa(addr),
		.bytes = bytes,
		.access = GUEST_READ | GUEST_WRITE,
		.backing = fd < 0 ? GUEST_BACKING_MESSAGE : GUEST_BACKING_MMAP,
		.fd = fd,
		.fd_offset = offset,
	};

	return guest_remote_map(guest, &config, NULL, NULL);
}

static bool present(uint64_t addr)
{
	size_t len;

	guest_enter(guest);
	bool there = guest_map(guest, gpa(addr), GUEST_READ, &len);
	guest_leave(guest);
	return there;
}

/* The mapping that holds @address has @flag among the VmFlags of /proc/self/smaps. */
static bool has_vm_flag(const void *address, const char *flag)
{
	FILE *maps = fopen("/proc/self/smaps", "re");
	uintptr_t first, end;
	bool here = false, found = false;
	char line[512];

	assert_non_null(maps);
	while (!found && fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx ", &first, &end) == 2)
			here = first <= (uintptr_t)address && (uintptr_t)address < end;
		else if (here && !strncmp(line, "VmFlags:", 8))
			found = strstr(line, flag);
	}
	fclose(maps);
	return found;
}

static void core_dumps_are_without_guest_memory(void **state)
{
	int fd = memory_fd(PAGE_BYTES);
	void *host;
	size_t len;

	assert_int_equal(map_fd(0, PAGE_BYTES, fd, 0), 0);
	close(fd);
	guest_enter(guest);
	host = guest_map(guest, gpa(0), GUEST_READ, &len);
	guest_leave(guest);
	assert_true(has_vm_flag(host, " dd"));
	assert_false(has_vm_flag(&len, " dd"));
}

static void many_slots_in_any_order(void **state)
{
	enum { SLOTS = 400 };
	int fd = memory_fd(PAGE_BYTES);

	/* 7 and 400 have no common factor: every slot once, out of order, with holes between. */
	for (uint64_t i = 0; i < SLOTS; i++)
		assert_int_equal(map_fd((i * 7 % SLOTS) * 2 * PAGE_BYTES, PAGE_BYTES, fd, 0), 0);
	assert_int_equal(guest_remote_slot_count(guest), SLOTS);
	assert_int_equal(guest_remote_bytes(guest), SLOTS * PAGE_BYTES);
	for (uint64_t page = 0; page < 2 * SLOTS; page++) {
		assert_int_equal(present(page * PAGE_BYTES), !(page & 1));
		assert_int_equal(present(page * PAGE_BYTES + PAGE_BYTES - 1), !(page & 1));
	}
	for (uint64_t i = 0; i < SLOTS; i += 2)
		assert_int_equal(
			guest_remote_unmap(guest, gpa(i * 2 * PAGE_BYTES), PAGE_BYTES, NULL, NULL),
			0);
	for (uint64_t i = 0; i < SLOTS; i++)
		assert_int_equal(present(i * 2 * PAGE_BYTES), i & 1);
	close(fd);
}

static void map_tells_what_follows(void **state)
{
	int fd = memory_fd(4 * PAGE_BYTES);
	size_t len = 0;

	assert_int_equal(map_fd(0x10000, 3 * PAGE_BYTES, fd, PAGE_BYTES), 0);
	guest_enter(guest);
	uint8_t *host = guest_map(guest, gpa(0x10010), GUEST_WRITE, &len);
	assert_non_null(host);
	assert_int_equal(len, 3 * PAGE_BYTES - 0x10);
	memcpy(host, "here", 4);
	guest_leave(guest);
	char got[4];
	assert_int_equal(pread(fd, got, 4, PAGE_BYTES + 0x10), 4);
	assert_memory_equal(got, "here", 4);
	close(fd);
}

static void generation_counts_changes(void **state)
{
	uint64_t before = guest_generation(guest);

	assert_int_equal(map_fd(0, PAGE_BYTES, -1, 0), 0);
	assert_true(guest_generation(guest) > before);
	before = guest_generation(guest);
	assert_int_equal(map_fd(0, PAGE_BYTES, -1, 0), 0); /* the same: no change */
	assert_int_equal(map_fd(0, 2 * PAGE_BYTES, -1, 0), -EEXIST);
	assert_int_equal(guest_generation(guest), before);
	guest_remote_unmap_all(guest, NULL, NULL);
	assert_true(guest_generation(guest) > before);
}

static void messages_need_a_transport(void **state)
{
	uint32_t value;

	assert_int_equal(map_fd(0, PAGE_BYTES, -1, 0), 0);
	guest_enter(guest);
	assert_int_equal(guest_read(guest, gpa(0), &value, sizeof(value)), -EFAULT);
	guest_leave(guest);
}

/* ---- Readers while the map changes ------------------------------------------------------ */

static _Atomic bool leave;
static _Atomic uint64_t looks;

static void *reader(void *opaque)
{
	while (!atomic_load(&leave)) {
		guest_enter(guest);
		while (!guest_wanted(guest) && !atomic_load(&leave)) {
			size_t len;
			volatile uint8_t *host = guest_map(guest, gpa(0), GUEST_READ, &len);

			if (host)
				(void)*host;
			atomic_fetch_add(&looks, 1);
		}
		guest_leave(guest);
	}
	return opaque;
}

static void map_changes_under_readers(void **state)
{
	int fd = memory_fd(PAGE_BYTES);
	pthread_t threads[2];

	atomic_store(&leave, false);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, reader, NULL), 0);
	for (int i = 0; i < 300; i++) {
		assert_int_equal(map_fd(0, PAGE_BYTES, fd, 0), 0);
		assert_int_equal(guest_remote_unmap(guest, gpa(0), PAGE_BYTES, NULL, NULL), 0);
	}
	while (!atomic_load(&looks))
		usleep(1000);
	atomic_store(&leave, true);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	close(fd);
}

/* ---- SIGBUS ----------------------------------------------------------------------------- */

static void truncated_pages_are_zeros(void **state)
{
	int fd = memory_fd(64 * PAGE_BYTES);
	uint8_t byte;

	assert_int_equal(map_fd(0, 64 * PAGE_BYTES, fd, 0), 0);
	assert_int_equal(pwrite(fd, "\1", 1, 0), 1);
	assert_int_equal(pwrite(fd, "\2", 1, 20 * PAGE_BYTES), 1);
	assert_int_equal(ftruncate(fd, PAGE_BYTES), 0);
	guest_enter(guest);
	for (uint64_t page = 0; page < 64; page++) {
		assert_int_equal(guest_read(guest, gpa(page * PAGE_BYTES), &byte, 1), 0);
		assert_int_equal(byte, page ? 0 : 1);
		assert_int_equal(guest_write(guest, gpa(page * PAGE_BYTES + 1), "\3", 1), 0);
	}
	guest_leave(guest);
	/* The page that is left is still the VMM's. */
	assert_int_equal(pread(fd, &byte, 1, 1), 1);
	assert_int_equal(byte, 3);
	/* What was laid over the others goes with the slot. */
	assert_int_equal(ftruncate(fd, 64 * PAGE_BYTES), 0);
	guest_remote_unmap_all(guest, NULL, NULL);
	assert_int_equal(map_fd(0, 64 * PAGE_BYTES, fd, 0), 0);
	assert_int_equal(pwrite(fd, "\4", 1, 20 * PAGE_BYTES), 1);
	guest_enter(guest);
	assert_int_equal(guest_read(guest, gpa(20 * PAGE_BYTES), &byte, 1), 0);
	assert_int_equal(byte, 4);
	guest_leave(guest);
	close(fd);
}

/* Guest memory is raced for by nature, and so is the page laid over it. */
__attribute__((no_sanitize("thread"))) static void *touch(void *opaque)
{
	for (uint64_t page = 0; page < 256; page++)
		((volatile uint8_t *)opaque)[page * PAGE_BYTES]++;
	return NULL;
}

static void many_threads_fault_at_once(void **state)
{
	int fd = memory_fd(256 * PAGE_BYTES);
	pthread_t threads[4];
	size_t len;

	assert_int_equal(map_fd(0, 256 * PAGE_BYTES, fd, 0), 0);
	assert_int_equal(ftruncate(fd, 0), 0);
	guest_enter(guest);
	void *host = guest_map(guest, gpa(0), GUEST_WRITE, &len);
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, touch, host);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	guest_leave(guest);
	close(fd);
}

/* A SIGBUS that is not about a slot ends the process as it would without us. */
static void other_sigbus_kills(void **state)
{
	int slot = memory_fd(PAGE_BYTES), other = memory_fd(PAGE_BYTES), status;
	pid_t child = fork();

	if (!child) {
		signal(SIGBUS, SIG_DFL);
		if (map_fd(0, PAGE_BYTES, slot, 0))
			_exit(1);
		uint8_t *map = mmap(NULL, PAGE_BYTES, PROT_READ, MAP_SHARED, other, 0);
		if (ftruncate(other, 0))
			_exit(2);
		_exit(*(volatile uint8_t *)map ? 3 : 4);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGBUS);
	close(slot);
	close(other);
}

static void sigbus_ranges_are_given_back(void **state)
{
	int fd = memory_fd(PAGE_BYTES);

	for (int i = 0; i < 3000; i++) {
		assert_int_equal(map_fd(0, PAGE_BYTES, fd, 0), 0);
		guest_remote_unmap_all(guest, NULL, NULL);
	}
	close(fd);
}

static unsigned long max_map_count(void)
{
	unsigned long count = 0;
	FILE *file = fopen("/proc/sys/vm/max_map_count", "re");

	if (file) {
		if (fscanf(file, "%lu", &count) != 1)
			count = 0;
		fclose(file);
	}
	return count;
}

/* As many maps as it takes to be refused; then faults in the middle of one still find room. */
static void faults_find_room_among_many_maps(void **state)
{
	int small = memory_fd(PAGE_BYTES), big = memory_fd(256 * PAGE_BYTES), err;
	unsigned long most = max_map_count(), count = 0;
	uint8_t byte;

	if (!most || most > 100000)
		skip();
	assert_int_equal(map_fd(0, 256 * PAGE_BYTES, big, 0), 0);
	while (!(err = map_fd((1024 + 2 * count) * PAGE_BYTES, PAGE_BYTES, small, 0)))
		count++;
	assert_int_equal(err, -ENOSPC);
	assert_in_range(count, most / 2, most - most / 32);
	assert_int_equal(pwrite(big, "\1", 1, 100 * PAGE_BYTES), 1);
	assert_int_equal(ftruncate(big, 0), 0);
	guest_enter(guest);
	for (uint64_t page = 1; page < 256; page += 2) {
		assert_int_equal(guest_read(guest, gpa(page * PAGE_BYTES), &byte, 1), 0);
		assert_int_equal(byte, 0);
	}
	guest_leave(guest);
	/* What is given back can be had again. */
	assert_int_equal(guest_remote_unmap(guest, gpa(0), 256 * PAGE_BYTES, NULL, NULL), 0);
	assert_int_equal(ftruncate(big, PAGE_BYTES), 0);
	assert_int_equal(map_fd(0, PAGE_BYTES, big, 0), 0);
	close(small);
	close(big);
}

/* A page larger than the mapping: what lies around the mapping is nobody's to lay zeros over. */
static void faults_stay_inside_the_range(void **state)
{
	enum { PAGES = 3 * 512 };
	size_t bytes = PAGES * PAGE_BYTES;
	int fd = memory_fd(4 * PAGE_BYTES);
	uint8_t *around =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(around, MAP_FAILED);
	for (size_t page = 0; page < PAGES; page++)
		around[page * PAGE_BYTES] = 7;
	uint8_t *in = mmap(around + 700 * PAGE_BYTES, 4 * PAGE_BYTES, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_FIXED, fd, 0);
	assert_ptr_not_equal(in, MAP_FAILED);
	int handle = guest_sigbus_add(in, 4 * PAGE_BYTES, 512 * PAGE_BYTES);
	assert_true(handle >= 0);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(*(volatile uint8_t *)(in + 2 * PAGE_BYTES), 0);
	for (size_t page = 0; page < PAGES; page++)
		assert_int_equal(around[page * PAGE_BYTES], page < 700 || page >= 704 ? 7 : 0);
	guest_sigbus_remove(handle);
	munmap(around, bytes);
	close(fd);
}

static int map_file(uint64_t addr, int fd, unsigned int access)
{
	struct guest_slot_config config = {
		.gpa = gpa(addr),
		.bytes = PAGE_BYTES,
		.access = access,
		.backing = GUEST_BACKING_FILE,
		.fd = fd,
	};

	return guest_remote_map(guest, &config, NULL, NULL);
}

/* Slots that keep a descriptor leave some for others. */
static void files_leave_descriptors(void **state)
{
	enum { LIMIT = 200 };
	struct rlimit old, few;
	int fd = memory_fd(PAGE_BYTES), count = 0, err, more[LIMIT / 4];

	guest_remote_destroy(guest);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	few = old;
	few.rlim_cur = LIMIT;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	assert_int_equal(guest_remote_create(&guest), 0);
	while (!(err = map_file((uint64_t)count * PAGE_BYTES, fd, GUEST_READ)))
		count++;
	assert_int_equal(err, -EMFILE);
	assert_true(count > LIMIT / 4);
	for (size_t i = 0; i < ARRAY_SIZE(more); i++)
		assert_true((more[i] = dup(fd)) >= 0);
	for (size_t i = 0; i < ARRAY_SIZE(more); i++)
		close(more[i]);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	close(fd);
}

static void kernel_files_are_no_memory(void **state)
{
	static const char *const paths[] = { "/sys/kernel/uevent_seqnum", "/sys/kernel/profiling",
					     "/sys/kernel/fscaps", "/sys/kernel/notes" };
	struct stat st;
	int looked = 0;

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		int fd = open(paths[i], O_RDONLY | O_CLOEXEC);

		if (fd < 0)
			continue;
		/* Most say that they are a page long, which is what would have let them in. */
		if (!fstat(fd, &st) && st.st_size >= (off_t)PAGE_BYTES) {
			assert_int_equal(map_file(0, fd, GUEST_READ), -EINVAL);
			looked++;
		}
		close(fd);
	}
	if (!looked)
		skip();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(core_dumps_are_without_guest_memory),
		TEST(many_slots_in_any_order),
		TEST(map_tells_what_follows),
		TEST(generation_counts_changes),
		TEST(messages_need_a_transport),
		TEST(map_changes_under_readers),
		TEST(truncated_pages_are_zeros),
		TEST(many_threads_fault_at_once),
		TEST(other_sigbus_kills),
		TEST(sigbus_ranges_are_given_back),
		TEST(faults_find_room_among_many_maps),
		TEST(faults_stay_inside_the_range),
		TEST(files_leave_descriptors),
		TEST(kernel_files_are_no_memory),
	};

	return cmocka_run_group_tests_name("guest memory of a remote VMM", tests, NULL, NULL);
}
