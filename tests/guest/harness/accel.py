# SPDX-License-Identifier: MIT
"""KVM or TCG: what can really run a stock guest kernel on this machine.

/dev/kvm may exist and yet not run one (a nested hypervisor that interprets the guest's kernel
takes minutes to its first line).  So it is tried: the guest's kernel and ramdisk are booted under
-accel kvm with a serial console, and KVM is believed only when the line "Run /init as init
process" arrives within PROBE_SECONDS.  The answer is kept in the cache folder under the machine's
boot id, as one line: "kvm" or "tcg REASON".  `mediant run` asks in the same way and shares the file.
"""
import os
import pathlib
import tempfile
import time

from . import host
from .proc import Process

PROBE_SECONDS = 10
PROOF = "Run /init as init process"


def arguments(kind):
    if kind == "kvm":
        return ["-accel", "kvm", "-cpu", "host"]
    return ["-accel", "tcg,thread=multi", "-cpu", "Nehalem"]


def _boot_id():
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


def _probe(log):
    """Boots the kernel under KVM, its words to log; (kind, why, keep): what a QEMU that ended
    tells is not about the machine."""
    image = host.image()
    argv = [host.qemu(), "-nodefaults", "-no-user-config", "-machine", "q35", "-m", "512M",
            *arguments("kvm"), "-kernel", str(image / "vmlinuz"),
            "-initrd", str(image / "initrd"), "-append", "console=ttyS0 panic=-1", "-no-reboot",
            "-display", "none", "-serial", "stdio", "-monitor", "none"]
    process = Process("KVM probe", argv, log)
    end = time.monotonic() + PROBE_SECONDS
    try:
        while time.monotonic() < end:
            if PROOF in process.log():
                return "kvm", "a stock kernel runs under it", True
            if not process.running():
                words = process.log().strip().splitlines()[-1:] or ["no word"]
                return "tcg", f"QEMU could not use /dev/kvm ({words[0][:120]})", False
            time.sleep(0.1)
    finally:
        process.kill()
    return ("tcg", f"/dev/kvm exists but a stock kernel did not start under it within {PROBE_SECONDS} s",
            True)


def choose():
    """(kind, why), from $MEDIANT_ACCEL, the cache, or a probe."""
    wish = os.environ.get("MEDIANT_ACCEL")
    if wish in ("kvm", "tcg"):
        return wish, "MEDIANT_ACCEL says so"
    if not os.path.exists("/dev/kvm"):
        return "tcg", "there is no /dev/kvm"
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg", "/dev/kvm is not accessible to this user (its group is usually kvm)"
    answer = host.cache() / f"accel-{_boot_id()}"
    if not answer.exists():
        host.note(f"accel: trying whether KVM runs a stock kernel (up to {PROBE_SECONDS} s) ...")
        with tempfile.TemporaryDirectory(prefix="mediant-probe-") as folder:
            kind, why, keep = _probe(pathlib.Path(folder) / "kvm-probe.log")
        host.note(f"accel: using {kind.upper()}: {why}")
        if not keep:
            return kind, why
        answer.parent.mkdir(parents=True, exist_ok=True)
        fresh = answer.with_suffix(f".{os.getpid()}")
        fresh.write_text(f"{kind} {why}\n")
        fresh.rename(answer)
    kind, _, why = answer.read_text().strip().partition(" ")
    return kind, why
