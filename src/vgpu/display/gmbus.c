/* SPDX-License-Identifier: MIT */
/*
 * GMBUS as i915's intel_gmbus.c drives it.  A transfer takes no time here: the bytes are there
 * when GMBUS1 is written, so whatever the driver waits for is true at its first look and no
 * interrupt (SDE_GMBUS) is needed; each would cost the guest a handler run.  Called by the
 * register handlers, with vgpu->lock held.
 */
#include "vgpu/display/gmbus.h"

#include <string.h>

#define GMBUS_PIN_MASK		0x7u
#define GMBUS_BYTE_CNT_OVERRIDE BIT(6)

#define GPIO_CLOCK_DIR_MASK BIT(0)
#define GPIO_CLOCK_DIR_OUT  BIT(1)
#define GPIO_CLOCK_VAL_MASK BIT(2)
#define GPIO_CLOCK_VAL_OUT  BIT(3)
#define GPIO_CLOCK_VAL_IN   BIT(4)
#define GPIO_DATA_SHIFT	    8 /* the data line's bits are the clock line's, 8 higher */

void vgpu_gmbus_reset(struct vgpu_gmbus *gmbus)
{
	struct vgpu_gmbus empty = { .monitor = gmbus->monitor, .opaque = gmbus->opaque };

	*gmbus = empty;
}

static struct vgpu_ddc *selected(struct vgpu_gmbus *gmbus)
{
	return gmbus->monitor(gmbus->opaque, gmbus->gmbus0 & GMBUS_PIN_MASK);
}

/* The data phase goes on while bytes are left; then the bus waits for a stop or another start. */
static void phase_update(struct vgpu_gmbus *gmbus)
{
	if (gmbus->remaining) {
		gmbus->status = GMBUS_HW_RDY | GMBUS_ACTIVE;
	} else if (gmbus->gmbus1 & GMBUS_CYCLE_STOP) {
		gmbus->status = GMBUS_HW_RDY;
	} else {
		gmbus->status = GMBUS_HW_RDY | GMBUS_HW_WAIT_PHASE | GMBUS_ACTIVE;
	}
}

static bool is_read(const struct vgpu_gmbus *gmbus)
{
	return gmbus->gmbus1 & GMBUS_SLAVE_READ;
}

/* Takes up to four bytes out of GMBUS3. */
static void data_write(struct vgpu_gmbus *gmbus, struct vgpu_ddc *ddc)
{
	for (unsigned int i = 0; i < 4 && gmbus->remaining; i++, gmbus->remaining--)
		vgpu_ddc_write(ddc, (uint8_t)(gmbus->gmbus3 >> (8 * i)));
}

static void cycle_start(struct vgpu_gmbus *gmbus)
{
	struct vgpu_ddc *ddc = selected(gmbus);
	uint8_t address = (gmbus->gmbus1 >> 1) & 0x7f;

	if (!ddc || !vgpu_ddc_acks(ddc, address)) {
		gmbus->remaining = 0;
		gmbus->status = GMBUS_HW_RDY | GMBUS_HW_WAIT_PHASE | GMBUS_SATOER;
		return;
	}
	if (gmbus->gmbus1 & GMBUS_CYCLE_INDEX) {
		bool wide = gmbus->gmbus5 & GMBUS_2BYTE_INDEX_EN;

		/* The memory takes each index byte as its pointer: the last one counts. */
		vgpu_ddc_write(ddc, (uint8_t)(wide ? gmbus->gmbus5 : gmbus->gmbus1 >> 8));
	}
	gmbus->remaining = (gmbus->gmbus1 >> 16) & 0x1ff;
	if (!is_read(gmbus))
		data_write(gmbus, ddc);
	phase_update(gmbus);
}

static void command_write(struct vgpu_gmbus *gmbus, uint32_t value)
{
	gmbus->gmbus1 = value;
	if (value & GMBUS_SW_CLR_INT) {
		gmbus->status = 0;
		gmbus->remaining = 0;
	} else if (value & GMBUS_SW_RDY) {
		if (value & (GMBUS_CYCLE_WAIT | GMBUS_CYCLE_INDEX)) {
			cycle_start(gmbus);
		} else {
			gmbus->remaining = 0;
			gmbus->status = GMBUS_HW_RDY;
		}
	}
}

static uint32_t data_read(struct vgpu_gmbus *gmbus)
{
	struct vgpu_ddc *ddc = selected(gmbus);
	uint32_t value = 0;

	if (!ddc || !is_read(gmbus))
		return gmbus->gmbus3;
	for (unsigned int i = 0; i < 4 && gmbus->remaining; i++) {
		value |= (uint32_t)vgpu_ddc_read(ddc) << (8 * i);
		/* A burst longer than the counter: it holds until the override is taken off. */
		if (!(gmbus->gmbus0 & GMBUS_BYTE_CNT_OVERRIDE))
			gmbus->remaining--;
	}
	phase_update(gmbus);
	return value;
}

uint32_t vgpu_gmbus_read(struct vgpu_gmbus *gmbus, uint32_t reg)
{
	switch (reg) {
	case GMBUS0:
		return gmbus->gmbus0;
	case GMBUS1:
		return gmbus->gmbus1;
	case GMBUS2:
		return gmbus->status;
	case GMBUS3:
		return data_read(gmbus);
	case GMBUS4:
		return gmbus->gmbus4;
	case GMBUS5:
		return gmbus->gmbus5;
	default:
		return 0;
	}
}

void vgpu_gmbus_write(struct vgpu_gmbus *gmbus, uint32_t reg, uint32_t value)
{
	struct vgpu_ddc *ddc;

	switch (reg) {
	case GMBUS0:
		gmbus->gmbus0 = value;
		break;
	case GMBUS1:
		command_write(gmbus, value);
		break;
	case GMBUS3:
		gmbus->gmbus3 = value;
		ddc = selected(gmbus);
		if (ddc && gmbus->remaining && !is_read(gmbus)) {
			data_write(gmbus, ddc);
			phase_update(gmbus);
		}
		break;
	case GMBUS4:
		gmbus->gmbus4 = value;
		break;
	case GMBUS5:
		gmbus->gmbus5 = value;
		break;
	default:
		break;
	}
}

static uint32_t line_write(uint32_t old, uint32_t value, unsigned int shift)
{
	uint32_t changed = 0;

	if (value & (GPIO_CLOCK_DIR_MASK << shift))
		changed |= GPIO_CLOCK_DIR_OUT << shift;
	if (value & (GPIO_CLOCK_VAL_MASK << shift))
		changed |= GPIO_CLOCK_VAL_OUT << shift;
	return (old & ~changed) | (value & changed);
}

uint32_t vgpu_gpio_write(uint32_t old, uint32_t value)
{
	return line_write(line_write(old, value, 0), value, GPIO_DATA_SHIFT);
}

/* An open-drain line with a pull-up and nobody else on it: high unless the driver pulls it low. */
static uint32_t line_level(uint32_t stored, unsigned int shift)
{
	bool low = (stored >> shift & GPIO_CLOCK_DIR_OUT) &&
		   !(stored >> shift & GPIO_CLOCK_VAL_OUT);

	return low ? 0 : GPIO_CLOCK_VAL_IN << shift;
}

uint32_t vgpu_gpio_read(uint32_t stored)
{
	return stored | line_level(stored, 0) | line_level(stored, GPIO_DATA_SHIFT);
}
