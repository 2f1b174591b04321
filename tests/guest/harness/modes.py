# SPDX-License-Identifier: MIT
"""modetest in the guest: what modes there are, and a pattern shown until it is told to stop."""
import re

from .host import Failure
from .proc import wait_for


class Connector:
    def __init__(self, ident, status, name):
        self.ident, self.status, self.name = ident, status, name
        self.modes = []		# (index, name, refresh, width, height)

    def sizes(self):
        seen = {}
        for mode in self.modes:
            seen.setdefault((mode[3], mode[4]), mode)
        return seen


def connectors(vm, driver):
    """modetest -c, taken apart."""
    found = []
    for line in vm.run(f"modetest -M {driver} -c", 60).out.splitlines():
        head = re.match(r"(\d+)\t\d+\t(\w+)\t+(\S+)\s", line)
        if head:
            found.append(Connector(int(head[1]), head[2], head[3]))
        mode = re.match(r"\s+#(\d+) (\S+) ([\d.]+) (\d+) \d+ \d+ \d+ (\d+) ", line)
        if mode and found:
            found[-1].modes.append((int(mode[1]), mode[2], float(mode[3]), int(mode[4]),
                                    int(mode[5])))
    return found


def connected(vm, driver):
    return [one for one in connectors(vm, driver) if one.status == "connected"]


LEND_EDID = """
set -e
for path in /sys/class/drm/card?-*; do
	[ "$(basename "$(readlink -f $path/device/device/driver)")" = OWNER ] || continue
	[ "$(cat $path/status)" = connected ] || continue
	mkdir -p /lib/firmware/edid
	cat $path/edid >/lib/firmware/edid/lent.bin
done
echo Virtual-1:edid/lent.bin >/sys/module/drm/parameters/edid_firmware
cd /sys/bus/virtio/drivers/virtio_gpu
device=$(ls -d virtio*)
echo $device >unbind
echo $device >bind
udevadm settle
"""


def lend_edid(vm, owner):
    """Makes QEMU's virtio adapter offer the same modes as owner's monitor (the preferred one has
    to be the adapter's own xres and yres): its driver is bound anew with that monitor's EDID."""
    vm.run(LEND_EDID.replace("OWNER", owner), 60)


class Pattern:
    """modetest showing its test pattern; its terminal stays open until stop()."""

    def __init__(self, vm, driver, connector, mode, form="XR24", more=""):
        self.vm = vm
        self.log = f"/run/modetest-{driver}.log"
        what = f"{connector}:#{mode[0]}@{form}"
        vm.run(f": >{self.log}")  # asked for before the program may have made it
        self.pid = vm.start_program(
            f"sleep 300 | exec stdbuf -oL modetest -M {driver} -s '{what}' {more} "
            f">{self.log} 2>&1")
        wait_for(f"modetest -M {driver} -s {what}", 30, self._shown, 0.1)

    def _shown(self):
        text = self.text().replace("failed to set gamma", "")	# not every driver has one
        if "failed" in text or "cannot" in text:
            raise Failure(f"modetest: {text.strip()[-300:]}")
        return "setting mode" in text

    def text(self):
        return self.vm.run(f"cat {self.log}").out

    def stop(self):
        """Ends it, so that the console comes back."""
        self.vm.run("kill $(pidof modetest); kill $(pidof sleep)", check=False)
        self.vm.agent.wait(self.pid, 20)
