"""Ending by a signal: the terminal is restored first, whatever the console is busy with."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import sys
import termios
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from textual.app import App

_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
_PATIENCE_SECONDS = 2.0
_RESTORED = (
    "\x1b[?2004l\x1b[?7h\x1b[?2048l"  # pasting, wrapping and resizing as usual
    "\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1015l\x1b[?1016l\x1b[?1004l"  # no mouse, no focus
    "\x1b[<u\x1b[?1049l\x1b[?25h"  # usual keys, the normal screen, the cursor
)


def run(app: App[None]) -> int:
    """Run `app` and return its exit code; by a signal it ends the process with 128 + its number."""
    return asyncio.run(_run(app))


async def _run(app: App[None]) -> int:
    caught: list[int] = []
    with _handled(app, caught):
        await app.run_async()
        if caught:  # threads that are still busy are not waited for
            os._exit(128 + caught[0])
    return app.return_code or 0


@contextlib.contextmanager
def _handled(app: App[None], caught: list[int]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    attributes = _attributes()

    def handle(number: int, frame: FrameType | None) -> None:
        if not caught:
            caught.append(number)
            watchdog = threading.Timer(_PATIENCE_SECONDS, _abandon, (number, attributes))
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


def _abandon(number: int, attributes: list[Any] | None) -> None:
    """Restore the terminal without the console, which did not end in time, and end."""
    with contextlib.suppress(OSError, termios.error, ValueError):
        terminal = sys.__stderr__.fileno() if sys.__stderr__ else 2
        if attributes is not None:
            termios.tcsetattr(terminal, termios.TCSANOW, attributes)
        if select.select([], [terminal], [], 0.5)[1]:  # a terminal that is gone or held takes nothing
            os.write(terminal, _RESTORED.encode())
    os._exit(128 + number)
