#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints "kvm" or "tcg" (the reason on stderr): what scripts/qemu.sh --accel runs."""
import sys

from harness import accel

kind, why = accel.choose()
print(f"using {kind.upper()}: {why}", file=sys.stderr)
print(kind)
