/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: contexts of a hostile guest.  A vGPU finds rings, context images, page tables and
 * batches laid out as i915 does it; the input is a list of steps that spoil them and submit:
 * dwords anywhere in memory, descriptors, ELSP, registers of the engines, resets, memory that
 * comes and goes, and slices of the lane in between.
 *
 * The guest guards its memory (fuzz/guest.h), the lane checks that a step comes back in time.
 */
#include <string.h>

#include "base/log.h"
#include "fuzz/clock.h"
#include "fuzz/driver.h"
#include "fuzz/fuzz.h"
#include "fuzz/guest.h"
#include "fuzz/input.h"
#include "fuzz/lane.h"
#include "vgpu/context.h"
#include "vgpu/mmio.h"

static const struct fuzz_slot slots[] = {
	{ .gpa = 0, .first_page = 0, .bytes = 64 << 12, .access = GUEST_READ | GUEST_WRITE },
	{ 0x200000, 64, 4 << 12, GUEST_READ, false },
	{ 0x300000, 68, 4 << 12, GUEST_READ | GUEST_WRITE, true },
	{ 0x400000, 72, 8 << 12, GUEST_READ | GUEST_WRITE, false },
};

static uint64_t page_gpa(unsigned int page)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(slots); i++)
		if (page - slots[i].first_page < slots[i].bytes >> 12)
			return slots[i].gpa + ((uint64_t)(page - slots[i].first_page) << 12);
	return 0;
}

static struct fuzz_guest guest;
static struct fuzz_driver driver = { .gpa_of = page_gpa };
static uint8_t laid_out[FUZZ_PAGES * 4096];

static void host_interrupt(void *opaque)
{
}

static void host_display_timer(void *opaque, uint64_t when_ns)
{
}

static const struct vgpu_host_ops host_ops = {
	.interrupt = host_interrupt,
	.display_timer = host_display_timer,
};

static void create(void)
{
	struct vgpu_config config = {
		.name = "fuzz",
		.type = vgpu_type_find("i915-GVTg_V5_8"),
		.render_only = true,
		.guest = &guest.guest,
		.gpu = gpu_soft_create(),
		.host = &host_ops,
	};

	log_threshold = LOG_ERROR;
	fuzz_driver_lay_out(&driver, laid_out);
	fuzz_guest_init(&guest, FUZZ_PAGES, slots, ARRAY_SIZE(slots));
	FUZZ_CHECK(config.gpu && !sched_lane_create("fuzz", &config.lane));
	FUZZ_CHECK(!vgpu_create(&config, &driver.vgpu));
}

/* ---- Steps ----------------------------------------------------------------------------------- */

static void poke(struct fuzz_input *in, unsigned int count)
{
	uint32_t page = fuzz_u8(in) % FUZZ_PAGES, at = fuzz_u16(in) & 1023;

	while (count--) {
		uint32_t value = fuzz_u32(in);

		memcpy(guest.ram + page * PAGE_BYTES + at * 4, &value, sizeof(value));
		at = (at + 1) & 1023;
	}
}

/* The descriptor of context @c as the driver has it, some bits changed. */
static uint64_t take_descriptor(struct fuzz_input *in, uint8_t c)
{
	uint32_t odd = fuzz_u16(in);

	return fuzz_driver_descriptor(c) ^ odd << 2;
}

static void submit(struct fuzz_input *in)
{
	uint8_t how = fuzz_u8(in), c = how & 7;
	uint64_t first = take_descriptor(in, c), second = 0;
	uint32_t tail;

	if (how & 8)
		second = take_descriptor(in, c ^ 1);
	if (how & 16) {
		tail = fuzz_u16(in) & 0xff8;
		memcpy(guest.ram + (FUZZ_CONTEXT_PAGE + 3 * c + 1) * PAGE_BYTES + FUZZ_CTX_TAIL * 4,
		       &tail, sizeof(tail));
	}
	fuzz_driver_elsp(&driver, how & 32 ? how >> 6 : c / 2, first, second);
}

static void reset(struct fuzz_input *in)
{
	uint8_t how = fuzz_u8(in);

	if (how & 32)
		fuzz_driver_write(&driver, REG_RING_RESET_CTL(gpu_engine_base(how >> 6)),
				  0x00010001);
	fuzz_driver_write(&driver, REG_GEN6_GDRST, how & 31);
	FUZZ_CHECK(!fuzz_driver_read(&driver, REG_GEN6_GDRST));
	fuzz_driver_start(&driver);
}

static void flush(struct fuzz_input *in)
{
	uint8_t how = fuzz_u8(in);
	uint64_t entry = fuzz_u16(in) & 1;

	if (how & 128) {
		entry |= (uint64_t)fuzz_u16(in) << 12;
		vgpu_bar0_write(driver.vgpu, VGPU_GTT_OFFSET + ((FUZZ_GMA >> 12) + (how & 127)) * 8,
				&entry, 8);
	} else if (how & 1) {
		fuzz_driver_write(&driver, REG_GFX_FLSH_CNTL_GEN6, 1);
	} else if (how & 2) {
		fuzz_driver_write(&driver, REG_GEN8_TLB_INVALIDATE((how >> 2) % 5u), 1);
	} else {
		fuzz_driver_write(&driver, REG_PVINFO_PDP, FUZZ_PML4_PAGE << 12);
		fuzz_driver_write(&driver, REG_PVINFO_G2V_NOTIFY, how >> 2);
	}
}

static void touch_engine(struct fuzz_input *in, uint8_t how)
{
	uint32_t offset = gpu_engine_base(how >> 3 & 3) + (fuzz_u16(in) & 0xffc);

	if (how & 32)
		fuzz_driver_write(&driver, offset, fuzz_u32(in));
	else
		fuzz_driver_read(&driver, offset);
}

static void step(struct fuzz_input *in)
{
	uint8_t what = fuzz_u8(in);
	uint64_t first;

	switch (what & 7) {
	case 0:
		poke(in, what >> 3);
		break;
	case 1:
		submit(in);
		break;
	case 2:
		fuzz_lane_run(1 + (what >> 3 & 3));
		break;
	case 3:
		touch_engine(in, what);
		break;
	case 4:
		reset(in);
		break;
	case 5:
		fuzz_guest_set_slot(&guest, (what >> 3) % ARRAY_SIZE(slots), what >> 7);
		break;
	case 6:
		flush(in);
		break;
	case 7:
		first = fuzz_u64(in);
		fuzz_driver_elsp(&driver, what >> 3 & 3, first, fuzz_u64(in));
		break;
	}
}

/* ---- What has to hold ------------------------------------------------------------------------ */

static void check_engine(struct vgpu_engine *e)
{
	FUZZ_CHECK(e->csb_next < 6 && e->elsp_count < 4);
	FUZZ_CHECK(e->active == (e->port.desc[0] != 0));
	FUZZ_CHECK(e->active || !e->loaded);
	FUZZ_CHECK(!e->active || fuzz_driver_read(&driver, REG_RING_HEAD(e->base)) < 0x200000);
	for (uint32_t offset = 0; offset < PAGE_BYTES; offset += 4)
		fuzz_driver_read(&driver, e->base + offset);
}

static void check_idle(void)
{
	fuzz_lane_run(1);
	for_each_engine(id)
		FUZZ_CHECK(!fuzz_driver_read(&driver,
					     REG_RING_EXECLIST_STATUS_LO(gpu_engine_base(id))));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };

	if (!driver.vgpu)
		create();
	fuzz_clock_start();
	fuzz_guest_all_present(&guest);
	memcpy(guest.ram, laid_out, sizeof(laid_out));
	fuzz_driver_start(&driver);
	while (in.size)
		step(&in);
	fuzz_lane_run(2);
	for_each_engine(id)
		check_engine(&driver.vgpu->engines[id]);
	vgpu_reset(driver.vgpu);
	check_idle();
	fuzz_clock_stop();
	return 0;
}
