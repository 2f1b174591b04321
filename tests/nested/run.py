#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the tests that want /dev/kvm on a machine that has none: in an emulated AMD machine.

    tests/nested/run.py [BUILD[:PATTERN]…] [--only PATTERN] [--cpus N] [--lanes N]
    tests/nested/run.py --program build/bench/bench-kvm

QEMU's emulation of a CPU has AMD's virtualisation (SVM) with nested paging, so the Debian kernel
of the guest's image loads its KVM there: the very module, vCPUs, slots and irqfds of a server, only
slow.  The programs are this machine's own (its root is shared read-only by 9p): of the suite "kvm" of
each BUILD folder (build) those whose name matches PATTERN, two at a time.  Results are counted as by
scripts/test-runner.py; the last line is "N passed, N failed, N skipped".  With --program one program
is run instead, alone, and what it says is printed.  Where it cannot be done it says why and ends with
status 77.  An emulated machine breaks at times, as no program in it could break it: it ends without a
word, or one of its CPUs takes no interrupt any more.  Then the rest is run on another one, once.
MEDIANT_HAMMER_SECONDS is handed in.
"""
import argparse
import importlib.util
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "guest"))

from harness import host, proc  # noqa: E402

MEMORY = "2G"
BOOT_LIMIT = 120	# seconds until the first job begins; 6 on a quiet machine
SLOWNESS = 4		# factor on the tests' own time limits
DEAF_S = 60		# a CPU of the machine that has run nothing for so long
SKIP_STATUS = 77
HANDED_IN = ("MEDIANT_HAMMER_SECONDS",)


def load_runner():
    """scripts/test-runner.py: how a program is run and its results counted."""
    spec = importlib.util.spec_from_file_location("test_runner",
                                                  host.ROOT / "scripts" / "test-runner.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


runner = load_runner()


# ---- What goes in -------------------------------------------------------------------------------

def cpio_entry(name, mode, data):
    path = name.encode() + b"\0"
    fields = (0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(path), 0)
    head = b"070701" + b"".join(b"%08x" % field for field in fields) + path
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)


def write_ramdisk(image, path):
    """The image's own ramdisk, for its busybox and modules, with our first program added."""
    given = (image / "initrd").read_bytes()
    ours = cpio_entry("nested-init", 0o100755, (HERE / "init").read_bytes())
    path.write_bytes(given + bytes(-len(given) % 4) + ours + cpio_entry("TRAILER!!!", 0, b""))


# What every thread is at, told shortly before a job's time is over: who is stuck where, in the
# program or in the kernel.
STUCK_S = 10
STUCK = """(
sleep %d
for task in /proc/[0-9]*/task/[0-9]*; do
	readlink $task/exe >/dev/null || continue
	echo "$task $(cat $task/comm): system call $(cat $task/syscall)"
	cat $task/stack
done >/run/out/%d.stuck 2>&1
) &
watch=$!"""


class Job:
    """One test program of one build."""

    def __init__(self, build, test):
        self.build, self.test = pathlib.Path(build).resolve(), test
        self.name = f"{self.build.name}/{test['name']}"
        self.limit = (test.get("timeout") or 30) * SLOWNESS + asked_seconds()

    def lines(self, number):
        env = runner.sanitizer_env(self.test.get("env") or {})
        own = {key: value for key, value in env.items()
               if os.environ.get(key) != value or key in HANDED_IN}
        words = ["env", *(f"{key}={value}" for key, value in own.items()),
                 "timeout", "-k", "5", str(self.limit),
                 *runner.tsan_prefix(self.build), *self.test["cmd"]]
        return [f"cd {shlex.quote(str(self.test.get('workdir') or self.build))}",
                STUCK % (self.limit - STUCK_S, number),
                "read begun _ </proc/uptime",
                f"{shlex.join(words)} >/run/out/{number}.log 2>&1 </dev/null",
                "status=$?; read ended _ </proc/uptime; kill $watch",
                f"echo $status $begun $ended >/run/out/{number}.part",
                f"mv /run/out/{number}.part /run/out/{number}.rc"]


def asked_seconds():
    """For how long the hammers were asked to go on."""
    return 4 * int(os.environ.get("MEDIANT_HAMMER_SECONDS") or 0)


def jobs_of(build, only):
    build, _, pattern = build.partition(":")
    only = only or ([pattern] if pattern else [])
    listed = subprocess.run(["meson", "introspect", "--tests", build], check=True,
                            capture_output=True, text=True).stdout
    return [Job(build, test) for test in json.loads(listed)
            if any(suite.split(":")[-1] == "kvm" for suite in test["suite"])
            and (not only or any(re.search(part, test["name"]) for part in only))]


def program_job(argv):
    path = pathlib.Path(argv[0]).resolve()
    test = {"name": path.name, "cmd": [str(path), *argv[1:]], "timeout": 120,
            "workdir": str(host.ROOT)}
    return Job(next(folder for folder in path.parents if (folder / "meson-info").exists()), test)


# Each lane takes the next job that nobody has taken; in the machine a folder is made by one of them.
LANE = """lane() {
number=0
while [ $number -lt %d ]; do
	mkdir /run/tmp/$number 2>/dev/null && sh /run/out/$number.sh
	number=$((number + 1))
done
}
lanes=
for lane in %s; do
	lane &
	lanes="$lanes $!"
done
wait $lanes
"""

# Each CPU of the machine shows that it still takes interrupts and runs programs.
ALIVE = """taskset -c %d sh -c 'while :; do : >/run/out/alive.%d; sleep 1; done' &"""


def write_jobs(jobs, lanes, cpus, out):
    head = ["export HOME=/run/tmp TMPDIR=/run/tmp MEDIANT_RUNTIME_DIR=/run/tmp/mediant PATH=" +
            shlex.quote(os.environ["PATH"]),
            "uname -r >/run/out/kernel", "test -e /dev/kvm || exit 1",
            *(ALIVE % (cpu, cpu) for cpu in range(cpus)), ": >/run/out/begun"]
    for number, job in enumerate(jobs):
        (out / f"{number}.sh").write_text("\n".join(job.lines(number)) + "\n")
    lane = LANE % (len(jobs), " ".join(map(str, range(lanes))))
    (out / "jobs").write_text("\n".join(head) + "\n" + lane)


# ---- The machine --------------------------------------------------------------------------------

# The CPUs of the machine take turns too coarsely for Linux to find their TSCs synchronized.  They are:
# all are the emulator's one clock.  Else Linux takes the HPET, which two CPUs and the timers' thread
# contend for at every look at the clock, and KVM mends a clock that is not broken.
CLOCK = "tsc=reliable"


def missing(qemu):
    """Why this cannot be done here, or None."""
    devices = subprocess.run([qemu, "-device", "help"], capture_output=True, text=True).stdout
    if '"virtio-9p-pci"' not in devices:
        return f"{qemu} was built without virtio-9p, by which programs would be shared"
    return None


def argv(qemu, image, folder, cpus):
    return [qemu, "-nodefaults", "-no-user-config", "-machine", "q35,sata=off,smbus=off",
            "-accel", "tcg,thread=multi", "-cpu", "EPYC,+svm,+npt", "-smp", str(cpus),
            "-m", MEMORY, "-display", "none", "-no-reboot",
            "-chardev", f"file,id=console,path={folder}/console.log", "-serial", "chardev:console",
            "-kernel", str(image / "vmlinuz"), "-initrd", str(folder / "ramdisk"),
            "-append", "console=ttyS0 panic=-1 quiet rdinit=/nested-init norandmaps "
            f"mitigations=off {CLOCK}",
            "-drive", f"if=none,id=image,format=raw,readonly=on,file={image}/root.squashfs",
            "-device", "virtio-blk-pci,drive=image",
            "-fsdev", "local,id=host,path=/,security_model=none,readonly=on,multidevs=remap",
            "-device", "virtio-9p-pci,fsdev=host,mount_tag=host",
            "-fsdev", f"local,id=out,path={folder}/out,security_model=none",
            "-device", "virtio-9p-pci,fsdev=out,mount_tag=out"]


class MachineGone(Exception):
    """The emulated machine ended, or one of its CPUs did: no program in it can do that."""


class Machine:
    def __init__(self, folder, qemu, image, cpus):
        self.folder, self.cpus = folder, range(cpus)
        self.process = proc.Process("QEMU", argv(qemu, image, folder, cpus), folder / "qemu.log")

    def gone(self):
        if not self.process.running():
            return f"the machine ended: {self.last_words()}"
        for cpu in self.cpus:
            path = self.folder / "out" / f"alive.{cpu}"
            if path.exists() and time.time() - path.stat().st_mtime > DEAF_S:
                return f"CPU {cpu} of the machine runs nothing any more: {self.last_words()}"
        return None

    def last_words(self):
        console = (self.folder / "console.log").read_text(errors="replace")
        words = [line for line in (self.process.log() + console).splitlines()
                 if line.strip() and "doesn't support requested feature" not in line]
        return " | ".join(words[-3:])

    def wait(self, name, limit):
        """Until the file @name is there; the machine may have ended right after making it."""
        path = self.folder / "out" / name
        try:
            proc.wait_for(name, limit, path.exists, 0.1,
                          lambda: None if path.exists() else self.gone())
        except TimeoutError:
            why = self.gone()
            if why:
                raise MachineGone(why) from None
            raise
        return path


# ---- What comes out -----------------------------------------------------------------------------

class Totals:
    def __init__(self, kept):
        self.kept = kept
        self.passed = self.failed = self.skipped = self.programs = 0

    def add(self, job, entry, text):
        self.programs += 1
        for word in ("passed", "failed", "skipped"):
            setattr(self, word, getattr(self, word) + entry[word])
        counts = ", ".join(f"{entry[word]} {word}" for word in ("passed", "failed", "skipped")
                           if entry[word])
        print(f"{'not ok' if entry['failed'] else 'ok'} {self.programs} - {job.name} "
              f"({entry['seconds']:.1f} s): {counts}", flush=True)
        for skip in entry["skips"]:
            print(f"#   # SKIP {skip}", flush=True)
        (self.kept / f"{runner.slug(job.name)}.log").write_text(text)
        if entry["failed"]:
            for line in entry["failures"] + text.splitlines()[-30:]:
                print(f"#   {line}", flush=True)


    def add_stuck(self, job, text):
        print("#   what each thread was at:")
        for line in text.splitlines():
            print(f"#   {line}")
        (self.kept / f"{runner.slug(job.name)}.stuck").write_text(text)


def run_job(machine, number, job, totals):
    """Jobs are taken in their order, so this one has begun when those before have ended."""
    remark, status, seconds = None, None, 0
    try:
        words = machine.wait(f"{number}.rc", job.limit + 60).read_text().split()
        status, seconds = int(words[0]), float(words[2]) - float(words[1])
        if status in (124, 137):
            remark = f"ended after its time limit of {job.limit} s"
    except TimeoutError as error:
        remark = f"{error}; {machine.last_words()}"
    log = machine.folder / "out" / f"{number}.log"
    text = log.read_text(errors="replace") if log.exists() else ""
    if status == SKIP_STATUS:
        words = (text.strip().splitlines() or ["?"])[-1]
        entry = runner.result("kvm", job.name, seconds, skips=[f"{job.name}: {words}"])
    else:
        entry = runner.count_program("kvm", job.name, status, seconds, remark, text)
    totals.add(job, entry, text)
    stuck = machine.folder / "out" / f"{number}.stuck"
    if remark and stuck.exists():
        totals.add_stuck(job, stuck.read_text(errors="replace"))


def run_on_machine(jobs, options, folder, totals):
    """Takes from @jobs what has its result; MachineGone, or TimeoutError when it does not boot."""
    image = host.image()
    (folder / "out").mkdir(parents=True)
    write_ramdisk(image, folder / "ramdisk")
    write_jobs(jobs, options.lanes, options.cpus, folder / "out")
    begun = time.monotonic()
    machine = Machine(folder, host.qemu(), image, options.cpus)
    try:
        machine.wait("begun", BOOT_LIMIT)
        kernel = (folder / "out" / "kernel").read_text().strip()
        print(f"# Linux {kernel} with KVM is up after {time.monotonic() - begun:.1f} s; "
              f"{len(jobs)} programs", flush=True)
        for number in range(len(jobs)):
            run_job(machine, number, jobs[0], totals)
            del jobs[0]
    except TimeoutError as error:
        raise TimeoutError(f"{error}; {machine.last_words()}") from None
    finally:
        machine.process.stop()
        for name in ("console.log", "qemu.log"):
            shutil.copy(folder / name, totals.kept)


def run_all(jobs, options, folder):
    """On one machine, and what that left undone, if it broke, on another: once, and it is told."""
    kept = host.ROOT / "out" / "nested"
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    totals, left = Totals(kept), list(jobs)
    try:
        try:
            run_on_machine(left, options, folder / "1", totals)
        except MachineGone as gone:
            print(f"# {gone}", flush=True)
            print(f"# {len(left)} programs are run on another machine", flush=True)
            run_on_machine(left, options, folder / "2", totals)
        if options.program:
            print((kept / f"{runner.slug(jobs[0].name)}.log").read_text(), end="")
    except (MachineGone, TimeoutError) as error:
        totals.failed += 1
        print(f"not ok - the machine: {error}", flush=True)
    return totals


def end_early(number, _):
    sys.exit(128 + number)


def main():
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, end_early)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", nargs="*", default=["build"])
    parser.add_argument("--only", action="append", default=[], metavar="PATTERN",
                        help="tests whose name matches; may be repeated")
    parser.add_argument("--cpus", type=int, default=min(4, max(2, os.cpu_count() or 2)))
    parser.add_argument("--lanes", type=int, default=2, help="programs at a time")
    parser.add_argument("--program", nargs=argparse.REMAINDER, default=[],
                        help="this one and its arguments, and no tests")
    options = parser.parse_args()
    why = missing(host.qemu())
    if why:
        print(f"skipped: {why}")
        return SKIP_STATUS
    jobs = ([program_job(options.program)] if options.program else
            [job for build in options.build for job in jobs_of(build, options.only)])
    folder = host.scratch()
    try:
        totals = run_all(jobs, options, folder)
    finally:
        proc.end_all()
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{totals.passed} passed, {totals.failed} failed, {totals.skipped} skipped", flush=True)
    return 1 if totals.failed or not totals.passed else 0


if __name__ == "__main__":
    sys.exit(main())
