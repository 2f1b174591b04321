# SPDX-License-Identifier: MIT
"""blit.py: copies, tiles and fills on bcs0 through i915's ioctls; compares what memory holds."""
import ctypes
import os
import struct

import gem

BATCH, SOURCE, TARGET = 0x1000000, 0x2000000, 0x4000000
PITCH, ROWS = 2048, 512		# 512 pixels of 32 bits
SIZE = PITCH * ROWS
DEPTH_32 = 3 << 24
COPY, FILL, XOR = 0xcc << 16, 0xf0 << 16, 0x66 << 16
SRC_TILED, DST_TILED = 1 << 15, 1 << 11
WRITE_ARGB = 3 << 20
BCS_SWCTRL = 0x22200


def color(x1, y1, x2, y2, value, rop=FILL):
    return [2 << 29 | 0x50 << 22 | WRITE_ARGB | 5, DEPTH_32 | rop | PITCH, y1 << 16 | x1,
            y2 << 16 | x2, TARGET, 0, value]


def copy(source, target, flags=0, rect=(0, 0, PITCH // 4, ROWS), at=(0, 0), rop=COPY):
    x1, y1, x2, y2 = rect
    return [2 << 29 | 0x53 << 22 | WRITE_ARGB | flags | 8,
            DEPTH_32 | rop | (PITCH // 4 if flags & DST_TILED else PITCH), y1 << 16 | x1,
            y2 << 16 | x2, target, 0, at[1] << 16 | at[0],
            PITCH // 4 if flags & SRC_TILED else PITCH, source, 0]


def fast_copy(source, target, source_tiling, target_tiling):
    """Tilings: 0 linear, 1 X, 2 Y."""
    return [2 << 29 | 0x42 << 22 | source_tiling << 20 | target_tiling << 13 | 8,
            DEPTH_32 | (PITCH // 4 if target_tiling else PITCH), 0, ROWS << 16 | PITCH // 4,
            target, 0, 0, PITCH // 4 if source_tiling else PITCH, source, 0]


def swctrl(value):
    return [0x22 << 23 | 1, BCS_SWCTRL, 3 << 16 | value]


def tiled(data, width, height, place):
    """@data in tiles of @width bytes by @height rows; @place: of a byte in its tile."""
    out = bytearray(len(data))
    run = 512 if width == 512 else 16
    for y in range(ROWS):
        for x in range(0, PITCH, run):
            tile = y // height * (PITCH // width) + x // width
            at = tile * 4096 + place(x % width, y % height)
            out[at:at + run] = data[y * PITCH + x:y * PITCH + x + run]
    return bytes(out)


def in_x(x, y):
    return y * 512 + x


def in_y(x, y):
    return x // 16 * 512 + y * 16 + x % 16


class Blitter:
    def __init__(self):
        self.gpu = gem.Gpu()
        self.source = self.gpu.create(SIZE)
        self.target = self.gpu.create(SIZE)
        self.batch = self.gpu.create(4096)
        self.data = os.urandom(SIZE)
        self.gpu.write(self.source, 0, self.data)

    def run(self, *commands):
        words = [word for command in commands for word in command] + [gem.BATCH_END]
        words += [0] * (len(words) % 2)
        self.gpu.write(self.batch, 0, struct.pack(f"<{len(words)}I", *words))
        # pinned, 48 bits, written to or not; the batch comes last
        objects = b"".join(struct.pack("<IIQQQQQQ", handle, 0, 0, 0, address, flags, 0, 0)
                           for handle, address, flags in ((self.source, SOURCE, 0x1c),
                                                          (self.target, TARGET, 0x1c),
                                                          (self.batch, BATCH, 0x18)))
        buffer = ctypes.create_string_buffer(objects, len(objects))
        self.gpu.ioctl(gem.i915(0x29, 64, 1), "<QIIIIIIQQQQ", ctypes.addressof(buffer), 3, 0,
                       len(words) * 4, 0, 0, 0, 0, gem.ENGINES["bcs0"], 0, 0)
        self.gpu.wait(self.batch, 20)

    def expect(self, what, expected, handle=None):
        found = self.gpu.read(handle or self.target, 0, SIZE)
        if found != expected:
            at = next(i for i in range(SIZE) if found[i] != expected[i])
            raise SystemExit(f"{what}: byte {at:#x} is {found[at]:#x}, not {expected[at]:#x}")
        print(f"{what}: right")


def main():
    b = Blitter()
    b.run(copy(SOURCE, TARGET))
    b.expect("XY_SRC_COPY_BLT", b.data)
    b.run(color(0, 0, PITCH // 4, ROWS, 0x12345678))
    b.expect("XY_COLOR_BLT", struct.pack("<I", 0x12345678) * (SIZE // 4))
    b.run(copy(SOURCE, TARGET, rop=XOR), color(0, 0, PITCH // 4, ROWS, 0x12345678, 0x5a << 16))
    b.expect("exclusive or, twice", b.data)

    x_tiles, y_tiles = tiled(b.data, 512, 8, in_x), tiled(b.data, 128, 32, in_y)
    b.run(fast_copy(SOURCE, TARGET, 0, 1))
    b.expect("XY_FAST_COPY_BLT to X tiles", x_tiles)
    b.run(fast_copy(SOURCE, TARGET, 0, 2))
    b.expect("XY_FAST_COPY_BLT to Y tiles", y_tiles)
    b.run(swctrl(0), copy(SOURCE, TARGET, DST_TILED))
    b.expect("XY_SRC_COPY_BLT to X tiles", x_tiles)
    b.run(swctrl(2), copy(SOURCE, TARGET, DST_TILED))
    b.expect("XY_SRC_COPY_BLT to Y tiles", y_tiles)
    b.run(swctrl(1), copy(TARGET, SOURCE, SRC_TILED), swctrl(0))
    b.expect("and back", b.data, b.source)

    # scrolled by one row and one pixel inside itself, down and to the right
    b.run(copy(SOURCE, TARGET), copy(TARGET, TARGET, rect=(1, 1, PITCH // 4, ROWS)))
    b.expect("scrolling", b.data[:PITCH] + b"".join(
        b.data[y * PITCH:y * PITCH + 4] + b.data[(y - 1) * PITCH:y * PITCH - 4]
        for y in range(1, ROWS)))


main()
