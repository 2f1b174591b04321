/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: the whole device, as a VMM and its guest reach it.  The input is a list of steps:
 * accesses to BARs and config space of any size and alignment, each register there is by its row,
 * submissions of contexts a driver has laid out, dwords into guest memory, DMA maps that come and
 * go, resets, monitors, time, pictures, and slices of the lane in between.
 *
 * The guest's memory is windows of one file.  The pages between them belong to nobody: what they
 * hold may not change, and may not turn up in the guest's pages.
 */
#include <linux/pci_regs.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "fuzz/clock.h"
#include "fuzz/driver.h"
#include "fuzz/fuzz.h"
#include "fuzz/input.h"
#include "fuzz/lane.h"
#include "lib/lib.h"
#include "vgpu/mmio.h"

#define CANARY	     0x9d3f6a1cc07b5e28ull
#define FILE_PAGES   (FUZZ_PAGES + 5) /* one of the canary's before each slot and behind the last */
#define MAX_LEN	     24u
#define MAX_PIXELS   16384u
#define CONFIG	     VFIO_PCI_CONFIG_REGION_INDEX
#define ACCESS	     (VFIO_DMA_READ | VFIO_DMA_WRITE)
#define IDENTITY     0x19128086u
#define SLOT_PAGE(s) ((s)->first + 1 + (unsigned int)((s)-slots)) /* in the file */

static const struct slot {
	uint64_t gpa;
	unsigned int first, pages;
	uint32_t flags;
	bool by_messages;
} slots[] = {
	{ 0, 0, 64, ACCESS | VFIO_DMA_MODE_MMAP, false },
	{ 0x200000, 64, 4, VFIO_DMA_READ | VFIO_DMA_MODE_MMAP, false },
	{ 0x300000, 68, 4, ACCESS, true },
	{ 0x40000000, 72, 8, ACCESS | VFIO_DMA_MODE_FILE, false },
};

static uint8_t *file; /* FILE_PAGES */
static int file_fd;
static struct loop loop;
static struct vgpu_device *device;
static struct vfio_device *vfio;
static struct display_image image;
static uint8_t laid_out[FUZZ_PAGES * 4096];

static uint64_t gpa_of(unsigned int page)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(slots); i++)
		if (page - slots[i].first < slots[i].pages)
			return slots[i].gpa + ((uint64_t)(page - slots[i].first) << 12);
	return 0;
}

static struct fuzz_driver driver = { .gpa_of = gpa_of };

/* Guest page @page in the file. */
static uint8_t *page_at(unsigned int page)
{
	const struct slot *slot = slots;

	while (page - slot->first >= slot->pages)
		slot++;
	return file + (SLOT_PAGE(slot) + page - slot->first) * PAGE_BYTES;
}

/* ---- Memory ---------------------------------------------------------------------------------- */

/* The VMM's answer: it knows no memory but the one slot without a file. */
static uint8_t *message_bytes(gpa_t at, size_t len)
{
	const struct slot *slot = &slots[2];
	uint64_t offset = at.v - slot->gpa;

	FUZZ_CHECK(offset < slot->pages * PAGE_BYTES && len <= slot->pages * PAGE_BYTES - offset);
	return page_at(slot->first) + offset;
}

static int message_read(void *opaque, gpa_t at, void *buf, size_t len)
{
	memcpy(buf, message_bytes(at, len), len);
	return 0;
}

static int message_write(void *opaque, gpa_t at, const void *buf, size_t len)
{
	memcpy(message_bytes(at, len), buf, len);
	return 0;
}

static void message_cancel(void *opaque)
{
}

static const struct guest_dma_ops dma_ops = { message_read, message_write, message_cancel };

static int map_slot(const struct slot *slot)
{
	return vfio_device_dma_map(vfio, slot->flags, iova(slot->gpa), slot->pages * PAGE_BYTES,
				   slot->by_messages ? -1 : file_fd, SLOT_PAGE(slot) * PAGE_BYTES);
}

static void fill_memory(void)
{
	uint64_t *words = (uint64_t *)file;

	for (size_t i = 0; i < FILE_PAGES * PAGE_BYTES / 8; i++)
		words[i] = CANARY;
	for (unsigned int i = 0; i < ARRAY_SIZE(slots); i++)
		memcpy(page_at(slots[i].first), &laid_out[slots[i].first * PAGE_BYTES],
		       slots[i].pages * PAGE_BYTES);
}

/*
 * From a comparison that it sees the fuzzer would learn what a canary looks like, and write one
 * itself.  It sees those of a function that was inlined, whatever is said of it.
 */
#ifdef __clang__
#define UNSEEN __attribute__((noinline, no_sanitize("coverage")))
#else
#define UNSEEN
#endif

UNSEEN static bool is_canary(size_t page)
{
	const uint64_t *words = (const uint64_t *)(file + page * PAGE_BYTES);
	size_t same = 0;

	for (size_t i = 0; i < PAGE_BYTES / 8; i++)
		same += words[i] == CANARY;
	/* A page of nobody is whole, a page of the guest holds none of it. */
	FUZZ_CHECK(same == 0 || same == PAGE_BYTES / 8);
	return same != 0;
}

static void check_canaries(void)
{
	unsigned int found = 0;

	for (size_t page = 0; page < FILE_PAGES; page++)
		found += is_canary(page);
	FUZZ_CHECK(found == FILE_PAGES - FUZZ_PAGES);
}

/* ---- Life ------------------------------------------------------------------------------------ */

static void wire_interrupt(uint32_t index)
{
	struct vfio_irq_set set = {
		.argsz = sizeof(set) + sizeof(int),
		.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
		.index = index,
		.count = 1,
	};
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	FUZZ_CHECK(fd >= 0 && !vfio_device_set_irqs(vfio, &set, NULL, 0, &fd, 1));
}

static void create(void)
{
	struct vgpu_device_config config = {
		.loop = &loop,
		.name = "fuzz",
		.type = vgpu_type_find("i915-GVTg_V5_8"),
		.ports = { { VGPU_PORT_DP, true, 1024, 768, 60 },
			   { VGPU_PORT_HDMI, false, 1280, 1024, 60 } },
	};

	log_threshold = LOG_ERROR;
	file_fd = memfd_create("fuzz-memory", MFD_CLOEXEC);
	FUZZ_CHECK(file_fd >= 0 && !ftruncate(file_fd, FILE_PAGES * PAGE_BYTES));
	file = mmap(NULL, FILE_PAGES * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file_fd, 0);
	FUZZ_CHECK(file != MAP_FAILED && !loop_init(&loop));
	FUZZ_CHECK(!vgpu_device_create(&config, &device));
	vfio = vgpu_device_vfio(device);
	driver.vgpu = vgpu_device_vgpu(device);
	fuzz_driver_lay_out(&driver, laid_out);
	vfio_device_set_dma_ops(vfio, &dma_ops, NULL);
	wire_interrupt(VFIO_PCI_INTX_IRQ_INDEX);
	wire_interrupt(VFIO_PCI_MSI_IRQ_INDEX);
}

static void begin(void)
{
	uint32_t command = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;

	fill_memory();
	for (unsigned int i = 0; i < ARRAY_SIZE(slots); i++)
		FUZZ_CHECK(!map_slot(&slots[i]));
	FUZZ_CHECK(!vfio_device_write(vfio, CONFIG, PCI_COMMAND, &command, 2));
	fuzz_driver_start(&driver);
}

static void end(void)
{
	uint32_t identity = 0;

	vfio_device_read(vfio, CONFIG, 0, &identity, sizeof(identity));
	FUZZ_CHECK(identity == IDENTITY);
	vfio_device_dma_unmap(vfio, VFIO_DMA_UNMAP_FLAG_ALL, iova(0), 0);
	fuzz_lane_run(1); /* whatever is still to be done finds no memory */
	vfio_device_reset(vfio);
	check_canaries();
}

/* ---- Steps ----------------------------------------------------------------------------------- */

static void access_region(struct fuzz_input *in, uint32_t region, uint64_t offset, uint8_t how)
{
	uint8_t buf[MAX_LEN];
	size_t len = (how & 0x7f) % MAX_LEN;

	if (how & 0x80) {
		fuzz_take(in, buf, len);
		vfio_device_write(vfio, region, offset, buf, len);
	} else {
		vfio_device_read(vfio, region, offset, buf, len);
	}
}

static void access_register(struct fuzz_input *in, uint8_t how)
{
	const struct vgpu_reg_row *row = &vgpu_reg_rows[fuzz_u16(in) % VGPU_REG_ROWS];
	uint32_t offset = row->offset + (fuzz_u8(in) * 4u) % (row->end - row->offset);

	if (how & 1)
		fuzz_driver_write(&driver, offset, fuzz_u32(in));
	else
		fuzz_driver_read(&driver, offset);
}

static void poke(struct fuzz_input *in, unsigned int count)
{
	unsigned int page = fuzz_u8(in) % FUZZ_PAGES, at = fuzz_u16(in) & 1023;

	for (; count--; at = (at + 1) & 1023) {
		uint32_t value = fuzz_u32(in);

		memcpy(page_at(page) + at * 4, &value, sizeof(value));
	}
}

static void submit(struct fuzz_input *in, uint8_t how)
{
	unsigned int c = how & 7;

	fuzz_driver_elsp(&driver, c / 2, fuzz_driver_descriptor(c),
			 how & 8 ? fuzz_driver_descriptor(c ^ 1) : 0);
}

static void write_ggtt(struct fuzz_input *in, uint8_t how)
{
	uint32_t index = how & 1 ? fuzz_u32(in) & 0xfffff : (FUZZ_GMA >> 12) + fuzz_u8(in);
	uint64_t entry = how & 2 ? fuzz_u64(in) : gpa_of(fuzz_u8(in) % FUZZ_PAGES) | 1;

	vgpu_bar0_write(driver.vgpu, VGPU_GTT_OFFSET + index * 8ull, &entry, 8);
	if (how & 4)
		fuzz_driver_write(&driver, REG_GFX_FLSH_CNTL_GEN6, 1);
}

static void change_memory(struct fuzz_input *in, uint8_t how)
{
	const struct slot *slot = &slots[how & 3];

	if (how & 4)
		map_slot(slot);
	else if (how & 8)
		vfio_device_dma_unmap(vfio, how & 16, iova(fuzz_u32(in)), (how >> 4) * PAGE_BYTES);
	else
		vfio_device_dma_unmap(vfio, 0, iova(slot->gpa), slot->pages * PAGE_BYTES);
}

/* Pictures of more pixels than that would take most of the time. */
static void take_picture(unsigned int head)
{
	struct display_source *source = vgpu_display_source(driver.vgpu);
	struct display_head seen;

	if (!source->ops->head(source, head, &seen) && seen.active &&
	    (uint64_t)seen.width * seen.height <= MAX_PIXELS)
		display_grab(source, head, &image);
}

static void change_display(struct fuzz_input *in, uint8_t how)
{
	uint32_t width, height;

	switch (how & 3) {
	case 0:
		fuzz_clock_advance(fuzz_u16(in) * 1000ull);
		vgpu_display_tick(driver.vgpu, fuzz_clock_ns());
		break;
	case 1:
		take_picture(how >> 2 & 3);
		break;
	case 2:
		vgpu_display_plug(driver.vgpu, how >> 2 & 3, how >> 7);
		break;
	case 3:
		width = fuzz_u16(in);
		height = fuzz_u16(in);
		vgpu_display_set_mode(driver.vgpu, how >> 2 & 3, width, height, fuzz_u8(in));
		break;
	}
}

static void step(struct fuzz_input *in)
{
	static const uint32_t regions[] = { 0, 2, 4, CONFIG, 0, 2, 1, 8 };
	uint8_t what = fuzz_u8(in), how = what >> 4;
	uint64_t offset, first;

	switch (what & 15) {
	case 0:
	case 1:
		offset = fuzz_u32(in) & 0xffffff;
		access_region(in, regions[how & 7], offset, fuzz_u8(in));
		break;
	case 2:
		offset = fuzz_u8(in);
		access_region(in, CONFIG, offset, fuzz_u8(in));
		break;
	case 3:
	case 4:
	case 5:
		access_register(in, how);
		break;
	case 6:
		poke(in, how);
		break;
	case 7:
		submit(in, how);
		break;
	case 8:
	case 9:
		fuzz_lane_run(1 + (how & 3));
		break;
	case 10:
		write_ggtt(in, how);
		break;
	case 11:
		change_memory(in, fuzz_u8(in));
		break;
	case 12:
		change_display(in, fuzz_u8(in));
		break;
	case 13:
		first = fuzz_u64(in);
		fuzz_driver_elsp(&driver, how & 3, first, fuzz_u64(in));
		break;
	case 14:
		vfio_device_reset(vfio);
		if (how & 1)
			fuzz_driver_start(&driver);
		break;
	case 15:
		fuzz_driver_write(&driver, REG_GEN6_GDRST, how);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };

	if (!device)
		create();
	fuzz_clock_start();
	begin();
	while (in.size)
		step(&in);
	fuzz_lane_run(2);
	end();
	fuzz_clock_stop();
	return 0;
}
