/* SPDX-License-Identifier: MIT */
/* The rig; user mode, because some implementations of /dev/kvm emulate everything else. */
#include "tests/support/kvm_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define TABLES_AT 0x1000u
#define CODE_AT	  0x10000u
#define STACK_AT  0x7ff8u

/* A sanitizer's run time is not there in the guest. */
#ifdef __clang__
#define UNINSTRUMENTED no_sanitize("address", "thread", "undefined", "coverage")
#else
#define UNINSTRUMENTED no_sanitize("address"), no_sanitize("thread"), no_sanitize("undefined")
#endif
#define GUEST \
	__attribute__((section("rigguest"), noinline, no_stack_protector, used, UNINSTRUMENTED))

extern const char __start_rigguest[], __stop_rigguest[];

/* ---- The guest ---- */

GUEST static void guest_main(volatile struct rig_job *job)
{
	uint64_t at = job->at, stride = job->stride, value = job->value, sum = 0;
	uint64_t steps = job->step_count;

	for (uint64_t n = job->count; n; n--, at += stride) {
		if (job->kind == RIG_STORE) {
			*(volatile uint32_t *)at = (uint32_t)value++;
		} else if (job->kind == RIG_LOAD) {
			sum += *(volatile uint32_t *)at;
		} else if (job->kind == RIG_SEQUENCE) {
			for (uint64_t i = 0; i < steps; i++) {
				volatile uint32_t *reg = (uint32_t *)(at + job->steps[i].at);

				if (job->steps[i].store)
					*reg = job->steps[i].value;
				else
					sum += *reg;
			}
		}
	}
	job->sum = sum;
	*(volatile uint32_t *)RIG_MAILBOX_AT = 1;
	for (;;)
		;
}

/* ---- The VM ---- */

static void make_page_tables(uint8_t *ram)
{
	uint64_t *pml4 = (uint64_t *)(ram + TABLES_AT), *pdpt = pml4 + 512, *pd = pdpt + 512;

	pml4[0] = (TABLES_AT + 0x1000) | 7;
	for (uint64_t i = 0; i < 4; i++)
		pdpt[i] = (TABLES_AT + 0x2000 + i * 0x1000) | 7;
	for (uint64_t i = 0; i < 2048; i++)
		pd[i] = i << 21 | 0x87;
}

static int set_mode(struct rig *rig)
{
	struct kvm_segment code = { .selector = 0x33,
				    .limit = ~0u,
				    .type = 11,
				    .present = 1,
				    .dpl = 3,
				    .s = 1,
				    .l = 1,
				    .g = 1 };
	struct kvm_segment data = { .selector = 0x2b,
				    .limit = ~0u,
				    .type = 3,
				    .present = 1,
				    .dpl = 3,
				    .db = 1,
				    .s = 1,
				    .g = 1 };
	struct kvm_segment none = { .unusable = 1 };
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entries[256];
	} cpuid = { .head.nent = 256 };
	struct kvm_sregs sregs;

	if (ioctl(rig->kvm_fd, KVM_GET_SUPPORTED_CPUID, &cpuid) ||
	    ioctl(rig->vcpu_fd, KVM_SET_CPUID2, &cpuid) ||
	    ioctl(rig->vcpu_fd, KVM_GET_SREGS, &sregs))
		return -errno;
	sregs.cs = code;
	sregs.ss = data;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = none;
	sregs.cr0 = 0x80050033;
	sregs.cr3 = TABLES_AT;
	sregs.cr4 = 0x620;
	sregs.efer = 0xd01;
	return ioctl(rig->vcpu_fd, KVM_SET_SREGS, &sregs) ? -errno : 0;
}

const char *rig_open(struct rig *rig, bool irqchip)
{
	*rig = (struct rig){ .kvm_fd = -1, .vm_fd = -1, .vcpu_fd = -1 };
	rig->kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (rig->kvm_fd < 0)
		return "there is no /dev/kvm, or it may not be opened";
	rig->vm_fd = ioctl(rig->kvm_fd, KVM_CREATE_VM, 0);
	if (rig->vm_fd < 0)
		return "KVM makes no VM";
	ioctl(rig->vm_fd, KVM_SET_TSS_ADDR, 0xfffbd000ul);
	if (irqchip && ioctl(rig->vm_fd, KVM_CREATE_IRQCHIP, 0))
		return "KVM makes no interrupt controllers";
	rig->vcpu_fd = ioctl(rig->vm_fd, KVM_CREATE_VCPU, 0);
	rig->run_bytes = (size_t)ioctl(rig->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	rig->run = mmap(NULL, rig->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, rig->vcpu_fd, 0);
	rig->ram = mmap(NULL, RIG_RAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
			0);
	if (rig->run == MAP_FAILED || rig->ram == MAP_FAILED)
		return "no memory for a VM";
	make_page_tables(rig->ram);
	memcpy(rig->ram + CODE_AT, __start_rigguest, (size_t)(__stop_rigguest - __start_rigguest));
	return set_mode(rig) ? "KVM takes no vCPU in 64-bit user mode" : NULL;
}

void rig_close(struct rig *rig)
{
	if (rig->run && rig->run != MAP_FAILED)
		munmap(rig->run, rig->run_bytes);
	if (rig->vcpu_fd >= 0)
		close(rig->vcpu_fd);
	if (rig->vm_fd >= 0)
		close(rig->vm_fd);
	if (rig->kvm_fd >= 0)
		close(rig->kvm_fd);
	if (rig->ram && rig->ram != MAP_FAILED)
		munmap(rig->ram, RIG_RAM_BYTES);
}

int rig_install_memory(struct rig *rig)
{
	struct kvm_userspace_memory_region slot = {
		.memory_size = RIG_RAM_BYTES,
		.userspace_addr = (uintptr_t)rig->ram,
	};

	return ioctl(rig->vm_fd, KVM_SET_USER_MEMORY_REGION, &slot) ? -errno : 0;
}

int rig_run(struct rig *rig, struct rig_job *job, bool (*serve)(void *opaque), void *opaque)
{
	struct kvm_regs regs = {
		.rip = CODE_AT + (uint64_t)((const char *)guest_main - __start_rigguest),
		.rsp = STACK_AT,
		.rdi = RIG_JOB_AT,
		.rflags = 2,
	};

	memcpy(rig->ram + RIG_JOB_AT, job, sizeof(*job));
	rig->exits = 0;
	if (ioctl(rig->vcpu_fd, KVM_SET_REGS, &regs))
		return -errno;
	for (;;) {
		if (ioctl(rig->vcpu_fd, KVM_RUN, 0) && errno != EINTR)
			return -errno;
		if (rig->run->exit_reason == KVM_EXIT_MMIO &&
		    rig->run->mmio.phys_addr == RIG_MAILBOX_AT)
			break;
		rig->exits++;
		if (!serve(opaque))
			return -EIO;
	}
	/* What came before the mailbox, stores in the ring included, is done. */
	serve(opaque);
	memcpy(job, rig->ram + RIG_JOB_AT, sizeof(*job));
	return 0;
}
