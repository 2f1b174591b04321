# SPDX-License-Identifier: MIT
"""flips.py COUNT: flips pipe A between two buffers, each flip as soon as the last one is shown.

Prints a line for each: "first last shown".  The driver wrote the plane's registers between the
frames first and last (its trace points say so), and told the program that blank `shown` showed it,
all counted by the pipe's own frame counter.  Then "handled" with the blanks whose interrupt the
driver handled, and "counted" with the flips that the device counted.
"""
import os
import re
import subprocess
import sys

import gem
import kms

TRACING = "/sys/kernel/tracing"
EVENTS = ("i915/intel_pipe_update_vblank_evaded", "i915/intel_pipe_update_end",
          "drm/drm_vblank_event")


def tracing(file, text):
    with open(f"{TRACING}/{file}", "w") as control:
        control.write(text)


def traced(pattern):
    with open(f"{TRACING}/trace") as trace:
        return [int(number) for number in re.findall(pattern, trace.read())]


def offset(fd, counter):
    """What the kernel's count of blanks is ahead of the pipe's.  It can lag behind for as long as
    an interrupt takes to be handled, so the greatest of some looks is it."""
    found = []
    while len(found) < 8:
        before = counter.frames()
        number = kms.vblank(fd, 0, 0)[0]
        if counter.frames() == before:
            found.append(number - before)
    return max(found)


count = int(sys.argv[1])
if not os.path.ismount(TRACING):
    subprocess.run(["mount", "-t", "tracefs", "tracefs", TRACING], check=True)
fd = os.open(gem.card(), os.O_RDWR)
crtc = kms.crtcs(fd)[0]
width, height, _ = kms.mode_of(fd, crtc)
buffers = [kms.frame_buffer(fd, width, height) for _ in range(2)]
kms.flip(fd, crtc, buffers[1])		# from the console's buffer to ours

counter = kms.Counters(0)
tracing("trace", "")
for event in EVENTS:
    tracing(f"events/{event}/enable", "1")
ahead = offset(fd, counter)
before = counter.flips()
shown = [kms.flip(fd, crtc, buffers[number % 2]) - ahead for number in range(count)]
counted = counter.flips() - before
if offset(fd, counter) != ahead:
    raise SystemExit("the kernel's count of blanks and the pipe's went apart")
for event in EVENTS:
    tracing(f"events/{event}/enable", "0")
first = traced(r"intel_pipe_update_vblank_evaded: .*frame=(\d+)")
last = traced(r"intel_pipe_update_end: .*frame=(\d+)")
if not len(first) == len(last) == count:
    raise SystemExit(f"{count} flips, but the plane was written {len(first)} or {len(last)} times")
for line in zip(first, last, shown):
    print(*line)
print("handled", *(number - ahead for number in traced(r"drm_vblank_event: crtc=0, seq=(\d+)")))
print("counted", counted)
