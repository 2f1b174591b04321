#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Feeds scripts/gen_regs.py good and bad rows: what it makes, and where it says the error is."""
import os
import subprocess
import sys
import tempfile
import unittest

GENERATOR = sys.argv.pop(1)


class GenRegs(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)

    def run_tables(self, *tables):
        paths = []
        for i, text in enumerate(tables):
            paths.append(os.path.join(self.dir.name, f'{i}.regs'))
            with open(paths[-1], 'w', encoding='utf-8') as table:
                table.write(text)
        header = os.path.join(self.dir.name, 'out.h')
        code = os.path.join(self.dir.name, 'out.c')
        done = subprocess.run([sys.executable, GENERATOR, '--header', header, '--table', code,
                               *paths], capture_output=True, text=True, check=False)
        if done.returncode:
            return done.stderr, ''
        with open(header, encoding='utf-8') as h, open(code, encoding='utf-8') as c:
            return h.read(), c.read()

    def bad(self, row, reason, line=2):
        error, _ = self.run_tables('# a table\n' + row + '\n')
        self.assertIn(f'0.regs:{line}: ', error)
        self.assertIn(reason, error)

    def test_single(self):
        header, code = self.run_tables('0x9120 FUSE const=0x28\n')
        self.assertIn('#define REG_FUSE (0x9120u)', header)
        self.assertIn('{ 0x9120, 0x9124, VGPU_REG_RO, 0x28, 0xffffffff, 0x0, 0, 0, "FUSE" }', code)

    def test_block(self):
        header, code = self.run_tables('0x100..0x10f B masked\n')
        self.assertIn('#define REG_B_END (0x100u + 0x10u)', header)
        self.assertIn('{ 0x100, 0x110, VGPU_REG_MASKED', code)

    def test_array_of_arrays(self):
        header, code = self.run_tables('0x70180 step 0x1000 count 3 step 0x100 count 2 PLANE\n')
        self.assertIn('#define REG_PLANE(i, j) (0x70180u + (i) * 0x1000u + (j) * 0x100u)', header)
        self.assertIn('{ 0x72280, 0x72284, 0, 0x0, 0xffffffff, 0x0, 0, 0, "PLANE_2_1" }', code)

    def test_engines_and_handlers(self):
        header, code = self.run_tables('engine+0x30 TAIL read=tail write=tail cs\n')
        self.assertIn('#define REG_TAIL(base) ((base) + 0x30u)', header)
        self.assertIn('uint32_t vgpu_read_tail(struct vgpu *v, uint32_t offset);', header)
        for base in ('0x2030', '0x12030', '0x1a030', '0x22030'):
            self.assertIn(f'{{ {base}, ', code)

    def test_w1c_takes_some_bits_or_all(self):
        _, code = self.run_tables('0x100 A w1c\n0x104 B w1c=0x30 write=b\n')
        self.assertIn('{ 0x100, 0x104, 0, 0x0, 0xffffffff, 0xffffffff, 0, 0, "A" }', code)
        self.assertIn('{ 0x104, 0x108, 0, 0x0, 0xffffffff, 0x30, 0, vgpu_write_b, "B" }', code)

    def test_rows_come_sorted(self):
        _, code = self.run_tables('0x200 B\n', '0x100 A\n')
        self.assertLess(code.index('"A"'), code.index('"B"'))

    def test_bad_rows(self):
        self.bad('0x101 A', 'multiple of 4')
        self.bad('0x100..0xff A', 'ends before it starts')
        self.bad('zero A', "'zero' is not a number")
        self.bad('0x100', 'NAME')
        self.bad('0x100 lower', 'NAME')
        self.bad('0x100 A rx', "unknown attribute 'rx'")
        self.bad('0x100 A ro ro', 'twice')
        self.bad('0x100 A ro masked', 'exclude each other')
        self.bad('0x100 A ro write=a', "'ro' with a write handler")
        self.bad('0x100 A const=1 reset=2', 'no reset value')
        self.bad('0x100 A reset=0x100000000', '32 bits')
        self.bad('0x100 step 4 A', 'step S count N')
        self.bad('0x1ffffc step 4 count 2 A', 'past the registers')
        self.bad('0x100 A unlocked cs', 'not for commands')

    def test_overlaps_name_both_places(self):
        error, _ = self.run_tables('0x100..0x10f A\n', '\n0x108 B\n')
        self.assertIn('1.regs:2: B at 0x108 overlaps A of ', error)
        self.assertIn('0.regs:1', error)
        error, _ = self.run_tables('0x100 A\n', '0x200 A\n')
        self.assertIn('1.regs:1: A is named at ', error)


if __name__ == '__main__':
    unittest.main()
