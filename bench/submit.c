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
#include "bench/bench.h"
#include "tests/vgpu/driver.h"
#include "vgpu_regs_gen.h"

#define JOBS	     4000u
#define PAUSED_JOBS  1000u
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

/* The next status entry, when there is a new one. */
static bool next_csb(struct driver *d, uint32_t *status)
{
	struct driver_engine *e = &d->engines[GPU_RCS];
	const uint8_t *page = ram_at(d->ram, e->hwsp);

	if (e->csb_read == __atomic_load_n((const uint32_t *)(page + 0x7c), __ATOMIC_ACQUIRE))
		return false;
	e->csb_read = (e->csb_read + 1) % CSB_ENTRIES;
	*status = *(const uint32_t *)(page + 0x40 + 8 * e->csb_read);
	return true;
}

/* True when one of the new entries says that a context is complete. */
static bool read_csb(struct driver *d)
{
	bool complete = false;
	uint32_t status;

	while (next_csb(d, &status))
		complete |= (status & CSB_COMPLETE) != 0;
	return complete;
}

/* gen8_irq_handler(): two reads. */
static void handle_interrupt(struct driver *d)
{
	uint32_t master, iir;

	driver_write(d, REG_GEN8_MASTER_IRQ, 0);
	master = driver_read(d, REG_GEN8_MASTER_IRQ);
	iir = driver_read(d, REG_GEN8_GT_IIR(0));
	if (master && iir)
		driver_write(d, REG_GEN8_GT_IIR(0), iir);
	driver_write(d, REG_GEN8_MASTER_IRQ, 0x80000000);
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
		handle_interrupt(d);
		complete |= read_csb(d);
	}
	return ns;
}

/* ---- Streams: what i915's tasklet does with requests that nobody waits for ---- */

#define BURST	     8u /* requests, of which the last is waited for */
#define BURSTS	     500u
#define EXECBUF_NS   (5 * NSEC_PER_USEC) /* between two requests: the system call */
#define BATCH_AT     0x100000u
#define DST_AT	     0x200000u
#define BATCH_STORES 2000u
#define BATCH_PAGES  8u
#define MI_SDI_PPGTT 0x10000002u
#define IRQ_USER     BIT(0)

struct stream {
	struct driver *d;
	struct driver_context ctx[2];
	bool queued[2];	      /* its ring has more than was submitted */
	unsigned int running; /* the context in the first port */
	bool port[2];	      /* occupied; both: another submission waits for the first one's end */
	bool pending;	      /* submitted, and not yet taken */
	unsigned int handled;
};

static void note_event(struct stream *s, uint32_t status)
{
	if (status & CSB_COMPLETE) {
		s->running ^= s->port[1];
		s->port[0] = s->port[1];
		s->port[1] = false;
	} else {
		s->pending = false;
	}
}

/* What runs stays first, with a newer tail. */
static void submit_queued(struct stream *s)
{
	unsigned int first = s->port[0] ? s->running : !s->queued[0];
	bool both = s->queued[!first];

	driver_submit(s->d, &s->ctx[first], both ? &s->ctx[!first] : NULL, 0);
	s->queued[0] = s->queued[1] = false;
	s->running = first;
	s->pending = s->port[0] = true;
	s->port[1] = both;
}

/* execlists_submission_tasklet() */
static void tasklet(struct stream *s)
{
	uint32_t status;

	while (next_csb(s->d, &status))
		note_event(s, status);
	if (!s->pending && !s->port[1] && (s->queued[0] || s->queued[1]))
		submit_queued(s);
}

static void interrupts(struct stream *s)
{
	unsigned int messages = driver_messages(s->d);

	if (messages == s->handled)
		return;
	s->handled = messages;
	handle_interrupt(s->d);
	tasklet(s);
}

/* A request: a batch of some 20 us, a store and an interrupt that is masked but for the last. */
static void request(struct stream *s, unsigned int which, uint32_t seqno)
{
	const uint32_t dw[] = { MI_BBS_PPGTT, BATCH_AT, 0, MI_NOOP };
	uint64_t end = clock_now_ns() + EXECBUF_NS;

	driver_emit(s->d, &s->ctx[which], dw, ARRAY_SIZE(dw));
	driver_emit_seqno(s->d, &s->ctx[which], which, seqno);
	s->queued[which] = true;
	tasklet(s);
	while (clock_now_ns() < end)
		interrupts(s);
}

static void user_interrupt(struct driver *d, bool on)
{
	driver_write(d, REG_RING_IMR(gpu_engine_base(GPU_RCS)), 0xfffff6f6 | (on ? 0 : IRQ_USER));
}

static void burst(struct stream *s, unsigned int contexts, uint32_t seqno)
{
	uint64_t limit = clock_now_ns() + LIMIT_NS;

	user_interrupt(s->d, false);
	for (uint32_t i = 1; i <= BURST; i++)
		request(s, i % contexts, seqno + i);
	user_interrupt(s->d, true);
	while (s->pending || s->port[0] || s->queued[0] || s->queued[1]) {
		interrupts(s);
		if (clock_now_ns() > limit)
			bench_die("a burst did not end");
	}
	if (driver_result(s->d, 0) != seqno + BURST)
		bench_die("a burst ended without its last store");
}

static void make_batch(struct driver *d)
{
	gpa_t pages = ram_alloc(d->ram, BATCH_PAGES), dst = ram_alloc(d->ram, 1);
	uint32_t *dw = ram_at(d->ram, pages);

	for (uint32_t at = 0; at < BATCH_PAGES * PAGE_BYTES; at += (uint32_t)PAGE_BYTES)
		driver_ppgtt_map(d, BATCH_AT + at, gpa(pages.v + at));
	driver_ppgtt_map(d, DST_AT, dst);
	for (uint32_t i = 0; i < BATCH_STORES; i++) {
		const uint32_t store[] = { MI_SDI_PPGTT, DST_AT, 0, i };

		memcpy(dw, store, sizeof(store));
		dw += ARRAY_SIZE(store);
	}
	*dw = MI_BBE;
}

/*
 * Register reads for each request of bursts in that many contexts; in one of ten bursts there were
 * fewer, for where one of the two threads has to wait for its CPU the engine runs dry in between.
 */
static double stream_reads(struct driver *d, unsigned int contexts)
{
	static uint32_t seqno;
	struct stream s = { .d = d, .handled = driver_messages(d) };
	struct bench_samples bursts;
	struct vgpu_stats stats;
	uint64_t reads;
	double burst_reads;

	bench_samples_init(&bursts, BURSTS);
	for (unsigned int i = 0; i < contexts; i++)
		driver_context_init(d, &s.ctx[i], GPU_RCS, 0x20 + 0x20 * contexts + i);
	vgpu_stats(d->v, &stats);
	for (unsigned int i = 0; i < BURSTS; i++, seqno += BURST) {
		reads = stats.reg_reads;
		burst(&s, contexts, seqno);
		vgpu_stats(d->v, &stats);
		bench_sample(&bursts, (stats.reg_reads - reads) * NSEC_PER_USEC);
	}
	burst_reads = bench_percentile_us(&bursts, 10);
	bench_samples_fini(&bursts);
	return burst_reads / BURST;
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

static void report_stream(FILE *jsonl, const char *name, double reads, double alone)
{
	bench_report(jsonl, &(struct bench_result){
				    .name = name,
				    .unit = "reads",
				    .value = reads,
				    .p99 = reads,
				    .baseline = { "an interrupt for each request", alone },
				    .limit = { "one interrupt for a burst", 2.0 / BURST },
			    });
}

int main(int argc, char **argv)
{
	FILE *jsonl = argc > 1 ? fopen(argv[1], "a") : NULL;
	struct bench_samples awake, asleep;
	struct vgpu_stats before, after;
	struct driver_context ctx;
	static struct driver d;
	double limit_us, one_context, two_contexts;

	if (argc > 1 && !jsonl)
		bench_die("cannot open %s", argv[1]);
	bench_samples_init(&awake, JOBS);
	bench_samples_init(&asleep, PAUSED_JOBS);
	stay_on(1);
	driver_open(&d, true);
	stay_on(0);
	driver_start(&d);
	driver_context_init(&d, &ctx, GPU_RCS, 7);
	vgpu_stats(d.v, &before);
	run_jobs(&d, &ctx, false, &awake);
	run_jobs(&d, &ctx, true, &asleep);
	vgpu_stats(d.v, &after);
	make_batch(&d);
	one_context = stream_reads(&d, 1);
	two_contexts = stream_reads(&d, 2);
	driver_close(&d);
	limit_us = turn_us();
	bench_table_head();
	report_latency(jsonl, "submit.latency", &awake, "an empty step of a lane that spins",
		       kick_us(false), limit_us);
	report_latency(jsonl, "submit.latency.asleep", &asleep,
		       "an empty step of a lane that sleeps", kick_us(true), limit_us);
	report_traps(jsonl, &before, &after);
	report_stream(jsonl, "submit.waiting_traps.stream", one_context, 2);
	report_stream(jsonl, "submit.waiting_traps.ports", two_contexts, 2);
	bench_samples_fini(&awake);
	bench_samples_fini(&asleep);
	if (jsonl)
		fclose(jsonl);
	return 0;
}
