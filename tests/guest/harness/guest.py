# SPDX-License-Identifier: MIT
"""One stock QEMU with one stock Debian guest in it, with or without a vGPU.

Talks to the guest through its agent, to QEMU through QMP; the serial line goes to a file.
"""
import json
import shlex

from . import accel, host, picture
from .jsonsock import Agent, Qmp
from .proc import Process, wait_for

COMMAND_LINE = "console=tty0 console=ttyS0"
BOOT_TIMEOUT = 300	# 11 s on a machine with two cores to itself


class Guest:
    def __init__(self, name, sockets=(), machine="q35", memory="1G", cpus=2, append="",
                 adapter=None, extra=(), mappable=True):
        """sockets: those of the vGPUs, in slots 2, 3, …; adapter: a second display, such as
        'virtio-gpu-pci,xres=1024,yres=768', found again as 'adapter' by screendump();
        mappable: the vGPUs are handed descriptors for the memory, or else reach it by messages."""
        self.name = name
        self.dir = host.scratch() / name
        self.dir.mkdir(exist_ok=True)
        self.serial_path = self.dir / "serial.log"
        self.options = dict(sockets=sockets, machine=machine, memory=memory, cpus=cpus,
                            append=append, adapter=adapter, extra=extra, mappable=mappable)
        self.process = self.qmp = self.agent = None

    def argv(self, sockets, machine, memory, cpus, append, adapter, extra, mappable):
        image = host.image()
        backend = ("memory-backend-memfd", "share=on") if mappable else ("memory-backend-ram", "share=off")
        kind, _ = accel.choose()
        line = [host.qemu(), "-name", self.name, "-nodefaults", "-no-user-config",
                "-machine", f"{machine},sata=off,smbus=off,memory-backend=ram",
                "-object", f"{backend[0]},id=ram,size={memory},{backend[1]}",
                "-m", memory, "-smp", str(cpus), *accel.arguments(kind),
                "-kernel", str(image / "vmlinuz"), "-initrd", str(image / "initrd"),
                "-append", f"{COMMAND_LINE} {append}".strip(),
                "-drive", f"if=none,id=root,format=raw,readonly=on,file={image}/root.squashfs",
                "-device", "virtio-blk-pci,drive=root,serial=mediant-root,addr=10.0",
                "-device", "virtio-serial-pci,addr=11.0",
                "-chardev", f"socket,id=agent,path={self.dir}/agent,server=on,wait=off",
                "-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0",
                "-object", "rng-random,id=rng,filename=/dev/urandom",
                "-device", "virtio-rng-pci,rng=rng,addr=12.0",
                "-chardev", f"file,id=serial,path={self.serial_path}",
                "-serial", "chardev:serial",
                "-qmp", f"unix:{self.dir}/qmp,server=on,wait=off",
                "-vga", "none", "-display", "none"]
        if adapter:
            line += ["-device", f"{adapter},id=adapter,addr=8.0"]
        for slot, path in enumerate(sockets, 2):
            line += ["-device", json.dumps({
                "driver": "vfio-user-pci", "id": f"vgpu{slot}", "addr": f"{slot:02x}.0",
                "socket": {"type": "unix", "path": str(path)}})]
        return line + list(extra)

    def start(self):
        for name in ("agent", "qmp", "serial.log"):
            (self.dir / name).unlink(missing_ok=True)
        self.process = Process(f"QEMU of {self.name}", self.argv(**self.options),
                               self.dir / "qemu.log")
        wait_for("QEMU's monitor", 30, (self.dir / "qmp").exists, unless=self._gone)
        self.qmp = Qmp(self.dir / "qmp")
        return self

    def boot(self, timeout=BOOT_TIMEOUT):
        """Started, up to its login prompt, with its agent answering."""
        self.start()
        self.wait_login(timeout)
        return self

    def wait_login(self, timeout=BOOT_TIMEOUT, after=0):
        try:
            wait_for(f"{self.name}: the login prompt", timeout,
                     lambda: "login:" in self.serial()[after:], 0.1, self._gone_or_panic)
            self.connect_agent(timeout)
        except TimeoutError as error:
            last = "\n".join(self.serial().splitlines()[-6:])
            raise TimeoutError(f"{error}; its serial line ends with:\n{last}\n"
                               f"{self.process.log()[-500:]}") from None

    def connect_agent(self, timeout=60):
        if self.agent:
            self.agent.close()
        self.agent = Agent(self.dir / "agent")

        def answers():
            try:
                self.agent.sync(3)
                return True
            except TimeoutError:
                return False
        wait_for(f"{self.name}: the guest's agent", timeout, answers, unless=self._gone_or_panic)

    def _gone(self):
        if not self.process.running():
            words = self.process.log().strip().splitlines()[-3:]
            return f"QEMU ended with code {self.process.popen.returncode}: {' | '.join(words)}"
        return None

    def _gone_or_panic(self):
        if "Kernel panic" in self.serial():
            return f"the guest's kernel panicked, see {self.serial_path}"
        return self._gone()

    def serial(self):
        try:
            with open(self.serial_path, errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    # Inside the guest.
    def run(self, command, timeout=60, check=True, stdin=b""):
        """A shell command as root; ended in the guest when it takes longer than timeout."""
        argv = ["/usr/bin/timeout", "-k", "2", f"{timeout:g}", "/bin/sh", "-c", command]
        result = self.agent.wait(self.agent.start(argv, stdin), timeout + 20)
        if check and result.code:
            raise host.Failure(f"in {self.name}: `{command[:120]}` ended with {result.code}: "
                               f"{(result.err or result.out).strip()[-400:]}")
        return result

    def start_program(self, command, stdin=b""):
        """A shell command that goes on in the background; its pid for agent.wait()."""
        return self.agent.start(["/bin/sh", "-c", command], stdin)

    def python(self, file, *args, timeout=60):
        """Runs a script of tests/guest/inside/, put there by install_inside(); its output."""
        words = " ".join(shlex.quote(str(arg)) for arg in args)
        return self.run(f"python3 /run/mediant/{file} {words}", timeout).out

    def dmesg(self):
        """The kernel's log, each line with its facility and level."""
        return self.run("dmesg -x", 60).out

    def console(self):
        """The rows of the first virtual terminal, as the kernel holds them."""
        size, text = self.run("stty size </dev/tty1; cat /dev/vcs1").out.split("\n", 1)
        columns = int(size.split()[1])
        return [text[at:at + columns].rstrip() for at in range(0, len(text), columns)]

    def wait_prompt(self, timeout=60):
        """Until "login:" is on the first terminal, and the screen is a frame buffer's."""
        self.run("until grep -q login: /dev/vcs1 && [ -e /sys/class/graphics/fb0 ]; do sleep 0.3; "
                 "done", timeout)

    def screendump(self, device="adapter"):
        """What QEMU's own display adapter shows."""
        path = self.dir / "screen.ppm"
        self.qmp.command("screendump", filename=str(path), device=device)
        return picture.read(path)

    # Its life.
    def reboot(self, timeout=BOOT_TIMEOUT):
        mark = len(self.serial())
        self.agent.start(["/bin/systemctl", "reboot"])
        self.wait_login(timeout, mark)

    def kill(self):
        """As kill -9 does it."""
        self._close()
        self.process.kill()

    def stop(self):
        if self.process and self.process.running() and self.qmp:
            try:
                self.qmp.command("quit", timeout=5)
                self.process.popen.wait(10)
            except (OSError, TimeoutError, ConnectionError, ValueError):
                pass
        self._close()
        if self.process:
            self.process.stop()

    def _close(self):
        for talker in (self.agent, self.qmp):
            if talker:
                talker.close()
        self.agent = self.qmp = None
