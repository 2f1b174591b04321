#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The library as an outside VMM author finds it: installed into an empty folder, found by
pkg-config alone.  Checks what it exports, that the header suits C and C++, and that the example
VMM builds against it and runs.

  test_mediant_install.py SOURCE BUILD MESON [CXX]
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SOURCE, BUILD, MESON = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3].split()
CC = os.environ.get("CC", "cc")
CXX = os.environ.get("CXX") or shutil.which("c++")


def run(*command, **kwargs):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          **kwargs)


class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="mediant-install-")
        cls.root = Path(cls.folder.name) / "root"
        done = run(*MESON, "install", "-C", BUILD, "--no-rebuild", "--destdir", cls.root)
        assert done.returncode == 0, done.stdout + done.stderr
        cls.library = next(cls.root.glob("**/libmediant.so"))
        found = next(cls.root.glob("**/mediant.pc"))
        cls.env = {**os.environ, "PKG_CONFIG_LIBDIR": str(found.parent),
                   "PKG_CONFIG_SYSROOT_DIR": str(cls.root),
                   "LD_LIBRARY_PATH": str(cls.library.parent)}

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def flags(self, *asked):
        got = run("pkg-config", *asked, "mediant", env=self.env)
        self.assertEqual(got.returncode, 0, got.stderr)
        return got.stdout.split()

    def build(self, text, suffix, *compiler):
        path = Path(self.folder.name) / f"program{suffix}"
        path.write_text(text)
        built = run(*compiler, "-Wall", "-Wextra", "-Werror", path, "-o", path.with_suffix(""),
                    *self.flags("--cflags", "--libs"), cwd=self.folder.name)
        self.assertEqual(built.returncode, 0, built.stderr)
        return path.with_suffix("")

    PROGRAM = """
        #include <mediant/mediant.h>
        #include <stdio.h>
        int main(void)
        {
            struct mediant_vm_config config;
            struct mediant_vm *vm;
            MEDIANT_INIT(&config);
            config.vm_fd = -1;
            if (mediant_vm_create(&config, &vm))
                return 1;
            mediant_vm_destroy(vm);
            puts(mediant_version());
            return 0;
        }
    """

    def check_program(self, suffix, *compiler):
        program = self.build(self.PROGRAM, suffix, *compiler)
        ran = run(program, env=self.env)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        version = run("pkg-config", "--modversion", "mediant", env=self.env).stdout
        self.assertEqual(ran.stdout, version)

    def test_a_c_program_builds_and_runs(self):
        self.check_program(".c", CC, "-std=c11", "-pedantic")

    @unittest.skipUnless(CXX, "no C++ compiler")
    def test_a_cpp_program_builds_and_runs(self):
        self.check_program(".cc", CXX, "-std=c++11")

    def test_only_the_api_is_exported(self):
        listed = run("nm", "-D", "--defined-only", self.library).stdout
        symbols = {line.split()[-1] for line in listed.splitlines()}
        symbols.discard("MEDIANT_0.1")
        strange = {s for s in symbols if not re.fullmatch(r"mediant_\w+@@MEDIANT_0\.1", s)}
        self.assertEqual(strange, set())
        header = (SOURCE / "include/mediant/mediant.h").read_text()
        declared = set(re.findall(r"MEDIANT_API[^;]*?\b(mediant_\w+)\(", header))
        self.assertEqual({s.split("@")[0] for s in symbols}, declared)

    def test_it_needs_nothing_but_libc(self):
        needed = re.findall(r"NEEDED.*\[(.*)\]", run("readelf", "-d", self.library).stdout)
        strange = [n for n in needed if not re.match(r"lib(c|m)\.so|ld-linux", n)]
        self.assertEqual(strange, [])

    @unittest.skipUnless((SOURCE / "examples/tinyvmm.c").exists(), "no example")
    def test_the_example_builds_and_runs_or_says_what_is_missing(self):
        program = self.build((SOURCE / "examples/tinyvmm.c").read_text(), ".c", CC, "-std=gnu17")
        ran = run(program, "--help", env=self.env)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        ran = run(program, env=self.env)
        if ran.returncode == 77:
            self.assertIn("/dev/kvm", ran.stderr)
        else:
            self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)
            self.assertIn("the guest is content", ran.stdout)


def sanitizer():
    """What the build is instrumented with: nothing an outsider's program could link to."""
    options = json.loads((BUILD / "meson-info/intro-buildoptions.json").read_text())
    return next(o["value"] for o in options if o["name"] == "b_sanitize")


if __name__ == "__main__":
    if sanitizer() != "none":
        print(f"a library built with {sanitizer()} is not what is installed")
        sys.exit(77)
    unittest.main(argv=sys.argv[:1], verbosity=2)
