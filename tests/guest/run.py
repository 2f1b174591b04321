#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the real-guest tests: stock QEMU, stock Debian guest, our vGPU.

    tests/guest/run.py [PATTERN…] [--list] [--keep] [--guests N]

A PATTERN is a part of "file.Suite.test_name".  Two guests run at a time (--guests), their suites in
processes of their own: most of a boot keeps one CPU busy and another waiting.  More would starve
each other: i915 gives up when its first requests take 200 ms.  One line for each test, as TAP, with
the time it took; the last line is "N passed, N failed, N skipped".  Logs of failed suites go to
out/guest-tests/; --keep leaves the scratch folders behind and names them.
"""
import argparse
import importlib
import multiprocessing
import multiprocessing.connection
import pathlib
import shutil
import signal
import sys
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support")]

from harness import host, proc  # noqa: E402
from harness.suite import Suite, VgpuSuite  # noqa: E402

# Seconds; generous, for a machine that does other work as well.  They end what hangs.
TEST_LIMIT = 240	# where a test does not say
SETUP_LIMIT = 600


class TooLong(Exception):
    pass


def bounded(function, seconds):
    def ring(*_):
        raise TooLong(f"took longer than its {seconds} s")
    signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        return function()
    finally:
        signal.alarm(0)


class Report:
    """Numbers and counts what the suites tell."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def line(self, ok, name, seconds, reason="", skip=""):
        number = self.passed + self.failed + self.skipped + 1
        tail = f" # SKIP {skip}" if skip else ""
        print(f"{'ok' if ok else 'not ok'} {number} - {name} ({seconds:.1f} s){tail}", flush=True)
        for part in reason.splitlines():
            print(f"#   {part}", flush=True)
        if skip:
            self.skipped += 1
        elif ok:
            self.passed += 1
        else:
            self.failed += 1


class Teller:
    """A suite's end of the pipe to the report."""

    def __init__(self, pipe):
        self.pipe = pipe

    def line(self, *args, **named):
        self.pipe.send((args, named))


def reason_of(error):
    if isinstance(error, (host.Failure, TimeoutError, TooLong)):
        return str(error)
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({pathlib.Path(where.filename).name}:{where.lineno})"


def suites():
    """[(file, class, [test names])] in the files' order of names and the tests' of writing."""
    found = []
    for path in sorted(HERE.glob("test_*.py")):
        module = importlib.import_module(path.stem)
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, Suite) and \
                    value.__module__ == module.__name__:
                tests = [name for name in vars(value) if name.startswith("test_")]
                found.append((path.stem[5:], value, tests))
    return found


def chosen(patterns):
    for file, suite, tests in suites():
        names = [(test, f"{file}.{suite.__name__}.{test}") for test in tests]
        if patterns:
            names = [pair for pair in names if any(p in pair[1] for p in patterns)]
        elif suite.on_demand:
            names = []
        if names:
            yield suite, names


def keep_logs(suite, name):
    kept = host.ROOT / "out" / "guest-tests" / name
    shutil.rmtree(kept, ignore_errors=True)
    for path in suite.logs():
        if pathlib.Path(path).exists():
            kept.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, kept / f"{pathlib.Path(path).parent.name}-{pathlib.Path(path).name}")
    print(f"#   logs are in {kept.relative_to(host.ROOT)}", flush=True)


def run_one(report, suite, test, name):
    start = time.monotonic()
    function = getattr(suite, test)
    try:
        suite.ready()
        bounded(function, max(getattr(function, "limit", 0), TEST_LIMIT))
    except host.Skip as why:
        report.line(True, name, time.monotonic() - start, skip=str(why))
    except Exception as error:		# a test may fail in any way; the run goes on
        report.line(False, name, time.monotonic() - start, reason_of(error))
        return False
    else:
        report.line(True, name, time.monotonic() - start)
    return True


def run_suite(report, kind, names):
    suite = kind()
    start = time.monotonic()
    fine = True
    label = names[0][1].rsplit(".", 1)[0]
    print(f"# {label}: setting up ...", flush=True)
    try:
        bounded(suite.setup, SETUP_LIMIT)
        print(f"# {label}: up after {time.monotonic() - start:.1f} s", flush=True)
        for test, name in names:
            fine = run_one(report, suite, test, name) and fine
    except host.Skip as why:
        for _, name in names:
            report.line(True, name, 0, skip=str(why))
    except Exception as error:
        fine = False
        for _, name in names:
            report.line(False, name, time.monotonic() - start, f"set-up: {reason_of(error)}")
            start = time.monotonic()
    if not fine:
        keep_logs(suite, label)
    try:
        bounded(suite.teardown, 60)
    except Exception as error:
        report.line(False, f"{label}.teardown", 0, reason_of(error))


def end_early(number, _):
    """Asked to end: as at the end of a run, the programs started are ended (harness/proc.py)."""
    for other in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(other, signal.SIG_IGN)
    sys.exit(128 + number)


def work(kind, names, keep, pipe):
    """A suite's process."""
    try:
        run_suite(Teller(pipe), kind, names)
    finally:
        proc.end_all()
        if keep:
            print(f"# a scratch folder is {host.scratch()}", flush=True)
        else:
            shutil.rmtree(host.scratch(), ignore_errors=True)


class Worker:
    def __init__(self, kind, names, keep):
        self.guests = kind.guests
        self.label = names[0][1].rsplit(".", 1)[0]
        self.pipe, theirs = multiprocessing.Pipe(duplex=False)
        self.process = multiprocessing.get_context("fork").Process(
            target=work, args=(kind, names, keep, theirs))
        self.process.start()
        theirs.close()		# or its end would not be seen

    def pass_on(self, report):
        """One line of what it tells; False when it has ended."""
        try:
            args, named = self.pipe.recv()
        except EOFError:
            self.process.join()
            if self.process.exitcode:
                report.line(False, self.label, 0, f"its process ended with {self.process.exitcode}")
            return False
        report.line(*args, **named)
        return True

    def end(self):
        self.process.terminate()
        self.process.join()


def in_order(wanted):
    """Suites of several guests first, for what they leave room for; then the longest, or one of
    them would run on alone at the end."""
    return sorted(wanted, key=lambda one: (one[0].guests, one[0].seconds), reverse=True)


def run_all(report, wanted, guests, keep):
    waiting, workers = in_order(wanted), []

    def room():
        return not workers or \
            sum(worker.guests for worker in workers) + waiting[0][0].guests <= guests

    try:
        while waiting or workers:
            while waiting and room():
                workers.append(Worker(*waiting.pop(0), keep))
            ready = multiprocessing.connection.wait([worker.pipe for worker in workers])
            workers = [worker for worker in workers
                       if worker.pipe not in ready or worker.pass_on(report)]
    finally:
        for worker in workers:
            worker.end()


def main():
    signal.signal(signal.SIGTERM, end_early)
    signal.signal(signal.SIGHUP, end_early)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pattern", nargs="*")
    parser.add_argument("--list", action="store_true", help="print the tests' names and stop")
    parser.add_argument("--keep", action="store_true", help="leave the scratch folders behind")
    parser.add_argument("--guests", type=int, default=2, metavar="N",
                        help="guests that run at a time (2)")
    options = parser.parse_args()
    wanted = list(chosen(options.pattern))
    if options.list:
        for _, names in wanted:
            print("\n".join(name for _, name in names))
        return 0
    report = Report()
    print("TAP version 13", flush=True)
    run_all(report, wanted, options.guests, options.keep)
    print(f"1..{report.passed + report.failed + report.skipped}")
    print(f"{report.passed} passed, {report.failed} failed, {report.skipped} skipped", flush=True)
    return 1 if report.failed or not report.passed + report.skipped else 0


if __name__ == "__main__":
    sys.exit(main())
