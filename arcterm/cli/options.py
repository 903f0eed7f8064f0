"""Options that several commands share, and how they print."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from arcterm.runs.store import Run

RunsDir = Annotated[
    Path | None,
    typer.Option("--runs-dir", help="Where runs live; ARCTERM_RUNS, else ./runs.", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Plain = Annotated[bool, typer.Option("--plain", help="Print lines instead of drawing.")]
RunName = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help="A run's id, name or path; last is the newest of all.", show_default=False
    ),
]


def say(text: str) -> None:
    """Talk: to stderr."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def put(text: str) -> None:
    """Data: to stdout."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def put_json(value: Any) -> None:
    """Data as JSON: to stdout."""
    put(json.dumps(value, indent=2))


class Counter:
    """Says ``what: done of total`` in place, in a terminal; nothing elsewhere."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._last = 0.0

    def __call__(self, done: int, total: int) -> None:
        """Tell how far it is, ten times a second at most."""
        now = time.monotonic()
        if sys.stderr.isatty() and (done == total or now - self._last > 0.1):
            self._last = now
            sys.stderr.write(f"\r{self._what}: {done:,} of {total:,}" + ("\n" if done == total else ""))
            sys.stderr.flush()


class Stages:
    """Says what a process is at, in place, in a terminal; nothing elsewhere."""

    def __call__(self, what: str, done: int, total: int) -> None:
        """Tell it; the last of a stage clears the line."""
        if sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K" + ("" if done >= total else f"{what} … {done} of {total}"))
            sys.stderr.flush()


def put_detached(run: Run, as_json: bool) -> None:
    """Name a run that goes on by itself."""
    if as_json:
        put_json({"id": run.id, "path": str(run.path.resolve())})
    else:
        put(run.id)


def table(header: list[str], rows: list[list[str]], right: frozenset[int] = frozenset()) -> str:
    """Columns padded with blanks; those numbered in `right` are set to the right."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]

    def line(cells: list[str]) -> str:
        padded = [
            c.rjust(w) if i in right else c.ljust(w)
            for i, (c, w) in enumerate(zip(cells, widths, strict=True))
        ]
        return "  ".join(padded).rstrip()

    return "\n".join(line(row) for row in [header, *rows])
