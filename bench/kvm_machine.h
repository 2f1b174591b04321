/* SPDX-License-Identifier: MIT */
/*
 * What the benches of the KVM guest share: a VM of tests/support/kvm_rig.h with a vGPU of
 * libmediant's on it, and how they measure and report.  What goes wrong ends the bench with a line.
 */
#ifndef BENCH_KVM_MACHINE_H
#define BENCH_KVM_MACHINE_H

#include <stdio.h>

#include "bench/bench.h"
#include "mediant/mediant.h"
#include "tests/support/kvm_rig.h"

#define ROUNDS	   9
#define PER_ROUND  200
#define BAR0_AT	   0xc0000000ull
#define BAR2_AT	   0xd0000000ull
#define NOTHING_AT 0xe0000000ull

#define GT_IIR	   0x44308u
#define MASTER_IRQ 0x44200u

struct machine {
	struct rig rig;
	struct mediant_vm *vm;
	struct mediant_device *device;
	struct mediant_vcpu *vcpu;
	int event_fd;
};

/* @trap_all: nothing is coalesced or shown in windows. */
void machine_open(struct machine *m, bool trap_all);
void machine_close(struct machine *m);
void machine_config_write(struct machine *m, uint16_t offset, uint32_t value, size_t len);

/* For rig_run(): the machine @opaque serves the exit; nobody does. */
bool machine_serve(void *opaque);
bool machine_serve_not(void *opaque);
/* Runs @job; nanoseconds for each of its accesses. */
uint64_t machine_run(struct rig *rig, struct rig_job job, bool (*serve)(void *), void *opaque);

/* A negative @result, -errno, ends the bench. */
void machine_must(int result, const char *what);
double machine_median_ns(struct bench_samples *samples);
/* One row in nanoseconds: @ours beside @beside, which @what names, and a floor. */
void machine_report(FILE *jsonl, const char *name, struct bench_samples *ours, const char *what,
		    struct bench_samples *beside, const char *floor, double floor_ns);

/* kvm_trap.c: our share of an exit that is made up, which needs no /dev/kvm. */
void bench_traps(FILE *jsonl);
/* The rest needs it.  kvm_trap.c: an exit that we serve beside one that nobody looks at. */
void bench_exit(FILE *jsonl);
/* kvm_spare.c: doorbells, coalesced stores, windows, interrupts, page tracking. */
void bench_spares(FILE *jsonl);
/* kvm_submission.c: the exits and the time of one submission. */
void bench_submissions(FILE *jsonl);

#endif
