# SPDX-License-Identifier: MIT
"""submit.py ENGINE COUNT: runs a storing batch COUNT times, waiting each time; checks the value."""
import sys
import time

import gem

engine, count = sys.argv[1], int(sys.argv[2])
gpu = gem.Gpu()
value = 0x5eed0000 + gem.ENGINES[engine]
start = time.monotonic()
found = gem.store(gpu, engine, value, count)
if found != value:
    raise SystemExit(f"{engine}: {found:#x} in memory, not {value:#x}")
print(f"{(time.monotonic() - start) / count * 1e6:.0f} us each")
