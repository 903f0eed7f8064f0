"""The lines of event files as they stand there, those that are no events too."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, groupby
from operator import attrgetter
from typing import NamedTuple

from arcterm.runs.events import AnyEvent, decode, problem
from arcterm.runs.reading.follow import FileTail, Follower

CORRUPT = "corrupt"
"""The kind of a line that is no event."""


class EventLine(NamedTuple):
    """Line `number` (from 1) of event file `file`, without its line feed.

    `event` is None where it is none, and `problem` then says why. `t` is the time of the event, seconds since
    1970; of a line that is none that of the event before it in its file.
    """

    t: float
    attempt: int
    rank: int
    file: str
    number: int
    text: bytes
    event: AnyEvent | None
    problem: str = ""

    @property
    def kind(self) -> str:
        return CORRUPT if self.event is None else str(self.event.__struct_config__.tag)


@dataclass
class LineFollower(Follower):
    """The lines of a run's event files, attempt by attempt, those of its ranks in order of time."""

    _numbers: dict[str, int] = field(default_factory=dict)
    _times: dict[tuple[int, int], float] = field(default_factory=dict)

    def lines(self) -> Iterator[EventLine]:
        """Iterate over the whole lines not read yet, reading each when it is asked for."""
        for _, attempt in groupby(self._files(), key=lambda tail: tail.order[0]):
            ranks = groupby(attempt, key=lambda tail: tail.order[:2])
            yield from heapq.merge(
                *(chain.from_iterable(map(self._lines, list(tails))) for _, tails in ranks),
                key=attrgetter("t"),
            )

    def unfinished(self) -> list[EventLine]:
        """Return the ends of files that have no line feed: of a run that is over they were cut."""
        cut = []
        for tail in self._files():
            with self._noting(tail), tail.open() as file:
                text = file.read() if file else b""
                if text and not text.endswith(b"\n"):
                    cut.append(self._line(tail, text, "cut off"))
        return cut

    def _lines(self, tail: FileTail) -> Iterator[EventLine]:
        with self._noting(tail), tail.open() as lines:
            for text in lines or ():
                if not text.endswith(b"\n"):
                    break
                tail.offset += len(text)
                yield self._line(tail, text[:-1])

    def _line(self, tail: FileTail, text: bytes, why: str = "") -> EventLine:
        attempt, rank, _ = tail.order
        name = tail.path.name
        number = self._numbers[name] = self._numbers.get(name, 0) + 1
        event = None if why else decode(text)
        if event is None:
            why = why or problem(text)
            self.unreadable[why] += 1
        else:
            self._times[attempt, rank] = event.t
        t = self._times.get((attempt, rank), 0.0)
        return EventLine(t, attempt, rank, name, number, text, event, why)
