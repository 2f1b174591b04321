#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints "kvm" or "tcg" (the reason on stderr): what scripts/qemu.sh --accel runs."""
import signal
import sys

from harness import accel

for number in (signal.SIGTERM, signal.SIGHUP):		# the probe's QEMU ends with us
    signal.signal(number, lambda number, _: sys.exit(128 + number))
kind, why = accel.choose()
print(f"using {kind.upper()}: {why}", file=sys.stderr)
print(kind)
