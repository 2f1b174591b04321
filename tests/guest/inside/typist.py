# SPDX-License-Identifier: MIT
"""Types on the first virtual terminal, as someone at the keyboard would: `root` at its login
prompt, then one command after the other, each when the shell's prompt is back.

    typist.py COMMAND...

Characters are put into the terminal's input (TIOCSTI), so what is on the screen afterwards is what
getty, the shell and the commands wrote there.  /dev/vcsa1 tells the text and where the cursor is.
"""
import fcntl
import sys
import termios
import time

LOGIN, SHELL = "login: ", "# "


def cursor_line():
    """(row number, the row's text left of the cursor)."""
    with open("/dev/vcsa1", "rb") as screen:
        held = screen.read()
    _, columns, x, y = held[:4]
    row = held[4 + y * columns * 2:][:x * 2:2]
    return y, row.decode("latin-1")


def wait_until(test):
    while not test(cursor_line()):
        time.sleep(0.05)


def type_line(terminal, text):
    before = cursor_line()
    for byte in (text + "\n").encode():
        fcntl.ioctl(terminal, termios.TIOCSTI, bytes([byte]))
    wait_until(lambda now: now != before)
    wait_until(lambda now: now[1].endswith(SHELL))


def main():
    wait_until(lambda now: now[1].endswith(LOGIN))
    with open("/dev/tty1", "rb", buffering=0) as terminal:
        for text in ("root", *sys.argv[1:]):
            type_line(terminal, text)


if __name__ == "__main__":
    main()
