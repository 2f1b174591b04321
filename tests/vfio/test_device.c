/* SPDX-License-Identifier: MIT */
/*
 * A VFIO device without a transport: config space and capabilities with behaviour, interrupts
 * from many threads, and descriptions that make no sense.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "tests/support/leaks.h"
#include "vfio/vfio.h"

#define CONFIG	VFIO_PCI_CONFIG_REGION_INDEX
#define MSI_AT	0x50u
#define PM_AT	0xd0u
#define PCIE_AT 0x70u

static struct vfio_device *device;
static unsigned int resets, changes;

static void region_read(void *opaque, unsigned int region, uint64_t offset, void *buf, size_t len)
{
	memset(buf, (int)region, len);
}

static void region_write(void *opaque, unsigned int region, uint64_t offset, const void *buf,
			 size_t len)
{
}

static bool config_read(void *opaque, uint16_t offset, uint8_t *value)
{
	*value = 0x5c;
	return offset == 0x44;
}

static void reset(void *opaque)
{
	resets++;
}

static void dma_changed(void *opaque)
{
	changes++;
}

static const struct vfio_device_ops ops = {
	.region_read = region_read,
	.region_write = region_write,
	.config_read = config_read,
	.reset = reset,
	.dma_changed = dma_changed,
};

static struct vfio_config good_config(void)
{
	struct vfio_config config = {
		.pci = { .vendor = 0x8086,
			 .device = 0x1912,
			 .class_code = 0x030000,
			 .interrupt_pin = 1,
			 .config_bytes = 256,
			 .cap_count = 3 },
		.region_count = VFIO_PCI_NUM_REGIONS,
		.irq_counts = { 1, 4, 0, 0, 0 },
		.ops = &ops,
	};

	config.pci.caps[0] = (struct vfio_pci_cap){
		.id = PCI_CAP_ID_MSI, .offset = MSI_AT, .len = 24, .bytes = { 0, 0, 0x84, 1 }
	};
	config.pci.caps[1] = (struct vfio_pci_cap){
		.id = PCI_CAP_ID_PM, .offset = PM_AT, .len = 8, .bytes = { 0, 0, 0x03, 0x02 }
	};
	config.pci.caps[2] = (struct vfio_pci_cap){ .id = PCI_CAP_ID_EXP,
						    .offset = PCIE_AT,
						    .len = 60,
						    .bytes = { 0, 0, 2, 0, 0, 0, 0, 0x10 } };
	config.regions[0] = (struct vfio_region_config){
		.size = 16 << 20, .flags = 3, .bar_flags = PCI_BASE_ADDRESS_MEM_TYPE_64
	};
	return config;
}

static int setup(void **state)
{
	struct vfio_config config = good_config();

	leaks_setup(state);
	log_threshold = LOG_ERROR;
	resets = changes = 0;
	return vfio_device_create(&config, &device);
}

static int teardown(void **state)
{
	vfio_device_destroy(device);
	device = NULL;
	return leaks_teardown(state);
}

static uint32_t get(uint16_t offset, size_t len)
{
	uint32_t value = 0;

	assert_int_equal(vfio_device_read(device, CONFIG, offset, &value, len), 0);
	return value;
}

static void put(uint16_t offset, uint32_t value, size_t len)
{
	assert_int_equal(vfio_device_write(device, CONFIG, offset, &value, len), 0);
}

static void give_eventfds(uint32_t index, int *fds, unsigned int count)
{
	struct vfio_irq_set set = { .flags = 0x24, .index = index, .count = count };
	int copies[8];

	for (unsigned int i = 0; i < count; i++) {
		fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		copies[i] = dup(fds[i]);
	}
	assert_int_equal(vfio_device_set_irqs(device, &set, NULL, 0, copies, count), 0);
	for (unsigned int i = 0; i < count; i++)
		assert_int_equal(copies[i], -1);
}

static uint64_t take(int fd)
{
	uint64_t count = 0;

	return read(fd, &count, sizeof(count)) < 0 ? 0 : count;
}

/* ---- Config space ----------------------------------------------------------------------- */

static void identity_cannot_be_written(void **state)
{
	for (uint16_t at = 0; at < 64; at += 4)
		put(at, 0xffffffff, 4);
	assert_int_equal(get(PCI_VENDOR_ID, 4), 0x19128086);
	assert_int_equal(get(PCI_CLASS_REVISION, 4), 0x03000000);
	assert_int_equal(get(PCI_COMMAND, 2), 0x547);
	assert_int_equal(get(PCI_STATUS, 2), PCI_STATUS_CAP_LIST);
	assert_int_equal(get(PCI_HEADER_TYPE, 1), 0);
	assert_int_equal(get(PCI_INTERRUPT_LINE, 2), 0x01ff);
	assert_int_equal(get(PCI_CAPABILITY_LIST, 4), MSI_AT);
	assert_int_equal(get(PCI_BASE_ADDRESS_0, 4), 0xff000004);
	assert_int_equal(get(PCI_BASE_ADDRESS_1, 4), 0xffffffff);
	assert_int_equal(get(PCI_ROM_ADDRESS, 4), 0);
}

static void bars_by_bytes(void **state)
{
	put(PCI_BASE_ADDRESS_0 + 3, 0xe0, 1);
	put(PCI_BASE_ADDRESS_1, 0x01, 1);
	put(PCI_BASE_ADDRESS_0, 0xff, 1);
	assert_true(vfio_pci_bar_address(device, 0) == 0x1e0000000ull);
	assert_true(vfio_pci_bar_address(device, 1) == 0);
	assert_true(vfio_pci_bar_address(device, 99) == 0);
}

static void hooks_get_what_nobody_claims(void **state)
{
	assert_int_equal(get(0x40, 4), 0);
	assert_int_equal(get(0x44, 1), 0x5c);
	assert_int_equal(get(0x43, 4), 0x5c00);
	put(0x44, 0, 4);
}

static void msi_behaves(void **state)
{
	int fds[4], intx;

	give_eventfds(VFIO_PCI_MSI_IRQ_INDEX, fds, 4);
	give_eventfds(VFIO_PCI_INTX_IRQ_INDEX, &intx, 1);
	vfio_device_interrupt(device);
	assert_int_equal(take(intx), 1);
	put(MSI_AT + PCI_MSI_FLAGS, 0xffff, 2);
	assert_int_equal(get(MSI_AT + PCI_MSI_FLAGS, 2), 0x01f5);
	put(MSI_AT + PCI_MSI_ADDRESS_LO, 0xfee0ffff, 4);
	assert_int_equal(get(MSI_AT + PCI_MSI_ADDRESS_LO, 4), 0xfee0fffc);
	vfio_device_interrupt(device);
	vfio_device_interrupt(device);
	assert_int_equal(take(fds[0]), 2);
	assert_int_equal(take(intx), 0);
	/* Masked vectors keep what comes, and say so. */
	put(MSI_AT + PCI_MSI_MASK_64, 5, 4);
	vfio_irq_trigger(device, VFIO_PCI_MSI_IRQ_INDEX, 0);
	vfio_irq_trigger(device, VFIO_PCI_MSI_IRQ_INDEX, 1);
	assert_int_equal(take(fds[0]), 0);
	assert_int_equal(take(fds[1]), 1);
	assert_int_equal(get(MSI_AT + PCI_MSI_PENDING_64, 4), 1);
	put(MSI_AT + PCI_MSI_MASK_64, 4, 4);
	assert_int_equal(take(fds[0]), 1);
	assert_int_equal(get(MSI_AT + PCI_MSI_PENDING_64, 4), 0);
	/* Off again, by a reset, which lets nothing out that was held back. */
	vfio_irq_trigger(device, VFIO_PCI_MSI_IRQ_INDEX, 2);
	vfio_device_reset(device);
	assert_int_equal(take(fds[2]), 0);
	vfio_device_interrupt(device);
	assert_int_equal(take(intx), 1);
	vfio_irq_trigger(device, VFIO_PCI_MSI_IRQ_INDEX, 4);
	vfio_irq_trigger(device, 99, 0);
	for (int i = 0; i < 4; i++)
		close(fds[i]);
	close(intx);
}

static void power_states(void **state)
{
	unsigned int at = PM_AT + PCI_PM_CTRL;

	put((uint16_t)at, 2, 2); /* D2: there is none */
	assert_int_equal(get((uint16_t)at, 2), 0);
	put((uint16_t)at, 1, 2); /* D1 */
	assert_int_equal(get((uint16_t)at, 2), 1);
	put((uint16_t)at, 0, 2);
	assert_int_equal(resets, 0);
	put(PCI_BASE_ADDRESS_0, 0xfe000000, 4);
	put((uint16_t)at, 3, 2);
	assert_int_equal(get((uint16_t)at, 2), 3);
	assert_int_equal(resets, 0);
	put((uint16_t)at, 0, 2);
	assert_int_equal(resets, 1);
	assert_int_equal(get(PCI_BASE_ADDRESS_0, 4), 4);
}

static void function_level_reset(void **state)
{
	put(PCIE_AT + PCI_EXP_DEVCTL, PCI_EXP_DEVCTL_BCR_FLR, 2);
	assert_int_equal(resets, 1);
	assert_int_equal(get(PCIE_AT + PCI_EXP_DEVCTL, 2), 0);
	put(PCIE_AT + PCI_EXP_DEVCTL, 0x7fff, 2);
	assert_int_equal(resets, 1);
}

static void accesses_are_checked(void **state)
{
	uint8_t buf[8];

	assert_int_equal(vfio_device_read(device, 0, 0, buf, 8), 0);
	assert_int_equal(vfio_device_read(device, 0, (16 << 20) - 7, buf, 8), -EINVAL);
	assert_int_equal(vfio_device_read(device, CONFIG, 255, buf, 2), -EINVAL);
	assert_int_equal(vfio_device_read(device, 1, 0, buf, 1), -EINVAL);
	assert_int_equal(vfio_device_read(device, 0, 0, buf, VFIO_MAX_XFER_BYTES + 1), -EINVAL);
}

static void dma_changes_are_told(void **state)
{
	assert_int_equal(vfio_device_dma_map(device, 3, iova(0), 4096, -1, 0), 0);
	assert_int_equal(changes, 1);
	assert_int_equal(vfio_device_dma_map(device, 3, iova(0), 8192, -1, 0), -EEXIST);
	assert_int_equal(changes, 1);
	assert_int_equal(vfio_device_dma_unmap(device, 0, iova(0), 4096), 0);
	assert_int_equal(changes, 2);
}

/* ---- Interrupts from threads ------------------------------------------------------------ */

static void *fire_many(void *opaque)
{
	for (int i = 0; i < 2000; i++)
		vfio_irq_trigger(device, VFIO_PCI_MSI_IRQ_INDEX, 1);
	return opaque;
}

static void threads_fire_while_eventfds_change(void **state)
{
	pthread_t threads[3];
	int fds[4];

	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, fire_many, NULL), 0);
	for (int i = 0; i < 200; i++) {
		give_eventfds(VFIO_PCI_MSI_IRQ_INDEX, fds, 4);
		for (int j = 0; j < 4; j++)
			close(fds[j]);
	}
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
}

/* ---- Descriptions that make no sense ---------------------------------------------------- */

/* An eventfd that would block gets O_NONBLOCK; when it is full, firing comes back. */
static void firing_never_blocks(void **state)
{
	struct vfio_irq_set set = { .flags = 0x24, .index = VFIO_PCI_INTX_IRQ_INDEX, .count = 1 };
	int fd = eventfd(0, EFD_CLOEXEC), copy = dup(fd);
	uint64_t full = UINT64_MAX - 1;

	assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	assert_int_equal(vfio_device_set_irqs(device, &set, NULL, 0, &copy, 1), 0);
	assert_int_equal(copy, -1);
	assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	assert_int_equal(write(fd, &full, sizeof(full)), sizeof(full));
	vfio_irq_trigger(device, VFIO_PCI_INTX_IRQ_INDEX, 0);
	assert_true(take(fd) == full);
	close(fd);
}

static void spoil_pci(struct vfio_config *config, int kind)
{
	struct vfio_pci_cap *caps = config->pci.caps;

	if (kind == 0)
		config->pci.config_bytes = 512;
	else if (kind == 1)
		caps[1].offset = MSI_AT + 8;
	else if (kind == 2)
		caps[1].offset = 0x3c;
	else if (kind == 3)
		caps[1].offset = 0xd1;
	else if (kind == 4)
		caps[1].offset = 0xfc;
	else if (kind == 5)
		caps[0].len = 14;
	else if (kind == 6)
		caps[2].id = PCI_CAP_ID_MSI;
	else
		config->pci.cap_count = VFIO_MAX_CAPS + 1;
}

static void spoil_regions(struct vfio_config *config, int kind)
{
	struct vfio_region_config *regions = config->regions;

	if (kind == 0)
		config->region_count = 8;
	else if (kind == 1)
		config->region_count = VFIO_MAX_REGIONS + 1;
	else if (kind == 2)
		regions[1].size = 4096;
	else if (kind == 3)
		regions[5] = regions[0];
	else if (kind == 4)
		regions[3].size = (uint64_t)4 << 30;
	else if (kind == 5)
		config->irq_counts[2] = VFIO_MAX_VECTORS + 1;
	else if (kind == 6)
		regions[0].mmap = true, regions[0].mmap_fd = -1;
	else
		regions[0].mmap_area_count = 2;
	if (kind == 7)
		regions[0].mmap_areas[0].size = regions[0].mmap_areas[1].size = 8192;
}

static void bad_configs(void **state)
{
	log_threshold = (enum log_level)0;
	for (int kind = 0; kind < 16; kind++) {
		struct vfio_config config = good_config();
		struct vfio_device *made = NULL;

		if (kind < 8)
			spoil_pci(&config, kind);
		else
			spoil_regions(&config, kind - 8);
		assert_int_equal(vfio_device_create(&config, &made), -EINVAL);
		assert_null(made);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(identity_cannot_be_written),
		TEST(bars_by_bytes),
		TEST(hooks_get_what_nobody_claims),
		TEST(msi_behaves),
		TEST(power_states),
		TEST(function_level_reset),
		TEST(accesses_are_checked),
		TEST(dma_changes_are_told),
		TEST(threads_fire_while_eventfds_change),
		TEST(firing_never_blocks),
		leak_checked(bad_configs),
	};

	return cmocka_run_group_tests_name("a VFIO device", tests, NULL, NULL);
}
