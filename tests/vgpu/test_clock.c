/* SPDX-License-Identifier: MIT */
/* The engines' clock, in a test whose time goes on by one at each look at it (see meson.build). */
#include "driver.h"

#include "vgpu_regs_gen.h"

static uint64_t now;

uint64_t __wrap_gpu_timestamp(void);

uint64_t __wrap_gpu_timestamp(void)
{
	return now++;
}

/* The lower half wraps between the looks at the two, wherever that is. */
static void halves_are_of_one_moment(void **state)
{
	struct driver *d = *state;

	for (uint64_t start = 0xfffffff0; start <= 0x100000000; start++) {
		uint64_t value;

		now = start;
		driver_bar_read(d, 0, REG_RING_TIMESTAMP(0x2000), &value, 8);
		assert_in_range(value, start, now);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { with_driver(halves_are_of_one_moment) };

	return driver_run("clock", tests);
}
