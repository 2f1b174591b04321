/* SPDX-License-Identifier: MIT */
/* The rig; user mode, because some implementations of /dev/kvm emulate everything else. */
#include "tests/support/kvm_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* In the control memory. */
#define TABLES_AT     0x1000u
#define CODE_AT	      0x10000u
#define CPUS_AT	      0x20000u
#define CPU_BYTES     0x4000u /* the job at the start, the stack down from the end */
#define CONTROL_BYTES (CPUS_AT + RIG_MAX_CPUS * CPU_BYTES)

/* A sanitizer's run time is not there in the guest. */
#ifdef __clang__
#define UNINSTRUMENTED no_sanitize("address", "thread", "undefined", "coverage")
#else
#define UNINSTRUMENTED no_sanitize("address"), no_sanitize("thread"), no_sanitize("undefined")
#endif
#define GUEST \
	__attribute__((section("rigguest"), noinline, no_stack_protector, used, UNINSTRUMENTED))
#define INLINE static inline __attribute__((always_inline, UNINSTRUMENTED))

extern const char __start_rigguest[], __stop_rigguest[];

/* ---- The guest ---- */

#define MOVE(type) (*(volatile type *)to = *(volatile type *)from)

INLINE void guest_copy(uint64_t to, uint64_t from, uint64_t bytes)
{
	uint64_t width;

	for (; bytes; bytes -= width, to += width, from += width) {
		width = bytes >= 8 ? 8 : bytes >= 4 ? 4 : bytes >= 2 ? 2 : 1;
		if (width == 8)
			MOVE(uint64_t);
		else if (width == 4)
			MOVE(uint32_t);
		else if (width == 2)
			MOVE(uint16_t);
		else
			MOVE(uint8_t);
	}
}

INLINE uint64_t guest_steps(volatile struct rig_job *job)
{
	uint64_t sum = 0;

	for (uint64_t i = 0; i < job->step_count; i++) {
		volatile uint32_t *reg = (uint32_t *)(job->at + job->steps[i].at);

		if (job->steps[i].store)
			*reg = job->steps[i].value;
		else
			sum += *reg;
	}
	return sum;
}

GUEST static void guest_main(volatile struct rig_job *job)
{
	uint64_t at = job->at, stride = job->stride, value = job->value, sum = 0;

	if (job->kind == RIG_PUT) {
		guest_copy(at, (uint64_t)job->data, job->count);
	} else if (job->kind == RIG_GET) {
		guest_copy((uint64_t)job->data, at, job->count);
	} else {
		for (uint64_t n = job->count; n; n--, at += stride) {
			if (job->kind == RIG_STORE)
				*(volatile uint32_t *)at = (uint32_t)value++;
			else if (job->kind == RIG_LOAD)
				sum += *(volatile uint32_t *)at;
			else if (job->kind == RIG_SEQUENCE)
				sum += guest_steps(job);
		}
	}
	job->sum = sum;
	*(volatile uint32_t *)RIG_MAILBOX_AT = 1;
	for (;;)
		;
}

/* ---- The VM ---- */

/* The first 4 GiB, flat. */
static void make_page_tables(uint8_t *control)
{
	const uint64_t at = RIG_CONTROL_AT + TABLES_AT;
	uint64_t *pml4 = (uint64_t *)(control + TABLES_AT), *pdpt = pml4 + 512, *pd = pdpt + 512;

	pml4[0] = (at + 0x1000) | 7;
	for (uint64_t i = 0; i < 4; i++)
		pdpt[i] = (at + 0x2000 + i * 0x1000) | 7;
	for (uint64_t i = 0; i < 2048; i++)
		pd[i] = i << 21 | 0x87;
}

static int set_mode(struct rig_cpu *cpu)
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
	struct kvm_mp_state running = { .mp_state = KVM_MP_STATE_RUNNABLE };
	struct kvm_sregs sregs;

	if (ioctl(cpu->rig->kvm_fd, KVM_GET_SUPPORTED_CPUID, &cpuid) ||
	    ioctl(cpu->fd, KVM_SET_CPUID2, &cpuid) || ioctl(cpu->fd, KVM_GET_SREGS, &sregs))
		return -errno;
	/* With interrupt controllers all but the first would wait for a start-up message. */
	ioctl(cpu->fd, KVM_SET_MP_STATE, &running);
	sregs.cs = code;
	sregs.ss = data;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = none;
	sregs.cr0 = 0x80050033;
	sregs.cr3 = RIG_CONTROL_AT + TABLES_AT;
	sregs.cr4 = 0x620;
	sregs.efer = 0xd01;
	return ioctl(cpu->fd, KVM_SET_SREGS, &sregs) ? -errno : 0;
}

int rig_cpu_open(struct rig *rig, struct rig_cpu *cpu)
{
	if (rig->cpu_count == RIG_MAX_CPUS)
		return -ENOSPC;
	*cpu = (struct rig_cpu){ .rig = rig, .number = rig->cpu_count };
	cpu->fd = ioctl(rig->vm_fd, KVM_CREATE_VCPU, cpu->number);
	if (cpu->fd < 0)
		return -errno;
	cpu->run = mmap(NULL, rig->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, cpu->fd, 0);
	if (cpu->run == MAP_FAILED) {
		cpu->run = NULL;
		return -errno;
	}
	rig->cpus[rig->cpu_count++] = cpu;
	return set_mode(cpu);
}

void rig_cpu_close(struct rig_cpu *cpu)
{
	if (cpu->run)
		munmap(cpu->run, cpu->rig->run_bytes);
	if (cpu->fd >= 0)
		close(cpu->fd);
}

static int install(struct rig *rig, uint32_t number, uint64_t gpa, uint64_t bytes, void *host)
{
	struct kvm_userspace_memory_region slot = {
		.slot = number,
		.guest_phys_addr = gpa,
		.memory_size = bytes,
		.userspace_addr = (uintptr_t)host,
	};

	return ioctl(rig->vm_fd, KVM_SET_USER_MEMORY_REGION, &slot) ? -errno : 0;
}

static void *map_memory(size_t bytes)
{
	void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return map == MAP_FAILED ? NULL : map;
}

static const char *open_vm(struct rig *rig, bool irqchip, void *ram)
{
	rig->kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (rig->kvm_fd < 0)
		return "there is no /dev/kvm, or it may not be opened";
	rig->vm_fd = ioctl(rig->kvm_fd, KVM_CREATE_VM, 0);
	if (rig->vm_fd < 0)
		return "KVM makes no VM";
	ioctl(rig->vm_fd, KVM_SET_TSS_ADDR, 0xfffbd000ul);
	if (irqchip && ioctl(rig->vm_fd, KVM_CREATE_IRQCHIP, 0))
		return "KVM makes no interrupt controllers";
	rig->run_bytes = (size_t)ioctl(rig->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	rig->own_ram = !ram;
	rig->ram = ram ? ram : map_memory(RIG_RAM_BYTES);
	rig->control = map_memory(CONTROL_BYTES);
	if (!rig->ram || !rig->control ||
	    install(rig, RIG_CONTROL_SLOT, RIG_CONTROL_AT, CONTROL_BYTES, rig->control))
		return "no memory for a VM";
	return NULL;
}

const char *rig_open(struct rig *rig, bool irqchip, void *ram)
{
	*rig = (struct rig){ .kvm_fd = -1, .vm_fd = -1, .cpu.fd = -1 };
	pthread_mutex_init(&rig->gate, NULL);
	pthread_cond_init(&rig->moved, NULL);
	const char *missing = open_vm(rig, irqchip, ram);
	if (missing)
		return missing;
	make_page_tables(rig->control);
	memcpy(rig->control + CODE_AT, __start_rigguest,
	       (size_t)(__stop_rigguest - __start_rigguest));
	return rig_cpu_open(rig, &rig->cpu) ? "KVM takes no vCPU in 64-bit user mode" : NULL;
}

void rig_close(struct rig *rig)
{
	rig_cpu_close(&rig->cpu);
	if (rig->vm_fd >= 0)
		close(rig->vm_fd);
	if (rig->kvm_fd >= 0)
		close(rig->kvm_fd);
	if (rig->ram && rig->own_ram)
		munmap(rig->ram, RIG_RAM_BYTES);
	if (rig->control)
		munmap(rig->control, CONTROL_BYTES);
}

bool rig_missing(void)
{
	struct rig rig;
	const char *missing = rig_open(&rig, true, NULL);

	rig_close(&rig);
	if (missing)
		printf("skipped: %s\n", missing);
	return missing;
}

int rig_install_memory(struct rig *rig)
{
	return install(rig, 0, 0, RIG_RAM_BYTES, rig->ram);
}

/* ---- Interrupts ---- */

int rig_route(struct rig *rig, uint32_t gsi, uint64_t address, uint32_t data, bool on)
{
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry entry;
	} table = {
		.head.nr = on,
		.entry = { .gsi = gsi,
			   .type = KVM_IRQ_ROUTING_MSI,
			   .u.msi = { .address_lo = (uint32_t)address, .data = data } },
	};

	return ioctl(rig->vm_fd, KVM_SET_GSI_ROUTING, &table) ? -errno : 0;
}

void rig_enable_lapic(struct rig_cpu *cpu)
{
	struct kvm_lapic_state lapic;

	ioctl(cpu->fd, KVM_GET_LAPIC, &lapic);
	lapic.regs[0xf1] |= 1; /* SPIV: software enable */
	ioctl(cpu->fd, KVM_SET_LAPIC, &lapic);
}

bool rig_requested(struct rig_cpu *cpu, unsigned int vector)
{
	struct kvm_lapic_state lapic;

	return !ioctl(cpu->fd, KVM_GET_LAPIC, &lapic) &&
	       (lapic.regs[0x200 + vector / 32 * 16 + vector % 32 / 8] & (1 << vector % 8));
}

bool rig_wait_requested(struct rig_cpu *cpu, unsigned int vector)
{
	for (unsigned int i = 0; i < 1000 && !rig_requested(cpu, vector); i++)
		usleep(1000);
	return rig_requested(cpu, vector);
}

/* ---- Running ---- */

static void kicked(int number)
{
}

static void go_in(struct rig_cpu *cpu)
{
	struct rig *rig = cpu->rig;

	if (!rig->gated)
		return;
	pthread_mutex_lock(&rig->gate);
	while (rig->closed)
		pthread_cond_wait(&rig->moved, &rig->gate);
	cpu->run->immediate_exit = 0;
	cpu->thread = pthread_self();
	cpu->inside = true;
	pthread_mutex_unlock(&rig->gate);
}

static void come_out(struct rig_cpu *cpu)
{
	struct rig *rig = cpu->rig;

	if (!rig->gated)
		return;
	pthread_mutex_lock(&rig->gate);
	cpu->inside = false;
	pthread_cond_broadcast(&rig->moved);
	pthread_mutex_unlock(&rig->gate);
}

/* With the gate's lock held; kicks whom it finds.  A kick may come just before KVM_RUN. */
static bool anybody_inside(struct rig *rig)
{
	bool any = false;

	for (unsigned int i = 0; i < rig->cpu_count; i++) {
		if (!rig->cpus[i]->inside)
			continue;
		any = true;
		__atomic_store_n(&rig->cpus[i]->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
		pthread_kill(rig->cpus[i]->thread, SIGUSR1);
	}
	return any;
}

void rig_pause(struct rig *rig)
{
	struct sigaction action = { .sa_handler = kicked };

	sigaction(SIGUSR1, &action, NULL);
	pthread_mutex_lock(&rig->gate);
	rig->closed = true;
	while (anybody_inside(rig))
		pthread_cond_wait(&rig->moved, &rig->gate);
	pthread_mutex_unlock(&rig->gate);
}

void rig_resume(struct rig *rig)
{
	pthread_mutex_lock(&rig->gate);
	rig->closed = false;
	pthread_cond_broadcast(&rig->moved);
	pthread_mutex_unlock(&rig->gate);
}

/* One stay in the guest; -EINTR when it was kicked out of it. */
static int stay(struct rig_cpu *cpu)
{
	go_in(cpu);
	int err = ioctl(cpu->fd, KVM_RUN, 0) ? -errno : 0;
	come_out(cpu);
	return err;
}

/* Tells how a run ended that should not have; @err again. */
static int ended(const struct rig_cpu *cpu, int err)
{
	const struct kvm_run *run = cpu->run;
	struct kvm_regs regs = { 0 };

	ioctl(cpu->fd, KVM_GET_REGS, &regs);
	fprintf(stderr, "vCPU %u: %s at 0x%llx after %llu exits, exit reason %u", cpu->number,
		strerror(-err), regs.rip, (unsigned long long)cpu->exits, run->exit_reason);
	if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR)
		fprintf(stderr, ", suberror %u", run->internal.suberror);
	fputc('\n', stderr);
	return err;
}

int rig_cpu_run(struct rig_cpu *cpu, struct rig_job *job, bool (*serve)(void *opaque), void *opaque)
{
	uint64_t at = CPUS_AT + cpu->number * CPU_BYTES;
	struct kvm_regs regs = {
		.rip = RIG_CONTROL_AT + CODE_AT +
		       (uint64_t)((const char *)guest_main - __start_rigguest),
		.rsp = RIG_CONTROL_AT + at + CPU_BYTES - 8,
		.rdi = RIG_CONTROL_AT + at,
		.rflags = 2,
	};

	memcpy(cpu->rig->control + at, job, sizeof(*job));
	cpu->exits = 0;
	if (ioctl(cpu->fd, KVM_SET_REGS, &regs))
		return -errno;
	for (;;) {
		int err = stay(cpu);
		if (err == -EINTR)
			continue;
		if (err)
			return ended(cpu, err);
		if (cpu->run->exit_reason == KVM_EXIT_MMIO &&
		    cpu->run->mmio.phys_addr == RIG_MAILBOX_AT)
			break;
		cpu->exits++;
		if (!serve(opaque))
			return ended(cpu, -EIO);
	}
	/* What came before the mailbox, stores in the ring included, is done. */
	serve(opaque);
	memcpy(job, cpu->rig->control + at, sizeof(*job));
	return 0;
}

int rig_run(struct rig *rig, struct rig_job *job, bool (*serve)(void *opaque), void *opaque)
{
	return rig_cpu_run(&rig->cpu, job, serve, opaque);
}
