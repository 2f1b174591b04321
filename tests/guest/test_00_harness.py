# SPDX-License-Identifier: MIT
"""The harness itself: how it reads a log; and on a guest without a vGPU, by name only (run.py Plain)."""
from harness import kernlog
from harness.guest import Guest
from harness.console import rows_lit, rows_written
from harness.modes import Pattern, connected, lend_edid
from harness.proc import wait_for
from harness.suite import Suite, check, check_log, install_inside


FINE = """\
kern  :info  : [    1.721971] pci 0000:00:02.0: BAR 0 [mem 0xfd000000-0xfdffffff 64bit]
kern  :info  : [    1.758354] pci 0000:00:02.0: Video device with shadowed ROM at [mem 0x000c0000-0x000dffff]
kern  :info  : [   31.770424] i915 0000:00:02.0: vgaarb: deactivate vga console
kern  :warn  : [    1.192581] mtrr: your CPUs had inconsistent fixed MTRR settings
kern  :err   : [   31.866028] i915 0000:00:02.0: firmware: failed to load i915/skl_dmc_ver1_27.bin (-2)
kern  :err   : [   31.866806] firmware_class: See https://wiki.debian.org/Firmware for information about missing firmware
kern  :warn  : [   31.867765] i915 0000:00:02.0: Direct firmware load for i915/skl_dmc_ver1_27.bin failed with error -2
kern  :notice: [   31.873538] i915 0000:00:02.0: [drm] Failed to load DMC firmware i915/skl_dmc_ver1_27.bin. \
Disabling runtime power management.
kern  :notice: [   31.875059] i915 0000:00:02.0: [drm] DMC firmware homepage: https://git.kernel.org/tree/i915
kern  :warn  : [   21.815772] virtio-pci 0000:00:08.0: [drm] drm_plane_enable_fb_damage_clips() not called
"""
COMPLAINTS = """\
kern  :info  : [    0.5] pci 0000:00:02.0: BAR 2: failed to assign [mem size 0x10000000 64bit pref]
kern  :info  : [    0.5] pci 0000:00:02.0: reg 0x10: invalid BAR (can't size)
kern  :info  : [    0.5] pci 0000:00:02.0: BAR 0: error updating (0xfd000004 != 0x00000000)
kern  :info  : [    5.0] i915 0000:00:02.0: [drm] Number of memory channels is zero
kern  :warn  : [    5.0] i915 0000:00:02.0: [drm] what no list of words knows
kern  :warn  : [    5.0] i915 0000:00:02.0: [drm] drm_plane_enable_fb_damage_clips() not called
kern  :notice: [    5.0] i915 0000:00:02.0: [drm] *ERROR* DMC firmware has wrong size
kern  :info  : [    5.0] i915 0000:00:02.0: firmware: failed to load i915/skl_dmc_ver1_27.bin (-2) and then some
kern  :info  : [    5.0] i915 0000:00:02.0: [drm] *ERROR* Failed to load DMC firmware i915/skl.bin.
kern  :info  : [    5.0] i915 0000:00:02.0: [drm] GPU HANG: ecode 9:1:e77ffefe, in python3 [184]
kern  :info  : [    5.0] WARNING: CPU: 0 PID: 1 at drivers/gpu/drm/i915/i915_irq.c:1 excused
"""


class KernelLog(Suite):
    def test_what_is_fine(self):
        found = kernlog.complaints(FINE)
        check(not found, kernlog.explain(found))

    def test_what_is_a_complaint(self):
        missed = [line for line in COMPLAINTS.splitlines() if not kernlog.complaints(line)]
        check(not missed, "\n".join(missed))

    def test_what_a_test_may_excuse(self):
        left = [why for _, why in kernlog.complaints(COMPLAINTS, [(r"GPU HANG|excused", "asked for")])]
        check("a GPU hang" not in left and "a WARN" in left, f"{left}")


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
