# SPDX-License-Identifier: MIT
"""`mediant run`: one command from a kernel and a disk to a guest with a vGPU."""
import json
import os

from harness import counters, host
from harness.proc import Process, wait_for
from harness.suite import Suite, check, limit
from harness.vgpu import mediant


class Run(Suite):
    def setup(self):
        self.dir = host.scratch() / "run-command"
        self.dir.mkdir(exist_ok=True)
        image = host.image()
        self.process = Process("mediant run", [
            host.mediant(), "run", "--name", "run-command", "--qemu", host.qemu(),
            "--kernel", str(image / "vmlinuz"), "--initrd", str(image / "initrd"),
            "--append", "console=tty0 console=ttyS0", "--disk", f"{image}/root.squashfs,ro"],
            self.dir / "run.log", os.environ)

    def teardown(self):
        if hasattr(self, "process"):
            self.process.stop()

    def logs(self):
        return [self.dir / "run.log"]

    def gone(self):
        return None if self.process.running() else "it ended: " + self.process.log()[-300:]

    def stat(self):
        return json.loads(mediant("stat", "run-command", "--json"))

    @limit(200)
    def test_guest_comes_up(self):
        wait_for("a login on the serial line", 180, lambda: "login:" in self.process.log(), 0.3,
                 self.gone)
        check(counters.get(self.stat(), "driver_ready"), "the guest's driver did not load")

    def test_it_can_be_asked(self):
        path = self.dir / "screen.png"
        mediant("screenshot", "run-command", str(path))
        check(path.stat().st_size > 500, "an empty picture")

    def test_asked_to_end_it_ends_both(self):
        children = [int(pid) for pid in open(
            f"/proc/{self.process.pid}/task/{self.process.pid}/children").read().split()]
        check(len(children) == 2, f"it has the children {children}")
        self.process.stop(20)
        left = [pid for pid in children if os.path.exists(f"/proc/{pid}")]
        check(not left, f"still there: {left}")
        check("run-command" not in mediant("list", "--json"), "it is still listed")
