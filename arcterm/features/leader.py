"""Work that the first rank does while the others wait, without a limit of time, and all stop if asked to."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from arcterm.errors import DataError
from arcterm.runs.context import JobContext
from arcterm.verify.ranks import RankGroup, agree

T = TypeVar("T")

_SECONDS = 1.0


class Leader:
    """Progress of the first rank, at which all ranks may be stopped."""

    def __init__(self, context: JobContext) -> None:
        self._context, self._last = context, time.monotonic()

    def progress(self, what: str) -> Callable[[int, int], None]:
        """Return a function of (done, total), to be called between blocks of the phase `what`.

        That raises `StopAskedError` if the job was asked to stop.
        """

        def report(done: int, total: int) -> None:
            self._context.progress(done, total, what)
            if time.monotonic() - self._last > _SECONDS:
                self._last = time.monotonic()
                _meet(self._context, ended=False)

        return report


def lead(context: JobContext, ranks: RankGroup, work: Callable[[Leader], T]) -> T | None:
    """Return what `work` returns on the first rank, None on others; raises its `DataError` on all.

    A collective waits for minutes at most, and the work may take longer: the ranks meet every second of it.
    """
    problem: DataError | None = None
    result: T | None = None
    if ranks.first:
        try:
            result = work(Leader(context))
        except DataError as error:
            problem = error
        _meet(context, ended=True)
    else:
        while not _meet(context, ended=False):
            pass

    def outcome() -> T | None:
        if problem is not None:
            raise problem
        return result

    return agree(ranks, outcome)


def _meet(context: JobContext, ended: bool) -> bool:
    """Return on every rank whether the work has `ended` on the first one; raises if asked to stop."""
    over = ended if context.world is None else context.world.any(ended)
    if not over:
        context.agree()
    return over
