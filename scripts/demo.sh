#!/bin/sh
# SPDX-License-Identifier: MIT
# What `make demo` runs after the build: gets QEMU and the guest's image if they are not there yet,
# then boots a Debian guest on one vGPU (scripts/demo.py).  STAY=1 or --stay keeps it running.
set -eu
cd "$(dirname "$0")/.."
scripts/setup.sh guest
scripts/qemu.sh >/dev/null
scripts/guest-image.sh >/dev/null
exec python3 scripts/demo.py "$@"
