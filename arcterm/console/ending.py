"""The end of the console: at once, and with the terminal as it was, by a key as by a signal."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import select
import signal
import sys
import termios
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any, NoReturn

from textual.app import App
from textual.drivers.linux_driver import LinuxDriver

from arcterm.console import remembered

_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
_PATIENCE_SECONDS = 2.0
_TURN_SECONDS = 0.0005
"""So long a thread that reads may keep the one that draws waiting; Python's own 5 ms are several to a key."""
_RESTORED = (
    "\x1b[?2004l\x1b[?7h\x1b[?2048l"  # pasting, wrapping and resizing as usual
    "\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1015l\x1b[?1016l\x1b[?1004l"  # no mouse, no focus
    "\x1b[<u\x1b[?1049l\x1b[?25h"  # usual keys, the normal screen, the cursor
)


class Driver(LinuxDriver):
    """The terminal; leaving it does not wait for the thread that reads keys, which takes up to 0.2 s to end.

    Textual's own waits where the app is only suspended, since it goes on to read keys in another thread.
    """

    def disable_input(self) -> None:
        if self._app._exit:
            self._key_thread = None
        super().disable_input()


class _Guard:
    """A process that sleeps until this one ends, and restores the terminal unless it was dismissed.

    It is forked, which takes a millisecond where another Python would take twenty.
    """

    def __init__(self, attributes: list[Any] | None) -> None:
        self.attributes = attributes
        waiting, self._held = os.pipe()
        self._pid = os.fork()
        if self._pid:
            os.close(waiting)
            return
        try:
            for number in (*_SIGNALS, signal.SIGTTOU, signal.SIGTSTP):  # the shell has the terminal by then
                signal.signal(number, signal.SIG_IGN)
            os.close(self._held)
            if not os.read(waiting, 1):
                _restore(attributes)
        finally:
            os._exit(0)

    def dismiss(self) -> None:
        with contextlib.suppress(OSError):  # it was killed before
            os.write(self._held, b".")
            os.waitpid(self._pid, 0)


def settle() -> None:
    """Set up this process for an app that was imported: few searches for garbage, short turns of threads."""
    gc.freeze()  # nothing that was imported is ever garbage: no search for it has to pass that again
    gc.enable()
    sys.setswitchinterval(_TURN_SECONDS)


def run(app: App[None]) -> NoReturn:
    """Run `app` and end the process with its exit code, by a signal with 128 + its number.

    Nothing is left to do by then: threads that still read are not waited for, nor is memory given back piece
    by piece. Where SIGKILL ends it, or a lack of memory, a process that waits for that restores the terminal.
    """
    settle()
    guard = _Guard(_attributes())
    try:
        asyncio.run(_run(app, guard))
    finally:  # a defect: else the process has ended by now
        guard.dismiss()
    raise AssertionError("unreachable")


async def _run(app: App[None], guard: _Guard) -> None:
    caught: list[int] = []
    with _handled(app, caught, guard):
        await app.run_async()
        remembered.flush()
        guard.dismiss()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(128 + caught[0] if caught else app.return_code or 0)


@contextlib.contextmanager
def _handled(app: App[None], caught: list[int], guard: _Guard) -> Iterator[None]:
    loop = asyncio.get_running_loop()

    def handle(number: int, frame: FrameType | None) -> None:
        if not caught:
            caught.append(number)
            watchdog = threading.Timer(_PATIENCE_SECONDS, _abandon, (number, guard))
            watchdog.daemon = True
            watchdog.start()
            loop.call_soon_threadsafe(lambda: app.exit(return_code=128 + number))

    before = {number: signal.getsignal(number) for number in _SIGNALS}
    wanted = [number for number, handler in before.items() if handler is not signal.SIG_IGN]  # nohup
    for number in wanted:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number in wanted:
            signal.signal(number, before[number])


def _attributes() -> list[Any] | None:
    try:
        return list(termios.tcgetattr(sys.__stderr__ or 2))
    except (termios.error, ValueError):
        return None


def _abandon(number: int, guard: _Guard) -> None:
    """Restore the terminal without the console, which did not end in time, and end."""
    guard.dismiss()
    _restore(guard.attributes)
    os._exit(128 + number)


def _restore(attributes: list[Any] | None) -> None:
    with contextlib.suppress(OSError, termios.error, ValueError):
        terminal = sys.__stderr__.fileno() if sys.__stderr__ else 2
        if attributes is not None:
            termios.tcsetattr(terminal, termios.TCSANOW, attributes)
        if select.select([], [terminal], [], 0.5)[1]:  # a terminal that is gone or held takes nothing
            os.write(terminal, _RESTORED.encode())
