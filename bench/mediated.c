/* SPDX-License-Identifier: MIT */
/*
 * What mediation takes away: the same frames once through a vGPU, as a guest's driver submits them
 * (context image, ring, ELSP, page tables, audit, status buffer, interrupt and its handling), and
 * once given to the GPU library directly, with flat address spaces and nobody in between.  Both
 * draw in the very same memory and on one CPU, so that neither finds better caches or pages, and no
 * thread is woken up across CPUs, which costs a microsecond or eighty, as the machine is.  A frame
 * is a user batch of the blitter: big copies and fills and many small ones, between one and two
 * milliseconds in all. Frames take turns; the tenth percentile of each counts, in CPU time of all
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
#include "tests/vgpu/driver.h"

#define SAMPLES	  400u
#define WIDTH	  1024u
#define HEIGHT	  1024u
#define PITCH	  (WIDTH * 4)
#define ROUNDS	  4u
#define SMALL	  40u /* in a round */
#define BATCH_MAX 8192u

/* Addresses of the user's space, whose pages follow each other in memory as well. */
#define BATCH_AT    (DST_AT - BATCH_MAX * 4)
#define DST_AT	    0x1000000u
#define SRC_AT	    (DST_AT + PITCH * HEIGHT)
#define END_AT	    (SRC_AT + PITCH * HEIGHT)
#define SPACE_PAGES ((END_AT - BATCH_AT) / (uint32_t)PAGE_BYTES)

#define XY_COLOR_BLT	(2u << 29 | 0x50u << 22 | 3u << 20 | 5)
#define XY_SRC_COPY_BLT (2u << 29 | 0x53u << 22 | 3u << 20 | 8)
#define BR13(rop)	(3u << 24 | (uint32_t)(rop) << 16 | PITCH)

static uint32_t batch[BATCH_MAX];
static unsigned int batch_dwords;

static void put(const uint32_t *dwords, size_t count)
{
	if (batch_dwords + count > BATCH_MAX)
		bench_die("the batch is too long");
	memcpy(&batch[batch_dwords], dwords, count * sizeof(*dwords));
	batch_dwords += (unsigned int)count;
}

static void put_fill(uint32_t x, uint32_t y, uint32_t w, uint32_t h, uint32_t color)
{
	const uint32_t dw[] = { XY_COLOR_BLT, BR13(0xf0), y << 16 | x, (y + h) << 16 | (x + w),
				DST_AT,	      0,	  color };

	put(dw, ARRAY_SIZE(dw));
}

static void put_copy(void)
{
	const uint32_t dw[] = { XY_SRC_COPY_BLT, BR13(0xcc), 0, HEIGHT << 16 | WIDTH, DST_AT, 0, 0,
				PITCH,		 SRC_AT,     0 };

	put(dw, ARRAY_SIZE(dw));
}

static void make_batch(void)
{
	const uint32_t end[] = { MI_BBE };

	for (uint32_t i = 0; i < ROUNDS; i++) {
		put_copy();
		put_fill(0, 0, WIDTH, HEIGHT / 2, i);
		for (uint32_t n = 0; n < SMALL; n++)
			put_fill(n * 19 % 900, n * 37 % 900, 64, 48, n);
	}
	put(end, 1);
}

/* ---- Through a vGPU -------------------------------------------------------------------------- */

static struct driver driver;
static struct driver_context context;

/* The memory of the user's space, in the guest: the batch and the two surfaces. */
static uint8_t *map_user(void)
{
	gpa_t page = ram_alloc(driver.ram, SPACE_PAGES);
	uint8_t *host = ram_at(driver.ram, page);

	for (unsigned int i = 0; i < SPACE_PAGES; i++)
		driver_ppgtt_map(&driver, BATCH_AT + i * PAGE_BYTES, gpa(page.v + i * PAGE_BYTES));
	memset(host, 1, SPACE_PAGES * PAGE_BYTES);
	memcpy(host, batch, sizeof(batch));
	return host;
}

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
	const uint32_t start[] = { MI_BBS_PPGTT, BATCH_AT, 0, MI_NOOP };
	uint64_t begin = cpu_ns(CLOCK_THREAD_CPUTIME_ID);

	driver_emit(&driver, &context, start, ARRAY_SIZE(start));
	driver_emit_seqno(&driver, &context, 0, seqno);
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
	uint8_t *memory; /* from BATCH_AT on: the guest's */
} direct;

static int ring_translate(struct gpu_as *as, gma_t gma, unsigned int access, struct gpu_page *page)
{
	*page = (struct gpu_page){ .host = direct.ring, .writable = true };
	return gma.v ? -EFAULT : 0;
}

static int user_translate(struct gpu_as *as, gma_t gma, unsigned int access, struct gpu_page *page)
{
	if (gma.v < BATCH_AT || gma.v >= END_AT)
		return -EFAULT;
	*page = (struct gpu_page){ .host = &direct.memory[gma.v - BATCH_AT], .writable = true };
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
	const uint32_t start[] = { MI_BBS_PPGTT, BATCH_AT, 0, MI_NOOP };

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
	FILE *jsonl = argc > 1 ? fopen(argv[1], "a") : NULL;
	struct bench_samples ours, bare;
	double value, baseline;

	if (argc > 1 && !jsonl)
		bench_die("cannot open %s", argv[1]);
	make_batch();
	mediated_init();
	direct_init(map_user());
	bench_samples_init(&ours, SAMPLES);
	bench_samples_init(&bare, SAMPLES);
	for (uint32_t i = 1; i <= SAMPLES; i++) {
		bench_sample(&ours, mediated_frame(i));
		bench_sample(&bare, direct_frame());
	}
	value = bench_percentile_us(&ours, 10);
	baseline = bench_percentile_us(&bare, 10);
	printf("one of ten of %u frames was faster (not the median)\n", SAMPLES);
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
	if (jsonl)
		fclose(jsonl);
	return 0;
}
