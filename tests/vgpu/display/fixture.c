/* SPDX-License-Identifier: MIT */
/* See fixture.h.  Register values are those of a boot of i915 on an HDMI port. */
#include "fixture.h"

#include <string.h>

uint64_t fixture_now_ns;

static uint64_t fixture_now(void)
{
	return fixture_now_ns;
}

static void on_interrupt(void *opaque)
{
	((struct fixture *)opaque)->messages++;
}

static void on_timer(void *opaque, uint64_t when_ns)
{
	struct fixture *f = opaque;

	f->timer_ns = when_ns;
	f->timer_sets++;
}

static const struct vgpu_host_ops host_ops = {
	.interrupt = on_interrupt,
	.display_timer = on_timer,
};

void fixture_open(struct fixture *f, const struct vgpu_port_config *ports, bool render_only)
{
	size_t types;
	struct vgpu_config config = {
		.name = "test",
		.type = vgpu_types(&types),
		.render_only = render_only,
		.host = &host_ops,
		.opaque = f,
	};

	memset(f, 0, sizeof(*f));
	for (size_t i = 0; i < types; i++) /* the type with the largest screen */
		if (vgpu_types(&types)[i].max_width > config.type->max_width)
			config.type = &vgpu_types(&types)[i];
	fixture_now_ns = 1000 * NSEC_PER_SEC;
	assert_int_equal(test_guest_init(&f->g, 8u << 20), 0);
	f->gpu = gpu_null_create();
	assert_non_null(f->gpu);
	assert_int_equal(sched_lane_create("test", &f->lane), 0);
	config.guest = &f->g.guest;
	config.gpu = f->gpu;
	config.lane = f->lane;
	memcpy(config.ports, ports, sizeof(config.ports));
	assert_int_equal(vgpu_create(&config, &f->v), 0);
	f->v->display->now = fixture_now;
}

void fixture_close(struct fixture *f)
{
	vgpu_destroy(f->v);
	sched_lane_destroy(f->lane);
	gpu_destroy(f->gpu);
	test_guest_fini(&f->g);
}

uint32_t rd(struct fixture *f, uint32_t offset)
{
	uint32_t value;

	vgpu_bar0_read(f->v, offset, &value, sizeof(value));
	return value;
}

void wr(struct fixture *f, uint32_t offset, uint32_t value)
{
	vgpu_bar0_write(f->v, offset, &value, sizeof(value));
}

void fixture_run(struct fixture *f, uint64_t ns)
{
	uint64_t end_ns = fixture_now_ns + ns;

	while (f->timer_ns && f->timer_ns <= end_ns) {
		fixture_now_ns = MAX(fixture_now_ns, f->timer_ns);
		f->timer_ns = 0;
		vgpu_display_tick(f->v, fixture_now_ns);
	}
	fixture_now_ns = end_ns;
}

void fixture_irq_on(struct fixture *f)
{
	for (unsigned int pipe = 0; pipe < 3; pipe++) {
		wr(f, IRQ_DE_PIPE(pipe) + 0xc, 0x90000f89);
		wr(f, IRQ_DE_PIPE(pipe) + 0x4, 0xeffff07f);
	}
	wr(f, REG_SDEIER, 0xffffffff);
	wr(f, REG_SDEIMR, 0xff1fffff);
	wr(f, REG_PCH_PORT_HOTPLUG, 0x00101010);
	wr(f, REG_GEN8_MASTER_IRQ, 0x80000000);
}

uint32_t fixture_irq_take(struct fixture *f, uint32_t block)
{
	uint32_t iir;

	wr(f, REG_GEN8_MASTER_IRQ, 0);
	iir = rd(f, block + 8);
	wr(f, block + 8, iir);
	wr(f, REG_GEN8_MASTER_IRQ, 0x80000000);
	return iir;
}

void fixture_modeset(struct fixture *f, unsigned int pipe, unsigned int ddi)
{
	wr(f, REG_DPLL_CTRL1, rd(f, REG_DPLL_CTRL1) | 0x845);
	wr(f, REG_DPLL_CFGCR1(0), 0x802aab7b);
	wr(f, REG_DPLL_CFGCR2(0), 0x7a4);
	wr(f, REG_LCPLL_CTL(1), 0x80000000);
	wr(f, REG_DPLL_CTRL2, rd(f, REG_DPLL_CTRL2) | 3u << (3 * ddi));
	wr(f, REG_PIPESRC(pipe), 0x03ff02ff);
	wr(f, REG_HTOTAL(pipe), 0x053f03ff);
	wr(f, REG_HBLANK(pipe), 0x053f03ff);
	wr(f, REG_HSYNC(pipe), 0x049f0417);
	wr(f, REG_VTOTAL(pipe), 0x032502ff);
	wr(f, REG_VBLANK(pipe), 0x032502ff);
	wr(f, REG_VSYNC(pipe), 0x03080302);
	wr(f, REG_TRANS_DDI_FUNC_CTL(pipe), 0x81000000 | ddi << 28);
	wr(f, REG_PIPECONF(pipe), 0x80000000);
	wr(f, REG_DDI_BUF_CTL(ddi), 0x80000000);
}
