/* SPDX-License-Identifier: MIT */
/*
 * The log: formats one line and hands it to stderr in a single write, so that lines of several
 * threads and processes do not mix.  Keeps errno.
 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

enum log_level log_threshold = LOG_INFO;

static char log_name[64];
static const char *const level_words[] = { "error", "warn", "info", "debug" };

void log_set_name(const char *name)
{
	snprintf(log_name, sizeof(log_name), "[%.60s]", name);
}

int log_level_parse(const char *word, enum log_level *level)
{
	for (size_t i = 0; i < ARRAY_SIZE(level_words); i++) {
		if (!strcmp(word, level_words[i])) {
			*level = (enum log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

void log_write(enum log_level level, const char *fmt, ...)
{
	int saved = errno;
	char line[1024];
	int n = snprintf(line, sizeof(line), "mediant%s: %s: ", log_name, level_words[level]);
	va_list ap;

	errno = saved; /* for %m */
	va_start(ap, fmt);
	n += vsnprintf(line + n, sizeof(line) - (size_t)n, fmt, ap);
	va_end(ap);
	if (n > (int)sizeof(line) - 2)
		n = (int)sizeof(line) - 2;
	line[n++] = '\n';
	(void)!write(STDERR_FILENO, line, (size_t)n);
	errno = saved;
}

bool log_limit_pass(struct log_limit *limit, uint32_t *dropped)
{
	uint32_t left = atomic_load_explicit(&limit->burst_left, memory_order_relaxed);

	while (left)
		if (atomic_compare_exchange_weak(&limit->burst_left, &left, left - 1))
			return true;

	uint64_t now = clock_now_ns();
	uint64_t next = atomic_load(&limit->next_ns);
	if (now >= next &&
	    atomic_compare_exchange_strong(&limit->next_ns, &next, now + NSEC_PER_SEC)) {
		*dropped = atomic_exchange(&limit->dropped, 0);
		return true;
	}
	atomic_fetch_add(&limit->dropped, 1);
	return false;
}
