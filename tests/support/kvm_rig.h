/* SPDX-License-Identifier: MIT */
/*
 * A VM on /dev/kvm for tests and benchmarks: memory, one vCPU in flat 64-bit user mode, and a guest
 * program that does one kind of access many times and then leaves by a store to the mailbox.
 */
#ifndef TESTS_SUPPORT_KVM_RIG_H
#define TESTS_SUPPORT_KVM_RIG_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RIG_RAM_BYTES  (32ull << 20)
#define RIG_MAILBOX_AT 0xa0000000ull
#define RIG_JOB_AT     0x8000ull

enum rig_kind { RIG_STORE, RIG_LOAD, RIG_NOTHING, RIG_SEQUENCE };

/* One access of a recorded sequence. */
struct rig_access {
	uint32_t at;	/* from the job's address */
	uint32_t store; /* 1: of @value; 0: a load */
	uint32_t value;
};

/* What the guest does: @count accesses of 4 bytes, the next @stride bytes further each time. */
struct rig_job {
	uint64_t kind; /* enum rig_kind */
	uint64_t at, stride, count;
	uint64_t value;	     /* stored, and then one more each time */
	uint64_t sum;	     /* of what was loaded */
	uint64_t step_count; /* RIG_SEQUENCE: of steps[], @count times */
	struct rig_access steps[200];
};

struct rig {
	int kvm_fd, vm_fd, vcpu_fd;
	struct kvm_run *run;
	size_t run_bytes;
	uint8_t *ram;
	uint64_t exits;
};

/* NULL, or why this machine cannot run one. */
const char *rig_open(struct rig *rig, bool irqchip);
void rig_close(struct rig *rig);
/* The rig makes slot 0 of its memory; without it the memory is somebody else's to install. */
int rig_install_memory(struct rig *rig);

/*
 * Runs @job to its end.  Exits go to @serve, which says whether it was its business; another ends
 * the run.  The job as the guest left it; -errno, -EIO for an exit nobody wanted.
 */
int rig_run(struct rig *rig, struct rig_job *job, bool (*serve)(void *opaque), void *opaque);

#endif
