# SPDX-License-Identifier: MIT
"""A process of ours: started with its output in a file, ended by its id, never left behind."""
import atexit
import contextlib
import os
import signal
import subprocess
import time

_alive = []


class Process:
    def __init__(self, name, argv, log, env=None):
        self.name, self.argv, self.log_path = name, argv, log
        with open(log, "ab") as out:
            self.popen = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                          env=env, start_new_session=True)
        _alive.append(self)

    @property
    def pid(self):
        return self.popen.pid

    def running(self):
        return self.popen.poll() is None

    def log(self):
        with open(self.log_path, "r", errors="replace") as file:
            return file.read()

    def kill(self):
        """As a crash would: SIGKILL, then reaped."""
        if self.running():
            self.popen.send_signal(signal.SIGKILL)
        self.popen.wait(10)
        self._forget()

    def stop(self, timeout=10):
        """Asked first, killed if it does not listen; its exit code."""
        if self.running():
            self.popen.terminate()
        try:
            self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
        self._forget()
        return self.popen.returncode

    def _forget(self):
        if self in _alive:
            _alive.remove(self)

    # What it holds, for the tests that look for things left behind.
    def descriptors(self):
        found = []
        for fd in os.listdir(f"/proc/{self.pid}/fd"):
            with contextlib.suppress(FileNotFoundError):  # closed since it was listed
                found.append(os.readlink(f"/proc/{self.pid}/fd/{fd}"))
        return sorted(found)

    def threads(self):
        return len(os.listdir(f"/proc/{self.pid}/task"))

    def status_kib(self, field):
        with open(f"/proc/{self.pid}/status") as file:
            for line in file:
                if line.startswith(field + ":"):
                    return int(line.split()[1])
        return 0


def wait_for(what, timeout, test, interval=0.05, unless=None):
    """Polls test() until it is true; unless() may tell early why it never will be."""
    end = time.monotonic() + timeout
    while True:
        value = test()
        if value:
            return value
        reason = unless and unless()
        if reason:
            raise TimeoutError(f"{what}: {reason}")
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {timeout:g} s")
        time.sleep(interval)


@atexit.register
def end_all():
    """Whoever still runs, at the end of the run however it comes."""
    for process in list(_alive):
        process.stop(3)
