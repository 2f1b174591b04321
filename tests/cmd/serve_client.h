/* SPDX-License-Identifier: MIT */
/*
 * A small vfio-user client for tests of `mediant serve` as a process: one message, one answer.
 * What fails, or is not answered within ten seconds, fails the test.
 */
#ifndef TESTS_CMD_SERVE_CLIENT_H
#define TESTS_CMD_SERVE_CLIENT_H

#include "tests/cmd/program.h"
#include "vfio_user/wire.h"

/* Connects to @file of the test's folder; the caller closes it. */
int serve_dial(const char *file);
/* Sends one command and receives its reply's payload; the reply's error. */
int serve_exchange(int fd, uint16_t command, const void *request, size_t request_len, void *reply,
		   size_t reply_len);
/* The first message of every client. */
void serve_say_version(int fd);
/* Of up to eight bytes of a region. */
uint64_t serve_read(int fd, uint32_t region, uint64_t offset, uint32_t len);
void serve_write(int fd, uint32_t region, uint64_t offset, uint32_t value);
/* Maps @bytes of @file at @addr into the device, its descriptor riding on the message. */
void serve_dma_map(int fd, int file, uint64_t addr, uint64_t bytes);

#endif
