/* SPDX-License-Identifier: MIT */
/*
 * A VM on /dev/kvm for tests and benchmarks: memory, vCPUs in flat 64-bit user mode, and a guest
 * program that does one kind of access many times and then leaves by a store to the mailbox.  The
 * program, its page tables and stacks are in memory of their own, out of the way of the VM's.
 *
 * A vCPU is one thread's at a time; the rest is the thread's that opened the rig.
 */
#ifndef TESTS_SUPPORT_KVM_RIG_H
#define TESTS_SUPPORT_KVM_RIG_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RIG_RAM_BYTES	 (32ull << 20)
#define RIG_MAILBOX_AT	 0xa0000000ull
#define RIG_CONTROL_AT	 0x80000000ull
#define RIG_CONTROL_SLOT 500u /* KVM slot numbers below are the test's */
#define RIG_MAX_CPUS	 16u
#define RIG_DATA_BYTES	 1024u

/*
 * RIG_STORE and RIG_LOAD: @count accesses of 4 bytes, the next @stride bytes further each time.
 * RIG_SEQUENCE: @step_count accesses of steps[], all that @count times.
 * RIG_PUT and RIG_GET: @count bytes of data[] to or from @at, in the widest accesses that fit.
 */
enum rig_kind { RIG_STORE, RIG_LOAD, RIG_NOTHING, RIG_SEQUENCE, RIG_PUT, RIG_GET };

/* One access of a recorded sequence. */
struct rig_access {
	uint32_t at;	/* from the job's address */
	uint32_t store; /* 1: of @value; 0: a load */
	uint32_t value;
};

struct rig_job {
	uint64_t kind; /* enum rig_kind */
	uint64_t at, stride, count;
	uint64_t value; /* stored, and then one more each time */
	uint64_t sum;	/* of what was loaded */
	uint64_t step_count;
	union {
		struct rig_access steps[200];
		uint8_t data[RIG_DATA_BYTES];
	};
};

struct rig;

struct rig_cpu {
	struct rig *rig;
	int fd;
	unsigned int number;
	struct kvm_run *run;
	uint64_t exits; /* of the last job, without the one that ends it */
	pthread_t thread;
	bool inside; /* guarded by the gate's lock */
};

struct rig {
	int kvm_fd, vm_fd;
	size_t run_bytes;
	uint8_t *ram;
	bool own_ram;
	uint8_t *control;
	struct rig_cpu cpu; /* the first */
	/* What keeps vCPUs out; looked at while @gated. */
	bool gated;
	bool closed;
	pthread_mutex_t gate;
	pthread_cond_t moved;
	struct rig_cpu *cpus[RIG_MAX_CPUS];
	unsigned int cpu_count;
};

/*
 * With its first vCPU.  @ram: of RIG_RAM_BYTES, borrowed; NULL: memory of its own.  NULL, or why
 * this machine cannot run one.
 */
const char *rig_open(struct rig *rig, bool irqchip, void *ram);
void rig_close(struct rig *rig);
/* True where it cannot be opened, and says why: the program is to end with 77. */
bool rig_missing(void);
/* The rig makes slot 0 of its memory; without it the memory is somebody else's to install. */
int rig_install_memory(struct rig *rig);

/*
 * Interrupt number @gsi, and no other, delivers this message (KVM_SET_GSI_ROUTING), or none.
 * -errno.
 */
int rig_route(struct rig *rig, uint32_t gsi, uint64_t address, uint32_t data, bool on);
/* What waits in the local APIC shows that a message has arrived; nobody takes it there. */
void rig_enable_lapic(struct rig_cpu *cpu);
bool rig_requested(struct rig_cpu *cpu, unsigned int vector);
/* As soon as it is, or after a second. */
bool rig_wait_requested(struct rig_cpu *cpu, unsigned int vector);

/* One vCPU more; before the first of them runs on another thread.  -errno. */
int rig_cpu_open(struct rig *rig, struct rig_cpu *cpu);
void rig_cpu_close(struct rig_cpu *cpu);

/*
 * Runs @job to its end, on the calling thread.  Exits go to @serve, which says whether it was its
 * business; another ends the run.  The job as the guest left it; -errno, -EIO for an exit nobody
 * wanted, and how it ended on stderr.
 */
int rig_cpu_run(struct rig_cpu *cpu, struct rig_job *job, bool (*serve)(void *opaque),
		void *opaque);
int rig_run(struct rig *rig, struct rig_job *job, bool (*serve)(void *opaque), void *opaque);

/* Between the two no vCPU is in the guest (rig.gated). */
void rig_pause(struct rig *rig);
void rig_resume(struct rig *rig);

#endif
