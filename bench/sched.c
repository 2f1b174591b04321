/* SPDX-License-Identifier: MIT */
/*
 * What sharing costs, and how fair it is: guests that want the GPU all the time (player.h), each
 * with a vGPU in a process of its own, take turns by a `mediant arbiter` on one core.  Their frames
 * are counted, so what is compared is what was done, not what was accounted.  Beside it the same
 * guests on the same core without an arbiter, where the kernel is the judge, and plain copies by
 * turns (turns.h).
 *
 *   bench-sched MEDIANT [JSONL]
 */
#include <errno.h>
#include <linux/futex.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/bench.h"
#include "bench/newcomer.h"
#include "bench/player.h"
#include "bench/turns.h"
#include "cmd/arbiter_client.h"
#include "sched/sched.h"

#define WORKERS_MAX 8u
#define WARM_UP_NS  (200 * NSEC_PER_MSEC)
#define SWITCHES    20000u
#define NEWCOMINGS  500u
#define SUM_ROUNDS  9
#define SUM_NS	    (600 * NSEC_PER_MSEC)

/* In memory that all processes share. */
struct board {
	_Atomic bool go;
	_Atomic uint32_t ready;
	_Atomic uint64_t units[WORKERS_MAX];
	/* of the switch: who left the lane last, and when */
	_Atomic uint32_t last;
	_Atomic uint64_t left_ns;
	_Atomic uint32_t sample_count;
	uint32_t samples[SWITCHES];
};

static struct board *board;
static const char *program;
static char folder[] = "/tmp/bench-sched-XXXXXX", lease_path[64];
static pid_t owner, arbiter, workers[WORKERS_MAX];
static int lane_cpu, driver_cpu;

static void end_process(pid_t *pid)
{
	if (*pid > 0) {
		kill(*pid, SIGTERM);
		waitpid(*pid, NULL, 0);
	}
	*pid = 0;
}

/* At exit, however it came about. */
static void clean_up(void)
{
	if (getpid() != owner)
		return;
	for (size_t i = 0; i < WORKERS_MAX; i++)
		end_process(&workers[i]);
	end_process(&arbiter);
	unlink(lease_path);
	rmdir(folder);
}

/* ---- The arbiter --------------------------------------------------------------------------------
 */

/* The core is the last this process may use: the first has most of the interrupts. */
static void start_arbiter(const char *policy)
{
	arbiter = fork();
	if (arbiter < 0)
		bench_die("fork: %m");
	if (!arbiter) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		bench_pin(lane_cpu);
		if (!freopen("/dev/null", "w", stdout))
			_exit(1);
		execl(program, program, "arbiter", "--lanes", "1", "--policy", policy, "--log",
		      "warn", (char *)NULL);
		_exit(127);
	}
	for (int i = 0; i < 500 && access(lease_path, F_OK); i++)
		bench_pause_ns(10 * NSEC_PER_MSEC);
	if (access(lease_path, F_OK))
		bench_die("no arbiter came up: is %s the program mediant?", program);
}

/* ---- The workers --------------------------------------------------------------------------------
 */

/* In the child, to its end. */
static _Noreturn void be_copier(unsigned int index, unsigned int count)
{
	const struct turns_config config = {
		.cpu = lane_cpu,
		.index = index,
		.count = count,
		.go = &board->go,
		.ready = &board->ready,
		.turn = &board->last,
		.units = &board->units[index],
	};

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	turns_run(&config);
}

/* The same.  @weight 0: without an arbiter, on the same core. */
static _Noreturn void be_worker(unsigned int index, uint32_t weight)
{
	struct player_config config = {
		.lane_cpu = lane_cpu,
		.driver_cpu = driver_cpu,
		.go = &board->go,
		.ready = &board->ready,
		.frames = &board->units[index],
	};

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (weight && arbiter_join(lease_path, "bench", weight, 0, &config.lease) < 0)
		_exit(1);
	player_run(&config);
}

/* Lets @count workers work for @ns; what each did in *@done.  @weights NULL: copies by turns. */
static double measure(unsigned int count, const uint32_t *weights, uint64_t ns, double *done)
{
	uint64_t before[WORKERS_MAX], start;
	double sum = 0;

	memset(board, 0, sizeof(*board));
	for (unsigned int i = 0; i < count; i++) {
		workers[i] = fork();
		if (workers[i] < 0)
			bench_die("fork: %m");
		if (workers[i])
			continue;
		if (!weights)
			be_copier(i, count);
		be_worker(i, weights[i]);
	}
	while (atomic_load(&board->ready) < count) {
		siginfo_t ended = { 0 };

		if (!waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) && ended.si_pid)
			bench_die("a worker or the arbiter ended before its time");
		bench_pause_ns(NSEC_PER_MSEC);
	}
	atomic_store(&board->go, true);
	bench_pause_ns(WARM_UP_NS);
	start = clock_now_ns();
	for (unsigned int i = 0; i < count; i++)
		before[i] = atomic_load(&board->units[i]);
	bench_pause_ns(ns);
	for (unsigned int i = 0; i < count; i++) {
		done[i] = (double)(atomic_load(&board->units[i]) - before[i]) /
			  ((double)(clock_now_ns() - start) / (double)NSEC_PER_SEC);
		sum += done[i];
	}
	for (unsigned int i = 0; i < count; i++)
		end_process(&workers[i]);
	return sum;
}

/* ---- Fairness -----------------------------------------------------------------------------------
 */

static const uint32_t equal[WORKERS_MAX] = { 1, 1, 1, 1, 1, 1, 1, 1 };
static const uint32_t kernel[WORKERS_MAX];

static double jain(const double *x, unsigned int n)
{
	double sum = 0, squares = 0;

	for (unsigned int i = 0; i < n; i++) {
		sum += x[i];
		squares += x[i] * x[i];
	}
	return sum * sum / (n * squares);
}

/* How many guests at a time, but for one alone. */
static const unsigned int crowds[] = { 2, 4, WORKERS_MAX };

static void bench_jain(FILE *jsonl, unsigned int count, uint64_t ns)
{
	double ours[WORKERS_MAX], theirs[WORKERS_MAX];
	char name[24];

	measure(count, equal, ns, ours);
	measure(count, kernel, ns, theirs);
	sprintf(name, "sched.jain%u", count);
	bench_report(jsonl, &(struct bench_result){
				    .name = name,
				    .unit = "J",
				    .value = jain(ours, count),
				    .p99 = jain(ours, count),
				    .more_is_better = true,
				    .baseline = { "the kernel's scheduler, one core",
						  jain(theirs, count) },
				    .limit = { "all the same", 1 },
			    });
}

/* The greatest error of a share against its weight, in percent. */
static double weight_error(void)
{
	static const uint32_t weights[] = { 1, 2, 4 };
	double done[3], sum = measure(3, weights, 7 * NSEC_PER_SEC, done), worst = 0;

	for (unsigned int i = 0; i < 3; i++)
		worst = fmax(worst, fabs(done[i] / sum * 7 / weights[i] - 1) * 100);
	return worst;
}

static void bench_weights(FILE *jsonl)
{
	double fair = weight_error(), rr;

	end_process(&arbiter);
	start_arbiter("rr");
	rr = weight_error();
	end_process(&arbiter);
	start_arbiter("fair");
	bench_report(jsonl, &(struct bench_result){
				    .name = "sched.weights124",
				    .unit = "%",
				    .value = fair,
				    .p99 = fair,
				    .baseline = { "round robin's error", rr },
				    .limit = { "none", 0 },
			    });
}

/* ---- Aggregate
 * ----------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *x, size_t n)
{
	qsort(x, n, sizeof(*x), compare);
	return x[n / 2];
}

/* What many do together, of what one does alone; and that, in units a second. */
struct sum {
	double median, least, one;
};

/*
 * One alone, many, one alone, over and over: the machine's own pace changes within seconds, so many
 * are measured by the two beside them.
 */
static struct sum measure_sum(unsigned int count, const uint32_t *weights)
{
	double done[WORKERS_MAX], one[SUM_ROUNDS + 1], sums[SUM_ROUNDS];
	struct sum sum;

	one[0] = measure(1, weights, SUM_NS, done);
	for (int i = 0; i < SUM_ROUNDS; i++) {
		sums[i] = measure(count, weights, SUM_NS, done);
		one[i + 1] = measure(1, weights, SUM_NS, done);
		sums[i] /= (one[i] + one[i + 1]) / 2;
	}
	sum.one = median(one, ARRAY_SIZE(one));
	sum.median = median(sums, SUM_ROUNDS);
	sum.least = sums[0]; /* sorted */
	return sum;
}

static void bench_sum(FILE *jsonl, unsigned int count)
{
	struct sum shared = measure_sum(count, equal), bare = measure_sum(count, kernel);
	struct sum turns = measure_sum(count, NULL);
	char name[24];

	sprintf(name, "sched.sum%u", count);
	bench_report(jsonl, &(struct bench_result){
				    .name = name,
				    .unit = "of one",
				    .value = shared.median,
				    .p99 = shared.least,
				    .more_is_better = true,
				    .baseline = { "one alone", 1 },
				    .limit = { "plain copies by turns", turns.median },
			    });
	printf("%-32s one alone: %.0f frames/s; as many without an arbiter: %.2f\n", "", shared.one,
	       bare.median);
}

/* ---- A change of hands
 * ---------------------------------------------------------------------------- */

/* Gives its lane up at once, whenever it gets it, and notes how long ago the other one did. */
static _Noreturn void be_switcher(unsigned int index)
{
	struct sched_lease *lease;

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (arbiter_join(lease_path, "bench", 1, 0, &lease) < 0 || !sched_lease_acquire(lease))
		_exit(1);
	for (;;) {
		uint64_t now_ns = clock_now_ns();
		uint32_t slot;

		if (atomic_load(&board->last) == 2 - index) { /* the other: 1 or 2 */
			slot = atomic_fetch_add(&board->sample_count, 1);
			if (slot < SWITCHES)
				board->samples[slot] =
					(uint32_t)(now_ns - atomic_load(&board->left_ns));
		}
		atomic_store(&board->last, index + 1);
		atomic_store(&board->left_ns, clock_now_ns());
		sched_lease_yield(lease);
	}
}

static void futex_wait_for(_Atomic uint32_t *word, uint32_t value)
{
	uint32_t is;

	while ((is = atomic_load(word)) != value)
		syscall(SYS_futex, word, FUTEX_WAIT, is, NULL, NULL, 0);
}

static void futex_set(_Atomic uint32_t *word, uint32_t value)
{
	atomic_store(word, value);
	syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* One way of two processes that wake each other by a futex, on one core. */
static void ping_pong(struct bench_samples *samples)
{
	pid_t pid;

	memset(board, 0, sizeof(*board));
	pid = fork();
	if (!pid) {
		bench_pin(lane_cpu);
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		for (;;) {
			futex_wait_for(&board->last, 1);
			futex_set(&board->last, 0);
		}
	}
	bench_pin(lane_cpu);
	for (unsigned int i = 0; i < SWITCHES; i++) {
		uint64_t start = clock_now_ns();

		futex_set(&board->last, 1);
		futex_wait_for(&board->last, 0);
		bench_sample(samples, (clock_now_ns() - start) / 2);
	}
	end_process(&pid);
}

/* Ends the two workers when they have taken @count samples. */
static void await_samples(uint32_t count)
{
	for (int i = 0; i < 3000 && atomic_load(&board->sample_count) < count; i++)
		bench_pause_ns(10 * NSEC_PER_MSEC);
	for (unsigned int i = 0; i < 2; i++)
		end_process(&workers[i]);
	if (atomic_load(&board->sample_count) < count)
		bench_die("fewer than %u samples in 30 s", count);
}

static void bench_switch(FILE *jsonl)
{
	struct bench_samples ours, futex;
	double wake_up_us;

	bench_samples_init(&ours, SWITCHES);
	bench_samples_init(&futex, SWITCHES);
	memset(board, 0, sizeof(*board));
	for (unsigned int i = 0; i < 2; i++) {
		workers[i] = fork();
		if (!workers[i])
			be_switcher(i);
	}
	await_samples(SWITCHES);
	for (uint32_t i = 0; i < SWITCHES; i++)
		bench_sample(&ours, board->samples[i]);
	ping_pong(&futex);
	wake_up_us = bench_percentile_us(&futex, 50);
	bench_report(jsonl, &(struct bench_result){
				    .name = "sched.switch",
				    .unit = "us",
				    .value = bench_percentile_us(&ours, 50),
				    .p99 = bench_percentile_us(&ours, 99),
				    .baseline = { "two wake-ups by futex", 2 * wake_up_us },
				    .limit = { "one", wake_up_us },
			    });
	bench_samples_fini(&ours);
	bench_samples_fini(&futex);
}

/* ---- A newcomer
 * ---------------------------------------------------------------------------- */

/* Who is beside the newcomer, and who decides between them. */
enum beside { BESIDE_NOBODY, BESIDE_LEASE, BESIDE_KERNEL };

static struct sched_lease *join(enum beside beside)
{
	struct sched_lease *lease = NULL;

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	bench_pin(lane_cpu);
	if (beside != BESIDE_KERNEL && arbiter_join(lease_path, "bench", 1, 0, &lease) < 0)
		_exit(1);
	return lease;
}

/* In the child, to its end. */
static _Noreturn void be_newcomer(enum beside beside)
{
	const struct newcomer_config config = {
		.lease = join(beside),
		.lane_cpu = lane_cpu,
		.driver_cpu = driver_cpu,
		.count = NEWCOMINGS,
		.samples_ns = board->samples,
		.taken = &board->sample_count,
	};

	newcomer_run(&config);
}

static void start_beside(enum beside beside)
{
	workers[0] = fork();
	if (workers[0] < 0)
		bench_die("fork: %m");
	if (!workers[0])
		newcomer_beside(join(beside), &board->ready);
	for (int i = 0; i < 500 && !atomic_load(&board->ready); i++)
		bench_pause_ns(10 * NSEC_PER_MSEC);
	if (!atomic_load(&board->ready))
		bench_die("nobody works beside the newcomer");
}

/* What nine newcomers of ten wait no longer than, in us; *@p99: 99 of 100. */
static double sample_newcomer(enum beside beside, double *p99)
{
	struct bench_samples samples;
	double us;

	memset(board, 0, sizeof(*board));
	if (beside != BESIDE_NOBODY)
		start_beside(beside);
	workers[1] = fork();
	if (workers[1] < 0)
		bench_die("fork: %m");
	if (!workers[1])
		be_newcomer(beside);
	await_samples(NEWCOMINGS);
	bench_samples_init(&samples, NEWCOMINGS);
	for (uint32_t i = 0; i < NEWCOMINGS; i++)
		bench_sample(&samples, board->samples[i]);
	us = bench_percentile_us(&samples, 90);
	*p99 = bench_percentile_us(&samples, 99);
	bench_samples_fini(&samples);
	return us;
}

static void bench_newcomer(FILE *jsonl)
{
	double p99, ignored, leased = sample_newcomer(BESIDE_LEASE, &p99);
	double by_kernel = sample_newcomer(BESIDE_KERNEL, &ignored);
	double alone = sample_newcomer(BESIDE_NOBODY, &ignored);

	bench_report(jsonl, &(struct bench_result){
				    .name = "sched.newcomer",
				    .unit = "us",
				    .value = leased,
				    .p99 = p99,
				    .baseline = { "the kernel's scheduler, no arbiter", by_kernel },
				    .limit = { "nobody beside it", alone },
			    });
}

int main(int argc, char **argv)
{
	FILE *jsonl = bench_begin(argc, argv, "MEDIANT [JSONL]");
	int cpus[64], count = bench_cpus(cpus, 64);

	if (count < 1)
		bench_die("this process may run on no CPU");
	program = argv[1];
	owner = getpid();
	lane_cpu = cpus[count - 1];
	driver_cpu = cpus[0];
	if (!mkdtemp(folder))
		bench_die("mkdtemp: %m");
	setenv("MEDIANT_RUNTIME_DIR", folder, 1);
	sprintf(lease_path, "%s/arbiter.lease", folder);
	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	if (board == MAP_FAILED)
		bench_die("no memory");
	atexit(clean_up);
	setvbuf(stdout, NULL, _IOLBF, 0); /* children would inherit what is not yet written */
	start_arbiter("fair");
	bench_table_head();
	bench_switch(jsonl);
	bench_newcomer(jsonl);
	for (size_t n = 0; n < ARRAY_SIZE(crowds); n++)
		bench_jain(jsonl, crowds[n], (crowds[n] < WORKERS_MAX ? 4 : 10) * NSEC_PER_SEC);
	bench_weights(jsonl);
	for (size_t n = 0; n < ARRAY_SIZE(crowds); n++)
		bench_sum(jsonl, crowds[n]);
	return bench_end(jsonl);
}
