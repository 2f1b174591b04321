# SPDX-License-Identifier: MIT
"""xserver.py METHOD: X.Org on display :0 with the intel driver, until this program is ended.

METHOD is the driver's AccelMethod: "blt" draws with the blitter alone, "none" with the CPU.  There
is neither keyboard nor mouse, the pointer stands where the programs put it.
"""
import os
import signal
import subprocess
import sys

CONFIG = """
Section "ServerFlags"
	Option "AutoAddDevices" "false"
	Option "DontZap" "true"
	Option "BlankTime" "0"
	Option "StandbyTime" "0"
	Option "SuspendTime" "0"
	Option "OffTime" "0"
EndSection
Section "Module"
	Disable "glx"
EndSection
Section "Device"
	Identifier "vGPU"
	Driver "intel"
	BusID "PCI:0:2:0"
	Option "AccelMethod" "%s"
EndSection
Section "Screen"
	Identifier "Screen"
	Device "vGPU"
	DefaultDepth 24
EndSection
"""

method = sys.argv[1]
config = f"/run/mediant/xorg-{method}.conf"
with open(config, "w") as file:
    file.write(CONFIG % method)
server = subprocess.Popen(["/usr/lib/xorg/Xorg", ":0", "vt7", "-keeptty", "-noreset",
                           "-nolisten", "tcp", "-config", config,
                           "-logfile", f"/run/mediant/xorg-{method}.log"])
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda *_: server.terminate())
sys.exit(server.wait())
