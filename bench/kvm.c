/* SPDX-License-Identifier: MIT */
/*
 * What the vGPU costs in a VMM's own process: our share of a trapped access, doorbells, coalesced
 * stores, windows, interrupts and page tracking, each beside what it is spared; and the exits of
 * one submission as i915 makes it.  The guest is a loop in user mode (tests/support/kvm_rig.h).
 *
 *   bench-kvm [JSONL]
 *
 * Our share of a trapped access is measured everywhere: the function that serves an exit is called
 * as a VMM calls it, with a struct kvm_run of our own.  Without /dev/kvm that is all, and it says
 * so.  Every round of ours has a round of the baseline beside it, so that a busy moment of the
 * machine hits both.
 */
#include "bench/kvm_machine.h"

int main(int argc, char **argv)
{
	FILE *jsonl = bench_begin(argc, argv, "[JSONL]");
	struct rig rig;
	const char *missing = rig_open(&rig, true, NULL);
	int cpu;

	rig_close(&rig);
	if (bench_cpus(&cpu, 1))
		bench_pin(cpu);
	bench_table_head();
	bench_traps(jsonl);
	if (missing) {
		printf("bench: kvm.*, submit.kvm.*: the rest was not measured: %s\n", missing);
	} else {
		bench_exit(jsonl);
		bench_spares(jsonl);
		bench_submissions(jsonl);
	}
	return bench_end(jsonl);
}
