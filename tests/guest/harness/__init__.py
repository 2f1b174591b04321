# SPDX-License-Identifier: MIT
"""What the real-guest tests stand on: a vGPU process, a QEMU guest, and ways to look at both.

Everything is bounded in time, and only processes started here are ever ended.
"""
