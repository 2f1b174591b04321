/* SPDX-License-Identifier: MIT */
/* AUX transactions through the channel's registers, as i915's intel_dp_aux.c sends them. */
#include <string.h>

#include "tests/support/leaks.h"
#include "vgpu/display/dp_aux.h"

struct link {
	struct vgpu_dp_sink sink;
	struct vgpu_ddc ddc;
	uint8_t edid[256];
	uint32_t ctl, data[5];
	bool plugged;
};

static void link_init(struct link *link)
{
	memset(link, 0, sizeof(*link));
	for (size_t i = 0; i < sizeof(link->edid); i++)
		link->edid[i] = (uint8_t)(i * 5 + 1);
	link->ddc.edid = link->edid;
	link->ddc.edid_bytes = 128;
	link->sink.ddc = &link->ddc;
	link->plugged = true;
	vgpu_dp_sink_reset(&link->sink);
}

static void ctl_write(struct link *link, uint32_t value)
{
	link->ctl = vgpu_dp_aux_control(link->plugged ? &link->sink : NULL, link->ctl, value,
					link->data);
}

/* intel_dp_aux_xfer(): the reply's size, or less than 0 as it would log it. */
static int transfer(struct link *link, const uint8_t *send, uint32_t bytes, uint8_t *reply)
{
	uint32_t status, size;

	assert_int_equal(link->ctl & DP_AUX_CH_CTL_SEND_BUSY, 0);
	memset(link->data, 0, sizeof(link->data));
	for (uint32_t i = 0; i < bytes; i++)
		link->data[i / 4] |= (uint32_t)send[i] << (24 - 8 * (i % 4));
	ctl_write(link, 0xfe00023f | bytes << 20);
	status = link->ctl;
	assert_int_equal(status & DP_AUX_CH_CTL_SEND_BUSY, 0);
	assert_true(status & DP_AUX_CH_CTL_DONE);
	ctl_write(link, status | DP_AUX_CH_CTL_DONE | DP_AUX_CH_CTL_TIME_OUT_ERROR |
				DP_AUX_CH_CTL_RECEIVE_ERROR);
	assert_int_equal(link->ctl & (DP_AUX_CH_CTL_DONE | DP_AUX_CH_CTL_TIME_OUT_ERROR |
				      DP_AUX_CH_CTL_RECEIVE_ERROR),
			 0);
	if (status & DP_AUX_CH_CTL_TIME_OUT_ERROR)
		return -1;
	if (status & DP_AUX_CH_CTL_RECEIVE_ERROR)
		return -2;
	size = (status & DP_AUX_CH_CTL_MESSAGE_SIZE_MASK) >> DP_AUX_CH_CTL_MESSAGE_SIZE_SHIFT;
	assert_in_range(size, 1, 20);
	for (uint32_t i = 0; i < size; i++)
		reply[i] = (uint8_t)(link->data[i / 4] >> (24 - 8 * (i % 4)));
	return (int)size;
}

static void dpcd_read(struct link *link, uint32_t address, uint8_t *buf, uint8_t len)
{
	const uint8_t send[4] = { (uint8_t)(0x90 | address >> 16), (uint8_t)(address >> 8),
				  (uint8_t)address, (uint8_t)(len - 1) };
	uint8_t reply[20];

	assert_int_equal(transfer(link, send, 4, reply), len + 1);
	assert_int_equal(reply[0], 0);
	memcpy(buf, reply + 1, len);
}

static void dpcd_write(struct link *link, uint32_t address, const uint8_t *buf, uint8_t len)
{
	uint8_t send[20] = { (uint8_t)(0x80 | address >> 16), (uint8_t)(address >> 8),
			     (uint8_t)address, (uint8_t)(len - 1) };
	uint8_t reply[20];

	memcpy(send + 4, buf, len);
	assert_int_equal(transfer(link, send, 4u + len, reply), 1);
	assert_int_equal(reply[0], 0);
}

static void the_receiver_says_what_it_can(void **state)
{
	struct link link;
	uint8_t caps[16];

	link_init(&link);
	dpcd_read(&link, 0x000, caps, 15);
	assert_int_equal(caps[0], 0x12);
	assert_int_equal(caps[1], 0x14); /* 5.4 Gb/s */
	assert_int_equal(caps[2] & 0x1f, 4);
	assert_true(caps[2] & 0x80);
	assert_true(caps[2] & 0x40);	  /* pattern 3, which 5.4 Gb/s trains with */
	assert_int_equal(caps[5] & 1, 0); /* no branch */
	dpcd_read(&link, 0x021, caps, 1);
	assert_int_equal(caps[0] & 1, 0); /* no MST */
	dpcd_read(&link, 0x200, caps, 1);
	assert_int_equal(caps[0] & 0x3f, 1);
	dpcd_read(&link, 0x68028, caps, 1);
	assert_int_equal(caps[0], 0);
}

static void the_link_trains_at_the_first_try(void **state)
{
	static const uint8_t rate[2] = { 0x14, 0x84 }, pattern[5] = { 0x21 }, none = 0;
	struct link link;
	uint8_t status[6], back[5];

	link_init(&link);
	dpcd_write(&link, 0x600, (const uint8_t[]){ 1 }, 1);
	dpcd_write(&link, 0x100, rate, 2);
	dpcd_write(&link, 0x102, pattern, 5);
	dpcd_read(&link, 0x100, back, 3);
	assert_memory_equal(back, "\x14\x84\x21", 3);
	dpcd_read(&link, 0x202, status, 6);
	for (unsigned int lane = 0; lane < 4; lane++) /* CR done, EQ done, symbol locked */
		assert_int_equal(status[lane / 2] >> (4 * (lane % 2)) & 7, 7);
	assert_true(status[2] & 1);		    /* aligned */
	assert_int_equal(status[4] | status[5], 0); /* no more swing asked for */
	dpcd_write(&link, 0x102, &none, 1);
}

static void what_must_not_be_written_is_not(void **state)
{
	static const uint8_t ones[4] = { 0xff, 0xff, 0xff, 0xff };
	struct link link;
	uint8_t before[16], after[16];

	link_init(&link);
	dpcd_read(&link, 0x000, before, 16);
	dpcd_write(&link, 0x000, ones, 4);
	dpcd_write(&link, 0x202, ones, 4);
	dpcd_write(&link, 0xfffff, ones, 4);
	dpcd_read(&link, 0x000, after, 16);
	assert_memory_equal(before, after, 16);
	dpcd_read(&link, 0x202, after, 2);
	assert_memory_equal(after, "\x77\x77", 2);
}

static int i2c(struct link *link, uint8_t command, uint8_t address, const uint8_t *payload,
	       uint8_t len, uint8_t *reply)
{
	uint8_t send[20] = { (uint8_t)(command << 4), 0, address, (uint8_t)(len - 1) };
	bool read = (command & 3) == 1;

	if (!read && len)
		memcpy(send + 4, payload, len);
	return transfer(link, send, len ? 4u + (read ? 0 : len) : 3u, reply);
}

/* drm_dp_i2c_xfer(): an address-only start for each message, 16 bytes a time, a bare stop. */
static void an_edid_is_read_over_aux(void **state)
{
	static const uint8_t start;
	struct link link;
	uint8_t reply[20];

	link_init(&link);
	assert_int_equal(i2c(&link, 4, 0x50, NULL, 0, reply), 1);
	assert_int_equal(i2c(&link, 4, 0x50, &start, 1, reply), 1);
	assert_int_equal(reply[0], 0);
	assert_int_equal(i2c(&link, 5, 0x50, NULL, 0, reply), 1);
	for (unsigned int at = 0; at < 128; at += 16) {
		assert_int_equal(i2c(&link, 5, 0x50, NULL, 16, reply), 17);
		assert_int_equal(reply[0], 0);
		assert_memory_equal(reply + 1, link.edid + at, 16);
	}
	assert_int_equal(i2c(&link, 1, 0x50, NULL, 0, reply), 1);
	assert_int_equal(reply[0], 0);
}

static void other_i2c_addresses_say_nack(void **state)
{
	struct link link;
	uint8_t reply[20];

	link_init(&link);
	assert_int_equal(i2c(&link, 4, 0x40, NULL, 0, reply), 1);
	assert_int_equal(reply[0], 0x40);
	link.ddc.edid_bytes = 0;
	assert_int_equal(i2c(&link, 4, 0x50, NULL, 0, reply), 1);
	assert_int_equal(reply[0], 0x40);
}

static void nothing_plugged_in_times_out(void **state)
{
	static const uint8_t send[4] = { 0x90, 0, 0, 0 };
	struct link link;
	uint8_t reply[20];

	link_init(&link);
	link.plugged = false;
	assert_int_equal(transfer(&link, send, 4, reply), -1);
	link.plugged = true;
	assert_int_equal(transfer(&link, send, 4, reply), 2);
}

static void malformed_requests_are_receive_errors(void **state)
{
	static const uint8_t send[20] = { 0x80, 1, 0, 15 }; /* says 16 bytes */
	static const uint32_t sizes[] = { 0, 1, 2, 3, 4, 19, 21, 31 };
	struct link link;
	uint8_t reply[20];

	link_init(&link);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		memset(link.data, 0, sizeof(link.data));
		link.data[0] = 0x8001000f;
		ctl_write(&link, 0xfe00023f | sizes[i] << 20);
		assert_true(link.ctl & DP_AUX_CH_CTL_RECEIVE_ERROR);
		ctl_write(&link, link.ctl);
	}
	assert_int_equal(transfer(&link, send, 20, reply), 1);
	/* A command that does not exist. */
	assert_int_equal(transfer(&link, (const uint8_t[]){ 0xf0, 0, 0, 0 }, 4, reply), 1);
	assert_int_equal(reply[0], 0x10);
}

static void any_bytes_do_no_harm(void **state)
{
	struct link link;
	uint32_t x = 99;

	link_init(&link);
	for (unsigned int i = 0; i < 100000; i++) {
		for (unsigned int d = 0; d < 5; d++) {
			x = x * 1664525u + 1013904223u;
			link.data[d] = x;
		}
		ctl_write(&link, x * 2654435761u);
		assert_int_equal(link.ctl & DP_AUX_CH_CTL_SEND_BUSY, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_checked(the_receiver_says_what_it_can),
		leak_checked(the_link_trains_at_the_first_try),
		leak_checked(what_must_not_be_written_is_not),
		leak_checked(an_edid_is_read_over_aux),
		leak_checked(other_i2c_addresses_say_nack),
		leak_checked(nothing_plugged_in_times_out),
		leak_checked(malformed_requests_are_receive_errors),
		leak_checked(any_bytes_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
