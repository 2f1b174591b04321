/* SPDX-License-Identifier: MIT */
/* The guest of arrays; any thread, like real memory. */
#include "test_guest.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/checked.h"
#include "base/clock.h"

#define SILENCE_NS (5 * NSEC_PER_SEC)

static struct test_guest *to_test_guest(struct guest *guest)
{
	return container_of(guest, struct test_guest, guest);
}

/* As a message does that only a cancellation ends, for a lane. */
static int wait_in_vain(struct test_guest *g, uint64_t at)
{
	struct timespec nap = { .tv_nsec = 100000 };
	uint64_t end = clock_now_ns() + SILENCE_NS;

	if (!atomic_load(&g->silent) || at < g->message_from || at >= g->message_to)
		return 0;
	atomic_fetch_add(&g->waiting, 1);
	while (!guest_wanted(&g->guest) && clock_now_ns() < end)
		nanosleep(&nap, NULL);
	if (!guest_wanted(&g->guest))
		atomic_fetch_add(&g->timeouts, 1);
	atomic_fetch_sub(&g->waiting, 1);
	return -EIO;
}

static int ram_read(struct guest *guest, gpa_t at, void *buf, size_t len)
{
	struct test_guest *g = to_test_guest(guest);

	if (!range_fits(at.v, len, g->ram.size))
		return -EFAULT;
	if (wait_in_vain(g, at.v))
		return -EIO;
	memcpy(buf, g->ram.bytes + at.v, len);
	return 0;
}

static int ram_write(struct guest *guest, gpa_t at, const void *buf, size_t len)
{
	struct test_guest *g = to_test_guest(guest);

	if (!range_fits(at.v, len, g->ram.size))
		return -EFAULT;
	if (wait_in_vain(g, at.v))
		return -EIO;
	/* One word is one store, as a VMM would do it: the driver polls it. */
	if (len == 4 && !(at.v & 3))
		__atomic_store_n((uint32_t *)(g->ram.bytes + at.v), *(const uint32_t *)buf,
				 __ATOMIC_RELEASE);
	else if (len == 8 && !(at.v & 7))
		__atomic_store_n((uint64_t *)(g->ram.bytes + at.v), *(const uint64_t *)buf,
				 __ATOMIC_RELEASE);
	else
		memcpy(g->ram.bytes + at.v, buf, len);
	return 0;
}

static void *ram_map(struct guest *guest, gpa_t at, unsigned int access, size_t *len)
{
	struct test_guest *g = to_test_guest(guest);

	if (at.v >= g->ram.size || (at.v >= g->message_from && at.v < g->message_to))
		return NULL;
	*len = g->ram.size - at.v;
	return g->ram.bytes + at.v;
}

static const struct guest_ops ram_ops = {
	.read = ram_read,
	.write = ram_write,
	.map = ram_map,
};

int test_guest_init(struct test_guest *g, size_t bytes)
{
	*g = (struct test_guest){ 0 };
	int err = ram_init(&g->ram, bytes, false);

	if (!err)
		guest_init(&g->guest, &ram_ops);
	return err;
}

void test_guest_fini(struct test_guest *g)
{
	guest_fini(&g->guest);
	ram_fini(&g->ram);
}
