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
#include <unistd.h>

#include "base/clock.h"
#include "bench/bench.h"
#include "tests/vgpu/driver.h"
#include "vgpu_regs_gen.h"

#define JOBS	     4000u
#define TURNS	     4000u
#define PAUSE_US     200 /* long enough for a lane to fall asleep */
#define LIMIT_NS     (5 * NSEC_PER_SEC)
#define CSB_ENTRIES  6u
#define CSB_COMPLETE BIT(4)

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

/* The status entries since the last time; true when one says that a context is complete. */
static bool read_csb(struct driver *d)
{
	struct driver_engine *e = &d->engines[GPU_RCS];
	const uint8_t *page = ram_at(d->ram, e->hwsp);
	bool complete = false;

	while (e->csb_read != __atomic_load_n((const uint32_t *)(page + 0x7c), __ATOMIC_ACQUIRE)) {
		e->csb_read = (e->csb_read + 1) % CSB_ENTRIES;
		complete |= *(const uint32_t *)(page + 0x40 + 8 * e->csb_read) & CSB_COMPLETE;
	}
	return complete;
}

/* gen8_irq_handler() and the tasklet behind it: two reads, and the buffer in memory. */
static bool handle_interrupt(struct driver *d)
{
	uint32_t master, iir;

	driver_write(d, REG_GEN8_MASTER_IRQ, 0);
	master = driver_read(d, REG_GEN8_MASTER_IRQ);
	iir = driver_read(d, REG_GEN8_GT_IIR(0));
	if (master && iir)
		driver_write(d, REG_GEN8_GT_IIR(0), iir);
	driver_write(d, REG_GEN8_MASTER_IRQ, 0x80000000);
	return read_csb(d);
}

/* Until there is a message that was not handled; how many there are then. */
static unsigned int await_message(struct driver *d, unsigned int handled)
{
	uint64_t end = clock_now_ns() + LIMIT_NS;
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
		complete |= handle_interrupt(d);
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

/* ---- The rows
 * -------------------------------------------------------------------------------------- */

static void run_jobs(struct driver *d, struct driver_context *ctx, bool pauses,
		     struct bench_samples *samples)
{
	static unsigned int handled;
	static uint32_t seqno;

	for (unsigned int i = 0; i < JOBS; i++) {
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

static void report_traps(FILE *jsonl, const struct vgpu_stats *before,
			 const struct vgpu_stats *after)
{
	double jobs = (double)(after->submissions[GPU_RCS] - before->submissions[GPU_RCS]);
	double reads = (double)(after->reg_reads - before->reg_reads);
	double writes = (double)(after->reg_writes - before->reg_writes);

	bench_report(jsonl, &(struct bench_result){
				    .name = "submit.waiting_traps",
				    .unit = "reads",
				    .value = reads / jobs,
				    .p99 = reads / jobs,
				    .baseline = { "all of its traps, writes too",
						  (reads + writes) / jobs },
				    .limit = { "the reads of one interrupt", 2 },
			    });
}

int main(int argc, char **argv)
{
	FILE *jsonl = argc > 1 ? fopen(argv[1], "a") : NULL;
	struct bench_samples awake, asleep;
	struct vgpu_stats before, after;
	struct driver_context ctx;
	static struct driver d;
	double limit_us;

	if (argc > 1 && !jsonl)
		bench_die("cannot open %s", argv[1]);
	bench_samples_init(&awake, JOBS);
	bench_samples_init(&asleep, JOBS);
	stay_on(1);
	driver_open(&d, true);
	stay_on(0);
	driver_start(&d);
	driver_context_init(&d, &ctx, GPU_RCS, 7);
	vgpu_stats(d.v, &before);
	run_jobs(&d, &ctx, false, &awake);
	run_jobs(&d, &ctx, true, &asleep);
	vgpu_stats(d.v, &after);
	driver_close(&d);
	limit_us = turn_us();
	bench_table_head();
	report_latency(jsonl, "submit.latency", &awake, "an empty step of a lane that spins",
		       kick_us(false), limit_us);
	report_latency(jsonl, "submit.latency.asleep", &asleep,
		       "an empty step of a lane that sleeps", kick_us(true), limit_us);
	report_traps(jsonl, &before, &after);
	bench_samples_fini(&awake);
	bench_samples_fini(&asleep);
	if (jsonl)
		fclose(jsonl);
	return 0;
}
