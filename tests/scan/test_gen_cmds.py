#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""scripts/gen_cmds.py refuses a bad description of a command, and says where it is."""
import os
import subprocess
import sys
import tempfile
import unittest

SCRIPT = sys.argv.pop(1) if len(sys.argv) > 1 else 'scripts/gen_cmds.py'

GOOD = 'mi 20 MI_STORE_DATA_IMM all 4..5/10 exec\n'

# The line that is wrong comes third: after GOOD and an empty one.
BAD = [
    ('mi 20 MI_OTHER rcs 4 exec', 'has the opcode of MI_STORE_DATA_IMM on rcs'),
    ('mi 21 MI_STORE_DATA_IMM all 4 exec', 'MI_STORE_DATA_IMM is there twice'),
    ('mi 40 MI_FAR all 1 exec', 'has more than 6 bits'),
    ('2d 80 XY_FAR bcs 1 work', 'has more than 7 bits'),
    ('3d 5000 ODD rcs 2/8 state', 'is not of type 3'),
    ('4d 50 ODD rcs 2/8 state', "unknown type '4d'"),
    ('mi zz ODD rcs 2/8 exec', "'zz' is not a number"),
    ('mi 21 ODD ccs 2/8 exec', "unknown engine 'ccs'"),
    ('mi 21 ODD rcs two exec', "'two' is not a length"),
    ('mi 21 ODD rcs 1/8 exec', 'a length field cannot say less than two'),
    ('mi 21 ODD rcs 3..9 exec', 'a length that varies needs a length field'),
    ('mi 21 ODD rcs 3..300/8 exec', 'the length does not fit 8 bits'),
    ('mi 21 ODD rcs 3/17 exec', 'a length field has 1 to 16 bits'),
    ('mi 21 ODD rcs 3/8 magic', "unknown class 'magic'"),
    ('mi 21 ODD rcs 3/8 exec odd', "unknown flag 'odd'"),
    ('mi 21 ODD rcs 3/8', 'a command needs'),
    ('\tfield 1 Name', "'1' is not DW.LO or DW.LO-HI"),
    ('\tfield 1.9-8 Name', 'has its bits in disorder'),
    ('\tfield 1.0-31', 'field needs a place and a name'),
    ('\tfield 5.0 Name', 'lies behind the end of MI_STORE_DATA_IMM'),
    ('\treg 1.2-22 Name Of', 'a register is read or written'),
    ('\taddr 1.2-47 touch 4 ggtt Name', "unknown access 'touch'"),
    ('\taddr 1.2-47 read 4 moon Name', "unknown space 'moon'"),
    ('\taddr 1.2-47 read 4 base?0.1 Name', 'base takes no bit'),
    ('\taddr 1.2-47 read 4 ggtt if=1.2-33 Name', 'a condition lies in one dword that is there'),
    ('\treg 1.2-22 write unless=4.2 Name', 'a condition lies in one dword that is there'),
    ('\treg 1.2-22 write if=0.2 if=1.2 Name', 'conditions lie in one dword'),
    ('\treg 1.2-22 write if=0.2', 'has no name'),
    ('\trepeat 0 1', 'a group starts behind the header'),
    ('\tcolour 1.0 Red', "unknown line 'colour'"),
]


def run(text):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'test.cmds')
        with open(path, 'w', encoding='utf-8') as out:
            out.write(text)
        outputs = [os.path.join(folder, name) for name in ('a.c', 'a.h')]
        done = subprocess.run([sys.executable, SCRIPT, 'table', path] + outputs,
                              capture_output=True, text=True, check=False)
        return done.returncode, done.stderr.replace(folder + '/', '')


class GenCmds(unittest.TestCase):
    def test_good(self):
        self.assertEqual(run(GOOD), (0, ''))

    def test_bad_lines_are_named(self):
        for line, message in BAD:
            with self.subTest(line=line):
                status, error = run(GOOD + '\n' + line + '\n')
                self.assertEqual(status, 1)
                self.assertTrue(error.startswith('test.cmds:3: '), error)
                self.assertIn(message, error)

    def test_empty(self):
        self.assertEqual(run('# nothing\n')[0], 1)

    def test_field_without_command(self):
        self.assertIn('test.cmds:1: belongs to no command', run('\tfield 0.0 Name\n')[1])


if __name__ == '__main__':
    unittest.main()
