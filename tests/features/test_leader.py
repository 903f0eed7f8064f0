"""The first rank works while another waits: its result, its error, and a stop come to both."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import torch

from arcterm.errors import DataError, StopAskedError
from arcterm.features import leader
from arcterm.features.leader import lead
from arcterm.runs import control
from arcterm.runs.context import JobContext
from tests.jobs import Heard, make_run


class Threads:
    """A rank of two that are threads."""

    size = 2
    device = torch.device("cpu")

    def __init__(self, rank, barrier, slots):
        self.rank, self._barrier, self._slots = rank, barrier, slots

    @property
    def first(self):
        return self.rank == 0

    def _exchanged(self, value):
        self._slots[self.rank] = value
        self._barrier.wait(10)
        found = list(self._slots)
        self._barrier.wait(10)
        return found

    def gather(self, tensor):
        return torch.cat(self._exchanged(tensor))

    def any(self, flag):
        return any(self._exchanged(flag))

    def barrier(self):
        self._exchanged(None)


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path, "ijb", ["a", "b"])


def both(run, work):
    """What each of two ranks got of `work`, or the error that it met."""
    barrier, slots = Barrier(2), [None, None]

    def rank(number):
        ranks = Threads(number, barrier, slots)
        try:
            return lead(JobContext(run, Heard(), 1, ranks), ranks, work)
        except (DataError, StopAskedError) as error:
            return error

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(rank, range(2)))


def test_the_result_is_the_first_ranks(run, monkeypatch):
    monkeypatch.setattr(leader, "_SECONDS", -1.0)

    def work(progress):
        report = progress.progress("counting")
        for number in range(5):
            report(number, 5)
        return "done"

    assert both(run, work) == ["done", None]


def test_an_error_is_raised_on_both(run):
    def work(progress):
        raise DataError("template 7 is zero", "look at it")

    first, second = both(run, work)
    assert (
        (first.message, first.hint) == (second.message, second.hint) == ("template 7 is zero", "look at it")
    )


def test_a_stop_is_obeyed_by_both(run, monkeypatch):
    monkeypatch.setattr(leader, "_SECONDS", -1.0)

    def work(progress):
        report = progress.progress("counting")
        report(0, 2)
        control.ask(run, "stop")
        report(1, 2)
        raise AssertionError("it went on")

    assert [type(outcome) for outcome in both(run, work)] == [StopAskedError, StopAskedError]
