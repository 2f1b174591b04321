/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: accesses to PCI config space.  The input is a list of accesses: offset (2 bytes),
 * length (1: low five bits; bit 7 a write, bit 6 an interrupt, bit 5 a reset), data for a write.
 * After each, what hardware guarantees must hold: identity and BAR types do not change, sizing
 * reads back the size, the list of capabilities ends.
 */
#include <linux/pci_regs.h>
#include <string.h>

#include "base/log.h"
#include "fuzz/fuzz.h"
#include "vfio/vfio.h"

#define CONFIG VFIO_PCI_CONFIG_REGION_INDEX

static struct vfio_device *device;
static unsigned int resets;
static uint8_t own_bytes[4096];

static void region_read(void *opaque, unsigned int region, uint64_t offset, void *buf, size_t len)
{
	memset(buf, 0, len);
}

static void region_write(void *opaque, unsigned int region, uint64_t offset, const void *buf,
			 size_t len)
{
}

static bool config_read(void *opaque, uint16_t offset, uint8_t *value)
{
	FUZZ_CHECK(offset < sizeof(own_bytes));
	*value = own_bytes[offset];
	return offset & 1;
}

static bool config_write(void *opaque, uint16_t offset, uint8_t value)
{
	FUZZ_CHECK(offset < sizeof(own_bytes));
	own_bytes[offset] = value;
	return true;
}

static void reset(void *opaque)
{
	resets++;
}

static const struct vfio_device_ops ops = {
	.region_read = region_read,
	.region_write = region_write,
	.config_read = config_read,
	.config_write = config_write,
	.reset = reset,
};

static void start(void)
{
	struct vfio_config config = {
		.pci = { .vendor = 0x8086,
			 .device = 0x1912,
			 .class_code = 0x030000,
			 .interrupt_pin = 1,
			 .config_bytes = 4096,
			 .cap_count = 3 },
		.region_count = VFIO_PCI_NUM_REGIONS,
		.irq_counts = { 1, 4, 0, 0, 0 },
		.ops = &ops,
	};

	config.pci.caps[0] = (struct vfio_pci_cap){
		.id = PCI_CAP_ID_MSI, .offset = 0x50, .len = 24, .bytes = { 0, 0, 0x84, 1 }
	};
	config.pci.caps[1] = (struct vfio_pci_cap){
		.id = PCI_CAP_ID_PM, .offset = 0xd0, .len = 8, .bytes = { 0, 0, 0x03, 0x02 }
	};
	config.pci.caps[2] = (struct vfio_pci_cap){ .id = PCI_CAP_ID_EXP,
						    .offset = 0x70,
						    .len = 60,
						    .bytes = { 0, 0, 2, 0, 0, 0, 0, 0x10 } };
	memset(config.pci.caps[2].write_mask + 8, 0xff, 2);
	config.regions[0] =
		(struct vfio_region_config){ .size = 16 << 20,
					     .bar_flags = PCI_BASE_ADDRESS_MEM_TYPE_64 };
	config.regions[2] =
		(struct vfio_region_config){ .size = (uint64_t)8 << 30,
					     .bar_flags = PCI_BASE_ADDRESS_MEM_TYPE_64 |
							  PCI_BASE_ADDRESS_MEM_PREFETCH };
	config.regions[4] =
		(struct vfio_region_config){ .size = 64, .bar_flags = PCI_BASE_ADDRESS_SPACE_IO };
	config.regions[6] = (struct vfio_region_config){ .size = 65536 };
	log_threshold = LOG_ERROR;
	FUZZ_CHECK(!vfio_device_create(&config, &device));
}

static uint32_t read32(uint16_t offset)
{
	uint32_t value;

	FUZZ_CHECK(!vfio_device_read(device, CONFIG, offset, &value, sizeof(value)));
	return value;
}

static void check_caps(void)
{
	unsigned int at = read32(PCI_CAPABILITY_LIST) & 0xff;
	unsigned int count = 0;

	FUZZ_CHECK(read32(PCI_COMMAND) >> 16 & PCI_STATUS_CAP_LIST);
	while (at) {
		FUZZ_CHECK(at >= 0x40 && at % 4 == 0);
		FUZZ_CHECK(++count <= 3);
		at = read32((uint16_t)at) >> 8 & 0xff;
	}
	FUZZ_CHECK(count == 3);
}

static void check_invariants(void)
{
	FUZZ_CHECK(read32(PCI_VENDOR_ID) == 0x19128086);
	FUZZ_CHECK(read32(PCI_CLASS_REVISION) >> 8 == 0x030000);
	FUZZ_CHECK(!(read32(PCI_CACHE_LINE_SIZE) & 0xff0000));
	FUZZ_CHECK((read32(PCI_BASE_ADDRESS_0) & 0xffffff) == 4);
	FUZZ_CHECK((read32(PCI_BASE_ADDRESS_2) & 0xffffffffu) == 0xc);
	FUZZ_CHECK(!(read32(PCI_BASE_ADDRESS_3) & 1));
	FUZZ_CHECK((read32(PCI_BASE_ADDRESS_4) & 0x3f) == 1);
	FUZZ_CHECK(!read32(PCI_BASE_ADDRESS_5));
	FUZZ_CHECK(!(read32(PCI_ROM_ADDRESS) & 0xfffe));
	FUZZ_CHECK(!(vfio_pci_bar_address(device, 0) & ((16 << 20) - 1)));
	check_caps();
}

static void check_sizing(void)
{
	uint32_t ones = ~0u;

	vfio_device_write(device, CONFIG, PCI_BASE_ADDRESS_2, &ones, sizeof(ones));
	vfio_device_write(device, CONFIG, PCI_BASE_ADDRESS_3, &ones, sizeof(ones));
	FUZZ_CHECK(read32(PCI_BASE_ADDRESS_2) == 0x0000000c && read32(PCI_BASE_ADDRESS_3) == ~1u);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t buf[32];

	if (!device)
		start();
	vfio_device_reset(device);
	for (size_t at = 0; at + 3 <= size;) {
		uint16_t offset = (uint16_t)(data[at] | data[at + 1] << 8) & 0x1fff;
		uint8_t how = data[at + 2];
		size_t len = MIN((size_t)(how & 0x1f), size - at - 3);

		at += 3;
		if (how & 0x40)
			vfio_irq_trigger(device, how & 1, offset & 7);
		if (how & 0x20)
			vfio_device_reset(device);
		if (how & 0x80) {
			int err = vfio_device_write(device, CONFIG, offset, data + at, len);

			FUZZ_CHECK(!err == (offset + len <= 4096));
			at += len;
		} else {
			vfio_device_read(device, CONFIG, offset, buf, how & 0x1f);
		}
		check_invariants();
	}
	check_sizing();
	return 0;
}
