/* SPDX-License-Identifier: MIT */
/*
 * tinyvmm: the smallest VMM that embeds a vGPU.  It makes a VM on /dev/kvm, with some memory, one
 * or more vCPUs and PCI config space as memory (ECAM), puts a vGPU of libmediant's on the bus, and
 * runs a small guest program that drives it: sizes and places the BARs, turns decoding on, reads
 * PVINFO, sets up a ring and a context, submits, waits for the MSI, and looks at the memory the
 * GPU has written.
 *
 *	cc tinyvmm.c $(pkg-config --cflags --libs mediant) -o tinyvmm
 *
 * Read main() first, then run_vcpu(): those are what a VMM has to do.  Exit status: 0, the guest
 * is content; 1, it is not; 77, this machine has no KVM that will do.
 *
 * The guest program is guest_main(), C in a section of its own that is copied into the guest's
 * memory.  It runs in user mode with all memory mapped flat, so that it needs no kernel, runs
 * natively even where /dev/kvm is an implementation that emulates privileged code, and cannot take
 * an interrupt: it asks the VMM's mailbox to wait for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/pci_regs.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <mediant/mediant.h>

/* ---- What the guest and the VMM agree on -------------------------------------------------------
 */

#define RAM_BYTES  0x1000000u
#define TABLES_AT  0x1000u /* page tables: 6 pages */
#define CODE_AT	   0x10000u
#define STACK_AT   0x40000u /* grows down; 4 KiB for each vCPU */
#define GPU_AT	   0x100000u
#define MAILBOX_AT 0xa0000000u
#define ECAM_AT	   0xb0000000u
#define ECAM_BYTES 0x100000u
#define BAR0_AT	   0xc0000000u
#define BAR2_AT	   0xd0000000u

#define VGPU_DEVFN (2u << 3) /* 00:02.0, where an integrated GPU lives */
#define MAX_VCPUS  8

/* Registers of the mailbox; 32 bits each. */
enum {
	MAIL_WAIT = 0,	/* read: waits for the interrupt; 1: it came, 0: it did not */
	MAIL_NOTE = 4,	/* write: a number to print */
	MAIL_BEGIN = 8, /* write: count exits from here */
	MAIL_END = 12,	/* write: and print how many there were */
	MAIL_EXIT = 16, /* write: the vCPU ends; 0: all is well, else the number of a check */
};

/* ---- The guest ---------------------------------------------------------------------------------
 */

/* A sanitizer's run time is not there in the guest. */
#ifdef __clang__
#define UNINSTRUMENTED no_sanitize("address", "thread", "undefined", "coverage")
#else
#define UNINSTRUMENTED no_sanitize("address"), no_sanitize("thread"), no_sanitize("undefined")
#endif
#define GUEST  __attribute__((section("guest"), noinline, no_stack_protector, UNINSTRUMENTED))
#define INLINE static inline __attribute__((always_inline, UNINSTRUMENTED))

extern const char __start_guest[], __stop_guest[];

INLINE void store(uint64_t at, uint32_t value)
{
	*(volatile uint32_t *)at = value;
}

INLINE uint32_t load(uint64_t at)
{
	return *(volatile uint32_t *)at;
}

/* Registers and commands as i915 and Intel's manuals spell them. */
#define RCS			0x2000u
#define RING_HWS_PGA		(RCS + 0x80)
#define RING_HWSTAM		(RCS + 0x98)
#define RING_MI_MODE		(RCS + 0x9c)
#define RING_IMR		(RCS + 0xa8)
#define RING_ELSP		(RCS + 0x230)
#define RING_MODE_GEN7		(RCS + 0x29c)
#define RING_CONTEXT_STATUS_PTR (RCS + 0x3a0)
#define GEN8_MASTER_IRQ		0x44200u
#define GEN8_GT_IMR0		0x44304u
#define GEN8_GT_IIR0		0x44308u
#define GEN8_GT_IER0		0x4430cu
#define PVINFO			0x78000u
#define GFX_FLSH_CNTL_GEN6	0x101008u
#define GGTT			0x800000u
#define MI_USER_INTERRUPT	0x01000000u
#define MI_STORE_DWORD_GGTT	0x10400002u

#define CONTEXT_ID 0x20u
#define RESULT	   0x600df00du

/*
 * Pages from GPU_AT on.  The GPU sees them in the guest's share of graphics memory, whose first
 * address PVINFO tells: @share + (page - GPU_AT).
 */
#define HWSP	     (GPU_AT + 0x0000)
#define RESULT_AT    (GPU_AT + 0x1000)
#define RING	     (GPU_AT + 0x2000)
#define IMAGE	     (GPU_AT + 0x3000) /* two pages; the registers are in the second */
#define STATE(dword) (IMAGE + 0x1000 + 4 * (dword))
#define PML4	     (GPU_AT + 0x5000)
#define GMA(page)    (share + (page)-GPU_AT)
#define GPU_PAGES    6

#define CHECK(number, condition)       \
	do {                           \
		if (!(condition))      \
			return number; \
	} while (0)

/* Writes all ones, and reads back which bits stick. */
INLINE uint32_t size_bar(uint64_t config, unsigned int bar)
{
	store(config + PCI_BASE_ADDRESS_0 + 4 * bar, ~0u);
	return ~(load(config + PCI_BASE_ADDRESS_0 + 4 * bar) & ~15u) + 1;
}

GUEST static uint32_t guest_pci(uint64_t config)
{
	uint32_t msi = load(config + PCI_CAPABILITY_LIST) & 0xff;

	CHECK(1, load(config) == 0x19128086);
	store(MAILBOX_AT + MAIL_NOTE, size_bar(config, 0));
	store(MAILBOX_AT + MAIL_NOTE, size_bar(config, 2));
	store(config + PCI_BASE_ADDRESS_0, BAR0_AT);
	store(config + PCI_BASE_ADDRESS_1, 0);
	store(config + PCI_BASE_ADDRESS_2, BAR2_AT);
	store(config + PCI_BASE_ADDRESS_3, 0);
	store(config + PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	while (msi && (load(config + msi) & 0xff) != PCI_CAP_ID_MSI)
		msi = load(config + msi) >> 8 & 0xff;
	CHECK(2, msi);
	store(config + msi + PCI_MSI_ADDRESS_LO, 0xfee00000);
	store(config + msi + PCI_MSI_ADDRESS_HI, 0);
	store(config + msi + PCI_MSI_DATA_64, 0x41);
	store(config + msi, load(config + msi) | PCI_MSI_FLAGS_ENABLE << 16);
	return 0;
}

GUEST static void guest_start_engine(uint64_t mmio, uint32_t share)
{
	for (uint32_t i = 0; i < GPU_PAGES; i++) {
		uint32_t entry = (share / 0x1000 + i) * 8;

		store(mmio + GGTT + entry, (GPU_AT + i * 0x1000) | 1);
		store(mmio + GGTT + entry + 4, 0);
	}
	store(mmio + GFX_FLSH_CNTL_GEN6, 1);
	store(HWSP + 0x7c, 5);
	store(mmio + RING_HWSTAM, ~0u);
	store(mmio + RING_MODE_GEN7, 0x80008000);
	store(mmio + RING_MI_MODE, 0x01000000);
	store(mmio + RING_HWS_PGA, GMA(HWSP));
	store(mmio + RING_CONTEXT_STATUS_PTR, 0xffff0505);
	store(mmio + RING_IMR, 0xfffff6f6);
	store(mmio + GEN8_MASTER_IRQ, 0);
	store(mmio + GEN8_GT_IIR0, ~0u);
	store(mmio + GEN8_GT_IER0, 0x101);
	store(mmio + GEN8_GT_IMR0, ~0x101u);
	store(mmio + GEN8_MASTER_IRQ, 1u << 31);
}

/* One LRI of @count registers at @dword of the context image, all zero but for what is set later.
 */
INLINE void lay_registers(uint32_t dword, uint32_t reg, int step, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		store(STATE(dword + 2 * i), RCS + reg + (uint32_t)step * i);
}

GUEST static void guest_make_context(uint32_t share)
{
	store(STATE(0x01), 0x11001000 | (2 * 14 - 1));
	store(STATE(0x02), RCS + 0x244); /* CTX_CONTEXT_CONTROL: nothing to restore yet */
	store(STATE(0x03), 0x00090009);
	store(STATE(0x04), RCS + 0x34);
	store(STATE(0x06), RCS + 0x30);
	store(STATE(0x08), RCS + 0x38);
	store(STATE(0x09), GMA(RING));
	store(STATE(0x0a), RCS + 0x3c);
	store(STATE(0x0b), 1);
	store(STATE(0x0c), RCS + 0x168);
	store(STATE(0x0e), RCS + 0x140);
	store(STATE(0x10), RCS + 0x110);
	store(STATE(0x12), RCS + 0x11c);
	store(STATE(0x14), RCS + 0x114);
	store(STATE(0x16), RCS + 0x118);
	store(STATE(0x18), RCS + 0x1c0);
	store(STATE(0x1a), RCS + 0x1c4);
	store(STATE(0x1c), RCS + 0x1c8);
	store(STATE(0x21), 0x11001000 | (2 * 9 - 1));
	store(STATE(0x22), RCS + 0x3a8);
	lay_registers(0x24, 0x28c, -4, 8);
	store(STATE(0x33), PML4); /* CTX_PDP0_LDW */
	store(STATE(0x53), 0x11001000 | (2 * 5 - 1));
	store(STATE(0x54), RCS + 0x9c);
	store(STATE(0x55), 0x01000000);
	lay_registers(0x56, 0x600, 4, 4);
}

/* A store of RESULT to memory, and an interrupt. */
GUEST static uint32_t guest_submit(uint64_t mmio, uint32_t share)
{
	uint32_t desc = GMA(IMAGE) | 3u << 3 | 1;

	store(RING + 0, MI_STORE_DWORD_GGTT);
	store(RING + 4, GMA(RESULT_AT));
	store(RING + 8, 0);
	store(RING + 12, RESULT);
	store(RING + 16, MI_USER_INTERRUPT);
	store(RING + 20, 0);
	store(STATE(0x07), 24); /* CTX_RING_TAIL */
	store(MAILBOX_AT + MAIL_BEGIN, 0);
	store(mmio + RING_ELSP, 0);
	store(mmio + RING_ELSP, 0);
	store(mmio + RING_ELSP, CONTEXT_ID);
	store(mmio + RING_ELSP, desc);
	store(MAILBOX_AT + MAIL_END, 0);
	CHECK(20, load(MAILBOX_AT + MAIL_WAIT) == 1);
	CHECK(21, load(mmio + GEN8_GT_IIR0) & 0x101);
	CHECK(22, load(RESULT_AT) == RESULT);
	/* Idle to active, then complete: i915 waits for the same two. */
	for (uint32_t spins = 0; load(HWSP + 0x7c) != 1; spins++)
		CHECK(23, spins < 100000000);
	CHECK(24, load(HWSP + 0x44) == 0 || load(HWSP + 0x44) == CONTEXT_ID);
	CHECK(25, load(HWSP + 0x4c) == CONTEXT_ID);
	return 0;
}

GUEST static uint32_t guest_drive(void)
{
	uint32_t failed = guest_pci(ECAM_AT + (VGPU_DEVFN << 12)), share;

	if (failed)
		return failed;
	CHECK(10, load(BAR0_AT + PVINFO) == 0x76544776);
	CHECK(11, load(BAR0_AT + PVINFO + 4) == 0x47765447);
	share = load(BAR0_AT + PVINFO + 0x48); /* what the guest may use and cannot map */
	CHECK(12, share && load(BAR0_AT + PVINFO + 0x4c) >= GPU_PAGES * 0x1000);
	guest_start_engine(BAR0_AT, share);
	guest_make_context(share);
	return guest_submit(BAR0_AT, share);
}

/* Where each vCPU starts; the first drives, the others look at registers meanwhile. */
GUEST static void guest_main(uint64_t vcpu)
{
	uint32_t failed = 0;

	if (!vcpu)
		failed = guest_drive();
	else
		for (uint32_t i = 0; i < 1000; i++)
			load(BAR0_AT + GEN8_MASTER_IRQ);
	store(MAILBOX_AT + MAIL_EXIT, failed);
	for (;;)
		;
}

/* ---- The VMM -----------------------------------------------------------------------------------
 */

struct vcpu {
	int fd;
	unsigned int number;
	struct kvm_run *run;
	struct mediant_vcpu *mediant;
	pthread_t thread;
	uint64_t exits, begin;
	bool done;
	uint32_t failed;
};

static int kvm_fd, vm_fd, msi_fd;
static uint8_t *ram;
static struct mediant_vm *vm;
static struct mediant_device *device;
static struct vcpu vcpus[MAX_VCPUS];
static size_t run_bytes;

static void die(int status, const char *what, int err)
{
	fprintf(stderr, "tinyvmm: %s: %s\n", what, strerror(err));
	exit(status);
}

static int check(int result, const char *what)
{
	if (result < 0)
		die(1, what, errno);
	return result;
}

static void open_kvm(void)
{
	kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm_fd < 0) {
		fprintf(stderr,
			"tinyvmm: /dev/kvm: %s.\nThis needs a machine with KVM: load the module "
			"(modprobe kvm_intel or kvm_amd),\nallow virtualisation in the firmware, or "
			"join the group that owns the device.\n",
			strerror(errno));
		exit(77);
	}
	if (ioctl(kvm_fd, KVM_GET_API_VERSION, 0) != KVM_API_VERSION ||
	    ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_USER_MEMORY) <= 0 ||
	    ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_READONLY_MEM) <= 0)
		die(77, "/dev/kvm lacks user memory or read-only slots", ENOTSUP);
	vm_fd = check(ioctl(kvm_fd, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
	ioctl(vm_fd, KVM_SET_TSS_ADDR, 0xfffbd000ul);
	run_bytes = (size_t)check(ioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0), "KVM mapping size");
}

/* The first 4 GiB, flat, in pages of 2 MiB that user mode may touch. */
static void make_page_tables(void)
{
	uint64_t *pml4 = (uint64_t *)(ram + TABLES_AT), *pdpt = pml4 + 512, *pd = pdpt + 512;

	pml4[0] = (TABLES_AT + 0x1000) | 7;
	for (uint64_t i = 0; i < 4; i++)
		pdpt[i] = (TABLES_AT + 0x2000 + i * 0x1000) | 7;
	for (uint64_t i = 0; i < 4 * 512; i++)
		pd[i] = i << 21 | 0x87;
}

static void make_memory(void)
{
	struct kvm_userspace_memory_region slot = { .slot = 0, .memory_size = RAM_BYTES };

	ram = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (ram == MAP_FAILED)
		die(1, "guest memory", errno);
	make_page_tables();
	memcpy(ram + CODE_AT, __start_guest, (size_t)(__stop_guest - __start_guest));
	slot.userspace_addr = (uintptr_t)ram;
	check(ioctl(vm_fd, KVM_SET_USER_MEMORY_REGION, &slot), "memory slot");
}

static void refuse_type(const char *named)
{
	struct mediant_type type;

	fprintf(stderr, "tinyvmm: there is no type \"%s\".  These are there:\n", named);
	for (unsigned int i = 0; !mediant_type_get(i, &type); i++)
		fprintf(stderr, "  %s: %s\n", type.name, type.description);
	exit(2);
}

static void make_vgpu(const char *type)
{
	struct mediant_vm_config vm_config;
	struct mediant_device_config device_config;

	MEDIANT_INIT(&vm_config);
	vm_config.vm_fd = vm_fd;
	vm_config.first_slot = 1; /* 0 is our memory */
	vm_config.slot_count = 100;
	vm_config.coalesce = ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_COALESCED_MMIO) > 0;
	int err = mediant_vm_create(&vm_config, &vm);
	if (!err)
		err = mediant_memory_add(vm, 0, RAM_BYTES, ram, MEDIANT_MEMORY_WRITE);

	MEDIANT_INIT(&device_config);
	device_config.type = type;
	if (!err)
		err = mediant_device_create(vm, &device_config, &device);
	/* Whoever waits for the interrupt reads this; a VMM with an irqchip makes an irqfd of it.
	 */
	msi_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!err)
		err = mediant_device_irq_eventfd(device, MEDIANT_IRQ_MSI, 0, msi_fd);
	if (err == -ENOENT)
		refuse_type(type);
	if (err)
		die(1, "vGPU", -err);
}

/* 64-bit user mode, flat. */
static void set_mode(struct kvm_sregs *sregs)
{
	struct kvm_segment code = { .selector = 0x33,
				    .limit = 0xffffffff,
				    .type = 11,
				    .present = 1,
				    .dpl = 3,
				    .s = 1,
				    .l = 1,
				    .g = 1 };
	struct kvm_segment stack = { .selector = 0x2b,
				     .limit = 0xffffffff,
				     .type = 3,
				     .present = 1,
				     .dpl = 3,
				     .db = 1,
				     .s = 1,
				     .g = 1 };
	struct kvm_segment none = { .unusable = 1 };

	sregs->cs = code;
	sregs->ss = stack;
	sregs->ds = sregs->es = sregs->fs = sregs->gs = none;
	sregs->cr0 = 0x80050033; /* PG AM WP NE ET MP PE */
	sregs->cr3 = TABLES_AT;
	sregs->cr4 = 0x620;  /* PAE OSFXSR OSXMMEXCPT */
	sregs->efer = 0xd01; /* NXE LMA LME SCE */
}

static void set_cpuid(int fd)
{
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entries[256];
	} cpuid = { .head.nent = 256 };

	check(ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, &cpuid), "KVM_GET_SUPPORTED_CPUID");
	check(ioctl(fd, KVM_SET_CPUID2, &cpuid), "KVM_SET_CPUID2");
}

static void make_vcpu(struct vcpu *vcpu, unsigned int number)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs = {
		.rip = CODE_AT + (uint64_t)((const char *)guest_main - __start_guest),
		.rsp = STACK_AT + 0x1000 * (number + 1) - 8,
		.rdi = number,
		.rflags = 2,
	};

	vcpu->number = number;
	vcpu->fd = check(ioctl(vm_fd, KVM_CREATE_VCPU, number), "KVM_CREATE_VCPU");
	vcpu->run = mmap(NULL, run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED)
		die(1, "vCPU", errno);
	set_cpuid(vcpu->fd);
	check(ioctl(vcpu->fd, KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
	set_mode(&sregs);
	check(ioctl(vcpu->fd, KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
	check(ioctl(vcpu->fd, KVM_SET_REGS, &regs), "KVM_SET_REGS");
	int err = mediant_vcpu_create(vm, vcpu->run, &vcpu->mediant);
	if (err)
		die(1, "vCPU", -err);
}

static uint32_t wait_for_interrupt(void)
{
	struct pollfd ready = { .fd = msi_fd, .events = POLLIN };
	uint64_t count;

	if (poll(&ready, 1, 5000) != 1)
		return 0;
	return read(msi_fd, &count, sizeof(count)) == sizeof(count);
}

static void mailbox_store(struct vcpu *vcpu, uint64_t at, uint32_t value)
{
	switch (at) {
	case MAIL_NOTE:
		printf("guest: 0x%08x\n", value);
		break;
	case MAIL_BEGIN:
		vcpu->begin = vcpu->exits;
		break;
	case MAIL_END:
		printf("exits of the submission: %llu\n",
		       (unsigned long long)(vcpu->exits - vcpu->begin - 1));
		break;
	case MAIL_EXIT:
		vcpu->failed = value;
		vcpu->done = true;
	}
}

/* What is not the vGPU's: config space and the mailbox; an empty bus reads as all ones. */
static void serve_mmio(struct vcpu *vcpu)
{
	uint64_t at = vcpu->run->mmio.phys_addr;
	uint8_t *data = vcpu->run->mmio.data;
	uint32_t len = vcpu->run->mmio.len, value = 0;

	if (!vcpu->run->mmio.is_write)
		memset(data, 0xff, 8);
	if (at - ECAM_AT < ECAM_BYTES) {
		uint16_t offset = at & 0xfff;

		if ((at - ECAM_AT) >> 12 != VGPU_DEVFN)
			return;
		if (vcpu->run->mmio.is_write)
			mediant_device_config_write(device, offset, data, len);
		else
			mediant_device_config_read(device, offset, data, len);
	} else if (at - MAILBOX_AT < 0x1000 && vcpu->run->mmio.is_write) {
		memcpy(&value, data, len < 4 ? len : 4);
		mailbox_store(vcpu, at - MAILBOX_AT, value);
	} else if (at == MAILBOX_AT + MAIL_WAIT) {
		value = wait_for_interrupt();
		memcpy(data, &value, 4);
	}
}

static void *run_vcpu(void *opaque)
{
	struct vcpu *vcpu = opaque;

	while (!vcpu->done) {
		if (ioctl(vcpu->fd, KVM_RUN, 0) < 0) {
			if (errno != EINTR)
				die(1, "KVM_RUN", errno);
			/* No exit: what the structure holds is the one before. */
			continue;
		}
		vcpu->exits++;
		/* The vGPU's own accesses are served in there, on this thread. */
		if (mediant_vcpu_exit(vcpu->mediant))
			continue;
		if (vcpu->run->exit_reason == KVM_EXIT_MMIO) {
			serve_mmio(vcpu);
		} else {
			fprintf(stderr, "tinyvmm: vCPU %u: unexpected exit %u\n", vcpu->number,
				vcpu->run->exit_reason);
			vcpu->failed = 100;
			break;
		}
	}
	return NULL;
}

static uint32_t run_vcpus(unsigned int count)
{
	uint32_t failed = 0;

	for (unsigned int i = 0; i < count; i++)
		make_vcpu(&vcpus[i], i);
	for (unsigned int i = 0; i < count; i++)
		if ((errno = pthread_create(&vcpus[i].thread, NULL, run_vcpu, &vcpus[i])))
			die(1, "thread", errno);
	for (unsigned int i = 0; i < count; i++) {
		pthread_join(vcpus[i].thread, NULL);
		failed = failed ? failed : vcpus[i].failed;
		mediant_vcpu_destroy(vcpus[i].mediant);
		munmap(vcpus[i].run, run_bytes);
		close(vcpus[i].fd);
	}
	return failed;
}

int main(int argc, char **argv)
{
	unsigned int vcpu_count = argc > 1 ? (unsigned int)atoi(argv[1]) : 1;

	if (argc > 3 || (argc > 1 && (vcpu_count < 1 || vcpu_count > MAX_VCPUS))) {
		bool help = argc == 2 && !strcmp(argv[1], "--help");

		fprintf(help ? stdout : stderr, "usage: tinyvmm [VCPUS [TYPE]]   (1 to %d vCPUs)\n",
			MAX_VCPUS);
		return help ? 0 : 2;
	}
	open_kvm();
	make_memory();
	make_vgpu(argc > 2 ? argv[2] : NULL);
	uint32_t failed = run_vcpus(vcpu_count);

	fflush(stdout);
	mediant_device_stats_save(device, STDOUT_FILENO);
	mediant_device_destroy(device);
	mediant_vm_destroy(vm);
	munmap(ram, RAM_BYTES);
	close(msi_fd);
	close(vm_fd);
	close(kvm_fd);
	if (failed)
		printf("the guest is not content: check %u\n", failed);
	else
		puts("the guest is content");
	return failed != 0;
}
