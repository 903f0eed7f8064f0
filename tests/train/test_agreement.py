"""What ranks agree on at a step boundary: requests, signals, and checkpoints by the clock."""

from __future__ import annotations

import pytest
import torch.distributed as dist

from arcterm.runs import control, store
from arcterm.train.agreement import Agreement
from arcterm.train.world import World

from ..runs.conftest import config


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def run(tmp_path):
    return store.create(tmp_path / "runs", config(), label="x", argv=[], host="h")


@pytest.fixture
def clock() -> Clock:
    return Clock()


def by_the_clock(run, clock, minutes):
    """The steps, a minute each, at which a checkpoint is due; every one is taken."""
    agreement = Agreement(run, World(), minutes, lambda: False, clock)
    found = []
    for step in range(1, 31):
        clock.now += 60
        if "due" in agreement.asked():
            found.append(step)
            agreement.saved()
    return found


def test_a_checkpoint_is_due_by_the_clock(run, clock):
    assert by_the_clock(run, clock, 10.0) == [11, 22]  # found after ten minutes, taken a step later
    assert by_the_clock(run, clock, 0.0) == []


def test_a_checkpoint_that_was_taken_meanwhile_is_not_taken_again(run, clock):
    agreement = Agreement(run, World(), 1.0, lambda: False, clock)
    clock.now += 61
    assert agreement.asked() == set()
    agreement.saved()
    assert agreement.asked() == set()
    clock.now += 61
    assert agreement.asked() == set()
    assert agreement.asked() == {"due"}


def test_the_clock_of_another_rank_does_not_count(run, clock, monkeypatch):
    monkeypatch.setattr(dist, "all_reduce", lambda *_, **__: None)
    agreement = Agreement(run, World(1, 2), 1.0, lambda: False, clock)
    clock.now += 61
    assert [agreement.asked() for _ in range(3)] == [set()] * 3


@pytest.mark.parametrize("rank", [0, 1])
def test_a_signal_to_any_rank_is_a_request_to_stop(run, clock, monkeypatch, rank):
    sent = []
    monkeypatch.setattr(dist, "all_reduce", lambda flags, **_: sent.append(flags.tolist()))
    seen = [False]
    agreement = Agreement(run, World(rank, 2), 0.0, lambda: seen[0], clock)
    agreement.asked()
    seen[0] = True
    agreement.asked()
    assert sent == [[0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0]]
    assert agreement.asked() == {"stop"}


def test_a_request_is_taken_once(run, clock):
    agreement = Agreement(run, World(), 0.0, lambda: False, clock)
    control.ask(run, "verify")
    clock.now += 1
    assert agreement.asked() == set()
    clock.now += 1
    assert agreement.asked() == {"verify"}
    assert control.pending(run) == []
    assert agreement.asked() == set()
