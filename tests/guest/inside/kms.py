# SPDX-License-Identifier: MIT
"""Talks to i915's displays by the ioctls of KMS, in the guest: pipes, frame buffers, flips, blanks."""
import ctypes
import fcntl
import os
import struct

import gem

GET_RESOURCES, GET_CRTC = gem.ioc(3, 0xa0, 64), gem.ioc(3, 0xa1, 104)
WAIT_VBLANK = gem.ioc(3, 0x3a, 24)
ADD_FB, PAGE_FLIP, CREATE_DUMB = gem.ioc(3, 0xae, 28), gem.ioc(3, 0xb0, 24), gem.ioc(3, 0xb2, 32)
RELATIVE, PIPE_SHIFT = 1, 1
FLIP_EVENT = 1


def crtcs(fd):
    data = bytearray(struct.pack("<4Q8I", *[0] * 12))
    fcntl.ioctl(fd, GET_RESOURCES, data)
    count = struct.unpack_from("<I", data, 36)[0]
    ids = (ctypes.c_uint32 * count)()
    data = bytearray(struct.pack("<4Q8I", 0, ctypes.addressof(ids), 0, 0, 0, count, *[0] * 6))
    fcntl.ioctl(fd, GET_RESOURCES, data)
    return list(ids)


def mode_of(fd, crtc):
    """(width, height, Hz) of a lit pipe, or None."""
    data = bytearray(104)
    struct.pack_into("<I", data, 12, crtc)
    fcntl.ioctl(fd, GET_CRTC, data)
    if not struct.unpack_from("<I", data, 32)[0]:
        return None
    clock, width, _, _, htotal, _, height, _, _, vtotal = struct.unpack_from("<I9H", data, 36)
    return width, height, clock * 1000 / (htotal * vtotal)


def vblank(fd, pipe, count):
    """Waits for @count blanks; (the last one's number, its time in seconds)."""
    data = bytearray(struct.pack("<IIQQ", RELATIVE | (pipe << PIPE_SHIFT), count, 0, 0))
    fcntl.ioctl(fd, WAIT_VBLANK, data)
    _, sequence, seconds, micros = struct.unpack("<IIqq", data)
    return sequence, seconds + micros / 1e6


def frame_buffer(fd, width, height):
    """A new linear XRGB8888 one; its id."""
    data = bytearray(struct.pack("<IIIIIIQ", height, width, 32, 0, 0, 0, 0))
    fcntl.ioctl(fd, CREATE_DUMB, data)
    _, _, _, _, handle, pitch, _ = struct.unpack("<IIIIIIQ", data)
    data = bytearray(struct.pack("<7I", 0, width, height, pitch, 32, 24, handle))
    fcntl.ioctl(fd, ADD_FB, data)
    return struct.unpack_from("<I", data)[0]


def flip(fd, crtc, buffer):
    """Shows @buffer, waits until it is shown; the number of the blank that did it."""
    fcntl.ioctl(fd, PAGE_FLIP, struct.pack("<4IQ", crtc, buffer, FLIP_EVENT, 0, 0))
    return struct.unpack_from("<IIQIII", os.read(fd, 4096))[5]


class Counters:
    """PIPE_FRMCOUNT and PIPE_FLIPCOUNT of a pipe, read past the kernel."""

    def __init__(self, pipe):
        self.page = gem.registers(0x70000 + 0x1000 * pipe)

    def frames(self):
        return struct.unpack_from("<I", self.page, 0x40)[0]

    def flips(self):
        return struct.unpack_from("<I", self.page, 0x44)[0]
