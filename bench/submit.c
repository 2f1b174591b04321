/* SPDX-License-Identifier: MIT */
/*
 * How long a submission takes from its first store to ELSP until its completion's interrupt is at
 * the host's door, and how many register accesses on the way a guest has to wait for.  The guest is
 * a small driver in C that does what i915 does, its virtual CPU a thread that stores and then
 * spins; the VMM's socket is not part of it (bench/trap measures that).  A job is a store and an
 * interrupt.
 *
 *   bench-submit [JSONL]
 */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/submit.h"
#include "vgpu_regs_gen.h"

#define JOBS	     4000u
#define PAUSED_JOBS  1000u
#define TURNS	     4000u
#define PAUSE_US     200 /* long enough for a lane to fall asleep */
#define COUNTED_JOBS 500u
#define CSB_ENTRIES  6u

/* ---- A submission and its end, as i915 sees them
 * ------------------------------------------------- */

/*
 * Threads made from here on, too: the virtual CPU is on the first CPU there is, the lane, made
 * while its maker was there, on the second.
 */
static void stay_on(int index)
{
	static int cpus[2], count;

	if (!count)
		count = bench_cpus(cpus, 2);
	if (count == 2)
		bench_pin(cpus[index]);
}

static void spin(void)
{
	__builtin_ia32_pause();
}

static uint32_t waiting_read(struct driver *d, uint32_t offset, uint64_t read_ns)
{
	uint32_t value = driver_read(d, offset);
	uint64_t end = read_ns ? clock_now_ns() + read_ns : 0;

	while (end && clock_now_ns() < end)
		spin();
	return value;
}

bool submit_next_csb(struct driver *d, uint64_t read_ns, uint32_t *status)
{
	struct driver_engine *e = &d->engines[GPU_RCS];
	const uint8_t *page = ram_at(d->ram, e->hwsp);

	if (e->csb_read == __atomic_load_n((const uint32_t *)(page + 0x7c), __ATOMIC_ACQUIRE))
		return false;
	e->csb_read = (e->csb_read + 1) % CSB_ENTRIES;
	*status = *(const uint32_t *)(page + 0x40 + 8 * e->csb_read);
	/* The "magic delay" of process_csb(): a posting read for each submission that was taken. */
	if (*status & (CSB_IDLE_ACTIVE | CSB_PREEMPTED))
		waiting_read(d, REG_RING_CONTEXT_STATUS_PTR(gpu_engine_base(GPU_RCS)), read_ns);
	return true;
}

/* True when one of the new entries says that a context is complete. */
static bool read_csb(struct driver *d)
{
	bool complete = false;
	uint32_t status;

	while (submit_next_csb(d, 0, &status))
		complete |= (status & CSB_COMPLETE) != 0;
	return complete;
}

void submit_handle_interrupt(struct driver *d, uint64_t read_ns)
{
	uint32_t master, iir;

	driver_write(d, REG_GEN8_MASTER_IRQ, 0);
	master = waiting_read(d, REG_GEN8_MASTER_IRQ, read_ns);
	iir = waiting_read(d, REG_GEN8_GT_IIR(0), read_ns);
	if (master && iir)
		driver_write(d, REG_GEN8_GT_IIR(0), iir);
	driver_write(d, REG_GEN8_MASTER_IRQ, 0x80000000);
}

/* Until there is a message that was not handled; how many there are then. */
static unsigned int await_message(struct driver *d, unsigned int handled)
{
	uint64_t end = clock_now_ns() + SUBMIT_LIMIT_NS;
	unsigned int messages;

	while ((messages = driver_messages(d)) == handled) {
		spin();
		if (clock_now_ns() > end)
			bench_die("no interrupt came");
	}
	return messages;
}

/*
 * From the first store until the interrupt that finds the job done; returns when the context is
 * complete.  The status buffer may tell that before its interrupt comes, which the next job then
 * meets: *@handled goes on from job to job.
 */
static uint64_t one_job(struct driver *d, struct driver_context *ctx, uint32_t seqno,
			unsigned int *handled)
{
	const uint32_t job[] = { MI_SDI_GGTT, (uint32_t)d->seqno_gma.v, 0,	 seqno,
				 MI_NOOP,     MI_USER_INTERRUPT,	MI_NOOP, MI_NOOP };
	uint64_t start, ns = 0;
	bool complete = false;

	driver_emit(d, ctx, job, ARRAY_SIZE(job));
	start = clock_now_ns();
	driver_submit(d, ctx, NULL, 0);
	while (!ns || !complete) {
		*handled = await_message(d, *handled);
		if (!ns && driver_result(d, 0) == seqno)
			ns = clock_now_ns() - start;
		submit_handle_interrupt(d, 0);
		complete |= read_csb(d);
	}
	return ns;
}

/* ---- What it stands beside
 * ------------------------------------------------------------------------ */

static _Atomic uint32_t ball, stop;

static void *answer(void *unused)
{
	while (!atomic_load(&stop)) {
		while (!atomic_load(&ball) && !atomic_load(&stop))
			spin();
		atomic_store(&ball, 0);
	}
	return NULL;
}

/* A word to another thread and back, both spinning; the median. */
static double turn_us(void)
{
	struct bench_samples samples;
	pthread_t thread;
	double us;

	bench_samples_init(&samples, TURNS);
	stay_on(1);
	if (pthread_create(&thread, NULL, answer, NULL))
		bench_die("no thread");
	stay_on(0);
	for (unsigned int i = 0; i < TURNS; i++) {
		uint64_t start = clock_now_ns();

		atomic_store(&ball, 1);
		while (atomic_load(&ball))
			spin();
		bench_sample(&samples, clock_now_ns() - start);
	}
	atomic_store(&stop, 1);
	pthread_join(thread, NULL);
	us = bench_percentile_us(&samples, 50);
	bench_samples_fini(&samples);
	return us;
}

static enum sched_step empty_step(struct sched_entity *entity, uint64_t deadline_ns)
{
	atomic_store(&ball, 0);
	return SCHED_STEP_IDLE;
}

/* A lane that is kicked and does nothing; the median. */
static double kick_us(bool pauses)
{
	struct sched_entity entity = { .step = empty_step };
	struct bench_samples samples;
	struct sched_lane *lane;
	double us;

	bench_samples_init(&samples, TURNS);
	stay_on(1);
	if (sched_lane_create("empty", &lane))
		bench_die("no lane");
	stay_on(0);
	sched_add(lane, &entity);
	for (unsigned int i = 0; i < TURNS; i++) {
		uint64_t start;

		if (pauses)
			usleep(PAUSE_US);
		start = clock_now_ns();
		atomic_store(&ball, 1);
		sched_kick(&entity);
		while (atomic_load(&ball))
			spin();
		bench_sample(&samples, clock_now_ns() - start);
	}
	sched_remove(&entity);
	sched_lane_destroy(lane);
	us = bench_percentile_us(&samples, 50);
	bench_samples_fini(&samples);
	return us;
}

/* ---- Traps ---- */

/* Register accesses in all, or for each of something. */
struct traps {
	double reads, writes;
};

static struct traps traps_now(struct driver *d)
{
	struct vgpu_stats stats;

	vgpu_stats(d->v, &stats);
	return (struct traps){ (double)stats.reg_reads, (double)stats.reg_writes };
}

static void add_since(struct traps *sum, struct traps before, struct traps now)
{
	sum->reads += now.reads - before.reads;
	sum->writes += now.writes - before.writes;
}

static struct traps per(struct traps sum, unsigned int count)
{
	return (struct traps){ sum.reads / count, sum.writes / count };
}

static void await_begin(struct driver *d)
{
	uint64_t end = clock_now_ns() + SUBMIT_LIMIT_NS;
	uint32_t status;

	while (!submit_next_csb(d, 0, &status)) {
		spin();
		if (clock_now_ns() > end)
			bench_die("a submission was not taken");
	}
	if (!(status & CSB_IDLE_ACTIVE))
		bench_die("a submission began with status 0x%x", status);
}

/*
 * The two parts of a job: from the first store to ELSP until the driver knows that the engine has
 * it, for each submission, and what the guest does about an interrupt, for each of those.
 */
static void count_traps(struct driver *d, struct driver_context *ctx, struct traps *submission,
			struct traps *interrupt)
{
	struct traps submissions = { 0 }, interrupts = { 0 };
	unsigned int first = driver_messages(d), handled = first;

	for (uint32_t i = 1; i <= COUNTED_JOBS; i++) {
		struct traps before = traps_now(d), begun;
		bool complete = false;

		driver_emit_seqno(d, ctx, 0, i);
		driver_submit(d, ctx, NULL, 0);
		await_begin(d);
		begun = traps_now(d);
		add_since(&submissions, before, begun);
		while (!complete) {
			handled = await_message(d, handled);
			submit_handle_interrupt(d, 0);
			complete = read_csb(d);
		}
		add_since(&interrupts, begun, traps_now(d));
	}
	*submission = per(submissions, COUNTED_JOBS);
	*interrupt = per(interrupts, handled - first);
}

/* ---- The rows
 * -------------------------------------------------------------------------------------- */

static void run_jobs(struct driver *d, struct driver_context *ctx, bool pauses,
		     struct bench_samples *samples)
{
	static unsigned int handled;
	static uint32_t seqno;

	for (unsigned int i = 0; i < (pauses ? PAUSED_JOBS : JOBS); i++) {
		if (pauses)
			usleep(PAUSE_US);
		bench_sample(samples, one_job(d, ctx, ++seqno, &handled));
	}
}

static void report_latency(FILE *jsonl, const char *name, struct bench_samples *samples,
			   const char *what, double baseline_us, double limit_us)
{
	bench_report(jsonl, &(struct bench_result){
				    .name = name,
				    .unit = "us",
				    .value = bench_percentile_us(samples, 50),
				    .p99 = bench_percentile_us(samples, 99),
				    .baseline = { what, baseline_us },
				    .limit = { "a word there and back between two CPUs", limit_us },
			    });
}

static void report_traps(FILE *jsonl, const char *name, struct traps traps, double floor,
			 const char *what)
{
	bench_report(jsonl, &(struct bench_result){
				    .name = name,
				    .unit = "reads",
				    .value = traps.reads,
				    .p99 = traps.reads,
				    .baseline = { "all of its traps, writes too",
						  traps.reads + traps.writes },
				    .limit = { what, floor },
			    });
}

static void count_and_report(FILE *jsonl, struct driver *d, struct driver_context *ctx,
			     struct traps round)
{
	struct traps submission, interrupt;

	count_traps(d, ctx, &submission, &interrupt);
	report_traps(jsonl, "submit.waiting_traps", submission, 1,
		     "the driver's own, as it learns that it was taken");
	report_traps(jsonl, "submit.waiting_traps.interrupt", interrupt, 2,
		     "which engine, and what of it");
	report_traps(jsonl, "submit.waiting_traps.round", round, 3, "both");
}

int main(int argc, char **argv)
{
	FILE *jsonl = bench_begin(argc, argv, "[JSONL]");
	struct bench_samples awake, asleep;
	struct traps before, round = { 0 };
	struct driver_context ctx;
	static struct driver d;
	double limit_us;

	bench_samples_init(&awake, JOBS);
	bench_samples_init(&asleep, PAUSED_JOBS);
	limit_us = turn_us();
	stay_on(1);
	driver_open(&d, true);
	stay_on(0);
	driver_start(&d);
	driver_context_init(&d, &ctx, GPU_RCS, 7);
	before = traps_now(&d);
	run_jobs(&d, &ctx, false, &awake);
	run_jobs(&d, &ctx, true, &asleep);
	add_since(&round, before, traps_now(&d));
	bench_table_head();
	report_latency(jsonl, "submit.latency", &awake, "an empty step of a lane that spins",
		       kick_us(false), limit_us);
	report_latency(jsonl, "submit.latency.asleep", &asleep,
		       "an empty step of a lane that sleeps", kick_us(true), limit_us);
	count_and_report(jsonl, &d, &ctx, per(round, JOBS + PAUSED_JOBS));
	submit_streams(jsonl, &d);
	driver_close(&d);
	bench_samples_fini(&awake);
	bench_samples_fini(&asleep);
	return bench_end(jsonl);
}
