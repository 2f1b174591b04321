/* SPDX-License-Identifier: MIT */
/* GMBUS driven as i915's intel_gmbus.c drives it, and against the grain. */
#include <errno.h>
#include <string.h>

#include "tests/support/leaks.h"
#include "vgpu/display/gmbus.h"

#define PIN 6u

struct bus {
	struct vgpu_gmbus gmbus;
	struct vgpu_ddc ddc;
	uint8_t edid[256];
};

static struct vgpu_ddc *monitor(void *opaque, uint32_t pin)
{
	struct bus *bus = opaque;

	return pin == PIN ? &bus->ddc : NULL;
}

static void bus_init(struct bus *bus, size_t edid_bytes)
{
	memset(bus, 0, sizeof(*bus));
	for (size_t i = 0; i < sizeof(bus->edid); i++)
		bus->edid[i] = (uint8_t)(i * 7 + 3);
	bus->ddc.edid = bus->edid;
	bus->ddc.edid_bytes = edid_bytes;
	bus->gmbus.monitor = monitor;
	bus->gmbus.opaque = bus;
	vgpu_gmbus_reset(&bus->gmbus);
}

static uint32_t rd(struct bus *bus, uint32_t reg)
{
	return vgpu_gmbus_read(&bus->gmbus, reg);
}

static void wr(struct bus *bus, uint32_t reg, uint32_t value)
{
	vgpu_gmbus_write(&bus->gmbus, reg, value);
}

/* gmbus_wait(): 0, -ENXIO on a NAK, -ETIMEDOUT when the first look does not do. */
static int wait_for(struct bus *bus, uint32_t bit)
{
	uint32_t status;

	wr(bus, GMBUS4, 1);
	status = rd(bus, GMBUS2);
	wr(bus, GMBUS4, 0);
	if (status & GMBUS_SATOER)
		return -ENXIO;
	return status & bit ? 0 : -ETIMEDOUT;
}

static int wait_idle(struct bus *bus)
{
	return rd(bus, GMBUS2) & GMBUS_ACTIVE ? -ETIMEDOUT : 0;
}

/* One index read: write the offset, read @len bytes, stop. */
static int index_read(struct bus *bus, uint32_t pin, uint32_t address, uint8_t index, uint8_t *buf,
		      uint32_t len)
{
	int err = 0;

	wr(bus, GMBUS0, pin);
	wr(bus, GMBUS1,
	   GMBUS_SW_RDY | GMBUS_CYCLE_WAIT | GMBUS_CYCLE_INDEX | len << 16 | (uint32_t)index << 8 |
		   address << 1 | GMBUS_SLAVE_READ);
	for (uint32_t at = 0; at < len && !err; at += 4) {
		uint32_t value;

		err = wait_for(bus, GMBUS_HW_RDY);
		if (err)
			break;
		value = rd(bus, GMBUS3);
		for (uint32_t i = at; i < MIN(at + 4, len); i++, value >>= 8)
			buf[i] = (uint8_t)value;
	}
	if (!err)
		err = wait_for(bus, GMBUS_HW_WAIT_PHASE);
	if (err == -ENXIO) {
		assert_int_equal(wait_idle(bus), 0);
		wr(bus, GMBUS1, GMBUS_SW_CLR_INT);
		wr(bus, GMBUS1, 0);
		wr(bus, GMBUS0, 0);
		assert_int_equal(rd(bus, GMBUS2) & GMBUS_SATOER, 0);
		return err;
	}
	assert_int_equal(err, 0);
	wr(bus, GMBUS1, GMBUS_SW_RDY | GMBUS_CYCLE_STOP);
	assert_int_equal(wait_idle(bus), 0);
	wr(bus, GMBUS0, 0);
	return 0;
}

static void an_edid_is_read_in_blocks(void **state)
{
	struct bus bus;
	uint8_t buf[256];

	bus_init(&bus, 256);
	assert_int_equal(index_read(&bus, PIN, 0x50, 0, buf, 1), 0);
	assert_int_equal(buf[0], bus.edid[0]);
	assert_int_equal(index_read(&bus, PIN, 0x50, 0, buf, 128), 0);
	assert_int_equal(index_read(&bus, PIN, 0x50, 128, buf + 128, 128), 0);
	assert_memory_equal(buf, bus.edid, 256);
}

static void the_second_block_of_a_short_edid_is_empty(void **state)
{
	struct bus bus;
	uint8_t buf[4];

	bus_init(&bus, 128);
	assert_int_equal(index_read(&bus, PIN, 0x50, 128, buf, 4), 0);
	assert_memory_equal(buf, "\xff\xff\xff\xff", 4);
}

static void what_is_not_there_says_nak(void **state)
{
	struct bus bus;
	uint8_t buf[16];

	bus_init(&bus, 128);
	assert_int_equal(index_read(&bus, PIN, 0x40, 0, buf, 16), -ENXIO); /* dual mode adaptor */
	assert_int_equal(index_read(&bus, PIN, 0x30, 0, buf, 1), -ENXIO);
	assert_int_equal(index_read(&bus, 5, 0x50, 0, buf, 1), -ENXIO); /* other pins */
	bus.ddc.edid_bytes = 0;						/* unplugged */
	assert_int_equal(index_read(&bus, PIN, 0x50, 0, buf, 1), -ENXIO);
	bus.ddc.edid_bytes = 128;
	assert_int_equal(index_read(&bus, PIN, 0x50, 0, buf, 1), 0);
}

/* The same without an index cycle: a write message, then a read message. */
static void offset_and_data_as_two_messages(void **state)
{
	struct bus bus;
	uint32_t value;

	bus_init(&bus, 256);
	wr(&bus, GMBUS0, PIN);
	wr(&bus, GMBUS3, 0x20);
	wr(&bus, GMBUS1, GMBUS_SW_RDY | GMBUS_CYCLE_WAIT | 1 << 16 | 0x50 << 1);
	assert_int_equal(wait_for(&bus, GMBUS_HW_WAIT_PHASE), 0);
	wr(&bus, GMBUS1, GMBUS_SW_RDY | GMBUS_CYCLE_WAIT | 4 << 16 | 0x50 << 1 | GMBUS_SLAVE_READ);
	assert_int_equal(wait_for(&bus, GMBUS_HW_RDY), 0);
	value = rd(&bus, GMBUS3);
	assert_memory_equal(&value, bus.edid + 0x20, 4);
	assert_int_equal(wait_for(&bus, GMBUS_HW_WAIT_PHASE), 0);
}

static void a_two_byte_index_counts_its_last_byte(void **state)
{
	struct bus bus;

	bus_init(&bus, 256);
	wr(&bus, GMBUS0, PIN);
	wr(&bus, GMBUS5, GMBUS_2BYTE_INDEX_EN | 0x0040);
	wr(&bus, GMBUS1,
	   GMBUS_SW_RDY | GMBUS_CYCLE_WAIT | GMBUS_CYCLE_INDEX | 1 << 16 | 0x50 << 1 |
		   GMBUS_SLAVE_READ);
	assert_int_equal(rd(&bus, GMBUS3), bus.edid[0x40]);
}

/* A burst: the count says 256 less, and GMBUS0 holds it until the rest begins. */
static void a_burst_is_longer_than_its_count(void **state)
{
	struct bus bus;

	bus_init(&bus, 256);
	wr(&bus, GMBUS0, PIN | BIT(6));
	wr(&bus, GMBUS1,
	   GMBUS_SW_RDY | GMBUS_CYCLE_WAIT | GMBUS_CYCLE_INDEX | 4 << 16 | 0x50 << 1 |
		   GMBUS_SLAVE_READ);
	for (uint32_t at = 0; at < 252; at += 4) {
		uint32_t value = rd(&bus, GMBUS3);

		assert_memory_equal(&value, bus.edid + at, 4);
		assert_int_equal(wait_for(&bus, GMBUS_HW_RDY), 0);
	}
	wr(&bus, GMBUS0, PIN);
	rd(&bus, GMBUS3);
	assert_int_equal(wait_for(&bus, GMBUS_HW_WAIT_PHASE), 0);
}

static void any_sequence_ends_idle_after_a_clear(void **state)
{
	struct bus bus;
	uint32_t x = 7;

	bus_init(&bus, 128);
	for (unsigned int i = 0; i < 100000; i++) {
		uint32_t reg;

		x = x * 1664525u + 1013904223u;
		reg = (x >> 28) * 4;
		if (x & BIT(9))
			wr(&bus, reg, x * 2654435761u);
		else
			rd(&bus, reg);
	}
	wr(&bus, GMBUS1, GMBUS_SW_CLR_INT);
	wr(&bus, GMBUS1, 0);
	assert_int_equal(rd(&bus, GMBUS2), 0);
	assert_int_equal(rd(&bus, 0x38), 0);
}

static void pins_are_high_unless_pulled_low(void **state)
{
	uint32_t gpio = 0;

	assert_int_equal(vgpu_gpio_read(gpio), 0x1010);
	gpio = vgpu_gpio_write(gpio, 0x0700); /* data: direction out, value 0 */
	assert_int_equal(vgpu_gpio_read(gpio) & 0x1010, 0x0010);
	gpio = vgpu_gpio_write(gpio, 0x0100); /* data: direction in: let go */
	assert_int_equal(vgpu_gpio_read(gpio) & 0x1010, 0x1010);
	gpio = vgpu_gpio_write(gpio, 0x0007); /* clock low */
	assert_int_equal(vgpu_gpio_read(gpio) & 0x1010, 0x1000);
	gpio = vgpu_gpio_write(gpio, 0x0000); /* no mask, no change */
	assert_int_equal(vgpu_gpio_read(gpio) & 0x1010, 0x1000);
	gpio = vgpu_gpio_write(gpio, 0x000c); /* value 1 while driven */
	assert_int_equal(vgpu_gpio_read(gpio) & 0x1010, 0x1010);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_checked(an_edid_is_read_in_blocks),
		leak_checked(the_second_block_of_a_short_edid_is_empty),
		leak_checked(what_is_not_there_says_nak),
		leak_checked(offset_and_data_as_two_messages),
		leak_checked(a_two_byte_index_counts_its_last_byte),
		leak_checked(a_burst_is_longer_than_its_count),
		leak_checked(any_sequence_ends_idle_after_a_clear),
		leak_checked(pins_are_high_unless_pulled_low),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
