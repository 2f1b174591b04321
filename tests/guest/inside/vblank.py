# SPDX-License-Identifier: MIT
"""vblank.py SECONDS: prints, for each lit pipe, "pipe wanted measured" in Hz.

Wanted is what the mode's clock and totals say; measured comes from the kernel's own vblank
sequence numbers and times.
"""
import fcntl
import os
import struct
import sys

import ctypes
import gem

GET_RESOURCES, GET_CRTC = gem.ioc(3, 0xa0, 64), gem.ioc(3, 0xa1, 104)
WAIT_VBLANK = gem.ioc(3, 0x3a, 24)
RELATIVE, PIPE_SHIFT = 1, 1


def crtcs(fd):
    data = bytearray(struct.pack("<4Q8I", *[0] * 12))
    fcntl.ioctl(fd, GET_RESOURCES, data)
    count = struct.unpack_from("<I", data, 36)[0]
    ids = (ctypes.c_uint32 * count)()
    data = bytearray(struct.pack("<4Q8I", 0, ctypes.addressof(ids), 0, 0, 0, count, *[0] * 6))
    fcntl.ioctl(fd, GET_RESOURCES, data)
    return list(ids)


def rate_of(fd, crtc):
    data = bytearray(104)
    struct.pack_into("<I", data, 12, crtc)
    fcntl.ioctl(fd, GET_CRTC, data)
    if not struct.unpack_from("<I", data, 32)[0]:
        return None
    clock, _, _, _, htotal, _, _, _, _, vtotal = struct.unpack_from("<I9H", data, 36)
    return clock * 1000 / (htotal * vtotal)


def vblank(fd, pipe, count):
    data = bytearray(struct.pack("<IIQQ", RELATIVE | (pipe << PIPE_SHIFT), count, 0, 0))
    fcntl.ioctl(fd, WAIT_VBLANK, data)
    _, sequence, seconds, micros = struct.unpack("<IIqq", data)
    return sequence, seconds + micros / 1e6


fd = os.open(gem.card(), os.O_RDWR)
wanted_seconds = float(sys.argv[1])
for pipe, crtc in enumerate(crtcs(fd)):
    wanted = rate_of(fd, crtc)
    if not wanted:
        continue
    first, begin = vblank(fd, pipe, 1)
    last, end = first, begin
    while end - begin < wanted_seconds:
        last, end = vblank(fd, pipe, 30)
    print(pipe, f"{wanted:.4f}", f"{(last - first) / (end - begin):.4f}")
