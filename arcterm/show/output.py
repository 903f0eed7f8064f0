"""Output of commands: data to stdout, messages to stderr."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from unicodedata import combining, east_asian_width

from arcterm.show.streams import ReaderGoneError, write, write_lines
from arcterm.text import clean, duration

if TYPE_CHECKING:
    from arcterm.runs.store import Run

_PACE_SECONDS = 2.0


def say(*lines: str) -> None:
    """Write messages to stderr; a reader that is gone is no error."""
    with contextlib.suppress(ReaderGoneError):
        write_lines(sys.stderr, lines)


def say_waiting(what: str) -> None:
    """Announce work that begins with starting PyTorch."""
    say(f"{what}; PyTorch takes a few seconds to start")


def put(*lines: str) -> None:
    """Write data and reports to stdout."""
    write_lines(sys.stdout, lines)


def put_json(value: Any) -> None:
    """Write data as JSON to stdout."""
    write(sys.stdout, json.dumps(value, indent=2) + "\n")


class ProgressLine:
    """Show ``what: done of total, 12 s left`` in place, in a terminal, and nothing elsewhere.

    `what` stands for progress that has no text of its own (see `arcterm.progress`). What takes longer than
    some seconds says how long it goes on at its pace so far.
    """

    def __init__(self, what: str = "") -> None:
        self._what, self._shown = what, ""
        self._last = 0.0
        self._began = (0.0, 0)

    def __call__(self, done: int, total: int, what: str = "", /) -> None:
        """Show it, ten times a second at most; at the end the line is cleared."""
        now, what = time.monotonic(), what or self._what
        if what != self._shown:
            self._began = (now, done)
        if sys.stderr.isatty() and (done >= total or what != self._shown or now - self._last > 0.1):
            left = self._left(now, done, total)
            text = "" if done >= total else f"{clean(what)}: {done:,} of {total:,}{left}"
            self._last = now
            write(sys.stderr, f"\r\x1b[K{text}")
        self._shown = what

    def _left(self, now: float, done: int, total: int) -> str:
        """How long it goes on, where that is some seconds and its pace is known."""
        began, first = self._began
        if done <= first or now - began < _PACE_SECONDS:
            return ""
        return f", {duration((total - done) * (now - began) / (done - first))} left"


def put_detached(run: Run | Sequence[Run], as_json: bool) -> None:
    """Write the id of a run that was started detached, or those of several."""
    runs = run if isinstance(run, Sequence) else [run]
    if as_json:
        described = [{"id": each.id, "path": str(each.path.resolve())} for each in runs]
        put_json(described if isinstance(run, Sequence) else described[0])
    else:
        put(*(each.id for each in runs))


def table(header: list[str], rows: list[list[str]], right: frozenset[int] = frozenset()) -> list[str]:
    """Lines of columns padded with blanks; columns numbered in `right` are right-aligned."""
    cleaned = [[clean(cell) for cell in row] for row in [header, *rows]]
    widths = [max(map(_cells, column)) for column in zip(*cleaned, strict=True)]

    def line(cells: list[str]) -> str:
        blanks = [" " * (width - _cells(cell)) for cell, width in zip(cells, widths, strict=True)]
        padded = [
            blank + cell if i in right else cell + blank
            for i, (cell, blank) in enumerate(zip(cells, blanks, strict=True))
        ]
        return "  ".join(padded).rstrip()

    return [line(row) for row in cleaned]


def _cells(text: str) -> int:
    """The cells of a terminal that `text` takes, found without rich, which light commands do without."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)
