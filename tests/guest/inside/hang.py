# SPDX-License-Identifier: MIT
"""hang.py ENGINE SECONDS: a batch without an end; prints how long until the driver had reset."""
import struct
import sys
import time

import gem

engine, seconds = sys.argv[1], float(sys.argv[2])
gpu = gem.Gpu(gem.card())
context = gpu.context()
handle = gpu.create(4096)
gpu.write(handle, 0, struct.pack("<4I", gem.BATCH_START, gem.PINNED, 0, 0))
start = time.monotonic()
gpu.submit(handle, engine, context)
gpu.wait(handle, seconds)
took = time.monotonic() - start
resets, hung = gpu.reset_stats(context)
if not hung:
    raise SystemExit(f"{engine}: the endless batch ended after {took:.1f} s, but the driver saw "
                     f"no hang ({resets} resets)")
for name in gem.ENGINES:
    value = 0xc0de0000 + gem.ENGINES[name]
    if gem.store(gem.Gpu(), name, value) != value:
        raise SystemExit(f"{name}: no longer works after the reset of {engine}")
print(f"{took:.1f}")
