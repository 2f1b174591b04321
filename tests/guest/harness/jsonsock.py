# SPDX-License-Identifier: MIT
"""Two JSON talkers over UNIX sockets: QEMU's monitor (QMP) and the guest's agent."""
import base64
import json
import random
import socket
import time


class JsonSocket:
    def __init__(self, path, timeout=30):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.socket.connect(str(path))
        self.buffer = b""

    def close(self):
        self.socket.close()

    def send(self, message):
        self.socket.sendall(json.dumps(message).encode() + b"\n")

    def receive(self, end):
        """One line as JSON, by the time `end`."""
        while b"\n" not in self.buffer:
            self.socket.settimeout(max(0.01, end - time.monotonic()))
            data = self.socket.recv(1 << 20)
            if not data:
                raise ConnectionError("the other end closed its socket")
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return json.loads(line.lstrip(b"\xff").decode(errors="replace"))


class Qmp(JsonSocket):
    """QEMU's monitor.  Events are kept in `events`, in order."""

    def __init__(self, path):
        super().__init__(path)
        self.events = []
        self.receive(time.monotonic() + 30)
        self.command("qmp_capabilities")

    def command(self, name, timeout=30, **arguments):
        self.send({"execute": name, "arguments": arguments})
        end = time.monotonic() + timeout
        while True:
            reply = self.receive(end)
            if "event" in reply:
                self.events.append(reply)
            elif "error" in reply:
                raise RuntimeError(f"QMP {name}: {reply['error'].get('desc')}")
            else:
                return reply["return"]


class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err


class Agent(JsonSocket):
    """qemu-guest-agent: runs programs in the guest with neither network nor terminal."""

    def sync(self, timeout=10):
        """After connecting, and after a reboot: forget half-sent words of an earlier talk."""
        number = random.randrange(1 << 30)
        self.buffer = b""
        self.socket.sendall(b"\xff")
        self.send({"execute": "guest-sync-delimited", "arguments": {"id": number}})
        end = time.monotonic() + timeout
        while True:
            try:
                if self.receive(end).get("return") == number:
                    return
            except ValueError:
                continue

    def command(self, name, timeout=30, **arguments):
        self.send({"execute": name, "arguments": arguments})
        reply = self.receive(time.monotonic() + timeout)
        if "error" in reply:
            raise RuntimeError(f"guest agent, {name}: {reply['error'].get('desc')}")
        return reply.get("return")

    def start(self, argv, stdin=b""):
        arguments = {"path": argv[0], "arg": argv[1:], "capture-output": True}
        if stdin:
            arguments["input-data"] = base64.b64encode(stdin).decode()
        return self.command("guest-exec", **arguments)["pid"]

    def wait(self, pid, timeout):
        end = time.monotonic() + timeout
        pause = 0.02
        while time.monotonic() < end:
            status = self.command("guest-exec-status", pid=pid)
            if status["exited"]:
                out, err = (base64.b64decode(status.get(key, "")).decode(errors="replace")
                            for key in ("out-data", "err-data"))
                return Result(status.get("exitcode", 128 + status.get("signal", 0)), out, err)
            time.sleep(pause)
            pause = min(pause * 1.5, 0.5)
        raise TimeoutError(f"a program in the guest ran longer than {timeout:g} s")
