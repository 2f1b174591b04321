/* SPDX-License-Identifier: MIT */
/*
 * The tests' driver (tests/vgpu/driver.h) on a vGPU that is a process of its own: `mediant serve`,
 * met over its socket by posted writes, reads that wait, and memory it maps.
 *
 * Around the guest's memory lie canaries: pages of the same file before it, behind it and in a gap
 * in its middle, none of which is mapped, and memory that the device may read but not write.  One
 * driver at a time in a process.
 */
#ifndef TESTS_HOSTILE_PROCESS_H
#define TESTS_HOSTILE_PROCESS_H

#include <jansson.h>

#include "tests/cmd/program.h"
#include "tests/vgpu/driver.h"
#include "tests/vgpu/transport.h"

#define GAP_AT	     (24ull << 20) /* in the guest's physical memory */
#define GAP_BYTES    (1ull << 20)
#define READ_ONLY_AT (64ull << 20)

/* Of the next driver_open(): its vGPU's name. */
extern const char *process_name;

void process_write(struct driver *d, uint32_t region, uint64_t offset, const void *buf, size_t len);
/* Config space as firmware leaves it: BARs where they were, and decoded. */
void process_turn_on(struct driver *d);
/* `mediant stat`; a new reference. */
json_t *process_stat(struct driver *d);
/* A number by the path of its members. */
double process_number(json_t *tree, const char *object, const char *member);
/* No canary was written. */
bool process_canaries_live(struct driver *d);
/* Words of the guest's memory that are a canary's of any guest: they must have been read. */
size_t process_canaries_seen(struct driver *d);
/* Fills what the guest has not handed out yet with canaries, and tells whether all are still there.
 */
void process_plant(struct driver *d);
bool process_planted_live(struct driver *d);

#endif
