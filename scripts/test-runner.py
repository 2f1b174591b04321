#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs tests, counts every case, and never waits for ever.

  test-runner.py step NAME [--limit S] [--quiet] -- COMMAND...
        runs one command; its last line "N passed, N failed, N skipped" is its count, else it
        counts as one case.  Exit status 77 is a skip, explained by its last line.
  test-runner.py meson NAME BUILD [--suite S] [--no-suite S] [--slow F] [--only PATTERN]
        runs the tests of a Meson build folder, two at a time; cmocka's cases count one by one.
  test-runner.py report
        what was skipped and why, the slowest, and the totals of all runs since `begin`.
  test-runner.py begin
        forgets earlier runs.

Logs and results are left in out/check/.  What a test started is ended with it, by its process
group, and a test that leaves processes behind has failed.
"""
import argparse
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

OUT = Path("out/check").absolute()
RESULTS = OUT / "results.jsonl"
TOTALS = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", re.M)
TAP_LINE = re.compile(r"^(not )?ok(?: (\d+))?(?: -)? ?(.*)$")
TIMED_CASE = re.compile(r"^(?:not )?ok \d+ - (\S+) \(([\d.]+) s\)", re.M)
SKIP_STATUS = 77
SAY_EVERY_S = 30
# Patience, in seconds; the tests of this script have less.
ENDING_S = 5	# from a polite end to one that is not
LEAVING_S = 2	# that what a finished test started may go on


def result(suite, name, seconds, passed=0, failed=0, skips=(), failures=(), skipped=None):
    return {"suite": suite, "name": name, "seconds": round(seconds, 2), "passed": passed,
            "failed": failed, "skipped": len(skips) if skipped is None else skipped,
            "skips": list(skips), "failures": list(failures)}


def record(entry):
    with RESULTS.open("a") as out:
        out.write(json.dumps(entry) + "\n")


RUNNING = set()  # children of ours, for a signal to end


def processes():
    """(pid, parent, group, start time) of all that run; the dead that nobody buried do not."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] not in "ZX":
            yield int(stat.parent.name), int(fields[1]), int(fields[2]), fields[19]


def group_alive(child):
    return any(group == child.pid for _, _, group, _ in processes())


def family(child):
    """{pid: start time} of @child's group and of all that descend from it, in any group."""
    table, found = list(processes()), {}
    pids = {child.pid}
    while True:
        more = {pid: start for pid, parent, group, start in table
                if (parent in pids or group == child.pid) and pid not in found}
        if not more:
            return found
        found.update(more)
        pids |= set(more)


def end_group(child):
    """Ends @child and what it started: politely, then not."""
    members = family(child)
    try:
        os.killpg(child.pid, signal.SIGTERM)
    except ProcessLookupError:
        pass
    left = members
    for _ in range(int(ENDING_S / 0.1)):
        running = {pid: start for pid, _, _, start in processes()}
        left = [pid for pid, start in members.items() if running.get(pid) == start]
        if not left:
            return
        time.sleep(0.1)
    for pid in left:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def left_behind(child):
    """True when a finished test's group still has members after LEAVING_S; ends them."""
    for _ in range(int(LEAVING_S / 0.05)):
        if not group_alive(child):
            return False
        time.sleep(0.05)
    end_group(child)
    return True


def interrupted(signum, frame):
    """Ctrl-C or a polite end: what we started has sessions of its own, and ends with us."""
    for child in list(RUNNING):
        end_group(child)
    print(f"\ninterrupted by {signal.Signals(signum).name}", flush=True)
    os._exit(128 + signum)


def copy_lines(source, out, echo):
    for line in source:
        out.write(line)
        if echo:
            echo(line)


def run(command, log, limit, env=None, cwd=None, echo=None):
    """Runs @command with its output in the file @log; (exit status or None, seconds, remark)."""
    begun = time.monotonic()
    remark = None
    with log.open("w") as out:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, env=env, cwd=cwd, text=True,
                                 errors="replace", start_new_session=True)
        RUNNING.add(child)
        reader = threading.Thread(target=copy_lines, args=(child.stdout, out, echo), daemon=True)
        reader.start()
        try:
            status = child.wait(limit)
            if status < 0:
                remark = f"ended by {signal.Signals(-status).name}"
            elif left_behind(child):
                remark = "left processes behind"
        except subprocess.TimeoutExpired:
            remark = f"ended after its time limit of {limit:.0f} s"
            status = None
            end_group(child)
            child.wait()
        RUNNING.discard(child)
        reader.join(5)
        if reader.is_alive():
            remark = remark or "left a process behind that holds its output"
        else:
            child.stdout.close()
    return status, time.monotonic() - begun, remark


# ---- One command ----------------------------------------------------------------------------

class Progress:
    """Passes lines on, or in quiet runs says every now and then that it is still at work."""

    def __init__(self, name, quiet):
        self.name, self.quiet = name, quiet
        self.begun = self.said = time.monotonic()
        self.done = threading.Event()
        if quiet:
            threading.Thread(target=self.tick, daemon=True).start()

    def tick(self):
        while not self.done.wait(SAY_EVERY_S):
            print(f"   … {self.name}, {time.monotonic() - self.begun:.0f} s so far", flush=True)

    def line(self, text):
        if not self.quiet:
            print("   " + text.rstrip("\n"), flush=True)


def count_step(name, status, seconds, remark, text):
    """The result of one command, from its status and what it printed."""
    lines = [line for line in text.splitlines() if line.strip()]
    totals = TOTALS.findall(text)
    if status == SKIP_STATUS:
        return result("step", name, seconds, skips=[f"{name}: {lines[-1] if lines else '?'}"])
    if not totals:
        if status == 0 and not remark:
            return result("step", name, seconds, passed=1)
        return result("step", name, seconds, failed=1,
                      failures=[f"{name}: {remark or f'exit status {status}'}"])
    passed, failed, skipped = map(int, totals[-1])
    failures = [line.strip() for line in lines if re.match(r"\s*(not ok|FAIL|failed)\b", line)]
    skips = [line.strip() for line in lines if "# SKIP" in line]
    if (status != 0 or remark) and failed == 0:
        failed = 1
        failures.append(f"{name}: {remark or f'exit status {status}'}")
    return result("step", name, seconds, passed, failed, skips, failures, skipped)


def slug(name):
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-").lower()


def step(args):
    log = OUT / f"{slug(args.name)}.log"
    print(f"== {args.name}", flush=True)
    progress = Progress(args.name, args.quiet)
    env = dict(os.environ, PYTHONUNBUFFERED="1")
    status, seconds, remark = run(args.command, log, args.limit, env=env, echo=progress.line)
    progress.done.set()
    text = log.read_text()
    entry = count_step(args.name, status, seconds, remark, text)
    entry["cases"] = [(float(s), name) for name, s in TIMED_CASE.findall(text)]
    record(entry)
    if entry["failed"]:
        if args.quiet:
            print("".join(f"   {line}\n" for line in text.splitlines()[-40:]), end="")
        print(f"   FAILED: {'; '.join(entry['failures'][:3])}; the whole log: {log}", flush=True)
    elif entry["skipped"] and not entry["passed"]:
        print(f"   skipped: {'; '.join(entry['skips'])}")
    else:
        print(f"   {args.name}: done in {seconds:.1f} s", flush=True)
    return 1 if entry["failed"] else 0


# ---- The tests of a Meson build ---------------------------------------------------------------

def count_tap(text):
    """(planned, passed, skips, failures) of cmocka's TAP; planned is None when it is no TAP."""
    plan = [int(n) for n in re.findall(r"^1\.\.(\d+)$", text, re.M)]
    passed, skips, failures = 0, [], []
    for line in text.splitlines():
        match = TAP_LINE.match(line)
        if not match:
            continue
        bad, number, name = match.groups()
        if number is None:
            continue
        if "# SKIP" in name or name.startswith("SKIP"):
            skips.append(name.replace("# SKIP", "").strip())
        elif bad:
            failures.append(name)
        else:
            passed += 1
    return sum(plan) if plan else None, passed, skips, failures


def count_program(suite, name, status, seconds, remark, text):
    planned, passed, skips, failures = count_tap(text)
    if planned is None:
        return count_step(name, status, seconds, remark, text) | {"suite": suite}
    missing = planned - passed - len(skips) - len(failures)
    if missing > 0:
        failures.append(f"{missing} cases did not run: {remark or f'exit status {status}'}")
    elif remark:
        failures.append(remark)
    elif status != 0 and not failures:
        failures.append(f"exit status {status} after its last case: see the log")
    failed = len(failures) + max(missing - 1, 0)
    reasons = re.findall(r"^# ?skip: (.*)$", text, re.M)
    skips = [f"{name}: {case}{': ' + '; '.join(reasons) if reasons else ''}" for case in skips]
    return result(suite, name, seconds, passed, failed, skips,
                  [f"{name}: {failure}" for failure in failures])


def sanitizer_env(test_env):
    env = dict(os.environ)
    env.update({
        "CMOCKA_MESSAGE_OUTPUT": "TAP",
        "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=1:detect_stack_use_after_return=1",
        "UBSAN_OPTIONS": "halt_on_error=1:abort_on_error=1:print_stacktrace=1",
        "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1",
    })
    env.update(test_env)
    return env


class MesonRun:
    """One pass over the tests of a build folder."""

    def __init__(self, args, tests):
        self.args, self.tests, self.done = args, tests, 0
        self.lock = threading.Lock()

    def one(self, test):
        args = self.args
        log = OUT / slug(args.name) / f"{slug(test['name'])}.log"
        status, seconds, remark = run(args.prefix + test["cmd"], log,
                                      (test.get("timeout") or 30) * args.slow,
                                      env=sanitizer_env(test.get("env") or {}),
                                      cwd=test.get("workdir") or args.build)
        text = log.read_text()
        if status == SKIP_STATUS:
            last = (text.strip().splitlines() or ["?"])[-1]
            entry = result(args.name, test["name"], seconds, skips=[f"{test['name']}: {last}"])
        else:
            entry = count_program(args.name, test["name"], status, seconds, remark, text)
        with self.lock:
            self.tell(entry, log, text)
        return entry

    def tell(self, entry, log, text):
        self.done += 1
        record(entry)
        word = "FAIL" if entry["failed"] else "ok  "
        print(f"   [{self.done}/{len(self.tests)}] {word} {entry['name']}: {entry['passed']} passed"
              + (f", {entry['failed']} failed" if entry["failed"] else "")
              + (f", {entry['skipped']} skipped" if entry["skipped"] else "")
              + f", {entry['seconds']:.1f} s", flush=True)
        if entry["failed"]:
            for line in text.splitlines()[-30:]:
                print("      " + line)
            print(f"      the whole log: {log}", flush=True)


def tsan_prefix(build):
    """ThreadSanitizer wants addresses where it expects them: without randomisation, if allowed."""
    options = json.loads((Path(build) / "meson-info/intro-buildoptions.json").read_text())
    value = next(o["value"] for o in options if o["name"] == "b_sanitize")
    quiet = ["setarch", os.uname().machine, "-R"]
    if "thread" in value and subprocess.run(quiet + ["true"], capture_output=True).returncode == 0:
        return quiet
    return []


def meson(args):
    print(f"== {args.name}", flush=True)
    args.prefix = tsan_prefix(args.build)
    listed = subprocess.run(["meson", "introspect", "--tests", args.build], check=True,
                            capture_output=True, text=True).stdout
    tests = [t for t in json.loads(listed)
             if (not args.suite or any(s.split(":")[-1] in args.suite for s in t["suite"]))
             and not any(s.split(":")[-1] in args.no_suite for s in t["suite"])
             and (not args.only or any(re.search(p, t["name"]) for p in args.only))]
    (OUT / slug(args.name)).mkdir(parents=True, exist_ok=True)
    one_run = MesonRun(args, tests)
    with ThreadPoolExecutor(args.jobs) as pool:
        entries = list(pool.map(one_run.one, tests))
    if not tests:
        print("   no test matches")
    return 1 if any(entry["failed"] for entry in entries) or not tests else 0


# ---- The end ------------------------------------------------------------------------------------

def report(args):
    entries = [json.loads(line) for line in RESULTS.read_text().splitlines()]
    failures = [f for e in entries for f in e["failures"]]
    skips = [s for e in entries for s in e["skips"]]
    timed = [(e["seconds"], e["name"] + (f" ({e['suite']})" if e["suite"] != "step" else ""))
             for e in entries] + [tuple(case) for e in entries for case in e.get("cases", [])]
    if skips:
        print("\nskipped:")
        print("\n".join(f"   {s}" for s in skips))
    print("\nslowest:")
    print("\n".join(f"   {seconds:7.1f} s  {name}" for seconds, name in sorted(timed)[:-13:-1]))
    if failures:
        print("\nfailed:")
        print("\n".join(f"   {f}" for f in failures))
    totals = [sum(e[key] for e in entries) for key in ("passed", "failed", "skipped")]
    if not entries:
        totals[1] = 1
        print("\nnothing ran")
    print("\n{} passed, {} failed, {} skipped".format(*totals))
    return 1 if totals[1] else 0


def begin(args):
    RESULTS.write_text("")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    jobs = parser.add_subparsers(required=True)
    sub = jobs.add_parser("step")
    sub.add_argument("name")
    sub.add_argument("--limit", type=float, default=600, metavar="SECONDS")
    sub.add_argument("--quiet", action="store_true", help="show the output of a failure only")
    sub.add_argument("command", nargs="+")
    sub.set_defaults(job=step)
    sub = jobs.add_parser("meson")
    sub.add_argument("name")
    sub.add_argument("build")
    sub.add_argument("--suite", action="append", default=[])
    sub.add_argument("--no-suite", action="append", default=[])
    sub.add_argument("--slow", type=float, default=1, help="factor on the time limits")
    sub.add_argument("--jobs", type=int, default=2)
    sub.add_argument("--only", action="append", default=[], metavar="PATTERN",
                     help="tests whose name matches; may be repeated")
    sub.set_defaults(job=meson)
    for name, job in (("report", report), ("begin", begin)):
        jobs.add_parser(name).set_defaults(job=job)
    args = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, interrupted)
    return args.job(args)


if __name__ == "__main__":
    sys.exit(main())
