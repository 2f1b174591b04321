/* SPDX-License-Identifier: MIT */
/*
 * One message to a device that has a negotiated client, and what comes back: a table of every
 * command well formed and with each of its fields wrong.  A row is a test of its own; after each,
 * the connection must still answer, and no descriptor may be left.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/vfio_user/client.h"

#define Q(x)	  (uint32_t)(x), (uint32_t)((uint64_t)(x) >> 32)
#define MAX_WORDS 24u

enum fd_kind { FD_EVENTFD, FD_MEMORY, FD_PIPE, FD_SOCKET, FD_DEV_NULL, FD_DIRECTORY, FD_READ_ONLY };

struct row {
	const char *name;
	uint16_t command;
	unsigned int dwords; /* of the payload */
	uint32_t payload[MAX_WORDS];
	int expect;	  /* errno, 0, GOT_* */
	size_t answer;	  /* bytes of a good reply's payload; checked when not 0 */
	unsigned int cut; /* bytes left off the payload's end */
	uint32_t flags;	  /* of the header */
	unsigned int fd_count;
	enum fd_kind fd_kind;
};

#define ROW(label, cmd, err, ...)                                                         \
	{                                                                                 \
		.name = label, .command = cmd, .expect = err, .payload = { __VA_ARGS__ }, \
		.dwords = sizeof((uint32_t[]){ __VA_ARGS__ }) / 4                         \
	}
#define UNWRAP(...) __VA_ARGS__
/* @extra: further fields, in parentheses. */
#define ROW_X(label, cmd, err, extra, ...)                                                \
	{                                                                                 \
		.name = label, .command = cmd, .expect = err, .payload = { __VA_ARGS__ }, \
		.dwords = sizeof((uint32_t[]){ __VA_ARGS__ }) / 4, UNWRAP extra           \
	}

#define TRIGGER VFIO_IRQ_SET_ACTION_TRIGGER
#define MASK	VFIO_IRQ_SET_ACTION_MASK
#define UNMASK	VFIO_IRQ_SET_ACTION_UNMASK
#define NONE	VFIO_IRQ_SET_DATA_NONE
#define BOOL	VFIO_IRQ_SET_DATA_BOOL
#define EVENTFD VFIO_IRQ_SET_DATA_EVENTFD
#define INTX	VFIO_PCI_INTX_IRQ_INDEX
#define MSI	VFIO_PCI_MSI_IRQ_INDEX
#define MSIX	VFIO_PCI_MSIX_IRQ_INDEX
#define ERR	VFIO_PCI_ERR_IRQ_INDEX
#define REQ	VFIO_PCI_REQ_IRQ_INDEX

/* clang-format off */
static const struct row rows[] = {
	/* DEVICE_GET_INFO: argsz, flags, regions, irqs */
	ROW_X("info", VFU_DEVICE_GET_INFO, 0, (.answer = 16), 16, 0, 0, 0),
	ROW_X("info: larger argsz", VFU_DEVICE_GET_INFO, 0, (.answer = 16), 32, 0, 0, 0),
	ROW_X("info: larger payload", VFU_DEVICE_GET_INFO, 0, (.answer = 16), 20, 0, 0, 0, 0),
	ROW_X("info: largest argsz", VFU_DEVICE_GET_INFO, 0, (.answer = 16), ~0u, 0, 0, 0),
	ROW("info: argsz too small", VFU_DEVICE_GET_INFO, EINVAL, 15, 0, 0, 0),
	ROW("info: argsz zero", VFU_DEVICE_GET_INFO, EINVAL, 0, 0, 0, 0),
	ROW("info: short payload", VFU_DEVICE_GET_INFO, EINVAL, 16, 0, 0),
	ROW_X("info: one byte short", VFU_DEVICE_GET_INFO, EINVAL, (.cut = 1), 16, 0, 0, 0),
	{ .name = "info: no payload", .command = VFU_DEVICE_GET_INFO, .expect = EINVAL },
	ROW_X("info: with a descriptor", VFU_DEVICE_GET_INFO, 0, (.answer = 16, .fd_count = 1), 16, 0, 0, 0),
	ROW_X("info: with eight descriptors", VFU_DEVICE_GET_INFO, 0, (.answer = 16, .fd_count = 8), 16, 0, 0, 0),

	/* DEVICE_GET_REGION_INFO: argsz, flags, index, cap_offset, size, offset */
	ROW_X("region info: BAR0", VFU_DEVICE_GET_REGION_INFO, 0, (.answer = 32), 32, 0, 0, 0, Q(0), Q(0)),
	ROW_X("region info: absent BAR3", VFU_DEVICE_GET_REGION_INFO, 0, (.answer = 32), 32, 0, 3, 0, Q(0), Q(0)),
	ROW_X("region info: config", VFU_DEVICE_GET_REGION_INFO, 0, (.answer = 32), 64, 0, 7, 0, Q(0), Q(0)),
	ROW_X("region info: absent VGA", VFU_DEVICE_GET_REGION_INFO, 0, (.answer = 32), 32, 0, 8, 0, Q(0), Q(0)),
	ROW_X("region info: capabilities do not fit", VFU_DEVICE_GET_REGION_INFO, 0, (.answer = 32), 79, 0, 2, 0, Q(0), Q(0)),
	ROW_X("region info: capabilities fit", VFU_DEVICE_GET_REGION_INFO, 0, (.answer = 80), 80, 0, 2, 0, Q(0), Q(0)),
	ROW_X("region info: whole region mappable", VFU_DEVICE_GET_REGION_INFO, 0, (.answer = 32), 32, 0, 9, 0, Q(0), Q(0)),
	ROW_X("region info: largest argsz", VFU_DEVICE_GET_REGION_INFO, 0, (.answer = 80), ~0u, 0, 2, 0, Q(0), Q(0)),
	ROW("region info: argsz too small", VFU_DEVICE_GET_REGION_INFO, EINVAL, 31, 0, 0, 0, Q(0), Q(0)),
	ROW("region info: index one too far", VFU_DEVICE_GET_REGION_INFO, EINVAL, 32, 0, 10, 0, Q(0), Q(0)),
	ROW("region info: largest index", VFU_DEVICE_GET_REGION_INFO, EINVAL, 32, 0, ~0u, 0, Q(0), Q(0)),
	ROW("region info: short payload", VFU_DEVICE_GET_REGION_INFO, EINVAL, 32, 0),
	ROW_X("region info: one byte short", VFU_DEVICE_GET_REGION_INFO, EINVAL, (.cut = 1), 32, 0, 0, 0, Q(0), Q(0)),

	/* DEVICE_GET_REGION_IO_FDS: argsz, flags, index, count */
	ROW_X("io fds: all", VFU_DEVICE_GET_REGION_IO_FDS, 0, (.answer = 208), 512, 0, 0, 0),
	ROW_X("io fds: exactly enough room", VFU_DEVICE_GET_REGION_IO_FDS, 0, (.answer = 208), 208, 0, 0, 0),
	ROW_X("io fds: one byte short of room", VFU_DEVICE_GET_REGION_IO_FDS, 0, (.answer = 16), 207, 0, 0, 0),
	ROW_X("io fds: room for the header", VFU_DEVICE_GET_REGION_IO_FDS, 0, (.answer = 16), 16, 0, 0, 0),
	ROW_X("io fds: a region with none", VFU_DEVICE_GET_REGION_IO_FDS, 0, (.answer = 16), 512, 0, 1, 0),
	ROW("io fds: absent region", VFU_DEVICE_GET_REGION_IO_FDS, EINVAL, 512, 0, 3, 0),
	ROW("io fds: no such region", VFU_DEVICE_GET_REGION_IO_FDS, EINVAL, 512, 0, 512, 0),
	ROW("io fds: flags", VFU_DEVICE_GET_REGION_IO_FDS, EINVAL, 512, 1, 0, 0),
	ROW("io fds: count", VFU_DEVICE_GET_REGION_IO_FDS, EINVAL, 512, 0, 0, 1),
	ROW("io fds: argsz too small", VFU_DEVICE_GET_REGION_IO_FDS, EINVAL, 15, 0, 0, 0),
	ROW("io fds: argsz too large", VFU_DEVICE_GET_REGION_IO_FDS, EINVAL, (1 << 20) + 1, 0, 0, 0),
	ROW("io fds: short payload", VFU_DEVICE_GET_REGION_IO_FDS, EINVAL, 512, 0, 0),

	/* DEVICE_GET_IRQ_INFO: argsz, flags, index, count */
	ROW_X("irq info: INTx", VFU_DEVICE_GET_IRQ_INFO, 0, (.answer = 16), 16, 0, INTX, 0),
	ROW_X("irq info: MSI", VFU_DEVICE_GET_IRQ_INFO, 0, (.answer = 16), 16, 0, MSI, 0),
	ROW_X("irq info: REQ, larger argsz", VFU_DEVICE_GET_IRQ_INFO, 0, (.answer = 16), 32, 0, REQ, 0),
	ROW("irq info: no such index", VFU_DEVICE_GET_IRQ_INFO, EINVAL, 16, 0, 5, 0),
	ROW("irq info: largest index", VFU_DEVICE_GET_IRQ_INFO, EINVAL, 16, 0, ~0u, 0),
	ROW("irq info: argsz too small", VFU_DEVICE_GET_IRQ_INFO, EINVAL, 8, 0, 0, 0),
	ROW("irq info: short payload", VFU_DEVICE_GET_IRQ_INFO, EINVAL, 16, 0),

	/* DEVICE_SET_IRQS: argsz, flags, index, start, count, bools */
	ROW("irqs: short payload", VFU_DEVICE_SET_IRQS, EINVAL, 20, 0),
	{ .name = "irqs: no payload", .command = VFU_DEVICE_SET_IRQS, .expect = EINVAL },
	ROW("irqs: argsz too small", VFU_DEVICE_SET_IRQS, EINVAL, 3, TRIGGER | NONE, REQ, 0, 0),
	ROW("irqs: argsz too large", VFU_DEVICE_SET_IRQS, EINVAL, (1 << 20) + 1, TRIGGER | NONE, REQ, 0, 0),
	ROW("irqs: no such index", VFU_DEVICE_SET_IRQS, EINVAL, 20, TRIGGER | NONE, 5, 0, 0),
	ROW("irqs: largest index", VFU_DEVICE_SET_IRQS, EINVAL, 20, TRIGGER | NONE, ~0u, 0, 0),
	ROW("irqs: no action", VFU_DEVICE_SET_IRQS, EINVAL, 20, NONE, MSIX, 0, 1),
	ROW("irqs: no data type", VFU_DEVICE_SET_IRQS, EINVAL, 20, TRIGGER, MSIX, 0, 1),
	ROW("irqs: mask and unmask", VFU_DEVICE_SET_IRQS, EINVAL, 20, MASK | UNMASK | NONE, MSIX, 0, 1),
	ROW("irqs: mask and trigger", VFU_DEVICE_SET_IRQS, EINVAL, 20, MASK | TRIGGER | NONE, MSIX, 0, 1),
	ROW("irqs: all actions", VFU_DEVICE_SET_IRQS, EINVAL, 20, MASK | UNMASK | TRIGGER | NONE, MSIX, 0, 1),
	ROW("irqs: none and bool", VFU_DEVICE_SET_IRQS, EINVAL, 20, MASK | NONE | BOOL, MSIX, 0, 1),
	ROW("irqs: none and eventfd", VFU_DEVICE_SET_IRQS, EINVAL, 20, TRIGGER | NONE | EVENTFD, MSIX, 0, 1),
	ROW("irqs: unknown flag", VFU_DEVICE_SET_IRQS, EINVAL, 20, TRIGGER | NONE | 0x40, MSIX, 0, 1),
	ROW("irqs: start + count too far", VFU_DEVICE_SET_IRQS, EINVAL, 20, MASK | NONE, MSIX, 7, 2),
	ROW("irqs: start too far", VFU_DEVICE_SET_IRQS, EINVAL, 20, MASK | NONE, MSIX, 8, 1),
	ROW("irqs: start + count wraps", VFU_DEVICE_SET_IRQS, EINVAL, 20, TRIGGER | EVENTFD, MSIX, 4, ~0u),
	ROW("irqs: largest start", VFU_DEVICE_SET_IRQS, EINVAL, 20, TRIGGER | NONE, MSIX, ~0u, 1),
	ROW("irqs: mask ERR", VFU_DEVICE_SET_IRQS, EINVAL, 20, MASK | NONE, ERR, 0, 1),
	ROW("irqs: unmask REQ", VFU_DEVICE_SET_IRQS, EINVAL, 20, UNMASK | NONE, REQ, 0, 1),
	ROW("irqs: two of ERR", VFU_DEVICE_SET_IRQS, EINVAL, 20, TRIGGER | NONE, ERR, 0, 2),
	ROW("irqs: two of REQ", VFU_DEVICE_SET_IRQS, EINVAL, 20, TRIGGER | NONE, REQ, 0, 2),
	ROW("irqs: count 0 with a start", VFU_DEVICE_SET_IRQS, EINVAL, 20, TRIGGER | NONE, MSIX, 1, 0),
	ROW("irqs: count 0 to mask", VFU_DEVICE_SET_IRQS, EINVAL, 20, MASK | NONE, MSIX, 0, 0),
	ROW("irqs: count 0 of bools", VFU_DEVICE_SET_IRQS, EINVAL, 20, TRIGGER | BOOL, MSIX, 0, 0),
	ROW("irqs: count 0 of eventfds", VFU_DEVICE_SET_IRQS, EINVAL, 20, TRIGGER | EVENTFD, MSIX, 0, 0),
	ROW_X("irqs: bool with a descriptor", VFU_DEVICE_SET_IRQS, EINVAL, (.fd_count = 1), 24, TRIGGER | BOOL, MSIX, 0, 4, 0),
	ROW_X("irqs: none with a descriptor", VFU_DEVICE_SET_IRQS, EINVAL, (.fd_count = 1), 20, TRIGGER | NONE, MSIX, 0, 1),
	ROW_X("irqs: a descriptor missing", VFU_DEVICE_SET_IRQS, EINVAL, (.fd_count = 1), 20, TRIGGER | EVENTFD, MSIX, 0, 2),
	ROW_X("irqs: a descriptor too many", VFU_DEVICE_SET_IRQS, EINVAL, (.fd_count = 3), 20, TRIGGER | EVENTFD, MSIX, 0, 2),
	ROW_X("irqs: bools missing", VFU_DEVICE_SET_IRQS, EINVAL, (.cut = 3), 21, TRIGGER | BOOL, MSIX, 0, 2, 0),
	ROW_X("irqs: a bool too many", VFU_DEVICE_SET_IRQS, EINVAL, (.cut = 1), 23, TRIGGER | BOOL, MSIX, 0, 2, 0),
	ROW_X("irqs: bools", VFU_DEVICE_SET_IRQS, 0, (.cut = 2), 22, TRIGGER | BOOL, MSIX, 0, 2, 0x0100),
	ROW_X("irqs: a pipe", VFU_DEVICE_SET_IRQS, EINVAL, (.fd_count = 1, .fd_kind = FD_PIPE), 20, TRIGGER | EVENTFD, MSI, 0, 1),
	ROW_X("irqs: a socket", VFU_DEVICE_SET_IRQS, EINVAL, (.fd_count = 1, .fd_kind = FD_SOCKET), 20, TRIGGER | EVENTFD, MSI, 0, 1),
	ROW_X("irqs: a file", VFU_DEVICE_SET_IRQS, EINVAL, (.fd_count = 1, .fd_kind = FD_MEMORY), 20, TRIGGER | EVENTFD, MSI, 0, 1),
	ROW_X("irqs: a device node", VFU_DEVICE_SET_IRQS, EINVAL, (.fd_count = 1, .fd_kind = FD_DEV_NULL), 20, UNMASK | EVENTFD, INTX, 0, 1),
	ROW_X("irqs: trigger eventfd", VFU_DEVICE_SET_IRQS, 0, (.fd_count = 1), 20, TRIGGER | EVENTFD, MSI, 0, 1),
	ROW_X("irqs: trigger eventfds from the middle", VFU_DEVICE_SET_IRQS, 0, (.fd_count = 5), 20, TRIGGER | EVENTFD, MSIX, 3, 5),
	ROW_X("irqs: unmask eventfd", VFU_DEVICE_SET_IRQS, 0, (.fd_count = 1), 20, UNMASK | EVENTFD, INTX, 0, 1),
	ROW_X("irqs: mask eventfd", VFU_DEVICE_SET_IRQS, 0, (.fd_count = 1), 20, MASK | EVENTFD, INTX, 0, 1),
	ROW_X("irqs: mask eventfd of ERR", VFU_DEVICE_SET_IRQS, EINVAL, (.fd_count = 1), 20, MASK | EVENTFD, ERR, 0, 1),
	ROW("irqs: take trigger eventfds back", VFU_DEVICE_SET_IRQS, 0, 20, TRIGGER | EVENTFD, MSIX, 0, 8),
	ROW("irqs: take an unmask eventfd back", VFU_DEVICE_SET_IRQS, 0, 20, UNMASK | EVENTFD, INTX, 0, 1),
	ROW("irqs: disable INTx", VFU_DEVICE_SET_IRQS, 0, 20, TRIGGER | NONE, INTX, 0, 0),
	ROW("irqs: disable MSI-X", VFU_DEVICE_SET_IRQS, 0, 20, TRIGGER | NONE, MSIX, 0, 0),
	ROW("irqs: disable ERR", VFU_DEVICE_SET_IRQS, 0, 20, TRIGGER | NONE, ERR, 0, 0),
	ROW("irqs: trigger without an eventfd", VFU_DEVICE_SET_IRQS, 0, 20, TRIGGER | NONE, MSI, 0, 4),
	ROW("irqs: mask INTx", VFU_DEVICE_SET_IRQS, 0, 20, MASK | NONE, INTX, 0, 1),
	ROW("irqs: unmask INTx", VFU_DEVICE_SET_IRQS, 0, 20, UNMASK | NONE, INTX, 0, 1),

	/* DMA_MAP: argsz, flags, offset, addr, bytes */
	ROW_X("map: mapped", VFU_DMA_MAP, 0, (.fd_count = 1, .fd_kind = FD_MEMORY), 32, 3, Q(0), Q(0x1000), Q(0x2000)),
	ROW_X("map: mapped, by its mode", VFU_DMA_MAP, 0, (.fd_count = 1, .fd_kind = FD_MEMORY), 32, 7, Q(0), Q(0), Q(0x4000)),
	ROW_X("map: file I/O", VFU_DMA_MAP, 0, (.fd_count = 1, .fd_kind = FD_MEMORY), 32, 11, Q(0x1000), Q(0), Q(0x1000)),
	ROW("map: messages", VFU_DMA_MAP, 0, 32, 3, Q(0), Q(0), Q(0x1000)),
	ROW("map: read only messages", VFU_DMA_MAP, 0, 32, 1, Q(0), Q(0), Q(0x1000)),
	ROW("map: at the very end", VFU_DMA_MAP, 0, 32, 3, Q(0), Q(~0ull - 0xfff), Q(0x1000)),
	ROW("map: address and size wrap", VFU_DMA_MAP, EINVAL, 32, 3, Q(0), Q(~0ull - 0xfff), Q(0x2000)),
	ROW("map: empty", VFU_DMA_MAP, EINVAL, 32, 3, Q(0), Q(0x1000), Q(0)),
	ROW("map: more than may be mapped", VFU_DMA_MAP, ENOSPC, 32, 3, Q(0), Q(0), Q(0x100001000ull)),
	ROW("map: the largest size", VFU_DMA_MAP, ENOSPC, 32, 3, Q(0), Q(0), Q(~0ull - 0xfff)),
	ROW("map: argsz too small", VFU_DMA_MAP, EINVAL, 31, 3, Q(0), Q(0), Q(0x1000)),
	ROW("map: unknown flag", VFU_DMA_MAP, EINVAL, 32, 0x13, Q(0), Q(0), Q(0x1000)),
	ROW("map: neither read nor write", VFU_DMA_MAP, EINVAL, 32, 0, Q(0), Q(0), Q(0x1000)),
	ROW("map: mapped without a descriptor", VFU_DMA_MAP, EINVAL, 32, 7, Q(0), Q(0), Q(0x1000)),
	ROW("map: file I/O without a descriptor", VFU_DMA_MAP, EINVAL, 32, 11, Q(0), Q(0), Q(0x1000)),
	ROW_X("map: both modes", VFU_DMA_MAP, EINVAL, (.fd_count = 1, .fd_kind = FD_MEMORY), 32, 15, Q(0), Q(0), Q(0x1000)),
	ROW_X("map: beyond the file", VFU_DMA_MAP, EINVAL, (.fd_count = 1, .fd_kind = FD_MEMORY), 32, 3, Q(0x1000), Q(0), Q(0x4000)),
	ROW_X("map: offset and size wrap", VFU_DMA_MAP, EINVAL, (.fd_count = 1, .fd_kind = FD_MEMORY), 32, 3, Q(~0ull - 0xfff), Q(0), Q(0x1000)),
	ROW("map: address inside a page", VFU_DMA_MAP, EINVAL, 32, 3, Q(0), Q(0x1800), Q(0x1000)),
	ROW("map: part of a page", VFU_DMA_MAP, EINVAL, 32, 3, Q(0), Q(0x1000), Q(0x1800)),
	ROW_X("map: offset inside a page", VFU_DMA_MAP, EINVAL, (.fd_count = 1, .fd_kind = FD_MEMORY), 32, 3, Q(0x800), Q(0x1000), Q(0x1000)),
	ROW_X("map: an eventfd", VFU_DMA_MAP, EINVAL, (.fd_count = 1, .fd_kind = FD_EVENTFD), 32, 3, Q(0), Q(0), Q(0x1000)),
	ROW_X("map: a pipe", VFU_DMA_MAP, EINVAL, (.fd_count = 1, .fd_kind = FD_PIPE), 32, 3, Q(0), Q(0), Q(0x1000)),
	ROW_X("map: a socket", VFU_DMA_MAP, EINVAL, (.fd_count = 1, .fd_kind = FD_SOCKET), 32, 3, Q(0), Q(0), Q(0x1000)),
	ROW_X("map: a device node", VFU_DMA_MAP, EINVAL, (.fd_count = 1, .fd_kind = FD_DEV_NULL), 32, 3, Q(0), Q(0), Q(0x1000)),
	ROW_X("map: a directory", VFU_DMA_MAP, EINVAL, (.fd_count = 1, .fd_kind = FD_DIRECTORY), 32, 1, Q(0), Q(0), Q(0x1000)),
	ROW_X("map: writable, of a read-only file", VFU_DMA_MAP, EINVAL, (.fd_count = 1, .fd_kind = FD_READ_ONLY), 32, 3, Q(0), Q(0), Q(0x1000)),
	ROW_X("map: readable, of a read-only file", VFU_DMA_MAP, 0, (.fd_count = 1, .fd_kind = FD_READ_ONLY), 32, 1, Q(0), Q(0), Q(0x1000)),
	ROW_X("map: a descriptor too many", VFU_DMA_MAP, 0, (.fd_count = 2, .fd_kind = FD_MEMORY), 32, 3, Q(0), Q(0), Q(0x1000)),
	ROW("map: short payload", VFU_DMA_MAP, EINVAL, 32, 3, Q(0), Q(0)),
	ROW_X("map: one byte short", VFU_DMA_MAP, EINVAL, (.cut = 1), 32, 3, Q(0), Q(0), Q(0x1000)),
	{ .name = "map: no payload", .command = VFU_DMA_MAP, .expect = EINVAL },
	ROW_X("map: refused, with a descriptor", VFU_DMA_MAP, EINVAL, (.fd_count = 1, .fd_kind = FD_MEMORY), 0, 3, Q(0), Q(0), Q(0x1000)),

	/* DMA_UNMAP: argsz, flags, addr, bytes */
	ROW("unmap: not there", VFU_DMA_UNMAP, ENOENT, 24, 0, Q(0x1000), Q(0x1000)),
	ROW_X("unmap: all of nothing", VFU_DMA_UNMAP, 0, (.answer = 24), 24, 2, Q(0), Q(0)),
	ROW("unmap: all, with an address", VFU_DMA_UNMAP, EINVAL, 24, 2, Q(0x1000), Q(0)),
	ROW("unmap: all, with a size", VFU_DMA_UNMAP, EINVAL, 24, 2, Q(0), Q(0x1000)),
	ROW("unmap: dirty bitmap", VFU_DMA_UNMAP, EINVAL, 48, 1, Q(0), Q(0x1000), Q(4096), Q(8)),
	ROW("unmap: all and dirty bitmap", VFU_DMA_UNMAP, EINVAL, 24, 3, Q(0), Q(0)),
	ROW("unmap: unknown flag", VFU_DMA_UNMAP, EINVAL, 24, 4, Q(0), Q(0x1000)),
	ROW("unmap: argsz too small", VFU_DMA_UNMAP, EINVAL, 8, 0, Q(0), Q(0x1000)),
	ROW("unmap: argsz too large", VFU_DMA_UNMAP, EINVAL, (1 << 20) + 8, 0, Q(0), Q(0x1000)),
	ROW("unmap: short payload", VFU_DMA_UNMAP, EINVAL, 24, 0),

	/* REGION_READ: offset, region, count */
	ROW_X("read: one byte", VFU_REGION_READ, 0, (.answer = 17), Q(0), 0, 1),
	ROW_X("read: the last byte", VFU_REGION_READ, 0, (.answer = 17), Q(0x3fff), 0, 1),
	ROW_X("read: odd and unaligned", VFU_REGION_READ, 0, (.answer = 19), Q(5), 0, 3),
	ROW_X("read: the whole region", VFU_REGION_READ, 0, (.answer = 16 + 0x4000), Q(0), 0, 0x4000),
	ROW_X("read: the most there can be", VFU_REGION_READ, 0, (.answer = 16 + (1 << 20)), Q(0), 9, 1 << 20),
	ROW("read: more than there can be", VFU_REGION_READ, EINVAL, Q(0), 9, (1 << 20) + 1),
	ROW_X("read: nothing", VFU_REGION_READ, 0, (.answer = 16), Q(0), 0, 0),
	ROW_X("read: nothing at the end", VFU_REGION_READ, 0, (.answer = 16), Q(0x4000), 0, 0),
	ROW("read: nothing past the end", VFU_REGION_READ, EINVAL, Q(0x4001), 0, 0),
	ROW("read: across the end", VFU_REGION_READ, EINVAL, Q(0x3ffd), 0, 4),
	ROW("read: past the end", VFU_REGION_READ, EINVAL, Q(0x4000), 0, 1),
	ROW("read: offset and count wrap", VFU_REGION_READ, EINVAL, Q(~0ull), 0, 4),
	ROW("read: no such region", VFU_REGION_READ, EINVAL, Q(0), 10, 4),
	ROW("read: largest region", VFU_REGION_READ, EINVAL, Q(0), ~0u, 4),
	ROW("read: absent region", VFU_REGION_READ, EINVAL, Q(0), 3, 4),
	ROW("read: write-only region", VFU_REGION_READ, EINVAL, Q(0), 5, 4),
	ROW_X("read: a mappable region", VFU_REGION_READ, 0, (.answer = 24), Q(0x2000), 2, 8),
	ROW_X("read: all of config space", VFU_REGION_READ, 0, (.answer = 16 + 4096), Q(0), 7, 4096),
	ROW("read: past config space", VFU_REGION_READ, EINVAL, Q(4096), 7, 1),
	ROW("read: largest count", VFU_REGION_READ, EINVAL, Q(0), 0, ~0u),
	ROW("read: short payload", VFU_REGION_READ, EINVAL, Q(0), 0),
	ROW_X("read: with data behind", VFU_REGION_READ, 0, (.answer = 20), Q(0), 0, 4, 0x12345678),
	ROW_X("read: posted", VFU_REGION_READ, GOT_NOTHING, (.flags = VFU_FLAG_NO_REPLY), Q(0), 0, 4),

	/* REGION_WRITE: offset, region, count, data */
	ROW_X("write: a dword", VFU_REGION_WRITE, 0, (.answer = 16), Q(0), 0, 4, 1),
	ROW_X("write: three bytes", VFU_REGION_WRITE, 0, (.answer = 16, .cut = 1), Q(1), 0, 3, 1),
	ROW_X("write: nothing", VFU_REGION_WRITE, 0, (.answer = 16), Q(0), 0, 0),
	ROW("write: count larger than the data", VFU_REGION_WRITE, EINVAL, Q(0), 0, 8, 1),
	ROW("write: count smaller than the data", VFU_REGION_WRITE, EINVAL, Q(0), 0, 2, 1),
	ROW("write: no data", VFU_REGION_WRITE, EINVAL, Q(0), 0, 4),
	ROW("write: across the end", VFU_REGION_WRITE, EINVAL, Q(0x3ffe), 0, 4, 1),
	ROW("write: offset and count wrap", VFU_REGION_WRITE, EINVAL, Q(~0ull - 1), 0, 4, 1),
	ROW("write: no such region", VFU_REGION_WRITE, EINVAL, Q(0), 10, 4, 1),
	ROW("write: absent region", VFU_REGION_WRITE, EINVAL, Q(0), 8, 4, 1),
	ROW("write: read-only region", VFU_REGION_WRITE, EINVAL, Q(0), 1, 4, 1),
	ROW_X("write: write-only region", VFU_REGION_WRITE, 0, (.answer = 16), Q(0), 5, 4, 1),
	ROW("write: past config space", VFU_REGION_WRITE, EINVAL, Q(4094), 7, 4, 1),
	ROW("write: largest count", VFU_REGION_WRITE, EINVAL, Q(0), 0, ~0u, 1),
	ROW_X("write: posted", VFU_REGION_WRITE, GOT_NOTHING, (.flags = VFU_FLAG_NO_REPLY), Q(0), 0, 4, 1),
	ROW_X("write: posted and wrong", VFU_REGION_WRITE, GOT_NOTHING, (.flags = VFU_FLAG_NO_REPLY), Q(~0ull), 0, 4, 1),
	ROW_X("write: with a descriptor", VFU_REGION_WRITE, 0, (.answer = 16, .fd_count = 1), Q(0), 0, 4, 1),

	/* REGION_WRITE_MULTI: count, { offset, region, count, data } */
	ROW_X("multi: two", VFU_REGION_WRITE_MULTI, 0, (.answer = 8), Q(2), Q(0), 0, 4, Q(1), Q(8), 0, 8, Q(2)),
	ROW_X("multi: none", VFU_REGION_WRITE_MULTI, 0, (.answer = 8), Q(0)),
	ROW("multi: count too large", VFU_REGION_WRITE_MULTI, EINVAL, Q(3), Q(0), 0, 4, Q(1), Q(8), 0, 8, Q(2)),
	ROW("multi: count too small", VFU_REGION_WRITE_MULTI, EINVAL, Q(1), Q(0), 0, 4, Q(1), Q(8), 0, 8, Q(2)),
	ROW("multi: largest count", VFU_REGION_WRITE_MULTI, EINVAL, Q(~0ull), Q(0), 0, 4, Q(1)),
	ROW("multi: a count that wraps to one", VFU_REGION_WRITE_MULTI, EINVAL, Q(0xaaaaaaaaaaaaaabull), Q(0), 0, 4, Q(1)),
	ROW("multi: more than eight bytes", VFU_REGION_WRITE_MULTI, EINVAL, Q(1), Q(0), 0, 9, Q(1)),
	ROW("multi: past the end", VFU_REGION_WRITE_MULTI, EINVAL, Q(1), Q(0x3ffd), 0, 4, Q(1)),
	ROW("multi: second past the end", VFU_REGION_WRITE_MULTI, EINVAL, Q(2), Q(0), 0, 4, Q(1), Q(~0ull), 0, 8, Q(2)),
	ROW("multi: no such region", VFU_REGION_WRITE_MULTI, EINVAL, Q(1), Q(0), 77, 4, Q(1)),
	ROW("multi: half an element", VFU_REGION_WRITE_MULTI, EINVAL, Q(1), Q(0), 0, 4),
	ROW("multi: short payload", VFU_REGION_WRITE_MULTI, EINVAL, 1),
	ROW_X("multi: posted", VFU_REGION_WRITE_MULTI, GOT_NOTHING, (.flags = VFU_FLAG_NO_REPLY), Q(1), Q(0), 0, 4, Q(1)),

	/* DEVICE_RESET */
	{ .name = "reset", .command = VFU_DEVICE_RESET, .expect = 0 },
	ROW("reset: with a payload", VFU_DEVICE_RESET, EINVAL, 0),

	/* DEVICE_FEATURE: argsz, flags, data */
	ROW_X("feature: probe low power", VFU_DEVICE_FEATURE, 0, (.answer = 8), 8, VFIO_DEVICE_FEATURE_PROBE | 3),
	ROW_X("feature: probe setting low power", VFU_DEVICE_FEATURE, 0, (.answer = 8), 8, VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_SET | 3),
	ROW_X("feature: enter low power", VFU_DEVICE_FEATURE, 0, (.answer = 8), 8, VFIO_DEVICE_FEATURE_SET | 3),
	ROW_X("feature: leave low power", VFU_DEVICE_FEATURE, 0, (.answer = 8), 8, VFIO_DEVICE_FEATURE_SET | 5),
	ROW("feature: get what can only be set", VFU_DEVICE_FEATURE, EINVAL, 8, VFIO_DEVICE_FEATURE_GET | 3),
	ROW("feature: get and set", VFU_DEVICE_FEATURE, EINVAL, 8, VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET | 3),
	ROW("feature: no operation", VFU_DEVICE_FEATURE, EINVAL, 8, 3),
	ROW("feature: migration", VFU_DEVICE_FEATURE, EINVAL, 16, VFIO_DEVICE_FEATURE_GET | 1, Q(0)),
	ROW("feature: probe migration", VFU_DEVICE_FEATURE, EINVAL, 8, VFIO_DEVICE_FEATURE_PROBE | 1),
	ROW("feature: DMA logging", VFU_DEVICE_FEATURE, EINVAL, 24, VFIO_DEVICE_FEATURE_SET | 6, Q(4096), 0, 0),
	ROW("feature: unknown", VFU_DEVICE_FEATURE, EINVAL, 8, VFIO_DEVICE_FEATURE_GET | 0xffff),
	ROW("feature: unknown flag", VFU_DEVICE_FEATURE, EINVAL, 8, VFIO_DEVICE_FEATURE_SET | 1 << 20 | 3),
	ROW("feature: argsz too small", VFU_DEVICE_FEATURE, EINVAL, 7, VFIO_DEVICE_FEATURE_SET | 3),
	ROW("feature: argsz too large", VFU_DEVICE_FEATURE, EINVAL, ~0u, VFIO_DEVICE_FEATURE_SET | 3),
	ROW("feature: short payload", VFU_DEVICE_FEATURE, EINVAL, 8),

	/* What a server does not do */
	ROW("command 0", 0, EINVAL, 0),
	ROW("second VERSION", VFU_VERSION, EINVAL, 0),
	ROW("DMA_READ from the client", VFU_DMA_READ, EINVAL, Q(0), Q(4)),
	ROW("DMA_WRITE from the client", VFU_DMA_WRITE, EINVAL, Q(0), Q(4), 0),
	ROW("command 14", 14, EINVAL, 0),
	ROW("migration data read", VFU_MIG_DATA_READ, EINVAL, 8, 4096),
	ROW("migration data write", VFU_MIG_DATA_WRITE, EINVAL, 12, 4, 0),
	ROW("command 19", VFU_COMMANDS, EINVAL, 0),
	ROW("command 0xffff", 0xffff, EINVAL, 0),
	ROW_X("unknown command, with descriptors", 999, EINVAL, (.fd_count = 4), 0),
	ROW_X("unknown command, posted", 999, GOT_NOTHING, (.flags = VFU_FLAG_NO_REPLY), 0),
	ROW_X("a reply to nothing", VFU_DEVICE_SET_IRQS, EINVAL, (.flags = VFU_FLAG_REPLY), 0),
	ROW_X("a DMA_READ reply to nothing", VFU_DMA_READ, EINVAL, (.flags = VFU_FLAG_REPLY), Q(0), Q(4), 0),
	ROW_X("a message of type 2", VFU_DEVICE_GET_INFO, EINVAL, (.flags = 2), 16, 0, 0, 0),
	ROW_X("a message of type 15", VFU_DEVICE_GET_INFO, EINVAL, (.flags = 15), 16, 0, 0, 0),
};
/* clang-format on */

static int open_kind(enum fd_kind kind, int *also)
{
	int ends[2];

	*also = -1;
	switch (kind) {
	case FD_EVENTFD:
		return eventfd(0, EFD_CLOEXEC);
	case FD_MEMORY:
		return make_memory_fd(0x4000);
	case FD_PIPE:
		assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
		*also = ends[0];
		return ends[1];
	case FD_SOCKET:
		return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	case FD_DEV_NULL:
		return open("/dev/null", O_RDWR | O_CLOEXEC);
	case FD_DIRECTORY:
		return open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	case FD_READ_ONLY:
		return open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	}
	return -1;
}

static void still_answers(struct rig *rig)
{
	uint32_t id;

	assert_int_equal(client_read(rig, VFIO_PCI_CONFIG_REGION_INDEX, 0, &id, sizeof(id)), 0);
	assert_int_equal(id, 0x00101b36);
}

static void run_row(void **state)
{
	const struct row *row = *state;
	size_t bytes = row->dwords * 4 - row->cut;
	int fds[16], also[16];
	struct rig rig;

	rig_ready(&rig);
	for (unsigned int i = 0; i < row->fd_count; i++)
		fds[i] = open_kind(row->fd_kind, &also[i]);
	client_send(&rig, row->command, row->flags, row->payload, bytes, fds, row->fd_count);
	for (unsigned int i = 0; i < row->fd_count; i++) {
		close(fds[i]);
		if (also[i] >= 0)
			close(also[i]);
	}
	rig_step(&rig);
	int got = client_receive(&rig);
	assert_int_equal(got, row->expect);
	if (got == 0 && row->answer)
		assert_int_equal(rig.reply->bytes, row->answer);
	else if (got == 0)
		assert_int_equal(rig.reply->bytes, 0);
	client_close_reply_fds(&rig);
	still_answers(&rig);
	rig_stop(&rig);
}

int main(void)
{
	static struct CMUnitTest tests[ARRAY_SIZE(rows)];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		tests[i] = (struct CMUnitTest){
			.name = rows[i].name,
			.test_func = run_row,
			.initial_state = (void *)&rows[i],
		};
	return cmocka_run_group_tests_name("vfio-user messages", tests, NULL, NULL);
}
