/* SPDX-License-Identifier: MIT */
/*
 * One thread that sleeps until a command is written, copies, and fires an interrupt.  The
 * registers are read once, on the thread that wrote the command, into a job nobody can change.
 */
#include "vfio/plain_engine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/log.h"

#define COPY_CHUNK_BYTES 65536u

enum { COMMAND_READ = 1, COMMAND_WRITE = 2 };
enum { STATUS_IDLE = 0, STATUS_RUNNING = 1, STATUS_DONE = 2 };

struct job {
	uint64_t gpa, offset;
	uint32_t bytes, command;
};

struct plain_engine {
	struct plain_device *plain;
	pthread_t thread;
	struct lock lock; /* LOCK_LEAF: guards the region's bytes, job, busy, leaving */
	pthread_cond_t changed;
	struct job job;
	bool busy, leaving;
	bool abandon; /* the job under way is to end where it is, and says nothing of it */
	uint8_t bounce[COPY_CHUNK_BYTES]; /* the engine's thread only */
};

void plain_engine_lock(struct plain_engine *engine)
{
	lock_acquire(&engine->lock);
}

void plain_engine_unlock(struct plain_engine *engine)
{
	lock_release(&engine->lock);
}

static uint8_t *registers(struct plain_engine *engine)
{
	const struct plain_doorbell *at = &engine->plain->engine_at;

	return engine->plain->regions[at->region].bytes + at->offset;
}

/* With the lock held. */
static void put_status(struct plain_engine *engine, int32_t status)
{
	memcpy(registers(engine) + 0x18, &status, sizeof(status));
}

static void copy_region(struct plain_engine *engine, const struct job *job, uint64_t at, size_t len)
{
	const struct plain_device *plain = engine->plain;
	uint8_t *host = plain->regions[plain->engine_at.region].bytes + job->offset + at;

	lock_acquire(&engine->lock);
	if (job->command == COMMAND_READ)
		memcpy(host, engine->bounce, len);
	else
		memcpy(engine->bounce, host, len);
	lock_release(&engine->lock);
}

/* Guest memory may take a message and its time: never with the lock held. */
static int copy_chunk(struct plain_engine *engine, const struct job *job, uint64_t at)
{
	struct guest *guest = vfio_device_guest(engine->plain->vfio);
	size_t len = MIN(job->bytes - at, COPY_CHUNK_BYTES);
	int err;

	if (job->command == COMMAND_WRITE)
		copy_region(engine, job, at, len);
	guest_enter(guest);
	if (job->command == COMMAND_READ)
		err = guest_read(guest, gpa(job->gpa + at), engine->bounce, len);
	else
		err = guest_write(guest, gpa(job->gpa + at), engine->bounce, len);
	guest_leave(guest);
	if (!err && job->command == COMMAND_READ)
		copy_region(engine, job, at, len);
	return err;
}

static bool unwanted(struct plain_engine *engine)
{
	lock_acquire(&engine->lock);
	bool unwanted = engine->abandon || engine->leaving;
	lock_release(&engine->lock);
	return unwanted;
}

static int run_job(struct plain_engine *engine, const struct job *job)
{
	uint64_t size = engine->plain->config.regions[engine->plain->engine_at.region].size;
	int err = 0;

	if (!range_fits(job->offset, job->bytes, size) ||
	    (job->command != COMMAND_READ && job->command != COMMAND_WRITE))
		return -EINVAL;
	/* 64 bits: the last step may go beyond what 32 can count. */
	for (uint64_t at = 0; !err && at < job->bytes; at += COPY_CHUNK_BYTES)
		err = unwanted(engine) ? -ECANCELED : copy_chunk(engine, job, at);
	return err;
}

static void *engine_main(void *opaque)
{
	struct plain_engine *engine = opaque;
	const struct plain_doorbell *fires = &engine->plain->engine_at;

	lock_acquire(&engine->lock);
	while (!engine->leaving) {
		if (!engine->busy) {
			pthread_cond_wait(&engine->changed, &engine->lock.mutex);
			continue;
		}
		struct job job = engine->job;
		lock_release(&engine->lock);
		int err = run_job(engine, &job);
		lock_acquire(&engine->lock);
		bool abandoned = engine->abandon || engine->leaving;
		put_status(engine, err ? err : STATUS_DONE);
		engine->busy = false;
		pthread_cond_broadcast(&engine->changed);
		if (abandoned)
			continue;
		lock_release(&engine->lock);
		vfio_irq_trigger(engine->plain->vfio, fires->irq, fires->vector);
		lock_acquire(&engine->lock);
	}
	lock_release(&engine->lock);
	return NULL;
}

void plain_engine_written(struct plain_engine *engine, uint64_t offset, size_t len)
{
	const uint8_t *regs = registers(engine);
	uint64_t command_at = engine->plain->engine_at.offset + 0x14;
	struct job job;

	if (!ranges_overlap(offset, len, command_at, 1))
		return;
	lock_acquire(&engine->lock);
	memcpy(&job.gpa, regs, sizeof(job.gpa));
	memcpy(&job.offset, regs + 0x08, sizeof(job.offset));
	memcpy(&job.bytes, regs + 0x10, sizeof(job.bytes));
	memcpy(&job.command, regs + 0x14, sizeof(job.command));
	if (!engine->busy) {
		engine->job = job;
		engine->busy = true;
		put_status(engine, STATUS_RUNNING);
		pthread_cond_broadcast(&engine->changed);
	}
	lock_release(&engine->lock);
}

void plain_engine_reset(struct plain_engine *engine)
{
	lock_acquire(&engine->lock);
	engine->abandon = true;
	while (engine->busy)
		pthread_cond_wait(&engine->changed, &engine->lock.mutex);
	engine->abandon = false;
	put_status(engine, STATUS_IDLE);
	lock_release(&engine->lock);
}

int plain_engine_create(struct plain_device *plain, struct plain_engine **out)
{
	const struct plain_doorbell *at = &plain->engine_at;

	if (at->offset % 8 ||
	    !range_fits(at->offset, PLAIN_ENGINE_BYTES, plain->config.regions[at->region].size) ||
	    at->vector >= plain->config.irq_counts[at->irq]) {
		log_error("regions: copy_engine must be at a multiple of 8 inside its region and "
			  "name an interrupt that \"irqs\" has");
		return -EINVAL;
	}
	struct plain_engine *engine = calloc(1, sizeof(*engine));
	if (!engine)
		return -ENOMEM;
	engine->plain = plain;
	lock_init(&engine->lock, LOCK_LEAF);
	pthread_cond_init(&engine->changed, NULL);
	int err = pthread_create(&engine->thread, NULL, engine_main, engine);
	if (err) {
		free(engine);
		return -err;
	}
	*out = engine;
	return 0;
}

void plain_engine_destroy(struct plain_engine *engine)
{
	if (!engine)
		return;
	lock_acquire(&engine->lock);
	engine->leaving = true;
	pthread_cond_broadcast(&engine->changed);
	lock_release(&engine->lock);
	pthread_join(engine->thread, NULL);
	pthread_cond_destroy(&engine->changed);
	lock_fini(&engine->lock);
	free(engine);
}
