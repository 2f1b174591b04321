# SPDX-License-Identifier: MIT
"""Pictures as the tests compare them: PNG (from `mediant screenshot`) and PPM (from QEMU)."""
import struct
import zlib


class Picture:
    """RGB, 8 bits each, rows from the top, no padding."""

    def __init__(self, width, height, rgb):
        self.width, self.height, self.rgb = width, height, rgb

    def __eq__(self, other):
        return (self.width, self.height, self.rgb) == (other.width, other.height, other.rgb)

    def size(self):
        return f"{self.width}x{self.height}"

    def pixel(self, x, y):
        at = (y * self.width + x) * 3
        return tuple(self.rgb[at:at + 3])

    def distinct(self):
        """How many different colours there are (counts to 64 at most, from a sample)."""
        step = max(1, self.width * self.height // 65536) * 3
        seen = set()
        for at in range(0, len(self.rgb), step):
            seen.add(self.rgb[at:at + 3])
            if len(seen) >= 64:
                break
        return len(seen)

    def lit(self, x, y, width, height):
        """How many pixels of a rectangle are not black."""
        count = 0
        for row in range(y, min(y + height, self.height)):
            line = self.rgb[(row * self.width + x) * 3:(row * self.width + x + width) * 3]
            count += sum(1 for at in range(0, len(line), 3) if any(line[at:at + 3]))
        return count

    def difference(self, other):
        """Where two pictures part, in words; '' when they do not."""
        if (self.width, self.height) != (other.width, other.height):
            return f"sizes {self.size()} and {other.size()}"
        if self.rgb == other.rgb:
            return ""
        row_bytes = self.width * 3
        for y in range(self.height):
            mine, theirs = (p.rgb[y * row_bytes:(y + 1) * row_bytes] for p in (self, other))
            if mine != theirs:
                x = next(at for at in range(row_bytes) if mine[at] != theirs[at]) // 3
                rows = sum(self.rgb[at:at + row_bytes] != other.rgb[at:at + row_bytes]
                           for at in range(0, len(self.rgb), row_bytes))
                return (f"first at ({x}, {y}): {self.pixel(x, y)} and {other.pixel(x, y)}; "
                        f"{rows} of {self.height} rows differ")
        return ""


def _unfilter(kind, line, above, step):
    if kind == 0:
        return line
    out = bytearray(line)
    if kind == 2:
        return bytes((a + b) & 255 for a, b in zip(out, above))
    for at, value in enumerate(out):
        left = out[at - step] if at >= step else 0
        up = above[at]
        if kind == 1:
            guess = left
        elif kind == 3:
            guess = (left + up) >> 1
        else:
            corner = above[at - step] if at >= step else 0
            p = left + up - corner
            order = (abs(p - left), abs(p - up), abs(p - corner))
            guess = (left, up, corner)[order.index(min(order))]
        out[at] = (value + guess) & 255
    return bytes(out)


def _read_png(data):
    at, packed, header = 8, b"", None
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8:at + 8 + size]
        if kind == b"IHDR":
            header = struct.unpack(">IIBBBBB", body)
        elif kind == b"IDAT":
            packed += body
        at += size + 12
    width, height, depth, colour, _, _, interlace = header
    if depth != 8 or colour not in (2, 6) or interlace:
        raise ValueError(f"a PNG of depth {depth}, colour type {colour} is not read here")
    step = 3 if colour == 2 else 4
    raw, stride = zlib.decompress(packed), width * step
    rows, above = [], bytes(stride)
    for y in range(height):
        start = y * (stride + 1)
        above = _unfilter(raw[start], raw[start + 1:start + 1 + stride], above, step)
        rows.append(above)
    pixels = b"".join(rows)
    if step == 4:
        rgb = bytearray(width * height * 3)
        for channel in range(3):
            rgb[channel::3] = pixels[channel::4]
        pixels = bytes(rgb)
    return Picture(width, height, pixels)


def _read_ppm(data):
    words = data.split(maxsplit=4)
    width, height, top = int(words[1]), int(words[2]), int(words[3])
    if words[0] != b"P6" or top != 255:
        raise ValueError("only binary PPM with 255 levels is read here")
    start = len(data) - width * height * 3
    return Picture(width, height, data[start:])


def read(path):
    with open(path, "rb") as file:
        data = file.read()
    return _read_png(data) if data.startswith(b"\x89PNG") else _read_ppm(data)
