"""Which failures are tried again, and how often."""

from __future__ import annotations

import pytest

from arcterm.processes.retries import Retries
from arcterm.runs.diagnosis import AttemptEnd
from arcterm.runs.state import Failure


def failed(step=10, **failure):
    given = {"rank": 1, "cause": "rank 1 ended by SIGKILL", "signal": "SIGKILL", "exit_code": -9, **failure}
    return AttemptEnd(attempt=1, state="failed", step=step, failure=Failure(**given))


def silent(step=10):
    return failed(step, cause="the rank ended without a word", signal="", exit_code=0)


def test_what_repeats_is_not_tried_again_unless_mended():
    retries = Retries(3, None)
    assert retries.refusal(failed(repeats=True), None) == ""
    assert retries.refusal(failed(repeats=True), None, mended=True) is None


def test_progress_gives_the_budget_back():
    retries = Retries(2, None)
    for saved in (None, None, 20, 20, 40):  # twice nothing, then a checkpoint, once nothing, another
        assert retries.refusal(failed(), saved) is None
    assert retries.refusal(failed(), 40) is None
    assert retries.refusal(failed(), 40) == "2 relaunches in a row brought no newer checkpoint"


def test_none_are_none():
    assert Retries(0, None).refusal(failed(), 20) == ""


def test_the_first_is_at_once_and_later_ones_wait():
    retries, pauses = Retries(3, 20), []
    for _ in range(3):
        retries.refusal(failed(), 20)
        pauses.append(retries.pause)
    assert pauses == [0, 5, 10]


@pytest.mark.parametrize(
    ("before", "now", "refused"),
    [
        (silent(57), silent(57), True),
        (silent(57), silent(58), False),
        (silent(57), failed(57), False),
        # whoever kills from outside may do so twice
        (failed(57), failed(57), False),
        (failed(57, signal="SIGSTOP", exit_code=None), failed(57, signal="SIGSTOP", exit_code=None), False),
        # a plug-in that sleeps for ever
        (failed(57, signal="", exit_code=None), failed(57, signal="", exit_code=None), True),
        (failed(57, signal="SIGSEGV", exit_code=-11), failed(57, signal="SIGSEGV", exit_code=-11), True),
    ],
)
def test_the_same_end_twice_repeats(before, now, refused):
    retries = Retries(3, 40)
    assert retries.refusal(before, 40) is None
    assert (retries.refusal(now, 40) == "it ended so twice at step 57") == refused
