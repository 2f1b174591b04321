/* SPDX-License-Identifier: MIT */
/* What other threads may do while an engine runs: look, count, read and write registers, stop it.
 */
#include <pthread.h>

#include "rig.h"

struct watch {
	struct rig *rig;
	_Atomic bool done;
	uint64_t looks;
};

static void *watcher(void *arg)
{
	struct watch *watch = arg;
	struct gpu *gpu = watch->rig->gpu;
	struct gpu_not_executed rows[4];
	struct gpu_cs_state at;
	struct gpu_stats stats;
	uint32_t header;

	while (!atomic_load(&watch->done)) {
		gpu->ops->where(gpu, GPU_RCS, &at, &header);
		gpu->ops->stats(gpu, &stats);
		gpu->ops->not_executed(gpu, rows, ARRAY_SIZE(rows));
		rig_set_reg(watch->rig, 0x2678, rig_reg(watch->rig, 0x2600));
		if (++watch->looks >= 200 && stats.commands[GPU_RCS] > 1000)
			gpu->ops->stop(gpu, GPU_RCS);
	}
	return NULL;
}

static void others_look_while_it_runs(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);
	struct watch watch = { .rig = rig };
	pthread_t thread;

	rig_user_batch(rig);
	EMIT(rig, MI_LOAD_REGISTER_IMM(1), 0x2600, 1, 0x78130002, 0, 0, 0);
	EMIT(rig, MI_MATH(4), ALU(0x080, 0x20, 0), ALU(0x080, 0x21, 15), ALU(0x100, 0, 0),
	     ALU(0x180, 2, 0x31));
	EMIT(rig, MI_BATCH_BUFFER_START | MI_BATCH_PPGTT, RIG_BATCH, 0);
	rig_ring(rig);
	EMIT(rig, MI_BATCH_BUFFER_START | MI_BATCH_PPGTT, RIG_BATCH, 0);
	rig_set_tail(rig);
	rig->gpu->ops->begin(rig->gpu, &rig->workload);
	assert_int_equal(pthread_create(&thread, NULL, watcher, &watch), 0);
	assert_int_equal(rig->gpu->ops->run(rig->gpu, GPU_RCS, UINT64_MAX), GPU_RUN_STOPPED);
	atomic_store(&watch.done, true);
	pthread_join(thread, NULL);
	rig->gpu->ops->end(rig->gpu, GPU_RCS);
	assert_int_equal(rig_gpr(rig, 0), 1);
	rig_destroy(rig);
}

struct adder {
	struct rig *rig;
	uint32_t rounds;
};

static void *add_by_cpu(void *arg)
{
	struct adder *adder = arg;
	uint32_t *counter = (uint32_t *)&adder->rig->ppgtt.memory[RIG_DATA];

	for (uint32_t i = 0; i < adder->rounds; i++)
		__atomic_fetch_add(counter, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void atomics_are_atomic_towards_cpus(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);
	struct adder adder = { rig, 20000 };
	pthread_t thread;

	rig_user_batch(rig);
	for (uint32_t i = 0; i < 500; i++)
		EMIT(rig, MI_ATOMIC(0x5), RIG_DATA, 0);
	assert_int_equal(pthread_create(&thread, NULL, add_by_cpu, &adder), 0);
	assert_int_equal(rig_run_batch(rig), GPU_RUN_DONE);
	pthread_join(thread, NULL);
	assert_int_equal(peek32(&rig->ppgtt, RIG_DATA), 20500);
	rig_destroy(rig);
}

/* Sixteen bytes: the GPU swaps the lower half while the upper is 0, the CPU owns the upper. */
struct owner {
	struct rig *rig;
	uint32_t rounds, lost;
};

static void wait_for_swap(uint64_t *lower)
{
	uint64_t before = __atomic_load_n(lower, __ATOMIC_SEQ_CST);

	while (__atomic_load_n(lower, __ATOMIC_SEQ_CST) == before)
		;
}

static void *own_by_cpu(void *arg)
{
	struct owner *owner = arg;
	uint64_t *half = (uint64_t *)&owner->rig->ppgtt.memory[RIG_DATA];
	struct gpu *gpu = owner->rig->gpu;

	for (uint32_t i = 0; i < owner->rounds; i++) {
		bool held = true;

		wait_for_swap(&half[0]);
		__atomic_store_n(&half[1], 1, __ATOMIC_SEQ_CST);
		for (unsigned int look = 0; look < 100 && held; look++)
			held = __atomic_load_n(&half[1], __ATOMIC_SEQ_CST) == 1;
		owner->lost += !held;
		__atomic_store_n(&half[1], 0, __ATOMIC_SEQ_CST);
	}
	gpu->ops->stop(gpu, GPU_RCS);
	return NULL;
}

static void sixteen_bytes_are_compared_and_written_at_once(void **state)
{
	struct rig *rig = rig_create(GPU_RCS);
	struct owner owner = { rig, 1000, 0 };
	pthread_t thread;

	rig_user_batch(rig);
	for (uint32_t i = 0; i < 2; i++)
		EMIT(rig, MI_ATOMIC_INLINE(0x4e) | 2u << 19, RIG_DATA, 0, i, !i, 0, 0, 0, 0, 0, 0);
	EMIT(rig, MI_BATCH_BUFFER_START | MI_BATCH_PPGTT, RIG_BATCH, 0);
	rig_ring(rig);
	EMIT(rig, MI_BATCH_BUFFER_START | MI_BATCH_PPGTT, RIG_BATCH, 0);
	rig_set_tail(rig);
	rig->gpu->ops->begin(rig->gpu, &rig->workload);
	assert_int_equal(pthread_create(&thread, NULL, own_by_cpu, &owner), 0);
	assert_int_equal(rig->gpu->ops->run(rig->gpu, GPU_RCS, UINT64_MAX), GPU_RUN_STOPPED);
	pthread_join(thread, NULL);
	rig->gpu->ops->end(rig->gpu, GPU_RCS);
	assert_int_equal(owner.lost, 0);
	rig_destroy(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(others_look_while_it_runs),
		cmocka_unit_test(atomics_are_atomic_towards_cpus),
		cmocka_unit_test(sixteen_bytes_are_compared_and_written_at_once),
	};

	return cmocka_run_group_tests_name("gpu threads", tests, NULL, NULL);
}
