/* SPDX-License-Identifier: MIT */
/* Memory of another process: one that ends, is not ours to read, or has lost its number. */
#include <errno.h>
#include <linux/sched.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/guest_mem/kinds.h"

#define BYTES (256 * PAGE_BYTES)

struct vmm {
	struct leaks before;
	struct guest *guest;
	uint8_t *memory; /* shared with the child */
	pid_t child;
	int pidfd, orders;
};

static int add_memory(struct vmm *vmm, int pidfd, uint64_t address)
{
	struct guest_kvm_process process = {
		.gpa = gpa(0),
		.bytes = BYTES,
		.pidfd = pidfd,
		.address = address,
		.access = GUEST_READ | GUEST_WRITE,
	};

	return guest_kvm_process_add(vmm->guest, &process);
}

static int set_up(void **state)
{
	static struct vmm vmm;
	struct guest_kvm_config config = { .vm_fd = -1 };

	vmm = (struct vmm){ .before = leaks_count() };
	assert_int_equal(guest_kvm_create(&config, &vmm.guest), 0);
	vmm.memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(vmm.memory, MAP_FAILED);
	vmm.child = child_start(&vmm.pidfd, &vmm.orders);
	*state = &vmm;
	return 0;
}

static void end_child(struct vmm *vmm)
{
	if (vmm->child)
		child_end(vmm->child, vmm->orders);
	vmm->child = 0;
}

static int tear_down(void **state)
{
	struct vmm *vmm = *state;

	end_child(vmm);
	close(vmm->pidfd);
	guest_kvm_destroy(vmm->guest);
	munmap(vmm->memory, BYTES);
	return leaks_compare(&vmm->before);
}

static int get(struct vmm *vmm, uint64_t at, void *buf, size_t len)
{
	guest_enter(vmm->guest);
	int err = guest_read(vmm->guest, gpa(at), buf, len);
	guest_leave(vmm->guest);
	return err;
}

static int put(struct vmm *vmm, uint64_t at, const void *buf, size_t len)
{
	guest_enter(vmm->guest);
	int err = guest_write(vmm->guest, gpa(at), buf, len);
	guest_leave(vmm->guest);
	return err;
}

static void what_cannot_be_lent(void **state)
{
	struct vmm *vmm = *state;
	uint64_t address = (uintptr_t)vmm->memory;
	int file = memfd_create("no process", MFD_CLOEXEC);

	assert_int_equal(add_memory(vmm, -1, address), -EINVAL);
	assert_int_equal(add_memory(vmm, file, address), -EINVAL);
	assert_int_equal(add_memory(vmm, vmm->pidfd, UINT64_MAX - 100), -EINVAL);
	/* Below what a process may map; and a piece of which only the first part is there. */
	assert_int_equal(add_memory(vmm, vmm->pidfd, 0), -EFAULT);
	assert_int_equal(munmap(vmm->memory + BYTES - PAGE_BYTES, PAGE_BYTES), 0);
	int pidfd = pidfd_open(getpid(), 0);
	assert_int_equal(add_memory(vmm, pidfd, address), -EFAULT);
	assert_int_equal(guest_kvm_memory_count(vmm->guest), 0);
	close(pidfd);
	close(file);
}

/*
 * What KVM could be told to show is an address of ours, where there is something else.  It is not
 * even asked: the file that stands for it here knows no such request.
 */
static void what_no_window_shows(void **state)
{
	struct vmm *vmm = *state;
	struct guest_window window = {
		.gpa = gpa(4 * BYTES),
		.bytes = PAGE_BYTES,
		.alias = true,
		.of = gpa(PAGE_BYTES),
		.writable = true,
	};
	struct guest_kvm_config config = {
		.vm_fd = memfd_create("no hypervisor", MFD_CLOEXEC),
		.slot_count = 4,
	};

	guest_kvm_destroy(vmm->guest);
	assert_int_equal(guest_kvm_create(&config, &vmm->guest), 0);
	assert_int_equal(add_memory(vmm, vmm->pidfd, (uintptr_t)vmm->memory), 0);
	assert_int_equal(vmm->guest->ops->window(vmm->guest, &window, true), -EFAULT);
	close(config.vm_fd);
}

/* Root may trace everybody, so it becomes somebody; who is somebody meets one that forbids it. */
static bool become_a_stranger(void)
{
	return geteuid() ? !prctl(PR_SET_DUMPABLE, 1) : !setresuid(65534, 65534, 65534);
}

/* The kernel's rules decide, and they are asked when the memory is lent. */
static void a_process_that_may_not_be_traced(void **state)
{
	struct vmm *vmm = *state;
	int status;

	if (geteuid())
		assert_int_equal(prctl(PR_SET_DUMPABLE, 0), 0);
	pid_t pid = fork();
	if (!pid) {
		int pidfd = pidfd_open(getppid(), 0);

		if (!become_a_stranger())
			_exit(1);
		_exit(add_memory(vmm, pidfd, (uintptr_t)vmm->memory) == -EPERM ? 0 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	prctl(PR_SET_DUMPABLE, 1);
	assert_int_equal(status, 0);
}

/* Dead, and then dead and waited for. */
static void a_process_that_has_ended(void **state)
{
	struct vmm *vmm = *state;
	uint64_t address = (uintptr_t)vmm->memory;
	uint8_t buf[8];

	assert_int_equal(add_memory(vmm, vmm->pidfd, address), 0);
	assert_int_equal(get(vmm, 0, buf, 8), 0);
	kill(vmm->child, SIGKILL);
	assert_int_equal(waitid(P_PID, (id_t)vmm->child, &(siginfo_t){ 0 }, WEXITED | WNOWAIT), 0);
	assert_int_equal(get(vmm, 0, buf, 8), -ESRCH);
	assert_int_equal(put(vmm, 0, buf, 8), -ESRCH);
	end_child(vmm);
	assert_int_equal(get(vmm, 0, buf, 8), -ESRCH);
	assert_int_equal(put(vmm, 0, buf, 8), -ESRCH);
	assert_int_equal(guest_kvm_memory_remove(vmm->guest, gpa(0), BYTES), 0);
	assert_int_equal(add_memory(vmm, vmm->pidfd, address), -ESRCH);
}

static _Atomic unsigned int copied;

/* All of it is copied at once, so that the end falls into a copy. */
static void *copy_until_refused(void *opaque)
{
	struct vmm *vmm = opaque;
	uint8_t *buf = malloc(BYTES);
	intptr_t err = 0;

	while (!err) {
		err = get(vmm, 0, buf, BYTES);
		if (!err)
			err = put(vmm, 0, buf, BYTES);
		atomic_fetch_add(&copied, !err);
	}
	free(buf);
	return (void *)err;
}

static void a_process_that_ends_in_the_middle(void **state)
{
	struct vmm *vmm = *state;
	pthread_t threads[2];
	void *result;

	assert_int_equal(add_memory(vmm, vmm->pidfd, (uintptr_t)vmm->memory), 0);
	atomic_store(&copied, 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, copy_until_refused, vmm), 0);
	while (atomic_load(&copied) < 4)
		sched_yield();
	end_child(vmm);
	for (int i = 0; i < 2; i++) {
		pthread_join(threads[i], &result);
		assert_int_equal((intptr_t)result, -ESRCH);
	}
}

/* A process with the number @pid, which shares our memory; 0: we may not choose numbers. */
static pid_t start_with_number(pid_t pid)
{
	struct clone_args args = {
		.exit_signal = SIGCHLD,
		.set_tid = (uintptr_t)&pid,
		.set_tid_size = 1,
	};
	pid_t child = (pid_t)syscall(SYS_clone3, &args, sizeof(args));

	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	return child < 0 ? 0 : child;
}

static void a_number_that_another_has_got(void **state)
{
	struct vmm *vmm = *state;
	pid_t number = vmm->child;
	uint8_t buf[8] = "written";

	assert_int_equal(add_memory(vmm, vmm->pidfd, (uintptr_t)vmm->memory), 0);
	end_child(vmm);
	pid_t other = start_with_number(number);
	if (!other)
		skip();
	assert_int_equal(put(vmm, 0, buf, 8), -ESRCH);
	assert_int_equal(vmm->memory[0], 0);
	vmm->memory[0] = 0x5a;
	assert_int_equal(get(vmm, 0, buf, 8), -ESRCH);
	kill(other, SIGKILL);
	assert_int_equal(waitpid(other, NULL, 0), other);
}

#define with_vmm(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_vmm(what_cannot_be_lent),
		with_vmm(what_no_window_shows),
		with_vmm(a_process_that_may_not_be_traced),
		with_vmm(a_process_that_has_ended),
		with_vmm(a_process_that_ends_in_the_middle),
		with_vmm(a_number_that_another_has_got),
	};

	return cmocka_run_group_tests_name("memory of another process", tests, NULL, NULL);
}
