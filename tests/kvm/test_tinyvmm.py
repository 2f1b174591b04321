#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The example VMM on this machine's KVM: a guest drives the vGPU to the end, with one vCPU and with
several, for each type.  Skips, with the reason, where there is no KVM that will do.

  test_tinyvmm.py TINYVMM
"""
import functools
import json
import re
import subprocess
import sys
import unittest

TINYVMM = sys.argv[1]
SKIPPED = 77


@functools.lru_cache
def run(*args):
    """Once for each command line: several tests look at the same run."""
    return subprocess.run([TINYVMM, *map(str, args)], capture_output=True, text=True, timeout=60)


class TinyVmm(unittest.TestCase):
    def drive(self, *args):
        ran = run(*args)
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)
        self.assertIn("the guest is content", ran.stdout)
        stats = json.loads(next(l for l in ran.stdout.splitlines() if l.startswith("{")))
        self.assertEqual((stats["submissions"], stats["contexts_completed"], stats["faults"]),
                         (1, 1, 0))
        self.assertGreaterEqual(stats["interrupts"], 1)
        return ran.stdout, stats

    def test_a_submission_takes_one_exit(self):
        text, stats = self.drive(1)
        exits = int(re.search(r"exits of the submission: (\d+)", text).group(1))
        self.assertLessEqual(exits, 1)
        self.assertEqual(stats["coalesced"], 3)

    def test_tables_and_plain_registers_do_not_trap(self):
        _, stats = self.drive(1)
        self.assertEqual((stats["gtt_writes"], stats["gtt_reads"]), (0, 0))

    def test_several_vcpus(self):
        self.drive(4)

    def test_another_type(self):
        self.drive(1, "i915-GVTg_V5_8")

    def test_wrong_use_is_told(self):
        ran = run(0)
        self.assertEqual(ran.returncode, 2)
        self.assertIn("usage:", ran.stderr)
        ran = run(1, "GT9")
        self.assertEqual(ran.returncode, 2)
        self.assertRegex(ran.stderr, r'no type "GT9"(.|\n)*i915-GVTg_V5_8:')


if __name__ == "__main__":
    first = run(1)
    if first.returncode == SKIPPED:
        print("skipped:", first.stderr.strip())
        sys.exit(SKIPPED)
    unittest.main(argv=sys.argv[:1], verbosity=2)
