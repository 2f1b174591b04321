# SPDX-License-Identifier: MIT
"""What a test file is made of: suites, each one boot (or few), each with tests in their order."""
import io
import os
import tarfile

from . import host, kernlog
from .guest import Guest
from .vgpu import Vgpu

# What QEMU says of a device that is well: without an error interrupt there is no error recovery.
QEMU_NEWS = ("Could not enable error recovery",)
INSIDE = os.path.join(os.path.dirname(__file__), "..", "inside")


def limit(seconds):
    """The longest a test may take; the runner ends it then."""
    def mark(function):
        function.limit = seconds
        return function
    return mark


def check(condition, text):
    if not condition:
        raise host.Failure(text)


class Suite:
    """setup() is called once, then every test_… in the order written, then teardown()."""

    on_demand = False		# run only when named
    guests = 1			# that it runs at once
    seconds = 30		# how long it takes, about: the longest are begun first

    def setup(self):
        pass

    def ready(self):
        """Before each test: raises when going on makes no sense."""

    def teardown(self):
        pass

    def logs(self):
        """Files to keep when a test failed."""
        return []


class VgpuSuite(Suite):
    """One vGPU and one guest on it."""

    name = "guest"
    serve = ()			# options of `mediant serve`
    guest = {}			# options of Guest

    def setup(self):
        self.vgpu = Vgpu(f"{self.name}-gpu", *self.serve).start()
        self.vm = Guest(self.name, [self.vgpu.socket], **self.guest)
        self.vm.boot()
        install_inside(self.vm)

    def ready(self):
        self.vgpu.check_alive()
        if not self.vm.process or not self.vm.process.running():
            raise host.Failure(f"QEMU of {self.name} is gone")

    def teardown(self):
        if hasattr(self, "vm"):
            self.vm.stop()
        if hasattr(self, "vgpu"):
            self.vgpu.stop()

    def logs(self):
        return [path for owner, names in (("vm", ("serial.log", "qemu.log")),
                                          ("vgpu", ("mediant.log", "screen.png")))
                if hasattr(self, owner)
                for path in (getattr(self, owner).dir / name for name in names)]

    def check_log(self, allow=()):
        check_log(self.vm, allow)


def check_log(vm, allow=(), detected=True):
    log = vm.dmesg()
    if detected:
        check(kernlog.DETECTED in log, f"'{kernlog.DETECTED}' is not in the log of {vm.name}")
    found = kernlog.complaints(log, allow)
    check(not found, f"the kernel of {vm.name} complains:\n{kernlog.explain(found)}")
    words = [line for line in vm.process.log().splitlines()
             if line.strip() and not any(news in line for news in QEMU_NEWS)]
    check(not words, f"QEMU of {vm.name} complains:\n" + "\n".join(words[-8:]))


def install_inside(vm):
    """Puts tests/guest/inside/ into the guest as /run/mediant."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name in sorted(os.listdir(INSIDE)):
            if name.endswith(".py"):
                tar.add(os.path.join(INSIDE, name), name)
    vm.run("mkdir -p /run/mediant && tar -xz -C /run/mediant", stdin=packed.getvalue())
