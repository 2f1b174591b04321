#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of scripts/test-runner.py: who counts, who is ended, who is told apart from a pass."""
import importlib.util
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts"
spec = importlib.util.spec_from_file_location("runner", SCRIPTS / "test-runner.py")
runner = importlib.util.module_from_spec(spec)
sys.dont_write_bytecode = True
spec.loader.exec_module(runner)
runner.ENDING_S = runner.LEAVING_S = 0.5

TAP = """1..4
ok 1 - first
not ok 2 - second
# 0x1 != 0x2
not ok 3 # SKIP third
ok 4 - fourth
# not ok - group
"""


def dead(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


class Run(unittest.TestCase):
    def run_it(self, script, limit=20):
        with tempfile.TemporaryDirectory() as folder:
            log = pathlib.Path(folder) / "log"
            status, seconds, remark = runner.run(["sh", "-c", script], log, limit)
            return status, seconds, remark, log.read_text()

    def test_output_and_status(self):
        status, _, remark, text = self.run_it("echo out; echo err >&2; exit 3")
        self.assertEqual((status, remark, text), (3, None, "out\nerr\n"))

    def test_no_stdin(self):
        self.assertEqual(self.run_it("read x; echo done")[3], "done\n")

    def test_one_that_hangs_is_ended_with_its_children(self):
        begun = time.monotonic()
        status, _, remark, text = self.run_it("sleep 1000 & echo $!; sleep 1000", limit=0.3)
        self.assertLess(time.monotonic() - begun, 10)
        self.assertIsNone(status)
        self.assertIn("time limit", remark)
        self.assertTrue(dead(int(text)))

    def test_one_in_a_session_of_its_own_is_ended_too(self):
        _, _, remark, text = self.run_it("setsid sleep 1000 & echo $!; sleep 1000", limit=0.3)
        self.assertIn("time limit", remark)
        self.assertTrue(dead(int(text)))

    def test_one_deaf_to_sigterm_is_ended_too(self):
        _, _, remark, _ = self.run_it("trap '' TERM; while :; do sleep 0.1; done", limit=0.3)
        self.assertIn("time limit", remark)

    def test_one_left_behind_is_told_and_ended(self):
        _, _, remark, text = self.run_it("sleep 1000 >/dev/null 2>&1 & echo $!")
        self.assertEqual(remark, "left processes behind")
        self.assertTrue(dead(int(text)))

    def test_a_signal_is_named(self):
        self.assertEqual(self.run_it("kill -SEGV $$")[2], "ended by SIGSEGV")


class Interrupt(unittest.TestCase):
    def test_a_signal_ends_what_was_started(self):
        with tempfile.TemporaryDirectory() as folder:
            child = subprocess.Popen([sys.executable, SCRIPTS / "test-runner.py", "step", "x", "--",
                                      "sh", "-c", "echo pid $$; sleep 1000"], cwd=folder,
                                     stdout=subprocess.PIPE, text=True)
            pid = next(int(line.split()[1]) for line in child.stdout if "pid" in line)
            child.terminate()
            child.communicate(timeout=20)
            self.assertEqual(child.returncode, 128 + signal.SIGTERM)
            self.assertTrue(dead(pid))


class Count(unittest.TestCase):
    def program(self, text, status=0, remark=None):
        entry = runner.count_program("suite", "name", status, 0, remark, text)
        return entry["passed"], entry["failed"], entry["skipped"]

    def step(self, text, status=0, remark=None):
        entry = runner.count_step("name", status, 0, remark, text)
        return entry["passed"], entry["failed"], entry["skipped"]

    def test_each_case_counts(self):
        self.assertEqual(self.program(TAP, 1), (2, 1, 1))

    def test_cases_that_never_ran_have_failed(self):
        self.assertEqual(self.program("1..3\nok 1 - first\n", -11, "ended by SIGSEGV"), (1, 2, 0))

    def test_a_leak_after_the_last_case_is_a_failure(self):
        self.assertEqual(self.program("1..1\nok 1 - first\n", 23), (1, 1, 0))

    def test_two_groups_add_up(self):
        self.assertEqual(self.program("1..1\nok 1 - a\n1..2\nok 1 - b\nok 2 - c\n"), (3, 0, 0))

    def test_a_program_without_tap_counts_once(self):
        self.assertEqual(self.program("fine\n"), (1, 0, 0))
        self.assertEqual(self.program("bad\n", 1), (0, 1, 0))

    def test_a_step_hands_its_totals_on(self):
        self.assertEqual(self.step("x\n7 passed, 2 failed, 1 skipped\n", 1), (7, 2, 1))

    def test_a_step_that_claims_no_failure_but_fails(self):
        self.assertEqual(self.step("7 passed, 0 failed, 1 skipped\n", 1), (7, 1, 1))

    def test_a_skip_has_its_reason(self):
        entry = runner.count_step("name", 77, 0, None, "one\nno KVM here\n")
        self.assertEqual(entry["skips"], ["name: no KVM here"])


if __name__ == "__main__":
    done = unittest.main(exit=False).result
    bad = len(done.failures) + len(done.errors)
    print(f"{done.testsRun - bad - len(done.skipped)} passed, {bad} failed, "
          f"{len(done.skipped)} skipped")
    sys.exit(bool(bad))
