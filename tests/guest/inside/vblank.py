# SPDX-License-Identifier: MIT
"""vblank.py SECONDS: prints, for each lit pipe, "pipe wanted measured" in Hz.

Wanted is what the mode's clock and totals say; measured comes from the kernel's own vblank
sequence numbers and times.
"""
import os
import sys

import gem
import kms

fd = os.open(gem.card(), os.O_RDWR)
wanted_seconds = float(sys.argv[1])
for pipe, crtc in enumerate(kms.crtcs(fd)):
    mode = kms.mode_of(fd, crtc)
    if not mode:
        continue
    first, begin = kms.vblank(fd, pipe, 1)
    last, end = first, begin
    while end - begin < wanted_seconds:
        last, end = kms.vblank(fd, pipe, 30)
    print(pipe, f"{mode[2]:.4f}", f"{(last - first) / (end - begin):.4f}")
