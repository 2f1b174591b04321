# SPDX-License-Identifier: MIT
"""timestamp.py SECONDS: prints "lowest highest" in MHz, between which the timestamp's rate lies.

The render engine's timestamp is read by intel_reg, at some moment between two looks at the clock:
what lies between these is the error, and it is known, however busy the machine is.  Looks on until
the two bounds are within 2 % of each other, SECONDS at most.
"""
import re
import subprocess
import sys
import time


def look():
    before = time.monotonic()
    out = subprocess.run(["intel_reg", "read", "0x2358"], capture_output=True, text=True,
                         check=True).stdout
    after = time.monotonic()
    return before, int(re.findall(r"0x([0-9a-fA-F]{8})\b", out)[-1], 16), after


def width(sample):
    return sample[2] - sample[0]


first = min((look() for _ in range(5)), key=width)
limit = time.monotonic() + float(sys.argv[1])
low, high = 0, float("inf")
while high > low * 1.02 and time.monotonic() < limit:
    last = look()
    ticks = (last[1] - first[1]) % (1 << 32)
    low = max(low, ticks / (last[2] - first[0]) / 1e6)
    if last[0] > first[2]:
        high = min(high, ticks / (last[0] - first[2]) / 1e6)
    time.sleep(0.5)
print(f"{low:.4f} {high:.4f}")
