# SPDX-License-Identifier: MIT
"""This machine's side: where the programs, the guest image and the scratch folder are.

QEMU and the image come from the scripts, which fetch them at first use; nothing here downloads.
"""
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[3]


class Failure(Exception):
    """A test's finding, in words for its reader."""


class Skip(Exception):
    """The test cannot be run here; says why."""


def note(text):
    print(f"# {text}", file=sys.stderr, flush=True)


def script(name, *args):
    """The last line a script of ours prints; its talk goes on to our stderr."""
    done = subprocess.run([str(ROOT / "scripts" / name), *args], stdout=subprocess.PIPE,
                          text=True, timeout=1800)
    if done.returncode or not done.stdout.strip():
        raise Failure(f"scripts/{name} {' '.join(args)} failed, see its words above")
    return done.stdout.strip().splitlines()[-1]


_known = {}


def qemu():
    if "qemu" not in _known:
        _known["qemu"] = script("qemu.sh")
    return _known["qemu"]


def image():
    if "image" not in _known:
        _known["image"] = pathlib.Path(script("guest-image.sh"))
    return _known["image"]


def mediant():
    path = pathlib.Path(os.environ.get("MEDIANT", ROOT / "build" / "mediant"))
    if not os.access(path, os.X_OK):
        raise Failure(f"no program at {path}: run `make` first, or set MEDIANT")
    return str(path)


def cache():
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return pathlib.Path(os.environ.get("MEDIANT_CACHE") or os.path.join(home, "mediant"))


def scratch(private=True):
    """A short path (UNIX sockets allow 107 bytes), one for each run.  With private (what the
    first call says counts) the control sockets are in there as well, out of everyone's sight."""
    if "scratch" not in _known:
        path = tempfile.mkdtemp(prefix="mediant-guest-")
        if private:
            os.makedirs(os.path.join(path, "run"), mode=0o700)
            os.environ["MEDIANT_RUNTIME_DIR"] = os.path.join(path, "run")
        _known["scratch"] = pathlib.Path(path)
    return _known["scratch"]
