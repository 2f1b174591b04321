/* SPDX-License-Identifier: MIT */
/*
 * What a vGPU on a real KVM spares its guest.  A submission takes one exit, which is served to its
 * end on the vCPU's thread.  BAR2's pages whose entry names guest memory are reached without a
 * trap, and follow their entries, the fences and a reset: what traps is counted by the vGPU, what
 * does not is not.
 */
#include <string.h>
#include <unistd.h>

#include "base/trace.h"
#include "tests/lib/driver_kvm.h"
#include "vgpu_regs_gen.h"

#define MANY	   40u /* stretches, more than there are windows for */
#define MOST	   16u
#define FENCE_LO   REG_FENCE_REG
#define FENCE_HI   (REG_FENCE_REG + 4)
#define VALID	   1u
#define PITCH_512  3u
#define PTE_OF(at) ((at).v | 1)

static int set_up(void **state)
{
	static struct driver d;

	driver_open(&d, true);
	d.next_gma = 0; /* below the aperture's end */
	*state = &d;
	return 0;
}

static int tear_down(void **state)
{
	driver_close(*state);
	return 0;
}

static uint64_t traps(struct driver *d)
{
	struct vgpu_stats stats;

	vgpu_stats(d->v, &stats);
	return stats.aperture_reads + stats.aperture_writes;
}

static uint32_t bar_read(struct driver *d, uint64_t offset)
{
	uint32_t value;

	driver_bar_read(d, 2, offset, &value, 4);
	return value;
}

static void bar_write(struct driver *d, uint64_t offset, uint32_t value)
{
	driver_bar_write(d, 2, offset, &value, 4);
}

static void set_entry(struct driver *d, uint64_t index, uint64_t pte)
{
	driver_gtt_write(d, index, pte);
	driver_write(d, REG_GFX_FLSH_CNTL_GEN6, 1);
}

/* ---- A submission ---- */

static unsigned int count_of(const struct trace_record *records, size_t count,
			     enum trace_point point)
{
	unsigned int found = 0;

	for (size_t i = 0; i < count; i++)
		found += records[i].point == point;
	return found;
}

/*
 * As Linux 6.1's i915 wrote it at boot: three stores wait in the ring, the fourth exits and takes
 * them along; port, engine and lane's kick are this thread's work.
 */
static void a_submission_is_one_exit_on_this_thread(void **state)
{
	struct driver *d = *state;
	struct driver_context ctx;
	struct trace_record records[64];

	driver_start(d);
	driver_context_init(d, &ctx, GPU_RCS, 0x20);
	driver_emit_seqno(d, &ctx, 0, 77);
	driver_context_set(d, &ctx, CTX_RING_TAIL, ctx.tail);
	const struct rig_access elsp[] = {
		{ REG_RING_ELSP(0x2000), 1, 0 },
		{ REG_RING_ELSP(0x2000), 1, 0 },
		{ REG_RING_ELSP(0x2000), 1, (uint32_t)(ctx.desc >> 32) },
		{ REG_RING_ELSP(0x2000), 1, (uint32_t)ctx.desc },
	};
	trace_enable("kvm_exit_mmio,kvm_coalesced,vfio_region_write,vgpu_mmio_write,vgpu_elsp");
	trace_clear();
	assert_int_equal(driver_kvm_sequence(d, elsp, ARRAY_SIZE(elsp)), 1);
	size_t count = trace_read(records, ARRAY_SIZE(records));
	trace_disable();
	for (size_t i = 0; i < count; i++)
		assert_int_equal(records[i].thread, gettid());
	/* The mailbox makes the second. */
	assert_int_equal(count_of(records, count, TRACE_kvm_exit_mmio), 2);
	assert_int_equal(count_of(records, count, TRACE_kvm_coalesced), 3);
	assert_int_equal(count_of(records, count, TRACE_vfio_region_write), 4);
	assert_int_equal(count_of(records, count, TRACE_vgpu_mmio_write), 4);
	assert_int_equal(count_of(records, count, TRACE_vgpu_elsp), 1);
	driver_wait_result(d, 0, 77);
}

/* ---- The aperture ---- */

static void pages_are_reached_without_a_trap(void **state)
{
	struct driver *d = *state;
	gpa_t pages = ram_alloc(d->ram, 3);

	driver_map(d, pages, 3);
	for (uint32_t i = 0; i < 3; i++) {
		bar_write(d, i * PAGE_BYTES + 8, 0x1000 + i);
		assert_int_equal(ram_read32(d->ram, gpa(pages.v + i * PAGE_BYTES + 8)), 0x1000 + i);
		ram_write32(d->ram, gpa(pages.v + i * PAGE_BYTES + 12), i);
		assert_int_equal(bar_read(d, i * PAGE_BYTES + 12), i);
	}
	assert_int_equal(traps(d), 0);
	assert_int_equal(bar_read(d, 3 * PAGE_BYTES), 0);
	assert_int_equal(traps(d), 1);
}

static void they_follow_their_entries(void **state)
{
	struct driver *d = *state;
	gpa_t first = ram_alloc(d->ram, 1), second = ram_alloc(d->ram, 1);

	ram_write32(d->ram, first, 1);
	ram_write32(d->ram, second, 2);
	set_entry(d, 7, PTE_OF(first));
	assert_int_equal(bar_read(d, 7 * PAGE_BYTES), 1);
	set_entry(d, 7, PTE_OF(second));
	assert_int_equal(bar_read(d, 7 * PAGE_BYTES), 2);
	bar_write(d, 7 * PAGE_BYTES, 3);
	assert_int_equal(ram_read32(d->ram, first), 1);
	assert_int_equal(ram_read32(d->ram, second), 3);
	assert_int_equal(traps(d), 0);
	set_entry(d, 7, 0);
	assert_int_equal(bar_read(d, 7 * PAGE_BYTES), 0);
	bar_write(d, 7 * PAGE_BYTES, 4);
	assert_int_equal(ram_read32(d->ram, second), 3);
	assert_int_equal(traps(d), 2);
}

static void a_fence_takes_them_away(void **state)
{
	struct driver *d = *state;
	gpa_t pages = ram_alloc(d->ram, 2);

	driver_map(d, pages, 2);
	bar_write(d, 512, 1);
	assert_int_equal(ram_read32(d->ram, gpa(pages.v + 512)), 1);
	driver_write(d, FENCE_HI, PITCH_512);
	driver_write(d, FENCE_LO, VALID);
	/* One X tile is a page of 512 by 8: its rows lie as without one, but they trap. */
	assert_int_equal(bar_read(d, 512), 1);
	assert_int_equal(traps(d), 1);
	/* The page behind the fence does not. */
	bar_write(d, PAGE_BYTES, 5);
	assert_int_equal(ram_read32(d->ram, gpa(pages.v + PAGE_BYTES)), 5);
	assert_int_equal(traps(d), 1);
	driver_write(d, FENCE_LO, 0);
	assert_int_equal(bar_read(d, 512), 1);
	assert_int_equal(traps(d), 1);
}

static void a_reset_takes_them_away(void **state)
{
	struct driver *d = *state;
	gpa_t page = ram_alloc(d->ram, 1);

	set_entry(d, 0, PTE_OF(page));
	bar_write(d, 0, 1);
	driver_reset(d);
	bar_write(d, 0, 2);
	assert_int_equal(ram_read32(d->ram, page), 1);
	assert_int_equal(traps(d), 1);
	set_entry(d, 0, PTE_OF(page));
	bar_write(d, 0, 3);
	assert_int_equal(ram_read32(d->ram, page), 3);
	assert_int_equal(traps(d), 1);
}

static void there_are_not_too_many(void **state)
{
	struct driver *d = *state;

	for (uint32_t i = 0; i < MANY; i++)
		driver_gtt_write(d, 2 * i, PTE_OF(gpa((0x100 + 3 * i) * PAGE_BYTES)));
	driver_write(d, REG_GFX_FLSH_CNTL_GEN6, 1);
	for (uint32_t i = 0; i < MANY; i++) {
		bar_write(d, 2 * i * PAGE_BYTES, i);
		assert_int_equal(ram_read32(d->ram, gpa((0x100 + 3 * i) * PAGE_BYTES)), i);
	}
	assert_int_equal(traps(d), MANY - MOST);
}

/* A driver lets the entries it does not use name one page. */
static void a_scratch_page_takes_no_room(void **state)
{
	struct driver *d = *state;
	gpa_t scratch = ram_alloc(d->ram, 1), pages = ram_alloc(d->ram, 2);

	for (uint32_t i = 0; i < 256; i++)
		driver_gtt_write(d, i, PTE_OF(scratch));
	driver_gtt_write(d, 200, PTE_OF(pages));
	driver_gtt_write(d, 201, PTE_OF(pages) + PAGE_BYTES);
	driver_write(d, REG_GFX_FLSH_CNTL_GEN6, 1);
	bar_write(d, 201 * PAGE_BYTES, 7);
	assert_int_equal(ram_read32(d->ram, gpa(pages.v + PAGE_BYTES)), 7);
	assert_int_equal(traps(d), 0);
	bar_write(d, 100 * PAGE_BYTES, 8);
	assert_int_equal(ram_read32(d->ram, scratch), 8);
	assert_int_equal(traps(d), 1);
}

/* After a change of the memory map they are looked for again. */
static void they_come_back_after_a_change_of_memory(void **state)
{
	struct driver *d = *state;
	gpa_t page = ram_alloc(d->ram, 1);

	set_entry(d, 0, PTE_OF(page));
	driver_change_map(d);
	driver_write(d, REG_GFX_FLSH_CNTL_GEN6, 1);
	bar_write(d, 0, 6);
	assert_int_equal(ram_read32(d->ram, page), 6);
	assert_int_equal(traps(d), 0);
}

/* ---- Page tables whose stores are told ---- */

#define TRACKED_GMA  0x123400000ull
#define L4_PAGE_DEL  5u /* VGT_G2V_PPGTT_L4_PAGE_TABLE_DESTROY */
#define ENTRY_OF(at) ((at).v | 3)

struct tracked {
	struct driver_context ctx;
	gpa_t page;
	gpa_t entry; /* the first of its table */
};

/* A request that stores @value to the tracked page, alone in its context: it drops translations. */
static void store_by_gpu(struct driver *d, struct tracked *t, uint32_t value)
{
	const uint32_t dw[] = { 0x10000002, (uint32_t)TRACKED_GMA, (uint32_t)(TRACKED_GMA >> 32),
				value };

	driver_emit(d, &t->ctx, dw, ARRAY_SIZE(dw));
	driver_run_alone(d, &t->ctx);
}

static gpa_t entry_of(struct driver *d, uint64_t at)
{
	gpa_t table = d->pml4;

	for (unsigned int shift = 39; shift > 12; shift -= 9) {
		uint64_t entry;

		memcpy(&entry, ram_at(d->ram, gpa(table.v + 8 * (at >> shift & 511))), 8);
		table = gpa(entry & ~0xfffull);
	}
	return gpa(table.v + 8 * (at >> 12 & 511));
}

/* Uses a page until its table is tracked. */
static void have_tracked(struct driver *d, struct tracked *t, uint32_t id)
{
	uint32_t n = 0;

	t->page = ram_alloc(d->ram, 1);
	driver_ppgtt_map(d, TRACKED_GMA, t->page);
	t->entry = entry_of(d, TRACKED_GMA);
	driver_context_init(d, &t->ctx, GPU_RCS, id);
	while (!driver_kvm_track(d)) {
		store_by_gpu(d, t, ++n);
		assert_int_equal(ram_read32(d->ram, t->page), n);
		assert_true(n < 20);
	}
	assert_true(n > 1);
	store_by_gpu(d, t, 100);
	store_by_gpu(d, t, 101);
	assert_int_equal(ram_read32(d->ram, t->page), 101);
}

static void stores_to_tracked_tables_are_seen(void **state)
{
	struct driver *d = *state;
	struct tracked t;

	driver_start(d);
	have_tracked(d, &t, 0x20);
	/* It is not looked at: a store that nobody tells has no effect. */
	gpa_t second = ram_alloc(d->ram, 1), third = ram_alloc(d->ram, 1);
	ram_write64(d->ram, t.entry, ENTRY_OF(second));
	store_by_gpu(d, &t, 102);
	assert_int_equal(ram_read32(d->ram, t.page), 102);
	/* A vCPU's store exits, is done, and the next request goes by it. */
	assert_int_equal(driver_kvm_store64(d, t.entry, ENTRY_OF(third)), 1);
	store_by_gpu(d, &t, 103);
	assert_int_equal(ram_read32(d->ram, third), 103);
	assert_int_equal(ram_read32(d->ram, t.page), 102);
	assert_int_equal(driver_kvm_track(d), 0);
	assert_int_equal(driver_kvm_store64(d, t.entry, ENTRY_OF(second)), 0);
	store_by_gpu(d, &t, 104);
	assert_int_equal(ram_read32(d->ram, second), 104);
}

/* Neither a space that goes nor a reset leaves anything that exits. */
static void tracked_tables_go_with_their_space(void **state)
{
	struct driver *d = *state;
	struct tracked t;

	driver_start(d);
	have_tracked(d, &t, 0x20);
	driver_write(d, REG_PVINFO_PDP, (uint32_t)d->pml4.v);
	driver_write(d, REG_PVINFO_PDP + 4, (uint32_t)(d->pml4.v >> 32));
	driver_write(d, REG_PVINFO_G2V_NOTIFY, L4_PAGE_DEL);
	assert_int_equal(driver_kvm_track(d), 0);
	assert_int_equal(driver_kvm_store64(d, t.entry, ENTRY_OF(t.page)), 0);
	have_tracked(d, &t, 0x21);
	driver_reset(d);
	assert_int_equal(driver_kvm_track(d), 0);
	assert_int_equal(driver_kvm_store64(d, t.entry, ENTRY_OF(t.page)), 0);
}

#define with_vgpu(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_vgpu(a_submission_is_one_exit_on_this_thread),
		with_vgpu(pages_are_reached_without_a_trap),
		with_vgpu(they_follow_their_entries),
		with_vgpu(a_fence_takes_them_away),
		with_vgpu(a_reset_takes_them_away),
		with_vgpu(there_are_not_too_many),
		with_vgpu(a_scratch_page_takes_no_room),
		with_vgpu(they_come_back_after_a_change_of_memory),
		with_vgpu(stores_to_tracked_tables_are_seen),
		with_vgpu(tracked_tables_go_with_their_space),
	};

	return driver_run("on kvm", tests);
}
