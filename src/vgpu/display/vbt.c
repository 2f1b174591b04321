/* SPDX-License-Identifier: MIT */
/*
 * The video BIOS table, as small as i915's intel_bios.c accepts it: a header, a BDB of version
 * 186, general features (none) and general definitions with a child device for each port.  With
 * it the driver creates exactly these connectors; without it, it invents two for each of ports B,
 * C and D and bit-bangs for monitors that are not there.  Pure function, called once.
 */
#include "vgpu/display/vbt.h"

#include <string.h>

#define VBT_HEADER_BYTES    48u
#define BDB_HEADER_BYTES    22u
#define BDB_VERSION	    186u
#define BLOCK_HEADER_BYTES  3u
#define GENERAL_FEATURES    1u
#define GENERAL_DEFINITIONS 2u
#define FEATURES_BYTES	    5u
#define DEFINITIONS_BYTES   5u
#define CHILD_BYTES	    33u /* the size that goes with version 186 */

/* device_type words: hotplug, digital, and what the connector is. */
#define DEVICE_TYPE_DP	 0x68c6u
#define DEVICE_TYPE_HDMI 0x60d2u
#define DEVICE_HANDLE	 0x0004u

static const struct {
	uint8_t dvo_hdmi, dvo_dp, ddc_pin, aux_channel;
} wiring[VGPU_MAX_PORTS] = {
	{ 1, 7, 5, 0x10 }, /* B */
	{ 2, 8, 4, 0x20 }, /* C */
	{ 3, 9, 6, 0x30 }, /* D */
};

static void put_le16(uint8_t *p, uint32_t value)
{
	p[0] = (uint8_t)value;
	p[1] = (uint8_t)(value >> 8);
}

static uint8_t *block_open(uint8_t *p, uint8_t id, uint32_t bytes)
{
	p[0] = id;
	put_le16(p + 1, bytes);
	return p + BLOCK_HEADER_BYTES;
}

static void child_write(uint8_t *child, unsigned int port, enum vgpu_port_kind kind)
{
	bool dp = kind == VGPU_PORT_DP;

	put_le16(child, DEVICE_HANDLE << port);
	put_le16(child + 2, dp ? DEVICE_TYPE_DP : DEVICE_TYPE_HDMI);
	child[16] = dp ? wiring[port].dvo_dp : wiring[port].dvo_hdmi;
	child[19] = wiring[port].ddc_pin;
	child[24] = dp ? BIT(1) : BIT(0);
	if (dp)
		child[25] = wiring[port].aux_channel;
}

static uint8_t *definitions_write(uint8_t *p, const struct vgpu_port_config *ports)
{
	unsigned int children = 0;
	uint8_t *body;

	for (unsigned int i = 0; i < VGPU_MAX_PORTS; i++)
		children += ports[i].kind != VGPU_PORT_NONE;
	body = block_open(p, GENERAL_DEFINITIONS, DEFINITIONS_BYTES + children * CHILD_BYTES);
	body[0] = 2; /* the analogue port's DDC pins; there is no such port */
	body[4] = CHILD_BYTES;
	body += DEFINITIONS_BYTES;
	for (unsigned int i = 0; i < VGPU_MAX_PORTS; i++) {
		if (ports[i].kind == VGPU_PORT_NONE)
			continue;
		child_write(body, i, ports[i].kind);
		body += CHILD_BYTES;
	}
	return body;
}

size_t vgpu_vbt_build(const struct vgpu_port_config ports[VGPU_MAX_PORTS],
		      uint8_t vbt[VGPU_VBT_MAX_BYTES])
{
	uint8_t *bdb = vbt + VBT_HEADER_BYTES, *end;
	uint8_t sum = 0;
	size_t bytes;

	memset(vbt, 0, VGPU_VBT_MAX_BYTES);
	memcpy(vbt, "$VBT SKYLAKE        ", 20);
	put_le16(vbt + 20, 100);
	put_le16(vbt + 22, VBT_HEADER_BYTES);
	put_le16(vbt + 28, VBT_HEADER_BYTES); /* where the BDB starts */

	memcpy(bdb, "BIOS_DATA_BLOCK ", 16);
	put_le16(bdb + 16, BDB_VERSION);
	put_le16(bdb + 18, BDB_HEADER_BYTES);
	end = block_open(bdb + BDB_HEADER_BYTES, GENERAL_FEATURES, FEATURES_BYTES) + FEATURES_BYTES;
	end = definitions_write(end, ports);
	put_le16(bdb + 20, (uint32_t)(end - bdb));

	bytes = (size_t)(end - vbt);
	put_le16(vbt + 24, (uint32_t)bytes);
	for (size_t i = 0; i < bytes; i++)
		sum = (uint8_t)(sum + vbt[i]);
	vbt[26] = (uint8_t)-sum;
	return bytes;
}
