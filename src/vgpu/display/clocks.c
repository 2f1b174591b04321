/* SPDX-License-Identifier: MIT */
/*
 * Power wells, buffers and PLLs: everything that is asked for by one bit and answers with
 * another.  The answers are computed from the requests when read, so they come at once and go
 * away again.  Register handlers (data/gen9_display.regs), with vgpu->lock held.
 */
#include "base/clock.h"
#include "vgpu/display/state.h"
#include "vgpu/mmio.h"

#define PWR_WELL_REQUESTS  0xaaaaaaaau /* two bits a well: request above state */
#define DBUF_POWER_REQUEST BIT(31)
#define DBUF_POWER_STATE   BIT(30)
#define LCPLL_PLL_ENABLE   BIT(31)
#define LCPLL_PLL_LOCK	   BIT(30)
#define DPLL_REF_KHZ	   24000u

#define TRANS_DDI_FUNC_ENABLE	BIT(31)
#define TRANS_DDI_PORT(ctl)	(((ctl) >> 28) & 7)
#define TRANS_DDI_MODE(ctl)	(((ctl) >> 24) & 7)
#define TRANS_DDI_MODE_DVI	1u
#define TRANS_DDI_BPC(ctl)	(((ctl) >> 20) & 7)
#define DPLL_CTRL1_HDMI_MODE	BIT(5)
#define DPLL_CTRL1_LINK_RATE(c) (((c) >> 1) & 7)

uint32_t vgpu_read_display_timestamp(struct vgpu *v, uint32_t offset)
{
	return (uint32_t)(v->display->now() / NSEC_PER_USEC);
}

/* Any of the four requesters (BIOS, driver, KVMR, debug) keeps a well on; all see its state. */
uint32_t vgpu_read_pwr_well_ctl(struct vgpu *v, uint32_t offset)
{
	uint32_t requests = 0;

	for (unsigned int i = 0; i < REG_HSW_PWR_WELL_CTL_COUNT; i++)
		requests |= vgpu_vreg(v, REG_HSW_PWR_WELL_CTL(i)) & PWR_WELL_REQUESTS;
	return (vgpu_vreg(v, offset) & PWR_WELL_REQUESTS) | requests >> 1;
}

uint32_t vgpu_read_dbuf_ctl(struct vgpu *v, uint32_t offset)
{
	uint32_t value = vgpu_vreg(v, offset) & ~DBUF_POWER_STATE;

	return value & DBUF_POWER_REQUEST ? value | DBUF_POWER_STATE : value;
}

uint32_t vgpu_read_lcpll_ctl(struct vgpu *v, uint32_t offset)
{
	uint32_t value = vgpu_vreg(v, offset) & ~LCPLL_PLL_LOCK;

	return value & LCPLL_PLL_ENABLE ? value | LCPLL_PLL_LOCK : value;
}

static uint32_t pll_enable_register(unsigned int pll)
{
	return pll < 2 ? REG_LCPLL_CTL(pll) : REG_WRPLL_CTL(pll - 2);
}

/* A lock bit in each byte, DPLL0 in the lowest. */
uint32_t vgpu_read_dpll_status(struct vgpu *v, uint32_t offset)
{
	uint32_t status = 0;

	for (unsigned int pll = 0; pll < 4; pll++) {
		if (vgpu_vreg(v, pll_enable_register(pll)) & LCPLL_PLL_ENABLE)
			status |= BIT(8 * pll);
	}
	return status;
}

/* The clock of a link in kHz by DPLL_CTRL1's three bits: symbols a second, a tenth of the bits. */
static uint32_t link_rate_khz(uint32_t ctrl1)
{
	static const uint32_t rates[8] = { 540000, 270000, 162000, 324000, 216000, 432000 };

	return rates[DPLL_CTRL1_LINK_RATE(ctrl1)];
}

/* The TMDS clock that DPLL1-3 make from 24 MHz: DCO / (5 * P * Q * K). */
static uint32_t wrpll_khz(struct vgpu *v, unsigned int pll)
{
	static const uint32_t p_of[8] = { 1, 2, 3, 1, 7, 1, 1, 1 };
	static const uint32_t k_of[4] = { 5, 2, 3, 1 };
	uint32_t cfgcr1 = vgpu_vreg(v, REG_DPLL_CFGCR1(pll - 1));
	uint32_t cfgcr2 = vgpu_vreg(v, REG_DPLL_CFGCR2(pll - 1));
	uint32_t q = cfgcr2 & BIT(7) ? (cfgcr2 >> 8) & 0xff : 1;
	uint64_t dco_khz = (uint64_t)(cfgcr1 & 0x1ff) * DPLL_REF_KHZ +
			   (uint64_t)((cfgcr1 >> 9) & 0x7fff) * DPLL_REF_KHZ / 0x8000;
	uint32_t divider = 5 * p_of[(cfgcr2 >> 2) & 7] * k_of[(cfgcr2 >> 5) & 3] * MAX(q, 1u);

	return (uint32_t)((dco_khz + divider / 2) / divider);
}

int vgpu_display_pipe_port(struct vgpu *v, unsigned int pipe)
{
	uint32_t ctl = vgpu_vreg(v, REG_TRANS_DDI_FUNC_CTL(pipe));
	uint32_t ddi = TRANS_DDI_PORT(ctl);

	if (!(ctl & TRANS_DDI_FUNC_ENABLE) || ddi < 1 || ddi > VGPU_MAX_PORTS)
		return -1;
	return (int)ddi - 1;
}

bool vgpu_display_pipe_tmds(struct vgpu *v, unsigned int pipe)
{
	return TRANS_DDI_MODE(vgpu_vreg(v, REG_TRANS_DDI_FUNC_CTL(pipe))) <= TRANS_DDI_MODE_DVI;
}

/* Deep colour stretches the TMDS clock; the dots are as many as before. */
static uint32_t tmds_dotclock_khz(uint32_t tmds_khz, uint32_t ctl)
{
	switch (TRANS_DDI_BPC(ctl)) {
	case 1: /* 10 bits a component */
		return (uint32_t)((uint64_t)tmds_khz * 4 / 5);
	case 3: /* 12 */
		return (uint32_t)((uint64_t)tmds_khz * 2 / 3);
	default:
		return tmds_khz;
	}
}

static uint32_t dp_dotclock_khz(struct vgpu *v, unsigned int pipe, uint32_t link_khz)
{
	uint64_t m = vgpu_vreg(v, REG_PIPE_LINK_M1(pipe)) & 0xffffff;
	uint64_t n = vgpu_vreg(v, REG_PIPE_LINK_N1(pipe)) & 0xffffff;

	return n ? (uint32_t)MIN(m * link_khz / n, (uint64_t)UINT32_MAX) : 0;
}

uint32_t vgpu_display_dotclock_khz(struct vgpu *v, unsigned int pipe)
{
	uint32_t ctl = vgpu_vreg(v, REG_TRANS_DDI_FUNC_CTL(pipe));
	uint32_t ddi = TRANS_DDI_PORT(ctl);
	uint32_t ctrl1, pll;

	if (vgpu_display_pipe_port(v, pipe) < 0)
		return 0;
	/* DPLL_CTRL2: three bits a port, which PLL clocks it in the upper two. */
	pll = (vgpu_vreg(v, REG_DPLL_CTRL2) >> (3 * ddi + 1)) & 3;
	ctrl1 = vgpu_vreg(v, REG_DPLL_CTRL1) >> (6 * pll);
	if (!vgpu_display_pipe_tmds(v, pipe))
		return dp_dotclock_khz(v, pipe, link_rate_khz(ctrl1));
	if (pll == 0 || !(ctrl1 & DPLL_CTRL1_HDMI_MODE))
		return 0;
	return tmds_dotclock_khz(wrpll_khz(v, pll), ctl);
}
