"""Probes in several processes at once: what they answer, and what is said where one of them fails."""

from __future__ import annotations

import os
import signal

import pytest

from arcterm.errors import DataError, FailedError
from arcterm.train.footprint.together import Worker, together


def test_all_meet_and_agree_on_the_largest_number():
    assert together(3, lambda worker: (worker.rank, worker.most(10.0 * worker.rank))) == [
        (0, 20.0),
        (1, 20.0),
        (2, 20.0),
    ]


def test_the_error_of_one_is_raised_and_not_that_of_those_who_waited_for_it():
    def work(worker):
        if worker.rank == 2:
            raise DataError("the pack is gone", "bring it back")
        worker.meet()

    with pytest.raises(DataError, match="the pack is gone") as caught:
        together(3, work)
    assert caught.value.hint == "bring it back"


def test_a_stranger_error_is_said_in_its_own_words():
    with pytest.raises(FailedError, match="KeyError: 'weight'"):
        together(1, lambda worker: {}["weight"])


def test_a_process_that_is_killed_is_said():
    def work(worker):
        if worker.rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        worker.meet()

    with pytest.raises(FailedError, match="ended without an answer"):
        together(2, work)


def test_the_first_process_notes_how_far_all_are(tmp_path):
    noted = tmp_path / "noted"

    def note() -> None:
        with noted.open("a") as file:
            file.write(".")

    def work(worker: Worker) -> None:
        for _ in range(3):
            worker.advance()

    together(2, work, note)
    assert noted.read_text() == "..."
    together(2, work)
    assert noted.read_text() == "..."
