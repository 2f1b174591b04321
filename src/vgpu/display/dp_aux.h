/* SPDX-License-Identifier: MIT */
/* A DisplayPort monitor behind an AUX channel: DPCD, and DDC over I2C.  vgpu->lock held. */
#ifndef VGPU_DISPLAY_DP_AUX_H
#define VGPU_DISPLAY_DP_AUX_H

#include "vgpu/display/ddc.h"

#define DP_AUX_MAX_BYTES 20u
#define DP_DPCD_BYTES	 0x700u

#define DP_AUX_CH_CTL_SEND_BUSY		 BIT(31)
#define DP_AUX_CH_CTL_DONE		 BIT(30)
#define DP_AUX_CH_CTL_TIME_OUT_ERROR	 BIT(28)
#define DP_AUX_CH_CTL_RECEIVE_ERROR	 BIT(25)
#define DP_AUX_CH_CTL_MESSAGE_SIZE_SHIFT 20
#define DP_AUX_CH_CTL_MESSAGE_SIZE_MASK	 (0x1fu << 20)

struct vgpu_dp_sink {
	uint8_t dpcd[DP_DPCD_BYTES];
	struct vgpu_ddc *ddc;
};

/* Power on: a 1.2 monitor of four lanes at 5.4 Gb/s. */
void vgpu_dp_sink_reset(struct vgpu_dp_sink *sink);

/*
 * One AUX transaction: @request of @request_bytes (3 to 20) in, the reply into @reply; returns
 * its size in bytes, at least 1, or 0 when the request is malformed (no monitor would answer).
 */
size_t vgpu_dp_aux_transfer(struct vgpu_dp_sink *sink, const uint8_t *request, size_t request_bytes,
			    uint8_t reply[DP_AUX_MAX_BYTES]);

/*
 * A write of @value to a channel's control register, whose five data registers are @data:
 * runs the transaction when asked to, and returns what the register reads from then on.
 * @sink NULL: nothing is plugged in.  @old is the register before.
 */
uint32_t vgpu_dp_aux_control(struct vgpu_dp_sink *sink, uint32_t old, uint32_t value,
			     uint32_t data[5]);

#endif
