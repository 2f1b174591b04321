# SPDX-License-Identifier: MIT
"""Displays: every mode, pixel by pixel beside QEMU's own adapter; formats, flips, hotplug."""
import re

from harness import counters
from harness.console import rows_lit, rows_written
from harness.host import Failure, note
from harness.modes import Pattern, connected, lend_edid
from harness.proc import wait_for
from harness.suite import VgpuSuite, check, limit

REFERENCE = "virtio_gpu"
FLIPS = 180


def check_flips(out, raised, turned_on, period_us):
    """What a busy machine does to a guest shows in these counts, and is told; it fails nothing.

    out: of inside/flips.py; raised: (blank, blanks missed before it, how late the host's timer
    was in us) for each vblank interrupt of the device; turned_on: the blanks after which the guest
    asked for interrupts that it had not wanted until then."""
    *lines, handled, counted = [line.split() for line in out.splitlines()]
    flips = [tuple(map(int, line)) for line in lines]
    handled = [int(blank) for blank in handled[1:]]
    check(int(counted[1]) == len(flips) == FLIPS, f"{len(flips)} flips, {counted[1]} counted")
    by_client = by_interrupt = 0
    previous = 0
    for first, last, shown in flips:
        told = f"written in frame {first} to {last}, shown at {shown} (before: {previous})"
        check(first >= previous, f"a flip before the last one was shown: {told}")
        check(shown > first, f"shown before it was written: {told}")
        blank, missed, late_us = next((one for one in raised if one[0] > first), (shown + 1, 0, 0))
        off = any(last < one < blank for one in turned_on)
        check((off or blank - missed <= last + 1) and blank <= shown,
              f"no interrupt for the next blank: {told}, next is {blank}, {missed} missed")
        check(missed * period_us <= late_us + 1,
              f"{missed} blanks missed by a timer only {late_us} us late: {told}")
        check(shown in handled, f"shown by a blank that the driver did not handle: {told}")
        by_client += first - previous if previous else 0
        by_interrupt += shown - last - 1
        previous = shown
    note(f"{len(flips)} flips in {flips[-1][2] - flips[0][2] + 1} blanks: {by_client} passed before "
         f"the guest flipped again, {by_interrupt} before it handled an interrupt")


class Modes(VgpuSuite):
    """A second adapter of QEMU's shows the same patterns."""

    name = "modes"
    seconds = 80
    serve = ("--display", "hdmi:1920x1080", "--trace", "display_vblank*")
    guest = {"adapter": "virtio-gpu-pci,xres=1920,yres=1080", "memory": "1536M"}

    def setup(self):
        super().setup()
        self.vm.wait_prompt()
        lend_edid(self.vm, "i915")

    def reference(self, size):
        """The pattern as QEMU's own adapter shows it; None when it has no such mode."""
        adapter = connected(self.vm, REFERENCE)[0]
        mode = adapter.sizes().get(size)
        if not mode:
            return None
        pattern = Pattern(self.vm, REFERENCE, adapter.ident, mode)
        try:
            wait_for(f"the pattern on {REFERENCE}", 30,
                     lambda: self.vm.screendump().distinct() > 8)
            return self.vm.screendump()
        finally:
            pattern.stop()

    def compare(self, wanted, connector, mode, form="XR24"):
        pattern = Pattern(self.vm, "i915", connector, mode, form)
        parts = ""
        try:
            for _ in range(20):
                parts = self.vgpu.screenshot().difference(wanted)
                if not parts:
                    return
        finally:
            pattern.stop()
        raise Failure(f"{mode[1]} {form}: ours and the reference differ: {parts}")

    @limit(600)
    def test_every_mode_shows_the_pattern(self):
        ours = connected(self.vm, "i915")[0]
        seen = 0
        for size, mode in ours.sizes().items():
            wanted = self.reference(size)
            check(wanted, f"{mode[1]}: QEMU's adapter has no such mode to compare with")
            note(f"{mode[1]}: comparing")
            self.compare(wanted, ours.ident, mode)
            seen += 1
        check(seen >= 3, f"the monitor offers {seen} modes only")

    @limit(120)
    def test_rgb565(self):
        ours = connected(self.vm, "i915")[0]
        mode = ours.sizes()[(1024, 768)]
        wanted = self.reference((1024, 768))
        wanted.rgb = bytes(wanted.rgb).translate(FIVE_BITS) if wanted else None
        pattern = Pattern(self.vm, "i915", ours.ident, mode, "RG16")
        try:
            def same():
                mine = self.vgpu.screenshot()
                return mine.size() == wanted.size() and \
                    mine.rgb.translate(FIVE_BITS) == wanted.rgb
            wait_for("the pattern in RGB565", 15, same, 0.2)
        finally:
            pattern.stop()

    @limit(120)
    def test_xrgb2101010(self):
        ours = connected(self.vm, "i915")[0]
        mode = ours.sizes()[(1024, 768)]
        # eight bits of each component in ten: the upper eight are the reference's
        self.compare(self.reference((1024, 768)), ours.ident, mode, "XR30")

    @limit(60)
    def test_every_flip_is_shown_at_the_next_blank(self):
        trace = len(self.vgpu.process.log())
        out = self.vm.python("flips.py", FLIPS, timeout=50)
        log = self.vgpu.process.log()[trace:]
        raised = [tuple(int(word, 16) for word in words) for words in re.findall(
            r"display_vblank 0 (\w+) (\w+) (\w+)", log)]
        turned_on = [int(word, 16) for word in re.findall(r"display_vblank_on 0 (\w+)", log)]
        check_flips(out, raised, turned_on, 1e6 / 60)

    def test_no_complaint(self):
        self.check_log()


FIVE_BITS = bytes(value & 0xf8 for value in range(256))


def status(vm):
    return vm.run("cat /sys/class/drm/card0-*/status").out.split()


class Hotplug(VgpuSuite):
    """Its guest's memory has no descriptor: pictures too are made of messages."""

    name = "plug"
    serve = ("--display", "hdmi:1024x768")
    guest = {"mappable": False}

    @limit(120)
    def test_console_is_drawn_as_written(self):
        self.vm.wait_prompt()

        def same():
            picture, rows = self.vgpu.screenshot(), self.vm.console()
            return rows_written(rows) and rows_lit(picture, rows) == rows_written(rows)
        wait_for("the console's rows in the picture", 100, same, 0.5)
        check(counters.get(self.vgpu.stat(), "messages.dma_reads") > 0, "its memory was mapped after all")

    def wait_status(self, wanted):
        wait_for(f"the guest sees its monitor {wanted}", 30,
                 lambda: wanted in status(self.vm), 0.3)

    def test_unplug(self):
        self.vgpu.display("--unplug")
        wait_for("the guest sees no monitor", 30,
                 lambda: "connected" not in status(self.vm), 0.3)

    def test_plug(self):
        self.vgpu.display("--plug")
        self.wait_status("connected")
        wait_for("the console is back", 20, lambda: self.vgpu.screenshot().distinct() > 1, 0.5)

    @limit(90)
    def test_mode_change_while_running(self):
        self.vgpu.display("--mode", "1600x900")

        # sysfs tells only what fits into the console's buffer; a program asks for all there is
        wait_for("1600x900 is the guest's preferred mode", 30, lambda: [
            one.modes[0][1] for one in connected(self.vm, "i915")] == ["1600x900"], 0.3)
        ours = connected(self.vm, "i915")[0]
        pattern = Pattern(self.vm, "i915", ours.ident, ours.modes[0])
        try:
            wait_for("a picture of 1600x900", 15,
                     lambda: self.vgpu.screenshot().size() == "1600x900", 0.3)
        finally:
            pattern.stop()

    def test_no_complaint(self):
        self.check_log()


class ThreeHeads(VgpuSuite):
    """Three monitors of two kinds, on the older machine type."""

    name = "three"
    seconds = 50
    serve = ("--display", "hdmi:1024x768", "--display", "dp:1280x1024", "--display", "hdmi:800x600")
    guest = {"machine": "pc"}

    def test_three_monitors(self):
        found = connected(self.vm, "i915")
        check(len(found) == 3, f"{len(found)} monitors: {[one.name for one in found]}")
        check(any(one.name.startswith("DP") for one in found), "no DP monitor")

    def test_each_shows_the_console(self):
        self.vm.wait_prompt()
        for head in range(3):
            wait_for(f"a picture on head {head}", 15,
                     lambda number=head: self.vgpu.screenshot(number).distinct() > 1, 0.5)

    @limit(60)
    def test_vblank_rates(self):
        lines = self.vm.python("vblank.py", 5, timeout=50).splitlines()
        check(len(lines) == 3, f"{len(lines)} pipes are lit")
        for line in lines:
            pipe, wanted, measured = line.split()
            check(abs(float(measured) / float(wanted) - 1) <= 0.02,
                  f"pipe {pipe}: {measured} Hz, its mode has {wanted} Hz")

    def test_no_complaint(self):
        self.check_log()
