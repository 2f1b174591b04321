/* SPDX-License-Identifier: MIT */
/* Copies by turns; see turns.h. */
#include "bench/turns.h"

#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/bench.h"
#include "bench/frame.h"

#define COPY_BYTES ((size_t)FRAME_PITCH * FRAME_HEIGHT)
#define UNIT_BYTES (64u << 10)

static void await_turn(const struct turns_config *config)
{
	uint32_t turn;

	while ((turn = atomic_load(config->turn)) % config->count != config->index)
		syscall(SYS_futex, config->turn, FUTEX_WAIT, turn, NULL, NULL, 0);
}

static void pass_on(const struct turns_config *config)
{
	atomic_fetch_add(config->turn, 1);
	if (config->count > 1)
		syscall(SYS_futex, config->turn, FUTEX_WAKE, config->count, NULL, NULL, 0);
}

_Noreturn void turns_run(const struct turns_config *config)
{
	const struct timespec moment = { .tv_nsec = (long)NSEC_PER_MSEC };
	uint8_t *bytes = aligned_alloc(PAGE_BYTES, 2 * COPY_BYTES);
	size_t at = 0;

	if (!bytes)
		bench_die("no memory");
	bench_pin(config->cpu);
	memset(bytes, 1, 2 * COPY_BYTES);
	atomic_fetch_add(config->ready, 1);
	while (!atomic_load(config->go))
		nanosleep(&moment, NULL);
	for (;;) {
		await_turn(config);
		for (uint64_t end = clock_now_ns() + TURNS_NS; clock_now_ns() < end;) {
			memcpy(bytes + COPY_BYTES + at, bytes + at, UNIT_BYTES);
			__asm__ volatile("" : : "r"(bytes) : "memory");
			at = (at + UNIT_BYTES) % COPY_BYTES;
			atomic_fetch_add(config->units, 1);
		}
		pass_on(config);
	}
}
