# SPDX-License-Identifier: MIT
"""wedge.py: keeps every engine busy with an endless batch and has the driver reset all of them.

An engine without work is asleep, and the driver leaves it out.  It keeps no record of the hang: making
one takes longer on a slow machine than batches are left to run.
"""
import struct

import gem

DEBUG = "/sys/kernel/debug/dri/0/"


def tell(file, text):
    with open(DEBUG + file, "w") as out:
        out.write(text)


tell("i915_params/error_capture", "0")
busy = []
for name in gem.ENGINES:
    gpu = gem.Gpu()
    handle = gpu.create(4096)
    gpu.write(handle, 0, struct.pack("<4I", gem.BATCH_START, gem.PINNED, 0, 0))
    gpu.submit(handle, name)
    busy.append((gpu, handle))
tell("i915_wedged", "0xffffffff")	# a bit for each engine there could be
for gpu, handle in busy:
    gpu.wait(handle, 60)
tell("i915_params/error_capture", "1")
