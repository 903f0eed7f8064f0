"""``arcterm events``: the events of a run as they stand in its files."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from arcterm.cli.options import AnyRun, RunsDir
from arcterm.show.output import put, say

if TYPE_CHECKING:
    from arcterm.runs.reading.lines import EventLine, LineFollower

_LOOK_SECONDS = 0.25
_AT_ONCE = 500


def events(
    name: AnyRun = "last",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run has ended.")] = False,
    kinds: Annotated[
        list[str] | None,
        typer.Option("--kind", "-k", help="Only this kind, or corrupt; again for more.", show_default=False),
    ] = None,
    last: Annotated[
        int | None, typer.Option("--last", "-n", min=0, help="Only the newest so many.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the lines as they are written.")] = False,
    runs_dir: RunsDir = None,
) -> None:
    """Print the events of a run, and mark lines that are none."""
    from arcterm.cli.runs.listing import find_run
    from arcterm.runs.reading.lines import LineFollower
    from arcterm.runs.state import LIVE, read_state
    from arcterm.show import eventlines

    eventlines.check_kinds(kinds or ())
    run = find_run(name, runs_dir)
    follower = LineFollower(run)
    shown = eventlines.as_json if as_json else eventlines.written
    while True:
        live = read_state(run).state in LIVE
        found = _wanted(follower, live, kinds)
        for lines in _batches(found if last is None else deque(found, maxlen=last)):
            put(*map(shown, lines))
        if not (follow and live) or run.removed:
            break
        last = None
        time.sleep(_LOOK_SECONDS)
    say(*filter(None, [eventlines.unreadable(follower.unreadable), *follower.damaged.values()]))


def _wanted(follower: LineFollower, live: bool, kinds: list[str] | None) -> Iterator[EventLine]:
    for line in follower.lines():
        if not kinds or line.kind in kinds:
            yield line
    if not live:
        yield from (line for line in follower.unfinished() if not kinds or line.kind in kinds)


def _batches(lines: Iterable[EventLine]) -> Iterator[list[EventLine]]:
    """Lists of at most `_AT_ONCE` lines: a write for each line would take longer than the rest."""
    batch: list[EventLine] = []
    for line in lines:
        batch.append(line)
        if len(batch) == _AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch
