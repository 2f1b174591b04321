#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Make C tables of the GPU's commands from data/gen9.cmds (which describes its own format).

  gen_cmds.py table  INPUT OUT.c OUT.h   what the command streamer needs: opcode, engines, length
  gen_cmds.py fields INPUT OUT.c         what a decoder or an auditor needs: fields, operands

Errors in the input are reported as FILE:LINE: text, and the exit status is 1.
"""
import re
import sys

ENGINES = {'rcs': 0, 'bcs': 1, 'vcs': 2, 'vecs': 3}
CLASSES = ('exec', 'nop', 'state', 'work')
OPCODE_BITS = {'mi': (23, 6), '2d': (22, 7), '3d': (16, 16)}
TYPES = {'mi': 0, '2d': 2, '3d': 3}
ACCESS = {'read': 1, 'write': 2, 'update': 3, 'exec': 4}
BLOCK = 256
BYTES_DATA = 0xffff


class Bad(Exception):
    pass


def need(condition, text):
    if not condition:
        raise Bad(text)


def number(text, base=10):
    try:
        return int(text, base)
    except ValueError:
        raise Bad(f"'{text}' is not a number") from None


class Command:
    def __init__(self, words):
        need(len(words) >= 6, 'a command needs TYPE OPCODE NAME ENGINES LENGTH CLASS')
        self.type, opcode, self.name, engines, length, self.klass = words[:6]
        need(self.type in TYPES, f"unknown type '{self.type}'")
        self.opcode = number(opcode, 16)
        need(self.klass in CLASSES, f"unknown class '{self.klass}'")
        self.engines = self.parse_engines(engines)
        self.parse_length(length)
        self.privileged = self.denied = False
        self.predicate = None
        for flag in words[6:]:
            self.parse_flag(flag)
        self.rows = []
        self.repeat = None
        shift, bits = OPCODE_BITS[self.type]
        if self.type == '3d':
            need(self.opcode >> 13 == TYPES['3d'], f'opcode {opcode} is not of type 3')
        else:
            need(self.opcode < 1 << bits, f'opcode {opcode} has more than {bits} bits')

    @staticmethod
    def parse_engines(text):
        if text == 'all':
            return set(ENGINES)
        names = text.split(',')
        for name in names:
            need(name in ENGINES, f"unknown engine '{name}'")
        return set(names)

    def parse_length(self, text):
        match = re.fullmatch(r'(\d+)(\.\.(\d*))?(/(\d+))?', text)
        need(match, f"'{text}' is not a length")
        self.least = int(match[1])
        self.bits = int(match[5] or 0)
        need(self.least >= 1, 'a command has at least one dword')
        if match[2] is None:
            self.most = self.least
        else:
            need(self.bits, 'a length that varies needs a length field')
            self.most = int(match[3]) if match[3] else (1 << self.bits) + 1
        if self.bits:
            need(1 <= self.bits <= 16, 'a length field has 1 to 16 bits')
            need(self.least >= 2, 'a length field cannot say less than two')
            need(self.least <= self.most <= (1 << self.bits) + 1,
                 f'the length does not fit {self.bits} bits')

    def parse_flag(self, flag):
        if flag == 'priv':
            self.privileged = True
            return
        if flag == 'denied':
            self.denied = True
            return
        match = re.fullmatch(r'predicate=0\.(\d+)', flag)
        need(match and int(match[1]) < 32, f"unknown flag '{flag}'")
        self.predicate = int(match[1])

    def check_end(self, position):
        dword, low, high = position
        start = 0 if self.repeat is None else self.repeat[0]
        end = dword + high // 32
        if self.repeat is not None:
            need(end < self.repeat[1], 'lies outside its group')
        need(start + end < self.most, f'lies behind the end of {self.name}')

    def add(self, words):
        kind = words[0]
        if kind == 'repeat':
            need(len(words) == 3, 'repeat needs DW and N')
            need(self.repeat is None, 'a command has one repeated group')
            self.repeat = (number(words[1]), number(words[2]))
            need(self.repeat[0] >= 1 and self.repeat[1] >= 1, 'a group starts behind the header')
            return
        need(kind in ('field', 'reg', 'addr'), f"unknown line '{kind}'")
        need(len(words) >= 3, f'{kind} needs a place and a name')
        position = bits_of(words[1])
        self.check_end(position)
        row = {'kind': kind, 'at': position, 'group': self.repeat is not None,
               'access': 0, 'bytes': 0, 'space': 'none', 'select': None,
               'if': (0, 0), 'unless': (0, 0)}
        rest = words[2:]
        if kind == 'reg':
            need(rest[0] in ('read', 'write'), 'a register is read or written')
            row['access'] = ACCESS[rest.pop(0)]
        elif kind == 'addr':
            need(len(rest) >= 4, 'addr needs ACCESS BYTES SPACE NAME')
            need(rest[0] in ACCESS, f"unknown access '{rest[0]}'")
            row['access'] = ACCESS[rest.pop(0)]
            size = rest.pop(0)
            row['bytes'] = {'*': 0, 'data': BYTES_DATA}.get(size) if size in ('*', 'data') \
                else number(size)
            need(row['bytes'] <= BYTES_DATA, 'that is more bytes than a row can name')
            row['space'], row['select'] = space_of(rest.pop(0))
        while rest and rest[0].startswith(('if=', 'unless=')):
            word, place = rest.pop(0).split('=')
            row[word] = self.condition(place, row[word])
        need(rest, 'has no name')
        row['name'] = ' '.join(rest)
        self.rows.append(row)


    def condition(self, text, before):
        """(dword, mask) of the bits that decide, those of an earlier condition included."""
        dword, low, high = bits_of(text)
        need(high < 32 and dword < self.least, 'a condition lies in one dword that is there')
        need(not before[1] or before[0] == dword, 'conditions lie in one dword')
        return dword, before[1] | ((2 << high) - (1 << low))


def bits_of(text):
    match = re.fullmatch(r'(\d+)\.(\d+)(?:-(\d+))?', text)
    need(match, f"'{text}' is not DW.LO or DW.LO-HI")
    dword, low = int(match[1]), int(match[2])
    high = int(match[3]) if match[3] else low
    need(low < 32 and low <= high < 64, f"'{text}' has its bits in disorder")
    need(dword < 256, f"'{text}' lies beyond the 255 dwords a row can name")
    return dword, low, high


def space_of(text):
    match = re.fullmatch(r'(ggtt|ppgtt|base)(?:\?(\d+)\.(\d+))?', text)
    need(match, f"unknown space '{text}'")
    if match[2] is None:
        return match[1], None
    need(match[1] != 'base', 'base takes no bit')
    need(int(match[3]) < 32, 'a select bit lies in one dword')
    return match[1], (int(match[2]), int(match[3]))


def parse(path):
    commands = []
    seen = {}
    with open(path, encoding='utf-8') as source:
        for number_, line in enumerate(source, 1):
            try:
                parse_line(line, commands, seen)
            except Bad as error:
                sys.exit(f'{path}:{number_}: {error}')
    if not commands:
        sys.exit(f'{path}:1: no commands')
    return commands


def parse_line(line, commands, seen):
    if not line.strip() or line.startswith('#'):
        return
    words = line.split()
    if line[0] in ' \t':
        need(commands, 'belongs to no command')
        commands[-1].add(words)
        return
    command = Command(words)
    need(command.name not in seen, f'{command.name} is there twice')
    seen[command.name] = True
    for engine in command.engines:
        key = (engine, command.type, command.opcode)
        need(key not in seen,
             f'{command.name} has the opcode of {seen.get(key)} on {engine}')
        seen[key] = command.name
    commands.append(command)


def enum_name(name):
    return 'CMD_' + re.sub(r'[^A-Z0-9]', '_', name.upper())


def write_header(commands, path):
    with open(path, 'w', encoding='utf-8') as out:
        out.write('/* Made by scripts/gen_cmds.py from data/gen9.cmds. */\n'
                  '#ifndef GPU_CMD_TABLE_GEN_H\n#define GPU_CMD_TABLE_GEN_H\n\n'
                  'enum cmd_id {\n')
        for command in commands:
            out.write(f'\t{enum_name(command.name)},\n')
        out.write('\tCMD_COUNT\n};\n\n#endif\n')


def write_commands(commands, out):
    out.write('const struct gpu_command gpu_commands[CMD_COUNT] = {\n')
    for command in commands:
        shift = OPCODE_BITS[command.type][0]
        engines = sum(1 << ENGINES[engine] for engine in command.engines)
        header = command.opcode << shift
        if command.type != '3d':
            header |= TYPES[command.type] << 29
        if command.bits and command.least == command.most:
            header |= command.least - 2
        predicate = 0 if command.predicate is None else 1 << command.predicate
        out.write(f'\t[{enum_name(command.name)}] = {{ .name = "{command.name}", '
                  f'.id = {enum_name(command.name)}, .engines = {engines:#x}, '
                  f'.klass = GPU_COMMAND_{command.klass.upper()}, '
                  f'.privileged = {str(command.privileged).lower()}, '
                  f'.denied = {str(command.denied).lower()}, '
                  f'.length_bits = {command.bits}, .header = {header:#010x}, '
                  f'.predicate_mask = {predicate:#x}, '
                  f'.min_dwords = {command.least}, .max_dwords = {command.most} }},\n')
    out.write('};\n\n')


def write_array(out, declaration, values, columns=12):
    out.write(f'{declaration} = {{\n')
    for start in range(0, len(values), columns):
        out.write('\t' + ', '.join(str(v) for v in values[start:start + columns]) + ',\n')
    out.write('};\n\n')


def write_table(commands, c_path, h_path):
    write_header(commands, h_path)
    # Index values are the command's number plus one; zero: no such command.
    flat = {'mi': [0] * (len(ENGINES) * 64), '2d': [0] * (len(ENGINES) * 128)}
    page_of = [0] * (len(ENGINES) * 32)
    pages = [0] * BLOCK  # page 0: empty
    for index, command in enumerate(commands):
        for engine in sorted(command.engines):
            number_ = ENGINES[engine]
            if command.type != '3d':
                size = 1 << OPCODE_BITS[command.type][1]
                flat[command.type][number_ * size + command.opcode] = index + 1
                continue
            slot = number_ * 32 + (command.opcode >> 8 & 31)
            if not page_of[slot]:
                page_of[slot] = len(pages) // BLOCK
                pages += [0] * BLOCK
            pages[page_of[slot] * BLOCK + (command.opcode & 255)] = index + 1
    with open(c_path, 'w', encoding='utf-8') as out:
        out.write('/* Made by scripts/gen_cmds.py from data/gen9.cmds. */\n'
                  '#include "gpu/cs/cmd_table.h"\n\n')
        write_commands(commands, out)
        write_array(out, 'const uint16_t cmd_mi_index[GPU_ENGINES * 64]', flat['mi'])
        write_array(out, 'const uint16_t cmd_2d_index[GPU_ENGINES * 128]', flat['2d'])
        write_array(out, 'const uint8_t cmd_3d_page[GPU_ENGINES * 32]', page_of)
        write_array(out, f'const uint16_t cmd_3d_index[{len(pages)}]', pages)


def c_string(text):
    return '"' + text.replace('\\', '\\\\').replace('"', '\\"') + '"'


def write_fields(commands, path):
    with open(path, 'w', encoding='utf-8') as out:
        out.write('/* Made by scripts/gen_cmds.py from data/gen9.cmds. */\n'
                  '#include "scan/fields.h"\n\n'
                  'static const struct scan_field fields[] = {\n')
        first = 0
        spans = []
        for command in commands:
            for row in command.rows:
                dword, low, high = row['at']
                select = row['select']
                out.write(f'\t{{ {c_string(row["name"])}, SCAN_{row["kind"].upper()}, '
                          f'{str(row["group"]).lower()}, {dword}, {low}, {high}, '
                          f'{row["access"]}, {row["bytes"]}, '
                          f'SCAN_SPACE_{row["space"].upper()}, '
                          f'{select[0] if select else 0}, '
                          f'{1 << select[1] if select else 0:#x}, '
                          f'{row["if"][0]}, {row["unless"][0]}, '
                          f'{row["if"][1]:#x}, {row["unless"][1]:#x} }},\n')
            spans.append((first, len(command.rows), command.repeat or (0, 0)))
            first += len(command.rows)
        out.write('};\n\n')
        out.write(f'const unsigned int scan_layout_count = {len(commands)};\n\n')
        out.write('const struct scan_layout scan_layouts[] = {\n')
        for command, (start, count, repeat) in zip(commands, spans):
            out.write(f'\t{{ &fields[{start if count else 0}], {count}, {repeat[0]}, {repeat[1]} }}, '
                      f'/* {command.name} */\n')
        out.write('};\n')


def main(argv):
    if len(argv) == 5 and argv[1] == 'table':
        write_table(parse(argv[2]), argv[3], argv[4])
    elif len(argv) == 4 and argv[1] == 'fields':
        write_fields(parse(argv[2]), argv[3])
    else:
        sys.exit(__doc__)


if __name__ == '__main__':
    main(sys.argv)
