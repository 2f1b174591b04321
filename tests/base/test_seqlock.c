/* SPDX-License-Identifier: MIT */
/* Values read while they are replaced: whole, and never an older one after a newer. */
#include "base/seqlock.h"

#include <pthread.h>

#include "tests/support/leaks.h"

#define VALUES 3000000u
#define WORDS  20u

struct value {
	uint64_t words[WORDS];
	uint32_t tail; /* half a word */
};

static struct seqlock lock;
static _Atomic bool written;

static void *write_all(void *opaque)
{
	struct value value;

	for (uint32_t n = 1; n <= VALUES; n++) {
		for (unsigned int i = 0; i < WORDS; i++)
			value.words[i] = n;
		value.tail = n;
		seqlock_write(&lock, &value, sizeof(value));
	}
	atomic_store(&written, true);
	return NULL;
}

static void *read_all(void *opaque)
{
	struct value value;
	uint64_t last = 0;
	uintptr_t torn = 0;

	while (!atomic_load(&written)) {
		seqlock_read(&lock, &value, sizeof(value));
		for (unsigned int i = 0; i < WORDS; i++)
			torn += value.words[i] != value.tail;
		torn += value.tail < last;
		last = value.tail;
	}
	return (void *)torn;
}

static void values_are_whole(void **state)
{
	pthread_t writer, readers[2];
	struct value value;
	void *torn;

	seqlock_read(&lock, &value, sizeof(value));
	assert_int_equal(value.tail, 0);
	for (unsigned int i = 0; i < 2; i++)
		pthread_create(&readers[i], NULL, read_all, NULL);
	pthread_create(&writer, NULL, write_all, NULL);
	for (unsigned int i = 0; i < 2; i++) {
		pthread_join(readers[i], &torn);
		assert_int_equal((uintptr_t)torn, 0);
	}
	pthread_join(writer, NULL);
	seqlock_read(&lock, &value, sizeof(value));
	assert_int_equal(value.tail, VALUES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		leak_checked(values_are_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
