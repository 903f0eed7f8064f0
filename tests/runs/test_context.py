"""A job that is asked to stop: by a request, or by a signal to any of its processes."""

from __future__ import annotations

import pytest

from arcterm.errors import StopAskedError
from arcterm.runs import control
from arcterm.runs.context import JobContext
from arcterm.runs.journal import NullJournal


class Ranks:
    """Two ranks, of which the other was asked nothing."""

    size = 2

    def __init__(self, rank):
        self.rank, self.first, self.asked = rank, rank == 0, []

    def any(self, flag):
        self.asked.append(flag)
        return flag


def test_a_process_alone_obeys_requests_and_signals(run):
    JobContext(run, NullJournal()).progress(0, 2, "counting")
    with pytest.raises(StopAskedError):
        JobContext(run, NullJournal(), signalled=lambda: True).progress(0, 2, "counting")
    control.ask(run, "stop")
    with pytest.raises(StopAskedError):
        JobContext(run, NullJournal()).progress(0, 2, "counting")
    assert not control.pending(run)


@pytest.mark.parametrize("rank", [0, 1])
def test_any_rank_may_get_the_signal(run, rank):
    ranks = Ranks(rank)
    JobContext(run, NullJournal(), world=ranks).agree()
    with pytest.raises(StopAskedError):
        JobContext(run, NullJournal(), world=ranks, signalled=lambda: True).agree()
    assert ranks.asked == [False, True]
