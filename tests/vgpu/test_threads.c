/* SPDX-License-Identifier: MIT */
/*
 * Several vCPUs at one vGPU at once: registers, submissions, resets, changes of the memory map.
 * Meant for the thread sanitizer and the lock order's checks; without them it shows that nothing
 * hangs and that the device works afterwards.
 */
#include "driver.h"

#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "base/trace.h"
#include "vgpu/device.h"
#include "vgpu/mmio.h"
#include "vgpu_regs_gen.h"

#define RUN_NS (400 * NSEC_PER_MSEC)

struct vcpu {
	pthread_t thread;
	struct driver *d;
	void (*act)(struct vcpu *cpu, uint32_t random);
	uint32_t seed;
	enum gpu_engine engine;
	struct driver_context ctx;
};

static _Atomic bool ending;

static uint32_t next_random(struct vcpu *cpu)
{
	cpu->seed = cpu->seed * 1664525u + 1013904223u;
	return cpu->seed >> 4;
}

static void *vcpu_thread(void *opaque)
{
	struct vcpu *cpu = opaque;

	while (!atomic_load(&ending))
		cpu->act(cpu, next_random(cpu));
	return NULL;
}

static void submit(struct vcpu *cpu, uint32_t r)
{
	driver_elsp(cpu->d, cpu->engine, cpu->ctx.desc | (r & DESC_FORCE_RESTORE),
		    r & 8 ? cpu->ctx.desc : 0);
	if (r % 64 == 0)
		sched_yield();
}

static void reset(struct vcpu *cpu, uint32_t r)
{
	struct timespec ts = { .tv_nsec = 200000 };
	uint32_t base = gpu_engine_base(cpu->engine);

	driver_write(cpu->d, REG_RING_MI_MODE(base), 0x01000100);
	driver_write(cpu->d, REG_RING_RESET_CTL(base), 0x00010001);
	driver_write(cpu->d, REG_GEN6_GDRST, r & 0x1f);
	driver_write(cpu->d, REG_RING_RESET_CTL(base), 0x00010000);
	driver_write(cpu->d, REG_RING_HWS_PGA(base),
		     (uint32_t)cpu->d->engines[cpu->engine].hwsp_gma.v);
	driver_write(cpu->d, REG_RING_CONTEXT_STATUS_PTR(base), 0xffff0505);
	nanosleep(&ts, NULL);
}

static void look(struct vcpu *cpu, uint32_t r)
{
	static const uint32_t regs[] = {
		REG_GEN8_MASTER_IRQ,	 REG_RING_HEAD(0x2000),
		REG_RING_ACTHD(0x22000), REG_RING_IPEHR(0x2000),
		REG_RING_GPR(0x2000),	 REG_RING_EXECLIST_STATUS_LO(0x1a000),
		REG_RING_MI_MODE(0x2000)
	};
	struct vgpu_stats stats;

	driver_read(cpu->d, regs[r % ARRAY_SIZE(regs)]);
	driver_handle_irq(cpu->d, r & 3);
	driver_write(cpu->d, REG_GFX_FLSH_CNTL_GEN6, 1);
	driver_write(cpu->d, REG_GEN8_TLB_INVALIDATE(0), 1);
	if (r % 16 == 0)
		vgpu_stats(cpu->d->v, &stats);
}

static void remap(struct vcpu *cpu, uint32_t r)
{
	struct timespec ts = { .tv_nsec = 100000 };

	driver_change_map(cpu->d);
	nanosleep(&ts, NULL);
}

static void start(struct vcpu *cpu, struct driver *d, void (*act)(struct vcpu *, uint32_t),
		  enum gpu_engine engine, uint32_t seed)
{
	*cpu = (struct vcpu){ .d = d, .act = act, .engine = engine, .seed = seed };
	driver_context_init(d, &cpu->ctx, engine, 0x20 * (1 + seed));
	driver_emit_seqno(d, &cpu->ctx, seed, seed);
	driver_context_set(d, &cpu->ctx, CTX_RING_TAIL, cpu->ctx.tail);
}

static void vcpus_at_once(void **state)
{
	struct driver d;
	struct vcpu cpu[7];
	const struct timespec ts = { .tv_nsec = RUN_NS };

	driver_open(&d, true);
	driver_start(&d);
	start(&cpu[0], &d, submit, GPU_RCS, 1);
	start(&cpu[1], &d, submit, GPU_BCS, 2);
	start(&cpu[2], &d, submit, GPU_VECS, 3);
	start(&cpu[3], &d, reset, GPU_RCS, 4);
	start(&cpu[4], &d, reset, GPU_BCS, 5);
	start(&cpu[5], &d, look, GPU_RCS, 6);
	start(&cpu[6], &d, remap, GPU_RCS, 7);
	atomic_store(&ending, false);
	for (size_t i = 0; i < ARRAY_SIZE(cpu); i++)
		pthread_create(&cpu[i].thread, NULL, vcpu_thread, &cpu[i]);
	nanosleep(&ts, NULL);
	atomic_store(&ending, true);
	for (size_t i = 0; i < ARRAY_SIZE(cpu); i++)
		pthread_join(cpu[i].thread, NULL);

	/* And all is well afterwards. */
	driver_reset(&d);
	driver_start(&d);
	for_each_engine(engine) {
		struct driver_context ctx;

		driver_context_init(&d, &ctx, engine, 0x400);
		driver_emit_seqno(&d, &ctx, engine, 0x1000);
		driver_submit(&d, &ctx, NULL, 0);
		driver_expect_event(&d, engine, CSB_IDLE_ACTIVE, 0x400);
		driver_expect_event(&d, engine, CSB_COMPLETE | CSB_ACTIVE_IDLE, 0x400);
		assert_int_equal(driver_result(&d, engine), 0x1000);
	}
	driver_close(&d);
}

#define EVENTS	  500000u
#define BESIDE	  50000u /* of them beside a move are enough */
#define VECS_CSBP REG_RING_CONTEXT_STATUS_PTR(gpu_engine_base(GPU_VECS))

static _Atomic uint32_t moves;

static void *move_read_pointer(void *opaque)
{
	struct vgpu *v = opaque;
	uintptr_t lost = 0;

	for (uint32_t i = 0; !atomic_load(&ending); i++) {
		vgpu_reg_write(v, VECS_CSBP, 0x07000000 | (i % 6) << 8);
		lost += (vgpu_reg_read(v, VECS_CSBP) >> 8 & 7) != i % 6;
		atomic_store_explicit(&moves, i, memory_order_relaxed);
	}
	return (void *)lost;
}

/* Events in the lane's place; how many write pointers did not stay. */
static unsigned int tell_events(struct vgpu_engine *e)
{
	unsigned int lost = 0, beside = 0;
	uint32_t moved = 0;

	for (uint32_t i = 0; i < EVENTS && beside < BESIDE; i++) {
		uint32_t slot = atomic_load(&e->csb_next), before = moved;

		vgpu_execlist_event(e, CSB_COMPLETE, i);
		lost += (vgpu_reg_read(e->vgpu, VECS_CSBP) & 7) != slot;
		moved = atomic_load_explicit(&moves, memory_order_relaxed);
		beside += moved != before;
	}
	return lost;
}

/* A driver moves the read pointer while the lane moves the other, in the same register. */
static void two_pointers_share_a_register(void **state)
{
	struct driver d;
	struct vgpu_engine *e;
	pthread_t thread;
	unsigned int lost;
	void *lost_there;

	driver_open(&d, true);
	driver_start(&d);
	e = &d.v->engines[GPU_VECS];
	sched_halt(&e->entity);
	atomic_store(&ending, false);
	pthread_create(&thread, NULL, move_read_pointer, d.v);
	guest_enter(vgpu_guest(d.v));
	lost = tell_events(e);
	guest_leave(vgpu_guest(d.v));
	atomic_store(&ending, true);
	pthread_join(thread, &lost_there);
	sched_release(&e->entity);
	assert_int_equal(lost, 0);
	assert_null(lost_there);
	driver_close(&d);
}

/* The device goes away while an endless batch runs and a submission waits. */
static void destroyed_while_busy(void **state)
{
	struct driver d;
	struct driver_context ctx;
	const uint32_t loop[] = { MI_BBS_PPGTT, 0x1000, 0, MI_NOOP };

	for (int i = 0; i < 20; i++) {
		gpa_t page;

		driver_open(&d, true);
		driver_start(&d);
		page = ram_alloc(d.ram, 1);
		memcpy(ram_at(d.ram, page), loop, sizeof(loop));
		driver_ppgtt_map(&d, 0x1000, page);
		driver_context_init(&d, &ctx, GPU_RCS, 0x20);
		driver_emit(&d, &ctx, loop, ARRAY_SIZE(loop));
		driver_submit(&d, &ctx, NULL, 0);
		if (i & 1)
			driver_expect_event(&d, GPU_RCS, CSB_IDLE_ACTIVE, 0x20);
		driver_submit(&d, &ctx, NULL, 0);
		driver_close(&d);
	}
}

/* ---- An engine stores and tells, a driver unmasks and looks ---- */

#define TELLS 100000u

struct teller {
	struct vgpu_engine *e;
	uint32_t rounds;
	_Alignas(64) _Atomic uint32_t round;
	_Alignas(64) _Atomic uint32_t stored;
	_Alignas(64) _Atomic uint32_t told; /* the round that is over, and whether it was told of */
	bool held;
};

static void *tell(void *opaque)
{
	struct teller *t = opaque;
	struct gpu_client *client = &t->e->client;

	for (uint32_t i = 1; i <= t->rounds; i++) {
		while (atomic_load_explicit(&t->round, memory_order_acquire) != i)
			sched_yield();
		atomic_store_explicit(&t->stored, i, memory_order_release);
		client->ops->interrupt(client, GPU_RCS, GPU_INTERRUPT_USER);
		t->held = t->e->irq_held;
		t->e->irq_held = 0;
		atomic_store_explicit(&t->told, i, memory_order_release);
	}
	return NULL;
}

/* Nobody sleeps with the work done: the driver has seen the store, or is told of it. */
static void no_interrupt_is_lost_to_a_mask(void **state)
{
	static struct teller t;
	uint32_t imr = REG_RING_IMR(0x2000), lost = 0;
	struct driver d;
	pthread_t thread;

	driver_open(&d, true);
	driver_start(&d);
	t = (struct teller){
		.e = &d.v->engines[GPU_RCS],
		.rounds = TELLS / (driver_transport.dear ? driver_transport.dear : 1),
	};
	/* In the lane's place. */
	sched_halt(&t.e->entity);
	pthread_create(&thread, NULL, tell, &t);
	for (uint32_t i = 1; i <= t.rounds; i++) {
		vgpu_reg_write(d.v, imr, UINT32_MAX);
		atomic_store_explicit(&t.round, i, memory_order_release);
		for (uint32_t n = 0; n < i % 64; n++)
			__builtin_ia32_pause();
		vgpu_reg_write(d.v, imr, 0);
		/* As good as the exit that the store is made by. */
		bool seen = atomic_fetch_or(&t.stored, 0) == i;
		while (atomic_load_explicit(&t.told, memory_order_acquire) != i)
			sched_yield();
		lost += !seen && !t.held;
	}
	pthread_join(thread, NULL);
	sched_release(&t.e->entity);
	assert_int_equal(lost, 0);
	driver_close(&d);
}

/* Those of the records that tell of going on name what was loaded last; returns how many did. */
static unsigned int check_lite_restores(const struct trace_record *records, size_t count)
{
	uint64_t loaded = 0;
	unsigned int seen = 0;

	for (size_t i = 0; i < count; i++) {
		if (records[i].point == TRACE_vgpu_context_load)
			loaded = records[i].value[1];
		if (records[i].point != TRACE_vgpu_csb || !loaded ||
		    !(records[i].value[1] & CSB_LITE_RESTORE))
			continue;
		assert_int_equal(records[i].value[2], loaded);
		seen++;
	}
	return seen;
}

/*
 * Two contexts that do not end, submitted over each other: only the one that runs is told to go on,
 * whichever was in the port a moment before.
 */
static void what_goes_on_is_what_runs(void **state)
{
	const uint32_t loop[] = { MI_BBS_PPGTT, 0x1000, 0, MI_NOOP };
	static struct trace_record records[1024];
	struct driver_context a, b;
	unsigned int seen = 0;
	struct driver d;
	gpa_t page;

	/* The ring that this makes stays. */
	trace_enable("vgpu_context_load,vgpu_csb");
	driver_open(&d, true);
	driver_start(&d);
	page = ram_alloc(d.ram, 1);
	memcpy(ram_at(d.ram, page), loop, sizeof(loop));
	driver_ppgtt_map(&d, 0x1000, page);
	driver_context_init(&d, &a, GPU_RCS, 0x20);
	driver_context_init(&d, &b, GPU_RCS, 0x40);
	driver_emit(&d, &a, loop, ARRAY_SIZE(loop));
	driver_emit(&d, &b, loop, ARRAY_SIZE(loop));
	driver_submit(&d, &a, NULL, 0);
	driver_submit(&d, &b, NULL, 0);
	const unsigned int rounds = driver_transport.dear ? 50 : 500;
	for (unsigned int i = 0; seen < 500 && i < rounds; i++) {
		trace_clear();
		for (unsigned int n = 0; n < 100; n++)
			driver_elsp(&d, GPU_RCS, n & 1 ? a.desc : b.desc, 0);
		seen += check_lite_restores(records, trace_read(records, ARRAY_SIZE(records)));
	}
	trace_disable();
	driver_close(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vcpus_at_once),
		cmocka_unit_test(destroyed_while_busy),
		cmocka_unit_test(what_goes_on_is_what_runs),
		cmocka_unit_test(no_interrupt_is_lost_to_a_mask),
		cmocka_unit_test(two_pointers_share_a_register),
	};

	return driver_run("threads", tests);
}
