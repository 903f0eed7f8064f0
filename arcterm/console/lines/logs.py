"""The logs of a run: of each rank and of its launcher."""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar

from textual.binding import Binding, BindingType

from arcterm.console.lines.screen import LineScreen, LinesRead
from arcterm.console.lines.textlist import TextLine
from arcterm.runs.reading.logs import LogFollower, called, log_files
from arcterm.runs.store import Run

_NOTABLE = re.compile(r"\b(warn(ing)?|error|exception|traceback|fatal|critical|nan)\b", re.IGNORECASE)


class LogScreen(LineScreen):
    """One log of the newest attempt at a time."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "log(1)", "next log", tooltip="the next rank's log; after the last the first"),
        Binding("right_square_bracket", "log(1)", "next log", show=False),
        Binding("left_square_bracket", "log(-1)", "log before", show=False),
        Binding("o", "back", "back", show=False),
    ]

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._files: list[Path] = []
        self._follower: LogFollower | None = None

    def name_of_lines(self) -> str:
        if self._follower is None:
            return "log"
        path, files = self._follower.path, self._files
        place = f" ({files.index(path) + 1} of {len(files)})" if path in files else ""
        return f"{called(path)}{place}"

    def nothing(self) -> str:
        return "no output yet" if self._follower or self._files else "no log was written"

    def fetch(self, live: bool) -> LinesRead:
        self._files = log_files(self.run)
        follower = self._follower
        if follower is None and self._files:
            follower = self._follower = LogFollower(self._files[0])
        if follower is None:
            return LinesRead(None, [], self.state)
        part = follower.poll(live)
        lines = [_line(text) for text in part.lines]
        return LinesRead(follower, lines, self.state, part.more, part.anew, part.earlier)

    def current(self, source: object) -> bool:
        return source is self._follower

    def action_log(self, by: int) -> None:
        """Show the log of another rank."""
        if len(self._files) < 2 or self._follower is None:
            self.app.notify("there is no other log", timeout=2, markup=False)
            return
        at = self._files.index(self._follower.path) if self._follower.path in self._files else 0
        self._follower = LogFollower(self._files[(at + by) % len(self._files)])
        self.list.clear()
        self.list.follows = True
        self.repaint()
        self.look()


def _line(text: str) -> TextLine:
    notable = _NOTABLE.search(text) is not None
    return TextLine(text, role="warn" if notable else "", marked=notable)
