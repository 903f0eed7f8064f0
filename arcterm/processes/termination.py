"""SIGTERM to a command: it ends, with exit code 130; once it starts a run, that is stopped first."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

NUMBERS = (signal.SIGTERM, signal.SIGUSR1)

_seen: list[int] = []
_held: list[bool] = []


@contextlib.contextmanager
def obeyed() -> Iterator[None]:
    """End the command by `SystemExit` at one of the signals, unless they are held."""
    previous = {number: signal.signal(number, _end) for number in NUMBERS}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def hold() -> None:
    """Only note the signals from now on: a run is being started, and who watches it will ask for `seen`."""
    _held.append(True)


def seen() -> int:
    """The first of the signals that was noted; 0 if there was none."""
    return _seen[0] if _seen else 0


def _end(number: int, frame: FrameType | None) -> None:
    if not _held:
        raise SystemExit(130)
    _seen.append(number)
