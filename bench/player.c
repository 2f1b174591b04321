/* SPDX-License-Identifier: MIT */
/* The player's driver; see player.h.  One thread, beside the vGPU's lane. */
#include "bench/player.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/bench.h"
#include "bench/frame.h"
#include "tests/vgpu/direct.h"

#define AHEAD 4u /* frames in the ring that are not done */

static struct driver driver;
static struct driver_context context;

/* The lane begins where this thread is. */
static void open_vgpu(const struct player_config *config)
{
	bench_pin(config->lane_cpu);
	direct_lease = config->lease;
	driver_open(&driver, true);
	bench_pin(config->driver_cpu);
	driver.irq_fd = eventfd(0, EFD_CLOEXEC);
	if (driver.irq_fd <= 0)
		bench_die("no eventfd");
	driver_start(&driver);
	driver_context_init(&driver, &context, GPU_BCS, 0x20);
	frame_map(&driver);
}

static void await_interrupt(void)
{
	uint64_t count;

	if (read(driver.irq_fd, &count, sizeof(count)) != sizeof(count))
		bench_die("no interrupt");
	driver_handle_irq(&driver, GPU_BCS);
}

_Noreturn void player_run(const struct player_config *config)
{
	const struct timespec moment = { .tv_nsec = (long)NSEC_PER_MSEC };
	uint32_t emitted = 0, done = 0;

	open_vgpu(config);
	atomic_fetch_add(config->ready, 1);
	while (!atomic_load(config->go))
		nanosleep(&moment, NULL);
	for (;;) {
		while (emitted - done < AHEAD)
			frame_emit(&driver, &context, ++emitted);
		driver_submit(&driver, &context, NULL, 0);
		await_interrupt();
		done = driver_result(&driver, 0);
		atomic_store(config->frames, done);
	}
}
