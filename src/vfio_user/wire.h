/* SPDX-License-Identifier: MIT */
/*
 * What is on the wire: the structures of vfio-user 0.x in host byte order, without padding.  The
 * protocol is QEMU's docs/interop/vfio-user.rst; where implementations differ, the comment says.
 */
#ifndef VFIO_USER_WIRE_H
#define VFIO_USER_WIRE_H

#include "base/types.h"

enum vfu_command {
	VFU_VERSION = 1,
	VFU_DMA_MAP = 2,
	VFU_DMA_UNMAP = 3,
	VFU_DEVICE_GET_INFO = 4,
	VFU_DEVICE_GET_REGION_INFO = 5,
	VFU_DEVICE_GET_REGION_IO_FDS = 6,
	VFU_DEVICE_GET_IRQ_INFO = 7,
	VFU_DEVICE_SET_IRQS = 8,
	VFU_REGION_READ = 9,
	VFU_REGION_WRITE = 10,
	VFU_DMA_READ = 11,  /* to the client */
	VFU_DMA_WRITE = 12, /* to the client */
	VFU_DEVICE_RESET = 13,
	VFU_REGION_WRITE_MULTI = 15,
	VFU_DEVICE_FEATURE = 16,
	VFU_MIG_DATA_READ = 17,
	VFU_MIG_DATA_WRITE = 18,
	VFU_COMMANDS
};

enum {
	VFU_FLAG_TYPE_MASK = 0xf,
	VFU_FLAG_COMMAND = 0,
	VFU_FLAG_REPLY = 1,
	VFU_FLAG_NO_REPLY = 0x10,
	VFU_FLAG_ERROR = 0x20,
};

struct vfu_header {
	uint16_t id; /* the sender's, echoed in the reply; not unique */
	uint16_t command;
	uint32_t bytes; /* with this header */
	uint32_t flags;
	uint32_t error; /* errno of an error reply */
};

struct vfu_version {
	uint16_t major, minor;
	/* JSON text and its NUL, both optional */
};

struct vfu_dma_map {
	uint32_t argsz, flags;
	uint64_t offset, addr, bytes;
};

struct vfu_dma_unmap {
	uint32_t argsz, flags;
	uint64_t addr, bytes;
};

struct vfu_region_io_fds {
	uint32_t argsz, flags, index, count;
};

/*
 * One sub-region of the above.  The specification's entry is 40 bytes, with the match value at 32;
 * the entry every existing implementation uses has 48, the value at 40, and the place of a shadow
 * at 32.  Readers derive the stride from argsz, so we send 48 bytes, and where there is no shadow
 * the value in both places.
 */
struct vfu_io_fd {
	uint64_t offset, bytes;
	uint32_t fd_index; /* among the message's descriptors; ~0: none */
	uint32_t type, flags;
	uint32_t shadow_fd_index;
	uint64_t shadow_offset; /* or the match value */
	uint64_t datamatch;
};

/* REGION_READ and REGION_WRITE; data follow. */
struct vfu_region_access {
	uint64_t offset;
	uint32_t region, count;
};

/* An element of REGION_WRITE_MULTI, whose payload starts with their number as 64 bits. */
struct vfu_write_multi {
	uint64_t offset;
	uint32_t region, count; /* at most 8 */
	uint8_t data[8];
};

/* DMA_READ and DMA_WRITE; data follow. */
struct vfu_dma_access {
	uint64_t addr, count;
};

struct vfu_device_feature {
	uint32_t argsz, flags;
};

_Static_assert(sizeof(struct vfu_header) == 16, "wire format");
_Static_assert(sizeof(struct vfu_dma_map) == 32, "wire format");
_Static_assert(sizeof(struct vfu_dma_unmap) == 24, "wire format");
_Static_assert(sizeof(struct vfu_io_fd) == 48, "wire format");
_Static_assert(sizeof(struct vfu_region_access) == 16, "wire format");
_Static_assert(sizeof(struct vfu_write_multi) == 24, "wire format");

#define VFU_MAJOR	   0u
#define VFU_MINOR	   2u
#define VFU_MAX_XFER_BYTES (1024u * 1024)
#define VFU_MAX_MSG_BYTES  (VFU_MAX_XFER_BYTES + sizeof(struct vfu_header) + 16)
#define VFU_MAX_MSG_FDS	   8u	 /* what we ask clients to keep to */
#define VFU_FDS_LIMIT	   253u	 /* what one sendmsg() can carry at all (SCM_MAX_FD) */
#define VFU_PEER_FDS_LIMIT 1024u /* more a client cannot mean */

#endif
