# SPDX-License-Identifier: MIT
"""X.Org with the intel driver: a desktop drawn by the blitter, and the same one drawn by the CPU."""
import re

from harness import counters, host
from harness.proc import wait_for
from harness.suite import VgpuSuite, check, limit

PERF = ("copywinwin500", "copypixwin500", "rect500", "scroll500")


class Desktop(VgpuSuite):
    name = "x11"
    seconds = 80
    serve = ("--display", "hdmi:1024x768")

    def setup(self):
        super().setup()
        self.vm.wait_prompt()

    def logs(self):
        return super().logs() + [self.vm.dir / "xorg.log"]

    def session(self, method):
        """A server with that AccelMethod and the desktop on it; what it shows, and batches run."""
        before = counters.engines(self.vgpu.stat(), "batches")["bcs0"]
        self.vm.start_program(f"exec python3 /run/mediant/xserver.py {method}")
        self.vm.python("desktop.py", timeout=200)
        return self.settled(), counters.engines(self.vgpu.stat(), "batches")["bcs0"] - before

    def settled(self):
        """The screen when five looks in a row are the same."""
        looks = [self.vgpu.screenshot()]

        def same():
            looks.append(self.vgpu.screenshot())
            return len(looks) >= 5 and not any(looks[-1].difference(one) for one in looks[-5:-1])
        wait_for("the desktop to settle", 60, same, 0.4)
        return looks[-1]

    def end_server(self, method):
        self.vm.run("kill $(pidof Xorg); while pidof Xorg; do sleep 0.1; done", 30)
        log = self.vm.run(f"cat /run/mediant/xorg-{method}.log").out
        (self.vm.dir / "xorg.log").write_text(log)
        wrong = re.findall(r"(?m)^.*\(EE\) intel.*$|^.*(?:hung|wedged|disabling acceleration).*$", log)
        check(not wrong, "the server complains:\n" + "\n".join(wrong))

    def keep(self, method):
        kept = host.ROOT / "out" / "check" / "guest"
        kept.mkdir(parents=True, exist_ok=True)
        (kept / f"x11-{method}.png").write_bytes((self.vgpu.dir / "screen.png").read_bytes())

    @limit(300)
    def test_1_a_desktop(self):
        picture, batches = self.session("blt")
        self.keep("blt")
        check(picture.size() == "1024x768" and picture.distinct() > 20, "no desktop on the screen")
        check(batches > 40, f"the blitter ran {batches} batches")
        type(self).drawn = picture, batches

    @limit(200)
    def test_2_x11perf(self):
        out = self.vm.run("x11perf -display :0 -repeat 1 -time 1 " +
                          " ".join(f"-{name}" for name in PERF), 150).out
        rates = re.findall(r"\(\s*([\d.]+)/sec\): (.+)", out)
        check(len(rates) == len(PERF) and all(float(rate) > 0 for rate, _ in rates), out)
        for rate, name in rates:
            print(f"#   x11perf: {float(rate):.0f}/s {name}", flush=True)
        self.end_server("blt")

    @limit(300)
    def test_3_the_same_without_acceleration(self):
        check(hasattr(self, "drawn"), "there is no desktop to compare with")
        picture, batches = self.session("none")
        self.keep("none")
        parts = picture.difference(self.drawn[0])
        check(not parts, f"blitter and CPU draw different desktops: {parts}")
        check(batches < self.drawn[1] / 4, f"{batches} batches with acceleration off")
        self.end_server("none")

    def test_4_nothing_was_left_out(self):
        stat = self.vgpu.stat()
        left = counters.engines(stat, "not_executed")
        check(not any(left[name] for name in ("bcs0", "vcs0", "vecs0")), f"not executed: {left}")
        # rcs0: the driver's own golden context, one batch of 3D state at each reset; X draws no 3D
        check(counters.engines(stat, "batches")["rcs0"] <= 1, "a program drew in 3D")
        check(not any(counters.engines(stat, "faults").values()), str(stat["last_fault"]))
        check(not counters.get(stat, "traps.unknown_registers"), "unknown registers were accessed")

    def test_5_no_complaint(self):
        self.check_log()
