#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs clang-tidy (see .clang-tidy) over every C file of the tree; any finding fails.

  scripts/analyse.py [BUILD] [FILE…]    BUILD (default build/) has compile_commands.json;
                                        a FILE is a part of a path: only those

A file whose text after the preprocessor, and the checks, are as in an earlier clean run is not
looked at again, in whatever checkout: ~/.cache/mediant/analysed/ holds a stamp for each such
state, until it was not met for a month.
"""
import hashlib
import json
import os
import shlex
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mediant" / "analysed"
MONTH_S = 30 * 86400


class Analyser:
    def __init__(self, build):
        self.build = build.resolve()
        CACHE.mkdir(parents=True, exist_ok=True)
        version = subprocess.run(["clang-tidy", "--version"], capture_output=True, check=True)
        self.checks = (ROOT / ".clang-tidy").read_bytes() + version.stdout

    def state_of(self, entry):
        """A hash of all that clang-tidy would see, or None when it does not preprocess."""
        command = [word for word in shlex.split(entry["command"]) if word not in ("-c", "-MD")]
        for option in ("-o", "-MQ", "-MF"):
            if option in command:
                at = command.index(option)
                del command[at:at + 2]
        done = subprocess.run(command + ["-E", "-C", "-P"], cwd=entry["directory"], capture_output=True)
        if done.returncode:
            return None
        return hashlib.sha256(self.checks + done.stdout).hexdigest()

    def analyse(self, path, entry):
        """(path, findings); findings are None when an earlier run found the file clean."""
        state = self.state_of(entry)
        if state and (CACHE / state).exists():
            (CACHE / state).touch()
            return path, None
        done = subprocess.run(["clang-tidy", "--quiet", "-p", self.build, path],
                              capture_output=True, text=True)
        if done.returncode == 0:
            if state:
                (CACHE / state).touch()
            return path, ""
        noise = [line for line in done.stderr.splitlines() if "warnings generated" not in line]
        return path, done.stdout + "\n".join(noise)


def forget_old_stamps():
    for stamp in CACHE.iterdir():
        if stamp.stat().st_mtime < time.time() - MONTH_S:
            stamp.unlink(missing_ok=True)


def sources(build, only):
    """{path: compile command} of the tree's own files."""
    found = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        path = Path(entry["directory"], entry["file"]).resolve()
        ours = path.is_relative_to(ROOT) and not path.is_relative_to(build.resolve())
        if ours and path.exists() and (not only or any(part in str(path) for part in only)):
            found[path] = entry
    return found


def main():
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(__doc__)
        return 0
    build = Path(sys.argv[1] if len(sys.argv) > 1 else "build")
    if not (build / "compile_commands.json").exists():
        # No `meson setup` of a sanitizers' build by hand: make would trust it without them.
        remedy = "make quick" if build.name.startswith("build-") else "make"
        print(f"error: {build} is not built yet: run `{remedy}` first")
        return 1
    files, analyser = sources(build, sys.argv[2:]), Analyser(build)
    new = dirty = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, findings in pool.map(lambda item: analyser.analyse(*item), files.items()):
            new += findings is not None
            if findings:
                dirty += 1
                print(findings, flush=True)
    forget_old_stamps()
    print(f"analyse: {len(files)} files, {new} looked at, {dirty} with findings")
    return 1 if dirty or not files else 0


if __name__ == "__main__":
    sys.exit(main())
