/* SPDX-License-Identifier: MIT */
/*
 * The sink side of DisplayPort's AUX channel (DP 1.2, sections 2.7 and 2.9) and the source's
 * registers for it.  A transaction takes no time: the reply is there when the control register is
 * read again, so the driver's wait ends at its first look and no AUX interrupt is raised.  The
 * link trains at the first try: there is no cable.  Called with vgpu->lock held.
 */
#include "vgpu/display/dp_aux.h"

#include <string.h>

enum {
	AUX_I2C_WRITE = 0x0,
	AUX_I2C_READ = 0x1,
	AUX_I2C_WRITE_STATUS = 0x2,
	AUX_I2C_MOT = 0x4,
	AUX_NATIVE_WRITE = 0x8,
	AUX_NATIVE_READ = 0x9,
};

#define REPLY_ACK      0x00
#define REPLY_AUX_NACK 0x10
#define REPLY_I2C_NACK 0x40
#define HEADER_BYTES   4u
#define BARE_BYTES     3u /* an address-only I2C transaction has no length byte */

#define DP_DEVICE_SERVICE_IRQ_VECTOR 0x201
#define DP_LINK_BW_SET		     0x100
#define DP_LINK_CONFIG_END	     0x200
#define DP_SET_POWER		     0x600

void vgpu_dp_sink_reset(struct vgpu_dp_sink *sink)
{
	uint8_t *dpcd = sink->dpcd;

	memset(dpcd, 0, sizeof(sink->dpcd));
	dpcd[0x000] = 0x12; /* revision 1.2 */
	dpcd[0x001] = 0x14; /* 5.4 Gb/s */
	dpcd[0x002] = 0xc4; /* four lanes, training pattern 3, enhanced framing */
	dpcd[0x006] = 0x01; /* 8b/10b */
	dpcd[0x100] = 0x14;
	dpcd[0x101] = 0x84;
	dpcd[0x200] = 0x41; /* one sink, content protection ready bit as monitors show it */
	/* Clock recovered, equalised and locked on all lanes, and aligned between them. */
	dpcd[0x202] = 0x77;
	dpcd[0x203] = 0x77;
	dpcd[0x204] = 0x01;
	dpcd[0x205] = 0x01; /* receive port 0 in sync */
	dpcd[DP_SET_POWER] = 0x01;
}

static bool dpcd_writable(uint32_t address)
{
	return (address >= DP_LINK_BW_SET && address < DP_LINK_CONFIG_END) ||
	       address == DP_SET_POWER;
}

static void dpcd_write(struct vgpu_dp_sink *sink, uint32_t address, uint8_t value)
{
	if (address == DP_DEVICE_SERVICE_IRQ_VECTOR)
		sink->dpcd[address] = (uint8_t)(sink->dpcd[address] & ~value);
	else if (dpcd_writable(address))
		sink->dpcd[address] = value;
}

static size_t native_transfer(struct vgpu_dp_sink *sink, const uint8_t *request,
			      size_t request_bytes, uint8_t *reply)
{
	uint32_t address = (request[0] & 0xfu) << 16 | (uint32_t)request[1] << 8 | request[2];
	size_t len = (request_bytes >= HEADER_BYTES) ? (request[3] & 0xfu) + 1u : 0;

	reply[0] = REPLY_ACK;
	if (!len)
		return 0;
	if (request[0] >> 4 == AUX_NATIVE_READ) {
		for (size_t i = 0; i < len; i++)
			reply[1 + i] = address + i < DP_DPCD_BYTES ? sink->dpcd[address + i] : 0;
		return 1 + len;
	}
	if (request_bytes != HEADER_BYTES + len)
		return 0;
	for (size_t i = 0; i < len; i++)
		dpcd_write(sink, (uint32_t)(address + i), request[HEADER_BYTES + i]);
	return 1;
}

static size_t i2c_transfer(struct vgpu_dp_sink *sink, const uint8_t *request, size_t request_bytes,
			   uint8_t *reply)
{
	unsigned int command = (request[0] >> 4) & ~(unsigned int)AUX_I2C_MOT;
	size_t len = request_bytes > BARE_BYTES ? (request[3] & 0xfu) + 1u : 0;

	if (!vgpu_ddc_acks(sink->ddc, request[2] & 0x7f)) {
		reply[0] = REPLY_I2C_NACK;
		return 1;
	}
	reply[0] = REPLY_ACK;
	if (command == AUX_I2C_READ) {
		for (size_t i = 0; i < len; i++)
			reply[1 + i] = vgpu_ddc_read(sink->ddc);
		return 1 + len;
	}
	if (command == AUX_I2C_WRITE) {
		if (len && request_bytes != HEADER_BYTES + len)
			return 0;
		for (size_t i = 0; i < len; i++)
			vgpu_ddc_write(sink->ddc, request[HEADER_BYTES + i]);
	}
	return 1;
}

size_t vgpu_dp_aux_transfer(struct vgpu_dp_sink *sink, const uint8_t *request, size_t request_bytes,
			    uint8_t reply[DP_AUX_MAX_BYTES])
{
	if (request_bytes < BARE_BYTES || request_bytes > DP_AUX_MAX_BYTES)
		return 0;
	switch (request[0] >> 4) {
	case AUX_NATIVE_READ:
	case AUX_NATIVE_WRITE:
		return native_transfer(sink, request, request_bytes, reply);
	case AUX_I2C_WRITE:
	case AUX_I2C_READ:
	case AUX_I2C_WRITE_STATUS:
	case AUX_I2C_WRITE | AUX_I2C_MOT:
	case AUX_I2C_READ | AUX_I2C_MOT:
	case AUX_I2C_WRITE_STATUS | AUX_I2C_MOT:
		return i2c_transfer(sink, request, request_bytes, reply);
	default:
		reply[0] = REPLY_AUX_NACK;
		return 1;
	}
}

/* The data registers hold bytes most significant first. */
static void data_unpack(const uint32_t data[5], uint8_t bytes[DP_AUX_MAX_BYTES])
{
	for (size_t i = 0; i < DP_AUX_MAX_BYTES; i++)
		bytes[i] = (uint8_t)(data[i / 4] >> (24 - 8 * (i % 4)));
}

static void data_pack(const uint8_t bytes[DP_AUX_MAX_BYTES], uint32_t data[5])
{
	memset(data, 0, 5 * sizeof(data[0]));
	for (size_t i = 0; i < DP_AUX_MAX_BYTES; i++)
		data[i / 4] |= (uint32_t)bytes[i] << (24 - 8 * (i % 4));
}

uint32_t vgpu_dp_aux_control(struct vgpu_dp_sink *sink, uint32_t old, uint32_t value,
			     uint32_t data[5])
{
	const uint32_t w1c = DP_AUX_CH_CTL_DONE | DP_AUX_CH_CTL_TIME_OUT_ERROR |
			     DP_AUX_CH_CTL_RECEIVE_ERROR;
	uint32_t status = (value & ~w1c) | (old & w1c & ~value);
	uint8_t request[DP_AUX_MAX_BYTES], reply[DP_AUX_MAX_BYTES] = { 0 };
	size_t bytes;

	if (!(value & DP_AUX_CH_CTL_SEND_BUSY))
		return status;
	status &= ~(DP_AUX_CH_CTL_SEND_BUSY | w1c);
	if (!sink)
		return status | DP_AUX_CH_CTL_DONE | DP_AUX_CH_CTL_TIME_OUT_ERROR;
	data_unpack(data, request);
	bytes = (value & DP_AUX_CH_CTL_MESSAGE_SIZE_MASK) >> DP_AUX_CH_CTL_MESSAGE_SIZE_SHIFT;
	bytes = vgpu_dp_aux_transfer(sink, request, bytes, reply);
	if (!bytes)
		return status | DP_AUX_CH_CTL_DONE | DP_AUX_CH_CTL_RECEIVE_ERROR;
	data_pack(reply, data);
	status &= ~DP_AUX_CH_CTL_MESSAGE_SIZE_MASK;
	return status | DP_AUX_CH_CTL_DONE | (uint32_t)bytes << DP_AUX_CH_CTL_MESSAGE_SIZE_SHIFT;
}
