#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tests of tests/guest/run.py: a run that is asked to end leaves no process and no folder."""
import pathlib
import signal
import subprocess
import sys
import unittest

GUEST = pathlib.Path(__file__).resolve().parents[1] / "guest"

# A run of one suite whose set-up starts a program, tells of it, and never ends.
SCRIPT = """
import os, sys, time
sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
import run
from harness import host, proc
from harness.suite import Suite

class Endless(Suite):
    def setup(self):
        folder = host.scratch()
        program = proc.Process("sleep", ["sleep", "1000"], folder / "log")
        print("STARTED", program.pid, folder, flush=True)
        while True:
            time.sleep(0.01)

    def test_nothing(self):
        pass

run.suites = lambda: [("file", Endless, ["test_nothing"])]
sys.argv[1:] = []
sys.exit(run.main())
"""


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class AskedToEnd(unittest.TestCase):
    def end_by(self, number):
        child = subprocess.Popen([sys.executable, "-c", SCRIPT, str(GUEST)],
                                 stdout=subprocess.PIPE, text=True)
        with child.stdout:
            for line in child.stdout:
                if line.startswith("STARTED"):
                    break
            _, pid, folder = line.split()
            self.assertTrue(alive(pid))
            child.send_signal(number)
            child.stdout.read()
        self.assertEqual(child.wait(), 128 + number)
        self.assertFalse(alive(pid))
        self.assertFalse(pathlib.Path(folder).exists())

    def test_by_sigterm(self):
        self.end_by(signal.SIGTERM)

    def test_by_sighup(self):
        self.end_by(signal.SIGHUP)


if __name__ == "__main__":
    unittest.main()
