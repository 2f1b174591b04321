# SPDX-License-Identifier: MIT
"""A render-only vGPU: no display, few accesses, all engines."""
from harness import counters
from harness.suite import VgpuSuite, check

MOST_REGISTER_ACCESSES = 1400


class RenderOnly(VgpuSuite):
    name = "render"
    serve = ("--render-only",)

    def setup(self):
        super().setup()
        self.vm.run("udevadm settle", 60)
        self.at_login = self.vgpu.stat()

    def test_driver_does_not_complain(self):
        self.check_log()

    def test_device_nodes(self):
        self.vm.run("test -c /dev/dri/card0 && test -c /dev/dri/renderD128")
        check(not self.vm.run("ls -d /sys/class/drm/card0-* 2>/dev/null; true").out,
              "it has connectors")

    def test_few_register_accesses(self):
        count = counters.registers(self.at_login)
        check(count <= MOST_REGISTER_ACCESSES,
              f"{count} register accesses to the login prompt, at most {MOST_REGISTER_ACCESSES}")

    def test_every_engine_stores(self):
        for engine in ("rcs0", "bcs0", "vcs0", "vecs0"):
            self.vm.python("submit.py", engine, 5)
