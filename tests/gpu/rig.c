/* SPDX-License-Identifier: MIT */
/* See rig.h.  One thread, the test's. */
#include <errno.h>
#include <sanitizer/asan_interface.h>
#include <stdlib.h>
#include <string.h>

#include "rig.h"

static struct rig_space *to_space(struct gpu_as *as)
{
	return container_of(as, struct rig_space, as);
}

static uint8_t *space_host(struct rig_space *space, uint64_t gma)
{
	uint64_t page = gma >> PAGE_SHIFT;

	if (space->swapped && page >= space->swapped)
		gma ^= PAGE_BYTES;
	return &space->memory[gma];
}

static int space_translate(struct gpu_as *as, gma_t gma, unsigned int access, struct gpu_page *page)
{
	struct rig_space *space = to_space(as);
	uint64_t number = gma.v >> PAGE_SHIFT;

	assert_int_equal(PAGE_OFFSET(gma.v), 0);
	space->translations++;
	if (number >= RIG_PAGES || (space->flags[number] & PAGE_ABSENT))
		return -EFAULT;
	page->writable = !(space->flags[number] & PAGE_READ_ONLY);
	if ((access & GPU_WRITE) && !page->writable)
		return -EFAULT;
	page->host = space->flags[number] & PAGE_NO_HOST ? NULL : space_host(space, gma.v);
	return 0;
}

static int space_read(struct gpu_as *as, gma_t gma, void *buf, size_t len)
{
	struct rig_space *space = to_space(as);

	assert_true(PAGE_OFFSET(gma.v) + len <= PAGE_BYTES);
	memcpy(buf, space_host(space, gma.v), len);
	if (space->after_read)
		space->after_read(space, (uint32_t)gma.v, (uint32_t)len);
	return 0;
}

static int space_write(struct gpu_as *as, gma_t gma, const void *buf, size_t len)
{
	assert_true(PAGE_OFFSET(gma.v) + len <= PAGE_BYTES);
	memcpy(space_host(to_space(as), gma.v), buf, len);
	return 0;
}

static bool space_stale(struct gpu_as *as)
{
	bool stale = to_space(as)->stale;

	to_space(as)->stale = false;
	return stale;
}

static const struct gpu_as_ops space_ops = {
	.translate = space_translate,
	.read = space_read,
	.write = space_write,
	.stale = space_stale,
};

static struct rig *to_rig(struct gpu_client *client)
{
	return container_of(client, struct rig, client);
}

static uint32_t client_reg_read(struct gpu_client *client, enum gpu_engine engine, uint32_t offset)
{
	struct rig *rig = to_rig(client);

	assert_int_equal(offset & 3, 0);
	return offset / 4 < ARRAY_SIZE(rig->registers) ? rig->registers[offset / 4] : 0;
}

static void client_reg_write(struct gpu_client *client, enum gpu_engine engine, uint32_t offset,
			     uint32_t value)
{
	struct rig *rig = to_rig(client);

	assert_int_equal(offset & 3, 0);
	rig->register_writes++;
	rig->last_register = offset;
	rig->last_value = value;
	if (offset / 4 < ARRAY_SIZE(rig->registers))
		rig->registers[offset / 4] = value;
}

static void client_flip(struct gpu_client *client, const struct gpu_flip *flip)
{
	struct rig *rig = to_rig(client);

	rig->flip = *flip;
	rig->flips++;
}

static void client_interrupt(struct gpu_client *client, enum gpu_engine engine, uint32_t bits)
{
	struct rig *rig = to_rig(client);

	if (rig->interrupt_count < RIG_EVENTS)
		rig->interrupts[rig->interrupt_count] = bits;
	rig->interrupt_count++;
	rig->data_at_interrupt = peek64(&rig->ggtt, RIG_DATA);
}

static uint32_t client_ring_tail(struct gpu_client *client, enum gpu_engine engine)
{
	struct rig *rig = to_rig(client);

	return rig->new_tail != UINT32_MAX ? rig->new_tail : rig->workload.cs.tail;
}

static void client_fault(struct gpu_client *client, const struct gpu_fault *fault)
{
	struct rig *rig = to_rig(client);

	rig->fault = *fault;
	rig->faults++;
}

static bool client_yield(struct gpu_client *client)
{
	struct rig *rig = to_rig(client);

	rig->yields++;
	return rig->want_yield && rig->want_yield(rig);
}

static const struct gpu_client_ops client_ops = {
	.reg_read = client_reg_read,
	.reg_write = client_reg_write,
	.flip = client_flip,
	.interrupt = client_interrupt,
	.ring_tail = client_ring_tail,
	.fault = client_fault,
	.yield = client_yield,
};

/*
 * The memory of the last rig that was destroyed, for the next one: the kernel takes longer to hand
 * out that many fresh pages than most tests take.  ASan still sees who uses it in between.
 */
static struct rig *spare;

static struct rig *create(enum gpu_engine engine, struct gpu *gpu)
{
	struct rig *rig = spare;

	assert_non_null(gpu);
	spare = NULL;
	if (!rig)
		rig = aligned_alloc(4096, (sizeof(*rig) + 4095) & ~(size_t)4095);
	assert_non_null(rig);
	ASAN_UNPOISON_MEMORY_REGION(rig, sizeof(*rig));
	memset(rig, 0, sizeof(*rig));
	rig->gpu = gpu;
	gpu_as_init(&rig->ggtt.as, &space_ops, 32);
	gpu_as_init(&rig->ppgtt.as, &space_ops, 48);
	rig->client.ops = &client_ops;
	rig->new_tail = UINT32_MAX;
	rig->workload = (struct gpu_workload){
		.engine = engine,
		.context_id = 7,
		.ggtt = &rig->ggtt.as,
		.ppgtt = &rig->ppgtt.as,
		.ring_start = { RIG_RING },
		.ring_bytes = RIG_RING_BYTES,
		.context_page = { RIG_CONTEXT },
		.status_page = { RIG_HWSP },
		.client = &rig->client,
	};
	rig_ring(rig);
	return rig;
}

struct rig *rig_create(enum gpu_engine engine)
{
	return create(engine, gpu_soft_create());
}

struct rig *rig_create_null(enum gpu_engine engine)
{
	return create(engine, gpu_null_create());
}

void rig_destroy(struct rig *rig)
{
	gpu_destroy(rig->gpu);
	free(spare);
	spare = rig;
	ASAN_POISON_MEMORY_REGION(rig, sizeof(*rig));
}

void rig_ring(struct rig *rig)
{
	rig_batch(rig, &rig->ggtt, RIG_RING + rig->workload.cs.tail);
}

void rig_batch(struct rig *rig, struct rig_space *space, uint32_t address)
{
	rig->space = space;
	rig->at = address;
}

void emit(struct rig *rig, uint32_t dword)
{
	poke32(rig->space, rig->at, dword);
	rig->at += 4;
	if (rig->space == &rig->ggtt && rig->at == RIG_RING + RIG_RING_BYTES)
		rig->at = RIG_RING;
}

uint32_t peek32(struct rig_space *space, uint32_t address)
{
	uint32_t value;

	assert_true(address + 4 <= sizeof(space->memory));
	memcpy(&value, &space->memory[address], sizeof(value));
	return value;
}

uint64_t peek64(struct rig_space *space, uint32_t address)
{
	return peek32(space, address) | (uint64_t)peek32(space, address + 4) << 32;
}

void poke32(struct rig_space *space, uint32_t address, uint32_t value)
{
	assert_true(address + 4 <= sizeof(space->memory));
	memcpy(&space->memory[address], &value, sizeof(value));
}

void poke64(struct rig_space *space, uint32_t address, uint64_t value)
{
	poke32(space, address, (uint32_t)value);
	poke32(space, address + 4, (uint32_t)(value >> 32));
}

void rig_set_tail(struct rig *rig)
{
	rig->workload.cs.tail = rig->at - RIG_RING;
}

enum gpu_run rig_run(struct rig *rig)
{
	enum gpu_engine engine = rig->workload.engine;
	enum gpu_run result;

	rig_set_tail(rig);
	rig->gpu->ops->begin(rig->gpu, &rig->workload);
	do {
		result = rig->gpu->ops->run(rig->gpu, engine, UINT64_MAX);
	} while (result == GPU_RUN_BUDGET);
	rig->gpu->ops->end(rig->gpu, engine);
	return result;
}

void rig_run_clean(struct rig *rig)
{
	enum gpu_run result = rig_run(rig);

	if (rig->faults)
		print_message("fault %s at %#llx, header %#x\n", gpu_fault_name(rig->fault.kind),
			      (unsigned long long)rig->fault.command_at, rig->fault.header);
	assert_int_equal(rig->faults, 0);
	assert_int_equal(result, GPU_RUN_DONE);
	assert_int_equal(rig->workload.cs.head, rig->workload.cs.tail);
}

void rig_user_batch(struct rig *rig)
{
	rig_batch(rig, &rig->ppgtt, RIG_BATCH);
}

enum gpu_run rig_run_batch(struct rig *rig)
{
	uint32_t space = rig->space == &rig->ppgtt ? MI_BATCH_PPGTT : 0;

	emit(rig, MI_BATCH_BUFFER_END);
	rig_ring(rig);
	EMIT(rig, MI_BATCH_BUFFER_START | space, RIG_BATCH, 0, MI_NOOP);
	return rig_run(rig);
}

uint32_t rig_reg(struct rig *rig, uint32_t offset)
{
	uint32_t value;

	assert_true(rig->gpu->ops->reg_read(rig->gpu, rig->workload.engine, offset, &value));
	return value;
}

void rig_set_reg(struct rig *rig, uint32_t offset, uint32_t value)
{
	assert_true(rig->gpu->ops->reg_write(rig->gpu, rig->workload.engine, offset, value));
}

uint64_t rig_gpr(struct rig *rig, unsigned int n)
{
	uint32_t offset = gpu_engine_base(rig->workload.engine) + 0x600 + 8 * n;

	return rig_reg(rig, offset) | (uint64_t)rig_reg(rig, offset + 4) << 32;
}

void rig_set_gpr(struct rig *rig, unsigned int n, uint64_t value)
{
	uint32_t offset = gpu_engine_base(rig->workload.engine) + 0x600 + 8 * n;

	rig_set_reg(rig, offset, (uint32_t)value);
	rig_set_reg(rig, offset + 4, (uint32_t)(value >> 32));
}
