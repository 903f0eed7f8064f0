"""What is told of a run."""

from __future__ import annotations

import math

import pytest

from arcterm.runs.describe import describe
from arcterm.runs.events import Checkpoint, Gpu, Gpus, Mined, Phase, Start, Step, Verify, real
from arcterm.runs.journal import Journal
from arcterm.runs.reader import Reader
from arcterm.runs.reading.summary import Summary


def start(attempt, step=0):
    return attempt, Start(t=0.0, rank=0, world_size=2, host="h", pid=1, device="cpu", step=step, steps=100)


def step(number, loss=1.0, attempt=1, t=None):
    event = Step(
        t=float(number if t is None else t),
        step=number,
        epoch=1,
        loss=real(loss),
        accuracy=0.5,
        angle=70.0,
        lr=0.1,
        images_per_second=10.0,
        samples=number,
        data_wait=0.0,
    )
    return attempt, event


def verify(number, accuracy, name="lfw"):
    return 1, Verify(step=number, set=name, pairs=10, accuracy=accuracy, std=0.0, xnorm=1.0)


def test_a_resumed_run_forgets_what_came_after_the_checkpoint():
    summary = Summary()
    summary.feed([start(1), *(step(n, loss=n) for n in range(1, 31)), verify(10, 0.8), verify(20, 0.9)])
    summary.feed([start(2, step=15), step(16, loss=-16, attempt=2), step(17, loss=-17, attempt=2)])
    assert list(summary.steps) == [*range(1, 16), 16, 17]
    assert list(summary.series["loss"])[-3:] == [15.0, -16.0, -17.0]
    assert [v.step for v in summary.verification["lfw"]] == [10]
    assert (summary.step, summary.attempt, summary.total_steps) == (17, 2, 100)


def test_rounds_of_mining_that_are_made_again_are_forgotten():
    summary = Summary()
    rounds = [mined(step=n, round=1 + n // 10) for n in (0, 10, 20)]
    summary.feed([start(1), rounds[0], *(step(n) for n in range(1, 10)), *rounds[1:]])
    assert [m.round for m in summary.mined] == [1, 2, 3]
    summary.feed([start(2, step=20)])
    assert [m.round for m in summary.mined] == [1, 2]


def mined(**fields):
    return 1, Mined(bags=1, images=50, pairs=100, triplets=80, steps=10, seconds=0.5, **fields)


def test_a_late_rank_of_the_same_attempt_forgets_nothing():
    summary = Summary()
    summary.feed([start(1), step(1), step(2)])
    summary.feed([(1, Start(rank=1, world_size=2, host="h", pid=2, device="cpu", step=0, steps=100))])
    assert list(summary.steps) == [1, 2]


def test_eta_is_the_median_pace():
    summary = Summary()
    times = [0, 1, 2, 3, 100, 101]  # a verification lies between the fourth and the fifth
    summary.feed([start(1), *(step(n + 1, t=t) for n, t in enumerate(times))])
    assert summary.eta() == pytest.approx(94 * 1.0)


def test_best_is_the_earliest_of_equals():
    summary = Summary()
    summary.feed([start(1), verify(10, 0.8), verify(20, 0.9), verify(30, 0.9)])
    best = summary.best("lfw")
    assert best is not None
    assert best.step == 20
    assert summary.best("none") is None


def test_gaps_stay_gaps():
    summary = Summary()
    summary.feed([step(1, loss=float("nan")), (1, Gpus(host="h", gpus=[Gpu(index=0, name="x")]))])
    assert math.isnan(summary.series["loss"][0])
    assert math.isnan(summary.gpu_history["h", 0][0][1])


def test_describe_has_what_scripts_rely_on(run):
    journal = Journal(run.events, 1, 0)
    for _, event in (start(1), step(1), step(2), verify(2, 0.75)):
        journal.write(event)
    assert (describe(Reader(run, check=True))["mined"], describe(Reader(run, check=True))["active"]) == (
        None,
        None,
    )
    journal.write(mined(step=2, round=1)[1])
    journal.write(Checkpoint(step=2, name="step-0000000002", bytes=1, seconds=0.1, reason="x"))
    told = describe(Reader(run, check=True))
    wanted = {
        "state",
        "step",
        "steps",
        "epoch",
        "loss",
        "lr",
        "images_per_second",
        "verification",
        "checkpoints",
    }
    assert wanted | {"config"} <= told.keys()
    assert told["verification"]["lfw"].keys() >= {"accuracy", "std", "best_accuracy", "best_step"}
    assert told["verification"]["lfw"]["best_accuracy"] == 0.75
    assert told["config"]["backbone"] == "tiny"
    assert (told["mined"]["triplets"], told["mined"]["pairs"]) == (80, 100)
    assert (told["step"], told["steps"]) == (2, 100)


def test_events_that_are_read_again_count_once():
    summary = Summary()
    summary.feed([start(1), *(step(n) for n in range(1, 21))])
    summary.feed([start(1), *(step(n) for n in range(1, 11))])
    assert list(summary.steps) == list(range(1, 11))
    assert len(summary.series["loss"]) == len(summary.times) == 10


def test_a_phase_that_is_past_its_total_has_no_time_left():
    summary = Summary()
    for t, done in enumerate((1, 5, 12)):
        summary.feed([(1, Phase(t=float(t), phase="copy", done=done, total=10))])
    assert summary.phase_eta() == 0
