"""Progress of work: the protocol between work and display."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called with (done, total, what); a data set of a plug-in calls it with (done, total)."""

    def __call__(self, done: int, total: int, what: str = "", /) -> object: ...


def unheard(done: int, total: int, what: str = "", /) -> None:
    """Ignore progress that is not shown."""
