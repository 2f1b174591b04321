# SPDX-License-Identifier: MIT
"""A small VNC viewer (RFB 3.8, raw pixels): what a person with a viewer would see."""
import socket
import struct

from .host import Failure
from .picture import Picture


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Viewer:
    def __init__(self, port, timeout=15):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self._shake_hands()
        self.canvas = bytearray(self.width * self.height * 4)

    def close(self):
        self.socket.close()

    def _take(self, size):
        data = bytearray()
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            if not part:
                raise Failure("the VNC server closed the connection")
            data += part
        return bytes(data)

    def _shake_hands(self):
        version = self._take(12)
        if not version.startswith(b"RFB 003."):
            raise Failure(f"no VNC server: {version!r}")
        self.socket.sendall(b"RFB 003.008\n")
        kinds = self._take(self._take(1)[0])
        if 1 not in kinds:
            raise Failure(f"the VNC server wants a password (security types {list(kinds)})")
        self.socket.sendall(b"\x01")
        if struct.unpack(">I", self._take(4))[0]:
            raise Failure("the VNC server refused us")
        self.socket.sendall(b"\x01")		# shared
        self.width, self.height = struct.unpack(">HH", self._take(4))
        self._take(16)
        self.name = self._take(struct.unpack(">I", self._take(4))[0]).decode()
        # 32 bits little-endian, red in the lowest byte; raw pixels only
        self.socket.sendall(struct.pack(">B3xBBBBHHHBBB3x", 0, 32, 24, 0, 1, 255, 255, 255,
                                        0, 8, 16))
        self.socket.sendall(struct.pack(">BxHi", 2, 1, 0))

    def ask(self, only_changes):
        self.socket.sendall(struct.pack(">BBHHHH", 3, only_changes, 0, 0, self.width,
                                        self.height))

    def update(self):
        """Takes one update; how many pixels it carried."""
        while True:
            kind = self._take(1)[0]
            if kind == 0:
                break
            if kind == 3:		# cut text
                self._take(3)
                self._take(struct.unpack(">I", self._take(4))[0])
            elif kind != 2:		# 2 is a bell
                raise Failure(f"an unknown VNC message {kind}")
        count = struct.unpack(">xH", self._take(3))[0]
        pixels = 0
        for _ in range(count):
            x, y, width, height, encoding = struct.unpack(">HHHHi", self._take(12))
            if encoding:
                raise Failure(f"the VNC server used encoding {encoding}, which was not offered")
            data = self._take(width * height * 4)
            for row in range(height):
                at = ((y + row) * self.width + x) * 4
                self.canvas[at:at + width * 4] = data[row * width * 4:(row + 1) * width * 4]
            pixels += width * height
        return pixels

    def picture(self):
        self.ask(0)
        self.update()
        rgb = bytearray(self.width * self.height * 3)
        for channel in range(3):
            rgb[channel::3] = self.canvas[channel::4]
        return Picture(self.width, self.height, bytes(rgb))
