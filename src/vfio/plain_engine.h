/* SPDX-License-Identifier: MIT */
/*
 * The plain device's copy engine: moves bytes between guest memory and the region its registers
 * are in, on a thread of its own, as a GPU's lane would.  Registers, little-endian:
 *
 *	0x00  guest address, 64 bits
 *	0x08  offset in the region, 64 bits
 *	0x10  bytes, 32 bits
 *	0x14  command, 32 bits: 1 guest to region, 2 region to guest; writing it starts the copy
 *	0x18  status, 32 bits: 0 idle, 1 running, 2 done, negative errno otherwise
 */
#ifndef VFIO_PLAIN_ENGINE_H
#define VFIO_PLAIN_ENGINE_H

#include "vfio/plain.h"

#define PLAIN_ENGINE_BYTES 0x1cu

int plain_engine_create(struct plain_device *plain, struct plain_engine **engine);
void plain_engine_destroy(struct plain_engine *engine);
/* Around every look at the region's bytes while there is an engine, which changes them too. */
void plain_engine_lock(struct plain_engine *engine);
void plain_engine_unlock(struct plain_engine *engine);
/* The region was written at [@offset, @offset + @len). */
void plain_engine_written(struct plain_engine *engine, uint64_t offset, size_t len);
/* Ends a copy under way after the piece in hand; messages it waits for are cancelled by then. */
void plain_engine_reset(struct plain_engine *engine);

#endif
