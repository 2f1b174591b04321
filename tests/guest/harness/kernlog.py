# SPDX-License-Identifier: MIT
"""Reads a guest's kernel log for anything i915 or drm complains about.

It looks at the words, not at the log level alone: a stock driver warns at several levels.  What
it forgives is named here, each with its reason.
"""
import re

DETECTED = "Virtual GPU for Intel GVT-g detected"

# (pattern, what it is): a complaint wherever it stands.
ANYWHERE = [
    (r"WARNING: CPU", "a WARN"),
    (r"BUG:|Oops|general protection fault|Kernel panic|Call Trace:", "a crash or a backtrace"),
    (r"GPU HANG|stuck on|hang detected", "a GPU hang"),
    (r"INFO: task .* blocked", "a hung task"),
    (r"soft lockup|rcu.*detected stalls|hard LOCKUP", "a stalled CPU"),
    (r"callbacks suppressed", "messages that were suppressed"),
    (r"irq \d+: nobody cared", "an interrupt nobody asked for"),
    (r"vgaarb: .*(fail|error)", "a failure on the way to the device"),
]
# In lines of i915 and drm, and of what stands between them and the device.
OWN = re.compile(r"i915|\[drm|drm:|drm_|fbcon|snd_hda.*i915|0000:00:02\.0|0000:00:03\.0")
COMPLAINT = re.compile(
    r"\*ERROR\*|error|warn|fail|timed? ?out|time-out|mismatch|unclaimed|invalid|unexpected|"
    r"not zero|stuck|spurious|wedged|\bhang|\breset(ting)? |\blost|underrun|cannot|can't|could not|unable|"
    r"\bbad |corrupt|unsupported|fence expiration|tainted|missing", re.I)
FORGIVEN = [
    (r"firmware: failed to load i915/|Direct firmware load for i915/", "optional firmware that is not installed"),
    (r"firmware: failed to load regulatory", "wireless rules, nothing of ours"),
    (r"Failed to load DMC firmware|Disabling runtime power management|DMC firmware homepage|"
     r"DMC firmware", "the optional DMC firmware is not installed"),
    (r"See https://wiki\.debian\.org/Firmware|firmware: .*i915", "the same, Debian's hint"),
    (r"remove_conflicting|deactivate vga console", "the driver takes the screen over, as it should"),
    (r"ACPI (opregion|OpRegion) not supported", "a device without the host's own firmware tables"),
    (r"\[drm\] (Memory usable|Supports vblank|No driver support for vblank)", "plain news"),
    (r"pci 0000:00:0[23]\.0: .*(BAR|reg|VGA|enabling|Video device)", "plain news of the PCI bus"),
]


def _forgiven(line, also):
    for pattern, reason in FORGIVEN + list(also):
        if re.search(pattern, line):
            return reason
    return None


def complaints(log, allow=()):
    """[(line, why)]; allow: further (pattern, reason) pairs, where a test provokes something."""
    found = []
    for line in log.splitlines():
        if _forgiven(line, allow):
            continue
        why = next((what for pattern, what in ANYWHERE if re.search(pattern, line)), None)
        if not why and OWN.search(line):
            match = COMPLAINT.search(line)
            why = match and f"a line of the driver's with '{match.group(0).strip()}'"
        if why:
            found.append((line, why))
    return found


def explain(found, limit=8):
    lines = [f"{why}: {line.strip()}" for line, why in found[:limit]]
    if len(found) > limit:
        lines.append(f"... and {len(found) - limit} more")
    return "\n".join(lines)
