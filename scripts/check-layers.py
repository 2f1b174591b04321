#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks the habits of the tree that a compiler does not see.

Who may include whom: a file includes its own layer's headers, base/, and the one public header
(LAYER/LAYER.h) of the layers listed for it in MAY_USE; what lies to its right is out of reach.
How a file opens: the SPDX line, then a paragraph that says what the file owns.
What no file keeps: notes to oneself.  How long files and functions are: told, not failed.

  scripts/check-layers.py              check the tree
  scripts/check-layers.py --self-test  plant one violation of each rule and see that it is found
"""
import re
import subprocess
import sys
import tempfile
from pathlib import Path

# In the order of knowledge; base is everybody's and not repeated.
MAY_USE = {
    "base": [],
    "guest": [],
    "gpu": [],
    "scan": ["guest", "gpu"],
    "shadow": ["guest", "gpu"],
    "sched": ["guest", "gpu"],
    "display": ["guest", "gpu"],
    "vgpu": ["guest", "gpu", "scan", "shadow", "sched", "display"],
    "vfio": ["guest"],
    "vfio_user": ["guest", "vfio"],
    "kvm": ["guest"],
    "lib": ["guest", "gpu", "scan", "shadow", "sched", "display", "vgpu", "vfio", "vfio_user",
            "kvm"],
    "cmd": ["guest", "gpu", "scan", "shadow", "sched", "display", "vgpu", "vfio", "vfio_user",
            "lib"],
}

# Libraries and kernel interfaces that belong to one concern.
SYSTEM_OWNERS = [
    (re.compile(r"linux/vfio\.h|linux/pci_regs\.h"), {"vfio", "vfio_user", "lib", "cmd"}),
    (re.compile(r"linux/kvm\.h"), {"guest", "kvm"}),
    (re.compile(r"png\.h|rfb/.*"), {"display"}),
    (re.compile(r"jansson\.h"), {"vfio", "vfio_user", "lib", "cmd"}),
    (re.compile(r"seccomp\.h|cap-ng\.h"), {"lib", "cmd"}),
]

INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)')
NOTE = re.compile(r"\b(TODO|FIXME|XXX)\b")
MAX_FILE_LINES = 800
MAX_FUNCTION_LINES = 60
C_FILES = {".c", ".h"}
SCRIPTS = {".py", ".sh"}


def layer_of(path):
    """The layer of a file under src/, or None."""
    return path.parts[1] if len(path.parts) > 2 and path.parts[0] == "src" else None


def generated_headers(root):
    """Headers that a meson.build names as the output of a generator, as they are included."""
    found = set()
    for build in root.glob("src/**/meson.build"):
        folder = build.parent.relative_to(root / "src")
        for name in re.findall(r"'([\w./-]+\.h)'", build.read_text()):
            found.add((folder / name).as_posix())
    return found


def quoted_problem(root, generated, path, layer, name):
    """What is wrong with `#include "name"` in a file of @layer, or None."""
    if f"{layer}/{name}" in generated:
        return None
    if not (root / "src" / name).exists() and name not in generated:
        if (root / path.parent / name).exists():
            return f'name headers from src/ on: "{layer}/…", not "{name}"'
        return f'"{name}" is neither under src/ nor made by a meson.build'
    target = name.split("/")[0]
    if target in (layer, "base"):
        return None
    if target not in MAY_USE[layer]:
        allowed = ", ".join(["base"] + MAY_USE[layer])
        return f"{layer} may not use {target} (it may use: {allowed})"
    if name != f"{target}/{target}.h":
        return f'of {target}, {layer} may include "{target}/{target}.h" only, not "{name}"'
    return None


def system_problem(layer, name):
    """What is wrong with `#include <name>` in a file of @layer, or None."""
    for pattern, owners in SYSTEM_OWNERS:
        if pattern.fullmatch(name) and layer not in owners:
            return f"<{name}> belongs to {', '.join(sorted(owners))}"
    return None


def include_problems(root, generated, path, lines):
    layer = layer_of(path)
    if layer is None:
        return
    if layer not in MAY_USE:
        yield 1, f"src/{layer}/ is no known layer: give it a place in MAY_USE"
        return
    for number, line in enumerate(lines, 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        quoted, system = match.groups()
        if quoted and quoted.startswith("mediant/"):
            problem = None if layer in ("lib", "cmd") else "the public API is for lib and cmd"
        elif quoted:
            problem = quoted_problem(root, generated, path, layer, quoted)
        else:
            problem = system_problem(layer, system)
        if problem:
            yield number, problem


def opening_problems(path, lines):
    if path.suffix in C_FILES:
        if not lines or lines[0] != "/* SPDX-License-Identifier: MIT */":
            yield 1, "the first line is not /* SPDX-License-Identifier: MIT */"
        elif len(lines) < 2 or not lines[1].startswith("/*"):
            yield 2, "no opening paragraph: what the file owns, who calls it, on which thread"
    elif path.suffix in SCRIPTS:
        rest = [line for line in lines[:4] if not line.startswith(("#!", "# SPDX"))]
        if not rest or not rest[0].startswith(("#", '"""', 'r"""')):
            yield 1, "no opening paragraph: what the script does and how it is called"


def note_problems(path, lines):
    if path.name == Path(__file__).name:
        return
    for number, line in enumerate(lines, 1):
        if NOTE.search(line):
            yield number, "a note to oneself: do it, or write an issue"


def long_functions(lines):
    """(first line, length) of the functions longer than the house likes."""
    start = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif line == "}" and start is not None:
            if number - start - 1 > MAX_FUNCTION_LINES:
                yield start, number - start - 1
            start = None


def tracked_files(root):
    """Files under version control or about to be."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=root,
                            capture_output=True, text=True)
    if listed.returncode == 0:
        return [Path(name) for name in listed.stdout.splitlines()]
    return [path.relative_to(root) for path in root.rglob("*") if path.is_file()]


def check(root):
    """(errors, remarks), each a list of "file:line: text"."""
    errors, remarks = [], []
    generated = generated_headers(root)
    for path in sorted(tracked_files(root)):
        if path.suffix not in C_FILES | SCRIPTS or not (root / path).is_file():
            continue
        lines = (root / path).read_text(errors="replace").splitlines()
        found = list(opening_problems(path, lines)) + list(note_problems(path, lines))
        if path.suffix in C_FILES:
            found += include_problems(root, generated, path, lines)
            remarks += [f"{path}:{at}: a function of {length} lines (60 are plenty)"
                        for at, length in long_functions(lines)]
        if len(lines) > MAX_FILE_LINES:
            remarks.append(f"{path}:1: {len(lines)} lines (800 are plenty)")
        errors += [f"{path}:{number}: {text}" for number, text in sorted(found)]
    return errors, remarks


OPENING = "/* SPDX-License-Identifier: MIT */\n/* A planted file. */\n"
# file: (text, part of the message expected, or None when the file is in order)
PLANTED = {
    "src/gpu/ok.c": ('#include "gpu/gpu.h"\n#include "base/types.h"\n#include <stdio.h>\n', None),
    "src/vgpu/display/ok.c": ('#include "vgpu/vgpu.h"\n#include "gpu/gpu.h"\n'
                              '#include "vgpu/made.h"\n#include "made.h"\n', None),
    "src/gpu/right.c": ('#include "vgpu/vgpu.h"\n', "gpu may not use vgpu"),
    "src/gpu/seam.c": ('#include "guest/guest.h"\n', "gpu may not use guest"),
    "src/vfio/gpu.c": ('#include "gpu/gpu.h"\n', "vfio may not use gpu"),
    "src/vfio_user/display.c": ('#include "display/display.h"\n', "may not use display"),
    "src/scan/sibling.c": ('#include "shadow/shadow.h"\n', "scan may not use shadow"),
    "src/vgpu/inner.c": ('#include "gpu/inner.h"\n', 'may include "gpu/gpu.h" only'),
    "src/vgpu/missing.c": ('#include "vgpu/missing.h"\n', "neither under src/ nor made"),
    "src/vgpu/short.c": ('#include "vgpu.h"\n', "name headers from src/ on"),
    "src/gpu/library.c": ("#include <png.h>\n", "<png.h> belongs to display"),
    "src/attic/new.c": ("", "no known layer"),
    "src/base/note.c": ("/* TO" "DO: later */\n", "a note to oneself"),
}


def self_test():
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        texts = {name: OPENING + text for name, (text, _) in PLANTED.items()}
        for name in ("gpu/gpu.h", "gpu/inner.h", "vgpu/vgpu.h", "guest/guest.h", "base/types.h",
                     "display/display.h", "shadow/shadow.h"):
            texts["src/" + name] = OPENING
        texts["src/vgpu/meson.build"] = "custom_target('x', output: ['made.h'])\n"
        texts["src/base/bare.c"] = "int x;\n"
        texts["src/base/long.c"] = OPENING + "int f(void)\n{\n" + "\tg();\n" * 61 + "}\n"
        for name, text in texts.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        errors, remarks = check(root)
    expected = {name: message for name, (_, message) in PLANTED.items() if message}
    expected["src/base/bare.c"] = "the first line is not"
    wrong = [f"not found: {name}: {message}" for name, message in expected.items()
             if not any(e.startswith(name + ":") and message in e for e in errors)]
    wrong += [f"false alarm: {e}" for e in errors if e.split(":")[0] not in expected]
    if not any(r.startswith("src/base/long.c:") for r in remarks):
        wrong.append("not found: the long function of src/base/long.c")
    for line in wrong:
        print(line)
    print(f"self-test: {len(expected) + 1} planted violations, {len(wrong)} surprises")
    return 1 if wrong else 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    errors, remarks = check(Path(__file__).resolve().parent.parent)
    for line in remarks:
        print("remark:", line)
    for line in errors:
        print(line)
    print(f"layers: {len(errors)} violations, {len(remarks)} remarks")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
