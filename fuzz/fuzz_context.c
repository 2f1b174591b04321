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
#include "fuzz/fuzz.h"
#include "fuzz/guest.h"
#include "fuzz/input.h"
#include "fuzz/lane.h"
#include "vgpu/context.h"
#include "vgpu/mmio.h"

#define PAGES	     80u
#define GMA	     0x10000000u /* of page 0; the others follow */
#define HWSP_PAGE    1u
#define PML4_PAGE    5u
#define PT_PAGE	     8u
#define DATA_PAGE    9u
#define BATCH_PAGE   10u
#define CONTEXT_PAGE 16u /* image, registers, ring; the next context */
#define CONTEXTS     8u	 /* two for each engine */

#define CTX_TAIL 0x07u

static const struct fuzz_slot slots[] = {
	{ .gpa = 0, .first_page = 0, .bytes = 64 << 12, .access = GUEST_READ | GUEST_WRITE },
	{ 0x200000, 64, 4 << 12, GUEST_READ, false },
	{ 0x300000, 68, 4 << 12, GUEST_READ | GUEST_WRITE, true },
	{ 0x400000, 72, 8 << 12, GUEST_READ | GUEST_WRITE, false },
};

static struct fuzz_guest guest;
static struct vgpu *vgpu;
static uint64_t messages;
static uint8_t laid_out[PAGES * 4096];

static void host_interrupt(void *opaque)
{
	messages++;
}

static void host_display_timer(void *opaque, uint64_t when_ns)
{
}

static const struct vgpu_host_ops host_ops = {
	.interrupt = host_interrupt,
	.display_timer = host_display_timer,
};

static uint32_t read_reg(uint32_t offset)
{
	uint32_t value;

	vgpu_bar0_read(vgpu, offset, &value, sizeof(value));
	return value;
}

static void write_reg(uint32_t offset, uint32_t value)
{
	vgpu_bar0_write(vgpu, offset, &value, sizeof(value));
}

/* ---- What the driver has laid out ------------------------------------------------------------ */

static uint64_t page_gpa(unsigned int page)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(slots); i++)
		if (page - slots[i].first_page < slots[i].bytes >> 12)
			return slots[i].gpa + ((uint64_t)(page - slots[i].first_page) << 12);
	return 0;
}

static uint32_t *dwords_of(unsigned int page)
{
	return (uint32_t *)&laid_out[page * PAGE_BYTES];
}

static void lay_tables(void)
{
	uint64_t *pt = (uint64_t *)dwords_of(PT_PAGE);

	for (unsigned int level = PML4_PAGE; level < PT_PAGE; level++)
		*(uint64_t *)dwords_of(level) = page_gpa(level + 1) | 3;
	for (unsigned int i = 0; i < PAGES; i++)
		pt[i] = page_gpa(i) | 3;
}

/* A block of LRI at @dword: registers of the engine, their values stay 0. */
static void lay_block(uint32_t *page, unsigned int dword, uint32_t base, const uint16_t *regs,
		      unsigned int count)
{
	page[dword++] = 0x11001000 | (2 * count - 1);
	for (unsigned int i = 0; i < count; i++, dword += 2)
		page[dword] = base + regs[i];
}

static void lay_context(unsigned int c)
{
	static const uint16_t ring[] = { 0x244, 0x034, 0x030, 0x038, 0x03c, 0x168, 0x140,
					 0x110, 0x11c, 0x114, 0x118, 0x1c0, 0x1c4, 0x1c8 };
	static const uint16_t space[] = { 0x3a8, 0x28c, 0x288, 0x284, 0x280,
					  0x27c, 0x278, 0x274, 0x270 };
	static const uint16_t rest[] = { 0x09c, 0x600, 0x604, 0x608, 0x60c };
	const uint32_t commands[] = {
		0x18800101, BATCH_PAGE << 12,	     0, 0,		  /* the user's batch */
		0x10400002, GMA + (DATA_PAGE << 12), 0, c, 0x01000000, 0, /* a seqno */
	};
	unsigned int page = CONTEXT_PAGE + 3 * c;
	uint32_t *regs = dwords_of(page + 1), base = gpu_engine_base(c / 2);

	lay_block(regs, 0x01, base, ring, ARRAY_SIZE(ring));
	lay_block(regs, 0x21, base, space, ARRAY_SIZE(space));
	lay_block(regs, 0x53, base, rest, ARRAY_SIZE(rest));
	regs[0x03] = c & 1 ? 0x00090008 : 0x00090009; /* the first restore is inhibited */
	regs[CTX_TAIL] = sizeof(commands);
	regs[0x09] = GMA + ((page + 2) << 12);
	regs[0x0b] = 1;
	regs[0x33] = PML4_PAGE << 12;
	memcpy(dwords_of(page + 2), commands, sizeof(commands));
}

static void lay_out(void)
{
	const uint32_t batch[] = {
		0x10000002, DATA_PAGE << 12, 0, 0x1234, /* MI_STORE_DATA_IMM */
		0x05000000,
	};

	lay_tables();
	memcpy(dwords_of(BATCH_PAGE), batch, sizeof(batch));
	for (unsigned int c = 0; c < CONTEXTS; c++)
		lay_context(c);
}

static void start_driver(void)
{
	uint64_t entries[PAGES];

	for (unsigned int i = 0; i < PAGES; i++)
		entries[i] = page_gpa(i) | 1;
	vgpu_bar0_write(vgpu, VGPU_GTT_OFFSET + (GMA >> 12) * 8, entries, sizeof(entries));
	write_reg(REG_GEN8_MASTER_IRQ, 0x80000000);
	for (unsigned int i = 0; i < 4; i++) {
		write_reg(REG_GEN8_GT_IER(i), UINT32_MAX);
		write_reg(REG_GEN8_GT_IMR(i), 0);
	}
	for_each_engine(id) {
		write_reg(REG_RING_MODE_GEN7(gpu_engine_base(id)), 0x80008000);
		write_reg(REG_RING_HWS_PGA(gpu_engine_base(id)), GMA + ((HWSP_PAGE + id) << 12));
		write_reg(REG_RING_IMR(gpu_engine_base(id)), 0);
	}
}

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
	lay_out();
	fuzz_guest_init(&guest, PAGES, slots, ARRAY_SIZE(slots));
	FUZZ_CHECK(config.gpu && !sched_lane_create("fuzz", &config.lane));
	FUZZ_CHECK(!vgpu_create(&config, &vgpu));
}

/* ---- Steps ----------------------------------------------------------------------------------- */

static void poke(struct fuzz_input *in, unsigned int count)
{
	uint32_t page = fuzz_u8(in) % PAGES, at = fuzz_u16(in) & 1023;

	while (count--) {
		uint32_t value = fuzz_u32(in);

		memcpy(guest.ram + page * PAGE_BYTES + at * 4, &value, sizeof(value));
		at = (at + 1) & 1023;
	}
}

/* The descriptor of context @c as the driver has it, some bits changed. */
static uint64_t take_descriptor(struct fuzz_input *in, uint8_t c)
{
	uint32_t lrca = GMA + ((CONTEXT_PAGE + 3 * (c % CONTEXTS)) << 12);
	uint16_t odd = fuzz_u16(in);

	return (uint64_t)(c % CONTEXTS + 1) << 37 | (lrca ^ (uint32_t)(odd << 2)) | 3 << 3 | 1;
}

static void write_elsp(enum gpu_engine id, uint64_t first, uint64_t second)
{
	uint32_t elsp = REG_RING_ELSP(gpu_engine_base(id));

	write_reg(elsp, (uint32_t)(second >> 32));
	write_reg(elsp, (uint32_t)second);
	write_reg(elsp, (uint32_t)(first >> 32));
	write_reg(elsp, (uint32_t)first);
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
		memcpy(guest.ram + (CONTEXT_PAGE + 3 * c + 1) * PAGE_BYTES + CTX_TAIL * 4, &tail,
		       sizeof(tail));
	}
	write_elsp(how & 32 ? how >> 6 : c / 2, first, second);
}

static void reset(struct fuzz_input *in)
{
	uint8_t how = fuzz_u8(in);

	if (how & 32)
		write_reg(REG_RING_RESET_CTL(gpu_engine_base(how >> 6)), 0x00010001);
	write_reg(REG_GEN6_GDRST, how & 31);
	FUZZ_CHECK(!read_reg(REG_GEN6_GDRST));
	start_driver();
}

static void flush(struct fuzz_input *in)
{
	uint8_t how = fuzz_u8(in);
	uint64_t entry = fuzz_u16(in) & 1;

	if (how & 128) {
		entry |= (uint64_t)fuzz_u16(in) << 12;
		vgpu_bar0_write(vgpu, VGPU_GTT_OFFSET + ((GMA >> 12) + (how & 127)) * 8, &entry, 8);
	} else if (how & 1) {
		write_reg(REG_GFX_FLSH_CNTL_GEN6, 1);
	} else if (how & 2) {
		write_reg(REG_GEN8_TLB_INVALIDATE((how >> 2) % 5u), 1);
	} else {
		write_reg(REG_PVINFO_PDP, PML4_PAGE << 12);
		write_reg(REG_PVINFO_G2V_NOTIFY, how >> 2);
	}
}

static void touch_engine(struct fuzz_input *in, uint8_t how)
{
	uint32_t offset = gpu_engine_base(how >> 3 & 3) + (fuzz_u16(in) & 0xffc);

	if (how & 32)
		write_reg(offset, fuzz_u32(in));
	else
		read_reg(offset);
}

static void step(struct fuzz_input *in)
{
	uint8_t what = fuzz_u8(in);

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
		write_elsp(what >> 3 & 3, fuzz_u64(in), fuzz_u64(in));
		break;
	}
}

/* ---- What has to hold ------------------------------------------------------------------------ */

static void check_engine(struct vgpu_engine *e)
{
	FUZZ_CHECK(e->csb_next < 6 && e->elsp_count < 4);
	FUZZ_CHECK(e->active == (e->port.desc[0] != 0));
	FUZZ_CHECK(e->active || !e->loaded);
	FUZZ_CHECK(!e->active || read_reg(REG_RING_HEAD(e->base)) < 0x200000);
	for (uint32_t offset = 0; offset < PAGE_BYTES; offset += 4)
		read_reg(e->base + offset);
}

static void check_idle(void)
{
	fuzz_lane_run(1);
	for_each_engine(id)
		FUZZ_CHECK(!read_reg(REG_RING_EXECLIST_STATUS_LO(gpu_engine_base(id))));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = { data, size };

	if (!vgpu)
		create();
	fuzz_clock_start();
	fuzz_guest_all_present(&guest);
	memcpy(guest.ram, laid_out, sizeof(laid_out));
	start_driver();
	while (in.size)
		step(&in);
	fuzz_lane_run(2);
	for_each_engine(id)
		check_engine(&vgpu->engines[id]);
	vgpu_reset(vgpu);
	check_idle();
	fuzz_clock_stop();
	return 0;
}
