/* SPDX-License-Identifier: MIT */
/*
 * Everybody at once: a guest that flips and takes its interrupts, a timer, an operator who changes
 * and pulls the monitor, and a sink that looks.  Meant for ThreadSanitizer.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "fixture.h"

#define ROUNDS 400u

static const struct vgpu_port_config ports[VGPU_MAX_PORTS] = {
	{ VGPU_PORT_HDMI, true, 1024, 768, 60 },
};

struct scene {
	struct fixture f;
	_Atomic bool over;
};

static void *timer_run(void *arg)
{
	struct scene *scene = arg;

	while (!atomic_load(&scene->over)) {
		vgpu_display_tick(scene->f.v, clock_now_ns());
		usleep(500);
	}
	return NULL;
}

static void *operator_run(void *arg)
{
	struct scene *scene = arg;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		assert_int_equal(vgpu_display_set_mode(scene->f.v, 0, 800 + i % 64 * 2, 600, 60),
				 0);
		assert_int_equal(vgpu_display_plug(scene->f.v, 0, i % 3 != 0), 0);
	}
	return NULL;
}

static void *sink_run(void *arg)
{
	struct scene *scene = arg;
	struct display_source *source = vgpu_display_source(scene->f.v);
	struct display_image image = { .width = 0 };
	struct vgpu_pipe_mode mode;

	for (unsigned int i = 0; i < ROUNDS / 8; i++) {
		int err = display_grab(source, 0, &image);

		assert_true(err == 0 || err == -EAGAIN);
		vgpu_display_pipe(scene->f.v, 0, &mode);
		assert_true(mode.head == 0 || !mode.active);
	}
	display_image_fini(&image);
	return NULL;
}

static void guest_round(struct fixture *f, unsigned int i)
{
	wr(f, REG_PLANE_STRIDE(0, 0), 0x40);
	wr(f, REG_PLANE_SIZE(0, 0), 0x003f03ff);
	wr(f, REG_PLANE_CTL(0, 0), 0x84042000);
	wr(f, REG_PLANE_SURF(0, 0), i % 16 << 16);
	wr(f, REG_CURBASE(0), 0);
	wr(f, IRQ_DE_PIPE(0) + 4, i % 2 ? 0xeffff07f : 0xeffff07e);
	fixture_irq_take(f, IRQ_DE_PIPE(0));
	if (fixture_irq_take(f, IRQ_PCH))
		wr(f, REG_PCH_PORT_HOTPLUG, rd(f, REG_PCH_PORT_HOTPLUG));
	rd(f, REG_PIPE_FRMCOUNT(0));
	rd(f, REG_PIPEDSL(0));
	rd(f, REG_PIPE_FLIPCOUNT(0));
	rd(f, REG_PIPE_FRMTMSTMP(0));
	assert_int_equal(rd(f, REG_PLANE_SURFLIVE(0, 0)) & ~0xf0000u, 0);
	assert_int_equal(rd(f, REG_CURSURFLIVE(0)), 0);
	rd(f, REG_GMBUS + 12);
	if (i % 100 == 50) {
		wr(f, REG_PIPECONF(0), 0);
		wr(f, REG_PIPECONF(0), 0x80000000);
	}
}

static void all_at_once(void **state)
{
	struct scene scene = { .over = false };
	pthread_t timer, operator_thread, sink;

	fixture_open(&scene.f, ports, false);
	scene.f.v->display->now = clock_now_ns;
	fixture_irq_on(&scene.f);
	fixture_modeset(&scene.f, 0, 1);
	pthread_create(&timer, NULL, timer_run, &scene);
	pthread_create(&operator_thread, NULL, operator_run, &scene);
	pthread_create(&sink, NULL, sink_run, &scene);
	for (unsigned int i = 0; i < 4 * ROUNDS; i++)
		guest_round(&scene.f, i);
	pthread_join(operator_thread, NULL);
	pthread_join(sink, NULL);
	atomic_store(&scene.over, true);
	pthread_join(timer, NULL);
	assert_int_not_equal(scene.f.messages, 0);
	fixture_close(&scene.f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_checked(all_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
