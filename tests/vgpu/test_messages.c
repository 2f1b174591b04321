/* SPDX-License-Identifier: MIT */
/*
 * Guest memory that cannot be mapped, on the transports that have such: messages to the VMM reach
 * it, or system calls.
 */
#include "driver.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "vgpu/engine.h"
#include "vgpu_regs_gen.h"

#define WAIT_NS (10 * NSEC_PER_SEC)

static void images_and_status_pages(void **state)
{
	struct driver *d = *state;
	struct driver_context ctx;

	driver_context_init(d, &ctx, GPU_RCS, 0x20);
	driver_emit_seqno(d, &ctx, 0, 1);
	driver_transport.memory->hide(d);
	driver_run_alone(d, &ctx);
	assert_int_equal(driver_result(d, 0), 1);
	assert_int_equal(driver_context_get(d, &ctx, CTX_RING_HEAD), ctx.tail);
}

/*
 * Where the thread that serves the access would have to bring the answer as well, nothing is behind
 * the aperture.
 */
static void the_aperture(void **state)
{
	static const char stored[4] = "abcd", nothing[4] = "";
	struct driver *d = *state;
	gpa_t a = ram_alloc(d->ram, 1);
	char buf[4] = "none";

	d->next_gma = 0;
	driver_map(d, a, 1);
	driver_transport.memory->hide(d);
	driver_bar_write(d, 2, 8, stored, 4);
	driver_bar_read(d, 2, 8, buf, 4);
	assert_memory_equal(buf, driver_transport.memory->in_traps ? stored : nothing, 4);
	assert_memory_equal(ram_at(d->ram, gpa(a.v + 8)),
			    driver_transport.memory->in_traps ? stored : nothing, 4);
}

static void wait_waiting(struct driver *d)
{
	uint64_t end = clock_now_ns() + WAIT_NS;

	while (!driver_transport.memory->waiting(d) && !driver_transport.memory->timeouts(d) &&
	       clock_now_ns() < end)
		driver_idle(d);
	assert_true(driver_transport.memory->waiting(d) || driver_transport.memory->timeouts(d));
}

/* The thread that resets is the one that would bring the answers the lane waits for. */
static void a_reset_does_not_wait_for_them(void **state)
{
	static const uint32_t domains[] = { 0x01, 0x1e, 0x06 };
	struct driver *d = *state;
	struct driver_context ctx[GPU_ENGINES];

	if (!driver_transport.memory->silence) {
		printf("# skip: system calls need nobody's answer\n");
		skip();
	}
	for_each_engine(id)
		driver_context_init(d, &ctx[id], id, 0x20 + 0x20 * id);
	driver_transport.memory->hide(d);
	for (size_t i = 0; i < ARRAY_SIZE(domains); i++) {
		driver_transport.memory->silence(d, true);
		for_each_engine(id)
			driver_elsp(d, id, ctx[id].desc, 0);
		wait_waiting(d);
		driver_write(d, REG_GEN6_GDRST, domains[i]);
		/* Those that were not reset: theirs may have failed, or still be waiting. */
		driver_write(d, REG_GEN6_GDRST, 1);
		assert_int_equal(driver_transport.memory->timeouts(d), 0);
		assert_int_equal(driver_transport.memory->waiting(d), 0);
		driver_transport.memory->silence(d, false);
	}
	for_each_engine(id) {
		assert_int_equal(driver_read(d, REG_RING_EXECLIST_STATUS_LO(gpu_engine_base(id))),
				 0);
		driver_start_engine(d, id);
	}
	driver_run_alone(d, &ctx[GPU_RCS]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_driver(images_and_status_pages),
		with_driver(the_aperture),
		with_driver(a_reset_does_not_wait_for_them),
	};

	return driver_run("messages", tests);
}
