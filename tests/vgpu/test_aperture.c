/* SPDX-License-Identifier: MIT */
/* The GGTT's entries in every width, and the aperture through them, tiled and not. */
#include "driver.h"

#include <stdlib.h>
#include <string.h>

#include "vgpu/ggtt.h"
#include "vgpu_regs_gen.h"

static int set_up(void **state)
{
	static struct driver d;

	driver_open(&d, true);
	d.next_gma = 0; /* below the aperture's end */
	*state = &d;
	return 0;
}

static uint64_t entry_at(struct driver *d, uint32_t index)
{
	uint64_t value;

	driver_bar_read(d, 0, VGPU_GTT_OFFSET + 8 * index, &value, 8);
	return value;
}

static void entries_in_every_width(void **state)
{
	struct driver *d = *state;
	uint64_t value = 0x1122334455667788ull;
	uint64_t many[5] = { 1, 2, 3, 4, 5 }, back[5];
	uint32_t half = 0xaabbccdd;
	uint8_t byte = 0x99;

	assert_true(entry_at(d, 7) == 0);
	driver_bar_write(d, 0, VGPU_GTT_OFFSET + 56, &value, 8);
	assert_true(entry_at(d, 7) == value);
	driver_bar_write(d, 0, VGPU_GTT_OFFSET + 60, &half, 4);
	assert_true(entry_at(d, 7) == 0xaabbccdd55667788ull);
	driver_bar_write(d, 0, VGPU_GTT_OFFSET + 56, &half, 4);
	assert_true(entry_at(d, 7) == 0xaabbccddaabbccddull);
	driver_bar_write(d, 0, VGPU_GTT_OFFSET + 57, &byte, 1);
	assert_true(entry_at(d, 7) == 0xaabbccddaabb99ddull);
	driver_bar_read(d, 0, VGPU_GTT_OFFSET + 57, &byte, 1);
	assert_int_equal(byte, 0x99);
	driver_bar_write(d, 0, VGPU_GTT_OFFSET + 8, many, sizeof(many));
	driver_bar_read(d, 0, VGPU_GTT_OFFSET + 8, back, sizeof(back));
	assert_memory_equal(many, back, sizeof(many));
	/* The last one of 4 GiB. */
	driver_bar_write(d, 0, VGPU_BAR0_BYTES - 8, &value, 8);
	assert_true(entry_at(d, VGPU_GGTT_ENTRIES - 1) == value);
}

static void the_aperture_shows_guest_memory(void **state)
{
	struct driver *d = *state;
	gpa_t a = ram_alloc(d->ram, 1), b = ram_alloc(d->ram, 1);
	char buf[16];

	driver_map(d, b, 1); /* not in the order of memory */
	driver_map(d, a, 1);
	memcpy(ram_at(d->ram, gpa(b.v + 4088)), "01234567", 8);
	memcpy(ram_at(d->ram, a), "89abcdef", 8);
	driver_bar_read(d, 2, 4088, buf, 16);
	assert_memory_equal(buf, "0123456789abcdef", 16);
	driver_bar_write(d, 2, 4092, "XYZWxyzw", 8);
	assert_memory_equal(ram_at(d->ram, gpa(b.v + 4092)), "XYZW", 4);
	assert_memory_equal(ram_at(d->ram, a), "xyzw", 4);
}

static void nothing_is_behind_absent_entries(void **state)
{
	struct driver *d = *state;
	uint64_t outside = 0x7ffffff000ull | 1;
	uint8_t buf[8];

	memset(buf, 0xff, 8);
	driver_bar_read(d, 2, 0x100000, buf, 8);
	assert_memory_equal(buf, "\0\0\0\0\0\0\0\0", 8);
	driver_bar_write(d, 2, 0x100000, "12345678", 8);
	driver_bar_write(d, 0, VGPU_GTT_OFFSET, &outside, 8);
	memset(buf, 0xff, 8);
	driver_bar_read(d, 2, 0, buf, 8);
	assert_memory_equal(buf, "\0\0\0\0\0\0\0\0", 8);
	driver_bar_write(d, 2, 0, "12345678", 8);
}

/* ---- Fences ---- */

static void set_fence(struct driver *d, unsigned int n, gma_t start, uint32_t bytes, uint32_t pitch,
		      uint32_t flags)
{
	driver_write(d, REG_FENCE_REG + 8 * n, 0);
	driver_write(d, REG_FENCE_REG + 8 * n + 4,
		     ((uint32_t)start.v + bytes - 4096) | (pitch / 128 - 1));
	driver_write(d, REG_FENCE_REG + 8 * n, (uint32_t)start.v | flags);
}

/* Where a linear coordinate is in a tiled surface, written down tile by tile. */
static uint64_t tiled(uint32_t x, uint32_t y, uint32_t pitch, bool tile_y)
{
	uint32_t w = tile_y ? 128 : 512, h = tile_y ? 32 : 8;
	uint64_t tile = (uint64_t)(y / h) * (pitch / w) + x / w;

	x %= w;
	y %= h;
	return tile * 4096 + (tile_y ? x / 16 * 512 + y * 16 + x % 16 : y * 512 + x);
}

static void check_tiling(struct driver *d, bool tile_y)
{
	const uint32_t pitch = 1024, bytes = 64 * 1024, rows = bytes / pitch;
	gpa_t at = ram_alloc(d->ram, bytes / 4096);
	gma_t start = driver_map(d, at, bytes / 4096);
	uint8_t *memory = ram_at(d->ram, at);
	uint8_t *row = malloc(pitch);

	set_fence(d, 1, start, bytes, pitch, tile_y ? 3 : 1);
	for (uint32_t y = 0; y < rows; y++) {
		for (uint32_t x = 0; x < pitch; x++)
			row[x] = (uint8_t)(x * 7 + y * 31);
		driver_bar_write(d, 2, start.v + y * pitch, row, pitch);
	}
	for (uint32_t y = 0; y < rows; y++)
		for (uint32_t x = 0; x < pitch; x++)
			assert_int_equal(memory[tiled(x, y, pitch, tile_y)],
					 (uint8_t)(x * 7 + y * 31));
	driver_bar_read(d, 2, start.v + 5 * pitch, row, pitch);
	for (uint32_t x = 0; x < pitch; x++)
		assert_int_equal(row[x], (uint8_t)(x * 7 + 5 * 31));
	/* Without the fence it is linear again. */
	driver_write(d, REG_FENCE_REG + 8, 0);
	driver_bar_read(d, 2, start.v, row, pitch);
	assert_memory_equal(row, memory, pitch);
	free(row);
}

static void x_tiles(void **state)
{
	check_tiling(*state, false);
}

static void y_tiles(void **state)
{
	check_tiling(*state, true);
}

static void senseless_fences(void **state)
{
	struct driver *d = *state;
	uint8_t buf[64] = { 0 };

	driver_write(d, REG_FENCE_REG + 4, 0xffffffff);
	driver_write(d, REG_FENCE_REG, 0x3);
	driver_write(d, REG_FENCE_REG + 12, 0x1);
	driver_write(d, REG_FENCE_REG + 8, 0xfffff001);
	for (uint64_t at = 0; at < 256u << 20; at += 1048573)
		driver_bar_write(d, 2, at, buf, 64);
	driver_bar_read(d, 2, (256u << 20) - 64, buf, 64);
}

/* The last that the type has works, the first beyond it does not. */
static void a_vgpu_has_as_many_fences_as_its_type(void **state)
{
	struct driver *d = *state;
	uint32_t count = d->v->config.type->fences;
	gpa_t at = ram_alloc(d->ram, 2);
	gma_t start = driver_map(d, at, 2);
	uint8_t *memory = ram_at(d->ram, at), row[16];

	assert_in_range(count, 1, 31);
	memset(memory, 'a', 8192);
	memset(memory + 512, 'b', 512); /* the second row of the first tile */
	for (uint32_t n = 31; n >= count; n--)
		set_fence(d, n, start, 8192, 1024, 1);
	driver_bar_read(d, 2, start.v + 1024, row, sizeof(row));
	assert_int_equal(row[0], 'a');
	set_fence(d, count - 1, start, 8192, 1024, 1);
	driver_bar_read(d, 2, start.v + 1024, row, sizeof(row));
	assert_int_equal(row[0], 'b');
}

static void copies_of_graphics_memory_ignore_fences(void **state)
{
	struct driver *d = *state;
	gpa_t at = ram_alloc(d->ram, 2);
	gma_t start = driver_map(d, at, 2);
	char buf[8192];

	memset(ram_at(d->ram, at), 'a', 8192);
	set_fence(d, 0, start, 8192, 512, 1);
	vgpu_gma_read(d->v, start, buf, sizeof(buf));
	assert_memory_equal(buf, ram_at(d->ram, at), sizeof(buf));
	vgpu_gma_read(d->v, gma(UINT32_MAX - 100), buf, 4096); /* wraps, absent */
	vgpu_gma_read(d->v, gma(UINT64_MAX - 100), buf, 4096);
}

/*
 * What i915 puts into the mappable share: a page for error captures at its start, and pieces of
 * what programs map, of 1 MiB rounded up to rows of tiles (8 lines X tiled, 32 Y tiled).  A
 * console, at a multiple of 256 KiB, is to stay out.
 */
static void the_mappable_share_has_room_for_pieces_but_no_console(void **state)
{
	const uint64_t piece = 1u << 20, page = 4096, console = (256u << 10) + 640 * 480 * 4;
	size_t count;
	const struct vgpu_type *types = vgpu_types(&count);

	(void)state;
	for (size_t i = 0; i < count; i++) {
		uint64_t x_row = types[i].max_width * 4 * 8, y_row = 1920 * 4 * 32;

		assert_true(types[i].mappable_bytes >= page + (piece + x_row - 1) / x_row * x_row);
		assert_true(types[i].mappable_bytes >= page + (piece + y_row - 1) / y_row * y_row);
		assert_true(types[i].mappable_bytes < console);
	}
}

/* ---- Where it is plain memory ---- */

static void set_entries(struct driver *d, uint32_t first, uint32_t count, uint64_t page)
{
	for (uint32_t i = 0; i < count; i++)
		driver_gtt_write(d, first + i, (page + i) * PAGE_BYTES | 1);
}

static void runs_are_contiguous_on_both_sides(void **state)
{
	const uint32_t last =
		(uint32_t)(vgpu_type_find(DRIVER_TYPE)->mappable_bytes / PAGE_BYTES) - 1;
	struct driver *d = *state;
	struct vgpu_aperture_run runs[VGPU_APERTURE_RUNS];

	assert_int_equal(vgpu_aperture_runs(d->v, runs), 0);
	set_entries(d, 1, 3, 0x100);
	set_entries(d, 4, 2, 0x200);	/* beside it, but not in memory */
	set_entries(d, last, 2, 0x300); /* the second is outside the share */
	assert_int_equal(vgpu_aperture_runs(d->v, runs), 3);
	assert_true(runs[0].offset == 0x1000 && runs[0].bytes == 0x3000);
	assert_true(runs[0].gpa.v == 0x100000);
	assert_true(runs[1].offset == 0x4000 && runs[1].bytes == 0x2000);
	assert_true(runs[2].offset == last * PAGE_BYTES && runs[2].bytes == 0x1000);
	/* A fence over the middle of the first. */
	driver_write(d, REG_FENCE_REG + 4, 0x2003);
	driver_write(d, REG_FENCE_REG, 0x2001);
	assert_int_equal(vgpu_aperture_runs(d->v, runs), 4);
	assert_true(runs[0].offset == 0x1000 && runs[0].bytes == 0x1000);
	assert_true(runs[1].offset == 0x3000 && runs[1].bytes == 0x1000);
}

static void the_longest_runs_are_kept(void **state)
{
	struct driver *d = *state;
	struct vgpu_aperture_run runs[VGPU_APERTURE_RUNS];
	unsigned int two = 0;

	for (uint32_t i = 0; i < 3 * VGPU_APERTURE_RUNS; i++)
		set_entries(d, 4 * i, i % 4 ? 1 : 2, 0x100 + 0x10 * i);
	assert_int_equal(vgpu_aperture_runs(d->v, runs), VGPU_APERTURE_RUNS);
	for (unsigned int i = 0; i < VGPU_APERTURE_RUNS; i++)
		two += runs[i].bytes == 2 * PAGE_BYTES;
	assert_int_equal(two, 3 * VGPU_APERTURE_RUNS / 4);
}

/* What was made of entries and fences is kept; any of them that changes is seen. */
static void every_change_is_seen(void **state)
{
	const struct vgpu_type *type = vgpu_type_find(DRIVER_TYPE);
	struct driver *d = *state;
	struct vgpu_aperture_run runs[VGPU_APERTURE_RUNS];

	for (uint32_t i = 0; i < type->mappable_bytes / PAGE_BYTES; i++) {
		set_entries(d, i, 1, 0x500);
		assert_int_equal(vgpu_aperture_runs(d->v, runs), 1);
		assert_int_equal(runs[0].offset, i * PAGE_BYTES);
		assert_true(runs[0].gpa.v == 0x500000);
		set_entries(d, i, 1, 0x501);
		assert_int_equal(vgpu_aperture_runs(d->v, runs), 1);
		assert_true(runs[0].gpa.v == 0x501000);
		driver_gtt_write(d, i, 0);
		assert_int_equal(vgpu_aperture_runs(d->v, runs), 0);
	}
	set_entries(d, 1, 2, 0x500);
	for (uint32_t i = 0; i < type->fences; i++) {
		driver_write(d, REG_FENCE_REG + 8 * i + 4, 0x1003);
		driver_write(d, REG_FENCE_REG + 8 * i, 0x1001);
		assert_int_equal(vgpu_aperture_runs(d->v, runs), 1);
		assert_int_equal(runs[0].offset, 0x2000);
		driver_write(d, REG_FENCE_REG + 8 * i + 4, 0x2003);
		assert_int_equal(vgpu_aperture_runs(d->v, runs), 0);
		driver_write(d, REG_FENCE_REG + 8 * i, 0);
		assert_int_equal(vgpu_aperture_runs(d->v, runs), 1);
		assert_true(runs[0].offset == 0x1000 && runs[0].bytes == 0x2000);
	}
	driver_reset(d);
	assert_int_equal(vgpu_aperture_runs(d->v, runs), 0);
}

/* A driver lets the entries it does not use name one page. */
static void a_scratch_page_is_no_run(void **state)
{
	struct driver *d = *state;
	struct vgpu_aperture_run runs[VGPU_APERTURE_RUNS];

	for (uint32_t i = 0; i < 256; i++)
		set_entries(d, i, 1, 0x500);
	set_entries(d, 100, 2, 0x700);
	unsigned int count = vgpu_aperture_runs(d->v, runs);
	/* One page of each stretch of them, and what is really there. */
	assert_int_equal(count, 3);
	assert_true(runs[1].offset == 100 * PAGE_BYTES && runs[1].bytes == 0x2000);
}

#define with_vgpu(test) cmocka_unit_test_setup_teardown(test, set_up, driver_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_vgpu(entries_in_every_width),
		with_vgpu(the_aperture_shows_guest_memory),
		with_vgpu(nothing_is_behind_absent_entries),
		with_vgpu(x_tiles),
		with_vgpu(y_tiles),
		with_vgpu(senseless_fences),
		with_vgpu(a_vgpu_has_as_many_fences_as_its_type),
		with_vgpu(copies_of_graphics_memory_ignore_fences),
		cmocka_unit_test(the_mappable_share_has_room_for_pieces_but_no_console),
		with_vgpu(runs_are_contiguous_on_both_sides),
		with_vgpu(the_longest_runs_are_kept),
		with_vgpu(every_change_is_seen),
		with_vgpu(a_scratch_page_is_no_run),
	};

	return driver_run("aperture", tests);
}
