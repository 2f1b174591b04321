# SPDX-License-Identifier: MIT
"""Reads a guest's kernel log, as `dmesg -x` prints it, for anything i915 or drm complains about.

A line of theirs is a complaint by its level, warn or above, and by its words at any level: a stock
driver warns at several.  What is forgiven is named here, whole lines only, each with its reason.
"""
import re

DETECTED = "Virtual GPU for Intel GVT-g detected"

# (pattern, what it is): a complaint wherever it stands; nothing excuses it.
ANYWHERE = [
    (r"WARNING: CPU", "a WARN"),
    (r"BUG:|Oops|general protection fault|Kernel panic|Call Trace:", "a crash or a backtrace"),
    (r"INFO: task .* blocked", "a hung task"),
    (r"soft lockup|rcu.*detected stalls|hard LOCKUP", "a stalled CPU"),
    (r"callbacks suppressed", "messages that were suppressed"),
    (r"irq \d+: nobody cared", "an interrupt nobody asked for"),
    (r"vgaarb: .*(fail|error)", "a failure on the way to the device"),
]
HANG = re.compile(r"GPU HANG|stuck on|hang detected")
# In lines of i915 and drm, and of what stands between them and the device.
OWN = re.compile(r"i915|\[drm|drm:|drm_|fbcon|snd_hda.*i915|0000:00:02\.0|0000:00:03\.0")
# A line that begins with another device is its driver's, [drm] in it or not: the reference adapter's.
OTHER = re.compile(r"\] virtio-pci 0000:00:(?!0[23]\.0)[0-9a-f]{2}\.\d: ")
LEVEL = re.compile(r"^\w+\s*:(emerg|alert|crit|err|warn)\s*:")
COMPLAINT = re.compile(
    r"\*ERROR\*|error|warn|fail|timed? ?out|time-out|mismatch|unclaimed|invalid|unexpected|"
    r"not zero|is zero|stuck|spurious|wedged|\bhang|\breset(ting)? |\blost|underrun|cannot|can't|could not|unable|"
    r"\bbad |wrong|corrupt|unsupported|fence expiration|tainted|missing", re.I)
# What follows the time stamp and the device.
BEGIN = r"\] i915 0000:00:0[23]\.0: "
FORGIVEN = [
    (BEGIN + r"firmware: failed to load i915/\w+\.bin \(-2\)$|"
     + BEGIN + r"Direct firmware load for i915/\w+\.bin failed with error -2$",
     "optional firmware that is not installed"),
    (BEGIN + r"\[drm\] Failed to load DMC firmware i915/\w+\.bin\. Disabling runtime power management\.$",
     "the optional DMC firmware is one of those"),
]


def _first(line, patterns):
    return next((what for pattern, what in patterns if re.search(pattern, line)), None)


def _why(line, allow):
    why = _first(line, ANYWHERE)
    if why or _first(line, allow):
        return why
    if HANG.search(line):
        return "a GPU hang"
    if not OWN.search(line) or OTHER.search(line) or _first(line, FORGIVEN):
        return None
    level, words = LEVEL.search(line), COMPLAINT.search(line)
    if words:
        return f"a line of the driver's with '{words.group(0).strip()}'"
    return f"a line of the driver's at level {level.group(1)}" if level else None


def complaints(log, allow=()):
    """[(line, why)]; allow: (pattern, reason) pairs, where a test provokes something."""
    return [(line, why) for line in log.splitlines() if (why := _why(line, allow))]


def explain(found, limit=8):
    lines = [f"{why}: {line.strip()}" for line, why in found[:limit]]
    if len(found) > limit:
        lines.append(f"... and {len(found) - limit} more")
    return "\n".join(lines)
