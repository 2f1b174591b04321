/* SPDX-License-Identifier: MIT */
/* The register file: attributes, widths, what i915 asks at probe, and the interrupt tree. */
#include "driver.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "vgpu/irq.h"
#include "vgpu/mmio.h"

static int set_up(void **state)
{
	static struct driver d;

	driver_open(&d, true);
	*state = &d;
	return 0;
}

static uint64_t unknown(struct driver *d)
{
	struct vgpu_stats stats;

	vgpu_stats(d->v, &stats);
	return stats.unknown_registers;
}

/* ---- The table ---- */

static void rows_are_sorted_and_found(void **state)
{
	for (unsigned int i = 0; i < VGPU_REG_ROWS; i++) {
		const struct vgpu_reg_row *row = &vgpu_reg_rows[i];

		assert_true(row->offset < row->end && row->end <= VGPU_MMIO_BYTES);
		if (i)
			assert_true(vgpu_reg_rows[i - 1].end <= row->offset);
		assert_ptr_equal(vgpu_reg_find(row->offset), row);
		assert_ptr_equal(vgpu_reg_find(row->end - 4), row);
	}
}

static void attributes_do_what_they_say(void **state)
{
	struct driver *d = *state;

	/* const */
	driver_write(d, REG_GEN8_FUSE2, 0);
	assert_int_equal(driver_read(d, REG_GEN8_FUSE2), 0x02800000);
	/* masked */
	driver_write(d, 0x7004, 0x00420042);
	driver_write(d, 0x7004, 0x00400000);
	assert_int_equal(driver_read(d, 0x7004), 0x2);
	/* w1c */
	vgpu_vreg_set(d->v, REG_EDP_PSR_IIR, 0xf0);
	driver_write(d, REG_EDP_PSR_IIR, 0x30);
	assert_int_equal(driver_read(d, REG_EDP_PSR_IIR), 0xc0);
	/* wmask */
	driver_write(d, REG_RING_HWS_PGA(0x2000), 0x12345678);
	assert_int_equal(driver_read(d, REG_RING_HWS_PGA(0x2000)), 0x12345000);
	/* wo */
	driver_write(d, REG_RING_ELSP(0x2000), 0x1234);
	assert_int_equal(driver_read(d, REG_RING_ELSP(0x2000)), 0);
	/* ro */
	driver_write(d, REG_PVINFO_VGT_CAPS, 0);
	assert_int_equal(driver_read(d, REG_PVINFO_VGT_CAPS), 0xc);
	/* plain */
	driver_write(d, REG_GAM_ECOCHK, 0x02000100);
	assert_int_equal(driver_read(d, REG_GAM_ECOCHK), 0x02000100);
}

static void unknown_registers_store_and_are_counted(void **state)
{
	struct driver *d = *state;
	uint64_t before = unknown(d);

	assert_null(vgpu_reg_find(0x1fff0));
	driver_write(d, 0x1fff0, 0xcafe);
	assert_int_equal(driver_read(d, 0x1fff0), 0xcafe);
	assert_int_equal(unknown(d), before + 2);
}

static void every_width_reads(void **state)
{
	struct driver *d = *state;
	uint64_t magic = 0;
	uint16_t version = 0;
	uint8_t bytes[5];

	driver_bar_read(d, 0, 0x78000, &magic, 8);
	assert_true(magic == 0x4776544776544776ull);
	driver_bar_read(d, 0, 0x78008, &version, 2);
	assert_int_equal(version, 1);
	driver_bar_read(d, 0, 0x78001, bytes, 5);
	assert_memory_equal(bytes, (uint8_t *)&magic + 1, 5);
	/* A part of a register is written into the whole. */
	driver_write(d, REG_GAM_ECOCHK, 0x11223344);
	driver_bar_write(d, 0, REG_GAM_ECOCHK + 1, "\xaa", 1);
	assert_int_equal(driver_read(d, REG_GAM_ECOCHK), 0x1122aa44);
	driver_bar_write(d, 0, REG_GEN8_PRIVATE_PAT_LO, "abcdefgh", 8);
	assert_int_equal(driver_read(d, REG_GEN8_PRIVATE_PAT_HI), 0x68676665);
}

/* These keep one bit of all that is written. */
static bool keeps_one_bit(const struct vgpu_reg_row *row)
{
	return row->write == vgpu_write_master_irq || row->write == vgpu_write_ring_reset_ctl;
}

static void write_zero_to_byte(struct driver *d, const struct vgpu_reg_row *row, unsigned int byte)
{
	/* Bits 0 and 31 start something in some registers. */
	const uint32_t before = row->flags & VGPU_REG_MASKED ? 0x7e7e : 0x7e7e7e7e;
	const uint32_t others = ~(0xffu << 8 * byte);
	uint32_t after;

	vgpu_vreg_set(d->v, row->offset, before);
	driver_bar_write(d, 0, row->offset + byte, "", 1);
	after = vgpu_vreg(d->v, row->offset);
	if ((after & others) != (before & others))
		fail_msg("%s: 0 in byte %u: 0x%08x became 0x%08x", row->name, byte, before, after);
}

/*
 * A byte of zeros changes nothing in the other three, in registers that keep what is written and in
 * those where a written 1 clears a bit.
 */
static void a_small_write_leaves_the_other_bytes(void **state)
{
	struct driver *d = *state;

	for (unsigned int i = 0; i < VGPU_REG_ROWS; i++)
		for (unsigned int byte = 0; byte < 4 && !keeps_one_bit(&vgpu_reg_rows[i]); byte++)
			write_zero_to_byte(d, &vgpu_reg_rows[i], byte);
	/* What the GPU and GMBUS keep themselves. */
	driver_write(d, REG_RING_GPR(0x2000), 0x11223344);
	driver_bar_write(d, 0, REG_RING_GPR(0x2000) + 1, "\xaa", 1);
	assert_int_equal(driver_read(d, REG_RING_GPR(0x2000)), 0x1122aa44);
	driver_write(d, REG_GMBUS, 0x11223344);
	driver_bar_write(d, 0, REG_GMBUS + 1, "\xaa", 1);
	assert_int_equal(driver_read(d, REG_GMBUS), 0x1122aa44);
}

static void holes_of_the_bar_read_zero(void **state)
{
	struct driver *d = *state;
	uint8_t buf[64];

	memset(buf, 0xff, sizeof(buf));
	driver_bar_read(d, 0, 0x400000, buf, sizeof(buf));
	for (size_t i = 0; i < sizeof(buf); i++)
		assert_int_equal(buf[i], 0);
	driver_bar_write(d, 0, 0x400000, buf, sizeof(buf));
	/* Across borders of areas. */
	driver_bar_read(d, 0, VGPU_MMIO_BYTES - 3, buf, 7);
	driver_bar_read(d, 0, VGPU_GTT_OFFSET - 3, buf, 7);
	driver_bar_read(d, 0, VGPU_BAR0_BYTES - 5, buf, 5);
	driver_bar_write(d, 0, VGPU_BAR0_BYTES - 5, buf, 5);
}

/* ---- What i915 asks ---- */

static void pvinfo_passes_the_balloon_checks(void **state)
{
	struct driver *d = *state;
	uint64_t aperture = vgpu_type_find("i915-GVTg_V5_4")->aperture_bytes;
	uint64_t base = driver_read(d, REG_PVINFO_NONMAPPABLE_BASE);
	uint64_t size = driver_read(d, REG_PVINFO_NONMAPPABLE_SIZE);

	assert_int_equal(driver_read(d, REG_PVINFO_MAPPABLE_BASE), 0);
	assert_int_equal(driver_read(d, REG_PVINFO_MAPPABLE_SIZE), 1408u << 10);
	assert_true(base >= aperture && base + size <= 1ull << 32);
	assert_int_equal(driver_read(d, REG_PVINFO_FENCE_NUM), 4);
}

static void clock_is_12_mhz_and_whole(void **state)
{
	struct driver *d = *state;
	struct timespec nap = { .tv_nsec = 20 * NSEC_PER_MSEC };
	uint64_t ns[4], first, last;

	assert_int_equal(driver_read(d, REG_CTC_MODE), 4);
	ns[0] = clock_now_ns();
	driver_bar_read(d, 0, REG_RING_TIMESTAMP(0x2000), &first, 8);
	ns[1] = clock_now_ns();
	nanosleep(&nap, NULL);
	ns[2] = clock_now_ns();
	driver_bar_read(d, 0, REG_RING_TIMESTAMP(0x22000), &last, 8);
	ns[3] = clock_now_ns();
	assert_in_range(last - first, (ns[2] - ns[1]) * 12 / 1000 - 1,
			(ns[3] - ns[0]) * 12 / 1000 + 1);
	assert_int_equal(last >> 36, 0);
	driver_write(d, REG_RING_TIMESTAMP(0x2000), 0);
	assert_true(driver_read(d, REG_RING_TIMESTAMP_UDW(0x2000)) <= 0xf);
}

static uint32_t pcode(struct driver *d, uint32_t command, uint32_t data)
{
	driver_write(d, REG_GEN6_PCODE_DATA, data);
	driver_write(d, REG_GEN6_PCODE_DATA1, 0);
	driver_write(d, REG_GEN6_PCODE_MAILBOX, 0x80000000 | command);
	return driver_read(d, REG_GEN6_PCODE_MAILBOX);
}

static void the_pcu_answers(void **state)
{
	struct driver *d = *state;

	assert_int_equal(pcode(d, 7, 3), 0);
	assert_int_equal(driver_read(d, REG_GEN6_PCODE_DATA) & 1, 1);
	assert_int_equal(pcode(d, 0x21, 0), 0);
	assert_int_equal(driver_read(d, REG_GEN6_PCODE_DATA) & 1, 1);
	assert_int_equal(pcode(d, 6, 0), 0);
	assert_int_not_equal(driver_read(d, REG_GEN6_PCODE_DATA) & 0xff, 0);
	assert_int_equal(pcode(d, 6, 1), 0);
	assert_int_equal(pcode(d, 0x1a, 0), 0);
	assert_int_equal(pcode(d, 0x55, 0), 1);
}

static void forcewake_is_acknowledged(void **state)
{
	struct driver *d = *state;

	driver_write(d, REG_FORCEWAKE_RENDER_GEN9, 0x00010001);
	assert_int_equal(driver_read(d, REG_FORCEWAKE_ACK_RENDER_GEN9) & 1, 1);
	driver_write(d, REG_FORCEWAKE_RENDER_GEN9, 0x00010000);
	assert_int_equal(driver_read(d, REG_FORCEWAKE_ACK_RENDER_GEN9) & 1, 0);
	driver_write(d, REG_FORCEWAKE_MT, 0x00010001);
	assert_int_equal(driver_read(d, REG_FORCEWAKE_ACK_HSW) & 1, 1);
}

static void resets_answer_as_polled(void **state)
{
	struct driver *d = *state;

	for_each_engine(engine) {
		uint32_t ctl = REG_RING_RESET_CTL(gpu_engine_base(engine));

		assert_int_equal(driver_read(d, ctl), 0);
		driver_write(d, ctl, 0x00010001);
		assert_int_equal(driver_read(d, ctl), 3);
		driver_write(d, ctl, 0x00010000);
		assert_int_equal(driver_read(d, ctl), 0);
	}
	driver_write(d, REG_GEN6_GDRST, 1);
	assert_int_equal(driver_read(d, REG_GEN6_GDRST), 0);
	driver_write(d, REG_GEN6_GDRST, 0x20); /* the GuC that is not used */
	assert_int_equal(driver_read(d, REG_GEN6_GDRST), 0);
	assert_int_equal(driver_read(d, REG_GUC_STATUS) & 1, 1);
	driver_write(d, REG_GEN8_TLB_INVALIDATE(0), 1);
	assert_int_equal(driver_read(d, REG_GEN8_TLB_INVALIDATE(0)), 0);
}

static void workarounds_read_back_after_a_reset(void **state)
{
	struct driver *d = *state;
	static const uint32_t regs[][2] = { { REG_GAM_ECOCHK, 0x02000100 },
					    { REG_GEN9_GAMT_ECO_REG_RW_IA, 0x00040000 },
					    { REG_MMCD_MISC_CTRL, 0x88000000 },
					    { REG_GEN7_UCGCTL4, 0x00004000 } };

	for (size_t i = 0; i < ARRAY_SIZE(regs); i++)
		driver_write(d, regs[i][0], regs[i][1]);
	driver_write(d, REG_GEN6_GDRST, 1);
	for (size_t i = 0; i < ARRAY_SIZE(regs); i++)
		assert_int_equal(driver_read(d, regs[i][0]), regs[i][1]);
}

static void config_space_of_an_integrated_gpu(void **state)
{
	struct driver *d = *state;
	uint8_t byte;

	assert_int_equal(driver_config_read(d, 0x50) >> 6, 3); /* 8 MiB of entries */
	assert_int_equal(driver_config_read(d, 0x51), 0);      /* no stolen memory */
	for (uint16_t at = 0x5c; at < 0x60; at++)
		assert_int_equal(driver_config_read(d, at), 0);
	assert_false(vgpu_pci_config_read(d->v, 0x52, 0, &byte));
	/* Render only: no opregion. */
	assert_true(vgpu_pci_config_read(d->v, 0xfe, 0xe0000000, &byte));
	assert_int_equal(byte, 0);
}

static void the_opregion_lies_behind_the_registers(void **state)
{
	struct driver d;
	uint8_t byte;
	char signature[16];

	driver_open(&d, false);
	assert_true(vgpu_pci_config_read(d.v, 0xfe, 0xe0000000, &byte));
	assert_int_equal(byte, 0x20);
	assert_true(vgpu_pci_config_read(d.v, 0xff, 0xe0000000, &byte));
	assert_int_equal(byte, 0xe0);
	/* Above 4 GiB there is nowhere to point to. */
	assert_true(vgpu_pci_config_read(d.v, 0xff, 0x1e0000000, &byte));
	assert_int_equal(byte, 0);
	driver_bar_read(&d, 0, VGPU_OPREGION_OFFSET, signature, 16);
	assert_memory_equal(signature, "IntelGraphicsMem", 16);
	driver_close(&d);
}

static void configurations_that_cannot_be(void **state)
{
	struct driver *d = *state;
	struct vgpu_type type = *vgpu_type_find("i915-GVTg_V5_8");
	struct vgpu_config config = { .type = &type };
	struct vgpu *v = NULL;

	assert_int_equal(vgpu_create(&config, &v), -EINVAL);
	config = d->v->config;
	config.type = NULL;
	assert_int_equal(vgpu_create(&config, &v), -EINVAL);
	/* One that fails half way leaves nothing behind. */
	config.type = &type;
	config.render_only = false;
	config.ports[0] = (struct vgpu_port_config){ VGPU_PORT_HDMI, true, 1, 1, 1 };
	assert_int_equal(vgpu_create(&config, &v), -EINVAL);
	assert_null(v);
	assert_null(vgpu_type_find("none"));
	vgpu_destroy(NULL);
}

/* ---- Interrupts ---- */

static void assert_locked(struct driver *d, uint32_t block, uint32_t bits)
{
	vgpu_lock(d->v);
	vgpu_irq_assert(d->v, block, bits);
	vgpu_unlock(d->v);
}

static void open_block(struct driver *d, uint32_t block, uint32_t bits)
{
	driver_write(d, block + 4, ~bits);
	driver_write(d, block + 12, bits);
}

static void masks_gate_in_turn(void **state)
{
	struct driver *d = *state;

	/* IMR keeps an event from the IIR. */
	assert_locked(d, IRQ_DE_PORT, 1);
	assert_int_equal(driver_read(d, REG_GEN8_DE_PORT_IIR), 0);
	/* IER keeps the IIR from the master. */
	driver_write(d, REG_GEN8_DE_PORT_IMR, ~1u);
	assert_locked(d, IRQ_DE_PORT, 3);
	assert_int_equal(driver_read(d, REG_GEN8_DE_PORT_IIR), 1);
	assert_int_equal(driver_read(d, REG_GEN8_MASTER_IRQ), 0);
	driver_write(d, REG_GEN8_DE_PORT_IER, 1);
	assert_int_equal(driver_read(d, REG_GEN8_MASTER_IRQ), BIT(20));
	/* The master keeps it from the host, until it is enabled: no event is lost. */
	assert_int_equal(driver_messages(d), 0);
	driver_write(d, REG_GEN8_MASTER_IRQ, 0x80000000);
	assert_int_equal(driver_messages(d), 1);
	assert_int_equal(driver_read(d, REG_GEN8_MASTER_IRQ), 0x80000000 | BIT(20));
	/* Level: more of the same is no new message. */
	assert_locked(d, IRQ_DE_PORT, 1);
	assert_int_equal(driver_messages(d), 1);
	driver_write(d, REG_GEN8_DE_PORT_IIR, 1);
	assert_int_equal(driver_read(d, REG_GEN8_MASTER_IRQ), 0x80000000);
	assert_locked(d, IRQ_DE_PORT, 1);
	assert_int_equal(driver_messages(d), 2);
}

static void an_event_during_the_handler_comes_after_it(void **state)
{
	struct driver *d = *state;

	open_block(d, IRQ_DE_PIPE(0), 1);
	driver_write(d, REG_GEN8_MASTER_IRQ, 0x80000000);
	assert_locked(d, IRQ_DE_PIPE(0), 1);
	assert_int_equal(driver_messages(d), 1);
	driver_write(d, REG_GEN8_MASTER_IRQ, 0);
	driver_write(d, REG_GEN8_DE_PIPE_IIR(0), 1);
	assert_locked(d, IRQ_DE_PIPE(0), 1);
	assert_int_equal(driver_messages(d), 1);
	driver_write(d, REG_GEN8_MASTER_IRQ, 0x80000000);
	assert_int_equal(driver_messages(d), 2);
}

static void every_block_has_its_master_bit(void **state)
{
	struct driver *d = *state;
	static const struct {
		uint32_t block, bits, master;
	} lines[] = {
		{ IRQ_GT(0), 0x1, BIT(0) },	{ IRQ_GT(0), 0x10000, BIT(1) },
		{ IRQ_GT(1), 0x1, BIT(2) },	{ IRQ_GT(1), 0x10000, BIT(3) },
		{ IRQ_GT(2), 0x10, BIT(4) },	{ IRQ_GT(3), 0x1, BIT(6) },
		{ IRQ_DE_PIPE(0), 1, BIT(16) }, { IRQ_DE_PIPE(1), 1, BIT(17) },
		{ IRQ_DE_PIPE(2), 1, BIT(18) }, { IRQ_DE_PORT, 1, BIT(20) },
		{ IRQ_DE_MISC, 1, BIT(22) },	{ IRQ_PCH, 1, BIT(23) },
		{ IRQ_PCU, 1, BIT(30) },
	};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		open_block(d, lines[i].block, lines[i].bits);
		assert_locked(d, lines[i].block, lines[i].bits);
		assert_int_equal(driver_read(d, REG_GEN8_MASTER_IRQ), lines[i].master);
		driver_write(d, lines[i].block + 8, UINT32_MAX);
		assert_int_equal(driver_read(d, lines[i].block + 8), 0);
	}
}

static void engine_masks_use_the_engines_half(void **state)
{
	struct driver *d = *state;

	open_block(d, IRQ_GT(0), 0x01010101);
	driver_write(d, REG_RING_IMR(0x22000), 0xfffeffff);
	vgpu_lock(d->v);
	vgpu_irq_assert_engine(d->v, GPU_BCS, GPU_INTERRUPT_USER | GPU_INTERRUPT_CONTEXT_SWITCH);
	vgpu_irq_assert_engine(d->v, GPU_RCS, GPU_INTERRUPT_USER);
	vgpu_unlock(d->v);
	assert_int_equal(driver_read(d, REG_GEN8_GT_IIR(0)), 0x10000);
}

/* ---- Hostility ---- */

/*
 * Of what is repeated very often.  TSan sees all of it on the direct way, where it is quick; with a
 * message for each access a fourth will do.
 */
static unsigned int every_so_many(void)
{
	unsigned int dear = driver_transport.dear ? driver_transport.dear : 1;

#ifdef __SANITIZE_THREAD__
	if (strcmp(driver_transport.name, "direct") != 0)
		dear = MAX(dear, 4u);
#endif
	return dear;
}

static uint32_t lcg(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 3;
}

static void hammering_every_register(void **state)
{
	struct driver *d = *state;
	uint32_t seed = 12345, number = 0;

	for (uint32_t at = 0; at < VGPU_MMIO_BYTES; at += 4) {
		if ((!vgpu_reg_find(at) && at % 64) || number++ % every_so_many())
			continue;
		driver_write(d, at, lcg(&seed));
		driver_read(d, at);
		driver_write(d, at, UINT32_MAX);
		driver_read(d, at);
		driver_write(d, at, 0);
	}
}

static void random_accesses(void **state)
{
	struct driver *d = *state;
	uint32_t seed = 99;
	uint8_t buf[64] = { 0 };

	for (int i = 0; i < 200000 / (int)every_so_many(); i++) {
		uint32_t r = lcg(&seed);
		uint32_t at = lcg(&seed) % (r & 1 ? VGPU_BAR0_BYTES - 64 : VGPU_MMIO_BYTES - 64);
		size_t len = r & 2 ? 4 : 1 + lcg(&seed) % 64;

		if (r & 4)
			at = vgpu_reg_rows[at % VGPU_REG_ROWS].offset;
		memcpy(buf, &r, sizeof(r));
		if (r & 8)
			driver_bar_read(d, 0, at, buf, len);
		else
			driver_bar_write(d, 0, at, buf, len);
	}
	driver_reset(d);
	assert_int_equal(driver_read(d, REG_PVINFO_VERSION), 1);
}

/* Lines that came on stderr while @values were written in turn, @count times in all. */
static unsigned int ready_lines(struct driver *d, const uint32_t values[2], unsigned int count)
{
	int saved = dup(STDERR_FILENO), file = memfd_create("stderr", MFD_CLOEXEC);
	static char text[1 << 20];
	unsigned int lines = 0;
	ssize_t bytes;

	fflush(stderr);
	assert_int_equal(dup2(file, STDERR_FILENO), STDERR_FILENO);
	for (unsigned int i = 0; i < count; i++)
		driver_write(d, REG_PVINFO_DISPLAY_READY, values[i % 2]);
	dup2(saved, STDERR_FILENO);
	close(saved);
	bytes = pread(file, text, sizeof(text), 0);
	close(file);
	for (ssize_t i = 0; i < bytes; i++)
		lines += text[i] == '\n';
	return lines;
}

static void a_guest_cannot_fill_the_log(void **state)
{
	static const uint32_t here[] = { 1, 2 }, both[] = { 0, 1 };
	struct driver *d = *state;
	struct vgpu_stats stats;

	assert_int_equal(ready_lines(d, here, 5000), 1);
	vgpu_stats(d->v, &stats);
	assert_true(stats.driver_ready);
	assert_in_range(ready_lines(d, both, 5000), 1, 1000);
}

#define with_vgpu(test) cmocka_unit_test_setup_teardown(test, set_up, driver_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_vgpu(rows_are_sorted_and_found),
		with_vgpu(attributes_do_what_they_say),
		with_vgpu(unknown_registers_store_and_are_counted),
		with_vgpu(every_width_reads),
		with_vgpu(a_small_write_leaves_the_other_bytes),
		with_vgpu(holes_of_the_bar_read_zero),
		with_vgpu(pvinfo_passes_the_balloon_checks),
		with_vgpu(a_guest_cannot_fill_the_log),
		with_vgpu(clock_is_12_mhz_and_whole),
		with_vgpu(the_pcu_answers),
		with_vgpu(forcewake_is_acknowledged),
		with_vgpu(resets_answer_as_polled),
		with_vgpu(workarounds_read_back_after_a_reset),
		with_vgpu(config_space_of_an_integrated_gpu),
		with_vgpu(the_opregion_lies_behind_the_registers),
		with_vgpu(configurations_that_cannot_be),
		with_vgpu(masks_gate_in_turn),
		with_vgpu(an_event_during_the_handler_comes_after_it),
		with_vgpu(every_block_has_its_master_bit),
		with_vgpu(engine_masks_use_the_engines_half),
		with_vgpu(hammering_every_register),
		with_vgpu(random_accesses),
	};

	return driver_run("mmio", tests);
}
