"""The events of a run as they stand in its files: raw lines, those that can't be read marked."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import islice
from typing import ClassVar

from textual.binding import Binding, BindingType

from arcterm.console.lines.screen import LineScreen, LinesRead
from arcterm.console.lines.textlist import TextLine, TextList
from arcterm.runs.events import KINDS
from arcterm.runs.reading.lines import CORRUPT, EventLine, LineFollower
from arcterm.runs.state import LIVE
from arcterm.runs.store import Run
from arcterm.show.eventlines import unreadable
from arcterm.text import clean

_AT_ONCE = 4000
_MOST = 5000  # of each kind: verifications are few, and far apart


class EventScreen(LineScreen):
    """The event lines of all attempts and ranks, by time."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "t", "kind(1)", "kind", tooltip="lines of the next kind only, after the last of all; T before"
        ),
        Binding("T", "kind(-1)", "kind before", show=False),
        Binding("i", "back", "back", show=False),
    ]

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.list = TextList(_MOST)
        self._follower = LineFollower(run)
        self._coming: Iterator[EventLine] | None = None
        self._ended = False

    def name_of_lines(self) -> str:
        return unreadable(self._follower.unreadable) or "events"

    def nothing(self) -> str:
        of = f" of kind {self.list.kind}" if self.list.kind else ""
        return f"no event{of} {'yet' if self.state.state in LIVE else 'was written'}"

    def fetch(self, live: bool) -> LinesRead:
        self._coming = self._coming or self._follower.lines()
        found = list(islice(self._coming, _AT_ONCE))
        more = len(found) == _AT_ONCE
        if not more:
            self._coming = None
            if not live and not self._ended:
                self._ended = True
                found += self._follower.unfinished()
        return LinesRead(self._follower, [_line(line) for line in found], self.state, more)

    def action_kind(self, by: int) -> None:
        """See the lines of another kind that there are, or of all."""
        there = {line.kind for line in self.list.lines}
        kinds = ["", *(kind for kind in (CORRUPT, *KINDS) if kind in there)]
        at = kinds.index(self.list.kind) if self.list.kind in kinds else 0
        self.list.choose(kinds[(at + by) % len(kinds)])
        self.repaint()


def _line(line: EventLine) -> TextLine:
    clock = time.strftime("%H:%M:%S", time.localtime(line.t)) if line.t else "--:--:--"
    text = clean(line.text.decode("utf-8", "replace"))
    if line.event is None:
        where = f"{line.file}:{line.number} {line.problem}: "
        return TextLine(f"{clock} r{line.rank} {CORRUPT} {where}{text}", CORRUPT, "bad", marked=True)
    body = text.rpartition(',"crc":"')[0] + "}"
    loud = line.kind == "message" and '"level":"info"' not in text
    return TextLine(f"{clock} r{line.rank} {body}", line.kind, "warn" if loud else "", loud)
