# SPDX-License-Identifier: MIT
"""The harness itself, on a guest without a vGPU: run by name only (run.py harness)."""
from harness.guest import Guest
from harness.console import rows_lit, rows_written
from harness.modes import Pattern, connected, lend_edid
from harness.proc import wait_for
from harness.suite import Suite, check, check_log, install_inside


class Plain(Suite):
    on_demand = True

    def setup(self):
        self.vm = Guest("plain", adapter="virtio-gpu-pci,xres=1024,yres=768",
                        extra=["-device", "bochs-display,id=other,xres=1024,yres=768"]).boot()

    def teardown(self):
        self.vm.stop()

    def logs(self):
        return [self.vm.serial_path]

    def test_agent_runs_programs(self):
        result = self.vm.run("echo out; echo err >&2; exit 3", check=False)
        check((result.code, result.out, result.err) == (3, "out\n", "err\n"), "wrong result")

    def test_kernel_log_is_clean(self):
        check_log(self.vm, detected=False)

    def test_inside(self):
        install_inside(self.vm)

    def test_picture_of_the_console(self):
        self.vm.wait_prompt(20)
        rows = self.vm.console()
        lit = [rows_lit(self.vm.screendump(device), rows) for device in ("adapter", "other")]
        check(rows_written(rows) in lit, "the text and its picture differ")

    def test_an_edid_can_be_lent(self):
        lend_edid(self.vm, "bochs-drm")
        virtio, bochs = (connected(self.vm, driver)[0] for driver in ("virtio_gpu", "bochs-drm"))
        check(set(bochs.sizes()) <= set(virtio.sizes()), "modes are missing")

    def test_two_adapters_show_one_pattern(self):
        virtio, bochs = (connected(self.vm, driver)[0] for driver in ("virtio_gpu", "bochs-drm"))
        for size in sorted(set(virtio.sizes()) & set(bochs.sizes()))[-3:]:
            pictures = []
            for driver, connector, device in (("virtio_gpu", virtio, "adapter"),
                                              ("bochs-drm", bochs, "other")):
                pattern = Pattern(self.vm, driver, connector.ident, connector.sizes()[size])
                wait_for("the pattern", 10, lambda name=device:
                         self.vm.screendump(name).distinct() > 8)
                pictures.append(self.vm.screendump(device))
                pattern.stop()
            check(not pictures[0].difference(pictures[1]),
                  f"{size}: {pictures[0].difference(pictures[1])}")

    def test_reboot(self):
        self.vm.reboot()
        check(float(self.vm.run("cat /proc/uptime").out.split()[0]) < 60, "it did not reboot")

    def test_kill_and_start(self):
        self.vm.kill()
        self.vm.boot()
