# SPDX-License-Identifier: MIT
"""The blitter, as the guest's programs use it through its kernel."""
import re

from harness.suite import VgpuSuite, check, limit

BENCH = "/usr/libexec/igt-gpu-tools/benchmarks"


class Blit(VgpuSuite):
    name = "blit"
    serve = ("--render-only",)

    @limit(120)
    def test_memory_is_right(self):
        out = self.vm.python("blit.py")
        check(out.count(": right") == 9, out)

    @limit(120)
    def test_gem_blt(self):
        for size, nbytes in (("64 KiB", 64 << 10), ("4 MiB", 4 << 20)):
            out = self.vm.run(f"cd {BENCH} && ./gem_blt -s {nbytes} -t 1 -r 3", 90).out
            rates = [float(number) for number in re.findall(r"[0-9.]+", out)]
            check(rates and min(rates) > 0, f"no rate in {out!r}")
            print(f"#   gem_blt, {size}: {max(rates):.0f} MB/s", flush=True)

    @limit(120)
    def test_upload_blit(self):
        out = self.vm.run(f"cd {BENCH} && ./intel_upload_blit_large", 90).out
        check("MB/sec" in out, f"no rate in {out!r}")
        print(f"#   intel_upload_blit_large: {out.strip()}", flush=True)

    def test_nothing_left_out(self):
        engine = next(e for e in self.vgpu.stat()["engines"] if e["name"] == "bcs0")
        check(engine["batches"] > 100, f"{engine['batches']} batches")
        check(not engine["not_executed"], f"{engine['not_executed']} commands were not executed")
        check(not engine["faults"] and not engine["resets"], str(engine))

    def test_no_complaint(self):
        self.check_log()
