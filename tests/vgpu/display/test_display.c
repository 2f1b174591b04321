/* SPDX-License-Identifier: MIT */
/*
 * The display as a driver meets it: power and PLLs answer, a mode set runs, blanks come at the
 * mode's rate on a clock turned by hand, flips latch, monitors come and go.
 */
#include <errno.h>
#include <string.h>

#include "fixture.h"
#include "vgpu/ggtt.h"

#define PERIOD_NS 16665600ull /* 1344 * 806 pixels at 65 MHz */

static const struct vgpu_port_config one_hdmi[VGPU_MAX_PORTS] = {
	[2] = { VGPU_PORT_HDMI, true, 1024, 768, 60 },
};
static const struct vgpu_port_config three_ports[VGPU_MAX_PORTS] = {
	{ VGPU_PORT_HDMI, true, 1024, 768, 60 },
	{ VGPU_PORT_DP, true, 1280, 800, 60 },
	{ VGPU_PORT_HDMI, false, 800, 600, 60 },
};

static void power_and_plls_answer(void **state)
{
	struct fixture f;

	fixture_open(&f, one_hdmi, false);
	assert_int_equal(rd(&f, REG_SKL_DFSM), 0);
	assert_int_equal(rd(&f, REG_SKL_FUSE_STATUS), 0x8e000000);
	wr(&f, REG_HSW_PWR_WELL_CTL(1), 0x20000000);
	assert_int_equal(rd(&f, REG_HSW_PWR_WELL_CTL(1)), 0x30000000);
	wr(&f, REG_HSW_PWR_WELL_CTL(1), 0x10000002);
	assert_int_equal(rd(&f, REG_HSW_PWR_WELL_CTL(1)), 0x00000003);
	wr(&f, REG_DBUF_CTL, 0x80000000);
	assert_int_equal(rd(&f, REG_DBUF_CTL), 0xc0000000);
	wr(&f, REG_LCPLL_CTL(0), 0x80000000);
	wr(&f, REG_WRPLL_CTL(1), 0x80000000);
	assert_int_equal(rd(&f, REG_LCPLL_CTL(0)), 0xc0000000);
	assert_int_equal(rd(&f, REG_DPLL_STATUS), 0x01000001);
	wr(&f, REG_LCPLL_CTL(0), 0x40000000);
	assert_int_equal(rd(&f, REG_LCPLL_CTL(0)), 0);
	assert_int_equal(rd(&f, REG_DDI_BUF_CTL(3)), 0x80);
	wr(&f, REG_DDI_BUF_CTL(3), 0x80000002);
	assert_int_equal(rd(&f, REG_DDI_BUF_CTL(3)), 0x80000002);
	wr(&f, REG_DP_TP_CTL(2), 0x80040200);
	assert_int_equal(rd(&f, REG_DP_TP_STATUS(2)), BIT(25));
	assert_int_equal(rd(&f, REG_PCH_RAWCLK_FREQ), 24);
	assert_int_equal(rd(&f, REG_PP_STATUS(0)), 0);
	assert_int_equal(rd(&f, REG_CPU_VGACNTRL), 0x80000000);
	fixture_close(&f);
}

static void straps_and_levels_name_the_ports(void **state)
{
	struct fixture f;

	fixture_open(&f, three_ports, false);
	assert_int_equal(rd(&f, REG_SFUSE_STRAP), 7);
	assert_int_equal(rd(&f, REG_SDEISR), BIT(21) | BIT(22));
	fixture_close(&f);
	fixture_open(&f, one_hdmi, false);
	assert_int_equal(rd(&f, REG_SFUSE_STRAP), 1);
	assert_int_equal(rd(&f, REG_SDEISR), BIT(23));
	fixture_close(&f);
}

static void render_only_has_no_display(void **state)
{
	struct fixture f;
	struct display_head head;
	struct display_source *source;

	fixture_open(&f, three_ports, true);
	source = vgpu_display_source(f.v);
	assert_int_equal(rd(&f, REG_SKL_DFSM), 0x50200000);
	assert_int_equal(rd(&f, REG_SFUSE_STRAP), 0);
	assert_int_equal(rd(&f, REG_SDEISR), 0);
	assert_int_equal(vgpu_display_plug(f.v, 0, false), -ENODEV);
	for (unsigned int i = 0; i < DISPLAY_MAX_HEADS; i++)
		assert_int_equal(source->ops->head(source, i, &head), -ENODEV);
	fixture_close(&f);
}

static void a_reset_keeps_the_monitors(void **state)
{
	struct fixture f;

	fixture_open(&f, one_hdmi, false);
	fixture_irq_on(&f);
	fixture_modeset(&f, 0, 3);
	wr(&f, IRQ_DE_PIPE(0) + 4, 0xeffff07e);
	assert_int_not_equal(f.timer_ns, 0);
	vgpu_reset(f.v);
	assert_int_equal(f.timer_ns, 0);
	assert_int_equal(rd(&f, REG_PIPECONF(0)), 0);
	assert_int_equal(rd(&f, REG_SFUSE_STRAP), 1);
	assert_int_equal(rd(&f, REG_SDEISR), BIT(23));
	fixture_close(&f);
}

static void counters_follow_the_clock(void **state)
{
	struct fixture f;

	fixture_open(&f, one_hdmi, false);
	assert_int_equal(rd(&f, REG_PIPEDSL(0)), 0);
	fixture_modeset(&f, 0, 3);
	assert_int_equal(rd(&f, REG_PIPECONF(0)), 0xc0000000);
	assert_int_equal(rd(&f, REG_PIPE_FRMCOUNT(0)), 0);
	fixture_run(&f, 10 * NSEC_PER_MSEC);
	assert_in_range(rd(&f, REG_PIPEDSL(0)), 480, 484);
	fixture_run(&f, 10 * NSEC_PER_SEC - 10 * NSEC_PER_MSEC);
	assert_in_range(rd(&f, REG_PIPE_FRMCOUNT(0)), 600, 601);
	/* The other pipes stand still. */
	assert_int_equal(rd(&f, REG_PIPE_FRMCOUNT(1)), 0);
	wr(&f, REG_PIPECONF(0), 0x40000000);
	assert_int_equal(rd(&f, REG_PIPECONF(0)), 0);
	assert_int_equal(rd(&f, REG_PIPEDSL(0)), 0);
	/* Nobody asked for an interrupt: no timer was ever set. */
	assert_int_equal(f.timer_sets, 0);
	fixture_close(&f);
}

static unsigned int count_vblanks(struct fixture *f, unsigned int ms)
{
	unsigned int count = 0;

	while (ms--) {
		fixture_run(f, NSEC_PER_MSEC);
		count += fixture_irq_take(f, IRQ_DE_PIPE(0)) & 1;
	}
	return count;
}

static void vblanks_come_at_the_modes_rate(void **state)
{
	struct fixture f;

	fixture_open(&f, one_hdmi, false);
	fixture_irq_on(&f);
	fixture_modeset(&f, 0, 3);
	assert_int_equal(count_vblanks(&f, 1000), 0); /* masked */
	wr(&f, IRQ_DE_PIPE(0) + 4, 0xeffff07e);
	assert_in_range(count_vblanks(&f, 10000), 599, 601);
	assert_in_range(f.messages, 599, 601);
	wr(&f, IRQ_DE_PIPE(0) + 4, 0xeffff07f);
	count_vblanks(&f, 20); /* the timer that was still set */
	assert_int_equal(f.timer_ns, 0);
	assert_int_equal(count_vblanks(&f, 1000), 0);
	fixture_close(&f);
}

/* i915 enables the interrupt, then reads the counter: the next blank is one later, never this. */
static void an_interrupt_is_for_a_blank_still_to_come(void **state)
{
	struct fixture f;

	fixture_open(&f, one_hdmi, false);
	fixture_irq_on(&f);
	fixture_modeset(&f, 0, 3);
	for (unsigned int i = 0; i < 200; i++) {
		uint32_t before;

		fixture_run(&f, PERIOD_NS * 7 / 3);
		wr(&f, IRQ_DE_PIPE(0) + 4, 0xeffff07e);
		before = rd(&f, REG_PIPE_FRMCOUNT(0));
		assert_int_equal(fixture_irq_take(&f, IRQ_DE_PIPE(0)) & 1, 0);
		fixture_run(&f, f.timer_ns - fixture_now_ns);
		assert_int_equal(fixture_irq_take(&f, IRQ_DE_PIPE(0)) & 1, 1);
		assert_int_equal(rd(&f, REG_PIPE_FRMCOUNT(0)), before + 1);
		wr(&f, IRQ_DE_PIPE(0) + 4, 0xeffff07f);
	}
	fixture_close(&f);
}

/* A host that was away for a while: one interrupt, the counter tells how many, the beat stays. */
static void late_timers_do_not_drift(void **state)
{
	struct fixture f;
	uint64_t first_ns;

	fixture_open(&f, one_hdmi, false);
	fixture_irq_on(&f);
	fixture_modeset(&f, 0, 3);
	wr(&f, IRQ_DE_PIPE(0) + 4, 0xeffff07e);
	first_ns = f.timer_ns;
	fixture_now_ns += 100 * PERIOD_NS;
	f.timer_ns = 0;
	vgpu_display_tick(f.v, fixture_now_ns);
	assert_int_equal(f.messages, 1);
	assert_int_equal(fixture_irq_take(&f, IRQ_DE_PIPE(0)) & 1, 1);
	assert_int_equal(rd(&f, REG_PIPE_FRMCOUNT(0)), 100);
	assert_in_range(f.timer_ns, first_ns + 100 * PERIOD_NS - 1000,
			first_ns + 100 * PERIOD_NS + 1000);
	fixture_close(&f);
}

static void pipes_keep_their_own_beat(void **state)
{
	struct fixture f;
	unsigned int a = 0, b = 0;

	fixture_open(&f, three_ports, false);
	fixture_irq_on(&f);
	fixture_modeset(&f, 0, 1);
	fixture_modeset(&f, 1, 3);
	wr(&f, REG_PIPECONF(1), 0);
	wr(&f, REG_VTOTAL(1), (806 * 2 - 1) << 16 | 767); /* half the rate */
	wr(&f, REG_PIPECONF(1), 0x80000000);
	wr(&f, IRQ_DE_PIPE(0) + 4, 0xeffff07e);
	wr(&f, IRQ_DE_PIPE(1) + 4, 0xeffff07e);
	for (unsigned int ms = 0; ms < 2000; ms++) {
		fixture_run(&f, NSEC_PER_MSEC);
		a += fixture_irq_take(&f, IRQ_DE_PIPE(0)) & 1;
		b += fixture_irq_take(&f, IRQ_DE_PIPE(1)) & 1;
	}
	assert_in_range(a, 119, 121);
	assert_in_range(b, 59, 61);
	fixture_close(&f);
}

/* Link M/N on a DP port: 71 MHz out of 540,000 symbols. */
static void a_dp_port_runs_at_its_m_over_n(void **state)
{
	struct fixture f;
	struct display_head head;
	struct display_source *source;

	fixture_open(&f, three_ports, false);
	wr(&f, REG_DPLL_CTRL1, 1 << 6); /* DPLL1: 5.4 Gb/s */
	wr(&f, REG_DPLL_CTRL2, 3 << 6); /* port C */
	wr(&f, REG_PIPE_LINK_M1(2), 71000 * 524288ull / 540000);
	wr(&f, REG_PIPE_LINK_N1(2), 524288);
	wr(&f, REG_HTOTAL(2), 1439 << 16 | 1279);
	wr(&f, REG_VTOTAL(2), 822 << 16 | 799);
	wr(&f, REG_VBLANK(2), 822 << 16 | 799);
	wr(&f, REG_PIPESRC(2), 1279 << 16 | 799);
	wr(&f, REG_TRANS_DDI_FUNC_CTL(2), 0xa2000006);
	wr(&f, REG_PIPECONF(2), 0x80000000);
	source = vgpu_display_source(f.v);
	assert_int_equal(source->ops->head(source, 1, &head), 0);
	assert_true(head.active);
	assert_int_equal(head.width, 1280);
	assert_int_equal(head.height, 800);
	assert_in_range(head.refresh_mhz, 59800, 60000);
	assert_int_equal(source->ops->head(source, 0, &head), 0);
	assert_false(head.active);
	assert_int_equal(source->ops->head(source, 3, &head), -ENODEV);
	fixture_close(&f);
}

static void expect_mode(struct fixture *f, unsigned int pipe, bool active, int head,
			uint32_t refresh_mhz)
{
	struct vgpu_pipe_mode mode;

	vgpu_display_pipe(f->v, pipe, &mode);
	assert_int_equal(mode.active, active);
	assert_int_equal(mode.head, head);
	assert_int_equal(mode.width, active ? 1024 : 0);
	assert_int_equal(mode.height, active ? 768 : 0);
	assert_int_equal(mode.refresh_mhz, refresh_mhz);
}

/* Pipe, port and head are three numbers: pipe B drives the one monitor there is, on the last port.
 */
static void heads_are_ports_whatever_pipe_drives_them(void **state)
{
	struct fixture f;
	struct display_head head;
	struct display_source *source;

	fixture_open(&f, one_hdmi, false);
	source = vgpu_display_source(f.v);
	fixture_modeset(&f, 1, 3);
	assert_int_equal(source->ops->head(source, 0, &head), -ENODEV);
	assert_int_equal(source->ops->head(source, 1, &head), -ENODEV);
	assert_int_equal(source->ops->head(source, 2, &head), 0);
	assert_true(head.active);
	assert_int_equal(head.width, 1024);
	expect_mode(&f, 0, false, -1, 0);
	expect_mode(&f, 1, true, 2, 60003);
	/* A port that is not there shows nothing to anybody; its pipe runs all the same. */
	wr(&f, REG_TRANS_DDI_FUNC_CTL(1), 0x81000000 | 1u << 28);
	expect_mode(&f, 1, true, -1, 60003);
	assert_int_equal(source->ops->head(source, 2, &head), 0);
	assert_false(head.active);
	wr(&f, REG_PIPECONF(1), 0);
	expect_mode(&f, 1, false, -1, 0);
	fixture_close(&f);
}

/* A source larger than any monitor of the type is not drawn, whatever the guest writes. */
static void a_head_larger_than_the_type_is_off(void **state)
{
	struct fixture f;
	struct display_head head;
	struct display_source *source;
	uint32_t width, height;

	fixture_open(&f, three_ports, false);
	fixture_modeset(&f, 0, 1);
	source = vgpu_display_source(f.v);
	width = f.v->config.type->max_width;
	height = f.v->config.type->max_height;
	wr(&f, REG_PIPESRC(0), (width - 1) << 16 | (height - 1));
	assert_int_equal(source->ops->head(source, 0, &head), 0);
	assert_true(head.active);
	wr(&f, REG_PIPESRC(0), width << 16 | (height - 1));
	assert_int_equal(source->ops->head(source, 0, &head), 0);
	assert_false(head.active);
	wr(&f, REG_PIPESRC(0), (width - 1) << 16 | height);
	assert_int_equal(source->ops->head(source, 0, &head), 0);
	assert_false(head.active);
	wr(&f, REG_PIPESRC(0), 8191 << 16 | 4095);
	assert_int_equal(source->ops->head(source, 0, &head), 0);
	assert_false(head.active);
	fixture_close(&f);
}

static void flip(struct fixture *f, uint32_t surface)
{
	wr(f, REG_PLANE_STRIDE(0, 0), 0x40);
	wr(f, REG_PLANE_SIZE(0, 0), 0x02ff03ff);
	wr(f, REG_PLANE_CTL(0, 0), 0x84042000);
	wr(f, REG_PLANE_SURF(0, 0), surface);
}

static void flips_latch_at_the_blank(void **state)
{
	struct fixture f;
	struct display_head head;
	struct display_source *source;

	fixture_open(&f, one_hdmi, false);
	source = vgpu_display_source(f.v);
	fixture_modeset(&f, 0, 3);
	flip(&f, 0x40000);
	assert_int_equal(rd(&f, REG_PLANE_SURF(0, 0)), 0x40000);
	assert_int_equal(rd(&f, REG_PLANE_SURFLIVE(0, 0)), 0);
	source->ops->head(source, 2, &head);
	assert_false(head.primary.enabled);
	fixture_run(&f, PERIOD_NS);
	assert_int_equal(rd(&f, REG_PLANE_SURFLIVE(0, 0)), 0x40000);
	source->ops->head(source, 2, &head);
	assert_true(head.primary.enabled);
	assert_int_equal(head.primary.surface.v, 0x40000);
	assert_int_equal(head.primary.stride_bytes, 4096);
	/* Two in one frame: the later one is shown, one flip is counted. */
	flip(&f, 0x80000);
	flip(&f, 0xc0000);
	fixture_run(&f, PERIOD_NS);
	assert_int_equal(rd(&f, REG_PLANE_SURFLIVE(0, 0)), 0xc0000);
	assert_int_equal(rd(&f, REG_PIPE_FLIPCOUNT(0)), 2);
	/* Without the arming write nothing happens. */
	wr(&f, REG_PLANE_CTL(0, 0), 0);
	fixture_run(&f, 2 * PERIOD_NS);
	source->ops->head(source, 2, &head);
	assert_true(head.primary.enabled);
	wr(&f, REG_PLANE_SURF(0, 0), 0);
	fixture_run(&f, PERIOD_NS);
	source->ops->head(source, 2, &head);
	assert_false(head.primary.enabled);
	fixture_close(&f);
}

static void cursors_latch_too(void **state)
{
	struct fixture f;
	struct display_head head;
	struct display_source *source;
	uint64_t before;

	fixture_open(&f, one_hdmi, false);
	source = vgpu_display_source(f.v);
	fixture_modeset(&f, 0, 3);
	source->ops->head(source, 2, &head);
	before = head.flips;
	wr(&f, REG_CURCNTR(0), 0x04000027);
	wr(&f, REG_CURPOS(0), 0x00648005);
	wr(&f, REG_CURBASE(0), 0x200000);
	fixture_run(&f, PERIOD_NS);
	source->ops->head(source, 2, &head);
	assert_true(head.flips > before);
	assert_true(head.cursor.enabled);
	assert_int_equal(head.cursor.x, -5);
	assert_int_equal(head.cursor.y, 100);
	assert_int_equal(rd(&f, REG_CURSURFLIVE(0)), 0x200000);
	fixture_close(&f);
}

/* Pixels from guest pages through the GGTT, in whatever order they lie. */
static void a_grab_sees_the_guests_pixels(void **state)
{
	struct fixture f;
	struct display_image image = { .width = 0 };

	fixture_open(&f, one_hdmi, false);
	fixture_modeset(&f, 0, 3);
	for (uint32_t page = 0; page < 768; page++) {
		gpa_t at = ram_alloc(&f.g.ram, 1);
		uint64_t pte = at.v | 1;

		for (uint32_t x = 0; x < 1024; x++)
			ram_write32(&f.g.ram, gpa(at.v + 4 * x), 0xff000000 | page << 10 | x);
		if (page == 700) /* a hole reads as black */
			pte = 0;
		vgpu_bar0_write(f.v, VGPU_GTT_OFFSET + 8ull * (0x10000 + 767 - page), &pte, 8);
	}
	flip(&f, 0x10000000);
	fixture_run(&f, PERIOD_NS);
	assert_int_equal(display_grab(vgpu_display_source(f.v), 2, &image), 0);
	assert_int_equal(image.width, 1024);
	assert_int_equal(image.height, 768);
	for (uint32_t y = 0; y < 768; y++) {
		for (uint32_t x = 0; x < 1024; x++)
			assert_int_equal(image.pixels[y * 1024 + x],
					 767 - y == 700 ? 0 : (767 - y) << 10 | x);
	}
	display_image_fini(&image);
	fixture_close(&f);
}

/* GMBUS: the EDID's preferred size, or 0 on a NAK. */
static uint32_t edid_width(struct fixture *f, uint32_t pin)
{
	uint8_t edid[128];

	wr(f, REG_GMBUS, pin);
	wr(f, REG_GMBUS + 4, 0x468000a1);
	for (unsigned int i = 0; i < 128; i += 4) {
		uint32_t data;

		if (rd(f, REG_GMBUS + 8) & BIT(10)) {
			wr(f, REG_GMBUS + 4, 0x80000000);
			wr(f, REG_GMBUS + 4, 0);
			return 0;
		}
		data = rd(f, REG_GMBUS + 12);
		memcpy(edid + i, &data, 4);
	}
	wr(f, REG_GMBUS + 4, 0x48000000);
	return edid[56] | (edid[58] & 0xf0u) << 4;
}

static void a_new_mode_is_a_hotplug(void **state)
{
	struct fixture f;

	fixture_open(&f, one_hdmi, false);
	fixture_irq_on(&f);
	assert_int_equal(edid_width(&f, 6), 1024);
	assert_int_equal(vgpu_display_set_mode(f.v, 2, 1600, 900, 60), 0);
	assert_int_equal(f.messages, 1);
	/* spt_irq_handler(): SDEIIR, then the status, cleared by writing it back. */
	assert_int_equal(rd(&f, REG_GEN8_MASTER_IRQ) & BIT(23), BIT(23));
	assert_int_equal(fixture_irq_take(&f, IRQ_PCH), BIT(23));
	assert_int_equal(rd(&f, REG_PCH_PORT_HOTPLUG), 0x00121010);
	wr(&f, REG_PCH_PORT_HOTPLUG, 0x00121010);
	assert_int_equal(rd(&f, REG_PCH_PORT_HOTPLUG), 0x00101010);
	assert_int_equal(edid_width(&f, 6), 1600);
	/* The same again is nothing new. */
	assert_int_equal(vgpu_display_set_mode(f.v, 2, 1600, 900, 60), 0);
	assert_int_equal(f.messages, 1);
	fixture_close(&f);
}

/* The first data register after a transaction of four bytes on port C's channel. */
static uint32_t aux_read(struct fixture *f, uint32_t request)
{
	wr(f, REG_DP_AUX_CH_DATA(2), request);
	wr(f, REG_DP_AUX_CH_CTL(2), 0xfe40023f);
	return rd(f, REG_DP_AUX_CH_DATA(2));
}

static void monitors_come_and_go(void **state)
{
	struct fixture f;

	fixture_open(&f, three_ports, false);
	fixture_irq_on(&f);
	assert_int_equal(vgpu_display_plug(f.v, 0, false), 0);
	assert_int_equal(fixture_irq_take(&f, IRQ_PCH), BIT(21));
	assert_int_equal(rd(&f, REG_SDEISR), BIT(22));
	assert_int_equal(edid_width(&f, 5), 0);
	assert_int_equal(rd(&f, REG_GPIO_CTL(4)), 0x1010);
	/* While away it may change its mode: seen when it is back. */
	assert_int_equal(vgpu_display_set_mode(f.v, 0, 1280, 1024, 0), 0);
	assert_int_equal(fixture_irq_take(&f, IRQ_PCH), 0);
	assert_int_equal(vgpu_display_plug(f.v, 0, true), 0);
	assert_int_equal(fixture_irq_take(&f, IRQ_PCH), BIT(21));
	assert_int_equal(rd(&f, REG_SDEISR), BIT(21) | BIT(22));
	assert_int_equal(edid_width(&f, 5), 1280);
	assert_int_equal(vgpu_display_plug(f.v, 0, true), 0);
	assert_int_equal(fixture_irq_take(&f, IRQ_PCH), 0);

	/* A DP monitor: AUX answers, or times out. */
	assert_int_equal(aux_read(&f, 0x90000000), 0x00120000);
	vgpu_display_plug(f.v, 1, false);
	assert_int_equal(rd(&f, REG_SDEISR), BIT(21));
	wr(&f, REG_DP_AUX_CH_DATA(2), 0x90000000);
	wr(&f, REG_DP_AUX_CH_CTL(2), 0xfe40023f);
	assert_int_equal(rd(&f, REG_DP_AUX_CH_CTL(2)) & (BIT(31) | BIT(30) | BIT(28)),
			 BIT(30) | BIT(28));
	/* Another monitor may have come: it has its link set up as after power on. */
	vgpu_display_plug(f.v, 1, true);
	assert_int_equal(aux_read(&f, 0x90010000), 0x00140000);
	wr(&f, REG_DP_AUX_CH_DATA(2), 0x80010000);
	wr(&f, REG_DP_AUX_CH_DATA(2) + 4, 0x0a000000);
	wr(&f, REG_DP_AUX_CH_CTL(2), 0xfe50023f);
	assert_int_equal(aux_read(&f, 0x90010000), 0x000a0000);
	vgpu_display_plug(f.v, 1, false);
	vgpu_display_plug(f.v, 1, true);
	assert_int_equal(aux_read(&f, 0x90010000), 0x00140000);
	/* A channel that belongs to no port. */
	wr(&f, REG_DP_AUX_CH_CTL(0), 0xfe40023f);
	assert_true(rd(&f, REG_DP_AUX_CH_CTL(0)) & BIT(28));
	fixture_close(&f);
}

/* A pulse of another port, or the same, while the driver handles one is not taken for short. */
static void a_pulse_inside_the_handler_stays_long(void **state)
{
	struct fixture f;
	uint32_t status;

	fixture_open(&f, three_ports, false);
	fixture_irq_on(&f);
	assert_int_equal(vgpu_display_plug(f.v, 0, false), 0);
	assert_int_equal(fixture_irq_take(&f, IRQ_PCH), BIT(21));
	assert_int_equal(vgpu_display_set_mode(f.v, 1, 1280, 1024, 0), 0);
	status = rd(&f, REG_PCH_PORT_HOTPLUG);
	assert_int_equal(status, 0x00101212);
	wr(&f, REG_PCH_PORT_HOTPLUG, status);
	assert_int_equal(rd(&f, REG_PCH_PORT_HOTPLUG), 0x00101210);

	assert_int_equal(fixture_irq_take(&f, IRQ_PCH), BIT(22));
	status = rd(&f, REG_PCH_PORT_HOTPLUG);
	assert_int_equal(vgpu_display_set_mode(f.v, 1, 1024, 768, 0), 0);
	wr(&f, REG_PCH_PORT_HOTPLUG, status);
	assert_int_equal(rd(&f, REG_PCH_PORT_HOTPLUG), 0x00101210);
	assert_int_equal(fixture_irq_take(&f, IRQ_PCH), BIT(22));
	wr(&f, REG_PCH_PORT_HOTPLUG, 0x00101210);
	assert_int_equal(rd(&f, REG_PCH_PORT_HOTPLUG), 0x00101010);
	fixture_close(&f);
}

/* Before the driver enables detection there is only the level. */
static void no_pulse_before_it_is_enabled(void **state)
{
	struct fixture f;

	fixture_open(&f, one_hdmi, false);
	assert_int_equal(vgpu_display_plug(f.v, 2, false), 0);
	assert_int_equal(rd(&f, REG_SDEISR), 0);
	assert_int_equal(rd(&f, REG_PCH_PORT_HOTPLUG), 0);
	assert_int_equal(f.messages, 0);
	fixture_close(&f);
}

static void wishes_that_cannot_be_are_refused(void **state)
{
	struct fixture f;

	fixture_open(&f, one_hdmi, false);
	assert_int_equal(vgpu_display_set_mode(f.v, 0, 1024, 768, 60), -ENODEV);
	assert_int_equal(vgpu_display_set_mode(f.v, 3, 1024, 768, 60), -ENODEV);
	assert_int_equal(vgpu_display_set_mode(f.v, 2, 1, 1, 60), -EINVAL);
	assert_int_equal(vgpu_display_set_mode(f.v, 2, 100000, 768, 60), -EINVAL);
	assert_int_equal(vgpu_display_plug(f.v, 1, true), -ENODEV);
	assert_int_equal(edid_width(&f, 6), 1024);
	fixture_close(&f);
}

static void expect_refusal(struct fixture *f, const struct vgpu_port_config *wanted, int err,
			   const char *remedy)
{
	char why[160];

	assert_int_equal(vgpu_timing_choose(wanted->kind, wanted->width, wanted->height,
					    wanted->refresh_hz, &(struct vgpu_timing){ 0 }),
			 err);
	vgpu_display_refusal(f->v, wanted, err ? err : -EINVAL, why, sizeof(why));
	assert_non_null(strstr(why, remedy));
}

/* What is wrong and what would do, each in its own words. */
static void refusals_name_the_remedy(void **state)
{
	static const struct vgpu_port_config fast = { VGPU_PORT_HDMI, true, 1920, 1200, 144 };
	static const struct vgpu_port_config fast_dp = { VGPU_PORT_DP, true, 3840, 2160, 144 };
	static const struct vgpu_port_config odd = { VGPU_PORT_HDMI, true, 1023, 768, 0 };
	static const struct vgpu_port_config large = { VGPU_PORT_HDMI, true, 1920, 1080, 0 };
	struct vgpu_type small = { .name = "small", .max_width = 1024, .max_height = 768 };
	struct fixture f;

	fixture_open(&f, one_hdmi, false);
	expect_refusal(&f, &fast, -ERANGE,
		       "HDMI cannot carry 1920x1200@144: take a lower rate, or a dp");
	expect_refusal(&f, &fast_dp, -ERANGE, "DisplayPort cannot carry 3840x2160@144");
	expect_refusal(&f, &odd, -EINVAL, "no monitor is 1023x768: widths are even");
	f.v->config.type = &small;
	assert_int_equal(vgpu_display_set_mode(f.v, 2, 1920, 1080, 0), -EINVAL);
	expect_refusal(&f, &large, 0,
		       "type small shows 1024x768 at most, not 1920x1080: take a bigger --type");
	fixture_close(&f);
}

/* At start as well: no vGPU, and a reason. */
static void monitors_that_cannot_be_make_no_vgpu(void **state)
{
	static const struct vgpu_port_config bad[] = {
		{ VGPU_PORT_HDMI, true, 3840, 2160, 60 },
		{ VGPU_PORT_DP, true, 1023, 768, 60 },
		{ VGPU_PORT_DP, true, 1024, 100000, 60 },
	};
	static const int errors[] = { -ERANGE, -EINVAL, -EINVAL };
	struct fixture f;

	fixture_open(&f, one_hdmi, false);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct vgpu_config config = f.v->config;
		struct vgpu *second = NULL;

		config.ports[0] = bad[i];
		assert_int_equal(vgpu_create(&config, &second), errors[i]);
		assert_null(second);
	}
	fixture_close(&f);
}

/* Any value into any display register, and the clock running: no crash, no runaway timer. */
static void senseless_registers_do_no_harm(void **state)
{
	struct fixture f;
	struct display_image image = { .width = 0 };
	uint32_t x = 4711;

	fixture_open(&f, three_ports, false);
	fixture_irq_on(&f);
	for (unsigned int i = 0; i < 200000; i++) {
		uint32_t offset;

		x = x * 1664525u + 1013904223u;
		offset = 0x40000 + (x >> 8) % 0x8d000 / 4 * 4;
		x = x * 1664525u + 1013904223u;
		if (i % 64 == 0)
			offset = REG_PIPECONF(i / 64 % 3);
		wr(&f, offset, x);
		rd(&f, offset);
		if (i % 1000 == 0) {
			int err = display_grab(vgpu_display_source(f.v), i / 1000 % 3, &image);

			assert_true(err == 0 || err == -EAGAIN || err == -EINVAL);
			fixture_run(&f, 20 * NSEC_PER_MSEC);
		}
	}
	display_image_fini(&image);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_checked(power_and_plls_answer),
		leak_checked(straps_and_levels_name_the_ports),
		leak_checked(render_only_has_no_display),
		leak_checked(a_reset_keeps_the_monitors),
		leak_checked(counters_follow_the_clock),
		leak_checked(vblanks_come_at_the_modes_rate),
		leak_checked(an_interrupt_is_for_a_blank_still_to_come),
		leak_checked(late_timers_do_not_drift),
		leak_checked(pipes_keep_their_own_beat),
		leak_checked(a_dp_port_runs_at_its_m_over_n),
		leak_checked(heads_are_ports_whatever_pipe_drives_them),
		leak_checked(a_head_larger_than_the_type_is_off),
		leak_checked(flips_latch_at_the_blank),
		leak_checked(cursors_latch_too),
		leak_checked(a_grab_sees_the_guests_pixels),
		leak_checked(a_new_mode_is_a_hotplug),
		leak_checked(monitors_come_and_go),
		leak_checked(a_pulse_inside_the_handler_stays_long),
		leak_checked(no_pulse_before_it_is_enabled),
		leak_checked(wishes_that_cannot_be_are_refused),
		leak_checked(refusals_name_the_remedy),
		leak_checked(monitors_that_cannot_be_make_no_vgpu),
		leak_checked(senseless_registers_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
