"""How a command prints: data to stdout, talk to stderr."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from typing import TYPE_CHECKING, Any

from arcterm.show.streams import ReaderGoneError, write, write_lines
from arcterm.text import clean

if TYPE_CHECKING:
    from arcterm.runs.store import Run


def say(*lines: str) -> None:
    """Talk: to stderr, as long as somebody listens."""
    with contextlib.suppress(ReaderGoneError):
        write_lines(sys.stderr, lines)


def say_waiting(what: str) -> None:
    """Say what is being done while PyTorch starts."""
    say(f"{what}; PyTorch takes a few seconds to start")


def put(*lines: str) -> None:
    """Data and reports: to stdout."""
    write_lines(sys.stdout, lines)


def put_json(value: Any) -> None:
    """Data as JSON: to stdout, to the letter."""
    write(sys.stdout, json.dumps(value, indent=2) + "\n")


class ProgressLine:
    """Show ``what: done of total`` in place, in a terminal, and nothing elsewhere (see `arcterm.progress`).

    `what` is said of progress that doesn't say itself of what it is.
    """

    def __init__(self, what: str = "") -> None:
        self._what = self._shown = what
        self._last = 0.0

    def __call__(self, done: int, total: int, what: str = "", /) -> None:
        """Show it, ten times a second at most; when all is done, the line is cleared."""
        now, what = time.monotonic(), what or self._what
        if sys.stderr.isatty() and (done >= total or what != self._shown or now - self._last > 0.1):
            self._last, self._shown = now, what
            told = "" if done >= total else f"{clean(what)}: {done:,} of {total:,}"
            write(sys.stderr, f"\r\x1b[K{told}")


def put_detached(run: Run, as_json: bool) -> None:
    """Name a run that goes on by itself."""
    if as_json:
        put_json({"id": run.id, "path": str(run.path.resolve())})
    else:
        put(run.id)


def table(header: list[str], rows: list[list[str]], right: frozenset[int] = frozenset()) -> list[str]:
    """Lines of columns padded with blanks; those numbered in `right` are set to the right."""
    cleaned = [[clean(cell) for cell in row] for row in [header, *rows]]
    widths = [max(map(len, column)) for column in zip(*cleaned, strict=True)]

    def line(cells: list[str]) -> str:
        padded = [
            c.rjust(w) if i in right else c.ljust(w)
            for i, (c, w) in enumerate(zip(cells, widths, strict=True))
        ]
        return "  ".join(padded).rstrip()

    return [line(row) for row in cleaned]
