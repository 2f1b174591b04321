/* SPDX-License-Identifier: MIT */
/* The PCH's I2C controller (GMBUS) and its bit-banged pins.  Called with vgpu->lock held. */
#ifndef VGPU_DISPLAY_GMBUS_H
#define VGPU_DISPLAY_GMBUS_H

#include "vgpu/display/ddc.h"

/* Registers, from the start of the block. */
enum {
	GMBUS0 = 0x00, /* pins and rate */
	GMBUS1 = 0x04, /* command */
	GMBUS2 = 0x08, /* status */
	GMBUS3 = 0x0c, /* data */
	GMBUS4 = 0x10, /* interrupt enables */
	GMBUS5 = 0x20, /* two-byte index */
};

#define GMBUS_SW_CLR_INT     BIT(31)
#define GMBUS_SW_RDY	     BIT(30)
#define GMBUS_CYCLE_STOP     BIT(27)
#define GMBUS_CYCLE_INDEX    BIT(26)
#define GMBUS_CYCLE_WAIT     BIT(25)
#define GMBUS_SLAVE_READ     BIT(0)
#define GMBUS_HW_WAIT_PHASE  BIT(14)
#define GMBUS_HW_RDY	     BIT(11)
#define GMBUS_SATOER	     BIT(10)
#define GMBUS_ACTIVE	     BIT(9)
#define GMBUS_2BYTE_INDEX_EN BIT(31)

struct vgpu_gmbus {
	uint32_t gmbus0, gmbus1, gmbus3, gmbus4, gmbus5;
	uint32_t status;    /* GMBUS2 */
	uint32_t remaining; /* bytes of the transfer still to come */
	/* The monitor behind a pin pair, or NULL. */
	struct vgpu_ddc *(*monitor)(void *opaque, uint32_t pin);
	void *opaque;
};

void vgpu_gmbus_reset(struct vgpu_gmbus *gmbus);
uint32_t vgpu_gmbus_read(struct vgpu_gmbus *gmbus, uint32_t reg);
void vgpu_gmbus_write(struct vgpu_gmbus *gmbus, uint32_t reg, uint32_t value);

/* A GPIO register: what @old becomes when @value is written, and what reading @stored gives. */
uint32_t vgpu_gpio_write(uint32_t old, uint32_t value);
uint32_t vgpu_gpio_read(uint32_t stored);

#endif
