# SPDX-License-Identifier: MIT
"""Talks to i915 by its ioctls, in the guest: objects, batches on one engine, waiting for them."""
import ctypes
import fcntl
import glob
import mmap
import os
import struct

ENGINES = {"rcs0": 1, "vcs0": 2, "bcs0": 3, "vecs0": 4}	# I915_EXEC_*
BATCH_END = 0x05000000
STORE_DWORD = (0x20 << 23) | 2
BATCH_START = (0x31 << 23) | (1 << 8) | 1
PINNED = 0x01000000


def ioc(direction, number, size):
    return (direction << 30) | (size << 16) | (ord("d") << 8) | number


def i915(number, size, direction=3):
    return ioc(direction, 0x40 + number, size)


def card(driver="i915", kind="card"):
    for path in sorted(glob.glob(f"/sys/class/drm/{kind}[0-9]*")):
        name = os.path.basename(path)
        if "-" not in name and os.path.exists(path + "/device/driver") and \
                os.path.basename(os.readlink(path + "/device/driver")) == driver:
            return "/dev/dri/" + name
    raise SystemExit(f"no {kind} of {driver}")


def registers(offset):
    """The page of registers at @offset, for reads past the kernel."""
    fd = os.open(f"/sys/class/drm/{os.path.basename(card())}/device/resource0", os.O_RDONLY)
    page = mmap.mmap(fd, 4096, mmap.MAP_SHARED, mmap.PROT_READ, offset=offset)
    os.close(fd)
    return page


class Gpu:
    def __init__(self, path=None):
        self.fd = os.open(path or card(kind="renderD"), os.O_RDWR | os.O_CLOEXEC)

    def ioctl(self, request, layout, *values):
        data = bytearray(struct.pack(layout, *values))
        fcntl.ioctl(self.fd, request, data)
        return struct.unpack(layout, data)

    def create(self, size):
        return self.ioctl(i915(0x1b, 16), "<QII", size, 0, 0)[1]

    def close(self, handle):
        self.ioctl(ioc(1, 0x09, 8), "<II", handle, 0)

    def write(self, handle, offset, data):
        buffer = ctypes.create_string_buffer(bytes(data), len(data))
        self.ioctl(i915(0x1d, 32, 1), "<IIQQQ", handle, 0, offset, len(data),
                   ctypes.addressof(buffer))

    def read(self, handle, offset, size):
        buffer = ctypes.create_string_buffer(size)
        self.ioctl(i915(0x1c, 32, 1), "<IIQQQ", handle, 0, offset, size,
                   ctypes.addressof(buffer))
        return buffer.raw

    def submit(self, handle, engine, context=0, address=PINNED):
        # 64-bit capable, pinned at `address`; a batch may not be named as written to
        entry = struct.pack("<IIQQQQQQ", handle, 0, 0, 0, address, 0x18, 0, 0)
        buffer = ctypes.create_string_buffer(entry, len(entry))
        self.ioctl(i915(0x29, 64, 1), "<QIIIIIIQQQQ", ctypes.addressof(buffer), 1, 0, 0, 0, 0, 0,
                   0, ENGINES[engine], context, 0)

    def wait(self, handle, seconds):
        self.ioctl(i915(0x2c, 16), "<IIq", handle, 0, int(seconds * 1e9))

    def context(self):
        return self.ioctl(i915(0x2d, 8), "<II", 0, 0)[0]

    def reset_stats(self, context):
        """(resets seen, batches of this context that hung)"""
        values = self.ioctl(i915(0x32, 24), "<IIIIII", context, 0, 0, 0, 0, 0)
        return values[2], values[3]


def store(gpu, engine, value, times=1):
    """A batch that stores value; the value found, after `times` runs, each waited for."""
    handle = gpu.create(4096)
    words = (STORE_DWORD, PINNED + 2048, 0, value, BATCH_END, 0)
    gpu.write(handle, 0, struct.pack("<6I", *words))
    for _ in range(times):
        gpu.submit(handle, engine)
        gpu.wait(handle, 20)
    found = struct.unpack("<I", gpu.read(handle, 2048, 4))[0]
    gpu.close(handle)
    return found
