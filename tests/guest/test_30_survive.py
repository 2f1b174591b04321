# SPDX-License-Identifier: MIT
"""The guest survives: rebinding, hangs, resets, reboots, and QEMU killed under it."""
import re
import time

from harness import counters
from harness.proc import wait_for
from harness.suite import VgpuSuite, check, install_inside, limit

PCI = "0000:00:02.0"
DRIVER = "/sys/bus/pci/drivers/i915"
DEBUG = "/sys/kernel/debug/dri/0"
ENGINES = ("rcs0", "bcs0", "vcs0", "vecs0")
# What the driver must say when a test makes it reset: news, no complaint.
RESET_NEWS = [
    (r"Resetting (rcs0|bcs0|vcs0|vecs0|chip) for|GPU HANG: ecode|\[drm\] .*context reset due to GPU hang|"
     r"Got hung context|GPU error state saved|Fence expiration time out|"
     r"GPU hangs can indicate a bug|Please file a .*bug|drm/i915 developers can then|"
     r"The GPU crash dump is required|GPU crash dump saved|bug on gitlab|Manually (set|setting) wedged",
     "the reset that the test asked for"),
]
UNBIND_NEWS = [
    (r"i915 0000:00:02\.0: .*(Console: switching|deactivate)", "the driver leaves"),
]


class Driver(VgpuSuite):
    name = "survive"
    seconds = 180
    serve = ("--display", "hdmi:1024x768")

    def resets(self):
        """(of the whole GPU, {engine: of it alone}): how often the driver asked for them."""
        stat = self.vgpu.stat()
        return counters.get(stat, "full_resets"), counters.engines(stat, "resets")

    def works(self):
        for engine in ENGINES:
            self.vm.python("submit.py", engine, 2)

    def check_engines_reset(self, before, engines):
        """Each of them alone, none by a reset of the whole GPU."""
        after = self.resets()
        left = [name for name in engines if after[1][name] == before[1][name]]
        check(not left, f"{left} were not reset: {before}, {after}")
        check(after[0] == before[0], f"the whole GPU was reset: {before}, {after}")

    @limit(240)
    def test_unbind_and_bind_ten_times(self):
        self.vm.wait_prompt()
        before = (len(self.vgpu.process.descriptors()), self.vgpu.process.threads())
        release = "for c in /sys/class/vtconsole/vtcon*; do grep -q 'frame buffer' $c/name && " \
                  "echo 0 >$c/bind; done; true"
        for _ in range(10):
            self.vm.run(f"{release}; echo {PCI} >{DRIVER}/unbind", 30)
            self.vm.run(f"echo {PCI} >{DRIVER}/bind", 60)
            self.vm.run("for i in $(seq 100); do [ -e /dev/dri/renderD128 ] && break; "
                        "sleep 0.1; done; test -c /dev/dri/renderD128")
        self.vm.run("for c in /sys/class/vtconsole/vtcon*; do grep -q 'frame buffer' $c/name && "
                    "echo 1 >$c/bind; done; true")
        self.works()
        after = (len(self.vgpu.process.descriptors()), self.vgpu.process.threads())
        check(after[0] <= before[0] and after[1] <= before[1], f"(descriptors, threads) were {before}, now {after}")
        self.check_log(UNBIND_NEWS)

    @limit(120)
    def test_full_reset(self):
        before = self.resets()
        self.vm.run(f"echo 1 >{DEBUG}/i915_params/reset; echo 1 >{DEBUG}/i915_wedged; "
                    f"sleep 1; echo 2 >{DEBUG}/i915_params/reset", 90)
        after = self.resets()
        check(after[0] > before[0], f"no full reset: {before}, {after}")
        self.works()

    @limit(120)
    def test_engine_reset(self):
        before = self.resets()
        self.vm.python("wedge.py", timeout=90)
        self.check_engines_reset(before, ENGINES)
        told = set(re.findall(r"Resetting (\w+) for Manually reset", self.vm.dmesg()))
        check(told >= set(ENGINES), f"only {told} were reset because the test asked for it")
        self.works()

    @limit(180)
    def test_a_hanging_batch(self):
        before = self.resets()
        self.vm.python("hang.py", "rcs0", 90, timeout=150)
        self.check_engines_reset(before, ("rcs0",))
        self.works()

    def test_the_log_tells_of_resets_only(self):
        self.check_log(UNBIND_NEWS + RESET_NEWS)

    @limit(180)
    def test_reboot(self):
        self.vm.reboot()
        install_inside(self.vm)
        self.vm.wait_prompt()
        self.works()
        self.check_log()

    def start_driver(self):
        """A guest that is in the middle of its boot, its driver just loaded."""
        def ready():
            return counters.get(self.vgpu.stat(), "driver_ready")
        check(not ready(), "a driver is there before its guest is")
        self.vm.start()
        wait_for("the driver", 300, ready, 0.2)

    def settled(self, held):
        """What the server holds when it has let go of one thing after the other."""
        last, same = held(), 0
        while same < 10:
            time.sleep(0.1)
            now = held()
            last, same = now, same + 1 if now == last else 0
        return last

    @limit(900)
    def test_qemu_killed_and_started_again(self):
        process = self.vgpu.process

        def held():
            return len(process.descriptors()), process.threads()

        rounds, memory = [], []
        for again in (self.start_driver, self.vm.boot, self.vm.boot):
            self.vm.kill()
            wait_for("the server to notice that QEMU is gone", 30, lambda: not any(
                "memfd:memory-backend" in name for name in process.descriptors()))
            rounds.append(self.settled(held))
            memory.append(process.status_kib("RssAnon"))
            again()
        check(rounds[0] == rounds[-1],
              f"(descriptors, threads) without a client: {rounds}: something is left behind")
        check(memory[-1] <= memory[0] + 2048,
              f"KiB of its own after each guest: {memory}: memory is left behind")
        install_inside(self.vm)
        self.works()
        self.check_log()
