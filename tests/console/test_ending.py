"""In a pseudo-terminal: whatever ends the console, the terminal is as it was before."""

from __future__ import annotations

import os
import pty
import signal
import termios

import pytest

from arcterm.console.app import Console
from arcterm.console.keys import KeyLine, described
from arcterm.console.screens.runs import RunList

BUSY = """
import os, time
from arcterm.console.screens.runs import RunList
RunList.on_listed = lambda self, message: (os.write(2, b"STUCK"), time.sleep(1000))
"""
READING = """
import time
from arcterm.console.screens.runs import RunList
RunList.read = lambda self: time.sleep(1000)
"""
BROKEN = """
from arcterm.console.screens.runs import RunList
RunList.on_listed = lambda self, message: 1 / 0
"""


async def test_a_message_that_comes_while_the_screens_are_taken_down_draws_nothing(root, until):
    app = Console(root)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunList))
        screen, stack = app.screen, app._screen_stacks[app.current_mode]
        stack.clear()
        screen.query_one(KeyLine).repaint()
        assert described(screen) == []
        stack.append(screen)


def restored(console) -> None:
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
def test_a_killed_console_gives_the_terminal_back_too(opened):
    console = opened()
    console.wait(b"No runs in")
    console.process.kill()
    assert console.end() == -signal.SIGKILL
    console.wait(b"\x1b[?1049l")
    console.wait(b"\x1b[?25h")
    restored(console)


@pytest.mark.long
@pytest.mark.parametrize("keys", [b"q", b"\x11", b"\x03\x03"])
def test_a_key_ends_it_whatever_is_still_being_read(opened, keys):
    console = opened(READING)
    console.wait(b"reading the runs")
    console.type(keys)
    assert console.end() == 0
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
    assert console.process.wait(60) == 128 + signal.SIGHUP
    console.master, console.slave = pty.openpty()


ATTACH = """
from arcterm.cli import main
sys.argv = ["arcterm", "attach", "last", "--runs-dir", sys.argv[1] + "/runs"]
main()
"""


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_attach_gives_the_cursor_back_and_says_that_ctrl_c_leaves(opened, make, number):
    made = make("live")
    made.train(3)
    console = opened(run=ATTACH, first=b"\x1b[?25l")
    console.wait(b"Ctrl-C leaves")
    console.process.send_signal(number)
    assert console.end() == 128 + number
    assert console.modes()[b"25"] == b"h"
    assert termios.tcgetattr(console.slave) == console.before
    assert b"Traceback" not in console.said
    assert b"Ctrl-C stops" not in console.said
