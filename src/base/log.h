/* SPDX-License-Identifier: MIT */
/*
 * Log lines for people, on stderr: "mediant[name]: level: text".  Any thread.  Guest faults are
 * not errors: report them at LOG_INFO at most, through log_limited_*(), so that a guest cannot
 * fill a disk.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdatomic.h>

#include "base/types.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

extern enum log_level log_threshold;

/* Names this process in each line (the vGPU's name).  @name is copied. */
void log_set_name(const char *name);

/* "error", "warn", "info" or "debug" into *@level; -EINVAL for another word. */
int log_level_parse(const char *word, enum log_level *level);

void log_write(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* One budget of lines: a burst, then one a second with a count of those dropped before it. */
struct log_limit {
	_Atomic uint64_t next_ns;
	_Atomic uint32_t burst_left;
	_Atomic uint32_t dropped;
};
#define LOG_LIMIT_INIT           \
	{                        \
		.burst_left = 10 \
	}

/* True when a line may go out now; then *@dropped is how many did not since the last that did. */
bool log_limit_pass(struct log_limit *limit, uint32_t *dropped);

#define log_at(level, ...)                               \
	do {                                             \
		if ((level) <= log_threshold)            \
			log_write((level), __VA_ARGS__); \
	} while (0)
#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_at(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_at(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)

/* For what a guest or a client can cause at will: ten lines, then one a second, for each place. */
#define log_limited(level, ...)                                                               \
	do {                                                                                  \
		static struct log_limit limit_here = LOG_LIMIT_INIT;                          \
		uint32_t dropped_here = 0;                                                    \
		if ((level) <= log_threshold && log_limit_pass(&limit_here, &dropped_here)) { \
			log_write((level), __VA_ARGS__);                                      \
			if (dropped_here)                                                     \
				log_write((level), "(%u such lines left out)", dropped_here); \
		}                                                                             \
	} while (0)

#endif
