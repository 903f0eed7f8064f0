"""In a pseudo-terminal: whatever ends the console, the terminal is as it was before."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time

import pytest

PATIENCE = 60
CONSOLE = "import pathlib, sys; from arcterm.console.app import run_console\n"
BUSY = """
import os, time
from arcterm.console.screens.runs import RunList
RunList.on_listed = lambda self, message: (os.write(2, b"STUCK"), time.sleep(1000))
"""
BROKEN = """
from arcterm.console.screens.runs import RunList
RunList.on_listed = lambda self, message: 1 / 0
"""
RUN = "sys.exit(run_console(pathlib.Path(sys.argv[1]), None))"


class Pty:
    """A console in a pseudo-terminal; `said` is all that it wrote."""

    def __init__(self, source: str, root) -> None:
        self.master, self.slave = pty.openpty()
        termios.tcsetwinsize(self.slave, (24, 80))
        self.before = termios.tcgetattr(self.slave)
        self.said = b""
        self.process = subprocess.Popen(
            [sys.executable, "-c", source, str(root)],
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            start_new_session=True,
            env=os.environ | {"TERM": "xterm-256color", "LANG": "C.UTF-8"},
        )

    def read(self, seconds: float) -> None:
        if select.select([self.master], [], [], seconds)[0]:
            self.said += os.read(self.master, 1 << 16)

    def wait(self, text: bytes) -> None:
        deadline = time.monotonic() + PATIENCE
        while text not in self.said:
            assert time.monotonic() < deadline, self.said
            self.read(1)

    def end(self) -> int:
        """The exit code, when all is read."""
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            assert time.monotonic() < deadline, self.said
            self.read(0.1)
        self.read(0)
        return self.process.returncode

    def modes(self) -> dict[bytes, bytes]:
        """The last word on each private mode: h is on, l is off."""
        return dict(re.findall(rb"\x1b\[\?(\d+)([hl])", self.said))

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def opened(tmp_path):
    """``opened(source)``: a console whose screen is there."""
    consoles = []

    def start(source: str = "") -> Pty:
        consoles.append(Pty(CONSOLE + source + RUN, tmp_path))
        consoles[-1].wait(b"\x1b[?1049h")
        return consoles[-1]

    yield start
    for console in consoles:
        console.close()


def restored(console: Pty) -> None:
    """Assert that the terminal is in the state in which it was."""
    modes = console.modes()
    assert modes[b"1049"] == b"l"
    assert modes[b"25"] == b"h"
    for mouse in (b"1000", b"1002", b"1003", b"1006", b"1004", b"2004"):
        assert modes.get(mouse, b"l") == b"l", mouse
    assert termios.tcgetattr(console.slave) == console.before


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT])
def test_a_signal_gives_the_terminal_back(opened, number):
    console = opened()
    console.wait(b"No runs in")
    console.process.send_signal(number)
    assert console.end() == 128 + number
    restored(console)
    assert b"Traceback" not in console.said


@pytest.mark.long
def test_a_console_that_is_stuck_gives_the_terminal_back_too(opened):
    console = opened(BUSY)
    console.wait(b"STUCK")
    console.process.send_signal(signal.SIGTERM)
    assert console.end() == 128 + signal.SIGTERM
    restored(console)


@pytest.mark.long
def test_a_crash_gives_the_terminal_back(opened):
    console = opened(BROKEN)
    assert console.end() == 1
    restored(console)
    assert b"ZeroDivisionError" in console.said


@pytest.mark.long
def test_a_terminal_that_goes_away_ends_the_console(opened):
    console = opened()
    console.wait(b"No runs in")
    os.close(console.slave)
    os.close(console.master)
    console.process.send_signal(signal.SIGHUP)
    assert console.process.wait(PATIENCE) == 128 + signal.SIGHUP
    console.master, console.slave = pty.openpty()
