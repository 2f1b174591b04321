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

    def engine(self):
        return next(one for one in self.vgpu.stat()["engines"] if one["name"] == "bcs0")

    @limit(120)
    def test_gem_blt(self):
        """Its rate, and the engine's while it ran: what parts them is the cost of submissions.

        What is asserted is missed by a path that is broken, not by a machine that is slow: with a
        submission for each copy a batch of 64 would gain nothing (docs/blitter.md has a hundredfold),
        and the least for the engine is a fiftieth of what it reached on a busy machine.
        """
        best = {}
        for size, nbytes, copies in (("64 KiB", 64 << 10, 1), ("64 KiB, 64 in a batch", 64 << 10, 64),
                                     ("4 MiB", 4 << 20, 1)):
            before = self.engine()
            out = self.vm.run(f"cd {BENCH} && ./gem_blt -s {nbytes} -b {copies} -t 1 -r 3", 90).out
            after = self.engine()
            rates = [float(number) for number in re.findall(r"[0-9.]+", out)]
            check(rates and min(rates) > 0, f"no rate in {out!r}")
            batches = after["batches"] - before["batches"]
            engine = batches * copies * nbytes / (after["busy_ms"] - before["busy_ms"]) / 1048.576
            best[size] = max(rates), engine
            print(f"#   gem_blt, {size}: {max(rates):.0f} MiB/s, the engine {engine:.0f} MiB/s",
                  flush=True)
        check(best["64 KiB, 64 in a batch"][0] > 2 * best["64 KiB"][0], f"a batch of 64 gains nothing: {best}")
        check(best["4 MiB"][1] > 200, f"the engine moves {best['4 MiB'][1]:.0f} MiB/s")

    @limit(120)
    def test_upload_blit(self):
        out = self.vm.run(f"cd {BENCH} && ./intel_upload_blit_large", 90).out
        check("MB/sec" in out, f"no rate in {out!r}")
        print(f"#   intel_upload_blit_large: {out.strip()}", flush=True)

    def test_nothing_left_out(self):
        engine = self.engine()
        check(engine["batches"] > 100, f"{engine['batches']} batches")
        check(not engine["not_executed"], f"{engine['not_executed']} commands were not executed")
        check(not engine["faults"] and not engine["resets"], str(engine))

    def test_no_complaint(self):
        self.check_log()
