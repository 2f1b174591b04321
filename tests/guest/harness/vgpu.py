# SPDX-License-Identifier: MIT
"""One vGPU: a `mediant serve` process, and the words of `mediant` about it."""
import json
import os
import subprocess

from . import host, picture
from .proc import Process, wait_for


def mediant(*args, timeout=20, check=True):
    host.scratch()
    done = subprocess.run([host.mediant(), *args], capture_output=True, text=True, timeout=timeout,
                          stdin=subprocess.DEVNULL)
    if check and done.returncode:
        raise host.Failure(f"`mediant {' '.join(args)}` ended with {done.returncode}: "
                           f"{(done.stderr or done.stdout).strip()[-400:]}")
    return done.stdout


class Vgpu:
    def __init__(self, name, *options):
        self.name, self.options = name, options
        self.dir = host.scratch() / name
        self.dir.mkdir(exist_ok=True)
        self.socket = self.dir / "vgpu.sock"
        self.process = None

    def start(self):
        self.process = Process(
            f"vGPU {self.name}",
            [host.mediant(), "serve", "--socket", str(self.socket), "--name", self.name,
             *self.options], self.dir / "mediant.log", os.environ)
        wait_for(f"the socket of vGPU {self.name}", 10, self.socket.exists, unless=self._gone)
        return self

    def _gone(self):
        if self.process.running():
            return None
        words = self.process.log().strip().splitlines()[-2:]
        return f"`mediant serve` ended with {self.process.popen.returncode}: {' | '.join(words)}"

    def check_alive(self):
        if not self.process.running():
            raise host.Failure(self._gone())

    def stat(self):
        return json.loads(mediant("stat", self.name, "--json"))

    def screenshot(self, head=None):
        path = self.dir / "screen.png"
        words = ["--head", str(head)] if head is not None else []
        mediant("screenshot", self.name, str(path), *words)
        return picture.read(path)

    def display(self, *options):
        mediant("display", self.name, *options)

    def stop(self):
        return self.process.stop() if self.process else 0
