# SPDX-License-Identifier: MIT
"""First light: a stock guest binds its driver, draws its console and runs its programs."""
import re
import time

from harness import counters, host, vnc
from harness.console import rows_lit, rows_written
from harness.proc import Process, wait_for
from harness.suite import VgpuSuite, check, limit
from timeline import Timeline

ENGINES = ("rcs", "bcs", "vcs", "vecs")
BENCH = "/usr/libexec/igt-gpu-tools/benchmarks"
MOST_REGISTER_ACCESSES = 3500	# driver load to drawn console
MOST_APERTURE_STORES = 100	# a naive device takes one for each pixel: 786,688


class Console(VgpuSuite):
    name = "light"
    seconds = 160

    def setup(self):
        self.port = vnc.free_port()
        self.serve = ("--display", "hdmi:1024x768", "--vnc", f"127.0.0.1:{self.port}")
        super().setup()
        self.vm.wait_prompt()
        self.at_login = self.vgpu.stat()

    def test_driver_sees_the_vgpu_and_does_not_complain(self):
        self.check_log()

    def test_device_nodes(self):
        self.vm.run("test -c /dev/dri/card0 && test -c /dev/dri/renderD128")

    def test_console_is_drawn_as_written(self):
        def same():
            picture, rows = self.vgpu.screenshot(), self.vm.console()
            check(picture.size() == "1024x768", f"the picture is {picture.size()}")
            return rows_lit(picture, rows) == rows_written(rows)
        wait_for("the console's rows in the picture", 60, same, 0.5)

    @limit(60)
    def test_vnc_shows_the_same_and_sends_what_changed(self):
        viewer = vnc.Viewer(self.port)
        try:
            # the cursor blinks: some pair of looks will fall into the same half second
            wait_for("the same picture by VNC", 20, lambda: not viewer.picture().difference(
                self.vgpu.screenshot()), 0.3)
            viewer.ask(1)
            self.vm.run("echo a line >/dev/tty1")
            sent = viewer.update()
            check(0 < sent <= 1024 * 768 // 4, f"{sent} pixels were sent for one line of text")
        finally:
            viewer.close()

    def test_few_register_accesses_to_the_console(self):
        count = counters.registers(self.at_login)
        check(count <= MOST_REGISTER_ACCESSES,
              f"{count} register accesses to the login prompt, at most {MOST_REGISTER_ACCESSES}")

    def test_no_trapped_store_for_each_pixel(self):
        count = counters.get(self.at_login, "traps.aperture_write")
        check(count <= MOST_APERTURE_STORES, f"{count} trapped aperture stores")

    def test_idle_guest_hardly_traps(self):
        before = counters.traps(self.vgpu.stat())
        time.sleep(15)
        count = counters.traps(self.vgpu.stat()) - before
        check(count <= 150, f"{count} traps in 15 s without work")

    def test_every_engine_stores(self):
        for engine in ENGINES:
            self.vm.python("submit.py", f"{engine}0", 20)

    def test_few_traps_for_a_submission(self):
        self.vm.python("submit.py", "rcs0", 1)
        before = counters.traps(self.vgpu.stat())
        self.vm.python("submit.py", "rcs0", 101)
        middle = counters.traps(self.vgpu.stat())
        self.vm.python("submit.py", "rcs0", 1)
        after = counters.traps(self.vgpu.stat())
        each = ((middle - before) - (after - middle)) / 100
        check(each <= 24, f"{each:.1f} traps for each submission that is waited for")

    def test_trace_leads_from_submissions_to_their_interrupts(self):
        path = self.vgpu.dir / "trace.json"
        tracer = Process("mediant trace", [host.mediant(), "trace", "-o", str(path), self.vgpu.name],
                         self.vgpu.dir / "trace.log")
        wait_for("the tracer", 20, lambda: "Tracing" in tracer.log())
        for engine in ENGINES:
            self.vm.python("submit.py", f"{engine}0", 5)
        check(tracer.stop() == 0, f"it ended with an error: {tracer.log()}")
        timeline = Timeline(path.read_text())
        for engine in ENGINES:
            ways = ["".join(phase for phase, _ in hits) for hits in timeline.flows.values()
                    if timeline.tracks[hits[0][1]["track"]] == f"{engine}0 ELSP"]
            whole = [way for way in ways if re.fullmatch("st+f", way)]
            check(len(whole) >= 5, f"{engine}: 5 submissions, arrows: {ways}")

    @limit(90)
    def test_timestamp_runs_at_12_mhz(self):
        low, high = map(float, self.vm.python("timestamp.py", 50, timeout=80).split())
        check(low / 1.01 <= 12 <= high * 1.01, f"the timestamp advances at {low} to {high} MHz")
        check(high <= low * 1.02, f"its rate could not be told: {low} to {high} MHz")

    @limit(60)
    def test_vblank_rate(self):
        lines = self.vm.python("vblank.py", 10, timeout=50).splitlines()
        check(lines, "no pipe is lit")
        for line in lines:
            pipe, wanted, measured = line.split()
            off = abs(float(measured) / float(wanted) - 1)
            check(off <= 0.01, f"pipe {pipe}: {measured} Hz, its mode has {wanted} Hz")

    # The benchmarks that Debian packages, on every engine.
    def bench(self, command, timeout=60):
        return self.vm.run(f"cd {BENCH} && PATH=.:$PATH {command}", timeout).out

    @limit(200)
    def test_gem_exec_nop(self):
        for engine in ENGINES:
            self.bench(f"gem_exec_nop -e {engine} -r 1")
        self.bench("gem_exec_nop -e rcs -s -r 1")

    @limit(240)
    def test_gem_exec_ctx(self):
        for engine in ENGINES:
            self.bench(f"gem_exec_ctx -e {engine} -b switch -r 1")
        self.bench("gem_exec_ctx -e rcs -b create -r 1")

    @limit(120)
    def test_gem_latency(self):
        out = self.bench("gem_latency -t 3", 60)
        counted = re.match(r"(\d+)/\d+:", out)
        check(counted and int(counted[1]) > 0, f"nothing was measured: {out!r}")

    # gem_busy stops at i915's ENOENT of its own doing, before anything reaches a GPU of any kind
    # (docs/testing.md).  It knows kernels without HANDLE_LUT: refused its first batch, it goes on
    # with handles.
    @limit(200)
    def test_gem_busy(self):
        # on bcs the kernel runs a checked copy, so that no CPU can end what keeps it busy
        self.bench("strace -o /run/idle -e trace=ioctl gem_busy -I -e bcs -r 1")
        first = self.vm.run("sed -n '/EXECBUFFER2/{=;q}' /run/idle").out.strip()
        for engine in ("rcs", "vcs", "vecs"):
            self.bench(f"strace -o /run/busy -e trace=ioctl -e inject=ioctl:error=EINVAL:when={first} "
                       f"gem_busy -e {engine} -r 1")
            ran = self.vm.run("grep -c 'EXECBUFFER2.* = 0' /run/busy").out.strip()
            check(ran == "2", f"{engine}: {ran} batches were taken, not 2")

    def test_batch_is_busy_until_the_cpu_ends_it(self):
        for engine in ("rcs0", "vcs0", "vecs0"):	# the kernel runs a checked copy for bcs0
            self.vm.python("busy.py", engine)

    @limit(120)
    def test_gem_syslatency(self):
        out = self.bench("gem_syslatency -t 3", 60)
        check("cycles=" in out, f"no result: {out!r}")

    def test_nothing_was_refused(self):
        stat = self.vgpu.stat()
        check(counters.total(stat, "faults") == 0, f"faults: {counters.get(stat, 'faults')}")

    def test_still_no_complaint(self):
        self.check_log()
