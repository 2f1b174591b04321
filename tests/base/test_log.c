/* SPDX-License-Identifier: MIT */
/* The log's lines, their limits, and the promise to keep errno.  stderr is captured in a pipe. */
#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/support/leaks.h"

static int saved_stderr, pipe_fds[2];

static int capture(void **state)
{
	leaks_setup(state);
	if (pipe(pipe_fds))
		return -1;
	saved_stderr = dup(STDERR_FILENO);
	return dup2(pipe_fds[1], STDERR_FILENO) < 0;
}

static int restore(void **state)
{
	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	log_threshold = LOG_INFO;
	return leaks_teardown(state);
}

/* What was logged so far; a pipe holds more than any of these tests writes. */
static const char *logged(void)
{
	static char text[16384];

	(void)!write(pipe_fds[1], "", 1);
	ssize_t n = read(pipe_fds[0], text, sizeof(text) - 1);
	assert_true(n > 0);
	text[n] = 0;
	return text;
}

static unsigned int lines_of(const char *text)
{
	unsigned int lines = 0;

	for (; *text; text++)
		lines += *text == '\n';
	return lines;
}

static void line_names_process_and_level(void **state)
{
	log_warn("%s %d", "fence", 7);
	assert_string_equal(logged(), "mediant: warn: fence 7\n");
	log_set_name("vm1");
	log_error("gone");
	assert_string_equal(logged(), "mediant[vm1]: error: gone\n");
}

static void threshold_silences(void **state)
{
	log_debug("unseen");
	log_threshold = LOG_ERROR;
	log_info("unseen");
	log_warn("unseen");
	assert_string_equal(logged(), "");
}

static void long_line_is_cut_and_ended(void **state)
{
	char longer[3000];

	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = 0;
	log_error("%s", longer);
	const char *text = logged();
	assert_true(strlen(text) < 1100);
	assert_int_equal(lines_of(text), 1);
	assert_int_equal(text[strlen(text) - 1], '\n');
}

static void errno_is_kept_and_printed(void **state)
{
	errno = ENOSPC;
	log_error("writing: %m");
	assert_int_equal(errno, ENOSPC);
	assert_non_null(strstr(logged(), "No space left on device"));
}

static void level_words_parse(void **state)
{
	enum log_level level;

	assert_int_equal(log_level_parse("error", &level), 0);
	assert_int_equal(level, LOG_ERROR);
	assert_int_equal(log_level_parse("debug", &level), 0);
	assert_int_equal(level, LOG_DEBUG);
	assert_int_equal(log_level_parse("loud", &level), -EINVAL);
	assert_int_equal(log_level_parse("", &level), -EINVAL);
}

static void limit_passes_a_burst_then_one_a_second(void **state)
{
	struct log_limit limit = LOG_LIMIT_INIT;
	uint32_t dropped = 0;
	unsigned int passed = 0;

	for (int i = 0; i < 1000; i++)
		passed += log_limit_pass(&limit, &dropped);
	/* Ten, and the first of those that come one a second; the loop is shorter than that. */
	assert_in_range(passed, 11, 12);
	assert_int_equal(dropped + atomic_load(&limit.dropped), 1000 - passed);
}

static void limit_tells_how_many_were_dropped(void **state)
{
	struct log_limit limit = LOG_LIMIT_INIT;
	uint32_t dropped = 0;

	for (int i = 0; i < 11; i++)
		assert_true(log_limit_pass(&limit, &dropped));
	assert_int_equal(dropped, 0);
	atomic_store(&limit.next_ns, clock_now_ns() + 3600 * NSEC_PER_SEC);
	for (int i = 0; i < 5; i++)
		assert_false(log_limit_pass(&limit, &dropped));
	atomic_store(&limit.next_ns, clock_now_ns()); /* as if a second had gone by */
	assert_true(log_limit_pass(&limit, &dropped));
	assert_int_equal(dropped, 5);
}

static void limited_macro_bounds_the_output(void **state)
{
	for (int i = 0; i < 200; i++)
		log_limited(LOG_INFO, "guest fault %d", i);
	assert_in_range(lines_of(logged()), 11, 13);
}

static struct log_limit shared_limit = LOG_LIMIT_INIT;
static _Atomic unsigned int shared_passed, shared_told;

static void *spend(void *opaque)
{
	for (int i = 0; i < 10000; i++) {
		uint32_t dropped = 0;

		if (log_limit_pass(&shared_limit, &dropped))
			atomic_fetch_add(&shared_passed, 1);
		atomic_fetch_add(&shared_told, dropped);
	}
	return NULL;
}

static void limit_counts_every_line_of_two_threads(void **state)
{
	pthread_t threads[2];

	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, spend, NULL), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(shared_passed + shared_told + atomic_load(&shared_limit.dropped), 20000);
}

#define captured(test) cmocka_unit_test_setup_teardown(test, capture, restore)

int main(void)
{
	const struct CMUnitTest tests[] = {
		captured(line_names_process_and_level),
		captured(threshold_silences),
		captured(long_line_is_cut_and_ended),
		captured(errno_is_kept_and_printed),
		leak_checked(level_words_parse),
		leak_checked(limit_passes_a_burst_then_one_a_second),
		leak_checked(limit_tells_how_many_were_dropped),
		captured(limited_macro_bounds_the_output),
		leak_checked(limit_counts_every_line_of_two_threads),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
