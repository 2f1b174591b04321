/* SPDX-License-Identifier: MIT */
/* One submission as i915 makes it: its exits, and its time from end to end. */
#include <linux/pci_regs.h>
#include <string.h>

#include "base/clock.h"
#include "bench/kvm_machine.h"
#include "bench/submission.h"

#define MSI_CAP 0xacu

#define CONTEXT_AT 0x1800000u

/* What a pass cost, from one submission's end to the next one's. */
struct pass {
	struct machine m;
	struct submission s;
	struct bench_samples times;
	struct bench_samples exits; /* thousands of them, where others have nanoseconds */
	double mean_exits;
	uint64_t ended_ns, ended_exits;
	bool begun; /* a submission of this job has ended */
};

static uint32_t door_load(void *opaque, uint32_t at)
{
	struct machine *m = opaque;
	uint32_t value;

	machine_must(mediant_device_bar_read(m->device, 0, at, &value, sizeof(value)),
		     "a register");
	return value;
}

static void door_store(void *opaque, uint32_t at, uint32_t value)
{
	struct machine *m = opaque;

	machine_must(mediant_device_bar_write(m->device, 0, at, &value, sizeof(value)),
		     "a register");
}

static void ended(struct pass *p)
{
	const uint64_t exits = p->m.rig.cpu.exits;

	submission_wait(&p->s);
	if (p->begun) {
		bench_sample(&p->times, clock_now_ns() - p->ended_ns);
		bench_sample(&p->exits, 1000 * (exits - p->ended_exits));
	}
	p->begun = true;
	p->ended_exits = exits;
	submission_prepare(&p->s);
	p->ended_ns = clock_now_ns();
}

/* The guest stays out while its submission runs. */
static bool serve_submission(void *opaque)
{
	struct pass *p = opaque;
	const struct kvm_run *run = p->m.rig.cpu.run;
	const uint32_t last = p->s.steps[SUBMISSION_PORT - 1].value;
	bool submits = run->exit_reason == KVM_EXIT_MMIO && run->mmio.is_write &&
		       run->mmio.phys_addr == BAR0_AT + SUBMISSION_ELSP &&
		       !memcmp(run->mmio.data, &last, sizeof(last));

	if (!mediant_vcpu_exit(p->m.vcpu))
		return false;
	if (submits)
		ended(p);
	return true;
}

static void pass_open(struct pass *p, bool trap_all)
{
	const struct submission_door door = { door_load, door_store, &p->m };

	*p = (struct pass){ 0 };
	bench_samples_init(&p->times, ROUNDS * PER_ROUND);
	bench_samples_init(&p->exits, ROUNDS * PER_ROUND);
	machine_open(&p->m, trap_all);
	machine_config_write(&p->m, MSI_CAP + PCI_MSI_FLAGS, PCI_MSI_FLAGS_ENABLE, 2);
	submission_init(&p->s, p->m.rig.ram + CONTEXT_AT, CONTEXT_AT, &door);
	submission_prepare(&p->s);
}

static void pass_close(struct pass *p)
{
	machine_close(&p->m);
	bench_samples_fini(&p->times);
	bench_samples_fini(&p->exits);
}

/* A round by the guest's own accesses. */
static void guest_round(struct pass *p, unsigned int steps)
{
	struct rig_job job = {
		.kind = RIG_SEQUENCE, .at = BAR0_AT, .count = PER_ROUND, .step_count = steps
	};

	memcpy(job.steps, p->s.steps, sizeof(p->s.steps));
	p->begun = false;
	p->ended_exits = 0;
	machine_run(&p->m.rig, job, serve_submission, p);
	p->mean_exits += (double)p->m.rig.cpu.exits / PER_ROUND / ROUNDS;
}

/* A round by calls: what is left when no access leaves a guest. */
static void calls_round(struct pass *p, unsigned int steps)
{
	p->begun = false;
	for (int i = 0; i < PER_ROUND; i++) {
		for (unsigned int n = 0; n < steps; n++) {
			if (p->s.steps[n].store)
				door_store(&p->m, p->s.steps[n].at, p->s.steps[n].value);
			else
				door_load(&p->m, p->s.steps[n].at);
			if (n == SUBMISSION_PORT - 1)
				ended(p);
		}
	}
}

static void bench_submission(FILE *jsonl, const char *name, const char *time_name,
			     unsigned int steps)
{
	struct pass ours, all, calls;

	pass_open(&all, true);
	pass_open(&ours, false);
	pass_open(&calls, true);
	for (int round = 0; round < ROUNDS; round++) {
		guest_round(&all, steps);
		guest_round(&ours, steps);
		calls_round(&calls, steps);
	}
	bench_report(jsonl, &(struct bench_result){
				    .name = name,
				    .unit = "exits",
				    .value = ours.mean_exits,
				    .p99 = bench_percentile_us(&ours.exits, 99),
				    .baseline = { "every access traps", all.mean_exits },
				    .limit = { "one has to be seen", 1 },
			    });
	bench_report(
		jsonl,
		&(struct bench_result){
			.name = time_name,
			.unit = "us",
			.value = bench_percentile_us(&ours.times, 50),
			.p99 = bench_percentile_us(&ours.times, 99),
			.baseline = { "every access traps", bench_percentile_us(&all.times, 50) },
			.limit = { "calls, and no guest", bench_percentile_us(&calls.times, 50) },
		});
	pass_close(&calls);
	pass_close(&ours);
	pass_close(&all);
}

void bench_submissions(FILE *jsonl)
{
	bench_submission(jsonl, "submit.kvm.exits", "submit.kvm.time", SUBMISSION_PORT);
	bench_submission(jsonl, "submit.kvm.irq.exits", "submit.kvm.irq.time", SUBMISSION_STEPS);
}
