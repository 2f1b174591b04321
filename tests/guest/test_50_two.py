# SPDX-License-Identifier: MIT
"""Two vGPUs and two guests at once."""
from harness.console import rows_lit, rows_written
from harness.guest import Guest
from harness.proc import wait_for
from harness.suite import Suite, check, check_log, install_inside, limit
from harness.vgpu import Vgpu, mediant


class TwoAtOnce(Suite):
    guests = 2

    def setup(self):
        self.vgpus = [Vgpu(f"two-{n}-gpu", "--display", f"hdmi:{mode}").start()
                      for n, mode in enumerate(("1024x768", "1280x1024"))]
        self.vms = [Guest(f"two-{n}", [vgpu.socket]).start()
                    for n, vgpu in enumerate(self.vgpus)]
        for vm in self.vms:
            vm.wait_login(400)
            install_inside(vm)

    def teardown(self):
        for one in getattr(self, "vms", []) + getattr(self, "vgpus", []):
            one.stop()

    def logs(self):
        return [vm.serial_path for vm in getattr(self, "vms", [])] + \
            [vgpu.dir / "mediant.log" for vgpu in getattr(self, "vgpus", [])]

    def test_both_are_listed(self):
        listed = mediant("list", "--json")
        for vgpu in self.vgpus:
            check(vgpu.name in listed, f"{vgpu.name} is not in: {listed}")

    def test_both_logs_are_clean(self):
        for vm in self.vms:
            check_log(vm)

    def test_each_draws_its_own_console(self):
        for vm, vgpu in zip(self.vms, self.vgpus):
            vm.wait_prompt()

            def same(vm=vm, vgpu=vgpu):
                rows = vm.console()
                return rows_lit(vgpu.screenshot(), rows) == rows_written(rows)
            wait_for(f"the console of {vm.name}", 60, same, 0.5)

    @limit(120)
    def test_both_work_at_once(self):
        command = "for i in 1 2 3; do for e in rcs0 bcs0 vcs0 vecs0; do " \
                  "python3 /run/mediant/submit.py $e 20 || exit 1; done; done"
        running = [(vm, vm.start_program(command)) for vm in self.vms]
        for vm, pid in running:
            result = vm.agent.wait(pid, 90)
            check(result.code == 0, f"{vm.name}: {result.err.strip()[-300:]}")

    @limit(120)
    def test_one_dies_and_the_other_works_on(self):
        self.vms[1].kill()
        self.vgpus[1].process.kill()
        for engine in ("rcs0", "bcs0", "vcs0", "vecs0"):
            self.vms[0].python("submit.py", engine, 5)
        check_log(self.vms[0])
