/* SPDX-License-Identifier: MIT */
/* The driver of the fuzz targets; the layout of a context is i915's. */
#include "fuzz/driver.h"

#include <string.h>

#include "vgpu/mmio.h"

uint32_t fuzz_driver_read(const struct fuzz_driver *d, uint32_t offset)
{
	uint32_t value;

	vgpu_bar0_read(d->vgpu, offset, &value, sizeof(value));
	return value;
}

void fuzz_driver_write(const struct fuzz_driver *d, uint32_t offset, uint32_t value)
{
	vgpu_bar0_write(d->vgpu, offset, &value, sizeof(value));
}

uint64_t fuzz_driver_descriptor(unsigned int c)
{
	uint32_t lrca = FUZZ_GMA + ((FUZZ_CONTEXT_PAGE + 3 * c) << 12);

	return (uint64_t)(c + 1) << 37 | lrca | 3 << 3 | 1;
}

void fuzz_driver_elsp(const struct fuzz_driver *d, enum gpu_engine id, uint64_t first,
		      uint64_t second)
{
	uint32_t elsp = REG_RING_ELSP(gpu_engine_base(id));

	fuzz_driver_write(d, elsp, (uint32_t)(second >> 32));
	fuzz_driver_write(d, elsp, (uint32_t)second);
	fuzz_driver_write(d, elsp, (uint32_t)(first >> 32));
	fuzz_driver_write(d, elsp, (uint32_t)first);
}

static uint32_t *dwords_of(uint8_t *memory, unsigned int page)
{
	return (uint32_t *)&memory[page * PAGE_BYTES];
}

static void lay_tables(const struct fuzz_driver *d, uint8_t *memory)
{
	uint64_t *pt = (uint64_t *)dwords_of(memory, (FUZZ_PML4_PAGE + 3));

	for (unsigned int level = FUZZ_PML4_PAGE; level < (FUZZ_PML4_PAGE + 3); level++)
		*(uint64_t *)dwords_of(memory, level) = d->gpa_of(level + 1) | 3;
	for (unsigned int i = 0; i < FUZZ_PAGES; i++)
		pt[i] = d->gpa_of(i) | 3;
}

/* A block of LRI at @dword: registers of the engine, their values stay 0. */
static void lay_block(uint32_t *page, unsigned int dword, uint32_t base, const uint16_t *regs,
		      unsigned int count)
{
	page[dword++] = 0x11001000 | (2 * count - 1);
	for (unsigned int i = 0; i < count; i++, dword += 2)
		page[dword] = base + regs[i];
}

static void lay_context(uint8_t *memory, unsigned int c)
{
	static const uint16_t ring[] = { 0x244, 0x034, 0x030, 0x038, 0x03c, 0x168, 0x140,
					 0x110, 0x11c, 0x114, 0x118, 0x1c0, 0x1c4, 0x1c8 };
	static const uint16_t space[] = { 0x3a8, 0x28c, 0x288, 0x284, 0x280,
					  0x27c, 0x278, 0x274, 0x270 };
	static const uint16_t rest[] = { 0x09c, 0x600, 0x604, 0x608, 0x60c };
	const uint32_t commands[] = {
		0x18800101, FUZZ_BATCH_PAGE << 12,
		0,	    0, /* the user's batch */
		0x10400002, FUZZ_GMA + (FUZZ_DATA_PAGE << 12),
		0,	    c,
		0x01000000, 0, /* a seqno */
	};
	unsigned int page = FUZZ_CONTEXT_PAGE + 3 * c;
	uint32_t *regs = dwords_of(memory, page + 1), base = gpu_engine_base(c / 2);

	lay_block(regs, 0x01, base, ring, ARRAY_SIZE(ring));
	lay_block(regs, 0x21, base, space, ARRAY_SIZE(space));
	lay_block(regs, 0x53, base, rest, ARRAY_SIZE(rest));
	regs[0x03] = c & 1 ? 0x00090008 : 0x00090009; /* the first restore is inhibited */
	regs[FUZZ_CTX_TAIL] = sizeof(commands);
	regs[0x09] = FUZZ_GMA + ((page + 2) << 12);
	regs[0x0b] = 1;
	regs[0x33] = FUZZ_PML4_PAGE << 12;
	memcpy(dwords_of(memory, page + 2), commands, sizeof(commands));
}

void fuzz_driver_lay_out(const struct fuzz_driver *d, uint8_t *memory)
{
	const uint32_t batch[] = {
		0x10000002, FUZZ_DATA_PAGE << 12, 0, 0x1234, /* MI_STORE_DATA_IMM */
		0x05000000,
	};

	lay_tables(d, memory);
	memcpy(dwords_of(memory, FUZZ_BATCH_PAGE), batch, sizeof(batch));
	for (unsigned int c = 0; c < FUZZ_CONTEXTS; c++)
		lay_context(memory, c);
}

void fuzz_driver_start(const struct fuzz_driver *d)
{
	uint64_t entries[FUZZ_PAGES];

	for (unsigned int i = 0; i < FUZZ_PAGES; i++)
		entries[i] = d->gpa_of(i) | 1;
	vgpu_bar0_write(d->vgpu, VGPU_GTT_OFFSET + (FUZZ_GMA >> 12) * 8, entries, sizeof(entries));
	fuzz_driver_write(d, REG_GEN8_MASTER_IRQ, 0x80000000);
	for (unsigned int i = 0; i < 4; i++) {
		fuzz_driver_write(d, REG_GEN8_GT_IER(i), UINT32_MAX);
		fuzz_driver_write(d, REG_GEN8_GT_IMR(i), 0);
	}
	for_each_engine(id) {
		fuzz_driver_write(d, REG_RING_MODE_GEN7(gpu_engine_base(id)), 0x80008000);
		fuzz_driver_write(d, REG_RING_HWS_PGA(gpu_engine_base(id)),
				  FUZZ_GMA + ((FUZZ_HWSP_PAGE + id) << 12));
		fuzz_driver_write(d, REG_RING_IMR(gpu_engine_base(id)), 0);
	}
}
