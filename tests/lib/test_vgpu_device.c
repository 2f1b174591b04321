/* SPDX-License-Identifier: MIT */
/*
 * A vGPU behind its VFIO device, as a transport sees it: config space, BARs, DMA, interrupts, and
 * the display timer on the loop.
 */
#include "lib/lib.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/support/leaks.h"

#define CONFIG VFIO_PCI_CONFIG_REGION_INDEX
#define BAR0   VFIO_PCI_BAR0_REGION_INDEX
#define BAR2   VFIO_PCI_BAR2_REGION_INDEX
#define BAR4   VFIO_PCI_BAR4_REGION_INDEX

#define PVINFO_MAGIC  0x78000
#define MASTER_IRQ    0x44200
#define SDEIMR	      0xc4004
#define SDEIIR	      0xc4008
#define SDEIER	      0xc400c
#define SHOTPLUG_CTL  0xc4030
#define PORTB_HOTPLUG BIT(21)

struct fixture {
	struct leaks before;
	struct loop loop;
	struct vgpu_device *device;
	struct vfio_device *vfio;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct vgpu_device_config config = {
		.loop = &f->loop,
		.name = "test",
		.type = vgpu_types(&(size_t){ 0 }),
		.gpu = VGPU_DEVICE_GPU_NULL,
		.ports = { { VGPU_PORT_HDMI, true, 1024, 768, 60 } },
	};

	f->before = leaks_count();
	assert_int_equal(loop_init(&f->loop), 0);
	assert_int_equal(vgpu_device_create(&config, &f->device), 0);
	f->vfio = vgpu_device_vfio(f->device);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	int result;

	vgpu_device_destroy(f->device);
	loop_fini(&f->loop);
	result = leaks_compare(&f->before);
	free(f);
	return result;
}

static uint64_t read_at(struct fixture *f, unsigned int region, uint64_t offset, size_t len)
{
	uint64_t value = 0;

	assert_int_equal(vfio_device_read(f->vfio, region, offset, &value, len), 0);
	return value;
}

static void write_at(struct fixture *f, unsigned int region, uint64_t offset, uint32_t value,
		     size_t len)
{
	assert_int_equal(vfio_device_write(f->vfio, region, offset, &value, len), 0);
}

static void it_is_a_skylake_gt2(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(read_at(f, CONFIG, PCI_VENDOR_ID, 4), 0x19128086);
	assert_int_equal(read_at(f, CONFIG, PCI_CLASS_REVISION, 4), 0x03000006);
	assert_int_equal(read_at(f, CONFIG, PCI_HEADER_TYPE, 1), PCI_HEADER_TYPE_NORMAL);
	assert_int_equal(read_at(f, CONFIG, PCI_INTERRUPT_PIN, 1), 1);
}

static void it_has_msi_and_power_management(void **state)
{
	struct fixture *f = *state;
	uint64_t at = read_at(f, CONFIG, PCI_CAPABILITY_LIST, 1);

	assert_int_equal(at, 0xac);
	assert_int_equal(read_at(f, CONFIG, at, 1), PCI_CAP_ID_MSI);
	assert_int_equal(read_at(f, CONFIG, at + PCI_MSI_FLAGS, 2), PCI_MSI_FLAGS_64BIT);
	at = read_at(f, CONFIG, at + 1, 1);
	assert_int_equal(at, 0xd0);
	assert_int_equal(read_at(f, CONFIG, at, 1), PCI_CAP_ID_PM);
	assert_int_equal(read_at(f, CONFIG, at + 1, 1), 0);
}

static uint32_t size_mask(struct fixture *f, uint64_t offset)
{
	write_at(f, CONFIG, offset, ~0u, 4);
	return (uint32_t)read_at(f, CONFIG, offset, 4);
}

static void its_bars_have_their_sizes(void **state)
{
	struct fixture *f = *state;
	uint32_t aperture = (uint32_t)vgpu_types(&(size_t){ 0 })->aperture_bytes;

	assert_int_equal(size_mask(f, PCI_BASE_ADDRESS_0),
			 0xff000000u | PCI_BASE_ADDRESS_MEM_TYPE_64);
	assert_int_equal(size_mask(f, PCI_BASE_ADDRESS_1), ~0u);
	assert_int_equal(size_mask(f, PCI_BASE_ADDRESS_2), (0 - aperture) |
								   PCI_BASE_ADDRESS_MEM_TYPE_64 |
								   PCI_BASE_ADDRESS_MEM_PREFETCH);
	assert_int_equal(size_mask(f, PCI_BASE_ADDRESS_4), 0xffffffc1);
	assert_int_equal(size_mask(f, PCI_ROM_ADDRESS), 0);
}

/* GGTT of 4 GiB, no stolen memory, the opregion in BAR 0 wherever the guest has put that. */
static void its_own_config_bytes_answer(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(read_at(f, CONFIG, 0x50, 2) & 0xffc0, 0x00c0);
	assert_int_equal(read_at(f, CONFIG, 0x5c, 4), 0);
	write_at(f, CONFIG, PCI_BASE_ADDRESS_0, 0xc1000000, 4);
	write_at(f, CONFIG, PCI_BASE_ADDRESS_1, 0, 4);
	write_at(f, CONFIG, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	assert_int_equal(read_at(f, CONFIG, 0xfc, 4), 0xc1000000 + VGPU_OPREGION_OFFSET);
	assert_memory_equal(&(uint64_t){ read_at(f, BAR0, VGPU_OPREGION_OFFSET, 8) }, "IntelGra",
			    8);
}

static void bar0_reaches_the_registers(void **state)
{
	struct fixture *f = *state;

	assert_true(read_at(f, BAR0, PVINFO_MAGIC, 8) == 0x4776544776544776);
	assert_int_equal(read_at(f, BAR0, PVINFO_MAGIC + 4, 4), 0x47765447);
}

static void bar4_is_dull(void **state)
{
	struct fixture *f = *state;

	write_at(f, BAR4, 0, ~0u, 4);
	assert_int_equal(read_at(f, BAR4, 0, 4), 0);
	assert_int_equal(read_at(f, BAR4, 63, 1), 0);
}

/* As on a PCI bus where nobody answers; cloud-hypervisor could not take an error. */
static void accesses_outside_read_all_ones(void **state)
{
	static const struct {
		unsigned int region;
		uint64_t offset;
	} outside[] = { { BAR0, VGPU_BAR0_BYTES },
			{ BAR0, UINT64_MAX - 1 },
			{ BAR4, 62 },
			{ 1, 0 },
			{ VFIO_PCI_ROM_REGION_INDEX, 0 },
			{ VFIO_PCI_CONFIG_REGION_INDEX, 256 } };
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(outside); i++) {
		uint32_t value = 0x12345678;

		assert_int_equal(
			vfio_device_read(f->vfio, outside[i].region, outside[i].offset, &value, 4),
			0);
		assert_int_equal(value, ~0u);
		assert_int_equal(
			vfio_device_write(f->vfio, outside[i].region, outside[i].offset, &value, 4),
			0);
	}
}

/* A page of the guest's, seen through a GGTT entry and the aperture. */
static void the_aperture_reaches_guest_memory(void **state)
{
	struct fixture *f = *state;
	int fd = memfd_create("guest", MFD_CLOEXEC);
	uint64_t pte = 0x1000 | 1;
	uint32_t *memory;

	assert_int_equal(ftruncate(fd, 0x10000), 0);
	memory = mmap(NULL, 0x10000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(memory, MAP_FAILED);
	assert_int_equal(vfio_device_dma_map(f->vfio, VFIO_DMA_READ | VFIO_DMA_WRITE, iova(0),
					     0x10000, fd, 0),
			 0);
	assert_int_equal(vfio_device_write(f->vfio, BAR0, VGPU_GTT_OFFSET, &pte, 8), 0);
	memory[0x1000 / 4 + 2] = 0x12345678;
	assert_int_equal(read_at(f, BAR2, 8, 4), 0x12345678);
	write_at(f, BAR2, 12, 0xcafe, 4);
	assert_int_equal(memory[0x1000 / 4 + 3], 0xcafe);
	assert_int_equal(vfio_device_dma_unmap(f->vfio, 0, iova(0), 0x10000), 0);
	memory[0x1000 / 4 + 2] = 0x9999;
	assert_int_not_equal(read_at(f, BAR2, 8, 4), 0x9999);
	munmap(memory, 0x10000);
	close(fd);
}

static void enable_msi(struct fixture *f, int fd)
{
	struct vfio_irq_set set = {
		.argsz = sizeof(set) + sizeof(int),
		.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
		.index = VFIO_PCI_MSI_IRQ_INDEX,
		.count = 1,
	};
	int copy = dup(fd);

	write_at(f, CONFIG, 0xac + PCI_MSI_FLAGS, PCI_MSI_FLAGS_ENABLE, 2);
	assert_int_equal(vfio_device_set_irqs(f->vfio, &set, NULL, 0, &copy, 1), 0);
	assert_int_equal(copy, -1);
}

static bool fired(int fd)
{
	uint64_t count;

	return read(fd, &count, sizeof(count)) == sizeof(count);
}

/* Through the whole interrupt tree, out as an eventfd. */
static void a_hotplug_interrupts_by_msi(void **state)
{
	struct fixture *f = *state;
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	enable_msi(f, fd);
	write_at(f, BAR0, SHOTPLUG_CTL, 0x10101010, 4);
	write_at(f, BAR0, SDEIIR, ~0u, 4);
	write_at(f, BAR0, SDEIER, PORTB_HOTPLUG, 4);
	write_at(f, BAR0, SDEIMR, (uint32_t)~PORTB_HOTPLUG, 4);
	write_at(f, BAR0, MASTER_IRQ, 1u << 31, 4);
	fired(fd);
	assert_int_equal(vgpu_display_plug(vgpu_device_vgpu(f->device), 0, false), 0);
	assert_true(fired(fd));
	assert_int_equal(read_at(f, BAR0, SDEIIR, 4) & PORTB_HOTPLUG, PORTB_HOTPLUG);
	close(fd);
}

static void a_reset_forgets(void **state)
{
	struct fixture *f = *state;
	struct vgpu_stats stats;

	write_at(f, BAR0, SDEIER, 0x1234, 4);
	write_at(f, BAR0, PVINFO_MAGIC + 0x804, 1, 4);
	vgpu_stats(vgpu_device_vgpu(f->device), &stats);
	assert_true(stats.driver_ready);
	vfio_device_reset(f->vfio);
	assert_int_equal(read_at(f, BAR0, SDEIER, 4), 0);
	vgpu_stats(vgpu_device_vgpu(f->device), &stats);
	assert_false(stats.driver_ready);
}

static void a_client_that_goes_leaves_a_clean_device(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 10; i++) {
		int fd = memfd_create("guest", MFD_CLOEXEC);
		int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

		assert_int_equal(ftruncate(fd, 0x10000), 0);
		assert_int_equal(
			vfio_device_dma_map(f->vfio, VFIO_DMA_READ, iova(0), 0x10000, fd, 0), 0);
		enable_msi(f, event);
		close(fd);
		close(event);
		vfio_device_detach(f->vfio);
	}
}

#define with_device(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_device(it_is_a_skylake_gt2),
		with_device(it_has_msi_and_power_management),
		with_device(its_bars_have_their_sizes),
		with_device(its_own_config_bytes_answer),
		with_device(bar0_reaches_the_registers),
		with_device(bar4_is_dull),
		with_device(accesses_outside_read_all_ones),
		with_device(the_aperture_reaches_guest_memory),
		with_device(a_hotplug_interrupts_by_msi),
		with_device(a_reset_forgets),
		with_device(a_client_that_goes_leaves_a_clean_device),
	};

	return cmocka_run_group_tests_name("lib vgpu device", tests, NULL, NULL);
}
