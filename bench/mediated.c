/* SPDX-License-Identifier: MIT */
/*
 * What mediation takes away: the same frames once through a vGPU, as a guest's driver submits them
 * (context image, ring, ELSP, page tables, audit, status buffer, interrupt and its handling), and
 * once given to the GPU library directly, with flat address spaces and nobody in between.  Both
 * draw in the very same memory and on one CPU, so that neither finds better caches or pages, and no
 * thread is woken up across CPUs, which costs a microsecond or eighty, as the machine is.  Frames
 * (frame.h) take turns; the tenth percentile of each counts, in CPU time of all
 * threads, the lane's until it sleeps: other programs on the machine are left out.
 *
 *   bench-mediated [JSONL]
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/bench.h"
#include "bench/frame.h"

#define SAMPLES 400u

/* ---- Through a vGPU -------------------------------------------------------------------------- */

static struct driver driver;
static struct driver_context context;

static uint64_t cpu_ns(clockid_t clock)
{
	struct timespec now;

	if (clock_gettime(clock, &now))
		bench_die("no clock of CPU time");
	return (uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec;
}

/*
 * The CPU time of the lane's thread.  The process's own clock leaves out what a thread that runs on
 * another CPU has used since the last tick; a thread's clock does not.
 */
static clockid_t lane_clock;

static bool is_lane(const char *tid)
{
	char path[64], name[16] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%.20s/comm", tid);
	file = fopen(path, "r");
	if (file && !fgets(name, sizeof(name), file))
		name[0] = '\0';
	if (file)
		fclose(file);
	return !strcmp(name, "lane\n");
}

static void find_lane_clock(void)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *entry;

	while (tasks && (entry = readdir(tasks)))
		if (is_lane(entry->d_name))
			/* As the kernel numbers them (CPUCLOCK_PERTHREAD, CPUCLOCK_SCHED). */
			lane_clock = (clockid_t)(~(unsigned int)atoi(entry->d_name) << 3 | 6);
	if (tasks)
		closedir(tasks);
	if (!lane_clock)
		bench_die("the lane's thread was not found");
}

/* Long enough for a lane that has nothing to do to fall asleep. */
static void doze(void)
{
	const struct timespec ts = { .tv_nsec = 200000 };

	nanosleep(&ts, NULL);
}

static void await_interrupt(void)
{
	uint64_t count;

	if (read(driver.irq_fd, &count, sizeof(count)) != sizeof(count))
		bench_die("no interrupt");
}

static uint64_t submit(uint32_t seqno)
{
	uint64_t begin = cpu_ns(CLOCK_THREAD_CPUTIME_ID);

	frame_emit(&driver, &context, seqno);
	driver_submit(&driver, &context, NULL, 0);
	return cpu_ns(CLOCK_THREAD_CPUTIME_ID) - begin;
}

/* As i915 does. */
static uint64_t handle_interrupt(void)
{
	uint64_t begin = cpu_ns(CLOCK_THREAD_CPUTIME_ID);

	driver_handle_irq(&driver, GPU_BCS);
	return cpu_ns(CLOCK_THREAD_CPUTIME_ID) - begin;
}

/*
 * From the first dword in the ring to the context's end, saved, told and heard of.  That the
 * virtual CPU sleeps in between is not counted: it would, had it a GPU of its own.
 */
static uint64_t mediated_frame(uint32_t seqno)
{
	uint64_t begin = cpu_ns(lane_clock), ns = submit(seqno);
	struct vgpu_stats stats;

	do {
		await_interrupt();
		ns += handle_interrupt();
		vgpu_stats(driver.v, &stats);
	} while (stats.contexts_completed[GPU_BCS] < seqno);
	doze();
	ns += cpu_ns(lane_clock) - begin;
	if (driver_result(&driver, 0) != seqno)
		bench_die("a frame ended without its store");
	return ns;
}

/* ---- Directly -------------------------------------------------------------------------------- */

static struct {
	struct gpu *gpu;
	struct gpu_as ggtt, ppgtt;
	struct gpu_client client;
	struct gpu_workload workload;
	bool faulted;
	_Alignas(4096) uint32_t ring[1024];
	uint8_t *memory; /* from FRAME_BATCH on: the guest's */
} direct;

static int ring_translate(struct gpu_as *as, gma_t gma, unsigned int access, struct gpu_page *page)
{
	*page = (struct gpu_page){ .host = direct.ring, .writable = true };
	return gma.v ? -EFAULT : 0;
}

static int user_translate(struct gpu_as *as, gma_t gma, unsigned int access, struct gpu_page *page)
{
	if (gma.v < FRAME_BATCH || gma.v >= FRAME_SPACE_END)
		return -EFAULT;
	*page = (struct gpu_page){ .host = &direct.memory[gma.v - FRAME_BATCH], .writable = true };
	return 0;
}

/* Nothing of a flat space ever changes: what was translated once need not even be compared. */
static void user_enter(struct gpu_as *as, gma_t first, const struct gpu_tlb_blocks *blocks,
		       bool again)
{
}

static const struct gpu_as_ops ring_ops = { .translate = ring_translate };
static const struct gpu_as_ops user_ops = { .translate = user_translate, .enter = user_enter };

static uint32_t reg_read(struct gpu_client *client, enum gpu_engine engine, uint32_t offset)
{
	return 0;
}

static void reg_write(struct gpu_client *client, enum gpu_engine engine, uint32_t offset,
		      uint32_t value)
{
}

static void interrupt(struct gpu_client *client, enum gpu_engine engine, uint32_t bits)
{
}

static uint32_t ring_tail(struct gpu_client *client, enum gpu_engine engine)
{
	return direct.workload.cs.tail;
}

static void fault(struct gpu_client *client, const struct gpu_fault *report)
{
	direct.faulted = true;
}

static bool yield(struct gpu_client *client)
{
	return false;
}

static const struct gpu_client_ops client_ops = {
	.reg_read = reg_read,
	.reg_write = reg_write,
	.interrupt = interrupt,
	.ring_tail = ring_tail,
	.fault = fault,
	.yield = yield,
};

static void direct_init(uint8_t *memory)
{
	const uint32_t start[] = FRAME_START;

	direct.gpu = gpu_soft_create();
	if (!direct.gpu)
		bench_die("no memory");
	gpu_as_init(&direct.ggtt, &ring_ops, 32);
	gpu_as_init(&direct.ppgtt, &user_ops, 48);
	direct.client.ops = &client_ops;
	direct.memory = memory;
	memcpy(direct.ring, start, sizeof(start));
}

static uint64_t direct_frame(void)
{
	uint64_t begin = cpu_ns(CLOCK_THREAD_CPUTIME_ID);
	enum gpu_run result;

	direct.workload = (struct gpu_workload){
		.engine = GPU_BCS,
		.ggtt = &direct.ggtt,
		.ppgtt = &direct.ppgtt,
		.ring_bytes = (uint32_t)PAGE_BYTES,
		.cs = { .tail = 16 },
		.client = &direct.client,
	};
	direct.gpu->ops->begin(direct.gpu, &direct.workload);
	do {
		result = direct.gpu->ops->run(direct.gpu, GPU_BCS, clock_now_ns() + NSEC_PER_MSEC);
	} while (result == GPU_RUN_BUDGET);
	direct.gpu->ops->end(direct.gpu, GPU_BCS);
	if (result != GPU_RUN_DONE || direct.faulted)
		bench_die("the batch did not run to its end");
	return cpu_ns(CLOCK_THREAD_CPUTIME_ID) - begin;
}

static void mediated_init(void)
{
	int cpu;

	if (bench_cpus(&cpu, 1) == 1)
		bench_pin(cpu);
	driver_open(&driver, true);
	find_lane_clock();
	driver.irq_fd = eventfd(0, EFD_CLOEXEC);
	if (driver.irq_fd <= 0)
		bench_die("no eventfd");
	driver_start(&driver);
	driver_context_init(&driver, &context, GPU_BCS, 0x20);
}

int main(int argc, char **argv)
{
	FILE *jsonl = bench_begin(argc, argv, "[JSONL]");
	struct bench_samples ours, bare;
	double value, baseline;

	mediated_init();
	direct_init(frame_map(&driver));
	bench_samples_init(&ours, SAMPLES);
	bench_samples_init(&bare, SAMPLES);
	for (uint32_t i = 1; i <= SAMPLES; i++) {
		bench_sample(&ours, mediated_frame(i));
		bench_sample(&bare, direct_frame());
	}
	value = bench_percentile_us(&ours, 10);
	baseline = bench_percentile_us(&bare, 10);
	printf("value: one of ten of %u frames was faster\n", SAMPLES);
	bench_table_head();
	bench_report(jsonl, &(struct bench_result){
				    .name = "mediated.direct",
				    .unit = "us",
				    .value = value,
				    .p99 = bench_percentile_us(&ours, 99),
				    .baseline = { "the same given to the GPU library", baseline },
				    .limit = { "the same", baseline },
			    });
	bench_samples_fini(&ours);
	bench_samples_fini(&bare);
	driver_close(&driver);
	close(driver.irq_fd);
	gpu_destroy(direct.gpu);
	return bench_end(jsonl);
}
