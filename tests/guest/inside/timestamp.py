# SPDX-License-Identifier: MIT
"""timestamp.py SECONDS: prints "lowest highest" in MHz, between which the timestamp's rate lies.

The render engine's timestamp is read past the kernel, at some moment between two looks at the clock:
what lies between these is the error, and it is known, however busy the machine is.  Looks on until
the two bounds are within 0.5 % of each other, SECONDS at most.  Then intel_reg reads it once, and has
to find what lies between two readings of ours.
"""
import re
import struct
import subprocess
import sys
import time

import gem

TIMESTAMP = 0x2358
page = gem.registers(TIMESTAMP & ~0xfff)


def read():
    return struct.unpack_from("=I", page, TIMESTAMP & 0xfff)[0]


def look():
    before = time.monotonic()
    ticks = read()
    return before, ticks, time.monotonic()


def width(sample):
    return sample[2] - sample[0]


def ticks_from(start, end):
    return (end - start) % (1 << 32)


first = min((look() for _ in range(5)), key=width)
limit = time.monotonic() + float(sys.argv[1])
low, high = 0, float("inf")
while high > low * 1.005 and time.monotonic() < limit:
    time.sleep(0.5)
    last = look()
    ticks = ticks_from(first[1], last[1])
    low = max(low, ticks / (last[2] - first[0]) / 1e6)
    if last[0] > first[2]:
        high = min(high, ticks / (last[0] - first[2]) / 1e6)

before = read()
out = subprocess.run(["intel_reg", "read", hex(TIMESTAMP)], capture_output=True, text=True,
                     check=True).stdout
after = read()
found = int(re.findall(r"0x([0-9a-fA-F]{8})\b", out)[-1], 16)
if ticks_from(before, found) > ticks_from(before, after):
    raise SystemExit(f"intel_reg reads {found:#x}, between {before:#x} and {after:#x}")
print(f"{low:.4f} {high:.4f}")
