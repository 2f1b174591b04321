#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The demonstration: one vGPU, one stock Debian guest on it, its console in a picture.

It owns out/demo/: screen.png (what the guest's i915 draws), guest.log (the guest's whole kernel
log), summary.json (what it cost).  It stands on the harness of the real-guest tests, tells each
step, is bounded in time, and ends by itself unless told to stay.  Ended from outside (Ctrl-C, a
SIGTERM, a closed terminal) it leaves neither a process nor a scratch folder.
"""
import argparse
import json
import os
import pathlib
import platform
import shutil
import signal
import socket
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "guest"))

from harness import accel, console, counters, host, kernlog  # noqa: E402
from harness.guest import Guest  # noqa: E402
from harness.proc import wait_for  # noqa: E402
from harness.suite import install_inside  # noqa: E402
from harness.vgpu import Vgpu, mediant  # noqa: E402

OUT = ROOT / "out" / "demo"
MODE = "1024x768"
IDLE_SECONDS = 60
SUBMISSIONS = 100
# Typed on the guest's console before the picture; what they print fits the screen.
TYPED = ["clear", "uname -srvm", "lspci -k -s 00:02.0", "ls /dev/dri",
         "dmesg -t | grep i915 | grep -vi firmware"]


def say(text):
    print(f"demo: {text}", flush=True)


def free_port(first=5900, last=5999):
    for port in range(first, last + 1):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise host.Failure(f"no free port from {first} to {last} for the VNC server")


def costs(stat):
    """The counters that tell what a stretch of the guest's life cost."""
    return {
        "register_accesses": counters.registers(stat),
        "page_table_entry_writes": counters.get(stat, "traps.ggtt_write"),
        "aperture_reads": counters.get(stat, "traps.aperture_read"),
        "aperture_stores": counters.get(stat, "traps.aperture_write"),
        "all_traps": counters.traps(stat),
        "submissions": sum(counters.engines(stat, "submissions").values()),
        "commands": sum(counters.engines(stat, "commands").values()),
        "interrupts": counters.get(stat, "interrupts", 0),
    }


def between(before, after):
    return {name: after[name] - before[name] for name in after}


class Demo:
    def __init__(self):
        self.port = free_port()
        self.vgpu = Vgpu("demo", "--display", f"hdmi:{MODE}", "--vnc", f"127.0.0.1:{self.port}")
        self.vm = None
        self.started = time.monotonic()
        self.summary = {}

    def boot(self):
        kind, why = accel.choose()
        say(f"using {kind.upper()}: {why}")
        self.summary["accelerator"] = {"kind": kind, "reason": why}
        self.vgpu.start()
        say(f"the vGPU is up; VNC server at 127.0.0.1:{self.port} (loopback only)")
        say("booting Debian on it ...")
        begin = time.monotonic()
        self.vm = Guest("demo", [self.vgpu.socket])
        self.vm.boot(300)
        self.vm.wait_prompt(120)
        wait_for("the guest's console in the picture", 60, self.drawn, 0.5)
        self.summary["seconds_to_login"] = round(time.monotonic() - begin, 1)
        self.summary["boot_to_login"] = costs(self.vgpu.stat())
        say(f"the login prompt is on the screen after {self.summary['seconds_to_login']} s")

    def drawn(self):
        rows = self.vm.console()
        return console.rows_lit(self.vgpu.screenshot(), rows) == console.rows_written(rows)

    def picture(self):
        install_inside(self.vm)
        self.vm.python("typist.py", *TYPED, timeout=120)
        wait_for("what was typed in the picture", 60, self.drawn, 0.5)
        mediant("screenshot", "demo", str(OUT / "screen.png"))
        say(f"the screen is in {OUT.relative_to(ROOT)}/screen.png")

    def log(self):
        log = self.vm.dmesg()
        (OUT / "guest.log").write_text(log)
        found = kernlog.complaints(log)
        fine = "nothing but the missing optional firmware" if "irmware" in log else "nothing"
        self.summary["driver"] = {"vgpu_detected": kernlog.DETECTED in log,
                                  "complaints": [line for line, _ in found]}
        say(f"the kernel's log is in {OUT.relative_to(ROOT)}/guest.log; i915 and drm complain of "
            + (f"{len(found)} things:\n{kernlog.explain(found)}" if found else fine))

    def measure_idle(self):
        say(f"leaving the guest alone for {IDLE_SECONDS} s, counting traps ...")
        before = costs(self.vgpu.stat())
        time.sleep(IDLE_SECONDS)
        self.summary["idle_minute"] = between(before, costs(self.vgpu.stat()))

    def measure_submission(self):
        say(f"submitting {SUBMISSIONS} batches from a program in the guest ...")
        looks = []
        for count in (1, 1 + SUBMISSIONS, 1):		# the program's own start-up is taken out
            before = costs(self.vgpu.stat())
            self.vm.python("submit.py", "rcs0", count)
            time.sleep(1)
            looks.append(between(before, costs(self.vgpu.stat())))
        self.summary["one_submission"] = {
            name: round((looks[1][name] - looks[2][name]) / SUBMISSIONS, 2) for name in looks[1]}

    def versions(self):
        image = host.image()
        qemu = subprocess.run([host.qemu(), "--version"], capture_output=True, text=True,
                              timeout=20).stdout.splitlines()[0]
        self.summary["versions"] = {
            "mediant": mediant("--version", check=False).strip(), "qemu": qemu,
            "guest_kernel": (image / "kernel-version").read_text().strip(),
            "host_kernel": platform.release()}

    def finish(self):
        stat = self.vgpu.stat()
        self.summary["frames"] = sum(pipe.get("frames", 0) for pipe in stat.get("display", []))
        self.summary["interrupts"] = counters.get(stat, "interrupts", 0)
        self.summary["faults"] = counters.total(stat, "faults")
        self.versions()
        self.summary["seconds"] = round(time.monotonic() - self.started, 1)
        (OUT / "summary.json").write_text(json.dumps(self.summary, indent=2) + "\n")
        boot, idle = self.summary["boot_to_login"], self.summary["idle_minute"]
        say(f"boot to login: {boot['register_accesses']} register accesses, "
            f"{boot['aperture_stores']} aperture stores; an idle minute: {idle['all_traps']} traps; "
            f"one submission: {self.summary['one_submission']['all_traps']} traps "
            f"({OUT.relative_to(ROOT)}/summary.json)")

    def stay(self):
        say(f"staying: look at it with a VNC viewer at 127.0.0.1:{self.port}, ask "
            "`build/mediant stat demo`; Ctrl-C ends it")
        try:
            while self.vm.process.running() and self.vgpu.process.running():
                time.sleep(0.5)
        except KeyboardInterrupt:
            print()

    def stop(self):
        if self.vm:
            self.vm.stop()
        self.vgpu.stop()

    def keep_words(self):
        """What was said by whom, for whoever looks into a failure."""
        names = [(self.vgpu, "mediant.log"), (self.vm, "serial.log"), (self.vm, "qemu.log")]
        for owner, name in names:
            if owner and (owner.dir / name).exists():
                shutil.copy(owner.dir / name, OUT / name)


def end_by_signals():
    """Makes SIGTERM and SIGHUP what Ctrl-C is; what our starter ignores (nohup) stays ignored.
    The first one counts: those that follow (make passes on what its process group got as well)
    must not interrupt the cleaning up."""
    numbers = [number for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
               if signal.getsignal(number) != signal.SIG_IGN]

    def interrupt(*_):
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt
    for number in numbers:
        signal.signal(number, interrupt)


def main():
    parser = argparse.ArgumentParser(description="Boots a Debian guest on a vGPU.")
    parser.add_argument("--stay", action="store_true", default=os.environ.get("STAY") == "1",
                        help="keep it running until Ctrl-C (also STAY=1)")
    options = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    demo = None
    try:
        end_by_signals()
        host.scratch(private=False)
        demo = Demo()
        demo.boot()
        demo.picture()
        demo.log()
        demo.measure_idle()
        demo.measure_submission()
        demo.finish()
        if options.stay:
            demo.stay()
        if demo.summary["driver"]["complaints"]:
            say("failed: the guest's kernel complains, see above")
            return 1
    except (host.Failure, TimeoutError, OSError) as error:
        if demo:
            demo.keep_words()
        say(f"failed: {error}")
        say(f"what the programs said is in {OUT.relative_to(ROOT)}/*.log")
        return 1
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    finally:
        if demo:
            demo.stop()
        shutil.rmtree(host.scratch(), ignore_errors=True)
    say("done")
    return 0


if __name__ == "__main__":
    sys.exit(main())
