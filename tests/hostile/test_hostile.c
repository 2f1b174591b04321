/* SPDX-License-Identifier: MIT */
/*
 * A guest that means harm beside one that works: two `mediant serve` processes on one lane of a
 * `mediant arbiter`.  The hostile guest is this program again, started as `test-hostile MEDIANT
 * ACT`; the victim copies and stores all the while, and looks at every byte.
 *
 * Shares are compared by the arbiter's own account of the lane time that each had while the other
 * waited, not by the clock; acts go on until there was enough of it.
 */
#include "acts.h"
#include "cmd/process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vgpu/vgpu.h"

#define SURFACE_PAGES 1024u
#define SURFACE_BYTES (SURFACE_PAGES * PAGE_BYTES)
#define COPIES	      80u
#define ENOUGH_MS     400.0
#define SLOTS	      8u
#define ACT_LIMIT_NS  (60 * NSEC_PER_SEC)

static char *self, *mediant;
static pid_t arbiter;
/* A copy that the victim has the GPU make. */
struct job {
	struct driver_context context;
	gpa_t source, target;
	uint64_t source_gma, target_gma;
	unsigned int slot; /* the first of its results */
	uint32_t number;
};

static struct {
	struct driver driver;
	struct job jobs[2];
	uint32_t queued; /* so far; the last one runs, or has ended */
} victim;

/* ---- The victim ---- */

static void make_job(struct job *job, uint64_t at, uint32_t id)
{
	struct driver *d = &victim.driver;

	driver_context_init(d, &job->context, GPU_BCS, id);
	job->source = ram_alloc(d->ram, SURFACE_PAGES);
	job->target = ram_alloc(d->ram, SURFACE_PAGES);
	job->source_gma = at;
	job->target_gma = at + SURFACE_BYTES;
	for (unsigned int i = 0; i < SURFACE_PAGES; i++) {
		driver_ppgtt_map(d, job->source_gma + i * PAGE_BYTES,
				 gpa(job->source.v + i * PAGE_BYTES));
		driver_ppgtt_map(d, job->target_gma + i * PAGE_BYTES,
				 gpa(job->target.v + i * PAGE_BYTES));
	}
}

static void emit_copy(struct job *job)
{
	/* 32 bpp, rows of a page, source copied. */
	const uint32_t dw[] = {
		2u << 29 | 0x53u << 22 | 3u << 20 | 8,
		3u << 24 | 0xccu << 16 | (uint32_t)PAGE_BYTES,
		0,
		SURFACE_PAGES << 16 | (uint32_t)(PAGE_BYTES / 4),
		(uint32_t)job->target_gma,
		(uint32_t)(job->target_gma >> 32),
		0,
		(uint32_t)PAGE_BYTES,
		(uint32_t)job->source_gma,
		(uint32_t)(job->source_gma >> 32),
	};

	driver_emit(&victim.driver, &job->context, dw, ARRAY_SIZE(dw));
}

/* Other bytes each time, and words stored. */
static void prepare(struct job *job)
{
	struct driver *d = &victim.driver;
	uint64_t *source = ram_at(d->ram, job->source);

	job->number = ++victim.queued;
	/* Cheap to make: the driver must not fall behind the GPU, or it wants no lane for a while.
	 */
	for (size_t i = 0; i < SURFACE_BYTES / sizeof(*source); i++)
		source[i] = (i + job->number) * 0x9e3779b97f4a7c15ull;
	memset(ram_at(d->ram, job->target), 0, SURFACE_BYTES);
	for (unsigned int i = 0; i < COPIES; i++)
		emit_copy(job);
	for (unsigned int i = 1; i <= SLOTS; i++)
		driver_emit_seqno(d, &job->context, job->slot + i, job->number * i);
	driver_emit_seqno(d, &job->context, job->slot, job->number);
}

/*
 * Waits for the job that runs, and looks at what it made.  The next one is queued behind it first,
 * so that the victim wants the GPU all the while.
 */
static void victim_round(void)
{
	struct driver *d = &victim.driver;
	struct job *now = &victim.jobs[victim.queued % 2],
		   *next = &victim.jobs[!(victim.queued % 2)];

	prepare(next);
	driver_submit(d, &now->context, &next->context, 0);
	driver_wait_result(d, now->slot, now->number);
	assert_memory_equal(ram_at(d->ram, now->target), ram_at(d->ram, now->source),
			    SURFACE_BYTES);
	for (unsigned int i = 1; i <= SLOTS; i++)
		assert_int_equal(driver_result(d, now->slot + i), now->number * i);
}

static void victim_open(void)
{
	struct driver *d = &victim.driver;

	process_name = "victim";
	driver_open(d, true);
	driver_start(d);
	victim.jobs[1].slot = SLOTS + 1;
	for (uint32_t i = 0; i < 2; i++)
		make_job(&victim.jobs[i], 0x7f0000000000ull + i * 2 * SURFACE_BYTES, 0x20 + i);
	process_plant(d);
	prepare(&victim.jobs[1]); /* the first has number 1 */
	driver_submit(d, &victim.jobs[1].context, NULL, 0);
}

static double contended_ms(void)
{
	json_t *tree = process_stat(&victim.driver);
	double ms = process_number(tree, "gpu", "contended_ms");

	json_decref(tree);
	return ms;
}

/* The victim has met no fault and no reset of its own. */
static void assert_unhurt(void)
{
	json_t *tree = process_stat(&victim.driver), *engine, *kind;
	const char *key;
	size_t i;

	json_object_foreach(json_object_get(tree, "faults"), key, kind)
		assert_int_equal(json_integer_value(kind), 0);
	json_array_foreach(json_object_get(tree, "engines"), i, engine)
		assert_int_equal(json_integer_value(json_object_get(engine, "resets")), 0);
	assert_int_equal(json_integer_value(json_object_get(tree, "full_resets")), 0);
	json_decref(tree);
	assert_true(process_planted_live(&victim.driver));
	assert_int_equal(process_canaries_seen(&victim.driver) > 0, 1); /* its own, planted */
}

/* ---- Both ---- */

/* Runs the hostile guest's act and the victim until it has ended; the last line it printed. */
static void beside(const char *act, char *text, size_t size)
{
	struct process_options options = { .take_stdout = true };
	char *argv[] = { self, mediant, (char *)(uintptr_t)act, NULL };
	int fd, status;
	pid_t pid = process_start(argv, &options, &fd);
	uint64_t limit_ns = clock_now_ns() + ACT_LIMIT_NS;

	assert_true(pid > 0);
	do {
		victim_round();
		status = process_wait(pid, 0);
	} while (status < 0 && clock_now_ns() < limit_ns);
	assert_true(status >= 0 && WIFEXITED(status));
	assert_int_equal(process_read(fd, text, size, limit_ns, program_has_line), 1);
	close(fd);
	if (WEXITSTATUS(status))
		print_error("%s: %s", act, text);
	assert_int_equal(WEXITSTATUS(status), 0);
}

/*
 * Never less than fair.  More is right, too, where the hostile guest cuts its own slices short, as
 * its resets do; not where it uses @whole_slices.
 */
static void assert_fair(const char *text, double before_ms, bool whole_slices)
{
	const char *at = strstr(text, "contended_ms ");
	double theirs, ours = contended_ms() - before_ms;

	assert_non_null(at);
	theirs = strtod(at + strlen("contended_ms "), NULL);
	assert_true(ours + theirs >= ENOUGH_MS);
	print_message("    of %.0f ms that both wanted the victim had %.1f %%\n", ours + theirs,
		      100 * ours / (ours + theirs));
	assert_true(ours / (ours + theirs) >= 0.475);
	if (whole_slices)
		assert_true(ours / (ours + theirs) <= 0.525);
}

static void suffer(const char *act, bool whole_slices)
{
	double before_ms = contended_ms();
	char text[1024];

	beside(act, text, sizeof(text));
	assert_fair(text, before_ms, whole_slices);
	assert_unhurt();
}

static void endless_batches(void **state)
{
	suffer("endless", true);
}

static void a_million_tiny_batches(void **state)
{
	suffer("tiny", false);
}

static void random_rings(void **state)
{
	suffer("rings", false);
}

static void random_page_tables(void **state)
{
	suffer("tables", false);
}

static void random_registers(void **state)
{
	suffer("registers", false);
}

/* ---- Fixture ---- */

static int start(void **state)
{
	char text[256];
	int fd;

	if (program_setup(state))
		return -1;
	arbiter = program_start("arbiter --lanes 1 --log warn", &fd);
	assert_int_equal(process_read(fd, text, sizeof(text), clock_now_ns() + PROGRAM_LIMIT_NS,
				      program_has_line),
			 1);
	close(fd);
	victim_open();
	victim_round();
	return 0;
}

static int stop(void **state)
{
	driver_close(&victim.driver);
	program_end(arbiter);
	return program_teardown(state);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(endless_batches),  cmocka_unit_test(a_million_tiny_batches),
		cmocka_unit_test(random_rings),	    cmocka_unit_test(random_page_tables),
		cmocka_unit_test(random_registers),
	};

	if (!program_take(argc, argv))
		return 2;
	self = argv[0];
	mediant = argv[1];
	if (argc > 2)
		return act(argv[2]);
	return cmocka_run_group_tests_name("hostile guest", tests, start, stop);
}
