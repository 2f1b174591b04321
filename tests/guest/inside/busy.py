# SPDX-License-Identifier: MIT
"""busy.py ENGINE: what IGT's gem_busy stands on.  A batch that jumps to itself keeps the engine
busy until the CPU overwrites it, while it runs, with an end."""
import mmap
import struct
import sys
import time

import gem

engine = sys.argv[1]
gpu = gem.Gpu()
handle = gpu.create(4096)
offset = gpu.ioctl(gem.i915(0x24, 32), "<IIQQQ", handle, 0, 0, 1, 0)[2]	# write-combined
page = mmap.mmap(gpu.fd, 4096, offset=offset)
page[0:16] = struct.pack("<4I", gem.BATCH_START, gem.PINNED, 0, 0)


def busy():
    return gpu.ioctl(gem.i915(0x17, 8), "<II", handle, 0)[1] != 0


gpu.submit(handle, engine)
end = time.monotonic() + 1
while time.monotonic() < end:
    if not busy():
        raise SystemExit(f"{engine}: an endless batch ended by itself")
page[0:4] = struct.pack("<I", gem.BATCH_END)
start = time.monotonic()
gpu.wait(handle, 10)
if busy():
    raise SystemExit(f"{engine}: still busy after the batch was ended")
print(f"ended {(time.monotonic() - start) * 1e3:.1f} ms after its end was written")
