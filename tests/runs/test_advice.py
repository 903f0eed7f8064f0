"""What each way of stopping costs."""

from __future__ import annotations

import pytest

from arcterm.config import JobConfig
from arcterm.runs import advice, store
from arcterm.runs.events import Checkpoint, Phase, Start
from arcterm.runs.reading.summary import Summary

from .conftest import config
from .test_alerts import step
from .test_checkpoints import save


@pytest.fixture
def costs(tmp_path):
    """``costs(*events, saved=7)``: of a training with a checkpoint of that step, after `events`."""

    def ask(*events, saved=0):
        run = store.create(tmp_path, config(), label="x", argv=[], host="h")
        if saved:
            save(run, saved)
        summary = Summary()
        start = Start(rank=0, world_size=1, host="h", pid=1, device="cpu", step=0, steps=100, t=1.0)
        summary.feed((1, event) for event in (start, *events))
        return advice.stopping(run, summary)

    return ask


def saved_at(number, t, seconds=1.25):
    return Checkpoint(step=number, name="x", bytes=1, seconds=seconds, reason="scheduled", t=t)


def test_steps_and_seconds_since_the_checkpoint_are_what_stopping_at_once_loses(costs):
    steps = [step(number) for number in range(1, 31)]
    softly, now = costs(*steps[:10], saved_at(10, 10.0), *steps[10:], saved=10)
    assert softly == "after a checkpoint: nothing is lost; the save takes 1.2 s, as at step 10"
    assert now == "at once: up to 20 steps are lost, 20 s of work (the last checkpoint is of step 10)"


def test_what_another_attempt_saved_counts_by_the_pace(costs):
    assert "up to 4 steps are lost, 4 s of work" in costs(*map(step, (11, 12, 13, 14)), saved=10).now
    assert costs(*map(step, (1, 2, 3))).now == (
        "at once: up to 3 steps are lost, 3 s of work (no checkpoint exists yet)"
    )


def test_a_verification_that_is_under_way_ends_first(costs):
    verifying = [Phase(phase="verify", done=done, total=60, t=100.0 + done) for done in (0, 20)]
    assert costs(step(1), *verifying).softly == (
        "after a checkpoint: nothing is lost; the verification ends first, in 40 s; no save was timed yet"
    )


def test_a_job_says_what_is_kept(tmp_path):
    job = JobConfig(name="check", group="data", paths=["/pack"])
    run = store.create(tmp_path, job, label="x", argv=[], host="h")
    softly, now = advice.stopping(run, Summary())
    assert softly == f"{job.stop_words.softly}: {job.stop_words.kept}"
    assert now == f"at once: {job.stop_words.at_once}"
