/* SPDX-License-Identifier: MIT */
/* The OpRegion and its table, taken apart again the way i915's intel_bios.c does it. */
#include <string.h>

#include "tests/support/leaks.h"
#include "vgpu/display/opregion.h"
#include "vgpu/display/vbt.h"

struct child {
	uint32_t device_type;
	uint8_t dvo_port, ddc_pin, aux_channel;
};

static uint32_t le16(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8;
}

static uint32_t le32(const uint8_t *p)
{
	return le16(p) | le16(p + 2) << 16;
}

/* The block's data, and its size. */
static const uint8_t *section_find(const uint8_t *bdb, uint8_t id, uint32_t *size)
{
	uint32_t at = le16(bdb + 18), end = le16(bdb + 20);

	*size = 0;
	while (at + 3 <= end) {
		*size = le16(bdb + at + 1);
		assert_true(at + 3 + *size <= end);
		if (bdb[at] == id)
			return bdb + at + 3;
		at += 3 + *size;
	}
	assert_int_equal(at, end);
	return NULL;
}

static const uint8_t *bdb_find(const uint8_t *vbt, size_t room)
{
	uint32_t vbt_size, offset;
	const uint8_t *bdb;

	assert_memory_equal(vbt, "$VBT", 4);
	vbt_size = le16(vbt + 24);
	offset = le32(vbt + 28);
	assert_true(vbt_size <= room);
	assert_true(offset + 22 <= vbt_size);
	bdb = vbt + offset;
	assert_memory_equal(bdb, "BIOS_DATA_BLOCK ", 16);
	assert_true(offset + le16(bdb + 20) <= vbt_size);
	return bdb;
}

static unsigned int children_parse(const uint8_t *vbt, size_t room, struct child *children)
{
	const uint8_t *bdb = bdb_find(vbt, room), *definitions;
	uint32_t size;
	unsigned int count;

	/* The size of a child that goes with the version; another is an error in the guest's log.
	 */
	assert_true(le16(bdb + 16) >= 111 && le16(bdb + 16) < 195);
	assert_non_null(section_find(bdb, 1, &size));
	assert_int_equal(size, 5);
	definitions = section_find(bdb, 2, &size);
	assert_non_null(definitions);
	assert_int_equal(definitions[4], 33);
	assert_int_equal((size - 5) % 33, 0);
	count = (size - 5) / 33;
	for (unsigned int i = 0; i < count; i++) {
		const uint8_t *child = definitions + 5 + 33 * i;

		children[i] = (struct child){ le16(child + 2), child[16], child[19], child[25] };
	}
	return count;
}

static bool is_dp(const struct child *child)
{
	return child->device_type & BIT(2);
}

static bool is_hdmi(const struct child *child)
{
	return child->device_type & BIT(4) && !(child->device_type & BIT(11));
}

static void each_port_has_its_child(void **state)
{
	const struct vgpu_port_config ports[VGPU_MAX_PORTS] = { { .kind = VGPU_PORT_HDMI },
								{ .kind = VGPU_PORT_DP },
								{ .kind = VGPU_PORT_HDMI } };
	uint8_t opregion[VGPU_OPREGION_BYTES];
	struct child children[8] = { { 0 } };

	vgpu_opregion_build(ports, opregion);
	assert_memory_equal(opregion, "IntelGraphicsMem", 16);
	assert_int_equal(le32(opregion + 0x10), 8);
	assert_int_equal(opregion[0x17], 2);
	assert_int_equal(le32(opregion + 0x58), BIT(3));
	assert_int_equal(children_parse(opregion + 0x400, sizeof(opregion) - 0x400, children), 3);

	assert_true(is_hdmi(&children[0]) && !is_dp(&children[0]));
	assert_int_equal(children[0].dvo_port, 1);
	assert_int_equal(children[0].ddc_pin, 5);
	assert_int_equal(children[0].aux_channel, 0);
	assert_true(is_dp(&children[1]) && !is_hdmi(&children[1]));
	assert_int_equal(children[1].dvo_port, 8);
	assert_int_equal(children[1].aux_channel, 0x20);
	assert_true(is_hdmi(&children[2]));
	assert_int_equal(children[2].dvo_port, 3);
	assert_int_equal(children[2].ddc_pin, 6);
}

static void absent_ports_have_none(void **state)
{
	struct vgpu_port_config ports[VGPU_MAX_PORTS] = { { .kind = VGPU_PORT_NONE } };
	uint8_t vbt[VGPU_VBT_MAX_BYTES];
	struct child children[8] = { { 0 } };
	size_t bytes = vgpu_vbt_build(ports, vbt);

	assert_int_equal(children_parse(vbt, bytes, children), 0);
	ports[2].kind = VGPU_PORT_DP;
	bytes = vgpu_vbt_build(ports, vbt);
	assert_int_equal(children_parse(vbt, bytes, children), 1);
	assert_int_equal(children[0].dvo_port, 9);
	assert_int_equal(children[0].aux_channel, 0x30);
}

static void the_table_sums_to_zero(void **state)
{
	const struct vgpu_port_config ports[VGPU_MAX_PORTS] = { { .kind = VGPU_PORT_HDMI } };
	uint8_t vbt[VGPU_VBT_MAX_BYTES], sum = 0;
	size_t bytes = vgpu_vbt_build(ports, vbt);

	for (size_t i = 0; i < bytes; i++)
		sum = (uint8_t)(sum + vbt[i]);
	assert_int_equal(sum, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_checked(each_port_has_its_child),
		leak_checked(absent_ports_have_none),
		leak_checked(the_table_sums_to_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
