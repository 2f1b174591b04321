# SPDX-License-Identifier: MIT
"""Two guests whose vGPUs share one core by an arbiter, and what becomes of them when it ends."""
import os

from harness import host
from harness.guest import Guest
from harness.proc import Process, wait_for
from harness.suite import Suite, check, check_log, install_inside, limit
from harness.vgpu import Vgpu

WORK = "for i in 1 2 3; do for e in rcs0 bcs0 vcs0 vecs0; do " \
       "python3 /run/mediant/submit.py $e 20 || exit 1; done; done"


class SharedLane(Suite):
    guests = 2

    def setup(self):
        folder = host.scratch() / "shared"
        folder.mkdir(exist_ok=True)
        self.socket = folder / "arbiter.lease"
        self.arbiter = Process(
            "arbiter", [host.mediant(), "arbiter", "--lanes", "1", "--socket", str(self.socket)],
            folder / "arbiter.log", os.environ)
        wait_for("the arbiter", 10, self.socket.exists)
        self.vgpus = [Vgpu(f"shared-{n}-gpu", "--arbiter", str(self.socket), *words).start()
                      for n, words in enumerate(((), ("--weight", "8", "--cap", "80")))]
        self.vms = [Guest(f"shared-{n}", [vgpu.socket]).start()
                    for n, vgpu in enumerate(self.vgpus)]
        for vm in self.vms:
            vm.wait_login(400)
            install_inside(vm)

    def teardown(self):
        for one in getattr(self, "vms", []) + getattr(self, "vgpus", []):
            one.stop()
        if hasattr(self, "arbiter"):
            self.arbiter.stop()

    def logs(self):
        return [vm.serial_path for vm in getattr(self, "vms", [])] + \
            [vgpu.dir / "mediant.log" for vgpu in getattr(self, "vgpus", [])]

    def work(self):
        running = [(vm, vm.start_program(WORK)) for vm in self.vms]
        for vm, pid in running:
            result = vm.agent.wait(pid, 90)
            check(result.code == 0, f"{vm.name}: {result.err.strip()[-300:]}")

    @limit(120)
    def test_1_both_work_and_take_turns(self):
        before = [vgpu.stat()["gpu"] for vgpu in self.vgpus]
        self.work()
        for vgpu, old in zip(self.vgpus, before):
            gpu = vgpu.stat()["gpu"]
            check(gpu["shared"], f"{vgpu.name} is not shared")
            check(gpu["leases"] > old["leases"], f"{vgpu.name} was given no lease: {gpu}")
        check(self.vgpus[1].stat()["gpu"]["weight"] == 8, "the weight was lost")
        seats = self.arbiter.log()
        check("has a seat: weight 8, cap 80 %" in seats, f"the arbiter was told: {seats}")

    def test_2_both_logs_are_clean(self):
        for vm in self.vms:
            check_log(vm)

    @limit(120)
    def test_3_the_arbiter_ends_and_both_work_on(self):
        self.arbiter.stop()
        wait_for("both vGPUs to notice", 10,
                 lambda: not any(vgpu.stat()["gpu"]["shared"] for vgpu in self.vgpus))
        self.work()
