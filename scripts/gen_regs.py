#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes vgpu_regs_gen.h and vgpu_regs_gen.c from the register tables data/*.regs.

The syntax of a table is told at the head of data/gen9_gt.regs.  A bad row, or two rows that name
the same dword, end the run with FILE:LINE and the reason.  With --markdown the same rows are
printed as a page for people.
"""
import argparse
import itertools
import re
import sys

ENGINES = (('RCS', 0x2000), ('BCS', 0x22000), ('VCS0', 0x12000), ('VECS', 0x1a000))
MMIO_BYTES = 2 << 20
FLAGS = ('ro', 'wo', 'masked', 'unlocked', 'lockfree', 'qword', 'cs', 'gpu', 'ctx')
VALUES = ('const', 'reset', 'wmask', 'w1c', 'read', 'write')


class RowError(Exception):
    pass


def number(text):
    try:
        return int(text, 0)
    except ValueError:
        raise RowError(f"'{text}' is not a number") from None


class Row:
    """One line of a table."""

    def __init__(self, line, place):
        self.place = place
        self.arrays = []
        self.attributes = {}
        words = line.split()
        words = self.parse_where(words)
        words = self.parse_arrays(words)
        if not words or not re.fullmatch(r'[A-Z][A-Z0-9_]*', words[0]):
            raise RowError(f"a NAME in capitals is missing after '{line.split()[0]}'")
        self.name = words[0]
        words = self.parse_arrays(words[1:])
        for word in words:
            self.parse_attribute(word)
        self.check()

    def parse_where(self, words):
        where = words[0]
        self.engine = where.startswith('engine+')
        if self.engine:
            where = where[len('engine+'):]
        first, dots, last = where.partition('..')
        self.offset = number(first)
        end = number(last) + 1 if dots else self.offset + 4
        if self.offset % 4 or end % 4:
            raise RowError('a register starts and ends on a multiple of 4')
        if end <= self.offset:
            raise RowError('the block ends before it starts')
        self.dwords = (end - self.offset) // 4
        self.block = bool(dots)
        return words[1:]

    def parse_arrays(self, words):
        while words and words[0] == 'step':
            if len(words) < 4 or words[2] != 'count':
                raise RowError("'step S count N' wanted")
            step, count = number(words[1]), number(words[3])
            if step % 4 or count < 1:
                raise RowError('a step is a multiple of 4, a count at least 1')
            self.arrays.append((step, count))
            words = words[4:]
        return words

    def parse_attribute(self, word):
        key, equals, value = word.partition('=')
        if key in self.attributes:
            raise RowError(f"attribute '{key}' twice")
        if key in FLAGS and not equals:
            self.attributes[key] = True
        elif word == 'w1c':
            self.attributes[key] = 0xffffffff
        elif key in ('read', 'write') and re.fullmatch(r'[a-z][a-z0-9_]*', value):
            self.attributes[key] = value
        elif key in VALUES and equals and key not in ('read', 'write'):
            self.attributes[key] = number(value)
            if not 0 <= self.attributes[key] <= 0xffffffff:
                raise RowError(f"'{word}' does not fit 32 bits")
        elif key != 'rw':
            raise RowError(f"unknown attribute '{word}'")

    def check(self):
        a = self.attributes
        kinds = [k for k in ('ro', 'const', 'w1c', 'masked', 'wmask') if k in a]
        if len(kinds) > 1:
            raise RowError(f"'{kinds[0]}' and '{kinds[1]}' exclude each other")
        if 'const' in a and ({'reset', 'read', 'write'} & a.keys()):
            raise RowError("'const' takes no reset value and no handler")
        if 'write' in a and 'ro' in a:
            raise RowError("'ro' with a write handler")
        if 'unlocked' in a and 'cs' in a:
            raise RowError("'unlocked' registers are not for commands")

    def instances(self):
        """Yields (suffix, offset) of each block of dwords."""
        bases = ENGINES if self.engine else (('', 0),)
        for engine, base in bases:
            for index in itertools.product(*(range(count) for _, count in self.arrays)):
                offset = base + self.offset
                offset += sum(i * step for i, (step, _) in zip(index, self.arrays))
                suffix = f'_{engine}' if engine else ''
                yield suffix + ''.join(f'_{i}' for i in index), offset

    def flags(self):
        a = self.attributes
        names = [f'VGPU_REG_{f.upper()}' for f in FLAGS if f in a]
        if 'const' in a:
            names.append('VGPU_REG_RO')
        return ' | '.join(names) or '0'


def parse_files(paths):
    rows, names = [], {}
    for path in paths:
        with open(path, encoding='utf-8') as table:
            for count, line in enumerate(table, 1):
                line = line.partition('#')[0].strip()
                if not line:
                    continue
                place = f'{path}:{count}'
                try:
                    row = Row(line, place)
                    if row.name in names:
                        raise RowError(f'{row.name} is named at {names[row.name]} already')
                except RowError as error:
                    sys.exit(f'{place}: {error}')
                names[row.name] = place
                rows.append(row)
    return rows


def expand(rows):
    """All blocks of dwords in order of their offsets, none sharing a dword with another."""
    blocks = []
    for row in rows:
        for suffix, offset in row.instances():
            end = offset + 4 * row.dwords
            if end > MMIO_BYTES:
                sys.exit(f'{row.place}: {row.name} ends at {end:#x}, past the registers')
            blocks.append((offset, end, suffix, row))
    blocks.sort(key=lambda block: block[0])
    for a, b in zip(blocks, blocks[1:]):
        if b[0] < a[1]:
            sys.exit(f'{b[3].place}: {b[3].name}{b[2]} at {b[0]:#x} overlaps '
                     f'{a[3].name}{a[2]} of {a[3].place}')
    return blocks


def define(row):
    """The lines of C that name the row."""
    params = (['base'] if row.engine else [])
    letters = 'ijk'[:len(row.arrays)]
    params += list(letters)
    expr = f'{row.offset:#x}u'
    if row.engine:
        expr = f'(base) + {expr}'
    for letter, (step, _) in zip(letters, row.arrays):
        expr += f' + ({letter}) * {step:#x}u'
    head = f'REG_{row.name}' + (f"({', '.join(params)})" if params else '')
    lines = [f'#define {head} ({expr})']
    if row.block:
        head = head.replace(f'REG_{row.name}', f'REG_{row.name}_END', 1)
        lines.append(f'#define {head} ({expr} + {4 * row.dwords:#x}u)')
    if row.arrays:
        lines.append(f'#define REG_{row.name}_COUNT {row.arrays[0][1]}u')
    return lines


def handlers(rows, kind):
    return sorted({row.attributes[kind] for row in rows if kind in row.attributes})


BANNER = '/* Made by scripts/gen_regs.py from the tables in data/: edit those. */\n'


def write_header(out, rows, blocks):
    out.write(BANNER + '#ifndef VGPU_REGS_GEN_H\n#define VGPU_REGS_GEN_H\n\n#include <stdint.h>\n\n')
    for row in rows:
        out.write('\n'.join(define(row)) + '\n')
    out.write(f'\n#define VGPU_REG_ROWS {len(blocks)}u\n\nstruct vgpu;\n\n')
    for name in handlers(rows, 'read'):
        out.write(f'uint32_t vgpu_read_{name}(struct vgpu *v, uint32_t offset);\n')
    for name in handlers(rows, 'write'):
        out.write(f'void vgpu_write_{name}(struct vgpu *v, uint32_t offset, uint32_t value);\n')
    out.write('\n#endif\n')


def write_table(out, blocks):
    out.write(BANNER + '#include "vgpu/mmio.h"\n\n')
    out.write('const struct vgpu_reg_row vgpu_reg_rows[VGPU_REG_ROWS] = {\n')
    for offset, end, suffix, row in blocks:
        a = row.attributes
        fields = [f'{offset:#x}', f'{end:#x}', row.flags(),
                  f"{a.get('const', a.get('reset', 0)):#x}", f"{a.get('wmask', 0xffffffff):#x}",
                  f"{a.get('w1c', 0):#x}"]
        fields += [f'vgpu_{kind}_{a[kind]}' if kind in a else '0' for kind in ('read', 'write')]
        out.write('\t{ ' + ', '.join(fields) + f', "{row.name}{suffix}" }},\n')
    out.write('};\n')


def write_markdown(out, rows):
    out.write('| where | name | attributes |\n|---|---|---|\n')
    for row in rows:
        where = ('base+' if row.engine else '') + f'{row.offset:#x}'
        if row.block:
            where += f'..{row.offset + 4 * row.dwords - 1:#x}'
        where += ''.join(f' +{step:#x}·{count}' for step, count in row.arrays)
        text = ' '.join(k if v is True else f'{k}={v if isinstance(v, str) else hex(v)}'
                        for k, v in row.attributes.items())
        out.write(f'| {where} | {row.name} | {text or "rw"} |\n')


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--header', help='where vgpu_regs_gen.h goes')
    parser.add_argument('--table', help='where vgpu_regs_gen.c goes')
    parser.add_argument('--markdown', action='store_true', help='print a table for people')
    parser.add_argument('tables', nargs='+')
    args = parser.parse_args()
    rows = parse_files(args.tables)
    blocks = expand(rows)
    if args.markdown:
        write_markdown(sys.stdout, rows)
    if args.header:
        with open(args.header, 'w', encoding='utf-8') as out:
            write_header(out, rows, blocks)
    if args.table:
        with open(args.table, 'w', encoding='utf-8') as out:
            write_table(out, blocks)


if __name__ == '__main__':
    main()
