"""The harness itself, on a guest without a vGPU: run by name only (run.py harness)."""
from harness.guest import Guest
from harness.console import rows_lit, rows_written
from harness.suite import Suite, check, check_log, install_inside


class Plain(Suite):
    on_demand = True

    def setup(self):
        self.vm = Guest("plain", adapter="virtio-gpu-pci,xres=1024,yres=768").boot()

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
        picture = self.vm.screendump()
        check(picture.distinct() > 1, f"{picture.size()}, of one colour")
        rows = self.vm.console()
        check(rows_lit(picture, rows) == rows_written(rows), "the text and its picture differ")

    def test_reboot(self):
        self.vm.reboot()
        check(float(self.vm.run("cat /proc/uptime").out.split()[0]) < 60, "it did not reboot")

    def test_kill_and_start(self):
        self.vm.kill()
        self.vm.boot()
