/* SPDX-License-Identifier: MIT */
/*
 * Bursts of requests, submitted as i915's tasklet does it: how many register reads they cost the
 * guest, and how much of the time the engine had work.  A read here takes as long as over a socket,
 * for what an interrupt asks the driver to do comes only after it.  One thread: the virtual CPU.
 */
#include <string.h>

#include "base/clock.h"
#include "bench/submit.h"
#include "vgpu_regs_gen.h"

#define BURST	     8u /* requests, of which the last is waited for */
#define BURSTS	     500u
#define EXECBUF_NS   (5 * NSEC_PER_USEC)  /* between two requests: the system call */
#define READ_NS	     (20 * NSEC_PER_USEC) /* on one CPU a vfio-user read takes 4, across two 59 */
#define BATCH_NS     (20 * NSEC_PER_USEC)
#define BATCH_AT     0x100000u
#define DST_AT	     0x200000u
#define BATCH_PAGES  64u
#define STORES_MAX   (BATCH_PAGES * (uint32_t)PAGE_BYTES / 16 - 1)
#define ALONE	     200u
#define MI_SDI_PPGTT 0x10000002u
#define IRQ_USER     BIT(0)

struct ports {
	unsigned int first; /* the context in the first port */
	unsigned int count; /* contexts in both */
};

struct stream {
	struct driver *d;
	struct driver_context ctx[2];
	bool queued[2];	      /* its ring has more than was submitted */
	struct ports active;  /* as the status buffer told last */
	struct ports pending; /* submitted, and not yet taken */
	unsigned int handled; /* messages */
	uint32_t seqno;
};

/* For each request. */
struct cost {
	double reads, us;
};

/* ---- The driver ---- */

/* process_csb() */
static void note_event(struct stream *s, uint32_t status)
{
	if (status & (CSB_IDLE_ACTIVE | CSB_PREEMPTED)) {
		s->active = s->pending;
		s->pending.count = 0;
	} else if (status & CSB_COMPLETE) {
		s->active.first ^= 1;
		s->active.count--;
	}
}

/* What runs stays first, with a newer tail. */
static void submit_queued(struct stream *s)
{
	unsigned int first = s->active.count ? s->active.first : !s->queued[0];
	bool both = s->queued[!first];

	driver_submit(s->d, &s->ctx[first], both ? &s->ctx[!first] : NULL, 0);
	s->queued[0] = s->queued[1] = false;
	s->pending = (struct ports){ first, both ? 2 : 1 };
}

/* execlists_submission_tasklet(): a full second port, and what was not taken, is waited for. */
static void tasklet(struct stream *s)
{
	uint32_t status;

	while (submit_next_csb(s->d, READ_NS, &status))
		note_event(s, status);
	if (!s->pending.count && s->active.count < 2 && (s->queued[0] || s->queued[1]))
		submit_queued(s);
}

static void interrupts(struct stream *s)
{
	unsigned int messages = driver_messages(s->d);

	if (messages == s->handled)
		return;
	s->handled = messages;
	submit_handle_interrupt(s->d, READ_NS);
	tasklet(s);
}

/* A batch, a store and an interrupt. */
static void request(struct stream *s, unsigned int which)
{
	const uint32_t dw[] = { MI_BBS_PPGTT, BATCH_AT, 0, MI_NOOP };

	driver_emit(s->d, &s->ctx[which], dw, ARRAY_SIZE(dw));
	driver_emit_seqno(s->d, &s->ctx[which], which, ++s->seqno);
	s->queued[which] = true;
	tasklet(s);
}

static void until_idle(struct stream *s)
{
	uint64_t limit = clock_now_ns() + SUBMIT_LIMIT_NS;

	while (s->pending.count || s->active.count || s->queued[0] || s->queued[1]) {
		interrupts(s);
		if (clock_now_ns() > limit)
			bench_die("a burst did not end");
	}
}

/* Breadcrumbs: masked while nobody waits. */
static void user_interrupt(struct driver *d, bool on)
{
	driver_write(d, REG_RING_IMR(gpu_engine_base(GPU_RCS)), 0xfffff6f6 | (on ? 0 : IRQ_USER));
}

/* ---- Requests ---- */

static void burst(struct stream *s, unsigned int contexts)
{
	user_interrupt(s->d, false);
	for (unsigned int i = 1; i <= BURST; i++) {
		uint64_t end = clock_now_ns() + EXECBUF_NS;

		request(s, i % contexts);
		while (clock_now_ns() < end)
			interrupts(s);
	}
	user_interrupt(s->d, true);
	until_idle(s);
	if (driver_result(s->d, 0) != s->seqno)
		bench_die("a burst ended without its last store");
}

static void one_request(struct stream *s, unsigned int contexts)
{
	user_interrupt(s->d, true);
	request(s, 0);
	until_idle(s);
}

static uint64_t register_reads(struct driver *d)
{
	struct vgpu_stats stats;

	vgpu_stats(d->v, &stats);
	return stats.reg_reads;
}

/* Medians of what @work cost, for each of the @requests it is. */
static struct cost measure(struct stream *s, unsigned int contexts, unsigned int requests,
			   void (*work)(struct stream *s, unsigned int contexts))
{
	struct bench_samples reads, times;
	struct cost cost;

	bench_samples_init(&reads, BURSTS);
	bench_samples_init(&times, BURSTS);
	for (unsigned int i = 0; i < BURSTS; i++) {
		uint64_t before = register_reads(s->d), start = clock_now_ns();

		work(s, contexts);
		bench_sample(&times, clock_now_ns() - start);
		bench_sample(&reads, (register_reads(s->d) - before) * NSEC_PER_USEC);
	}
	cost.reads = bench_percentile_us(&reads, 50) / requests;
	cost.us = bench_percentile_us(&times, 50) / requests;
	bench_samples_fini(&reads);
	bench_samples_fini(&times);
	return cost;
}

/* ---- A batch of so and so long ---- */

static uint32_t *make_batch(struct driver *d)
{
	gpa_t pages = ram_alloc(d->ram, BATCH_PAGES), dst = ram_alloc(d->ram, 1);
	uint32_t *batch = ram_at(d->ram, pages), *dw = batch;

	for (uint32_t at = 0; at < BATCH_PAGES * PAGE_BYTES; at += (uint32_t)PAGE_BYTES)
		driver_ppgtt_map(d, BATCH_AT + at, gpa(pages.v + at));
	driver_ppgtt_map(d, DST_AT, dst);
	for (uint32_t i = 0; i < STORES_MAX; i++) {
		const uint32_t store[] = { MI_SDI_PPGTT, DST_AT, 0, i };

		memcpy(dw, store, sizeof(store));
		dw += ARRAY_SIZE(store);
	}
	return batch;
}

/* Ends it after @stores; what comes after them stays as it was. */
static void end_batch(uint32_t *batch, uint32_t stores)
{
	batch[0] = MI_SDI_PPGTT;
	batch[4 * stores] = MI_BBE;
}

/* The shortest time from a request to its end. */
static uint64_t alone_ns(struct stream *s)
{
	uint64_t best = UINT64_MAX;

	for (unsigned int i = 0; i < ALONE; i++) {
		uint64_t start = clock_now_ns();

		request(s, 0);
		while (s->pending.count || s->active.count)
			tasklet(s);
		best = MIN(best, clock_now_ns() - start);
		interrupts(s);
	}
	return best;
}

/* Of BATCH_NS, as this machine has it. */
static uint32_t stores_wanted(struct stream *s, uint32_t *batch)
{
	uint64_t empty, full;

	end_batch(batch, 0);
	empty = alone_ns(s);
	end_batch(batch, STORES_MAX);
	full = alone_ns(s);
	return (uint32_t)(BATCH_NS * STORES_MAX / (full > empty ? full - empty : 1));
}

/* ---- The rows ---- */

static void report(FILE *jsonl, const char *name, const char *unit, double value,
		   struct bench_mark baseline, struct bench_mark limit)
{
	bench_report(jsonl, &(struct bench_result){
				    .name = name,
				    .unit = unit,
				    .value = value,
				    .p99 = value,
				    .baseline = baseline,
				    .limit = limit,
			    });
}

static void report_burst(FILE *jsonl, const char *reads, const char *time, struct cost burst_cost,
			 struct cost alone)
{
	report(jsonl, reads, "reads", burst_cost.reads,
	       (struct bench_mark){ "each waited for alone", alone.reads },
	       (struct bench_mark){ "one submission and interrupt", 3.0 / BURST });
	report(jsonl, time, "us", burst_cost.us,
	       (struct bench_mark){ "each waited for alone", alone.us },
	       (struct bench_mark){ "its batch", (double)BATCH_NS / NSEC_PER_USEC });
}

void submit_streams(FILE *jsonl, struct driver *d)
{
	struct stream s = { .d = d, .handled = driver_messages(d) };
	uint32_t *batch = make_batch(d);
	struct cost alone;

	for (unsigned int i = 0; i < 2; i++)
		driver_context_init(d, &s.ctx[i], GPU_RCS, 0x40 + i);
	user_interrupt(d, false);
	end_batch(batch, MIN(stores_wanted(&s, batch), STORES_MAX));
	alone = measure(&s, 1, 1, one_request);
	report_burst(jsonl, "submit.waiting_traps.stream", "submit.stream",
		     measure(&s, 1, BURST, burst), alone);
	report_burst(jsonl, "submit.waiting_traps.ports", "submit.ports",
		     measure(&s, 2, BURST, burst), alone);
}
